package program_test

import (
	"strings"
	"testing"
)

// A trigger whose config holds the schema of the body has a typed body, and
// what the schema forbids is told when the graph is saved.
func TestDeclaredBody(t *testing.T) {
	t.Parallel()
	const closed = `{type: object, additionalProperties: false, required: [task], properties: {task: {type: object, additionalProperties: false, required: [id], properties: {id: {type: integer}, due: {type: string}}}}}`
	for _, c := range []struct{ schema, expression, want, typ string }{
		{closed, "trigger.body.task.id + 1", "", "integer"},
		{closed, "trigger.body.task.due", "", "string or null"},
		{closed, "trigger.body.tsak", `unknown_field: unknown field tsak; did you mean "task"?`, ""},
		{closed, "upper(trigger.body.task.id)", "type: argument 1 of upper must be a string, got integer; it is upper(text: string): string", ""},
		{"{properties: {a: {type: string}}}", "trigger.body.b", "", "any"},
		{"{}", "trigger.body.b", "", "any"},
		{"{type: nonsense}", "trigger.body", "schema: it can't be used: schema: unknown type \"nonsense\"", ""},
		{"{$ref: 'https://example.com/s.json'}", "trigger.body", "schema: it can't be used: schema: the $ref", ""},
		{"{$ref: '#/$defs/a', $defs: {a: {properties: {next: {$ref: '#/$defs/a'}}}}}", "trigger.body.next.next.x", "", "any"},
		{"5", "trigger.body", "type: must be an object, not a number", ""},
		{"{pattern: '('}", "trigger.body", "schema: it can't be used: compile schema", ""},
	} {
		p, problems := buildSource(t, "name: n\ntrigger: {use: webhook, with: {path: p, schema: "+c.schema+"}}\nsteps: [{id: a, set: '${{ "+c.expression+" }}'}]\n")
		got := ""
		for _, x := range problems {
			got += x.Code + ": " + x.Message
			if x.Suggestion != "" {
				got += "; " + x.Suggestion
			}
		}
		if !strings.HasPrefix(got, c.want) || c.want == "" && got != "" || (p == nil) != (c.want != "") {
			t.Errorf("%s with %s: %q, want %q", c.expression, c.schema, got, c.want)
		}
		if p != nil && (p.ByID["a"].Output.String() != c.typ || len(p.Trigger.Members) != 1) {
			t.Errorf("%s with %s is %s, with %d members", c.expression, c.schema, p.ByID["a"].Output, len(p.Trigger.Members))
		}
	}
}
