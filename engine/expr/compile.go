package expr

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/conf"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/parser"
	"github.com/expr-lang/expr/parser/lexer"
)

// Compile reads, types and compiles one expression. When there are problems,
// at most 20, there is no program.
func Compile(src string, sc *Scope) (*Program, []Problem) {
	return compileAt(src, src, 0, sc)
}

// compileAt compiles the expression expr, which begins at rune base of src.
func compileAt(src, expr string, base int, sc *Scope) (p *Program, problems []Problem) {
	c := &compiler{src: src, base: base, scope: sc}
	if sc != nil {
		c.limits = sc.limits
	}
	c.limits = c.limits.withDefaults()
	defer func() {
		if r := recover(); r != nil {
			c.report(0, CodeUnsupported, "", "internal error: %v", r)
			p, problems = nil, c.problems
		}
	}()
	tree := c.parse(expr)
	if tree == nil {
		return nil, c.problems
	}
	run, t := c.node(tree.Node)
	c.try()
	if len(c.problems) > 0 {
		return nil, c.problems
	}
	return &Program{
		run: run, typ: t, src: src, vars: c.slots, loops: c.nesting, reads: distinct(c.reads), fixed: c.fixed(run),
	}, nil
}

// compiler is the state of the one pass that gives each node its type and its
// closure.
type compiler struct {
	src      string
	base     int // where the expression begins in src, in runes
	scope    *Scope
	limits   Limits
	problems []Problem
	locals   []local
	items    []item
	// known are the paths that aren't null here; see narrow.go.
	known map[string]bool
	depth int
	// visits counts the nodes that were compiled.
	visits int
	// slots and nesting are what the frame must have room for.
	slots, nesting int
	// reads are the paths that were compiled; see source.go.
	reads []string
	// reduces is how many reduces the node stands in.
	reduces int
	// varying counts what was read that isn't in the source, or can't be tried;
	// trials are the constant parts; see trial.go.
	varying int
	trials  []trial
	// probe isn't nil while a completion is looked for.
	probe *probe
}

// local is a name that let has given.
type local struct {
	name string
	typ  *Type
	slot int
}

// item is what # and #acc are in one predicate.
type item struct {
	typ *Type
	acc *Type // nil outside of reduce
}

// report notes a problem at rune at of the expression.
func (c *compiler) report(at int, code, hint, format string, a ...any) {
	if len(c.problems) >= maxProblems {
		return
	}
	line, column := position(c.src, c.base+at)
	c.problems = append(c.problems, Problem{Line: line, Column: column, Code: code, Message: fmt.Sprintf(format, a...), Hint: hint})
}

// fail notes a problem; what it gives lets the pass go on.
func (c *compiler) fail(n ast.Node, code, hint, format string, a ...any) (fn, *Type) {
	c.varying++ // what is wrong isn't tried
	c.report(n.Location().From, code, hint, format, a...)
	return constant(nil), Any()
}

func constant(v any) fn { return func(*frame) any { return v } }

// at is a node's place as an evaluation reports it.
func (c *compiler) at(n ast.Node) int { return c.base + n.Location().From }

func (c *compiler) parse(src string) *parser.Tree {
	if len(src) > c.limits.Source {
		c.report(0, CodeTooLarge, "compute a part of it in a step of its own, with set",
			"the expression has %d bytes; at most %d are allowed (limits.expr_source)", len(src), c.limits.Source)
		return nil
	}
	if !utf8.ValidString(src) {
		c.report(0, CodeUTF8, "", "the expression isn't valid UTF-8")
		return nil
	}
	tokens, err := lexer.Lex(file.NewSource(src))
	if err == nil {
		if len(tokens) == 0 || tokens[0].Kind == lexer.EOF {
			c.report(0, CodeSyntax, "", "the expression is empty")
			return nil
		}
		if !c.shallow(tokens) {
			return nil
		}
	}
	tree, err := parser.ParseWithConfig(src, &conf.Config{MaxNodes: uint(c.limits.Nodes)})
	if err != nil {
		var fe *file.Error
		if !errors.As(err, &fe) {
			fe = &file.Error{Message: err.Error()}
		}
		code, msg := CodeSyntax, fe.Message
		if strings.Contains(msg, "maximum allowed nodes") {
			code, msg = CodeTooLarge, fmt.Sprintf("the expression has more than %d parts (limits.expr_nodes)", c.limits.Nodes)
		}
		c.report(syntaxPlace(src, tokens, fe), code, syntaxHint(tokens, fe.From, fe.Message), "%s", syntaxMessage(msg))
		return nil
	}
	return tree
}

// shallow bounds the parser's recursion, on tokens, before the parser runs.
func (c *compiler) shallow(tokens []lexer.Token) bool {
	depth, unary, branches := 0, 0, 0
	operand := false // the token before ends an operand
	for _, t := range tokens {
		switch t.Kind {
		case lexer.Bracket:
			if operand = strings.Contains(")]}", t.Value); operand {
				depth--
			} else {
				depth++
			}
		case lexer.Operator:
			switch t.Value {
			case "-", "+", "!", "not":
				if !operand {
					unary++
				}
			case "?", "**", "^", "let", "if", "else", "?:":
				branches++
			}
			operand = false
		default:
			operand = true
		}
		what, most, setting := "", 0, ""
		switch {
		case depth > c.limits.Brackets:
			what, most, setting = "brackets nest more than %d deep", c.limits.Brackets, "brackets"
		case unary > c.limits.Unary:
			what, most, setting = "there are more than %d unary operators", c.limits.Unary, "unary"
		case branches > c.limits.Branches:
			what, most, setting = "there are more than %d conditions, lets and powers", c.limits.Branches, "branches"
		default:
			continue
		}
		c.report(t.From, CodeTooLarge, "", what+" (limits.expr_%s)", most, setting)
		return false
	}
	return true
}

func (c *compiler) node(n ast.Node) (fn, *Type) {
	reads, trials := c.varying, len(c.trials)
	run, t := c.compile(n)
	c.constants(n, run, reads, trials)
	return run, t
}

func (c *compiler) compile(n ast.Node) (fn, *Type) {
	// The parser shares nodes: a < b < c has b twice, a ?: b has a twice. A
	// plain walk would be exponential.
	c.visits++
	if c.visits > c.limits.Visits {
		if c.visits == c.limits.Visits+1 {
			c.fail(n, CodeTooLarge, "name the repeated parts with let", "the expression is too large: nested chains of comparisons or ?: (limits.expr_visits)")
		}
		return constant(nil), Any()
	}
	c.depth++
	defer func() { c.depth-- }()
	if c.depth > c.limits.Depth {
		return c.fail(n, CodeTooLarge, "", "the expression is nested more than %d deep (limits.expr_depth)", c.limits.Depth)
	}
	switch n := n.(type) {
	case *ast.NilNode:
		return constant(nil), Null()
	case *ast.BoolNode:
		t := Bool()
		t.enum = []any{n.Value}
		return constant(n.Value), t
	case *ast.IntegerNode:
		return constant(n.Value), Int()
	case *ast.FloatNode:
		return constant(n.Value), of(kFloat)
	case *ast.StringNode:
		return constant(n.Value), Enum(n.Value)
	case *ast.ChainNode:
		return c.node(n.Node)
	case *ast.IdentifierNode:
		return c.ident(n)
	case *ast.PointerNode:
		return c.pointer(n)
	case *ast.MemberNode:
		return c.member(n)
	case *ast.SliceNode:
		return c.slice(n)
	case *ast.UnaryNode:
		return c.unary(n)
	case *ast.BinaryNode:
		return c.binary(n)
	case *ast.ConditionalNode:
		return c.conditional(n)
	case *ast.VariableDeclaratorNode:
		return c.let(n)
	case *ast.SequenceNode:
		return c.sequence(n)
	case *ast.ArrayNode:
		return c.array(n)
	case *ast.MapNode:
		return c.object(n)
	case *ast.BuiltinNode:
		if isPredicate(n.Name) {
			return c.predicate(n)
		}
		return c.call(n, n.Name, n.Arguments)
	case *ast.CallNode:
		switch callee := n.Callee.(type) {
		case *ast.IdentifierNode:
			return c.call(n, callee.Value, n.Arguments)
		case *ast.MemberNode:
			return c.method(n, callee)
		}
		return c.fail(n, CodeUnsupported, "", "only a function of the library can be called, by its name")
	case *ast.BytesNode:
		return c.fail(n, CodeUnsupported, "write the text without the b", "texts of bytes aren't supported")
	}
	return c.fail(n, CodeUnsupported, "", "this syntax isn't supported")
}

// truth compiles a condition.
func (c *compiler) truth(n ast.Node, what string) fn {
	run, t := c.node(n)
	if !c.needs(n, t, kBool, what+" must be true or false") {
		return constant(false)
	}
	at := c.at(n)
	return func(f *frame) any {
		v := run(f)
		if b, ok := v.(bool); ok {
			return b
		}
		f.at = at
		f.wrong("true or false", v)
		return false
	}
}

// needs checks that a value can be of kinds k, and is there.
func (c *compiler) needs(n ast.Node, t *Type, k kinds, what string) bool {
	if !t.has(k) && !t.only(kNull) {
		c.fail(n, c.typeCode(t), "", "%s, got %s", what, t)
		return false
	}
	return c.present(n, t)
}

func (c *compiler) typeCode(t *Type) string {
	if t.secret {
		return CodeSecret
	}
	return CodeType
}

// present checks that a value isn't known to be null at times.
func (c *compiler) present(n ast.Node, t *Type) bool {
	switch {
	case t.only(kNull):
		c.fail(n, CodeMaybeNull, addDefault, "the value is always null")
		return false
	case t.nullable():
		c.fail(n, CodeMaybeNull, addDefault, "the value may be absent")
		return false
	}
	return true
}

func (c *compiler) conditional(n *ast.ConditionalNode) (fn, *Type) {
	before := len(c.problems)
	cond := c.truth(n.Cond, "a condition")
	if n.Cond == n.Exp1 { // a ?: b
		c.orDefault(before)
	}
	var yes, no fn
	var yt, nt *Type
	c.where(c.facts(n.Cond, true), func() { yes, yt = c.node(n.Exp1) })
	c.where(c.facts(n.Cond, false), func() { no, nt = c.node(n.Exp2) })
	return func(f *frame) any {
		if cond(f) == true {
			return yes(f)
		}
		return no(f)
	}, union(yt, nt)
}

func (c *compiler) let(n *ast.VariableDeclaratorNode) (fn, *Type) {
	value, vt := c.node(n.Value)
	if _, v := c.scope.find(n.Name); v != nil || c.local(n.Name) != nil || n.Name == "null" {
		c.fail(n, CodeDuplicate, "choose another name", "%s is already the name of something else", n.Name)
	}
	slot := c.slots
	c.slots++
	c.locals = append(c.locals, local{n.Name, vt, slot})
	body, bt := c.node(n.Expr)
	c.locals = c.locals[:len(c.locals)-1]
	return func(f *frame) any {
		f.vars[slot] = value(f)
		return body(f)
	}, bt
}

func (c *compiler) local(name string) *local {
	for i := len(c.locals) - 1; i >= 0; i-- {
		if c.locals[i].name == name {
			return &c.locals[i]
		}
	}
	return nil
}

// sequence is a; b; c. All but the last are only computed.
func (c *compiler) sequence(n *ast.SequenceNode) (fn, *Type) {
	runs := make([]fn, len(n.Nodes))
	var t *Type
	for i, x := range n.Nodes {
		runs[i], t = c.node(x)
	}
	return func(f *frame) (v any) {
		for _, r := range runs {
			v = r(f)
		}
		return v
	}, t
}

func (c *compiler) array(n *ast.ArrayNode) (fn, *Type) {
	runs := make([]fn, len(n.Nodes))
	elem := never()
	for i, x := range n.Nodes {
		var t *Type
		runs[i], t = c.node(x)
		elem = union(elem, t)
	}
	return func(f *frame) any {
		f.alloc(24 + 16*len(runs))
		out := make([]any, len(runs))
		for i, r := range runs {
			out[i] = r(f)
		}
		return out
	}, ListOf(elem)
}

func (c *compiler) object(n *ast.MapNode) (fn, *Type) {
	type pair struct {
		name       string // when key is nil
		key, value fn
		at         int
	}
	pairs := make([]pair, len(n.Pairs))
	seen := make(map[string]bool, len(n.Pairs))
	props := make([]Prop, 0, len(n.Pairs))
	var extra *Type
	for i, x := range n.Pairs {
		pn, ok := x.(*ast.PairNode)
		if !ok {
			return c.fail(n, CodeUnsupported, "", "this syntax isn't supported")
		}
		p := pair{at: c.at(pn.Key)}
		s, literal := pn.Key.(*ast.StringNode)
		if literal {
			p.name = s.Value
			if seen[p.name] {
				c.fail(pn.Key, CodeDuplicate, "", "the key %s is given twice", clip(p.name))
			}
			seen[p.name] = true
		} else {
			var kt *Type
			p.key, kt = c.node(pn.Key)
			c.needs(pn.Key, kt, kString, "a key must be a string")
		}
		var t *Type
		p.value, t = c.node(pn.Value)
		if literal {
			props = append(props, Prop{Name: p.name, Type: t})
		} else {
			extra = mergeExtra(extra, t)
		}
		pairs[i] = p
	}
	t := bounded(ObjectOf(props, extra))
	return func(f *frame) any {
		f.alloc(48 + 64*len(pairs))
		out := make(map[string]any, len(pairs))
		for i := range pairs {
			p := &pairs[i]
			name := p.name
			if p.key != nil {
				k := p.key(f)
				f.at = p.at
				name = f.key(f.str(k))
			}
			v := p.value(f)
			if _, twice := out[name]; twice {
				f.at = p.at
				f.fail("the key %s is given twice", clip(name))
			}
			out[name] = v
		}
		return out
	}, t
}

// key charges for a computed key of an object.
func (f *frame) key(k string) string {
	if len(k) > f.limits.Key {
		f.exceeded(fmt.Sprintf("a key of %d bytes; at most %d are allowed (limits.expr_key)", len(k), f.limits.Key))
	}
	f.alloc(len(k) + 16)
	return k
}
