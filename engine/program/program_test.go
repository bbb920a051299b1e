package program_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tappet-dev/tappet/engine/expr"
	"github.com/tappet-dev/tappet/engine/graph"
	"github.com/tappet-dev/tappet/engine/program"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// fake is a catalogue of a webhook, a feed that is polled, manual, and http.
type fake struct{}

const (
	postInput = `{
  "type": "object", "additionalProperties": false, "required": ["url"],
  "properties": {
    "url": {"type": "string"},
    "query": {"type": "object", "additionalProperties": {"type": ["string", "number", "boolean", "null"]}},
    "headers": {"type": "object", "additionalProperties": {"type": "string"}},
    "body": {},
    "raw": {"type": "string"},
    "mode": {"enum": ["json", "form"]},
    "count": {"type": "integer", "minimum": 1},
    "site": {"type": "string", "format": "uri"},
    "verb": {"type": "string", "pattern": "^[A-Z]+$"},
    "token": {"type": "string", "writeOnly": true},
    "keys": {"type": "object", "additionalProperties": {"type": ["string", "array"], "writeOnly": true, "items": {"type": "string", "writeOnly": true}}},
    "flags": {"type": "object", "additionalProperties": false, "properties": {"follow": {"type": "boolean"}}}
  }
}`
	httpOutput = `{
  "type": "object", "additionalProperties": false, "required": ["status", "body"],
  "properties": {"status": {"type": "integer"}, "headers": {"type": "object", "additionalProperties": {"type": "string"}}, "body": {}}
}`
	feedEvent = `{
  "type": "object", "additionalProperties": false, "required": ["title", "tags"],
  "properties": {"title": {"type": "string"}, "tags": {"type": "array", "items": {"type": "string"}}, "due": {"type": "string"}, "n": {"type": "integer"}}
}`
	webhookEvent = `{
  "type": "object", "additionalProperties": false, "required": ["body", "headers", "query", "method", "path"],
  "properties": {"body": {"schemaFrom": "schema"}, "headers": {"type": "object", "additionalProperties": {"type": "string"}},
    "query": {"type": "object", "additionalProperties": {"type": "string"}}, "method": {"type": "string"}, "path": {"type": "string"}}
}`
	webhookConfig = `{"type": "object", "additionalProperties": false, "required": ["path"],
  "properties": {"path": {"type": "string"}, "respond": {"enum": ["accepted", "result"]}, "schema": {"type": "object"}}}`
)

// Connection implements program.Connections: there is forms.
func (fake) Connection(name string) error {
	if name != "forms" {
		return fmt.Errorf("there is no connection %q", name)
	}
	return nil
}

func (fake) Trigger(use string) (program.TriggerSpec, error) {
	switch use {
	case "webhook", "webhook.webhook":
		return program.TriggerSpec{Use: "webhook.webhook", Kind: "webhook", Config: []byte(webhookConfig), Event: []byte(webhookEvent)}, nil
	case "feed":
		return program.TriggerSpec{Use: "feed.item", Kind: "poll", Event: []byte(feedEvent)}, nil
	case "manual":
		return program.TriggerSpec{Use: "manual.manual", Kind: "manual"}, nil
	case "cron":
		return program.TriggerSpec{Use: "cron.cron", Kind: "poll", Validate: func(config []byte) error {
			return fmt.Errorf("%s is no cron expression", config)
		}}, nil
	}
	return program.TriggerSpec{}, &program.UnknownUse{Name: use, Message: "there is no connector " + use, Suggestion: `did you mean "webhook"?`}
}

func (fake) Action(use string) (program.ActionSpec, error) {
	spec := program.ActionSpec{Use: use, Input: []byte(postInput), Output: []byte(httpOutput), Literal: []string{"raw"}}
	switch use {
	case "http.post":
		return spec, nil
	case "http.get":
		spec.Idempotent = true
		return spec, nil
	case "http.keyed":
		spec.Keyed = true
		return spec, nil
	case "http.switchable":
		spec.Keyed, spec.KeyField, spec.Input = true, "keyed", nil
		return spec, nil
	case "broken.schema":
		spec.Input = []byte(`{"type": "nothing"}`)
		return spec, nil
	}
	return program.ActionSpec{}, &program.UnknownUse{Name: use, Message: "there is no action " + use}
}

func mustParse(t testing.TB, src string) *graph.Document {
	t.Helper()
	doc, problems := graph.Parse([]byte(src), graph.YAML, graph.Limits{})
	if len(problems) > 0 {
		t.Fatalf("problems: %v", problems)
	}
	return doc
}

// mustBuild builds a graph of steps with a trigger.
func mustBuild(t testing.TB, trigger, steps string) *program.Program {
	t.Helper()
	p, problems := program.Build(mustParse(t, "name: test\ntrigger: {use: "+trigger+"}\nsteps:\n"+steps), fake{})
	if p == nil || len(problems) > 0 {
		t.Fatalf("problems:\n%s", write(problems))
	}
	return p
}

func write(problems []graph.Problem) []byte {
	var b bytes.Buffer
	for _, p := range problems {
		if p.Warning {
			b.WriteString("warning ")
		}
		fmt.Fprintf(&b, "%d:%d %s %s: %s", p.Line, p.Column, p.Code, p.Pointer, p.Message)
		if p.Suggestion != "" {
			b.WriteString("; " + p.Suggestion)
		}
		b.WriteByte('\n')
	}
	return b.Bytes()
}

func TestProblems(t *testing.T) {
	t.Parallel()
	names, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(names) == 0 {
		t.Fatal("no testdata", err)
	}
	for _, name := range names {
		t.Run(filepath.Base(name), func(t *testing.T) {
			t.Parallel()
			src, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			p, problems := program.Build(mustParse(t, string(src)), fake{})
			if onlyWarns := strings.HasPrefix(filepath.Base(name), "warn"); (p != nil) != onlyWarns {
				t.Errorf("there is a program: %t", p != nil)
			}
			golden, got := strings.TrimSuffix(name, ".yaml")+".problems", write(problems)
			if *update {
				if err := os.WriteFile(golden, got, 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" || len(got) == 0 {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestExample(t *testing.T) {
	t.Parallel()
	src, err := os.ReadFile("../../examples/graphs/task-completed.yaml")
	if err != nil {
		t.Fatal(err)
	}
	p, problems := program.Build(mustParse(t, string(src)), fake{})
	if p == nil || len(problems) > 0 {
		t.Fatalf("problems:\n%s", write(problems))
	}
	s := p.ByID["entry"]
	event := `{"event":"task.completed","task":{"id":"T-1","title":"paint","tags":["a","b"],"assignee":{"email":"Ann@Example.com"}}}`
	env := &expr.Env{Values: make([]any, program.NumVars)}
	env.Values[program.VarTrigger] = expr.NewRaw([]byte(`{"body":` + event + `}`))
	got := map[string]string{}
	for _, f := range s.With {
		b, err := f.Value.AppendJSON(nil, env)
		if err != nil {
			t.Fatal(err)
		}
		got[f.Name] = string(b)
	}
	want := map[string]string{
		"url":     `"http://127.0.0.1:7701/entries"`,
		"query":   `{"source":"tappet"}`,
		"headers": `{"X-Task-Id":"T-1"}`,
		"body":    `{"title":"Task paint is done","tags":["a","b"],"due":null,"assignee":"ann@example.com"}`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if holds, err := s.If.Eval(env); holds != true || err != nil {
		t.Errorf("if: %v, %v", holds, err)
	}
	if p.Trigger.Use != "webhook.webhook" || string(p.Trigger.Config) != `{"path":"task-completed"}` {
		t.Errorf("trigger: %s %s", p.Trigger.Use, p.Trigger.Config)
	}
}

// G1 and G2: preds, succs and first are what `after` says.
func TestG1G2Order(t *testing.T) {
	t.Parallel()
	p := mustBuild(t, "manual", `
  - {id: a, set: 1}
  - {id: b, if: false, set: 1}
  - {id: x, after: [], set: 1}
  - {id: y, set: 1}
  - {id: both, after: [y, b], set: 1}
`)
	var got []string
	for _, s := range p.Top.Steps {
		got = append(got, fmt.Sprintf("%s %v %v", s.ID, s.Preds, s.Succs))
	}
	want := []string{"a [] [1]", "b [0] [4]", "x [] [3]", "y [2] [4]", "both [1 3] []"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]int{0, 2}, p.Top.First); diff != "" {
		t.Error(diff)
	}
}

// G3 and G9: a step that may be skipped or whose failure is handled has an
// output that may be null.
func TestG3G9Output(t *testing.T) {
	t.Parallel()
	p := mustBuild(t, "manual", `
  - {id: sure, use: http.get, with: {url: a}}
  - {id: maybe, if: "trigger.x == 1", use: http.get, with: {url: a}}
  - {id: handled, on_error: continue, use: http.get, with: {url: a}}
  - {id: read, set: {a: "${{ steps.sure.status }}", b: "${{ steps.maybe.status ?? 0 }}", c: "${{ step(\"handled\").error?.kind }}"}}
`)
	for id, nullable := range map[string]bool{"sure": false, "maybe": true, "handled": true} {
		if got := p.ByID[id].Output.Nullable(); got != nullable {
			t.Errorf("%s: nullable %t, want %t", id, got, nullable)
		}
	}
	if !p.ByID["handled"].Continue || p.ByID["sure"].Continue {
		t.Error("continue is of the step that says so")
	}
}

// G5: the result is the last step's output, so `set` and `respond` have types.
func TestG5SetOutput(t *testing.T) {
	t.Parallel()
	p := mustBuild(t, "feed", `
  - {id: a, set: {title: "${{ trigger.title }}", list: ["${{ trigger.n ?? 0 }}"]}}
  - {id: b, respond: {body: "${{ steps.a.title }}"}}
  - {id: c, respond: {}}
`)
	for id, want := range map[string]string{"b": "string", "c": "null"} {
		if got := p.ByID[id].Output.String(); got != want {
			t.Errorf("%s: %s, want %s", id, got, want)
		}
	}
}

func TestG7RetryDefaults(t *testing.T) {
	t.Parallel()
	p := mustBuild(t, "manual", `
  - {id: none, set: 1}
  - {id: all, set: 1, retry: {}}
  - {id: some, set: 1, retry: {max_attempts: 1000, multiplier: 1, jitter: 0, max_elapsed: 1h, on: [failed]}}
  - {id: slow, set: 1, retry: {initial_interval: 10m}}
  - {id: quick, set: 1, retry: {max_interval: 100ms}}
`)
	want := map[string]*program.Retry{
		"none":  nil,
		"all":   {MaxAttempts: 3, InitialInterval: time.Second, Multiplier: 2, MaxInterval: 5 * time.Minute, Jitter: 0.1},
		"some":  {MaxAttempts: 1000, InitialInterval: time.Second, Multiplier: 1, MaxInterval: 5 * time.Minute, MaxElapsed: time.Hour, On: []string{"failed"}},
		"slow":  {MaxAttempts: 3, InitialInterval: 10 * time.Minute, Multiplier: 2, MaxInterval: 10 * time.Minute, Jitter: 0.1},
		"quick": {MaxAttempts: 3, InitialInterval: 100 * time.Millisecond, Multiplier: 2, MaxInterval: 100 * time.Millisecond, Jitter: 0.1},
	}
	for id, r := range want {
		if diff := cmp.Diff(r, p.ByID[id].Retry); diff != "" {
			t.Errorf("%s: %s", id, diff)
		}
	}
}

func TestG14Timeout(t *testing.T) {
	t.Parallel()
	if p := mustBuild(t, "manual", "  - {id: a, set: 1}\ntimeout: 1h"); p.Timeout != time.Hour {
		t.Error(p.Timeout)
	}
	if p := mustBuild(t, "manual", "  - {id: a, set: 1, timeout: 5s}"); p.Timeout != 720*time.Hour || p.ByID["a"].Timeout != 5*time.Second {
		t.Error(p.Timeout, p.ByID["a"].Timeout)
	}
}

func TestG21OnUnknown(t *testing.T) {
	t.Parallel()
	for _, x := range []struct {
		step string
		want program.OnUnknown
	}{
		{"use: http.get", program.UnknownRetry},
		{"use: http.keyed", program.UnknownRetry},
		{"use: http.post", program.UnknownFail},
		{"use: http.post, on_unknown: retry", program.UnknownRetry},
		{"use: http.get, on_unknown: fail", program.UnknownFail},
		{"use: http.switchable", program.UnknownRetry},
		{"use: http.switchable, with: {url: a, flags: {follow: true}}", program.UnknownRetry},
		{"use: http.switchable, with: {url: a, mode: json}", program.UnknownRetry},
		{"use: http.switchable, with: {url: a, keyed: true}", program.UnknownRetry},
		{"use: http.switchable, with: {url: a, keyed: false}", program.UnknownFail},
		{"use: http.switchable, with: {url: a, keyed: '${{ trigger.on }}'}", program.UnknownFail},
	} {
		step := x.step
		if !strings.Contains(step, "with:") {
			step += ", with: {url: a}"
		}
		p := mustBuild(t, "manual", "  - {id: a, "+step+"}")
		if got := p.ByID["a"].OnUnknown; got != x.want {
			t.Errorf("%s: %d, want %d", x.step, got, x.want)
		}
	}
}

func TestLiteralField(t *testing.T) {
	t.Parallel()
	p := mustBuild(t, "manual", `  - {id: a, use: http.post, with: {url: "$${{ x }}", raw: "${{ nothing }} {{ }}"}}`)
	for i, want := range []string{`"${{ x }}"`, `"${{ nothing }} {{ }}"`} {
		if got, ok := p.ByID["a"].With[i].Value.Constant(); !ok || string(got) != want {
			t.Errorf("%s: %s, constant %t", p.ByID["a"].With[i].Name, got, ok)
		}
	}
}

// A document with problems gives no program, even when its rest makes sense.
func TestBroken(t *testing.T) {
	t.Parallel()
	for _, steps := range []string{
		"[{id: a, set: 1, x: 2}]", "[1]", "[{}]", "[{id: a, use: A}]", "[{id: a, set: 1}, {id: a, after: [b, a], set: 1}]",
		"[{id: a, use: http.get, set: 1, respond: 3}]", "[{set: \"${{ steps }}\"}]", "[{id: a, after: [[]], if: [], respond: {status: []}}]",
	} {
		doc, problems := graph.Parse([]byte("name: x\ntrigger: {use: manual}\nsteps: "+steps), graph.YAML, graph.Limits{})
		if len(problems) == 0 || doc == nil {
			t.Fatalf("%s: %v", steps, problems)
		}
		if p, _ := program.Build(doc, fake{}); p != nil {
			t.Errorf("%s: a program", steps)
		}
	}
}

// However many problems there are, only so many are told.
func TestManyProblems(t *testing.T) {
	t.Parallel()
	for _, steps := range []string{
		"[{id: a, use: http.post, with: {url: a, " + manyOf("k%d: 1, ", 20_000) + "}}]",
		"[{id: a, set: [" + manyOf(`"${{ nope%d }}", `, 20_000) + "]}]",
		"[{id: a, set: [" + manyOf(`"{{ nope%d }}", `, 20_000) + "]}]",
	} {
		_, problems := program.Build(mustParse(t, "name: x\ntrigger: {use: feed}\nsteps: "+steps), fake{})
		if n := len(problems); n != 100 && n != 101 {
			t.Errorf("%d problems", n)
		}
	}
}

func manyOf(format string, n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, format, i)
	}
	return b.String()
}

func BenchmarkBuild(b *testing.B) {
	for _, n := range []int{5, 1000} {
		var src strings.Builder
		src.WriteString("name: large\ntrigger: {use: feed}\nsteps:\n")
		for i := range n {
			last := "0"
			if i > 0 {
				last = fmt.Sprintf("steps.step%d.status", i-1)
			}
			fmt.Fprintf(&src, `  - id: step%d
    if: trigger.n > %d
    use: http.post
    with:
      url: https://example.com/%d
      body:
        title: Task ${{ trigger.title }} is done
        tags: ${{ trigger.tags }}
        last: ${{ %s }}
`, i, i, i, last)
		}
		text := strings.ReplaceAll(src.String(), "trigger.n >", "(trigger.n ?? 0) >")
		doc := mustParse(b, text)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if p, problems := program.Build(doc, fake{}); p == nil {
					b.Fatalf("%s", write(problems))
				}
			}
		})
	}
}

func TestAnEventsGate(t *testing.T) {
	t.Parallel()
	p := mustBuild(t, "webhook, with: {path: x}, filter: \"${{ trigger.body.kind == 'order' }}\"}\ndedupe: {key: trigger.body.id, window: 1h", "  - {id: a, set: 1}\n")
	env := expr.Env{Values: []any{expr.NewRaw([]byte(`{"body":{"kind":"order","id":7}}`))}}
	if v, err := p.Trigger.Filter.Eval(&env); v != true || err != nil {
		t.Errorf("filter: %v, %v", v, err)
	}
	if b, err := p.Dedupe.Key.AppendJSON(nil, &env); string(b) != "7" || err != nil || p.Dedupe.Window != time.Hour {
		t.Errorf("key %s, %v, for %s", b, err, p.Dedupe.Window)
	}
	p = mustBuild(t, "webhook, with: {path: x}, filter: false}\ndedupe: {window: 2h", "  - {id: a, set: 1}\n")
	if v, err := p.Trigger.Filter.Eval(&expr.Env{}); v != false || err != nil || p.Dedupe.Key != nil || p.Dedupe.Window != 2*time.Hour {
		t.Errorf("filter: %v, %v; dedupe %+v", v, err, p.Dedupe)
	}
}
