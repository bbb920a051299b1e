package expr

import (
	"slices"
	"strconv"
	"strings"

	"github.com/expr-lang/expr/ast"
)

// The types of what the functions of objects give, as exact as their arguments
// are known.

// shapeType is the type of a call of a function that makes an object of others,
// nil for all other functions. args are the nodes of its arguments.
func shapeType(name string, args []ast.Node, types []*Type) *Type {
	switch name {
	case "pick":
		names, all := namesOf(args[1], types[1])
		return pickType(types[0], names, all)
	case "omit":
		names, all := namesOf(args[1], types[1])
		return omitType(types[0], names, all)
	case "rename":
		return renameType(types[0], types[1])
	case "withoutNulls":
		return withoutNullsType(types[0])
	case "defaults":
		return defaultsType(types[0], types[1])
	case "mergeDeep":
		t := types[0]
		for _, next := range types[1:] {
			t = mergeDeepType(t, next)
		}
		if t.dyn || !t.only(kObject) {
			return anyObject()
		}
		return bounded(t)
	}
	return nil
}

// namesOf are the texts that the items of a list, an argument, can be; all says
// that each of them is surely among the items. nil: they aren't known.
func namesOf(n ast.Node, t *Type) (names []string, all bool) {
	each := t.item()
	if t.only(kList) && each.empty() {
		return []string{}, true
	}
	if each.dyn || len(each.enum) == 0 || !each.only(kString) {
		return nil, false
	}
	for _, v := range each.enum {
		if s, ok := v.(string); ok {
			names = append(names, s)
		}
	}
	list, ok := n.(*ast.ArrayNode)
	return names, ok && !slices.ContainsFunc(list.Nodes, func(x ast.Node) bool {
		_, constant := x.(*ast.StringNode)
		return !constant
	})
}

func pickType(t *Type, names []string, all bool) *Type {
	if t.dyn || !t.only(kObject) {
		return anyObject()
	}
	var props []Prop
	if names == nil { // some of all
		for _, p := range t.props {
			props = append(props, Prop{p.name, p.typ, true})
		}
		return bounded(ObjectOf(props, t.extra))
	}
	for _, name := range names {
		if p := t.prop(name); p != nil {
			props = append(props, Prop{name, p.typ, p.opt || !all})
		} else if t.extra != nil {
			props = append(props, Prop{name, t.extra, true})
		}
	}
	return bounded(ObjectOf(props, nil))
}

func omitType(t *Type, names []string, all bool) *Type {
	if t.dyn || !t.only(kObject) {
		return anyObject()
	}
	var props []Prop
	for _, p := range t.props {
		switch named := names == nil || slices.Contains(names, p.name); {
		case !named:
			props = append(props, Prop{p.name, p.typ, p.opt})
		case !all: // it may be left out
			props = append(props, Prop{p.name, p.typ, true})
		}
	}
	return bounded(ObjectOf(props, t.extra))
}

func withoutNullsType(t *Type) *Type {
	if t.dyn || !t.only(kObject) {
		return anyObject()
	}
	var props []Prop
	for _, p := range t.props {
		if !p.typ.only(kNull) {
			props = append(props, Prop{p.name, p.typ.nonNull(), p.opt || p.typ.nullable() || p.typ.dyn})
		}
	}
	extra := t.extra
	if extra != nil {
		extra = extra.nonNull()
	}
	return bounded(ObjectOf(props, extra))
}

// renameType is exact when the new names are constant texts.
func renameType(t, names *Type) *Type {
	if t.dyn || !t.only(kObject) {
		return anyObject()
	}
	loose := ObjectOf(nil, t.member())
	if names.dyn || !names.only(kObject) || names.extra != nil {
		return loose
	}
	var props []Prop
	for _, p := range t.props {
		name := p.name
		if to := names.prop(name); to != nil {
			s, ok := constantText(to.typ)
			if !ok || to.opt {
				return loose
			}
			name = s
		}
		props = append(props, Prop{name, p.typ, p.opt})
	}
	return bounded(ObjectOf(props, t.extra))
}

// defaultsType: what t lacks, or has as null, comes from others.
func defaultsType(t, others *Type) *Type {
	if t.dyn || others.dyn || !t.only(kObject) || !others.only(kObject) {
		return anyObject()
	}
	var props []Prop
	for _, p := range t.props {
		if !p.opt && !p.typ.nullable() && !p.typ.dyn {
			props = append(props, Prop{p.name, p.typ, false})
			continue
		}
		switch q := others.prop(p.name); {
		case q != nil:
			own := p.typ
			if !q.opt {
				own = own.nonNull()
			}
			props = append(props, Prop{p.name, union(own, q.typ), p.opt && q.opt})
		case others.extra != nil:
			props = append(props, Prop{p.name, union(p.typ, others.extra), p.opt})
		default:
			props = append(props, Prop{p.name, p.typ, p.opt})
		}
	}
	for _, q := range others.props {
		if t.prop(q.name) != nil {
			continue
		}
		typ := q.typ
		if t.extra != nil {
			typ = union(t.extra.nonNull(), typ)
			if q.opt {
				typ = union(t.extra, typ)
			}
		}
		props = append(props, Prop{q.name, typ, q.opt})
	}
	return bounded(ObjectOf(props, mergeExtra(t.extra, others.extra)))
}

// mergeDeepType is the type of a with the members of b, objects merged in turn.
func mergeDeepType(a, b *Type) *Type {
	switch {
	case a.only(kNull):
		return b
	case b.only(kNull):
		return a
	case a.dyn || b.dyn || !a.only(kObject) || !b.only(kObject) || a.extra != nil || b.extra != nil:
		return anyObject()
	}
	props := make([]Prop, 0, len(a.props)+len(b.props))
	for _, p := range a.props {
		q := b.prop(p.name)
		if q == nil {
			props = append(props, Prop{p.name, p.typ, p.opt})
			continue
		}
		merged := q.typ
		switch {
		case p.typ.only(kObject) && q.typ.only(kObject):
			merged = mergeDeepType(p.typ, q.typ)
		case p.typ.has(kObject) && q.typ.has(kObject):
			merged = Any()
		}
		switch {
		case q.opt:
			merged = union(p.typ, merged)
		case p.opt:
			merged = union(merged, q.typ)
		}
		props = append(props, Prop{p.name, merged, p.opt && q.opt})
	}
	for _, q := range b.props {
		if a.prop(q.name) == nil {
			props = append(props, Prop{q.name, q.typ, q.opt})
		}
	}
	return ObjectOf(props, nil)
}

// memberName checks s, an argument at n, as the name of a member of type t.
func (c *compiler) memberName(n ast.Node, t *Type, s string) (*Type, bool) {
	if t.dyn || t.nonNull().empty() {
		return Any(), true
	}
	return c.field(n, t, s)
}

// memberNames checks each of the names that the list at n, of type t, holds.
func (c *compiler) memberNames(n ast.Node, list, of *Type) bool {
	names, _ := namesOf(n, list)
	ok := true
	for _, name := range names {
		at := n
		if items, literal := n.(*ast.ArrayNode); literal {
			for _, x := range items.Nodes {
				if s, same := x.(*ast.StringNode); same && s.Value == name {
					at = x
				}
			}
		}
		_, known := c.memberName(at, of, name)
		ok = ok && known
	}
	return ok
}

// renames checks the names of the object at n that says how members of type of
// are renamed.
func (c *compiler) renames(n ast.Node, of *Type) bool {
	literal, ok := n.(*ast.MapNode)
	if !ok {
		return true
	}
	for _, x := range literal.Pairs {
		pair, _ := x.(*ast.PairNode)
		if pair == nil {
			continue
		}
		if s, constant := pair.Key.(*ast.StringNode); constant {
			_, known := c.memberName(pair.Key, of, s.Value)
			ok = ok && known
		}
	}
	return ok
}

// pathType is the type of what the path s, an argument at n, leads to in a value
// of type t; it may always be null.
func (c *compiler) pathType(n ast.Node, t *Type, s string) (*Type, bool) {
	for _, name := range strings.Split(s, ".") {
		t = t.nonNull()
		switch {
		case t.dyn || t.empty():
			return Any(), true
		case t.only(kList):
			if _, err := strconv.Atoi(name); err != nil {
				c.fail(n, CodeType, "take one item with its index, such as items.0", "%s has no field %s", t, clipName(name))
				return nil, false
			}
			t = t.item()
		case t.only(kObject):
			ft, ok := c.field(n, t, name)
			if !ok {
				return nil, false
			}
			t = ft
		case t.k&(kList|kObject) == 0:
			c.fail(n, c.typeCode(t), "", "%s has no field %s", t, clipName(name))
			return nil, false
		default:
			return Any(), true
		}
	}
	return t.orNull(), true
}
