package expr

import (
	"slices"
	"strings"
	"time"

	"github.com/expr-lang/expr/ast"
)

func (c *compiler) unary(n *ast.UnaryNode) (fn, *Type) {
	if n.Operator == "!" || n.Operator == "not" {
		x := c.truth(n.Node, "the operand of "+n.Operator)
		return func(f *frame) any { return x(f) != true }, Bool()
	}
	x, t := c.node(n.Node)
	if !c.needs(n.Node, t, kNumber|kDuration, "the operand of "+n.Operator+" must be a number") {
		return constant(nil), Any()
	}
	at, negative := c.at(n), n.Operator == "-"
	return func(f *frame) any {
		v := x(f)
		f.at = at
		if !negative {
			if _, ok := v.(time.Duration); !ok && !isNumber(v) {
				f.wrong("a number", v)
			}
			return v
		}
		return f.negate(v)
	}, signed(t)
}

// signed is the type of a number after a change of its sign: its kinds, but not
// its possible values.
func signed(t *Type) *Type {
	if t.dyn {
		return t
	}
	return of(t.k & (kNumber | kDuration))
}

func (c *compiler) binary(n *ast.BinaryNode) (fn, *Type) {
	switch n.Operator {
	case "&&", "and", "||", "or":
		return c.logic(n)
	}
	if n.Operator == "-" && c.dashed(n) {
		return constant(nil), Any()
	}
	reads := c.varying
	l, lt := c.node(n.Left)
	r, rt := c.node(n.Right)
	at := c.at(n)
	switch op := n.Operator; op {
	case "??":
		return func(f *frame) any {
			if v := l(f); v != nil {
				return v
			}
			return r(f)
		}, union(lt.nonNull(), rt)
	case "==", "!=":
		return c.equality(n, l, r, lt, rt)
	case "<", ">", "<=", ">=":
		return c.ordering(n, l, r, lt, rt)
	case "+", "-", "*", "/", "%", "**", "^":
		t := arithType(op, lt, rt)
		if t == nil {
			return c.mismatch(n, lt, rt)
		}
		if !c.present(n.Left, lt) || !c.present(n.Right, rt) {
			return constant(nil), Any()
		}
		code := op[0]
		if op == "**" {
			code = '^'
		}
		if c.varying == reads {
			t = joined(op, lt, rt, t)
		}
		return func(f *frame) any {
			a, b := l(f), r(f)
			f.at = at
			f.step(1)
			f.alloc(16)
			return f.arith(code, a, b)
		}, t
	case "..":
		lok := c.needs(n.Left, lt, kNumber, "the bound of a range must be an integer")
		rok := c.needs(n.Right, rt, kNumber, "the bound of a range must be an integer")
		if !lok || !rok {
			return constant(nil), Any()
		}
		return func(f *frame) any {
			a, b := l(f), r(f)
			f.at = at
			return f.interval(a, b)
		}, ListOf(Int())
	case "in":
		if !rt.has(kList | kObject | kNull) {
			return c.mismatch(n, lt, rt)
		}
		if rt.only(kObject) && !c.needs(n.Left, lt, kString, "the name of a member must be a string") {
			return constant(nil), Any()
		}
		if list, ok := n.Right.(*ast.ArrayNode); ok {
			for _, x := range list.Nodes {
				if s, ok := x.(*ast.StringNode); ok {
					c.possible(x, n.Left, lt, s.Value)
				}
			}
		}
		if name, ok := constantText(lt); ok && rt.only(kObject|kNull) {
			if _, ok := c.memberName(n.Left, rt, name); !ok {
				return constant(nil), Any()
			}
		}
		if rt.only(kList|kNull) && apart(lt, rt.item()) {
			return c.fail(n, CodeType, "", "%s is never in %s", lt, rt)
		}
		return func(f *frame) any {
			a, b := l(f), r(f)
			f.at = at
			return f.contains(a, b)
		}, Bool()
	case "contains", "startsWith", "endsWith":
		if !lt.has(kString) && !lt.only(kNull) || !rt.has(kString) && !rt.only(kNull) {
			return c.mismatch(n, lt, rt)
		}
		return substring(op, l, r, at), Bool()
	case "matches":
		return c.matches(n, l, r, lt, rt)
	}
	return c.fail(n, CodeUnsupported, "", "the operator %s isn't supported", n.Operator)
}

func (c *compiler) mismatch(n *ast.BinaryNode, lt, rt *Type) (fn, *Type) {
	if lt.secret || rt.secret {
		return c.fail(n, CodeSecret, secretHint, "a secret can't be used with %s", n.Operator)
	}
	hint := ""
	if n.Operator == "+" && (lt.only(kString) || rt.only(kString)) {
		hint = "make a text of the other side with string()"
	}
	moment := kTime | kDuration
	if lt.only(kString|kNull) && rt.only(moment|kNull) || rt.only(kString|kNull) && lt.only(moment|kNull) {
		hint = "make a time of the text with date()"
	}
	if n.Operator == "contains" && lt.has(kList) {
		hint = "for an item of a list write: item in list"
	}
	return c.fail(n, CodeType, hint, "%s can't be used between %s and %s", n.Operator, lt, rt)
}

// dashed tells a.b-c, meant as one name, from a subtraction.
func (c *compiler) dashed(n *ast.BinaryNode) bool {
	right, ok := n.Right.(*ast.IdentifierNode)
	if !ok || c.local(right.Value) != nil {
		return false
	}
	if _, v := c.scope.find(right.Value); v != nil {
		return false
	}
	left, ok := n.Left.(*ast.MemberNode)
	if !ok {
		return false
	}
	name, ok := left.Property.(*ast.StringNode)
	if !ok || name.Location().To != n.Location().From || n.Location().To != right.Location().From {
		return false
	}
	c.node(left.Node)
	c.fail(right, CodeUnknownName, `a name with a dash is written in brackets: ["`+name.Value+"-"+right.Value+`"]`,
		"unknown name %s", right.Value)
	return true
}

func (c *compiler) logic(n *ast.BinaryNode) (fn, *Type) {
	or := n.Operator == "||" || n.Operator == "or"
	before := len(c.problems)
	l := c.truth(n.Left, "each side of "+n.Operator)
	var r fn
	c.where(c.facts(n.Left, !or), func() { r = c.truth(n.Right, "each side of "+n.Operator) })
	if or {
		c.orDefault(before)
	}
	return func(f *frame) any {
		if v := l(f); v == or {
			return v
		}
		return r(f)
	}, Bool()
}

// orDefault gives the conditions that failed since before the hint for the habit
// of x || "default".
func (c *compiler) orDefault(before int) {
	for i := before; i < len(c.problems); i++ {
		if p := &c.problems[i]; p.Hint == "" && strings.Contains(p.Message, "must be true or false") {
			p.Hint = "for a default write value ?? other"
		}
	}
}

func (c *compiler) equality(n *ast.BinaryNode, l, r fn, lt, rt *Type) (fn, *Type) {
	if lt.secret || rt.secret {
		return c.fail(n, CodeSecret, secretHint, "a secret can't be compared")
	}
	if apart(lt, rt) && !lt.nullable() && !rt.nullable() || filled(n.Left, n.Right) && lt.only(kList) && rt.only(kList) && apart(lt.item(), rt.item()) {
		return c.fail(n, CodeType, "", "%s is never equal to %s", lt, rt)
	}
	if s, ok := n.Right.(*ast.StringNode); ok {
		c.possible(s, n.Left, lt, s.Value)
	} else if s, ok := n.Left.(*ast.StringNode); ok {
		c.possible(s, n.Right, rt, s.Value)
	}
	at, want := c.at(n), n.Operator == "=="
	return func(f *frame) any {
		a, b := l(f), r(f)
		if x, ok := a.(string); ok {
			if y, ok := b.(string); ok {
				f.step(1 + len(x)/64)
				return (x == y) == want
			}
		}
		f.at = at
		return f.equal(a, b, 0) == want
	}, Bool()
}

// apart says that no value of type a is equal to one of type b. Null is equal to
// null alone.
func apart(a, b *Type) bool {
	return !a.dyn && !b.dyn && !a.empty() && !b.empty() && a.k&b.k == 0 && (a.k&kNumber == 0 || b.k&kNumber == 0)
}

// filled says that one of the nodes is a list with items in it.
func filled(nodes ...ast.Node) bool {
	return slices.ContainsFunc(nodes, func(n ast.Node) bool {
		l, ok := n.(*ast.ArrayNode)
		return ok && len(l.Nodes) > 0
	})
}

// possible checks the literal s, at n, against the possible values of what it
// is compared with.
func (c *compiler) possible(n, with ast.Node, t *Type, s string) {
	if c.probeText(t, s) {
		return
	}
	if isLiteral(with) || len(t.enum) == 0 || t.dyn || !t.only(kString|kNull) || slices.Contains(t.enum, any(s)) {
		return
	}
	c.unlisted(n, t, s)
}

// unlisted tells that s is none of the possible values of t.
func (c *compiler) unlisted(n ast.Node, t *Type, s string) {
	var texts []string
	for _, e := range t.enum {
		if x, ok := e.(string); ok {
			texts = append(texts, x)
		}
	}
	hint := didYouMean(Nearest(s, texts))
	if hint == "" && len(texts) <= 12 {
		hint = "possible are " + strings.Join(texts, ", ")
	}
	c.fail(n, CodeEnum, hint, "%s isn't one of the possible values", clip(s))
}

func (c *compiler) ordering(n *ast.BinaryNode, l, r fn, lt, rt *Type) (fn, *Type) {
	ok := lt.only(kNull) || rt.only(kNull)
	for _, k := range []kinds{kNumber, kString, kTime, kDuration} {
		ok = ok || lt.has(k) && rt.has(k)
	}
	if !ok {
		return c.mismatch(n, lt, rt)
	}
	if !c.present(n.Left, lt) || !c.present(n.Right, rt) {
		return constant(nil), Any()
	}
	at, op := c.at(n), n.Operator
	return func(f *frame) any {
		a, b := l(f), r(f)
		f.at = at
		f.step(1)
		o := f.compare(a, b)
		switch op {
		case "<":
			return o < 0
		case ">":
			return o > 0
		case "<=":
			return o <= 0
		}
		return o >= 0
	}, Bool()
}

// substring is contains, startsWith and endsWith. Null has no parts and is none.
func substring(op string, l, r fn, at int) fn {
	return func(f *frame) any {
		a, b := l(f), r(f)
		if a == nil || b == nil {
			return false
		}
		f.at = at
		s, part := f.str(a), f.str(b)
		f.step(1 + (len(s)+len(part))/16)
		switch op {
		case "contains":
			return strings.Contains(s, part)
		case "startsWith":
			return strings.HasPrefix(s, part)
		}
		return strings.HasSuffix(s, part)
	}
}

func (c *compiler) matches(n *ast.BinaryNode, l, r fn, lt, rt *Type) (fn, *Type) {
	if !lt.has(kString) && !lt.only(kNull) || !rt.has(kString) {
		return c.mismatch(n, lt, rt)
	}
	at := c.at(n)
	if s, ok := n.Right.(*ast.StringNode); ok {
		re, size, err := compileRegexp(s.Value, c.limits.Regexp)
		if err != nil {
			return c.fail(n.Right, CodeRegexp, "", "%v", err)
		}
		return func(f *frame) any {
			a := l(f)
			if a == nil {
				return false
			}
			f.at = at
			text := f.str(a)
			f.matching(text, size)
			return re.MatchString(text)
		}, Bool()
	}
	return func(f *frame) any {
		a, b := l(f), r(f)
		if a == nil || b == nil {
			return false
		}
		f.at = at
		text := f.str(a)
		re, size := f.pattern(b)
		f.matching(text, size)
		return re.MatchString(text)
	}, Bool()
}

// joined is the type of two texts that are joined: a constant one of two
// constants, as long as it can be a name. Others have type t.
func joined(op string, l, r, t *Type) *Type {
	a, aok := constantText(l)
	b, bok := constantText(r)
	if op == "+" && aok && bok && len(a)+len(b) <= 200 {
		return Enum(a + b)
	}
	return t
}

// arithType is the type of l op r, nil when there is none.
func arithType(op string, l, r *Type) *Type {
	if l.dyn && r.dyn || l.only(kNull) || r.only(kNull) || l.empty() || r.empty() {
		return Any()
	}
	plus, minus := op == "+", op == "-"
	// The kinds of result that the kinds of both sides allow.
	out := kinds(0)
	if plus && l.has(kString) && r.has(kString) {
		out |= kString
	}
	if (plus || minus) && l.has(kTime) && r.has(kDuration) || plus && l.has(kDuration) && r.has(kTime) {
		out |= kTime
	}
	if minus && l.has(kTime) && r.has(kTime) || (plus || minus) && l.has(kDuration) && r.has(kDuration) ||
		op == "*" && (l.has(kDuration) && r.has(kNumber) || l.has(kNumber) && r.has(kDuration)) ||
		op == "/" && l.has(kDuration) && r.has(kNumber) {
		out |= kDuration
	}
	if op == "/" && l.has(kDuration) && r.has(kDuration) {
		out |= kFloat
	}
	if l.has(kNumber) && r.has(kNumber) {
		switch {
		case l.only(kDecimal|kNull) || r.only(kDecimal|kNull):
			out |= kDecimal
		case op == "%" || l.only(kInt|kNull) && r.only(kInt|kNull) && (plus || minus || op == "*"):
			out |= kInt
		default:
			out |= kNumber
		}
	}
	switch {
	case out == 0:
		return nil
	case l.dyn || r.dyn:
		// One side decides when only one kind of result is left.
		if out == kString || out == kNumber || out == kTime || out == kDuration {
			return of(out)
		}
		return Any()
	}
	return of(out)
}
