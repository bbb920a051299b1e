package expr

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/cockroachdb/apd/v3"
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
		`pick(trigger.body, ["title", "n"])`, `omit(trigger.body.items[0] ?? {name: "", price: 1}, ["price"])`, `rename(trigger.body, {title: "name"})`, `withoutNulls(trigger.body.task ?? {title: ""})`,
		`defaults(trigger.body.items[1] ?? {name: "", price: 0}, {qty: 7})`, `mergeDeep(trigger.body, {task: {title: 1}}, trigger.body)`, `getPath(trigger.body, "items.1.name", 1)`, `max(map(trigger.body.items, .price))`,
		`trigger.body.items | filter(.qty != null) | map(.qty + 1)`, `find(trigger.body.items, .qty != null).qty`, `indexBy(trigger.body.items, "name")`, `groupBy(trigger.body.items, .name)`, `trigger.body.who`, `merge(trigger.body, {n: trigger.body.task})`,
		`trigger.body.dict.k ?? 0 * 2`, `toPairs(trigger.body)`, `values(trigger.body)`, `trigger.body[trigger.body.title]`, `asList(trigger.body.task)`, `reduce(trigger.body.items, #acc + .price, 0)`, `flatten([trigger.body.items])`,
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
// each time; what fails, fails with an *Error that isn't a defect. The values are
// of the types of the scope, others for each source.
func FuzzEval(f *testing.F) {
	addExpressions(f)
	sc := newScope(f)
	limits := Limits{Steps: 50_000, Bytes: 1 << 20}
	f.Fuzz(func(t *testing.T, src string) {
		e, _ := Expr(src, sc)
		if e == nil {
			return
		}
		hash := fnv.New64a()
		_, _ = hash.Write([]byte(src))
		rnd := rand.New(rand.NewPCG(hash.Sum64(), 1))
		for range 3 {
			values := make([]any, len(sc.vars))
			for i, v := range sc.vars {
				values[i] = NewRaw(made(nil, known(v.Type), rnd, 0))
			}
			checkEval(t, src, e, &Env{Values: values, Now: newEnv().Now, Seed: []byte("run"), Limits: limits}, values)
		}
	})
}

func checkEval(t *testing.T, src string, e *Template, env *Env, values []any) {
	t.Helper()
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
	// The same values, of which nothing was looked at.
	again := *env
	again.Values = make([]any, len(values))
	for i, v := range values {
		if again.Values[i] = v; v != nil {
			if r, ok := v.(*Raw); ok {
				again.Values[i] = NewRaw(r.Bytes())
			}
		}
	}
	if second, err := e.AppendJSON(nil, &again); err != nil || string(second) != string(out) {
		t.Fatalf("%q gives %q, then %q, %v", src, out, second, err)
	}
	if !json.Valid(out) {
		t.Fatalf("%q gives %q", src, out)
	}
	d := json.NewDecoder(bytes.NewReader(out))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatal(err)
	}
	if !isOf(v, e.Type()) {
		event := ""
		if r, ok := values[0].(*Raw); ok {
			event = string(r.Bytes())
		}
		t.Fatalf("%q is typed %s, but gives %s for %s", src, e.Type(), out, event)
	}
}

// made appends the JSON of any value of type t.
func made(b []byte, t *Type, rnd *rand.Rand, depth int) []byte {
	if t.dyn {
		all := []string{`null`, `true`, `1`, `-2.50`, `"text"`, `""`, `[1,"a",null]`, `{"a":[1,2.5,"s",null],"b":"text"}`, `12345678901234567890`, `1e3`}
		return append(b, all[rnd.IntN(len(all))]...)
	}
	if len(t.enum) > 0 && (!t.nullable() || rnd.IntN(3) > 0) {
		v, _ := json.Marshal(t.enum[rnd.IntN(len(t.enum))])
		return append(b, v...)
	}
	var have []kinds
	for k := kNull; k <= kObject; k <<= 1 {
		if t.k&k != 0 {
			have = append(have, k)
		}
	}
	if len(have) == 0 {
		return append(b, "null"...)
	}
	one := func(texts ...string) []byte { return append(b, texts[rnd.IntN(len(texts))]...) }
	switch have[rnd.IntN(len(have))] {
	case kNull:
		return one("null")
	case kBool:
		return one("true", "false")
	case kInt:
		return one("0", "1", "-3", "7", "9223372036854775807", "12345678901234567890")
	case kFloat, kDecimal:
		return one("0", "1.50", "-2.5", "1e3", "0.1", "100000000000000000000.5")
	case kString:
		return one(`""`, `"a"`, `"Hällo"`, `"2026-11-30"`, `"12"`, `"x y\n"`)
	case kTime:
		return one(`"2026-11-30T08:00:00Z"`)
	case kDuration:
		return one(`"1h30m"`)
	case kList:
		b = append(b, '[')
		for i := range rnd.IntN(4) {
			b = made(comma(b, i), t.item(), rnd, depth+1)
		}
		return append(b, ']')
	case kObject, kSecret, kNumber:
	}
	b = append(b, '{')
	n := 0
	for _, p := range t.props {
		if p.opt && rnd.IntN(2) == 0 {
			continue
		}
		b = append(appendEscaped(append(comma(b, n), '"'), p.name), '"', ':')
		b = made(b, p.typ, rnd, depth+1)
		n++
	}
	if t.extra != nil && rnd.IntN(2) == 0 {
		b = append(comma(b, n), `"k":`...)
		b = made(b, t.extra, rnd, depth+1)
	}
	return append(b, '}')
}

// isOf says that a decoded JSON value is one of type t.
func isOf(v any, t *Type) bool {
	if t.dyn {
		return true
	}
	listed := func() bool {
		return len(t.enum) == 0 || slices.ContainsFunc(t.enum, func(e any) bool { return fmt.Sprint(e) == fmt.Sprint(v) })
	}
	switch x := v.(type) {
	case nil:
		return t.nullable()
	case bool:
		return t.k&kBool != 0 && listed()
	case string:
		return t.k&(kString|kTime|kDuration) != 0 && listed()
	case json.Number:
		if t.k&kNumber != kInt {
			return t.k&kNumber != 0
		}
		d, _, err := apd.NewFromString(string(x))
		return err == nil && (d.Exponent >= 0 || d.IsZero())
	case []any:
		return t.k&kList != 0 && !slices.ContainsFunc(x, func(e any) bool { return !isOf(e, t.item()) })
	case map[string]any:
		if t.k&kObject == 0 {
			return false
		}
		for _, p := range t.props {
			if _, there := x[p.name]; !there && !p.opt {
				return false
			}
		}
		for name, m := range x {
			switch p := t.prop(name); {
			case p != nil && isOf(m, p.read), p == nil && t.extra != nil && isOf(m, t.extra):
			default:
				return false
			}
		}
		return true
	}
	return false
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
