package expr

import (
	"encoding/json"
	"reflect"
	"testing"

	vm "github.com/expr-lang/expr"
)

// What expr-lang's own VM gives is what its language means: on this corpus both
// agree, but for the differences that are listed.
func TestOracle(t *testing.T) {
	t.Parallel()
	vars := func() map[string]any {
		return map[string]any{
			"ok": true, "i": 7, "f": 2.5, "s": "Hello", "n": nil, "xs": []any{3, 1, 2},
			"objs": []any{map[string]any{"k": "a", "v": 1}, map[string]any{"k": "b", "v": 2}, map[string]any{"k": "a", "v": 3}},
			"o":    map[string]any{"a": 1, "b": map[string]any{"c": "deep"}},
		}
	}
	names := []string{"ok", "i", "f", "s", "n", "xs", "objs", "o"}
	sc, env := &Scope{}, &Env{}
	for _, n := range names {
		sc.vars = append(sc.vars, Var{Name: n})
		env.Values = append(env.Values, vars()[n])
	}
	asJSON := func(v any, err error) string {
		if err != nil {
			return "error"
		}
		b, err := json.Marshal(v)
		if err != nil {
			return "error"
		}
		var x any
		if err := json.Unmarshal(b, &x); err != nil {
			return "error"
		}
		b, _ = json.Marshal(x)
		return string(b)
	}
	stock := func(src string) string {
		p, err := vm.Compile(src)
		if err != nil {
			return "error"
		}
		return asJSON(vm.Run(p, vars()))
	}
	own := func(src string) string {
		e, problems := Expr(src, sc)
		if e == nil {
			return "problem: " + problems[0].Message
		}
		out, err := e.AppendJSON(nil, env)
		if err != nil {
			return "error"
		}
		return asJSON(json.RawMessage(out), nil)
	}
	for _, src := range []string{
		`i + 1`, `i - f`, `i * 2`, `i / 2`, `i % 4`, `-i`, `+i`, `i ** 2`, `2 ^ 3`, `1 + 2 * 3`, `(1 + 2) * 3`, `-2 ** 2`, `7 / 7`,
		`i > 3`, `i >= 7 && f < 3`, `not ok`, `!ok || ok`, `ok and i == 7`, `1 < i < 10`, `i == 7.0`, `s == "Hello"`, `s != "x"`, `s < "Z"`,
		`ok ? "y" : "n"`, `i > 10 ? 1 : i > 5 ? 2 : 3`, `if ok { 1 } else { 2 }`, `n ?? "d"`, `o.z ?? "d"`, `o?.b?.c`, `o.b.c`, `o["b"]["c"]`, `n?.a`,
		`s contains "ell"`, `s startsWith "He"`, `s endsWith "lo"`, `s matches "^H.*o$"`, `not (s contains "x")`, `s not contains "x"`,
		`"a" in o`, `"z" in o`, `1 in xs`, `9 not in xs`, `xs[0]`, `xs[-1]`, `xs[1:]`, `xs[:1]`, `xs[1:2]`, `s[1:3]`, `1..4`,
		`[1, "a", nil, true]`, `{a: 1, "b": [2]}`, `{("x" + "y"): 1}`, `let a = i; a + 1`, `let a = 1; let b = a + 1; a + b`,
		`map(xs, # * 2)`, `filter(xs, # > 1)`, `map(objs, .k)`, `filter(objs, .v > 1)`, `all(xs, # > 0)`, `any(xs, # > 2)`, `none(xs, # > 5)`, `one(xs, # == 1)`,
		`count(xs, # > 1)`, `find(objs, .v == 2)`, `find(objs, .v == 9)`, `findIndex(xs, # == 2)`, `findLast(objs, .k == "a")`, `findLastIndex(objs, .k == "a")`,
		`sum(xs)`, `sum(objs, .v)`, `sortBy(objs, .v, "desc")`, `sortBy(objs, .k)`, `reduce(xs, #acc + #)`, `reduce(xs, #acc + #, 10)`,
		`xs | filter(# > 1) | map(# * 10) | sum()`, `map(xs, #index)`, `map(xs, {let y = #; y * y})`, `map(xs, {{v: #}})`, `map(objs, map(xs, #))`,
		`len(s)`, `len(xs)`, `len(o)`, `upper(s)`, `lower(s)`, `trim("  a ")`, `trim("--a-", "-")`, `trimPrefix(s, "He")`, `trimSuffix(s, "lo")`,
		`split("a,b", ",")`, `split("a,b,c", ",", 2)`, `splitAfter("a,b", ",")`, `join(["a", "b"], "-")`, `replace("aXa", "a", "b")`, `replace("aaa", "a", "b", 2)`, `repeat("ab", 3)`,
		`indexOf("abcb", "b")`, `lastIndexOf("abcb", "b")`, `hasPrefix(s, "H")`, `hasSuffix(s, "o")`,
		`int("42")`, `int(4.7)`, `float("1.5")`, `string(7)`, `string(true)`, `abs(-3)`, `ceil(1.2)`, `floor(1.8)`, `round(2.5)`, `max(1, 5, 3)`, `min(xs)`, `mean(xs)`, `median(xs)`,
		`first(xs)`, `last(xs)`, `get(o, "a")`, `get(xs, 9)`, `take(xs, 2)`, `reverse(xs)`, `uniq([1, 2, 1])`, `concat(xs, [9])`, `flatten([1, [2, [3]]])`, `sort(xs)`, `sort(xs, "desc")`,
		`keys({a: 1})`, `values({a: 1})`, `toPairs({a: 1})`, `fromJSON("[1, {\"a\": 2}]")`, `toBase64("hi")`, `fromBase64("aGk=")`,
		`bitand(6, 3)`, `bitor(6, 3)`, `bitxor(6, 3)`, `bitnand(6, 3)`, `bitnot(5)`, `bitshl(1, 3)`, `bitshr(8, 2)`, `bitushr(8, 2)`, `type(s)`,
		`string(duration("90s"))`, `date("2026-11-30") < date("2026-12-01")`, `"a" + "b"`, "`raw ${x}`", `'it\'s'`, `0x1F`, `1_000`, `1e3`, `.5`, `1 /* c */ + 1 // d`,
	} {
		if a, b := stock(src), own(src); a != b {
			t.Errorf("%s: the VM gives %s, we give %s", src, a, b)
		}
	}
	// Each difference is meant.
	for src, want := range map[string][2]string{
		`n.a`:                     {`error`, `null`},        // members of null are null
		`o.b.z.y`:                 {`error`, `null`},        //
		`xs[9]`:                   {`error`, `null`},        // so are items out of range
		`i / 0`:                   {`error`, `error`},       // no infinity
		`toJSON([1])`:             {`"[\n  1\n]"`, `"[1]"`}, // no white space
		`{a: 1, a: 2}`:            {`{"a":1}`, `problem: the key "a" is given twice`},
		`9223372036854775807 + i`: {`-9223372036854776000`, `error`}, // no wrapping
		`type(i)`:                 {`"int"`, `"number"`},             // the kinds are JSON's
		`type(o)`:                 {`"map"`, `"object"`},             //
		`type(n)`:                 {`"nil"`, `"null"`},               //
		`string(n)`:               {`"\u003cnil\u003e"`, `error`},    // null isn't text
		`string(xs)`:              {`"[3 1 2]"`, `"[3,1,2]"`},        // JSON, not Go
		`join(xs, "-")`:           {`error`, `"3-1-2"`},              // one rule for text
		`s[1]`:                    {`101`, `"e"`},                    // characters, not bytes
		`fromBase64("YT8-")`:      {`error`, `"a?\u003e"`},           // both alphabets
		`null`:                    {`null`, `null`},
		`groupBy(xs, #)`:          {`error`, `{"1":[1],"2":[2],"3":[3]}`}, // names are text
		`fromPairs([["a", 1]])`:   {`error`, `{"a":1}`},                   //
		`type(ok)`:                {`"bool"`, `"boolean"`},                //
		`$env.i`:                  {`7`, `problem: $env isn't supported`},
		`n == 1`:                  {`false`, `false`},
	} {
		if got := [2]string{stock(src), own(src)}; !reflect.DeepEqual(got, want) {
			t.Errorf("%s: the VM and we give %q, want %q", src, got, want)
		}
	}
}
