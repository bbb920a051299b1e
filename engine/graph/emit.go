package graph

import (
	"bytes"
	"errors"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// blockDepth is how deep values are written in block style, line by line;
// below, they are written like JSON, since each level indents every line.
const blockDepth = 12

// YAML returns the document as YAML in the order of JSON. It is lossless:
// Parse reads an equal document from it; only comments are not kept. The result
// is read back to prove it, and the error tells if it differs. It may be longer
// than the JSON, and so pass a limit that the JSON keeps.
func (d *Document) YAML() ([]byte, error) {
	tree := d.tree(true)
	e := emitter{}
	e.members(tree, 0, 1)
	e.b = append(e.b, '\n')
	p := &problems{max: 1}
	back := readYAML(e.b, Limits{Depth: math.MaxInt}, p)
	if back == nil || len(p.list) > 0 || !bytes.Equal(back.JSON(), tree.JSON()) {
		return nil, errors.New("the document can't be written as YAML without loss; write it as JSON")
	}
	return e.b, nil
}

// emitter writes block style with an indent of two.
type emitter struct{ b []byte }

func (e *emitter) line(indent int) {
	if len(e.b) == 0 {
		return
	}
	e.b = append(e.b, '\n')
	for range indent {
		e.b = append(e.b, ' ')
	}
}

// members writes an object that isn't empty; the first member goes where the
// writer stands.
func (e *emitter) members(v *Value, indent, depth int) {
	for i, m := range v.Members {
		if i > 0 {
			e.line(indent)
		}
		e.key(m.Name, indent)
		e.behind(m.Value, indent+2, depth+1)
	}
}

// items writes a list that isn't empty; as members.
func (e *emitter) items(v *Value, indent, depth int) {
	for i, item := range v.Items {
		if i > 0 {
			e.line(indent)
		}
		e.b = append(e.b, '-')
		switch {
		case e.inline(item, depth+1):
			e.b = append(e.b, ' ')
			e.scalar(item, indent+2)
		case item.Kind == List:
			e.b = append(e.b, ' ')
			e.items(item, indent+2, depth+1)
		default:
			e.b = append(e.b, ' ')
			e.members(item, indent+2, depth+1)
		}
	}
}

// behind writes the value of a key.
func (e *emitter) behind(v *Value, indent, depth int) {
	switch {
	case e.inline(v, depth):
		e.b = append(e.b, ' ')
		e.scalar(v, indent)
	case v.Kind == List:
		e.line(indent)
		e.items(v, indent, depth)
	default:
		e.line(indent)
		e.members(v, indent, depth)
	}
}

// inline says whether v goes on the line of its key.
func (e *emitter) inline(v *Value, depth int) bool {
	return len(v.Items) == 0 && len(v.Members) == 0 || depth > blockDepth
}

// maxSimpleKey is below the length at which YAML no longer takes a key without
// a question mark in front: 1,024 characters.
const maxSimpleKey = 1000

func (e *emitter) key(name string, indent int) {
	from := len(e.b)
	if isPlain(name) {
		e.b = append(e.b, name...)
	} else {
		e.b = appendQuoted(e.b, name)
	}
	if len(e.b)-from > maxSimpleKey {
		e.b = append(e.b[:from], "? "...)
		e.b = appendQuoted(e.b, name)
		e.line(indent)
	}
	e.b = append(e.b, ':')
}

func (e *emitter) scalar(v *Value, indent int) {
	switch {
	case v.Kind != String:
		e.b = appendFlow(e.b, v)
	case isPlain(v.Text):
		e.b = append(e.b, v.Text...)
	case isBlock(v.Text):
		e.b = append(e.b, '|')
		text, ended := strings.CutSuffix(v.Text, "\n")
		if !ended {
			e.b = append(e.b, '-')
		}
		for line := range strings.SplitSeq(text, "\n") {
			if line == "" {
				e.b = append(e.b, '\n')
				continue
			}
			e.line(indent)
			e.b = append(e.b, line...)
		}
	default:
		e.b = appendQuoted(e.b, v.Text)
	}
}

// appendFlow writes a value like JSON, with YAML's escapes.
func appendFlow(b []byte, v *Value) []byte {
	switch v.Kind {
	case String:
		return appendQuoted(b, v.Text)
	case List:
		b = append(b, '[')
		for i, item := range v.Items {
			if i > 0 {
				b = append(b, ", "...)
			}
			b = appendFlow(b, item)
		}
		return append(b, ']')
	case Object:
		b = append(b, '{')
		for i, m := range v.Members {
			if i > 0 {
				b = append(b, ", "...)
			}
			from := len(b)
			if b = appendQuoted(b, m.Name); len(b)-from > maxSimpleKey {
				b = appendQuoted(append(b[:from], "? "...), m.Name)
			}
			b = appendFlow(append(b, ": "...), m.Value)
		}
		return append(b, '}')
	case Null, Bool, Number:
	}
	return v.appendJSON(b)
}

// isPrintable says whether a character may stand in YAML unescaped, line ends
// and the byte order mark apart.
func isPrintable(c rune) bool {
	switch {
	case c < ' ', c > '~' && c < 0xa0, c == 0x2028, c == 0x2029, c == 0xfeff, c == 0xfffe, c == 0xffff:
		return false
	}
	return true
}

// appendQuoted writes a text in double quotes.
func appendQuoted(b []byte, s string) []byte {
	b = append(b, '"')
	for _, c := range s {
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', byte(c))
		case c == '\n':
			b = append(b, '\\', 'n')
		case c == '\t':
			b = append(b, '\\', 't')
		case c == '\r':
			b = append(b, '\\', 'r')
		case isPrintable(c):
			b = utf8.AppendRune(b, c)
		default:
			b = append(b, '\\', 'u', hexDigits[c>>12&15], hexDigits[c>>8&15], hexDigits[c>>4&15], hexDigits[c&15])
		}
	}
	return append(b, '"')
}

// isPlain says whether a text may stand without quotes in block style, for this
// reader and for those of YAML 1.1.
func isPlain(s string) bool {
	if s == "" || len(s) > maxSimpleKey || s[0] == ' ' || s[len(s)-1] == ' ' || s[len(s)-1] == ':' ||
		strings.Contains(s, ": ") || strings.Contains(s, " #") {
		return false
	}
	switch c := s[0]; {
	case '0' <= c && c <= '9':
		// 30s, but neither a number nor a date.
		if !only(s, "0123456789.hmsuµn") || strings.IndexByte("hms", s[len(s)-1]) < 0 {
			return false
		}
	case strings.IndexByte("-?:,[]{}#&*!|>'\"%@`=<.+~", c) >= 0:
		return false
	}
	switch strings.ToLower(s) {
	case "null", "true", "false", "yes", "no", "on", "off", "y", "n":
		return false
	}
	for _, c := range s {
		if !isPrintable(c) {
			return false
		}
	}
	kind, _, odd := resolve(s)
	return kind == String && !odd
}

// isBlock says whether a text is written as a literal block: it has lines, the
// first begins it without space, none is of space alone, and at most one line
// end stands at its end.
func isBlock(s string) bool {
	text, _ := strings.CutSuffix(s, "\n")
	if !strings.Contains(s, "\n") || text == "" || strings.HasSuffix(text, "\n") || strings.IndexByte(" \t\n", text[0]) >= 0 {
		return false
	}
	for line := range strings.SplitSeq(text, "\n") {
		if line != "" && strings.Trim(line, " \t") == "" {
			return false
		}
		for _, c := range line {
			if c != '\t' && !isPrintable(c) {
				return false
			}
		}
	}
	return true
}

// quoteAll is for messages: names in quotes with commas between.
func quoteAll(names []string) string {
	q := make([]string, len(names))
	for i, n := range names {
		q[i] = strconv.Quote(n)
	}
	return strings.Join(q, ", ")
}
