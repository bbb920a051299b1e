package program

import (
	"slices"
	"strconv"
	"strings"

	"github.com/tappet-dev/tappet/engine/expr"
	"github.com/tappet-dev/tappet/engine/graph"
)

// mapper compiles the values of one step.
type mapper struct {
	b     *builder
	step  int
	scope *expr.Scope
	// open are the texts that hold expressions; nil for one with problems.
	open map[*graph.Value]*expr.Template
	// failed: an expression has problems, so types are not known.
	failed bool
}

// isTemplate says whether v is a text with an expression, or an escaped one,
// in it.
func isTemplate(v *graph.Value) bool {
	return v.Kind == graph.String && strings.Contains(v.Text, "${{")
}

func place(v *graph.Value) graph.Pos { return graph.Pos{Line: v.Line, Column: v.Column} }

// walk visits v and all that is in it.
func walk(v *graph.Value, pointer string, visit func(*graph.Value, string)) {
	if v == nil {
		return
	}
	visit(v, pointer)
	for i, item := range v.Items {
		walk(item, graph.Pointer(pointer, strconv.Itoa(i)), visit)
	}
	for _, m := range v.Members {
		walk(m.Value, graph.Pointer(pointer, m.Name), visit)
	}
}

// contains says whether a text in v has what is looked for.
func contains(v *graph.Value, has func(string) bool) bool {
	if v == nil {
		return false
	}
	return v.Kind == graph.String && has(v.Text) ||
		slices.ContainsFunc(v.Items, func(item *graph.Value) bool { return contains(item, has) }) ||
		slices.ContainsFunc(v.Members, func(m graph.Member) bool { return contains(m.Value, has) })
}

func hasBraces(text string) bool { return strings.Contains(text, "{{") }

func (c *mapper) isOpen(v *graph.Value) bool {
	_, ok := c.open[v]
	return ok
}

func (c *mapper) holdsOpen(v *graph.Value) bool {
	return c.isOpen(v) || slices.ContainsFunc(v.Items, c.holdsOpen) ||
		slices.ContainsFunc(v.Members, func(m graph.Member) bool { return c.holdsOpen(m.Value) })
}

// value compiles a value with expressions in its texts.
func (c *mapper) value(v *graph.Value, pointer string) *expr.Template {
	switch {
	case !contains(v, hasBraces):
		return expr.Literal(v.JSON())
	case v.Kind == graph.List:
		items := make([]*expr.Template, len(v.Items))
		for i, item := range v.Items {
			items[i] = c.value(item, graph.Pointer(pointer, strconv.Itoa(i)))
		}
		return expr.List(items)
	case v.Kind == graph.Object:
		members := make([]expr.Member, len(v.Members))
		for i, m := range v.Members {
			members[i] = expr.Member{Name: m.Name, Value: c.value(m.Value, graph.Pointer(pointer, m.Name))}
		}
		return expr.Object(members)
	}
	c.warn(v, pointer)
	if !isTemplate(v) {
		return expr.Literal(v.JSON())
	}
	t, problems := expr.Text(v.Text, c.scope)
	if c.tell(v, pointer, problems) {
		c.open[v] = nil
		return expr.Literal([]byte("null"))
	}
	c.open[v] = t
	return t
}

// warn tells of {{ }} without the dollar sign.
func (c *mapper) warn(v *graph.Value, pointer string) {
	if v.Kind != graph.String {
		return
	}
	if c.b.full() {
		return
	}
	for _, p := range expr.Warnings(v.Text) {
		at := c.b.doc.Locate(v, p.Line, p.Column)
		c.b.add(graph.Problem{
			Pointer: pointer, Line: at.Line, Column: at.Column, Code: p.Code, Message: p.Message, Suggestion: p.Hint, Warning: true,
		})
	}
}

// tell makes problems of an expression problems of the document; it says
// whether there are any.
func (c *mapper) tell(v *graph.Value, pointer string, problems []expr.Problem) bool {
	for _, p := range problems {
		if c.b.full() {
			break
		}
		at := c.b.doc.Locate(v, p.Line, p.Column)
		g := graph.Problem{
			Pointer: pointer, Line: at.Line, Column: at.Column, Code: p.Code, Message: p.Message, Suggestion: p.Hint,
		}
		if message, hint := c.b.names.unseen(c.step, v.Text, p); message != "" {
			g.Code, g.Message, g.Suggestion = "not_settled", message, hint
		}
		c.b.add(g)
	}
	c.failed = c.failed || len(problems) > 0
	return len(problems) > 0
}

// fits tells when a value of type from can't be given to type to; rule says
// what is wanted.
func (c *mapper) fits(v *graph.Value, pointer string, from, to *expr.Type, rule string) {
	if open, ok := c.open[v]; ok && open == nil || c.b.full() {
		return // its own problems are told
	}
	ok, why := expr.Assignable(from, to)
	if ok {
		return
	}
	if rule != "" {
		why = rule + "; " + why
	}
	c.b.fail(place(v), pointer, "type", "%s", why)
}

// assign checks the expressions in v against the type of their places.
func (c *mapper) assign(v *graph.Value, pointer string, t *expr.Type) {
	if t.IsAny() {
		return
	}
	if from, ok := c.open[v]; ok {
		if from != nil {
			c.fits(v, pointer, from.Type(), t, "")
		}
		return
	}
	if elem := t.Elem(); elem != nil {
		for i, item := range v.Items {
			c.assign(item, graph.Pointer(pointer, strconv.Itoa(i)), elem)
		}
	}
	for _, m := range v.Members {
		c.assign(m.Value, graph.Pointer(pointer, m.Name), t.Field(m.Name))
	}
}

// settled is v with the values of expressions that need no data, as far as their
// types fit their places: what a checker can tell of constants.
func (c *mapper) settled(v *graph.Value, t *expr.Type) *graph.Value {
	if from, ok := c.open[v]; ok {
		if from == nil {
			return v
		}
		doc, fixed := from.Fixed()
		if fits, _ := expr.Assignable(from.Type(), t); !fixed || !fits {
			return v
		}
		if value := graph.ValueAt(doc, place(v)); value != nil {
			return value
		}
		return v
	}
	if !c.holdsOpen(v) {
		return v
	}
	copied := *v
	copied.Items = slices.Clone(v.Items)
	for i, item := range v.Items {
		copied.Items[i] = c.settled(item, t.Elem())
	}
	copied.Members = slices.Clone(v.Members)
	for i, m := range v.Members {
		copied.Members[i].Value = c.settled(m.Value, t.Field(m.Name))
	}
	return &copied
}

// secrets checks that each secret in v stands in a field that takes one; to is
// the type of v's place, nil where nothing takes one, and hint says which fields
// do.
func (c *mapper) secrets(v *graph.Value, pointer string, to *expr.Type, hint string) {
	if v == nil {
		return
	}
	if from := c.open[v]; from != nil && from.Type().Secret() {
		ok, why := false, "a secret can be given only to a field that takes one"
		if to != nil {
			ok, why = expr.Assignable(from.Type(), to)
		}
		if !ok {
			code := "type"
			if !to.Secret() {
				code = expr.CodeSecret
			}
			c.b.add(graph.Problem{
				Pointer: pointer, Line: v.Line, Column: v.Column, Code: code, Message: why, Suggestion: hint,
			})
			c.failed, c.open[v] = true, nil // it is told
		} else {
			c.missing(v, pointer, from)
		}
	}
	for i, item := range v.Items {
		c.secrets(item, graph.Pointer(pointer, strconv.Itoa(i)), to.Elem(), hint)
	}
	for _, m := range v.Members {
		c.secrets(m.Value, graph.Pointer(pointer, m.Name), to.Field(m.Name), hint)
	}
}

// missing warns of secrets that aren't there: they can still be given.
func (c *mapper) missing(v *graph.Value, pointer string, from *expr.Template) {
	known, ok := c.b.cat.(Secrets)
	if !ok {
		return
	}
	for _, name := range from.Secrets() {
		if err := known.Secret(name); err != nil {
			c.b.add(graph.Problem{
				Pointer: pointer, Line: v.Line, Column: v.Column, Code: "unknown_secret", Message: err.Error(), Warning: true,
			})
		}
	}
}

// secretFields says which fields of an action take a secret.
func secretFields(a *action) string {
	var names []string
	for _, p := range a.input.Props() {
		if p.Type.Secret() {
			names = append(names, p.Name)
		}
	}
	if len(names) == 0 {
		return a.spec.Use + " has no such field"
	}
	return "in " + a.spec.Use + " these take secrets: " + strings.Join(names, ", ")
}
