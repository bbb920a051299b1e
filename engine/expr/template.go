package expr

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A Template is the value tree of a `with`: literals, lists, objects, and texts
// with ${{ }} in them. It is immutable.
type Template struct {
	kind templateKind
	typ  *Type
	// json is the value of a constant; value is the same, to be read.
	json  []byte
	value any
	// src is the source of a text or an expression.
	src     string
	run     fn        // of an expression
	parts   []segment // of a text
	items   []*Template
	members []Member
	// vars and loops are the most that any expression in the tree needs.
	vars, loops int
	// reads are the paths that a text or an expression may read, sorted.
	reads []string
	// fixed is the JSON of an expression that needs no data; nil otherwise.
	fixed []byte
	// to is the type of the field that it is written into, where a secret may
	// be; nil otherwise. See For.
	to *Type
}

type templateKind uint8

const (
	constantNode templateKind = iota
	expressionNode
	textNode
	listNode
	objectNode
	brokenNode // a literal that isn't JSON, or a reference that isn't secret()
)

// segment is a piece of a text: escaped literal text, or an expression.
type segment struct {
	text string
	json []byte // text as the inside of a JSON string
	run  fn     // nil for literal text
	at   int    // where the expression begins, in runes
}

// A Member is one named value of an object.
type Member struct {
	Name  string
	Value *Template
}

// Literal is a constant. The JSON is kept, not copied, and written out as it
// is; what isn't JSON fails when it is evaluated.
func Literal(json []byte) *Template {
	if err := CheckJSON(json, 0); err != nil {
		return &Template{kind: brokenNode, typ: Any(), src: "the literal isn't JSON: " + err.Error()}
	}
	return &Template{kind: constantNode, typ: bounded(jsonType(json, 0)), json: json, value: NewRaw(json)}
}

// Text compiles a string of the document. Without ${{ it is a constant; one
// whole expression keeps its type; expressions with text around them make a
// text, in which null has no place. $${{ is a literal ${{.
func Text(src string, sc *Scope) (*Template, []Problem) {
	if !utf8.ValidString(src) {
		return nil, []Problem{{Line: 1, Column: 1, Code: CodeUTF8, Message: "the text isn't valid UTF-8"}}
	}
	parts, err := scan(src, sc.sourceLimit())
	switch {
	case err != nil:
		return nil, err.problems(src)
	case len(parts) == 1 && !parts[0].expr:
		return Literal(append(appendEscaped([]byte{'"'}, parts[0].text), '"')), nil
	case len(parts) == 1:
		return expression(src, parts[0], sc)
	}
	t := &Template{kind: textNode, typ: StringType(), src: src, parts: make([]segment, len(parts))}
	var problems []Problem
	for i, p := range parts {
		if !p.expr {
			t.parts[i] = segment{text: p.text, json: appendEscaped(nil, p.text)}
			continue
		}
		prog, ps := compileAt(src, p.text, p.at, sc)
		problems = append(problems, ps...)
		if prog == nil {
			continue
		}
		at := p.at + leadingSpace(p.text)
		if ps := textable(src, at, prog.typ); ps != nil {
			problems = append(problems, *ps)
		}
		t.parts[i] = segment{run: prog.run, at: at}
		t.vars, t.loops = max(t.vars, prog.vars), max(t.loops, prog.loops)
		t.reads = append(t.reads, prog.reads...)
	}
	t.reads = distinct(t.reads)
	if len(problems) > 0 {
		return nil, problems[:min(len(problems), maxProblems)]
	}
	return t, nil
}

func leadingSpace(s string) int {
	return len(s) - len(strings.TrimLeft(s, " \t\r\n"))
}

// textable checks that the value of the expression at rune at can be part of a
// text.
func textable(src string, at int, t *Type) *Problem {
	line, column := position(src, at)
	switch {
	case t.secret:
		return &Problem{Line: line, Column: column, Code: CodeSecret, Message: "a secret can't be part of a text", Hint: secretHint}
	case t.nullable():
		return &Problem{Line: line, Column: column, Code: CodeMaybeNull, Message: "the value may be absent, and would be part of a text", Hint: addDefault}
	}
	return nil
}

// Expr compiles an expression that stands bare, as in `if: a == b`, or whole in
// ${{ }}.
func Expr(src string, sc *Scope) (*Template, []Problem) {
	if !strings.HasPrefix(strings.TrimSpace(src), opening) {
		return expression(src, part{text: src, expr: true}, sc)
	}
	parts, err := scan(src, sc.sourceLimit())
	if err != nil {
		return nil, err.problems(src)
	}
	var only *part
	for i := range parts {
		switch p := &parts[i]; {
		case p.expr && only == nil:
			only = p
		case p.expr || strings.TrimSpace(p.text) != "":
			return nil, []Problem{{
				Line: 1, Column: 1, Code: CodeSyntax, Message: "one expression is expected, not a text",
				Hint: "write all of it in one ${{ }}, or none of it",
			}}
		}
	}
	if only == nil {
		return nil, unclosed().problems(src)
	}
	return expression(src, *only, sc)
}

func expression(src string, p part, sc *Scope) (*Template, []Problem) {
	prog, problems := compileAt(src, p.text, p.at, sc)
	if prog == nil {
		return nil, problems
	}
	return &Template{kind: expressionNode, typ: prog.typ, src: src, run: prog.run, vars: prog.vars, loops: prog.loops, reads: prog.reads, fixed: prog.fixed}, nil
}

func (s *Scope) sourceLimit() int {
	if s == nil {
		return Limits{}.withDefaults().Source
	}
	return s.limits.withDefaults().Source
}

func (e *scanError) problems(src string) []Problem {
	line, column := position(src, e.at)
	return []Problem{{Line: line, Column: column, Code: e.code, Message: e.msg, Hint: e.hint}}
}

// List is a list of values. Without expressions in it, it is a constant.
func List(items []*Template) *Template {
	t := &Template{kind: listNode, items: items}
	elem := never()
	fixed := true
	for _, x := range items {
		elem = union(elem, x.typ)
		fixed = fixed && x.kind == constantNode
		t.vars, t.loops = max(t.vars, x.vars), max(t.loops, x.loops)
	}
	if fixed {
		b := []byte{'['}
		for i, x := range items {
			b = append(comma(b, i), x.json...)
		}
		return Literal(append(b, ']'))
	}
	t.typ = ListOf(elem)
	return t
}

// Object is an object with these members, in this order; of two with one name
// the last counts. Names are never interpolated. Without expressions in it, it
// is a constant.
func Object(members []Member) *Template {
	t := &Template{kind: objectNode, members: lastOfEach(members)}
	props := make([]Prop, 0, len(members))
	fixed := true
	for _, m := range t.members {
		props = append(props, Prop{Name: m.Name, Type: m.Value.typ})
		fixed = fixed && m.Value.kind == constantNode
		t.vars, t.loops = max(t.vars, m.Value.vars), max(t.loops, m.Value.loops)
	}
	if fixed {
		b := []byte{'{'}
		for i, m := range t.members {
			b = append(comma(b, i), '"')
			b = append(appendEscaped(b, m.Name), '"', ':')
			b = append(b, m.Value.json...)
		}
		return Literal(append(b, '}'))
	}
	t.typ = bounded(ObjectOf(props, nil))
	return t
}

func lastOfEach(members []Member) []Member {
	last := make(map[string]int, len(members))
	for i, m := range members {
		last[m.Name] = i
	}
	out := make([]Member, 0, len(last))
	for i, m := range members {
		if last[m.Name] == i {
			out = append(out, m)
		}
	}
	return out
}

func comma(b []byte, i int) []byte {
	if i > 0 {
		return append(b, ',')
	}
	return b
}

// Type is that of the value.
func (t *Template) Type() *Type { return t.typ }

// Constant gives the JSON of a template without expressions. It must not be
// changed.
func (t *Template) Constant() (json []byte, ok bool) {
	return t.json, t.kind == constantNode
}

// Fixed gives the JSON of a whole expression that needs no data, so that it can
// be held to its place when it is compiled; false for all others. It must not be
// changed.
func (t *Template) Fixed() (json []byte, ok bool) { return t.fixed, t.fixed != nil }

// Eval gives the value, or an *Error. An object is a map, which has lost the
// order of its members.
func (t *Template) Eval(env *Env) (value any, err error) {
	f := newFrame(env, t.vars, t.loops)
	defer func() {
		if r := recover(); r != nil {
			value, err = nil, t.caught(f, r)
		}
		f.release()
	}()
	return t.eval(f), nil
}

// AppendJSON appends the value's JSON to dst, all of it within one budget. On
// an *Error what it gives is dst as it was.
func (t *Template) AppendJSON(dst []byte, env *Env) (out []byte, err error) {
	if t.kind == constantNode {
		return append(dst, t.json...), nil
	}
	f := newFrame(env, t.vars, t.loops)
	defer func() {
		if r := recover(); r != nil {
			out, err = dst, t.caught(f, r)
		}
		f.release()
	}()
	return t.appendTo(dst, f), nil
}

// caught makes the error of a panic in the place that the frame's trail leads
// to.
func (t *Template) caught(f *frame, r any) *Error {
	at, pointer := t, ""
	for _, i := range f.trail {
		switch {
		case at.kind == listNode && i < len(at.items):
			pointer += "/" + strconv.Itoa(i)
			at = at.items[i]
		case at.kind == objectNode && i < len(at.members):
			pointer += "/" + pointerName(at.members[i].Name)
			at = at.members[i].Value
		}
	}
	e := f.caught(r, at.src)
	e.Pointer = pointer
	return e
}

func (t *Template) eval(f *frame) any {
	f.at = -1
	switch t.kind {
	case constantNode:
		return t.value
	case expressionNode:
		return t.run(f)
	case textNode:
		return t.text(f)
	case listNode:
		f.alloc(24 + 16*len(t.items))
		out := make([]any, len(t.items))
		for i, x := range t.items {
			f.trail = append(f.trail, i)
			out[i] = x.eval(f)
			f.trail = f.trail[:len(f.trail)-1]
		}
		return out
	case objectNode:
		f.alloc(48 + 64*len(t.members))
		out := make(map[string]any, len(t.members))
		for i, m := range t.members {
			f.trail = append(f.trail, i)
			out[m.Name] = m.Value.eval(f)
			f.trail = f.trail[:len(f.trail)-1]
		}
		return out
	case brokenNode:
		f.fail("%s", t.src)
	}
	panic(fmt.Sprintf("template of kind %d", t.kind))
}

func (t *Template) appendTo(b []byte, f *frame) []byte {
	f.at = -1
	if t.to != nil {
		return f.appendFor(b, t.eval(f), t.to, 0)
	}
	switch t.kind {
	case constantNode:
		f.copied(len(t.json))
		return append(b, t.json...)
	case textNode:
		return t.appendText(b, f)
	case listNode:
		b = append(b, '[')
		for i, x := range t.items {
			f.trail = append(f.trail, i)
			b = x.appendTo(comma(b, i), f)
			f.trail = f.trail[:len(f.trail)-1]
		}
		return append(b, ']')
	case objectNode:
		b = append(b, '{')
		for i, m := range t.members {
			f.trail = append(f.trail, i)
			b = append(comma(b, i), '"')
			b = append(appendEscaped(b, m.Name), '"', ':')
			b = m.Value.appendTo(b, f)
			f.trail = f.trail[:len(f.trail)-1]
		}
		return append(b, '}')
	default: // an expression, or a broken node, which fails
		return f.appendJSON(b, t.eval(f), 0)
	}
}

// text joins the parts. A text of few parts takes one allocation.
func (t *Template) text(f *frame) string {
	var buf [8]string
	texts := buf[:0]
	n := 0
	for i := range t.parts {
		p := &t.parts[i]
		s := p.text
		if p.run != nil {
			s = p.value(f)
		}
		n += len(s)
		texts = append(texts, s)
	}
	f.alloc(n)
	var b strings.Builder
	b.Grow(n)
	for _, s := range texts {
		b.WriteString(s)
	}
	return b.String()
}

// value is the text of an expression's value.
func (p *segment) value(f *frame) string {
	v := p.run(f)
	if s, ok := v.(string); ok {
		return s
	}
	f.at = p.at
	return f.text(v)
}

func (t *Template) appendText(b []byte, f *frame) []byte {
	b = append(b, '"')
	for i := range t.parts {
		p := &t.parts[i]
		if p.run == nil {
			b = append(b, p.json...)
			continue
		}
		s := p.value(f)
		f.alloc(2 * len(s))
		f.step(len(s) / 16)
		b = appendEscaped(b, s)
	}
	return append(b, '"')
}

// jsonType is the type of a constant.
func jsonType(b []byte, depth int) *Type {
	if depth > 64 {
		return Any()
	}
	switch v := NewRaw(b).(type) {
	case nil:
		return Null()
	case bool:
		t := Bool()
		t.enum = []any{v}
		return t
	case string:
		return Enum(v)
	case int:
		return Int()
	case *Raw:
		if v.isList() {
			return listType(v.b, depth)
		}
		x := v.index()
		var props []Prop
		for i, end := x.members(v); i < end; {
			m := &x.entries[i]
			i = m.next
			props = append(props, Prop{Name: m.name(v, 0), Type: jsonType(v.b[m.from:m.to], depth+1)})
		}
		return ObjectOf(props, nil)
	}
	return Number()
}

func listType(b []byte, depth int) *Type {
	elem := never()
	i := skipSpace(b, 1)
	for b[i] != ']' {
		end := skipValue(b, i)
		if elem = union(elem, jsonType(b[i:end], depth+1)); elem.dyn {
			break
		}
		i = skipSpace(b, end)
		if b[i] == ',' {
			i = skipSpace(b, i+1)
		}
	}
	return ListOf(elem)
}
