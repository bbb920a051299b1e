package expr

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/expr-lang/expr/ast"
)

const secretHint = "give the secret whole to a field that takes one"

// callVar is name("literal") of a variable that is used so.
func (c *compiler) callVar(n *ast.CallNode) (v *Var, name string, ok bool) {
	callee, ok := n.Callee.(*ast.IdentifierNode)
	if !ok || len(n.Arguments) != 1 {
		return nil, "", false
	}
	_, v = c.scope.find(callee.Value)
	if v == nil || !v.Call {
		return nil, "", false
	}
	s, ok := n.Arguments[0].(*ast.StringNode)
	if !ok {
		return nil, "", false
	}
	return v, s.Value, true
}

// method refuses a.b(c), and says how a function is called.
func (c *compiler) method(n *ast.CallNode, callee *ast.MemberNode) (fn, *Type) {
	for _, a := range n.Arguments {
		c.node(a)
	}
	name := ""
	if s, ok := callee.Property.(*ast.StringNode); ok {
		name = s.Value
	}
	hint := "functions are called as name(value) or value | name()"
	fname := name
	if other := synonym(name); other != "" {
		fname = other
	}
	if _, ok := library[fname]; ok {
		hint = "write: … | " + fname + "()"
	}
	return c.fail(callee.Property, CodeUnsupported, hint, "values have no methods: %s", name)
}

func (c *compiler) call(n ast.Node, name string, args []ast.Node) (fn, *Type) {
	if slot, v := c.scope.find(name); v != nil {
		c.varying++
		return c.callScope(n, slot, v, args)
	}
	spec := library[name]
	if spec == nil {
		first := never()
		for i, a := range args {
			if _, t := c.node(a); i == 0 {
				first = t
			}
		}
		if c.probeName(name, first) {
			return constant(nil), Any()
		}
		return c.fail(n, CodeUnknownFunction, functionHint(name), "unknown function %s", name)
	}
	if len(args) < spec.required() || !spec.rest && len(args) > len(spec.params) {
		return c.fail(n, CodeArguments, "it is "+spec.signature(), "%s takes %s, not %d", name, spec.arity(), len(args))
	}
	runs := make([]fn, len(args))
	types := make([]*Type, len(args))
	ok := true
	for i, a := range args {
		runs[i], types[i] = c.node(a)
		c.probeArgument(a, spec.param(i).typ)
		ok = c.argument(a, spec, i, types[i]) && c.role(a, spec, i, types[i]) && c.constantArgument(a, spec, types[:i+1], &runs[i]) && ok
	}
	if !ok {
		return constant(nil), Any()
	}
	var exact *Type // where the arguments tell more than the table
	switch name {
	case "get":
		if key, ok := constantText(types[1]); ok && !types[0].has(kList) {
			return c.constantKey(args[1], key, runs[0], types[0])
		}
	case "getPath":
		if path, ok := constantText(types[1]); ok {
			t, ok := c.pathType(args[1], types[0], path)
			if !ok {
				return constant(nil), Any()
			}
			if len(types) > 2 {
				t = union(t.nonNull(), types[2])
			}
			exact = t
		}
	case "formatDate", "date":
		if len(args) > 1 {
			if s, ok := args[1].(*ast.StringNode); ok && goLayout(s.Value) != "" {
				return c.fail(s, CodeArguments, "write "+clip(goLayout(s.Value)), "%s isn't a layout of Go", clip(s.Value))
			}
		}
	case "secret":
		name, ok := args[0].(*ast.StringNode)
		if !ok {
			return c.fail(args[0], CodeSecret, `write secret("name")`, "the name of a secret must be a constant text")
		}
		if wrong, hint := secretName(name.Value); wrong != "" {
			return c.fail(name, CodeSecret, hint, "%s", wrong)
		}
		c.reads = append(c.reads, secretRead+name.Value+`")`)
	case "sort":
		if len(args) == 2 && !c.order(args[1], types[1]) {
			return constant(nil), Any()
		}
	case "max", "min":
		all := never()
		for _, t := range types {
			all = union(all, flat(t))
		}
		if !c.orderly(n, all, name) {
			return constant(nil), Any()
		}
	}
	if spec.varies {
		c.varying++
	}
	t := cmp.Or(exact, shapeType(name, args, types))
	if t == nil {
		t = spec.result(types)
	}
	at, do := c.at(n), spec.do
	if len(runs) == 1 {
		arg := runs[0]
		return func(f *frame) any {
			buf := [1]any{arg(f)}
			f.at = at
			f.step(4)
			f.alloc(16)
			return do(f, buf[:])
		}, t
	}
	return func(f *frame) any {
		var buf [4]any
		av := buf[:0]
		for _, r := range runs {
			av = append(av, r(f))
		}
		f.at = at
		f.step(3)
		f.alloc(64)
		return do(f, av)
	}, t
}

// argument checks one argument against its parameter.
func (c *compiler) argument(n ast.Node, spec *function, i int, t *Type) bool {
	if t.secret {
		c.fail(n, CodeSecret, secretHint, "a secret can't be given to %s", spec.name)
		return false
	}
	want := spec.param(i).typ
	if t.dyn || want.dyn || t.empty() {
		return true
	}
	if !want.nullable() {
		if t.only(kNull) || t.nullable() {
			c.fail(n, CodeMaybeNull, addDefault, "argument %d of %s may be absent", i+1, spec.name)
			return false
		}
	}
	fits := t.k&want.k != 0
	if fits && t.only(kList|kNull) && want.elem != nil && t.elem != nil {
		fits = t.elem.has(want.elem.k) || want.elem.dyn
	}
	if !fits {
		hint := "it is " + spec.signature()
		if spec.name == "concat" && t.only(kString) {
			hint = "join texts with +"
		}
		c.fail(n, CodeType, hint, "argument %d of %s must be %s, got %s", i+1, spec.name, article(want), t)
		return false
	}
	return true
}

func article(t *Type) string {
	s := t.String()
	if t.dyn {
		return s
	}
	if strings.ContainsRune("aeiou", rune(s[0])) {
		return "an " + s
	}
	return "a " + s
}

// constantKey is get(value, "key"): as value.key, and always T or null.
func (c *compiler) constantKey(key ast.Node, name string, base fn, bt *Type) (fn, *Type) {
	at := c.at(key)
	t, ok := c.field(key, bt, name)
	if !ok {
		return constant(nil), Any()
	}
	return func(f *frame) any { return f.member(base(f), name, at) }, t.orNull()
}

// callScope is step("entry"): a member by its constant name.
func (c *compiler) callScope(n ast.Node, slot int, v *Var, args []ast.Node) (fn, *Type) {
	if !v.Call {
		return c.fail(n, CodeUnsupported, "", "%s is a value, not a function", v.Name)
	}
	if len(args) != 1 {
		return c.fail(n, CodeArguments, fmt.Sprintf(`write %s("name")`, v.Name), "%s takes 1 argument, not %d", v.Name, len(args))
	}
	s, ok := args[0].(*ast.StringNode)
	if !ok {
		return c.fail(args[0], CodeArguments, fmt.Sprintf(`write %s("name")`, v.Name), "%s takes a constant text", v.Name)
	}
	t := known(v.Type)
	if c.probeMember(t, s.Value) {
		return constant(nil), Any()
	}
	if !t.dyn && t.prop(s.Value) == nil && t.extra == nil {
		return c.fail(s, CodeUnknownName, fieldHint(t, s.Value), "%s knows no %s", v.Name, clip(s.Value))
	}
	ft, ok := c.field(s, t, s.Value)
	if !ok {
		return constant(nil), Any()
	}
	p := place{slot: slot, names: []string{s.Value}, ats: []int{c.at(s)}}
	c.read(len(c.reads), &p)
	return p.walk(), c.narrowed(n, ft)
}
