package graph

import (
	"encoding/json"
	"unicode/utf8"
)

// Kind is the kind of a Value.
type Kind uint8

// The kinds.
const (
	Null Kind = iota
	Bool
	Number
	String
	List
	Object
)

// String names the kind as messages do.
func (k Kind) String() string {
	switch k {
	case Null:
		return "null"
	case Bool:
		return "a boolean"
	case Number:
		return "a number"
	case String:
		return "a text"
	case List:
		return "a list"
	case Object:
		return "an object"
	}
	return "unknown"
}

// A Value is one JSON value of a document, as it was written in JSON or YAML.
type Value struct {
	Kind Kind
	// Text is a String's text, or a Number's literal, a JSON number with its
	// digits as they were written.
	Text string
	// Bool is a Bool's value.
	Bool bool
	// Items are those of a List.
	Items []*Value
	// Members are those of an Object, in written order, without duplicates.
	Members []Member
	// Line and Column are where the value begins; 0: unknown.
	Line, Column int

	style style
}

// A Member is one member of an object.
type Member struct {
	Name  string
	Value *Value
	// Line and Column are where the name begins.
	Line, Column int
}

// style is how a scalar was written; it tells how places in its text lie in
// the source.
type style uint8

const (
	opaque  style = iota // no exact place inside is known
	plain                // the text itself
	single               // 'text', YAML
	double               // "text", YAML and JSON
	literal              // | block, YAML
	folded               // > block, YAML
)

// ValueAt gives a JSON document as a value that stands, with all that is in it,
// at one place; nil when it is no document within the default limits.
func ValueAt(doc []byte, at Pos) *Value {
	p := &problems{max: 1}
	v := read(doc, JSON, Limits{}.orDefaults(), p)
	if v == nil || len(p.list) > 0 {
		return nil
	}
	v.move(at)
	return v
}

func (v *Value) move(at Pos) {
	v.Line, v.Column, v.style = at.Line, at.Column, opaque
	for _, item := range v.Items {
		item.move(at)
	}
	for i := range v.Members {
		v.Members[i].Line, v.Members[i].Column = at.Line, at.Column
		v.Members[i].Value.move(at)
	}
}

// Get returns the value of the named member, nil if there is none.
func (v *Value) Get(name string) *Value {
	if v == nil {
		return nil
	}
	for i := range v.Members {
		if v.Members[i].Name == name {
			return v.Members[i].Value
		}
	}
	return nil
}

// JSON returns the value as compact JSON: members in written order, numbers
// with their digits.
func (v *Value) JSON() []byte { return v.appendJSON(nil) }

func (v *Value) appendJSON(b []byte) []byte {
	if v == nil {
		return append(b, "null"...)
	}
	switch v.Kind {
	case Bool:
		if v.Bool {
			return append(b, "true"...)
		}
		return append(b, "false"...)
	case Number:
		return append(b, v.Text...)
	case String:
		return appendText(b, v.Text)
	case List:
		b = append(b, '[')
		for i, item := range v.Items {
			if i > 0 {
				b = append(b, ',')
			}
			b = item.appendJSON(b)
		}
		return append(b, ']')
	case Object:
		b = append(b, '{')
		for i := range v.Members {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(appendText(b, v.Members[i].Name), ':')
			b = v.Members[i].Value.appendJSON(b)
		}
		return append(b, '}')
	case Null:
	}
	return append(b, "null"...)
}

const hexDigits = "0123456789abcdef"

// appendText appends s as a JSON string; only what must be escaped is.
func appendText(b []byte, s string) []byte {
	b = append(b, '"')
	from := 0
	for i := range len(s) {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		b = append(b, s[from:i]...)
		from = i + 1
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, '\\', 'n')
		case '\r':
			b = append(b, '\\', 'r')
		case '\t':
			b = append(b, '\\', 't')
		default:
			b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	return append(append(b, s[from:]...), '"')
}

// native gives the value as encoding/json would with UseNumber.
func (v *Value) native() any {
	if v == nil {
		return nil
	}
	switch v.Kind {
	case Bool:
		return v.Bool
	case Number:
		return json.Number(v.Text)
	case String:
		return v.Text
	case List:
		l := make([]any, len(v.Items))
		for i, item := range v.Items {
			l[i] = item.native()
		}
		return l
	case Object:
		m := make(map[string]any, len(v.Members))
		for i := range v.Members {
			m[v.Members[i].Name] = v.Members[i].Value.native()
		}
		return m
	case Null:
	}
	return nil
}

// isNumber says whether s is a number by the grammar of JSON (RFC 8259, 6).
func isNumber(s string) bool {
	i := 0
	digits := func() bool {
		from := i
		for i < len(s) && '0' <= s[i] && s[i] <= '9' {
			i++
		}
		return i > from
	}
	if i < len(s) && s[i] == '-' {
		i++
	}
	switch {
	case i < len(s) && s[i] == '0':
		i++
	case !digits():
		return false
	}
	if i < len(s) && s[i] == '.' {
		i++
		if !digits() {
			return false
		}
	}
	if i < len(s) && (s[i] == 'e' || s[i] == 'E') {
		i++
		if i < len(s) && (s[i] == '+' || s[i] == '-') {
			i++
		}
		if !digits() {
			return false
		}
	}
	return i == len(s)
}

// numberLimit says what is wrong with the size of a number's literal, or "".
func numberLimit(s string) string {
	if len(s) > maxNumber {
		return "a number may have at most 128 characters"
	}
	for i := range len(s) {
		if s[i] != 'e' && s[i] != 'E' {
			continue
		}
		exp := 0
		for _, c := range []byte(s[i+1:]) {
			if c == '+' || c == '-' {
				continue
			}
			if exp = exp*10 + int(c-'0'); exp > maxExponent {
				return "a number's exponent may be at most 400"
			}
		}
	}
	return ""
}

// width is the number of characters of s.
func width(s string) int { return utf8.RuneCountInString(s) }
