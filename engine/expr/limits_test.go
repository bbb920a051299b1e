package expr

import (
	"reflect"
	"strings"
	"testing"
)

// What exceeds a limit is told with the name of its setting; one step inside of
// the limit it passes.
func TestLimitsNameTheirSettings(t *testing.T) {
	t.Parallel()
	sc := NewScope(Var{Name: "x"})
	for _, c := range []struct {
		name, over, within string
		limits             Limits
		x                  any
	}{
		{"source", `"12345678"`, `"1234567"`, Limits{Source: 9}, nil},
		{"brackets", `[[[1]]]`, `[[1]]`, Limits{Brackets: 2}, nil},
		{"unary", `- - -1`, `- -1`, Limits{Unary: 2}, nil},
		{"branches", `true ? 1 : true ? 2 : true ? 3 : 4`, `true ? 1 : true ? 2 : 3`, Limits{Branches: 2}, nil},
		{"depth", `1 + 2 + 3 + 4`, `1 + 2 + 3`, Limits{Depth: 3}, nil},
		{"nodes", `[1, 2, 3, 4, 5, 6]`, `[1, 2]`, Limits{Nodes: 6}, nil},
		{"visits", `1 < 2 < 3 < 4`, `1 < 2`, Limits{Visits: 8}, nil},
		{"regexp", `"a" matches "(abcdef){9}"`, `"a" matches "a"`, Limits{Regexp: 20}, nil},
		{"regexp", `"a" matches x`, `"a" matches "a"`, Limits{Regexp: 20}, "(abcdef){9}"},
		{"steps", `len(1..200)`, `len(1..2)`, Limits{Steps: 100}, nil},
		{"bytes", `repeat("a", 900)`, `repeat("a", 9)`, Limits{Bytes: 1000}, nil},
		{"copies", `x`, `1`, Limits{Copies: 10}, NewRaw([]byte(`{"a":"12345678"}`))},
		{"key", `{(x): 1}`, `{("a"): 1}`, Limits{Key: 5}, "123456"},
		{"digits", `decimal("1234567")`, `decimal("123456")`, Limits{Digits: 6}, nil},
	} {
		run := func(src string) string {
			e, problems := Expr(src, sc.WithLimits(c.limits))
			if e == nil {
				return problems[0].Message
			}
			if _, err := e.AppendJSON(nil, &Env{Values: []any{c.x}, Limits: c.limits}); err != nil {
				return err.Error()
			}
			return ""
		}
		if got := run(c.over); !strings.Contains(got, "(limits.expr_"+c.name+")") {
			t.Errorf("%s: %s gives %q", c.name, c.over, got)
		}
		if got := run(c.within); got != "" {
			t.Errorf("%s: %s gives %q", c.name, c.within, got)
		}
		if f, ok := reflect.TypeFor[Limits]().FieldByNameFunc(func(n string) bool { return strings.EqualFold(n, c.name) }); !ok {
			t.Errorf("there is no limit %s: %v", c.name, f)
		}
	}
}
