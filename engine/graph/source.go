package graph

import (
	"bytes"
	"strings"
	"unicode/utf8"
)

// source is the text that a document was read from.
type source struct {
	text   []byte
	format Format
}

// Locate gives the place in the source of a place in the text of v, a value of
// this document: line and column count from 1, in characters. Exact for a text
// on one line and for a literal block of YAML; elsewhere, and for what can't be
// told, it is where the value begins.
func (d *Document) Locate(v *Value, line, column int) Pos {
	if v == nil {
		return Pos{}
	}
	begin := Pos{v.Line, v.Column}
	if v.Kind != String || line < 1 || column < 1 || v.Line < 1 {
		return begin
	}
	if v.style == literal {
		return d.source.inLiteral(v, line, column)
	}
	if v.style == opaque {
		return begin
	}
	raw, ok := d.source.line(v.Line)
	if !ok {
		return begin
	}
	raw, ok = skip(raw, v.Column-1)
	if !ok {
		return begin
	}
	offset := inText(v.Text, line, column)
	if offset < 0 {
		return begin
	}
	if n, ok := d.source.inScalar(raw, v, offset); ok {
		return Pos{v.Line, v.Column + n}
	}
	return begin
}

// line gives the n-th line, without its end.
func (s source) line(n int) (string, bool) {
	text := bytes.TrimPrefix(s.text, []byte("\ufeff"))
	for ; n > 1; n-- {
		i := bytes.IndexByte(text, '\n')
		if i < 0 {
			return "", false
		}
		text = text[i+1:]
	}
	if i := bytes.IndexByte(text, '\n'); i >= 0 {
		text = text[:i]
	}
	return strings.TrimSuffix(string(text), "\r"), n == 1
}

// skip leaves out the first n characters.
func skip(s string, n int) (string, bool) {
	for ; n > 0; n-- {
		if s == "" {
			return "", false
		}
		_, w := utf8.DecodeRuneInString(s)
		s = s[w:]
	}
	return s, true
}

// inText gives the byte offset of a place in a text, -1 if it has none.
func inText(s string, line, column int) int {
	at := 0
	for ; line > 1; line-- {
		i := strings.IndexByte(s[at:], '\n')
		if i < 0 {
			return -1
		}
		at += i + 1
	}
	rest, ok := skip(s[at:], column-1)
	if !ok {
		return -1
	}
	return len(s) - len(rest)
}

// inScalar gives how many characters behind the begin of raw the byte offset of
// v's text stands. It reads raw as the parser has, and gives up as soon as both
// differ.
func (s source) inScalar(raw string, v *Value, offset int) (chars int, ok bool) {
	text := v.Text
	if v.style == plain {
		if !strings.HasPrefix(raw, text) {
			return 0, false
		}
		return width(text[:offset]), true
	}
	quote := byte('"')
	if v.style == single {
		quote = '\''
	}
	if raw == "" || raw[0] != quote {
		return 0, false
	}
	at := 1 // in raw
	for done := 0; done < offset; {
		if at >= len(raw) {
			return 0, false
		}
		c, n := utf8.DecodeRuneInString(raw[at:])
		switch {
		case v.style == single && c == '\'':
			if !strings.HasPrefix(raw[at:], "''") {
				return 0, false
			}
			n = 2
		case v.style == double && c == '\\':
			if c, n = s.escape(raw[at:]); n == 0 {
				return 0, false
			}
		}
		if have, w := utf8.DecodeRuneInString(text[done:]); have != c {
			return 0, false
		} else {
			done += w
		}
		at += n
	}
	return width(raw[:at]), true
}

// escape reads the escape at the start of s, n is 0 when it isn't known.
func (s source) escape(text string) (c rune, n int) {
	if c, n = unescape(text); n > 0 || s.format == JSON || len(text) < 2 {
		return c, n
	}
	if i := strings.IndexByte("0ave _NLP", text[1]); i >= 0 {
		return []rune("\x00\a\v\x1b \u00a0\u0085\u2028\u2029")[i], 2
	}
	digits := map[byte]int{'x': 2, 'u': 4, 'U': 8}[text[1]]
	if digits == 0 || len(text) < 2+digits {
		return 0, 0
	}
	for _, d := range []byte(text[2 : 2+digits]) {
		i := strings.IndexByte(hexDigits, d|0x20)
		if i < 0 {
			return 0, 0
		}
		c = c<<4 | rune(i)
	}
	return c, 2 + digits
}

// inLiteral finds a line of a literal block, which stands as it is, indented.
func (s source) inLiteral(v *Value, line, column int) Pos {
	want := v.Text
	for n := 1; n < line; n++ {
		_, rest, ok := strings.Cut(want, "\n")
		if !ok {
			return Pos{v.Line, v.Column}
		}
		want = rest
	}
	want, _, _ = strings.Cut(want, "\n")
	raw, ok := s.line(v.Line + line)
	if !ok {
		return Pos{v.Line, v.Column}
	}
	indent, ok := strings.CutSuffix(raw, want)
	if !ok || strings.Trim(indent, " ") != "" {
		return Pos{v.Line, v.Column}
	}
	return Pos{v.Line + line, len(indent) + column}
}
