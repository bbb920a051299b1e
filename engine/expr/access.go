package expr

import (
	"strings"

	"github.com/expr-lang/expr/ast"
)

func (c *compiler) ident(n *ast.IdentifierNode) (fn, *Type) {
	if n.Value == "null" {
		return constant(nil), Null()
	}
	c.varying++
	if l := c.local(n.Value); l != nil {
		slot := l.slot
		return func(f *frame) any { return f.vars[slot] }, c.narrowed(n, l.typ)
	}
	slot, v := c.scope.find(n.Value)
	if v == nil {
		if c.probeName(n.Value, nil) {
			return constant(nil), Any()
		}
		return c.unknownName(n)
	}
	if v.Call {
		return c.fail(n, CodeArguments, "", "%s is used with a name: %s(\"…\")", v.Name, v.Name)
	}
	c.read(len(c.reads), &place{slot: slot})
	return func(f *frame) any { return f.value(slot) }, c.narrowed(n, known(v.Type))
}

func (c *compiler) unknownName(n *ast.IdentifierNode) (fn, *Type) {
	if n.Value == "$env" {
		return c.fail(n, CodeUnsupported, "name what you need: "+strings.Join(c.scope.names(), ", "), "$env isn't supported")
	}
	if h := c.foreignName(n.Value); h != "" {
		return c.fail(n, CodeUnknownName, h, "unknown name %s", n.Value)
	}
	names := c.scope.names()
	for _, l := range c.locals {
		names = append(names, l.name)
	}
	hint := didYouMean(Nearest(n.Value, names))
	if at := c.memberOf(n.Value); at != "" {
		hint = didYouMean(at)
	}
	if hint == "" && len(names) > 0 && len(names) <= 12 {
		hint = "known are " + strings.Join(names, ", ")
	}
	return c.fail(n, CodeUnknownName, hint, "unknown name %s", n.Value)
}

// memberOf is the path of a member of that name, one or two levels down in the
// scope, "" for none.
func (c *compiler) memberOf(name string) string {
	if c.scope == nil {
		return ""
	}
	for i := range c.scope.vars {
		v := &c.scope.vars[i]
		if v.Name == "" || v.Call || v.Type == nil {
			continue
		}
		if v.Type.prop(name) != nil {
			return v.Name + "." + name
		}
		for _, p := range v.Type.props {
			if p.typ.prop(name) != nil {
				return v.Name + step(p.name) + "." + name
			}
		}
	}
	return ""
}

func (c *compiler) pointer(n *ast.PointerNode) (fn, *Type) {
	if len(c.items) == 0 {
		return c.fail(n, CodeSyntax, "", "# is known only inside of filter, map and the like")
	}
	c.varying++
	it, level := c.items[len(c.items)-1], len(c.items)-1
	switch n.Name {
	case "":
		return func(f *frame) any { return f.loops[level].item }, c.narrowed(n, it.typ)
	case "index":
		return func(f *frame) any { return f.loops[level].index }, Int()
	case "acc":
		if it.acc != nil {
			return func(f *frame) any { return f.loops[level].acc }, c.narrowed(n, it.acc)
		}
	}
	return c.fail(n, CodeUnknownName, "known are #, #index and, in reduce, #acc", "unknown name #%s", n.Name)
}

// place is a path of constant names from a value of the scope.
type place struct {
	slot  int
	names []string
	ats   []int
}

// place finds the path that n is; false when it is none.
func (c *compiler) place(n ast.Node, p *place) bool {
	switch n := n.(type) {
	case *ast.ChainNode:
		return c.place(n.Node, p)
	case *ast.IdentifierNode:
		slot, v := c.scope.find(n.Value)
		p.slot = slot
		return v != nil && !v.Call
	case *ast.CallNode:
		v, name, ok := c.callVar(n)
		if !ok {
			return false
		}
		p.slot, _ = c.scope.find(v.Name)
		p.names, p.ats = append(p.names, name), append(p.ats, c.at(n))
		return true
	case *ast.MemberNode:
		s, ok := n.Property.(*ast.StringNode)
		if !ok || !c.place(n.Node, p) {
			return false
		}
		p.names, p.ats = append(p.names, s.Value), append(p.ats, c.at(n.Property))
		return true
	}
	return false
}

// walk is the hot path of mappings: trigger.body.task.title in one closure.
func (p *place) walk() fn {
	slot, names, ats := p.slot, p.names, p.ats
	return func(f *frame) any {
		v := f.value(slot)
		for i, name := range names {
			if m, ok := v.(map[string]any); ok {
				v = m[name]
				continue
			}
			v = f.member(v, name, ats[i])
		}
		return v
	}
}

func (c *compiler) member(n *ast.MemberNode) (fn, *Type) {
	mark := len(c.reads)
	base, bt := c.node(n.Node)
	s, ok := n.Property.(*ast.StringNode)
	if !ok {
		run, t := c.computed(n, base, bt)
		c.retrace(mark, n)
		return run, t
	}
	name, at := s.Value, c.at(n.Property)
	t, ok := c.field(n.Property, bt, name)
	if !ok {
		return constant(nil), Any()
	}
	var p place
	if c.place(n, &p) {
		c.read(mark, &p)
		return p.walk(), c.narrowed(n, t)
	}
	c.retrace(mark, n)
	return func(f *frame) any {
		v := base(f)
		if m, ok := v.(map[string]any); ok {
			return m[name]
		}
		return f.member(v, name, at)
	}, c.narrowed(n, t)
}

// field is the type of a member of a value of type t; a problem, and false,
// when there can't be one.
func (c *compiler) field(n ast.Node, t *Type, name string) (*Type, bool) {
	switch {
	case c.probeMember(t, name):
		return nil, false
	case t.dyn:
		return Any(), true
	case t.nonNull().empty():
		return Null(), true
	case t.k&kObject == 0:
		hint := ""
		if t.only(kList | kNull) {
			hint = "take one item with [0], or all with map(list, ." + name + ")"
		}
		if (name == "length" || name == "size") && t.has(kList|kString) {
			hint = "write len(value)"
		}
		c.fail(n, c.typeCode(t), hint, "%s has no field %s", t, name)
		return nil, false
	}
	ft := t.extra
	if p := t.prop(name); p != nil {
		ft = p.read
	} else if ft != nil {
		ft = ft.orNull()
	}
	if ft == nil {
		c.fail(n, CodeUnknownField, fieldHint(t, name), "unknown field %s", clipName(name))
		return nil, false
	}
	if t.nullable() {
		ft = ft.orNull()
	}
	return ft, true
}

func clipName(name string) string {
	if c := clip(name); c != quoted(name) || strings.ContainsAny(name, " -.") {
		return c
	}
	return name
}

func fieldHint(t *Type, name string) string {
	names := t.names()
	if m := Nearest(name, names); m != "" {
		return didYouMean(m)
	}
	if len(names) > 0 && len(names) <= 12 {
		return "known are " + strings.Join(names, ", ")
	}
	return ""
}

// computed is a[b] with anything but a constant name.
func (c *compiler) computed(n *ast.MemberNode, base fn, bt *Type) (fn, *Type) {
	key, kt := c.node(n.Property)
	if !c.present(n.Property, kt) {
		return constant(nil), Any()
	}
	at := c.at(n.Property)
	run := func(f *frame) any {
		v := base(f)
		return f.index(v, key(f), at)
	}
	if name, ok := constantText(kt); ok && bt.only(kObject|kNull) {
		t, ok := c.field(n.Property, bt, name)
		if !ok {
			return constant(nil), Any()
		}
		return run, t
	}
	t, want, what := never(), kinds(0), ""
	if bt.dyn || bt.nonNull().empty() {
		if bt.dyn {
			t = Any()
		}
		return run, t.orNull()
	}
	if bt.k&kList != 0 {
		t, want, what = union(t, bt.item()), want|kNumber, "a list is indexed by an integer"
	}
	if bt.k&kString != 0 {
		t, want, what = union(t, StringType()), want|kNumber, "a string is indexed by an integer"
	}
	if bt.k&kObject != 0 {
		t, want, what = union(t, bt.member()), want|kString, "an object is indexed by a string"
	}
	if want == 0 {
		return c.fail(n.Property, c.typeCode(bt), "", "%s can't be indexed", bt)
	}
	if !kt.has(want) {
		return c.fail(n.Property, CodeType, "", "%s, got %s", what, kt)
	}
	return run, c.narrowed(n, t.orNull())
}

func (c *compiler) slice(n *ast.SliceNode) (fn, *Type) {
	base, bt := c.node(n.Node)
	bound := func(x ast.Node) fn {
		if x == nil {
			return constant(nil)
		}
		run, t := c.node(x)
		c.needs(x, t, kNumber, "a bound must be an integer")
		return run
	}
	from, to := bound(n.From), bound(n.To)
	if !bt.has(kList|kString) && !bt.only(kNull) {
		return c.fail(n, c.typeCode(bt), "", "%s can't be cut with [:]", bt)
	}
	if len(bt.enum) > 0 {
		t := *bt
		t.enum = nil
		bt = &t
	}
	at := c.at(n)
	return func(f *frame) any {
		v := base(f)
		a := from(f)
		b := to(f)
		f.at = at
		return f.slice(v, a, b)
	}, bt
}
