package engine_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tappet-dev/tappet/engine"
	"github.com/tappet-dev/tappet/engine/graph"
)

func TestValidationsTellTypesAndTakeSamples(t *testing.T) {
	t.Parallel()
	b := newBench(t, t.TempDir())
	b.on(hooked)
	v, err := b.ValidateDraft(t.Context(), "hooked", engine.SampleEvent{})
	if err != nil || !v.OK || v.Inferred || len(v.Problems) > 0 {
		t.Fatalf("%+v, %v", v, err)
	}
	if got := string(v.Steps["b"].Output); !strings.HasPrefix(got, `{"additionalProperties":false,"properties":{"twice":`) {
		t.Errorf("output of b: %s", got)
	}
	sampled, err := b.ValidateDraft(t.Context(), "hooked", engine.SampleEvent{Event: json.RawMessage(`{"body": {"n": 1, "m": "x"}}`)})
	if err != nil || !sampled.OK || !sampled.Inferred || len(sampled.Problems) > 0 {
		t.Fatalf("%+v, %v", sampled, err)
	}
	if got := string(sampled.Steps["a"].Input); got != `{"additionalProperties":false,"properties":{"n":{"type":"integer"}},"required":["n"],"type":"object"}` {
		t.Errorf("input of a: %s", got)
	}
	// What the sample alone shows is a warning.
	other, err := b.ValidateDraft(t.Context(), "hooked", engine.SampleEvent{Event: json.RawMessage(`{"body": {"nn": 1}}`)})
	if err != nil || !other.OK || len(other.Problems) != 2 || !other.Problems[0].Warning || other.Problems[0].Line != 4 ||
		other.Problems[0].Message != "by the sample event: unknown field n" {
		t.Errorf("%+v, %v", other.Problems, err)
	}
	// The last event is that of the newest run.
	_, err = b.ValidateDraft(t.Context(), "hooked", engine.SampleEvent{Last: true})
	wantKind(t, err, engine.NotFound)
	b.ended(b.mustPost("in/here", "", `{"n":21,"last":true}`).Run)
	last, err := b.ValidateDraft(t.Context(), "hooked", engine.SampleEvent{Last: true})
	if err != nil || !strings.Contains(string(last.Trigger), `"last":{"type":"boolean"}`) {
		t.Errorf("trigger %s, %v", last.Trigger, err)
	}
	for _, bad := range []string{`{"a": 1, "a": 2}`, `NaN`, `{`, strings.Repeat("[", 500) + strings.Repeat("]", 500)} {
		_, err = b.ValidateDraft(t.Context(), "hooked", engine.SampleEvent{Event: json.RawMessage(bad)})
		wantKind(t, err, engine.Invalid)
	}
}

func TestExpressionsAreTriedInAStepsScope(t *testing.T) {
	t.Parallel()
	b := newBench(t, t.TempDir())
	if _, err := b.CreateGraph(t.Context(), []byte(hooked), graph.YAML); err != nil {
		t.Fatal(err)
	}
	event := json.RawMessage(`{"body": {"n": 20, "title": "x"}}`)
	for _, c := range []struct{ src, step, value, code string }{
		{"trigger.body.n + 1", "b", "21", ""},
		{"steps.a", "b", `{"ok": true}`, ""},
		{"steps.b.twice", "", "null", ""},
		{"steps.b", "b", "", "unknown_field"},
		{"steps.a", "a", "", "unknown_field"},
		{"trigger.body.titel", "a", "null", "unknown_field"},
		{"graph.name", "a", `"hooked"`, ""},
		{"1 / (trigger.body.n - 20)", "a", "", "evaluation"},
		{"1 / 0", "a", "", "always_fails"},
		{"len(uuid())", "a", "36", ""},
		{`[secret("k"), {a: secret("l")}]`, "a", `[{"$secret":"k"},{"a":{"$secret":"l"}}]`, ""},
		{`map(1..3000, map(1..3000, #))`, "a", "", "limit"},
	} {
		out, err := b.Evaluate(t.Context(), engine.Evaluation{Expression: c.src, Sample: engine.Sample{
			Graph: "hooked", Step: c.step, Event: event, Steps: map[string]json.RawMessage{"a": json.RawMessage(`{"ok": true}`)},
		}})
		code := ""
		if len(out.Problems) > 0 {
			code = out.Problems[0].Code
		}
		if err != nil || string(out.Value) != c.value || code != c.code {
			t.Errorf("%s in %q: %s, %+v, %v", c.src, c.step, out.Value, out.Problems, err)
		}
		if out.Usage.Steps > out.Budget.Steps || out.Usage.Bytes > out.Budget.Bytes {
			t.Errorf("%s: used %+v of %+v", c.src, out.Usage, out.Budget)
		}
	}
	for _, s := range []engine.Sample{{Graph: "nothing"}, {Graph: "hooked", Step: "c"}} {
		_, err := b.Evaluate(t.Context(), engine.Evaluation{Expression: "1", Sample: s})
		wantKind(t, err, engine.NotFound)
		_, err = b.Complete(t.Context(), engine.Completing{Sample: s})
		wantKind(t, err, engine.NotFound)
	}
	c, err := b.Complete(t.Context(), engine.Completing{Source: "steps.", Cursor: 6, Sample: engine.Sample{Graph: "hooked", Step: "b"}})
	if err != nil || len(c.Items) != 1 || c.Items[0].Label != "a" {
		t.Errorf("%+v, %v", c, err)
	}
	_, err = engine.Evaluate(engine.Evaluation{Expression: "1", Sample: engine.Sample{Graph: "hooked"}})
	wantKind(t, err, engine.Invalid)
}

// Every computed field of a call tells what it was made from, once it has begun.
func TestRunsTellWhereFieldsComeFrom(t *testing.T) {
	t.Parallel()
	b := newBench(t, t.TempDir())
	b.on(`name: origin
trigger: {use: test.hook, with: {path: in}}
steps:
  - {id: a, use: test.act, with: {n: 1}}
  - id: b
    use: test.act
    with: {x: {"a/b": ["${{ steps.a.ok }}", "of ${{ trigger.body.n }} and ${{ trigger.body.n + len(trigger.body.l) }}"]}, y: "$${{ no }}"}
  - {id: c, if: false, use: test.act, with: {n: "${{ trigger.body.n }}"}}
`)
	v := b.ended(b.mustPost("in", "", `{"n":1,"l":[]}`).Run)
	want := []engine.Mapped{
		{Pointer: "/x/a~1b/0", Expression: "${{ steps.a.ok }}", Reads: []string{"steps.a.ok"}},
		{Pointer: "/x/a~1b/1", Expression: "of ${{ trigger.body.n }} and ${{ trigger.body.n + len(trigger.body.l) }}", Reads: []string{"trigger.body.l", "trigger.body.n"}},
	}
	if d := cmp.Diff(want, v.Steps[1].Mapping); d != "" || v.State != "succeeded" {
		t.Errorf("%s (-want +got):\n%s", v.State, d)
	}
	if v.Steps[0].Mapping != nil || v.Steps[2].Mapping != nil {
		t.Errorf("a: %+v, c: %+v", v.Steps[0].Mapping, v.Steps[2].Mapping)
	}
}

// Whatever is tried, it ends within its budget, with a value or a problem.
func FuzzEvaluate(f *testing.F) {
	for _, src := range []string{
		"trigger.body.n + 1", "a ${{ trigger.x }} b", "${{ {a: {b: \"}}\"}} }}", "map(1..99999, map(1..99999, #))", "${{ unclosed", "\xff",
	} {
		f.Add(src, []byte(`{"body": {"n": 12345678901234567890}, "x": null}`))
	}
	f.Fuzz(func(t *testing.T, src string, event []byte) {
		text, err := json.Marshal(map[string]any{"a": []string{src}})
		if err != nil {
			t.Fatal(err)
		}
		for _, q := range []engine.Evaluation{{Expression: src}, {Template: text}} {
			q.Sample.Event = event
			out, err := engine.Evaluate(q)
			switch {
			case err != nil:
				if k := engine.KindOf(err); k != engine.Invalid && k != engine.TooLarge {
					t.Fatal(err)
				}
			case !out.OK() && len(out.Problems) == 0:
				t.Fatal("neither a value nor a problem")
			case out.OK() && !json.Valid(out.Value):
				t.Fatalf("no JSON: %q", out.Value)
			case out.Usage.Steps > out.Budget.Steps || out.Usage.Bytes > out.Budget.Bytes || out.Usage.Copies > out.Budget.Copies:
				t.Fatalf("used %+v of %+v", out.Usage, out.Budget)
			}
		}
	})
}
