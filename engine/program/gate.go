package program

import (
	"cmp"

	"github.com/tappet-dev/tappet/engine/expr"
	"github.com/tappet-dev/tappet/engine/graph"
)

// gate compiles what an event has to pass before it starts a run: the trigger's
// filter, and the key that tells it apart.
func (b *builder) gate(p *Program) {
	c := &mapper{
		b: b, step: -1, open: map[*graph.Value]*expr.Template{},
		scope: expr.NewScope(expr.Var{Name: "trigger", Type: p.Trigger.Event}).WithLimits(p.Limits),
	}
	if v := b.doc.Trigger.Filter; v != nil {
		if v.Kind == graph.Bool {
			p.Trigger.Filter = expr.Literal(v.JSON())
		} else {
			p.Trigger.Filter = c.condition(v, "/trigger/filter")
		}
	}
	d := b.doc.Dedupe
	if d == nil {
		return
	}
	p.Dedupe = &Dedupe{Window: cmp.Or(d.Window, graph.DefaultWindow)}
	if d.Key != nil {
		p.Dedupe.Key = c.key(d.Key, "/dedupe/key")
	}
}

// key compiles an expression that must give a scalar, or null.
func (c *mapper) key(v *graph.Value, pointer string) *expr.Template {
	t, problems := expr.Expr(v.Text, c.scope)
	if c.tell(v, pointer, problems) {
		return nil
	}
	at := place(v)
	switch {
	case t.Type().Secret():
		c.b.fail(at, pointer, expr.CodeSecret, "a key is stored, so a secret can't be one")
	case t.Type().Elem() != nil || len(t.Type().Props()) > 0:
		c.b.fail(at, pointer, "type", "a key must be a text, a number or a boolean; convert a list or an object with toJson")
	case len(t.Sources()) > 0 && len(t.Sources()[0].Reads) == 0:
		c.b.fail(at, pointer, "constant", "this key reads nothing of the event, so it can't tell events apart")
	}
	return t
}
