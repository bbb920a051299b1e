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
// this document: line and column count from 1, in characters. For what can't be
// told it is where the value begins.
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
	offset := inText(v.Text, line, column)
	if offset < 0 {
		return begin
	}
	find := d.source.inFlow
	if v.style == folded {
		find = d.source.inFolded
	}
	if at, ok := find(v, offset); ok {
		return at
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

// inFlow finds the byte offset of v's text, a plain or quoted scalar. It reads
// the source as the parser has, and gives up as soon as both differ.
func (s source) inFlow(v *Value, offset int) (Pos, bool) {
	text, n := v.Text, v.Line
	raw, ok := s.line(n)
	if !ok {
		return Pos{}, false
	}
	rest, ok := skip(raw, v.Column-1)
	if !ok {
		return Pos{}, false
	}
	at := len(raw) - len(rest)
	if v.style != plain {
		quote := byte('"')
		if v.style == single {
			quote = '\''
		}
		if rest == "" || rest[0] != quote {
			return Pos{}, false
		}
		at++
	}
	for done := 0; ; {
		joined := v.style == double && raw[at:] == `\` // the end of the line is no part of the text
		if done == offset && !joined {
			return Pos{n, width(raw[:at]) + 1}, true
		}
		if joined || strings.Trim(raw[at:], " \t") == "" {
			// One end of a line is a space; of more, all but the first are kept.
			blank := -1
			for next := ""; next == ""; blank++ {
				n++
				if raw, ok = s.line(n); !ok {
					return Pos{}, false
				}
				next = strings.TrimLeft(raw, " \t")
				at = len(raw) - len(next)
			}
			want := strings.Repeat("\n", blank)
			if blank == 0 && !joined {
				want = " "
			}
			if !strings.HasPrefix(text[done:], want) || done+len(want) > offset {
				return Pos{}, false
			}
			done += len(want)
			continue
		}
		c, size := utf8.DecodeRuneInString(raw[at:])
		switch {
		case v.style == single && c == '\'':
			if !strings.HasPrefix(raw[at:], "''") {
				return Pos{}, false
			}
			size = 2
		case v.style == double && c == '\\':
			if c, size = s.escape(raw[at:]); size == 0 {
				return Pos{}, false
			}
		}
		have, w := utf8.DecodeRuneInString(text[done:])
		if have != c {
			return Pos{}, false
		}
		done += w
		at += size
	}
}

// inFolded finds the byte offset of v's text, a folded block. Its lines stand as
// they are, indented; an end of a line is a space, or one or more in the text.
func (s source) inFolded(v *Value, offset int) (Pos, bool) {
	text, indent := v.Text, -1
	for n, done := v.Line+1, 0; ; n++ {
		raw, ok := s.line(n)
		if !ok {
			return Pos{}, false
		}
		if indent < 0 {
			// Ends of lines above the first one with text are in the text.
			if strings.Trim(raw, " ") == "" {
				continue
			}
			indent = len(raw) - len(strings.TrimLeft(raw, " "))
			done = len(text) - len(strings.TrimLeft(text, "\n"))
		}
		content := raw[min(indent, len(raw)):]
		if strings.Trim(raw, " ") == "" {
			continue
		}
		if len(raw)-len(content) != indent || strings.Trim(raw[:indent], " ") != "" || !strings.HasPrefix(text[done:], content) {
			return Pos{}, false
		}
		if offset <= done+len(content) {
			if offset < done { // at an end of a line
				offset = done
			}
			return Pos{n, width(raw[:indent+offset-done]) + 1}, true
		}
		done += len(content)
		if left := strings.TrimLeft(text[done:], "\n"); len(left) < len(text)-done {
			done = len(text) - len(left)
		} else if strings.HasPrefix(left, " ") {
			done++
		}
	}
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
