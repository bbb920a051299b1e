package expr_test

import (
	"fmt"
	"time"

	"github.com/tappet-dev/tappet/engine/expr"
)

func ExampleText() {
	event, _ := expr.ParseSchema([]byte(`{"properties": {
		"title": {"type": "string"}, "due": {"type": "string"}}, "required": ["title"], "additionalProperties": false}`))
	scope := expr.NewScope(expr.Var{Name: "trigger", Type: event})

	_, problems := expr.Text("${{ trigger.tilte }}", scope)
	fmt.Println(problems[0])
	_, problems = expr.Text("due ${{ trigger.due }}", scope)
	fmt.Println(problems[0])

	title, _ := expr.Text("${{ upper(trigger.title) }}, due ${{ trigger.due ?? formatDate(now(), \"2006-01-02\") }}", scope)
	out, err := title.AppendJSON(nil, &expr.Env{
		Values: []any{expr.NewRaw([]byte(`{"title": "Write the report"}`))},
		Now:    time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC),
	})
	fmt.Println(string(out), err)
	// Output:
	// 1:13: unknown field tilte; did you mean "title"?
	// 1:9: the value may be absent, and would be part of a text; add ?? and a default
	// "WRITE THE REPORT, due 2026-11-24" <nil>
}
