package program_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/tappet-dev/tappet/engine/expr"
	"github.com/tappet-dev/tappet/engine/program"
)

func TestSamplesGiveTypes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		sample string
		closed bool
		want   string
	}{
		{`{"a": 1, "b": 1.5, "c": "x", "d": true}`, true, `{"additionalProperties":false,"properties":{"a":{"type":"integer"},"b":{"type":"number"},"c":{"type":"string"},"d":{"type":"boolean"}},"required":["a","b","c","d"],"type":"object"}`},
		{`{"a": null}`, false, `{"properties":{"a":{}},"required":["a"],"type":"object"}`},
		{`[{"a": 1}, {"b": "x"}]`, true, `{"items":{"additionalProperties":false,"properties":{"a":{"type":"integer"},"b":{"type":"string"}},"type":"object"},"type":"array"}`},
		{`[]`, true, `{"type":"array"}`},
		{`[1, "x"]`, true, `{"items":{"type":["integer","string"]},"type":"array"}`},
		{`no JSON`, true, `{}`},
		{strings.Repeat("[", 60) + strings.Repeat("]", 60), true, strings.Repeat(`{"items":`, 32) + `{"type":"array"}` + strings.Repeat(`,"type":"array"}`, 32)},
	} {
		if got := string(program.SampleOf([]byte(c.sample), c.closed).Schema()); got != c.want {
			t.Errorf("%.40s: %s\nwant %s", c.sample, got, c.want)
		}
	}
	// The size of a type is bounded, whatever the sample.
	var b strings.Builder
	for i := range 50_000 {
		fmt.Fprintf(&b, `,"m%d":{"a":[{"b":%d}]}`, i, i)
	}
	if n := len(program.SampleOf([]byte("{"+b.String()[1:]+"}"), true).Schema()); n > 8<<20 {
		t.Errorf("the schema has %d bytes", n)
	}
}

// A sample says what the trigger's schema leaves open, and nothing else.
func TestSamplesRefineTheTrigger(t *testing.T) {
	t.Parallel()
	doc := mustParse(t, "name: test\ntrigger: {use: webhook, with: {path: a}}\nsteps:\n"+
		"  - {id: a, set: '${{ trigger.body.tilte }}'}\n  - {id: b, set: '${{ trigger.body.title + 1 }}'}\n  - {id: c, set: '${{ trigger.method }}'}\n")
	if _, problems := program.Build(doc, fake{}); len(problems) > 0 {
		t.Fatalf("problems:\n%s", write(problems))
	}
	sample := []byte(`{"body": {"title": "x"}, "method": 5, "more": 1}`)
	_, problems := program.BuildWith(doc, fake{}, program.SampleOf(sample, true))
	want := "4:36 unknown_field /steps/0/set: unknown field tilte; did you mean \"title\"?\n"
	if got := string(write(problems)); !strings.HasPrefix(got, want) || len(problems) != 2 || problems[1].Pointer != "/steps/1/set" {
		t.Errorf("problems:\n%swant\n%s", got, want)
	}
}

func TestStepsTellTheirInputs(t *testing.T) {
	t.Parallel()
	p := mustBuild(t, "feed", `
  - {id: post, use: http.post, with: {url: "https://x.test", body: {title: "${{ trigger.title }}", due: "${{ trigger.due }}"}}}
  - {id: value, set: "${{ len(trigger.tags) }}"}
  - {id: answer, respond: {status: 201, body: "${{ steps.value }}"}}
`)
	for id, want := range map[string]string{
		"post":   `{"additionalProperties":false,"properties":{"body":{"additionalProperties":false,"properties":{"due":{"type":["null","string"]},"title":{"type":"string"}},"required":["due","title"],"type":"object"},"url":{"enum":["https://x.test"],"type":"string"}},"required":["body","url"],"type":"object"}`,
		"value":  `{"type":"integer"}`,
		"answer": `{"additionalProperties":false,"properties":{"body":{"type":"integer"},"status":{"type":"integer"}},"required":["body","status"],"type":"object"}`,
	} {
		if got := string(p.ByID[id].Input().Schema()); got != want {
			t.Errorf("%s: %s\nwant %s", id, got, want)
		}
	}
}

// What a step's expressions see can be asked for, for an editor.
func TestScopesOfSteps(t *testing.T) {
	t.Parallel()
	doc := mustParse(t, `
name: test
trigger: {use: feed}
steps:
  - {id: a, use: http.get, with: {url: "https://x.test"}}
  - {id: b, if: trigger.n == 1, set: 1}
  - {id: c, set: 1}
`)
	for _, c := range []struct{ step, src, want string }{
		{"a", "trigger.title", "string"},
		{"a", "steps.a.status", "unknown_field"},
		{"b", "steps.a.status", "integer"},
		{"b", `step("a").status`, `"failed" or "skipped" or "succeeded" or "unknown"`},
		{"c", "steps.b", "integer or null"},
		{"", "steps.c", "integer"},
		{"b", "steps.c", "unknown_field"},
	} {
		sc, ok := program.ScopeOf(doc, fake{}, nil, c.step)
		if !ok {
			t.Fatalf("there is no step %q", c.step)
		}
		p, problems := expr.Compile(c.src, sc)
		got := ""
		if len(problems) > 0 {
			got = problems[0].Code
		} else {
			got = p.Type().String()
		}
		if got != c.want && !strings.Contains(c.want, " or \"") {
			t.Errorf("%s in %q: %s, want %s", c.src, c.step, got, c.want)
		}
	}
	if _, ok := program.ScopeOf(doc, fake{}, nil, "d"); ok {
		t.Error("there is a step d")
	}
}

// Constants are held to the formats of the connector's schema.
func TestFormatsOfConstants(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]string{
		`{uri: "https://x.test/a?b=c#d"}`:    "",
		`{uri: "x.test/a"}`:                  "format",
		`{uri: "https://x.test/${{ 1 }}"}`:   "",
		`{uri: "${{ trigger.title }}"}`:      "",
		`{uri: "${{ trigger.due }}"}`:        "type",
		`{mail: "ada@example.com"}`:          "",
		`{mail: "ada at example"}`:           "format",
		`{when: "2026-11-24T09:30:00Z"}`:     "",
		`{when: "2026-11-24 09:30"}`:         "format",
		`{when: "${{ now() }}"}`:             "",
		`{mode: jsn}`:                        "enum",
		`{mode: "${{ 'jsn' }}"}`:             "type",
		`{mode: "${{ trigger.title }}"}`:     "",
		`{count: "${{ trigger.title }}"}`:    "type",
		`{nested: {uri: nothing}}`:           "format",
		`{list: ["https://x.test", "nope"]}`: "format",
	} {
		doc := mustParse(t, "name: test\ntrigger: {use: feed}\nsteps:\n  - {id: a, use: formats.act, with: "+value+"}\n")
		_, problems := program.Build(doc, formats{})
		got := ""
		if len(problems) > 0 {
			got = problems[0].Code
		}
		if got != want {
			t.Errorf("%s: %q, want %q\n%s", value, got, want, write(problems))
		}
	}
}

// formats is a catalogue with an action whose fields have formats.
type formats struct{ fake }

func (formats) Action(use string) (program.ActionSpec, error) {
	return program.ActionSpec{Use: use, Input: []byte(`{
  "type": "object", "additionalProperties": false,
  "properties": {
    "uri": {"type": "string", "format": "uri"},
    "mail": {"type": "string", "format": "email"},
    "when": {"type": "string", "format": "date-time"},
    "mode": {"enum": ["json", "form"]},
    "count": {"type": "integer"},
    "nested": {"type": "object", "properties": {"uri": {"type": "string", "format": "uri"}}},
    "list": {"type": "array", "items": {"type": "string", "format": "uri"}}
  }
}`)}, nil
}
