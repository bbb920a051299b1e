package expr

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestText(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ src, typ, want string }{
		{`plain`, `"plain"`, `"plain"`},
		{``, `""`, `""`},
		{`${{ trigger.body.n }}`, `integer`, `3`},
		{`${{trigger.body.n}}`, `integer`, `3`},
		{`n = ${{ trigger.body.n }}`, `string`, `"n = 3"`},
		{`${{ trigger.body.n }}${{ trigger.body.b }}`, `string`, `"3true"`},
		{` ${{ trigger.body.n }}`, `string`, `" 3"`},
		{"a \"quoted\"\n${{ 'line\\n' }}", `string`, `"a \"quoted\"\nline\n"`},
		{`$${{ x }}`, `"${{ x }}"`, `"${{ x }}"`},
		{`$${{ ${{ 1 }} }}`, `string`, `"${{ 1 }}"`},
		{`${{ {a: {b: 1}} }}`, `object{a: object{b: integer}}`, `{"a":{"b":1}}`},
		{`${{{a: {b: 1}}}}`, `object{a: object{b: integer}}`, `{"a":{"b":1}}`},
		{`${{ map(trigger.body.items, {{n: .name}}) }}`, `list(object{n: string})`, `[{"n":"a"},{"n":"b"}]`},
		{`${{ "}}" + ` + "`}}`" + ` /* }} */ }}!`, `string`, `"}}}}!"`},
		{"${{ 1 // }}\n }}", `integer`, `1`},
		{`ü ${{ "ß" }} ö`, `string`, `"ü ß ö"`},
		{`}} {{ x $ {`, `"}} {{ x $ {"`, `"}} {{ x $ {"`},
		{`${{ trigger.body.free }}`, `any`, `{"list":[1,"x",null]}`},
		{`l: ${{ trigger.body.free.list }}`, `string`, `"l: [1,\"x\",null]"`},
	} {
		t.Run(c.src, func(t *testing.T) {
			t.Parallel()
			tm, problems := Text(c.src, newScope(t))
			if tm == nil {
				t.Fatal(problems)
			}
			got, err := tm.AppendJSON(nil, newEnv())
			if err != nil || string(got) != c.want || tm.Type().String() != c.typ {
				t.Errorf("%s, %s, %v; want %s, %s", got, tm.Type(), err, c.want, c.typ)
			}
			// Eval gives the same value.
			v, err := tm.Eval(newEnv())
			if err != nil {
				t.Fatal(err)
			}
			again, err := asTemplate(v).AppendJSON(nil, newEnv())
			if err != nil || string(again) != c.want {
				t.Errorf("Eval gives %s, %v; want %s", again, err, c.want)
			}
		})
	}
}

// asTemplate is a template that gives v.
func asTemplate(v any) *Template {
	return &Template{kind: expressionNode, typ: Any(), run: constant(v)}
}

func TestTextProblems(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ src, want string }{
		{`a ${{ b`, `1:3: ${{ isn't closed by }}; a literal ${{ is written $${{`},
		{"ü\nß ${{ (1", `2:3: ${{ isn't closed by }}; a literal ${{ is written $${{`},
		{`${{ a) }}`, `1:6: unexpected ")"`},
		{`${{ 'x }}`, `1:5: the text isn't closed by its quote`},
		{`${{ }}`, `1:4: the expression is empty`},
		{"ü ${{ trigger.body.tilte }}", `1:20: unknown field tilte; did you mean "title"?`},
		{"a\n  ${{ trigger.body.title }} ${{\n trigger.body.tilte }}", `3:15: unknown field tilte; did you mean "title"?`},
		{`due ${{ trigger.body.task.due }}`, `1:9: the value may be absent, and would be part of a text; add ?? and a default`},
		{`${{ null }} `, `1:5: the value may be absent, and would be part of a text; add ?? and a default`},
		{`key ${{ secret("k") }}`, `1:9: a secret can't be part of a text; give the secret whole to a field that takes one`},
		{"\xff", `1:1: the text isn't valid UTF-8`},
		{`${{ "` + strings.Repeat("x", 17<<10) + `" }}`, `1:1: the expression is longer than 16384 bytes (limits.expr_source), or isn't closed by }}`},
		{strings.Repeat(`${{ 1 }}`, 129), `1:1025: more than 128 expressions in one text; this limit is fixed; join texts in a step of its own, with set`},
	} {
		tm, problems := Text(c.src, newScope(t))
		if tm != nil || len(problems) != 1 || problems[0].String() != c.want {
			t.Errorf("%.60q: %v; want %s", c.src, problems, c.want)
		}
	}
	// Those of all expressions are told at once.
	_, problems := Text(`${{ a }} and ${{ b }}`, nil)
	if len(problems) != 2 || problems[1].Column != 18 {
		t.Error(problems)
	}
}

func TestExpr(t *testing.T) {
	t.Parallel()
	for _, src := range []string{`trigger.body.n == 3`, `${{ trigger.body.n == 3 }}`, " ${{ trigger.body.n == 3 }}\n", `!("${{" == "x")`} {
		tm, problems := Expr(src, newScope(t))
		if tm == nil {
			t.Fatal(src, problems)
		}
		if v, err := tm.Eval(newEnv()); v != true || err != nil {
			t.Error(src, v, err)
		}
	}
	for src, want := range map[string]string{
		`${{ 1 }} == 2`:         `1:1: one expression is expected, not a text; write all of it in one ${{ }}, or none of it`,
		`${{ 1`:                 `1:1: ${{ isn't closed by }}; a literal ${{ is written $${{`,
		"12345678901234567890":  `1:1: the number is more than a 64-bit integer holds; compute with decimal("…"), or write a text`,
		"0x1ffffffffffffffffff": `1:1: the number is more than a 64-bit integer holds; compute with decimal("…"), or write a text`,
		"1e999":                 `1:1: the number is too large`,
		" ${{ tigger }}":        `1:6: unknown name tigger; did you mean "trigger"?`,
	} {
		if _, problems := Expr(src, newScope(t)); len(problems) != 1 || problems[0].String() != want {
			t.Errorf("%s: %v", src, problems)
		}
	}
}

func mustText(t testing.TB, src string) *Template {
	t.Helper()
	tm, problems := Text(src, newScope(t))
	if tm == nil {
		t.Fatal(src, problems)
	}
	return tm
}

func TestTree(t *testing.T) {
	t.Parallel()
	tree := Object([]Member{
		{"z", mustText(t, `Task ${{ trigger.body.title }}`)},
		{"a", List([]*Template{Literal([]byte(` [1, {"b":2}] `)), mustText(t, `${{ trigger.body.free }}`)})},
		{"${{ x }}", Object([]Member{{"k", mustText(t, "v")}})},
		{"z2", Literal([]byte("null"))},
	})
	got, err := tree.AppendJSON([]byte("> "), newEnv())
	want := `> {"z":"Task Hello","a":[ [1, {"b":2}] ,{"list":[1,"x",null]}],"${{ x }}":{"k":"v"},"z2":null}`
	if err != nil || string(got) != want {
		t.Errorf("%s, %v\nwant %s", got, err, want)
	}
	if s := tree.Type().String(); s != `object{${{ x }}: object{k: "v"}, a: list, z: string, z2: null}` {
		t.Error(s)
	}
	if _, ok := tree.Constant(); ok {
		t.Error("a tree with expressions is constant")
	}
	v, err := tree.Eval(newEnv())
	if m, ok := v.(map[string]any); !ok || err != nil || m["z"] != "Task Hello" {
		t.Error(v, err)
	}
}

func TestATreeWithoutExpressionsIsConstant(t *testing.T) {
	t.Parallel()
	tree := Object([]Member{
		{"a", List([]*Template{mustText(t, "x"), Literal([]byte("1.50"))})},
		{"b", mustText(t, "old")},
		{"b", mustText(t, "$${{")},
	})
	got, ok := tree.Constant()
	if want := `{"a":["x",1.50],"b":"${{"}`; !ok || string(got) != want {
		t.Errorf("%s, want %s", got, want)
	}
	if s := tree.Type().String(); s != `object{a: list(string or number), b: "${{"}` {
		t.Error(s)
	}
}

func TestErrorsNameTheirPlace(t *testing.T) {
	t.Parallel()
	tree := Object([]Member{
		{"a", mustText(t, `${{ trigger.body.n }}`)},
		{"l/~", List([]*Template{mustText(t, "x"), mustText(t, "ü\n ${{ x.y }} ${{ 1 / (x ?? 0) }}")})},
	})
	out, err := tree.AppendJSON([]byte("kept"), newEnv())
	var e *Error
	if !errors.As(err, &e) {
		t.Fatal(string(out), err)
	}
	want := &Error{Pointer: "/l~1~0/1", Line: 2, Column: 6, Message: "the value is null and would be part of a text; add ?? and a default"}
	if d := cmp.Diff(want, e); d != "" {
		t.Error(d)
	}
	if string(out) != "kept" {
		t.Errorf("gives %q", out)
	}
	if _, err := Literal([]byte("{")).Eval(newEnv()); err == nil {
		t.Error("a literal that isn't JSON has a value")
	}
	if _, err := Literal([]byte("{")).AppendJSON(nil, newEnv()); err == nil {
		t.Error("a literal that isn't JSON is written")
	}
}

func TestWarnings(t *testing.T) {
	t.Parallel()
	for src, want := range map[string]int{
		`{{ trigger.body }}`:             1,
		`a {{ b }} ${{ 1 }} {{ c }}`:     2,
		`${{ trigger.body }}`:            0,
		`$${{ trigger.body }}`:           0,
		`${{ map(x, {{a: 1}}) }} {{`:     0,
		`{{ open`:                        0,
		`${{ {a: {b: 1}} }} and {{ x }}`: 1,
	} {
		if got := Warnings(src); len(got) != want {
			t.Errorf("%s: %v, want %d", src, got, want)
		}
	}
	if w := Warnings("ü\nü {{ x }}"); w[0].Line != 2 || w[0].Column != 3 {
		t.Error(w)
	}
}

// Interpolation is a single pass: what a value says is never scanned again.
func TestValuesAreNotScannedAgain(t *testing.T) {
	t.Parallel()
	sc := NewScope(Var{Name: "x"})
	for src, want := range map[string]string{
		`a ${{ x }} ${{ 1 + 1 }}`:         `"a ${{ 1 + 1 }} $${{ x 2"`,
		`${{ x }}`:                        `"${{ 1 + 1 }} $${{ x"`,
		`${{ {(x): [x]} }}`:               `{"${{ 1 + 1 }} $${{ x":["${{ 1 + 1 }} $${{ x"]}`,
		`${{ fromJSON(toJSON([x])) }}`:    `["${{ 1 + 1 }} $${{ x"]`,
		`${{ x + "${{ 2 }" + "}" }}`:      `"${{ 1 + 1 }} $${{ x${{ 2 }}"`,
		`$${{ x }} ${{ x | upper() }}`:    `"${{ x }} ${{ 1 + 1 }} $${{ X"`,
		`${{ "$" + "{{ x }" + "}" }} end`: `"${{ x }} end"`,
	} {
		tm, problems := Text(src, sc)
		if tm == nil {
			t.Errorf("%s: %v", src, problems)
			continue
		}
		got, err := tm.AppendJSON(nil, &Env{Values: []any{"${{ 1 + 1 }} $${{ x"}})
		if string(got) != want || err != nil {
			t.Errorf("%s gives %s, %v; want %s", src, got, err, want)
		}
	}
}
