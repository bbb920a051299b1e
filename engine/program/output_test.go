package program_test

import (
	"strings"
	"testing"

	"github.com/tappet-dev/tappet/engine/graph"
	"github.com/tappet-dev/tappet/engine/program"
)

// asking has an action whose output depends on its input.
type asking struct{ fake }

func (asking) Action(use string) (program.ActionSpec, error) {
	return program.ActionSpec{
		Use: use, Literal: []string{"response_schema"},
		Input: []byte(`{"type":"object","additionalProperties":false,"properties":{"url":{"type":"string"},` +
			`"response_type":{"enum":["auto","file","text","none"]},"response_schema":{"type":"object"}}}`),
		Output: []byte(`{"type":"object","additionalProperties":false,"required":["status","body"],"properties":{"status":{"type":"integer"},` +
			`"body":{"schemaFrom":"response_schema","schemaBy":{"field":"response_type","schemas":{` +
			`"file":{"type":"object","additionalProperties":false,"required":["size"],"properties":{"size":{"type":"integer"}}},` +
			`"text":{"type":["string","null"]},"none":{"type":"null"}}}}}}`),
	}, nil
}

// What a step says of its answer types what is made of it.
func TestOutputsAreTypedByTheirInput(t *testing.T) {
	t.Parallel()
	const closed = `response_schema: {type: object, additionalProperties: false, required: [id], properties: {id: {type: integer}, due: {type: string}}}`
	for _, c := range []struct{ with, more, expression, want, typ string }{
		{"", "", "steps.a.body.x", "", "any"},
		{"response_type: auto", "", "steps.a.body.x", "", "any"},
		{"response_type: text", "", "steps.a.body", "", "string or null"},
		{"response_type: none", "", "steps.a.body", "", "null"},
		{"response_type: file", "", "steps.a.body.size", "", "integer"},
		{"response_type: file", "", "steps.a.body.sise", `unknown_field: unknown field sise; did you mean "size"?`, ""},
		{"response_type: file", "success_when: true", "steps.a.body.sise", "", "any"},
		{"response_type: '${{ trigger.method }}'", "", "steps.a.body.x", "", "any"},
		{closed, "", "steps.a.body.id + 1", "", "integer"},
		{closed, "success_when: true", "steps.a.body.id + 1", "", "integer"},
		{closed, "", "steps.a.body.du", `unknown_field: unknown field du; did you mean "due"?`, ""},
		{closed + ", response_type: text", "", "steps.a.body.due", "", "string or null"},
		{"response_schema: {type: nonsense}", "", "steps.a.body", `schema: it can't be used: schema: unknown type "nonsense"`, ""},
		{"response_schema: 5", "", "steps.a.body", "type: must be an object, not a number", ""},
	} {
		doc, problems := graph.Parse([]byte("name: n\ntrigger: {use: webhook, with: {path: p}}\nsteps: [{id: a, use: ask.get, with: {url: 'https://x.test', "+c.with+"}, "+
			c.more+"}, {id: b, set: '${{ "+c.expression+" }}'}]\n"), graph.YAML, graph.Limits{})
		if doc == nil || len(problems) > 0 {
			t.Fatal(problems)
		}
		p, problems := program.Build(doc, asking{})
		got := ""
		for _, x := range problems {
			got += x.Code + ": " + x.Message
			if x.Suggestion != "" {
				got += "; " + x.Suggestion
			}
		}
		if !strings.HasPrefix(got, c.want) || c.want == "" && got != "" || (p == nil) != (c.want != "") {
			t.Errorf("%s with %s: %q, want %q", c.expression, c.with, got, c.want)
		}
		if p != nil && p.ByID["b"].Output.String() != c.typ {
			t.Errorf("%s with %s is %s, want %s", c.expression, c.with, p.ByID["b"].Output, c.typ)
		}
	}
}
