package api_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tappet-dev/tappet/api"
	"github.com/tappet-dev/tappet/engine"
	"github.com/tappet-dev/tappet/engine/expr"
)

func (f *fake) Evaluate(_ context.Context, q engine.Evaluation) (engine.Evaluated, error) {
	if err := f.called("Evaluate", q); err != nil || q.Sample.Graph != "" {
		return engine.Evaluated{Value: json.RawMessage(`1`), Type: expr.Int()}, err
	}
	q.Sample.Now = when
	return engine.Evaluate(q)
}

func (f *fake) Complete(_ context.Context, q engine.Completing) (expr.Completion, error) {
	if err := f.called("Complete", q); err != nil || q.Sample.Graph != "" {
		return expr.Completion{}, err
	}
	return engine.Complete(q)
}

const (
	evaluatePath = "/api/v1/expressions/evaluate"
	completePath = "/api/v1/expressions/complete"
)

func post(s *api.Server, path, body string) (status int, answer string) {
	w := do(s, request("POST", path, body, "Content-Type", "application/json"))
	return w.Code, w.Body.String()
}

func evaluate(tb testing.TB, body string) api.Evaluation {
	tb.Helper()
	status, answer := post(newServer(tb, newFake(), nil), evaluatePath, body)
	var e api.Evaluation
	if err := json.Unmarshal([]byte(answer), &e); err != nil || status != 200 {
		tb.Fatalf("%.200s: status %d: %s", body, status, answer)
	}
	return e
}

func TestEvaluationsGiveValueTypeAndBudget(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, body, value, typ string }{
		{"bare", `{"expression": "1 + 2"}`, `3`, "integer"},
		{"in braces", `{"expression": "${{ upper(trigger.body.title) }}", "scope": {"trigger": {"body": {"title": "a"}}}}`, `"A"`, "string"},
		{"steps", `{"expression": "steps.person.body.city", "scope": {"steps": {"person": {"body": {"city": "Turin"}}}}}`, `"Turin"`, "string"},
		{"a step's view", `{"expression": "step(\"person\").status", "scope": {"steps": {"person": 1}}}`, `"succeeded"`, ""},
		{"schemas", `{"expression": "trigger.n", "scope": {"trigger": {"n": 5}}, "schemas": {"trigger": {"type": "object", "additionalProperties": false, "properties": {"n": {"type": "integer"}}}}}`, `5`, "integer or null"},
		{"digits are kept", `{"expression": "trigger.n", "scope": {"trigger": {"n": 12345678901234567890}}}`, `12345678901234567890`, ""},
		{"now", `{"expression": "now()"}`, `"2026-11-24T08:30:00.125Z"`, "time"},
		{"a tree keeps its order", `{"template": {"b": "${{ 1 + 1 }}", "a": ["no. ${{ 7 }}", null, "$${{ x }}"]}}`, `{"b":2,"a":["no. 7",null,"${{ x }}"]}`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			e := evaluate(t, c.body)
			if !e.OK || string(e.Value) != c.value || c.typ != "" && e.Type != c.typ {
				t.Errorf("value %s, type %s, problems %+v", e.Value, e.Type, e.Problems)
			}
			if !json.Valid(e.Schema) || e.Budget.Steps != 1_000_000 || e.Used.Steps > e.Budget.Steps {
				t.Errorf("schema %s, used %+v of %+v", e.Schema, e.Used, e.Budget)
			}
		})
	}
	if e := evaluate(t, `{"expression": "sum(map(1..100, # * 2))"}`); e.Used.Steps < 100 || e.Used.Bytes == 0 {
		t.Errorf("used %+v", e.Used)
	}
}

// Whatever an expression holds, the answer says what is wrong and where.
func TestBadExpressionsAreProblemsWithTheirPlace(t *testing.T) {
	t.Parallel()
	type place struct {
		Pointer      string
		Line, Column int
		Code         string
	}
	quote := func(s string) string {
		b, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	for _, c := range []struct {
		name, body string
		want       []place
	}{
		{"1 MB", `{"expression": ` + quote("1"+strings.Repeat(" + 1", 250_000)) + `}`, []place{{"", 1, 1, "too_large"}}},
		{"unclosed", `{"expression": "${{ 1 + "}`, []place{{"", 1, 1, "unclosed"}}},
		{"unclosed in a template", `{"template": {"a": ["x ${{ 1 "]}}`, []place{{"/a/0", 1, 3, "unclosed"}}},
		{"20 digits", `{"expression": "1 + 12345678901234567890"}`, []place{{"", 1, 5, "syntax"}}},
		{"division by zero", `{"expression": "1 +\n 1 / (2 - 2)"}`, []place{{"", 2, 4, "always_fails"}}},
		{"overflow", `{"expression": "9223372036854775807 + 1"}`, []place{{"", 1, 21, "always_fails"}}},
		{"unknown zone", `{"expression": "inZone(now(), \"Mars/Olympus\")"}`, []place{{"", 1, 15, "enum"}}},
		{"duplicate key", `{"expression": "{a: 1, a: 2}"}`, []place{{"", 1, 8, "duplicate"}}},
		{"budget", `{"expression": "sum(map(1..2000, sum(map(1..2000, #))))"}`, []place{{"", 1, 22, "limit"}}},
		{"several", `{"template": {"a": "${{ upperr(1) }}", "b": "${{ x }}"}}`, []place{{"/a", 1, 5, "unknown_function"}, {"/b", 1, 5, "unknown_name"}}},
		{"null in a text", `{"template": "due ${{ trigger.due }}", "scope": {"trigger": {"due": null}}}`, []place{{"", 1, 9, "evaluation"}}},
		{"by the sample", `{"expression": "trigger.tilte", "scope": {"trigger": {"title": "a"}}}`, []place{{"", 1, 9, "unknown_field"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			e := evaluate(t, c.body)
			var got []place
			for _, p := range e.Problems {
				got = append(got, place{p.Pointer, p.Line, p.Column, p.Code})
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Errorf("(-want +got):\n%s%+v", d, e.Problems)
			}
			if onlyWarned := c.name == "by the sample"; e.OK != onlyWarned {
				t.Errorf("ok is %t, value %s", e.OK, e.Value)
			}
		})
	}
	many := `{"template": [` + strings.Repeat(`"{{ x }}", `, 500) + `"${{ 1 }}"]}`
	if e := evaluate(t, many); e.OK || len(e.Problems) != 101 || e.Problems[100].Code != "limit" {
		t.Errorf("ok is %t, %d problems", e.OK, len(e.Problems))
	}
	// What only looks wrong gives its value.
	for _, src := range []string{`${{ "}}" }}`, `${{ {a: {b: "}}"}} }}`, "${{ 1 /* }} */ + 1 }}", "${{ 2 // }}\n }}"} {
		if e := evaluate(t, `{"expression": `+quote(src)+`}`); !e.OK {
			t.Errorf("%s: %+v", src, e.Problems)
		}
	}
}

func TestBadSamplesAreRefused(t *testing.T) {
	t.Parallel()
	cycle := `{"$ref": "#/$defs/a", "$defs": {"a": {"properties": {"x": {"$ref": "#/$defs/a"}}}}}`
	bomb := `{"$ref": "#/$defs/d0", "$defs": {`
	for i := range 60 {
		n := string(rune('0'+i/10)) + string(rune('0'+i%10))
		m := string(rune('0'+(i+1)/10)) + string(rune('0'+(i+1)%10))
		bomb += `"d` + n + `": {"properties": {"a": {"$ref": "#/$defs/d` + m + `"}, "b": {"$ref": "#/$defs/d` + m + `"}}}, `
	}
	bomb = strings.Replace(bomb, "#/$defs/d0", "#/$defs/d00", 1) + `"d60": {}}}`
	for _, schema := range []string{cycle, bomb} {
		if e := evaluate(t, `{"expression": "trigger.a ?? 1", "schemas": {"trigger": `+schema+`}}`); e.Type == "" && len(e.Problems) == 0 {
			t.Errorf("%.60s: %+v", schema, e)
		}
	}
	for _, c := range []struct {
		name, path, body string
		status           int
		pointer, code    string
	}{
		{"empty", evaluatePath, ``, 422, "", "empty"},
		{"not JSON", evaluatePath, `{"expression": 1`, 422, "", "syntax"},
		{"an event that isn't JSON", evaluatePath, `{"expression": "1", "scope": {"trigger": {a}}}`, 422, "", "syntax"},
		{"NaN", evaluatePath, `{"expression": "1", "scope": {"trigger": NaN}}`, 422, "", "syntax"},
		{"not UTF-8", evaluatePath, "{\"expression\": \"\xff\"}", 422, "", "syntax"},
		{"duplicate key", evaluatePath, `{"expression": "1", "scope": {"trigger": {"a": 1, "a": 2}}}`, 422, "/scope/trigger/a", "duplicate"},
		{"too deep", evaluatePath, `{"expression": "1", "scope": {"trigger": ` + strings.Repeat("[", 200) + strings.Repeat("]", 200) + `}}`, 422, "/scope/trigger" + strings.Repeat("/0", 158), "limit"},
		{"neither", evaluatePath, `{}`, 422, "", "parameter"},
		{"both", evaluatePath, `{"expression": "1", "template": 1}`, 422, "", "parameter"},
		{"unknown field", evaluatePath, `{"expresion": "1"}`, 422, "/expresion", "unknown_field"},
		{"another case", evaluatePath, `{"Expression": "1"}`, 422, "/Expression", "unknown_field"},
		{"unknown field below", evaluatePath, `{"expression": "1", "scope": {"triger": 1}}`, 422, "/scope/triger", "unknown_field"},
		{"wrong kind", evaluatePath, `{"expression": 7}`, 422, "/expression", "type"},
		{"a schema that is none", evaluatePath, `{"expression": "1", "schemas": {"trigger": {"type": "nothing"}}}`, 422, "/schemas/trigger", "schema"},
		{"a schema from elsewhere", evaluatePath, `{"expression": "1", "schemas": {"steps": {"a": {"$ref": "https://example.com/x"}}}}`, 422, "/schemas/steps/a", "schema"},
		{"cursor", completePath, `{"source": "a", "cursor": 2}`, 422, "/cursor", "range"},
		{"cursor before", completePath, `{"source": "a", "cursor": -1}`, 422, "/cursor", "range"},
		{"cursor that is none", completePath, `{"source": "a", "cursor": 1.5}`, 422, "/cursor", "type"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := do(newServer(t, newFake(), nil), request("POST", c.path, c.body, "Content-Type", "application/json"))
			p := wantProblem(t, w, c.status, "invalid")
			if len(p.Errors) != 1 || p.Errors[0].Pointer != c.pointer || p.Errors[0].Code != c.code {
				t.Errorf("errors %+v", p.Errors)
			}
		})
	}
	w := do(newServer(t, newFake(), nil), request("POST", evaluatePath, `expression: 1`, "Content-Type", "application/yaml"))
	wantProblem(t, w, 415, "unsupported_media_type")
	big := `{"template": "` + strings.Repeat("a", engine.MaxTemplate) + `"}`
	wantProblem(t, do(newServer(t, newFake(), nil), request("POST", evaluatePath, big, "Content-Type", "application/json")), 413, "too_large")
}

func TestCompletionsHaveTypesAndDocs(t *testing.T) {
	t.Parallel()
	_, answer := post(newServer(t, newFake(), nil), completePath,
		`{"source": "Task ${{ trigger.body.ti }} is done", "cursor": 24, "scope": {"trigger": {"body": {"title": "a", "n": 1}}}}`)
	var c api.Completion
	if err := json.Unmarshal([]byte(answer), &c); err != nil {
		t.Fatal(answer, err)
	}
	want := api.Completion{From: 22, To: 24, Items: []api.CompletionItem{{Label: "title", Kind: "field", Type: "string"}}}
	if d := cmp.Diff(want, c); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	_, answer = post(newServer(t, newFake(), nil), completePath, `{"source": "upp", "cursor": 3}`)
	if err := json.Unmarshal([]byte(answer), &c); err != nil || len(c.Items) == 0 || c.Items[0].Label != "upper" || c.Items[0].Doc == "" || c.Items[0].Detail == "" {
		t.Errorf("%s, %v", answer, err)
	}
}

func TestFunctionsAreTheLibrary(t *testing.T) {
	t.Parallel()
	w := do(newServer(t, newFake(), nil), request("GET", "/api/v1/expressions/functions", ""))
	var page api.List[api.Function]
	if err := json.Unmarshal(w.Body.Bytes(), &page); err != nil || w.Code != 200 {
		t.Fatal(w.Code, err)
	}
	if len(page.Items) != len(expr.Library()) {
		t.Errorf("%d functions", len(page.Items))
	}
	for _, f := range page.Items {
		if f.Name == "" || f.Group == "" || f.Signature == "" || f.Doc == "" {
			t.Errorf("%+v", f)
		}
	}
}

func TestScopesReachTheEngine(t *testing.T) {
	t.Parallel()
	f := newFake()
	status, answer := post(newServer(t, f, nil), evaluatePath,
		`{"template": "${{ 1 }}", "graph": "orders", "step": "entry", "scope": {"trigger": {"a": 1.0}, "steps": {"x": 2}}}`)
	want := engine.Evaluation{Template: json.RawMessage(`"${{ 1 }}"`), Sample: engine.Sample{
		Graph: "orders", Step: "entry", Event: json.RawMessage(`{"a": 1.0}`), Steps: map[string]json.RawMessage{"x": json.RawMessage(`2`)},
	}}
	if d := cmp.Diff(any(want), f.got); d != "" || status != 200 {
		t.Errorf("status %d %s (-want +got):\n%s", status, answer, d)
	}
	for _, c := range []struct {
		target, body string
		want         any
	}{
		{"/api/v1/graphs/orders/validate?sample=last", "", []any{"orders", engine.SampleEvent{Last: true}}},
		{"/api/v1/graphs/orders/validate", `{"sample": {"a": 1}}`, []any{"orders", engine.SampleEvent{Event: json.RawMessage(`{"a": 1}`)}}},
	} {
		if status, answer := post(newServer(t, f, nil), c.target, c.body); status != 200 || !cmp.Equal(c.want, f.got) {
			t.Errorf("%s: %d %s, got %v", c.target, status, answer, f.got)
		}
	}
	w := do(newServer(t, f, nil), request("POST", "/api/v1/graphs/orders/validate?sample=last", `{"sample": {}}`, "Content-Type", "application/json"))
	wantProblem(t, w, 422, "invalid")
}
