package program

import (
	"strings"
	"unicode/utf8"

	"github.com/tappet-dev/tappet/engine/expr"
	"github.com/tappet-dev/tappet/engine/graph"
)

// The roots that are seen only by the expressions about a call's result:
// success_when and those of paginate.
const (
	VarOutput     = NumVars + iota // the result, as the action's schema types it
	VarPage                        // how many pages were got; of paginate alone
	NumResultVars = iota + NumVars
)

// A Success is a compiled success_when.
type Success struct {
	// When gives a boolean.
	When *expr.Template
	// Source is When as a message shows it.
	Source string
}

// maxSource is how many bytes of an expression a message shows.
const maxSource = 200

// resultMapper compiles what is said about the results of the step at index i:
// it sees what `with` does, and the output.
func (b *builder) resultMapper(i int, output *expr.Type, values ...*graph.Value) *mapper {
	return &mapper{b: b, step: i, scope: b.names.ofResult(i, output, values...), open: map[*graph.Value]*expr.Template{}}
}

// success compiles success_when, which must give a boolean.
func (b *builder) success(to *Step, from *graph.Step, i int, output *expr.Type) {
	v := from.SuccessWhen
	if v == nil {
		return
	}
	if v.Kind == graph.Bool {
		to.Success = &Success{When: expr.Literal(v.JSON()), Source: string(v.JSON())}
		return
	}
	c := b.resultMapper(i, output, v)
	if t := c.condition(v, from.Pointer+"/success_when"); t != nil {
		to.Success = &Success{When: t, Source: shown(v.Text)}
	}
}

// condition compiles an expression that must give a boolean; nil when it can't
// be compiled.
func (c *mapper) condition(v *graph.Value, pointer string) *expr.Template {
	t, problems := expr.Expr(v.Text, c.scope)
	if c.tell(v, pointer, problems) {
		return nil
	}
	c.fits(v, pointer, t.Type(), expr.Bool(), "a condition must be true or false")
	return t
}

// shown is a source on one line, cut short.
func shown(source string) string {
	s := strings.Join(strings.Fields(source), " ")
	if len(s) <= maxSource {
		return s
	}
	cut := maxSource
	for !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}
