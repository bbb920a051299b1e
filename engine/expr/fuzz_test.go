package expr

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzScan: the parts of a text make the text again.
func FuzzScan(f *testing.F) {
	for _, s := range []string{
		"a ${{ {a: {b: 1}} }} b", "${{ `}}` /* }} */ }}", "$${{ x", "${{ \"ü}}\" // }}\n}}", "${{ b'\\x00}}' }}", "${{ ?.[ }}", "$$${{ a }}",
		"${{ a) }}", "${{", "}}${{}}", "${{ 'x }}", "${{ ♥ }}", "{{ x }} ${{ {{} }}",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		Warnings(s)
		parts, err := scan(s, 1000)
		if err != nil {
			if err.at < 0 || err.at > utf8.RuneCountInString(s) {
				t.Fatalf("%q: a problem at %d", s, err.at)
			}
			return
		}
		var b strings.Builder
		for _, p := range parts {
			if !p.expr {
				b.WriteString(strings.ReplaceAll(p.text, opening, "$"+opening))
				continue
			}
			if s[p.from:p.from+len(p.text)+2] != p.text+"}}" || utf8.RuneCountInString(s[:p.from]) != p.at {
				t.Fatalf("%q: %+v", s, p)
			}
			b.WriteString(opening + p.text + "}}")
		}
		if b.String() != s {
			t.Fatalf("%q becomes %q", s, b.String())
		}
	})
}

func addExpressions(f *testing.F) {
	for _, fn := range Library() {
		for _, e := range fn.Examples {
			f.Add(e.Source)
		}
	}
	for _, s := range []string{
		`trigger.body.items | filter(.price > 3) | map({{n: .name}})`, `step("entry").error?.kind ?? "x"`, `let a = x; a != null ? a.b[0] : 1..3`,
		`trigger.body.f + 1 < 2 < 3`, `{(x): 1}`, `[1,2][0:1]`, `x matches "("`, `if x == 1 { 1 } else { 2 }`, `#`, `$env`, "\xff", `a.b-c`, `now() - date("2026-01-01")`,
		`sortBy(trigger.body.items, -.price, "desc")`, `secret("k")`, `steps`, `::len(x)`, `decimal("1e6000") * decimal("1e-6000")`,
	} {
		f.Add(s)
	}
}

// FuzzCompile: each source gives a program or problems within it, and the
// program's value is JSON of its type.
func FuzzCompile(f *testing.F) {
	addExpressions(f)
	sc := newScope(f)
	f.Fuzz(func(t *testing.T, src string) {
		p, problems := Compile(src, sc)
		if (p == nil) != (len(problems) > 0) {
			t.Fatalf("%q: %v, %v", src, p, problems)
		}
		lines := 1 + strings.Count(src, "\n")
		for _, x := range problems {
			if x.Line < 1 || x.Line > lines || x.Column < 1 || x.Message == "" || strings.Contains(x.Message, "internal") {
				t.Fatalf("%q: %+v", src, x)
			}
		}
		if p == nil {
			return
		}
		if _, err := ParseSchema(p.Type().Schema()); err != nil {
			t.Fatalf("%q has a type %s without a schema: %v", src, p.Type(), err)
		}
		_, _ = p.Eval(newEnv())
	})
}

// FuzzEval: what is written is valid JSON of the expression's type, the same
// each time; what fails, fails with an *Error that isn't a defect.
func FuzzEval(f *testing.F) {
	addExpressions(f)
	sc := newScope(f)
	limits := Limits{Steps: 50_000, Bytes: 1 << 20}
	f.Fuzz(func(t *testing.T, src string) {
		e, _ := Expr(src, sc)
		if e == nil {
			return
		}
		env := newEnv()
		env.Values[3] = map[string]any{"a": []any{1, 2.5, "s", nil}, "b": "text"}
		env.Limits = limits
		out, err := e.AppendJSON(nil, env)
		if err != nil {
			var x *Error
			if !errors.As(err, &x) || strings.Contains(x.Message, "internal") {
				t.Fatalf("%q: %v", src, err)
			}
			return
		}
		if err := CheckJSON(out, 5000); err != nil {
			t.Fatalf("%q gives %q: %v", src, out, err)
		}
		if again, err := e.AppendJSON(nil, newEnvLike(env)); err != nil || string(again) != string(out) {
			t.Fatalf("%q gives %q, then %q, %v", src, out, again, err)
		}
		if !json.Valid(out) {
			t.Fatalf("%q gives %q", src, out)
		}
		if ok, why := Assignable(jsonType(out, 0), asJSON(e.Type())); !ok && !strings.Contains(src, "trigger") {
			t.Fatalf("%q is typed %s, but gives %s: %s", src, e.Type(), out, why)
		}
	})
}

// newEnvLike has the same values, but none that was looked at.
func newEnvLike(env *Env) *Env {
	e := newEnv()
	e.Values[3], e.Limits = env.Values[3], env.Limits
	return e
}

// FuzzSchema: each schema is refused or gives a type that its own schema gives
// again.
func FuzzSchema(f *testing.F) {
	f.Add(eventSchema)
	f.Add(`{"allOf":[{"$ref":"#/$defs/a"},{"enum":[1,"a",null,[1]]}],"$defs":{"a":{"type":["string","integer"]}}}`)
	f.Add(`{"prefixItems":[{"type":"string"},{"enum":[1,null]}],"items":{"prefixItems":[true]}}`)
	f.Add(`{"properties":{"a":{"$ref":"#"}},"items":{"oneOf":[true,false]}}`)
	for _, s := range []string{
		`{"type":"integer","enum":[1,2.5]}`, `{"anyOf":[{"type":"object","additionalProperties":false},{"type":"array","items":{"const":null}}]}`,
		`{"type":["object","null"],"required":["x"],"additionalProperties":{"type":"string"}}`, `{"const":1.0}`, `{"patternProperties":{"a":false},"additionalProperties":false,"type":"object"}`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := ParseSchema([]byte(s))
		if err != nil {
			return
		}
		first := a.Schema()
		b, err := ParseSchema(first)
		if err != nil {
			t.Fatalf("%s becomes %s: %v", s, first, err)
		}
		if second := b.Schema(); string(second) != string(first) {
			t.Fatalf("%s becomes %s, then %s", s, first, second)
		}
		if ok, why := Assignable(a, a); !ok {
			t.Fatalf("%s isn't assignable to itself: %s", a, why)
		}
	})
}
