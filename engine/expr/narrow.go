package expr

import (
	"strconv"
	"strings"

	"github.com/expr-lang/expr/ast"
)

// Narrowing: after x != null, and in what it guards, x isn't null. Values don't
// change during an evaluation, so what is known of a path stays true. A path is
// written as its names and constant indexes, joined by a zero byte.

const (
	pathSep = "\x00"
	// indexMark stands before an index, so that it is no name.
	indexMark = "\x01"
)

// path gives the key of a path of constants from a name or from the item of a predicate, ""
// for anything else.
func (c *compiler) path(n ast.Node) string {
	switch n := n.(type) {
	case *ast.ChainNode:
		return c.path(n.Node)
	case *ast.IdentifierNode:
		return n.Value
	case *ast.PointerNode:
		switch n.Name {
		case "":
			return "#" + strconv.Itoa(len(c.items))
		case "acc":
			return "#acc" + strconv.Itoa(len(c.items))
		}
	case *ast.CallNode:
		if v, name, ok := c.callVar(n); ok {
			return v.Name + "()" + pathSep + name
		}
	case *ast.MemberNode:
		step := ""
		if s, ok := n.Property.(*ast.StringNode); ok {
			step = s.Value
		} else if i, ok := constantIndex(n.Property); ok {
			step = indexMark + strconv.Itoa(i)
		} else {
			return ""
		}
		if base := c.path(n.Node); base != "" {
			return base + pathSep + step
		}
	}
	return ""
}

// constantIndex gives the integer that n is.
func constantIndex(n ast.Node) (int, bool) {
	switch n := n.(type) {
	case *ast.IntegerNode:
		return n.Value, true
	case *ast.UnaryNode:
		if x, ok := n.Node.(*ast.IntegerNode); ok && n.Operator == "-" {
			return -x.Value, true
		}
	}
	return 0, false
}

// kept is the type of the items for which a predicate held, of which facts tell.
func kept(t *Type, item string, facts []string) *Type {
	for _, f := range facts {
		if f == item {
			t = t.nonNull()
		} else if rest, ok := strings.CutPrefix(f, item+pathSep); ok {
			t = withMember(t, strings.Split(rest, pathSep))
		}
	}
	return t
}

// withMember is the type of those values of type t in which the member that
// names lead to is there.
func withMember(t *Type, names []string) *Type {
	t = t.nonNull()
	if len(names) == 0 || !t.only(kObject) || strings.HasPrefix(names[0], indexMark) {
		return t
	}
	var member *Type
	props := make([]Prop, 0, len(t.props)+1)
	for _, p := range t.props {
		if p.name == names[0] {
			member = p.typ
			continue
		}
		props = append(props, Prop{p.name, p.typ, p.opt})
	}
	if member == nil {
		if member = t.extra; member == nil {
			return t
		}
	}
	return bounded(ObjectOf(append(props, Prop{names[0], withMember(member, names[1:]), false}), t.extra))
}

// facts gives the paths that aren't null when n is true, or when it is false.
func (c *compiler) facts(n ast.Node, when bool) []string {
	switch n := n.(type) {
	case *ast.UnaryNode:
		if n.Operator == "!" || n.Operator == "not" {
			return c.facts(n.Node, !when)
		}
	case *ast.BinaryNode:
		switch n.Operator {
		case "&&", "and":
			if when {
				return append(c.facts(n.Left, true), c.facts(n.Right, true)...)
			}
		case "||", "or":
			if !when {
				return append(c.facts(n.Left, false), c.facts(n.Right, false)...)
			}
		case "!=":
			return c.equalFacts(n, !when)
		case "==":
			return c.equalFacts(n, when)
		case "contains", "startsWith", "endsWith", "matches":
			if when { // null contains nothing
				return c.notNull(n.Left)
			}
		}
	}
	return nil
}

// equalFacts gives what is known when both sides of n are equal, or unequal.
func (c *compiler) equalFacts(n *ast.BinaryNode, equal bool) []string {
	if !equal {
		switch {
		case isNull(n.Right):
			return c.notNull(n.Left)
		case isNull(n.Left):
			return c.notNull(n.Right)
		}
		return nil
	}
	switch {
	case isLiteral(n.Right):
		return c.notNull(n.Left)
	case isLiteral(n.Left):
		return c.notNull(n.Right)
	}
	return nil
}

// notNull says that n isn't null, and so nothing on the way to it.
func (c *compiler) notNull(n ast.Node) []string {
	p := c.path(n)
	if p == "" {
		return nil
	}
	out := []string{p}
	for i := strings.LastIndex(p, pathSep); i > 0; i = strings.LastIndex(p[:i], pathSep) {
		out = append(out, p[:i])
	}
	return out
}

// where compiles under what the facts tell.
func (c *compiler) where(facts []string, do func()) {
	if len(facts) == 0 {
		do()
		return
	}
	outer := c.known
	c.known = make(map[string]bool, len(outer)+len(facts))
	for k := range outer {
		c.known[k] = true
	}
	for _, f := range facts {
		c.known[f] = true
	}
	do()
	c.known = outer
}

// narrowed is the type of a path under what is known here.
func (c *compiler) narrowed(n ast.Node, t *Type) *Type {
	if len(c.known) > 0 && t.nullable() && c.known[c.path(n)] {
		return t.nonNull()
	}
	return t
}

func isNull(n ast.Node) bool {
	if id, ok := n.(*ast.IdentifierNode); ok {
		return id.Value == "null"
	}
	_, ok := n.(*ast.NilNode)
	return ok
}

func isLiteral(n ast.Node) bool {
	switch n.(type) {
	case *ast.StringNode, *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return true
	}
	return false
}
