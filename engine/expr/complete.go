package expr

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/conf"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/parser"
	"github.com/expr-lang/expr/parser/lexer"
)

// A Completion is what can be written at a cursor. Its zero value means that
// nothing is known there.
type Completion struct {
	// From and To enclose what an item's label replaces: the part of a name
	// around the cursor. They count runes from 0.
	From, To int
	// Items are the candidates that begin with what stands between From and
	// the cursor, upper and lower case being the same. Those that fit come
	// first; then come fields, variables and functions, each by name.
	Items []Item
}

// An Item is one candidate.
type Item struct {
	// Label is the text to put in.
	Label string
	// Kind is one of the Item constants.
	Kind string
	// Type is that of the value; for a function, of what it gives.
	Type string
	// Doc is a function's doc, or the description that a schema gives a field.
	Doc string
	// Detail is a function's signature, or how a name is written that a label
	// alone doesn't make: ["a-b"], step("…").
	Detail string
}

// Kinds of items.
const (
	ItemField    = "field"
	ItemFunction = "function"
	ItemVariable = "variable"
	ItemValue    = "value" // a text out of those that are possible
)

// marker is the name that stands for what is being written.
const marker = "zzCursor"

// Complete tells what can be written in src at the cursor, which counts runes
// from 0. src is an expression or, when it has a ${{, a text; outside of its
// expressions nothing is known. What stands behind the cursor doesn't matter:
// what stands before it is repaired until it parses, and typed as Compile does.
func Complete(src string, cursor int, sc *Scope) (out Completion) {
	defer func() {
		if recover() != nil {
			out = Completion{}
		}
	}()
	if !utf8.ValidString(src) {
		return Completion{}
	}
	at := (&byteCounter{s: src}).at(max(0, cursor))
	from, ok := expressionAround(src, at, sc.sourceLimit())
	if !ok {
		return Completion{}
	}
	c := &compiler{scope: sc, limits: Limits{}.withDefaults(), probe: &probe{}}
	if sc != nil {
		c.limits = sc.limits.withDefaults()
	}
	before := src[from:at]
	if len(before) > c.limits.Source {
		return Completion{}
	}
	repaired, fragment, ends := c.repair(before)
	if repaired == nil {
		return Completion{}
	}
	for _, attempt := range repaired {
		tree, err := parser.ParseWithConfig(attempt, &conf.Config{MaxNodes: uint(c.limits.Nodes)})
		if err != nil {
			continue
		}
		c.src = attempt
		c.node(tree.Node)
		break
	}
	rest := src[at:]
	if i := strings.IndexFunc(rest, ends); i >= 0 {
		rest = rest[:i]
	}
	cursor = utf8.RuneCountInString(src[:at])
	return Completion{
		From:  cursor - utf8.RuneCountInString(fragment),
		To:    cursor + utf8.RuneCountInString(rest),
		Items: c.candidates(fragment),
	}
}

// expressionAround gives the offset at which the expression around at begins.
func expressionAround(src string, at, limit int) (from int, ok bool) {
	if !strings.Contains(src, opening) {
		return 0, true
	}
	for i := 0; ; {
		j := strings.Index(src[i:], opening)
		if j < 0 {
			return 0, false
		}
		j += i
		from = j + len(opening)
		if at < from {
			return 0, false
		}
		if j > i && src[j-1] == '$' {
			i = from
			continue
		}
		n, err := closing(src[from:], limit)
		if err != nil || at <= from+n {
			return from, true
		}
		i = from + n + 2
	}
}

// repair gives sources that may parse and have the marker in the place of the
// cursor, the most probable first; the fragment that the marker replaces; and
// what ends it behind the cursor.
func (c *compiler) repair(before string) (attempts []string, fragment string, ends func(rune) bool) {
	start := len(before)
	for start > 0 {
		r, n := utf8.DecodeLastRuneInString(before[:start])
		if !inName(r) {
			break
		}
		start -= n
	}
	fragment, ends = before[start:], func(r rune) bool { return !inName(r) }
	src := before[:start] + marker
	tokens, err := lexer.Lex(file.NewSource(src))
	if err != nil {
		// Inside of a text that isn't closed, or of a comment.
		for _, quote := range []string{`"`, `'`, "`"} {
			src = before + marker + quote
			if tokens, err = lexer.Lex(file.NewSource(src)); err == nil {
				ends = func(r rune) bool { return string(r) == quote || r == '\n' || r == '}' }
				break
			}
		}
		if err != nil {
			return nil, "", nil
		}
		for _, t := range tokens {
			if t.Is(lexer.String) && strings.HasSuffix(t.Value, marker) {
				fragment = strings.TrimSuffix(t.Value, marker)
			}
		}
		if !strings.HasSuffix(before, fragment) {
			return nil, "", nil // it has escapes
		}
	}
	if !c.shallow(tokens) {
		return nil, "", nil
	}
	tail := open(tokens)
	for _, middle := range []string{"", "()", ",#", ":nil", ",nil"} {
		attempts = append(attempts, src+middle+tail)
	}
	return attempts, fragment, ends
}

func inName(r rune) bool {
	return r == '_' || r == '$' || unicode.IsLetter(r) || unicode.IsDigit(r)
}

// open gives what closes all that the tokens leave open: brackets, conditions
// and lets.
func open(tokens []lexer.Token) string {
	const otherwise, condition = "else{nil}", "{nil}else{nil}"
	var stack []string
	top := func() string {
		if len(stack) == 0 {
			return ""
		}
		return stack[len(stack)-1]
	}
	pop := func() { stack = stack[:len(stack)-1] }
	push := func(s string) { stack = append(stack, s) }
	for _, t := range tokens {
		switch {
		case t.Is(lexer.Bracket, "("):
			push(")")
		case t.Is(lexer.Bracket, "["):
			push("]")
		case t.Is(lexer.Bracket, "{"):
			if top() == condition {
				pop()
				push(otherwise)
			}
			push("}")
		case t.Kind == lexer.Bracket:
			// What the bracket closes is closed, and what is open in it.
			for i := len(stack) - 1; i >= 0; i-- {
				if stack[i] == t.Value {
					stack = stack[:i]
					break
				}
			}
		case t.Is(lexer.Operator, "?"):
			push(":nil")
		case t.Is(lexer.Operator, ":") && top() == ":nil":
			pop()
		case t.Is(lexer.Operator, "let"):
			push(";nil")
		case t.Is(lexer.Operator, ";"):
			for top() == ":nil" || top() == ";nil" {
				done := top() == ";nil"
				pop()
				if done {
					break
				}
			}
		case t.Is(lexer.Operator, "if"):
			push(condition)
		case t.Is(lexer.Operator, "else") && top() == otherwise:
			pop()
		case t.Is(lexer.Operator, ",") && top() == ":nil":
			pop()
		}
	}
	slices.Reverse(stack)
	return strings.Join(stack, "")
}

// probe is what the pass has found out about the marker's place. The first to
// find something wins.
type probe struct {
	found bool
	// base is what a member is asked of.
	base *Type
	// values are the texts that are possible.
	values []any
	// bare: a name of its own, or of a function; item and locals are what is
	// known there.
	bare, predicate bool
	item            *Type
	locals          []local
	// piped is the value that a function is to take.
	piped *Type
	// want is the type of the parameter that is written.
	want *Type
}

func marked(name string) bool { return strings.HasSuffix(name, marker) }

// probeMember says whether name is the marker, as a member of a value of
// type t.
func (c *compiler) probeMember(t *Type, name string) bool {
	if c.probe == nil || !marked(name) {
		return false
	}
	if !c.probe.found {
		c.probe.found, c.probe.base = true, t.nonNull()
	}
	return true
}

// probeName says whether name is the marker, as a variable or, when piped isn't
// nil, as a function that is to take a value.
func (c *compiler) probeName(name string, piped *Type) bool {
	if c.probe == nil || name != marker {
		return false
	}
	if p := c.probe; !p.found {
		p.found, p.bare, p.piped, p.locals = true, true, piped, slices.Clone(c.locals)
		if len(c.items) > 0 {
			p.predicate, p.item = true, c.items[len(c.items)-1].typ
		}
	}
	return true
}

// probeText says whether s is the marker, as one of the possible texts of t.
func (c *compiler) probeText(t *Type, s string) bool {
	if c.probe == nil || !marked(s) {
		return false
	}
	if !c.probe.found && len(t.enum) > 0 {
		c.probe.found, c.probe.values = true, t.enum
	}
	return true
}

// probeArgument notes what is wanted where n, the marker, is an argument.
func (c *compiler) probeArgument(n ast.Node, want *Type) {
	if c.probe == nil {
		return
	}
	switch n := n.(type) {
	case *ast.IdentifierNode:
		if n.Value == marker && c.probe.want == nil {
			c.probe.want = want
		}
	case *ast.StringNode:
		c.probeText(known(want), n.Value)
	}
}

func (c *compiler) candidates(fragment string) []Item {
	p := c.probe
	var out []Item
	add := func(label, kind string, t *Type, doc, detail string) {
		if label != "" && len(label) >= len(fragment) && strings.EqualFold(label[:len(fragment)], fragment) {
			out = append(out, Item{Label: label, Kind: kind, Type: t.String(), Doc: doc, Detail: detail})
		}
	}
	if !p.found {
		return nil
	}
	for _, v := range p.values {
		if s, ok := v.(string); ok {
			add(s, ItemValue, StringType(), "", "")
		}
	}
	fields := func(t *Type, prefix string) {
		for _, f := range t.props {
			detail := ""
			if !isName(f.name) {
				detail = "[" + quoted(f.name) + "]"
			}
			add(prefix+f.name, ItemField, f.read, f.typ.doc, detail)
		}
	}
	if p.base != nil {
		fields(p.base, "")
	}
	if !p.bare {
		return out
	}
	if p.piped == nil {
		if p.predicate {
			fields(p.item, ".")
			add("#", ItemVariable, p.item, "The item of the list.", "")
			add("#index", ItemVariable, Int(), "The item's index, from 0.", "")
		}
		for i := len(p.locals) - 1; i >= 0; i-- {
			add(p.locals[i].name, ItemVariable, p.locals[i].typ, "", "")
		}
		if c.scope != nil {
			for _, v := range c.scope.vars {
				if v.Name == "" {
					continue
				}
				detail := ""
				if v.Call {
					detail = v.Name + `("…")`
				}
				add(v.Name, ItemVariable, known(v.Type), known(v.Type).doc, detail)
			}
		}
	}
	for _, s := range ordered {
		if p.piped != nil && !s.takes(p.piped) || len(s.name) < len(fragment) {
			continue
		}
		if strings.EqualFold(s.name[:len(fragment)], fragment) {
			out = append(out, Item{Label: s.name, Kind: ItemFunction, Type: s.returns, Doc: s.doc, Detail: s.signature()})
		}
	}
	if p.want != nil && !p.want.dyn {
		c.fittingFirst(out)
	}
	return out
}

// fittingFirst moves up what has a type that the parameter takes.
func (c *compiler) fittingFirst(items []Item) {
	want := c.probe.want
	fits := map[string]bool{want.String(): true}
	note := func(t *Type) {
		if t.dyn || t.k&want.k != 0 {
			fits[t.String()] = true
		}
	}
	for _, v := range c.probe.locals {
		note(v.typ)
	}
	if c.scope != nil {
		for _, v := range c.scope.vars {
			if v.Name != "" {
				note(known(v.Type))
			}
		}
	}
	if c.probe.predicate {
		note(c.probe.item)
		for _, f := range c.probe.item.props {
			note(f.read)
		}
	}
	slices.SortStableFunc(items, func(a, b Item) int {
		switch x, y := fits[a.Type], fits[b.Type]; {
		case x && !y:
			return -1
		case y && !x:
			return 1
		}
		return 0
	})
}

// isName says whether s can stand behind a dot.
func isName(s string) bool {
	for i, r := range s {
		if !inName(r) || i == 0 && unicode.IsDigit(r) {
			return false
		}
	}
	return s != ""
}
