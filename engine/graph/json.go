package graph

import (
	"fmt"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// jsonReader reads strict JSON (RFC 8259) into a tree with places. It stops at
// the first error of syntax; duplicate names are told and the first is kept.
type jsonReader struct {
	src string
	at  int
	// line counts from 1; start is where it begins, or a place in it whose
	// column is known to be column.
	line, start, column int
	lim                 Limits
	problems            *problems
}

// syntaxError is where and why reading ended.
type syntaxError struct {
	at   int
	code string
	msg  string
}

func readJSON(src []byte, lim Limits, p *problems) *Value {
	r := &jsonReader{src: string(src), line: 1, column: 1, lim: lim, problems: p}
	r.space()
	v, err := r.value(nil, 1)
	if err == nil {
		if r.space(); r.at < len(r.src) {
			err = &syntaxError{r.at, "syntax", "there is something behind the end of the document"}
		}
	}
	if err != nil {
		// Places behind a newline inside of a token are counted from its begin.
		r.at = err.at
		line, column := r.place()
		p.add(Problem{Line: line, Column: column, Code: err.code, Message: err.msg})
		p.fatal = true
		return nil
	}
	return v
}

// place gives line and column of the next character.
func (r *jsonReader) place() (line, column int) {
	r.column += width(r.src[r.start:r.at])
	r.start = r.at
	return r.line, r.column
}

func (r *jsonReader) space() {
	for r.at < len(r.src) {
		switch r.src[r.at] {
		case ' ', '\t', '\r':
			r.at++
		case '\n':
			r.at++
			r.line, r.start, r.column = r.line+1, r.at, 1
		default:
			return
		}
	}
}

func (r *jsonReader) fail(format string, args ...any) *syntaxError {
	return &syntaxError{r.at, "syntax", fmt.Sprintf(format, args...)}
}

// unexpected is an error about the next character.
func (r *jsonReader) unexpected(want string) *syntaxError {
	if r.at >= len(r.src) {
		return r.fail("the document ends where %s should be", want)
	}
	c, _ := utf8.DecodeRuneInString(r.src[r.at:])
	return r.fail("%q stands where %s should be", c, want)
}

func (r *jsonReader) value(at *path, depth int) (*Value, *syntaxError) {
	if depth > r.lim.Depth {
		return nil, &syntaxError{r.at, "limit", fmt.Sprintf("the document is nested more than %d deep", r.lim.Depth)}
	}
	v := &Value{}
	v.Line, v.Column = r.place()
	if r.at >= len(r.src) {
		return nil, r.unexpected("a value")
	}
	switch c := r.src[r.at]; {
	case c == '{':
		v.Kind = Object
		return v, r.object(v, at, depth)
	case c == '[':
		v.Kind = List
		return v, r.list(v, at, depth)
	case c == '"':
		v.Kind, v.style = String, double
		var err *syntaxError
		v.Text, err = r.text()
		return v, err
	case c == '-' || '0' <= c && c <= '9':
		v.Kind = Number
		return v, r.number(v, at)
	}
	for _, word := range [...]struct {
		text string
		kind Kind
		bool bool
	}{{"null", Null, false}, {"true", Bool, true}, {"false", Bool, false}} {
		if strings.HasPrefix(r.src[r.at:], word.text) {
			r.at += len(word.text)
			v.Kind, v.Bool = word.kind, word.bool
			return v, nil
		}
	}
	return nil, r.unexpected("a value")
}

func (r *jsonReader) object(v *Value, at *path, depth int) *syntaxError {
	r.at++
	seen := names{}
	for first := true; ; first = false {
		r.space()
		if r.at < len(r.src) && r.src[r.at] == '}' && first {
			r.at++
			return nil
		}
		if r.at >= len(r.src) || r.src[r.at] != '"' {
			return r.unexpected("a name in quotes")
		}
		m := Member{}
		m.Line, m.Column = r.place()
		var err *syntaxError
		if m.Name, err = r.text(); err != nil {
			return err
		}
		r.space()
		if r.at >= len(r.src) || r.src[r.at] != ':' {
			return r.unexpected("a colon")
		}
		r.at++
		r.space()
		child := at.member(m.Name)
		if m.Value, err = r.value(child, depth+1); err != nil {
			return err
		}
		if seen.add(m.Name) {
			v.Members = append(v.Members, m)
		} else {
			r.problems.duplicate(child, m)
		}
		r.space()
		switch {
		case r.at < len(r.src) && r.src[r.at] == ',':
			r.at++
		case r.at < len(r.src) && r.src[r.at] == '}':
			r.at++
			return nil
		default:
			return r.unexpected("a comma or }")
		}
	}
}

func (r *jsonReader) list(v *Value, at *path, depth int) *syntaxError {
	r.at++
	for first := true; ; first = false {
		r.space()
		if r.at < len(r.src) && r.src[r.at] == ']' && first {
			r.at++
			return nil
		}
		item, err := r.value(at.item(len(v.Items)), depth+1)
		if err != nil {
			return err
		}
		v.Items = append(v.Items, item)
		r.space()
		switch {
		case r.at < len(r.src) && r.src[r.at] == ',':
			r.at++
		case r.at < len(r.src) && r.src[r.at] == ']':
			r.at++
			return nil
		default:
			return r.unexpected("a comma or ]")
		}
	}
}

func (r *jsonReader) number(v *Value, at *path) *syntaxError {
	end := r.at
	for end < len(r.src) && strings.IndexByte("+-.0123456789eE", r.src[end]) >= 0 {
		end++
	}
	v.Text = r.src[r.at:end]
	if !isNumber(v.Text) {
		return r.fail("%q is not a JSON number", clip(v.Text))
	}
	r.at = end
	r.problems.number(v, at)
	return nil
}

// text reads a string in quotes.
func (r *jsonReader) text() (string, *syntaxError) {
	r.at++
	from := r.at
	for r.at < len(r.src) && r.src[r.at] != '"' && r.src[r.at] != '\\' && r.src[r.at] >= ' ' {
		r.at++
	}
	if r.at < len(r.src) && r.src[r.at] == '"' {
		r.at++
		return r.src[from : r.at-1], nil
	}
	b := append(make([]byte, 0, 2*(r.at-from)+16), r.src[from:r.at]...)
	for r.at < len(r.src) {
		switch c := r.src[r.at]; {
		case c == '"':
			r.at++
			return string(b), nil
		case c < ' ':
			return "", r.fail("a control character in a text must be escaped")
		case c != '\\':
			b = append(b, c)
			r.at++
		default:
			c, n := unescape(r.src[r.at:])
			if n == 0 {
				return "", r.fail("%q is not an escape of JSON", clip(r.src[r.at:min(len(r.src), r.at+6)]))
			}
			b = utf8.AppendRune(b, c)
			r.at += n
		}
	}
	return "", r.fail("a text isn't closed by a quote")
}

// unescape reads a JSON escape at the start of s; n is its length, 0 when it
// isn't one. A surrogate must be one half of a pair.
func unescape(s string) (c rune, n int) {
	if len(s) < 2 {
		return 0, 0
	}
	if i := strings.IndexByte(`"\/bfnrt`, s[1]); i >= 0 {
		return rune("\"\\/\b\f\n\r\t"[i]), 2
	}
	c, ok := hex4(s)
	if !ok {
		return 0, 0
	}
	if !utf16.IsSurrogate(c) {
		return c, 6
	}
	low, ok := hex4(s[6:])
	if c = utf16.DecodeRune(c, low); !ok || c == utf8.RuneError {
		return 0, 0
	}
	return c, 12
}

// hex4 reads \uXXXX at the start of s.
func hex4(s string) (c rune, ok bool) {
	if len(s) < 6 || s[0] != '\\' || s[1] != 'u' {
		return 0, false
	}
	for _, d := range []byte(s[2:6]) {
		i := strings.IndexByte(hexDigits, d|0x20)
		if i < 0 {
			return 0, false
		}
		c = c<<4 | rune(i)
	}
	return c, true
}

// names tells repeated names of an object; a set is made only for many.
type names struct {
	few [8]string
	n   int
	all map[string]struct{}
}

// add says whether the name is new.
func (s *names) add(name string) bool {
	if s.all != nil {
		if _, ok := s.all[name]; ok {
			return false
		}
		s.all[name] = struct{}{}
		return true
	}
	for _, x := range s.few[:s.n] {
		if x == name {
			return false
		}
	}
	if s.n < len(s.few) {
		s.few[s.n] = name
		s.n++
		return true
	}
	s.all = make(map[string]struct{}, 2*len(s.few))
	for _, x := range s.few {
		s.all[x] = struct{}{}
	}
	s.all[name] = struct{}{}
	return true
}

// duplicate tells of a name that stands twice in one object.
func (p *problems) duplicate(at *path, m Member) {
	p.add(Problem{
		Pointer: at.String(), Line: m.Line, Column: m.Column,
		Code: "duplicate_key", Message: fmt.Sprintf("%q stands twice here; names in an object are unique", clip(m.Name)),
	})
}

// number tells of a number that is too large to be read exactly.
func (p *problems) number(v *Value, at *path) {
	if msg := numberLimit(v.Text); msg != "" {
		p.add(Problem{Pointer: at.String(), Line: v.Line, Column: v.Column, Code: "limit", Message: msg})
	}
}

// clip shortens what a message quotes.
func clip(s string) string {
	const most = 80
	if len(s) <= most {
		return s
	}
	n := most
	for !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}
