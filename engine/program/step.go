package program

import (
	"slices"
	"strings"

	"github.com/tappet-dev/tappet/engine/expr"
	"github.com/tappet-dev/tappet/engine/graph"
)

// step compiles the step at index i of all. Its scope is of steps above.
func (b *builder) step(to *Step, i int) {
	from := &b.names.steps[i]
	parts := []*graph.Value{from.If, from.With, from.Set}
	if r := from.Respond; r != nil {
		parts = append(parts, r.Status, r.Headers, r.Body)
	}
	c := &mapper{
		b: b, step: i,
		scope: b.names.of(i, parts...),
		open:  map[*graph.Value]*expr.Template{},
	}
	b.condition(to, from, c)
	b.kinds(from)
	switch from.Verb {
	case graph.VerbUse:
		b.use(to, from, c)
		b.results(to, from, i)
	case graph.VerbSet:
		to.Verb = Set
		to.Set = c.value(from.Set, from.Pointer+"/set")
		c.secrets(from.Set, from.Pointer+"/set", nil, "a step's output is stored; write secret(…) where it is needed")
		to.Output = to.Set.Type()
	case graph.VerbRespond:
		to.Verb = Respond
		b.respond(to, from, c)
	case graph.NoVerb:
	}
	if from.If != nil || to.Continue {
		to.Output = expr.Optional(to.Output)
	}
}

// condition compiles `if`, which must give a boolean.
func (b *builder) condition(to *Step, from *graph.Step, c *mapper) {
	v := from.If
	if v == nil {
		return
	}
	if v.Kind == graph.Bool {
		to.If = expr.Literal(v.JSON())
		return
	}
	pointer := from.Pointer + "/if"
	t, problems := expr.Expr(v.Text, c.scope)
	if c.tell(v, pointer, problems) {
		return
	}
	to.If = t
	c.fits(v, pointer, t.Type(), expr.Bool(), "a condition must be true or false")
}

// action gives what is known of a `use`, and reports once per step that there
// is none.
func (b *builder) action(from *graph.Step) *action {
	pointer := from.Pointer + "/use"
	a := b.specs[from.Use]
	if a == nil {
		a = &action{}
		b.specs[from.Use] = a
		if a.spec, a.err = b.cat.Action(from.Use); a.err == nil {
			var usable bool
			if a.input, usable = b.typeOf(a.spec.Input, "input", a.spec.Use, from.UsePos, pointer); usable {
				compile := graph.NewInputChecker
				if _, taken := b.cat.(Taken); taken {
					compile = graph.NewChecker
				}
				a.checker = b.checkerOf(compile, a.spec.Input, "input", a.spec.Use, from.UsePos, pointer)
			}
			a.output, _ = b.typeOf(a.spec.Output, "output", a.spec.Use, from.UsePos, pointer)
			a.files = manyFiles(a.spec.Input)
		}
	}
	if a.err != nil {
		b.unknown(a.err, from.UsePos, pointer)
		return nil
	}
	return a
}

// results compiles what is said about the results of a call.
func (b *builder) results(to *Step, from *graph.Step, i int) {
	a := b.specs[from.Use]
	if a != nil && a.err != nil {
		a = nil
	}
	b.success(to, from, i, to.Output)
	b.paginate(to, from, i, a)
}

// keyed says whether a call surely carries its key: the field that can switch
// it off is absent, or a constant that doesn't.
func keyed(field string, with *graph.Value) bool {
	if field == "" || with == nil {
		return true
	}
	v := with.Get(field)
	return v == nil || !isTemplate(v) && (v.Kind != graph.Bool || v.Bool)
}

func (b *builder) use(to *Step, from *graph.Step, c *mapper) {
	to.Verb, to.Action, to.Connection = Use, from.Use, from.Connection
	b.connection(from.Connection, from.ConnectionPos, from.Pointer+"/connection")
	if from.Use == "" {
		return
	}
	a := b.action(from)
	if a != nil {
		to.Action, to.Output = a.spec.Use, a.output
	}
	switch {
	case from.OnUnknown == "retry":
		to.OnUnknown = UnknownRetry
	case from.OnUnknown == "" && a != nil && (a.spec.Idempotent || a.spec.Keyed && keyed(a.spec.KeyField, from.With)):
		to.OnUnknown = UnknownRetry
	default:
		to.OnUnknown = UnknownFail
	}
	pointer := from.Pointer + "/with"
	with := from.With
	if with == nil {
		with = &graph.Value{Kind: graph.Object, Line: from.Pos.Line, Column: from.Pos.Column}
	}
	if a != nil {
		to.Members, to.Output = b.declare(a.spec.Output, with, pointer, a.output, from.SuccessWhen != nil)
	}
	to.With = make([]Field, 0, len(with.Members))
	for _, m := range with.Members {
		f := Field{Name: m.Name}
		if a != nil && slices.Contains(a.spec.Literal, m.Name) {
			f.Value = expr.Literal(m.Value.JSON())
		} else {
			f.Value = c.value(m.Value, graph.Pointer(pointer, m.Name))
		}
		to.With = append(to.With, f)
	}
	if a == nil {
		return
	}
	c.secrets(with, pointer, a.input, secretFields(a))
	c.files(with, pointer, a.files)
	told := len(b.problems)
	b.check(a.checker, c.settled(with, a.input), pointer, c.isOpen)
	for _, m := range with.Members {
		if t, _, ok := a.input.Prop(m.Name); ok {
			c.assign(m.Value, graph.Pointer(pointer, m.Name), t)
		}
	}
	if c.failed || len(b.problems) > told {
		return
	}
	for i := range to.With {
		if f := &to.With[i]; f.Value.Type().Secret() {
			f.To = a.input.Field(f.Name)
			f.Value = f.Value.For(f.To)
		}
	}
	// What a place alone doesn't tell, such as which of two forms an object has,
	// is checked as part of its field.
	for i, m := range with.Members {
		t, _, ok := a.input.Prop(m.Name)
		if ok && !c.isOpen(m.Value) && c.holdsOpen(m.Value) {
			c.fits(m.Value, graph.Pointer(pointer, m.Name), to.With[i].Value.Type(), t, "")
		}
	}
}

func (b *builder) respond(to *Step, from *graph.Step, c *mapper) {
	to.Output = expr.Null()
	r := from.Respond
	if r == nil {
		return
	}
	pointer := from.Pointer + "/respond"
	const noSecrets = "an answer is for the caller; it never has a secret in it"
	if r.Status != nil {
		to.Answer.Status = c.value(r.Status, pointer+"/status")
		c.secrets(r.Status, pointer+"/status", nil, noSecrets)
		c.fits(r.Status, pointer+"/status", to.Answer.Status.Type(), expr.Int(), "a status is a whole number from 200 to 599")
	}
	if r.Headers != nil {
		to.Answer.Headers = c.value(r.Headers, pointer+"/headers")
		c.secrets(r.Headers, pointer+"/headers", nil, noSecrets)
		b.headers(r.Headers, pointer+"/headers", c)
	}
	if r.Body != nil {
		to.Answer.Body = c.value(r.Body, pointer+"/body")
		c.secrets(r.Body, pointer+"/body", nil, noSecrets)
		to.Output = to.Answer.Body.Type()
	}
}

// headers checks that v is an object of texts, and its names tokens (RFC 9110,
// 5.1).
func (b *builder) headers(v *graph.Value, pointer string, c *mapper) {
	if v.Kind == graph.String {
		if t := c.open[v]; t != nil {
			c.fits(v, pointer, t.Type(), expr.ObjectOf(nil, expr.StringType()), "headers are an object of texts")
		} else if !isTemplate(v) {
			b.fail(place(v), pointer, "type", "must be an object or an expression, not a text")
		}
		return
	}
	for _, m := range v.Members {
		at := graph.Pointer(pointer, m.Name)
		if !isToken(m.Name) {
			b.fail(graph.Pos{Line: m.Line, Column: m.Column}, at, "pattern",
				"a header's name is of letters, digits and dashes, not %q", m.Name)
		}
		switch {
		case isTemplate(m.Value):
			if t := c.open[m.Value]; t != nil {
				c.fits(m.Value, at, t.Type(), expr.StringType(), "a header's value is a text")
			}
		case m.Value.Kind != graph.String:
			b.fail(place(m.Value), at, "type", "a header's value is a text, not %s", m.Value.Kind)
		case strings.ContainsAny(m.Value.Text, "\r\n\x00"):
			b.fail(place(m.Value), at, "pattern", "a header's value is one line")
		}
	}
}

// isToken says whether s is a token of HTTP (RFC 9110, 5.6.2).
func isToken(s string) bool {
	for _, c := range []byte(s) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0:
		default:
			return false
		}
	}
	return s != ""
}
