package expr

import (
	"slices"
	"strings"

	"github.com/expr-lang/expr/ast"
)

// role is what else than its type a parameter says of its argument.
type role uint8

const (
	isPattern role = iota + 1 // a regular expression
	isZone                    // a time zone
	isUnit                    // a unit of time, of which the plural is taken, too
	isPresent                 // any value but null
	isTexts                   // items, or members, of which text is made: not null
	isField                   // a member of the items of the first argument
	isNames                   // members of the first argument, in a list
	isRenames                 // members of the first argument, by their names
	isPath                    // a path in the first argument
	isOrdered                 // items that can be put in order, or such a value
	isNumbers                 // items that are numbers, or a number
)

const addCompact = "leave the nulls out with compact(), or give each a default: map(list, # ?? …)"

// role checks the argument i, of type t, for what its parameter says beside the
// type. Arguments of which nothing is known pass: they are checked when they are
// used.
func (c *compiler) role(n ast.Node, spec *function, i int, t *Type) bool {
	if t.dyn || t.empty() {
		return true
	}
	is := spec.param(i).is
	if t.nullable() && (is == isPresent || is == isOrdered || is == isNumbers) {
		c.fail(n, CodeMaybeNull, addDefault, "argument %d of %s may be absent", i+1, spec.name)
		return false
	}
	if is == isTexts {
		each := t.item()
		if t.only(kObject) {
			each = t.member()
		}
		if each.nullable() {
			c.fail(n, CodeMaybeNull, addCompact, "an item of argument %d of %s may be absent", i+1, spec.name)
			return false
		}
	}
	if is == isOrdered {
		return c.orderly(n, flat(t), spec.name)
	}
	if is == isNumbers {
		each := flat(t)
		if !c.itemsPresent(n, each, spec.name) {
			return false
		}
		if !each.dyn && each.k&^(kNumber|kList) != 0 {
			c.fail(n, CodeType, "it is "+spec.signature(), "%s needs numbers, got %s", spec.name, t)
			return false
		}
	}
	return true
}

// constantText gives the text that a value of type t always is.
func constantText(t *Type) (string, bool) {
	if t.dyn || len(t.enum) != 1 || !t.only(kString) {
		return "", false
	}
	s, ok := t.enum[0].(string)
	return s, ok
}

// constantArgument checks the argument i, the last of types so far, when it is a
// constant text, or holds such, and prepares it.
func (c *compiler) constantArgument(n ast.Node, spec *function, types []*Type, run *fn) bool {
	i := len(types) - 1
	t := types[i]
	p := spec.param(i)
	if p.is == isNames {
		return c.memberNames(n, t, types[0])
	}
	if p.is == isRenames {
		return c.renames(n, types[0])
	}
	s, ok := constantText(t)
	if !ok {
		return true
	}
	if p.is == isPattern {
		return c.patternArgument(n, s, run)
	}
	if p.is == isField {
		return c.fieldArgument(n, spec.name, types[0].item(), s)
	}
	if p.is == isPath {
		_, ok := c.pathType(n, types[0], s)
		return ok
	}
	if p.is == isZone {
		if _, err := c.attempt(func(f *frame) any { return f.zone(s) }); err != nil {
			c.fail(n, CodeEnum, zoneHint(s), "unknown zone %s", clip(s))
			return false
		}
		return true
	}
	if p.is == isUnit {
		s = strings.TrimSuffix(s, "s")
	}
	if p.typ != nil && p.typ.only(kString) && len(p.typ.enum) > 0 && !slices.Contains(p.typ.enum, any(s)) && spec.name != "sort" {
		c.unlisted(n, p.typ, s)
		return false
	}
	return true
}

// patternArgument compiles a constant regular expression with the expression.
func (c *compiler) patternArgument(n ast.Node, s string, run *fn) bool {
	re, size, err := compileRegexp(s, c.limits.Regexp)
	if err != nil {
		c.fail(n, CodeRegexp, "", "%v", err)
		return false
	}
	if _, literal := n.(*ast.StringNode); literal {
		*run = constant(&pattern{s, re, size})
	}
	return true
}

// fieldArgument checks s, an argument of the function name, as a field of
// objects of type t, and what the function does with it.
func (c *compiler) fieldArgument(n ast.Node, name string, t *Type, s string) bool {
	ft, ok := c.memberName(n, t, s)
	if !ok {
		return false
	}
	switch name {
	case "indexBy":
		if !c.present(n, ft) {
			return false
		}
	case "maxBy", "minBy":
		return c.orderly(n, ft.nonNull(), name)
	}
	return true
}

// flat is the type of a value, or of the items of a list and of the lists in it.
func flat(t *Type) *Type {
	if t.dyn || t.k&kList == 0 {
		return t
	}
	rest := *t
	rest.k &^= kList
	return union(&rest, flat(t.item()))
}

func (c *compiler) itemsPresent(n ast.Node, each *Type, name string) bool {
	if each.nullable() {
		c.fail(n, CodeMaybeNull, addCompact, "an item of %s may be absent", name)
		return false
	}
	return true
}

// orderly checks that values of type t, which name compares, are all texts, all
// numbers, all times or all durations.
func (c *compiler) orderly(n ast.Node, t *Type, name string) bool {
	if !c.itemsPresent(n, t, name) {
		return false
	}
	if !orderable(t) {
		c.fail(n, c.typeCode(t), "", "%s needs values of one kind that has an order: numbers, texts, times or durations; got %s", name, t)
		return false
	}
	return true
}

// orderable says that each value of type t can be compared with each other.
func orderable(t *Type) bool {
	if t.dyn || t.empty() {
		return true
	}
	for _, k := range []kinds{kNumber, kString, kTime, kDuration} {
		if t.only(k) {
			return true
		}
	}
	return false
}
