package graph

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// yamlReader turns YAML's nodes into a tree, and tells what the strict profile
// (security.md 12) refuses: anchors, aliases, tags, merge keys, duplicate keys,
// keys that aren't text, and numbers that YAML's versions read differently.
type yamlReader struct {
	lines []string
	// rest is what follows the column of the line, of the last node looked at.
	line, column int
	rest         string

	lim      Limits
	problems *problems
}

func readYAML(src []byte, lim Limits, p *problems) *Value {
	node, err := firstDocument(src)
	if err != nil {
		p.add(yamlProblem(err))
		p.fatal = true
		return nil
	}
	r := &yamlReader{lines: strings.Split(string(src), "\n"), lim: lim, problems: p}
	return r.value(node.Content[0], nil, 1)
}

var errEmpty = errors.New("the document is empty")

// firstDocument parses src, which must hold one document. The parser ends at a
// depth of 10,000 by itself, and needs time that grows with the size alone.
func firstDocument(src []byte) (node *yaml.Node, err error) {
	defer func() {
		if r := recover(); r != nil {
			node, err = nil, fmt.Errorf("the document can't be read: %v", r)
		}
	}()
	dec := yaml.NewDecoder(bytes.NewReader(src))
	var doc, more yaml.Node
	switch err := dec.Decode(&doc); {
	case errors.Is(err, io.EOF):
		return nil, errEmpty
	case err != nil:
		return nil, err
	case len(doc.Content) != 1:
		return nil, errEmpty
	}
	switch err := dec.Decode(&more); {
	case errors.Is(err, io.EOF):
		return &doc, nil
	case err != nil:
		return nil, err
	}
	return nil, fmt.Errorf("line %d: the source must hold one document; another one begins here", more.Line)
}

// yamlProblem takes the line out of the parser's message.
func yamlProblem(err error) Problem {
	p := Problem{Code: "syntax", Message: strings.TrimPrefix(err.Error(), "yaml: ")}
	if rest, ok := strings.CutPrefix(p.Message, "line "); ok {
		n, msg, _ := strings.Cut(rest, ": ")
		if line, err := strconv.Atoi(n); err == nil {
			p.Line, p.Message = line, msg
		}
	}
	if strings.HasPrefix(p.Message, "exceeded max depth") {
		p.Code, p.Message = "limit", "the document is nested too deep"
	}
	if strings.HasPrefix(p.Message, "mapping values are not allowed") {
		p.Suggestion = `put a value that has ": " in it, such as an expression with a ? b : c, in quotes`
	}
	return p
}

func (r *yamlReader) refuse(n *yaml.Node, at *path, msg string) {
	r.problems.add(Problem{Pointer: at.String(), Line: n.Line, Column: n.Column, Code: "not_allowed", Message: msg})
}

// profile tells what decorates a node.
func (r *yamlReader) profile(n *yaml.Node, at *path) {
	if n.Anchor != "" {
		r.refuse(n, at, "anchors are not allowed: the anchor &"+clip(n.Anchor)+" must be left out")
	}
	if n.Style&yaml.TaggedStyle != 0 || r.first(n) == '!' {
		r.refuse(n, at, "tags are not allowed: the tag in front of the value must be left out")
	}
}

// first is the character at which a node begins, 0 when it can't be told. Nodes
// come in the order of the source, so that a line is walked once, however many
// nodes it has.
func (r *yamlReader) first(n *yaml.Node) rune {
	if n.Line < 1 || n.Line > len(r.lines) || n.Column < 1 {
		return 0
	}
	if n.Line != r.line || n.Column < r.column {
		r.line, r.column, r.rest = n.Line, 1, r.lines[n.Line-1]
	}
	for ; r.column < n.Column && r.rest != ""; r.column++ {
		_, size := utf8.DecodeRuneInString(r.rest)
		r.rest = r.rest[size:]
	}
	if r.column != n.Column || r.rest == "" {
		return 0
	}
	c, _ := utf8.DecodeRuneInString(r.rest)
	return c
}

func (r *yamlReader) value(n *yaml.Node, at *path, depth int) *Value {
	v := &Value{Line: n.Line, Column: n.Column}
	if depth > r.lim.Depth {
		if !r.problems.fatal {
			r.problems.add(Problem{
				Line: n.Line, Column: n.Column, Code: "limit",
				Message: fmt.Sprintf("the document is nested more than %d deep", r.lim.Depth),
			})
			r.problems.fatal = true
		}
		return v
	}
	r.profile(n, at)
	switch n.Kind {
	case yaml.ScalarNode:
		r.scalar(v, n, at)
	case yaml.SequenceNode:
		v.Kind = List
		v.Items = make([]*Value, len(n.Content))
		for i, item := range n.Content {
			v.Items[i] = r.value(item, at.item(i), depth+1)
		}
	case yaml.MappingNode:
		v.Kind = Object
		r.mapping(v, n, at, depth)
	case yaml.AliasNode:
		r.refuse(n, at, "aliases are not allowed: *"+clip(n.Value)+" must be written out")
		if n.Alias != nil && n.Alias.Kind == yaml.ScalarNode {
			v.Kind, v.Text = String, n.Alias.Value
			if bare(n.Alias) {
				v.Kind, v.Bool, _ = resolve(n.Alias.Value)
			}
		}
	default:
		r.refuse(n, at, "this is not a value")
	}
	return v
}

func (r *yamlReader) mapping(v *Value, n *yaml.Node, at *path, depth int) {
	seen := names{}
	v.Members = make([]Member, 0, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		k := n.Content[i]
		if k.Kind != yaml.ScalarNode {
			r.profile(k, at)
			r.refuse(k, at, "a key must be a text")
			continue
		}
		child := at.member(k.Value)
		r.profile(k, child)
		m := Member{Name: k.Value, Line: k.Line, Column: k.Column}
		if bare(k) {
			switch kind, _, _ := resolve(k.Value); {
			case k.Value == "<<":
				r.refuse(k, child, "merge keys are not allowed: the members must be written out")
				continue
			case kind != String:
				r.refuse(k, child, fmt.Sprintf("the key %s must be in quotes; without them it is not a text", clip(k.Value)))
			}
		}
		m.Value = r.value(n.Content[i+1], child, depth+1)
		if seen.add(m.Name) {
			v.Members = append(v.Members, m)
		} else {
			r.problems.duplicate(child, m)
		}
	}
}

// bare says whether a scalar was written without quotes, so that its text
// tells its kind.
func bare(n *yaml.Node) bool {
	return n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) == 0
}

func (r *yamlReader) scalar(v *Value, n *yaml.Node, at *path) {
	v.Kind, v.Text = String, n.Value
	switch {
	case n.Style&yaml.DoubleQuotedStyle != 0:
		v.style = double
	case n.Style&yaml.SingleQuotedStyle != 0:
		v.style = single
	case n.Style&yaml.LiteralStyle != 0:
		v.style = literal
	case n.Style&yaml.FoldedStyle != 0:
		v.style = folded
	default:
		var odd bool
		v.style = plain
		v.Kind, v.Bool, odd = resolve(n.Value)
		if odd {
			r.refuse(n, at, fmt.Sprintf("%s is a number to some readers of YAML and a text to others; "+
				"write it in quotes, or as a plain decimal number", clip(n.Value)))
		}
		switch v.Kind {
		case Number:
			r.problems.number(v, at)
		case Null, Bool:
			v.Text = ""
		case String, List, Object:
		}
	}
}

// resolve gives the kind of a scalar without quotes: null, booleans and numbers
// as in the core schema of YAML 1.2, but numbers by JSON's grammar alone; odd
// are texts that are numbers to other readers.
func resolve(s string) (kind Kind, b, odd bool) {
	switch s {
	case "", "~", "null", "Null", "NULL":
		return Null, false, false
	case "true", "True", "TRUE":
		return Bool, true, false
	case "false", "False", "FALSE":
		return Bool, false, false
	}
	if isNumber(s) {
		return Number, false, false
	}
	return String, false, oddNumber(s)
}

// oddNumber says whether YAML 1.1 or 1.2 has a number in s that JSON has not:
// 0x1F, 0o17, 0b1, 017, 1_000, +1, .5, 5., .inf, .nan.
func oddNumber(s string) bool {
	t := strings.TrimLeft(s, "+-")
	if len(s)-len(t) > 1 || t == "" {
		return false
	}
	switch strings.ToLower(t) {
	case ".inf", ".nan":
		return true
	}
	switch {
	case strings.HasPrefix(t, "0x"), strings.HasPrefix(t, "0X"):
		return only(t[2:], "0123456789abcdefABCDEF_")
	case strings.HasPrefix(t, "0o"), strings.HasPrefix(t, "0b"):
		return only(t[2:], "01234567_")
	}
	if t[0] == '.' {
		if len(t) < 2 || t[1] < '0' || t[1] > '9' {
			return false
		}
		t = "0" + t
	}
	if t[0] < '0' || t[0] > '9' {
		return false
	}
	mantissa, exp, powered := strings.Cut(strings.ToLower(strings.ReplaceAll(t, "_", "")), "e")
	mantissa = strings.TrimSuffix(mantissa, ".")
	if powered {
		mantissa += "e" + exp
	}
	if z := strings.TrimLeft(mantissa, "0"); z == "" || z[0] < '0' || z[0] > '9' {
		mantissa = "0" + z
	} else {
		mantissa = z
	}
	return isNumber(mantissa)
}

// only says whether s has characters, and all of them are in set.
func only(s, set string) bool {
	return s != "" && strings.Trim(s, set) == ""
}
