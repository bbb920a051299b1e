package expr

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// Sources made to take the parser's time or stack are refused before it runs.
func TestHostileSources(t *testing.T) {
	t.Parallel()
	n := 3000
	for name, src := range map[string]string{
		"long":         strings.Repeat("1+", 9000) + "1",
		"parentheses":  strings.Repeat("(", n) + "1" + strings.Repeat(")", n),
		"lists":        strings.Repeat("[", n) + strings.Repeat("]", n),
		"objects":      strings.Repeat("{a:", n) + "1" + strings.Repeat("}", n),
		"unary":        strings.Repeat("-", n) + "1",
		"not":          strings.Repeat("not ", n) + "true",
		"bang":         strings.Repeat("!", n) + "true",
		"ternaries":    strings.Repeat("true ? 1 : ", n/2) + "1",
		"elvis":        strings.Repeat("1 ?: ", n/2) + "1",
		"elvis nested": strings.Repeat("(", 60) + "x" + strings.Repeat(" ?: 1)", 60),
		"powers":       strings.Repeat("1 ** ", n) + "1",
		"lets":         strings.Repeat("let a = 1; ", n/4) + "1",
		"ifs":          strings.Repeat("if true { 1 } else ", n/8) + "{ 1 }",
		"comparisons":  strings.Repeat("(1 < ", 60) + "1" + strings.Repeat(" < 1)", 60),
		"chain":        "1" + strings.Repeat(" < 1", 4000),
		"sums":         "1" + strings.Repeat(" + 1", 4000),
		"members":      "x" + strings.Repeat(".a", 6000),
		"pipes":        "x" + strings.Repeat(" | first()", 1000),
		"predicates":   strings.Repeat("map([1], ", 63) + "1" + strings.Repeat(")", 63) + strings.Repeat(")", 10),
		"nodes":        "[" + strings.Repeat("1,", 8000) + "1]",
		"predicate {":  strings.Repeat("map([1], {", n) + "1",
		"regexp":       `"a" matches "` + strings.Repeat("(a{1,30}){1,30}", 20) + `"`,
		"regexp depth": `"a" matches "` + strings.Repeat("(", 900) + `"`,
		"comment":      "/*" + strings.Repeat("*", 5000),
		"quotes":       strings.Repeat("'", 9001),
	} {
		p, problems := Compile(src, NewScope(Var{Name: "x"}))
		if p != nil || len(problems) == 0 || len(problems) > maxProblems {
			t.Errorf("%s: %v", name, problems)
			continue
		}
		for _, p := range problems {
			if strings.Contains(p.Message, "internal") {
				t.Errorf("%s: %s", name, p)
			}
		}
	}
}

// The pass visits no more nodes than the limit, however the tree is shared.
func TestVisitsAreBounded(t *testing.T) {
	t.Parallel()
	for _, src := range []string{
		strings.Repeat("(1 < ", 60) + "1" + strings.Repeat(" < 1)", 60),
		strings.Repeat("(", 60) + "x" + strings.Repeat(" ?: 1)", 60),
	} {
		c := &compiler{src: src, limits: Limits{}.withDefaults(), scope: NewScope(Var{Name: "x"})}
		tree := c.parse(src)
		if tree == nil {
			t.Fatal(c.problems)
		}
		c.node(tree.Node)
		// What was begun when the limit was met is finished by giving up.
		if most := c.limits.Visits + 4*c.limits.Depth; c.visits > most {
			t.Errorf("%d visits, at most %d", c.visits, most)
		}
	}
}

// Evaluations made to take time or memory end with an error that says which
// limit they met.
func TestHostileEvaluations(t *testing.T) {
	t.Parallel()
	big := NewRaw([]byte(`[` + strings.Repeat(`"aaaaaaaaaaaaaaaa",`, 20_000) + `1]`))
	sc := NewScope(Var{Name: "big"})
	doubling := func(unit, join string, n int) string {
		src := "let a0 = " + unit + "; "
		for i := range n {
			src += fmt.Sprintf("let a%d = %s; ", i+1, strings.ReplaceAll(join, "$", fmt.Sprint("a", i)))
		}
		return src + fmt.Sprintf("a%d", n)
	}
	for name, src := range map[string]string{
		"nested loops":    `count(1..1000, any(1..1000, any(1..1000, false)))`,
		"heavy body":      `all(1..100000, ` + strings.TrimSuffix(strings.Repeat("# > 0 && ", 200), " && ") + `)`,
		"range":           `1..100000000`,
		"range overflow":  `-9223372036854775807..9223372036854775807`,
		"many ranges":     `map(1..100000, 1..100000)`,
		"repeat":          `repeat("a", 1000000000)`,
		"repeat twice":    `repeat(repeat("a", 100000), 100000)`,
		"text doubling":   doubling(`"aaaaaaaa"`, `$ + $`, 40),
		"list doubling":   doubling(`[1]`, `concat($, $)`, 40),
		"shared output":   `toJSON(` + doubling(`[1]`, `[$, $]`, 40) + `)`,
		"shared equality": strings.TrimSuffix(doubling(`[1]`, `[$, $]`, 40), "a40") + strings.NewReplacer("a", "b", "let", "let").Replace(doubling(`[1]`, `[$, $]`, 40)) + ` == a40`,
		"replace":         `replace(repeat("a", 10000), "a", repeat("b", 10000))`,
		"replace nothing": `replace(repeat("a", 100000), "", repeat("b", 10000))`,
		"regexp replace":  `replaceRegexp(repeat("a", 5000), "a", repeat("$0", 5000))`,
		"regexp all":      `replaceRegexp(repeat("a", 5000), "(a*)(a*)(a*)", repeat("$1$2$3", 500))`,
		"regexp work":     `count(1..1000, repeat("a", 1000) matches "(a*)*b")`,
		"regexp compile":  `count(1..10000, "a" matches "a" + string(#))`,
		"split":           `map(1..1000, split(repeat("a", 10000), ""))`,
		"join":            `join(map(1..1000, repeat("a", 1000)), repeat("b", 10000))`,
		"pad":             `padStart("", 1000000000)`,
		"long key":        `{(repeat("k", 2000)): 1}`,
		"group keys":      `groupBy(1..100000, repeat("k", 1000) + string(#))`,
		"unequal items":   `uniq(map(1..10000, [#]))`,
		"copies":          `toJSON(map(1..1000, big))`,
		"text copies":     `map(1..1000, string(big))`,
		"documents":       `map(1..1000, len(fromJSON(toJSON(big))))`,
		"deep document":   `fromJSON(repeat("[", 100000))`,
		"csv":             `map(1..100, parseCsv(repeat("a,b\n", 10000)))`,
		"hash":            `map(1..100000, sha256(repeat("a", 1000)))`,
		"sort":            `sortBy(1..100000, -#)`,
		"decimals":        `reduce(1..100000, #acc * #, decimal("1.000000001"))`,
		"matches":         `map(1..1000, matchAll(repeat("a", 10000), "a"))`,
		"flatten":         doubling(`[1]`, `[$, $]`, 30) + ` | flatten()`,
		"max":             `max(` + doubling(`[1]`, `[$, $]`, 30) + `)`,
	} {
		e, problems := Expr(src, sc)
		if e == nil {
			t.Errorf("%s: %v", name, problems)
			continue
		}
		_, err := e.AppendJSON(nil, &Env{Values: []any{big}})
		var x *Error
		if !errors.As(err, &x) || !x.Limit && name != "decimals" && name != "deep document" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A smaller budget is obeyed, too.
func TestLimitsAreSettings(t *testing.T) {
	t.Parallel()
	sc := NewScope(Var{Name: "x"})
	p, _ := Compile(`len(map(1..100, #))`, sc)
	for _, l := range []Limits{{Steps: 100}, {Bytes: 1000}} {
		var e *Error
		if _, err := p.Eval(&Env{Limits: l}); !errors.As(err, &e) || !e.Limit {
			t.Errorf("%+v: %v", l, err)
		}
	}
	for src, l := range map[string]Limits{
		`1 + 1`:             {Source: 4},
		`[[1]]`:             {Brackets: 1},
		`--1`:               {Unary: 1},
		`2 ** 2 ** 2`:       {Branches: 1},
		`[[[1]]]`:           {Depth: 2},
		`[1, 2, 3]`:         {Nodes: 3},
		`{a: 1, b: 2}`:      {Visits: 1},
		`"a" matches "a+b"`: {Regexp: 2},
	} {
		if p, problems := Compile(src, sc.WithLimits(l)); p != nil {
			t.Errorf("%s compiles with %+v", src, l)
		} else if c := problems[0].Code; c != CodeTooLarge && c != CodeRegexp {
			t.Errorf("%s: %v", src, problems)
		}
	}
}
