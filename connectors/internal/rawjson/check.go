// Package rawjson reads and writes JSON as bytes: it checks a document in one
// pass, walks over the members of an object without decoding them, and appends
// values to a buffer.
//
// It is not a decoder: nothing becomes a Go value that isn't asked for. Its one
// rule: bytes that Check has accepted are copied, never changed.
package rawjson

import (
	"fmt"
	"unicode/utf8"
)

// MaxDepth is how deep arrays and objects may nest where nobody says otherwise.
const MaxDepth = 160

// A SyntaxError says where and why bytes aren't one JSON document.
type SyntaxError struct {
	// Offset counts bytes from 0.
	Offset int
	Reason string
}

// Error gives offset and reason.
func (e *SyntaxError) Error() string { return fmt.Sprintf("byte %d: %s", e.Offset, e.Reason) }

// Check says whether b is exactly one JSON document (RFC 8259) in UTF-8 that
// nests at most depth levels; a depth of 0 means MaxDepth. The error is a
// *SyntaxError.
func Check(b []byte, depth int) error { return check(b, depth, false) }

// CheckUnique is Check for a document in which no object may have two members
// of one name: what two readers could take for different values.
func CheckUnique(b []byte, depth int) error { return check(b, depth, true) }

func check(b []byte, depth int, unique bool) error {
	if depth <= 0 {
		depth = MaxDepth
	}
	s := scanner{b: b, depth: depth, unique: unique}
	s.space()
	if err := s.value(); err != nil {
		return err
	}
	s.space()
	if s.i < len(b) {
		return s.fail("there is more after the end of the document")
	}
	return nil
}

// scanner walks over b; i is the next byte, depth the levels that are left.
type scanner struct {
	b     []byte
	i     int
	depth int
	// unique: an object's names are compared.
	unique bool
}

func (s *scanner) fail(reason string) error { return &SyntaxError{Offset: s.i, Reason: reason} }

func (s *scanner) space() {
	for s.i < len(s.b) {
		switch s.b[s.i] {
		case ' ', '\t', '\n', '\r':
			s.i++
		default:
			return
		}
	}
}

func (s *scanner) value() error {
	if s.i >= len(s.b) {
		return s.fail("the document ends where a value is wanted")
	}
	switch c := s.b[s.i]; {
	case c == '"':
		return s.text()
	case c == '{':
		return s.object()
	case c == '[':
		return s.array()
	case c == '-' || '0' <= c && c <= '9':
		return s.number()
	case c == 't':
		return s.word("true")
	case c == 'f':
		return s.word("false")
	case c == 'n':
		return s.word("null")
	}
	return s.fail("a value is wanted: an object, an array, a string, a number, true, false or null")
}

func (s *scanner) word(w string) error {
	if len(s.b)-s.i < len(w) || string(s.b[s.i:s.i+len(w)]) != w {
		return s.fail(w + " is misspelt")
	}
	s.i += len(w)
	return nil
}

func (s *scanner) enter() error {
	if s.depth == 0 {
		return s.fail("it is nested too deep")
	}
	s.depth--
	s.i++
	s.space()
	return nil
}

func (s *scanner) leave() {
	s.depth++
	s.i++
}

func (s *scanner) object() error {
	if err := s.enter(); err != nil {
		return err
	}
	if s.at('}') {
		s.leave()
		return nil
	}
	var names names
	for {
		if !s.at('"') {
			return s.fail("a member's name in double quotes is wanted")
		}
		from := s.i
		if err := s.text(); err != nil {
			return err
		}
		if s.unique && !names.add(s.b[from:s.i]) {
			s.i = from
			return s.fail("the object has this name twice")
		}
		s.space()
		if !s.at(':') {
			return s.fail("a colon is wanted after a member's name")
		}
		s.i++
		s.space()
		if err := s.value(); err != nil {
			return err
		}
		s.space()
		switch {
		case s.at('}'):
			s.leave()
			return nil
		case s.at(','):
			s.i++
			s.space()
		default:
			return s.fail("a comma or the end of the object is wanted")
		}
	}
}

func (s *scanner) array() error {
	if err := s.enter(); err != nil {
		return err
	}
	if s.at(']') {
		s.leave()
		return nil
	}
	for {
		if err := s.value(); err != nil {
			return err
		}
		s.space()
		switch {
		case s.at(']'):
			s.leave()
			return nil
		case s.at(','):
			s.i++
			s.space()
		default:
			return s.fail("a comma or the end of the array is wanted")
		}
	}
}

func (s *scanner) at(c byte) bool { return s.i < len(s.b) && s.b[s.i] == c }

func (s *scanner) number() error {
	if s.at('-') {
		s.i++
	}
	switch {
	case s.at('0'):
		s.i++
	case !s.digits():
		return s.fail("a number needs a digit here")
	}
	if s.at('.') {
		s.i++
		if !s.digits() {
			return s.fail("a number needs a digit after its point")
		}
	}
	if s.at('e') || s.at('E') {
		s.i++
		if s.at('+') || s.at('-') {
			s.i++
		}
		if !s.digits() {
			return s.fail("a number needs a digit in its exponent")
		}
	}
	return nil
}

// digits passes over a run of digits and says whether there was one.
func (s *scanner) digits() bool {
	from := s.i
	for s.i < len(s.b) && '0' <= s.b[s.i] && s.b[s.i] <= '9' {
		s.i++
	}
	return s.i > from
}

// text passes over a string, from its opening quote.
func (s *scanner) text() error {
	b, i := s.b, s.i+1
	for i < len(b) {
		c := b[i]
		switch {
		case c == '"':
			s.i = i + 1
			return nil
		case c == '\\':
			s.i = i
			n := escapeLen(b[i:])
			if n == 0 {
				return s.fail("an escape is wrong: one of \\\" \\\\ \\/ \\b \\f \\n \\r \\t \\uXXXX is wanted")
			}
			i += n
		case c < ' ':
			s.i = i
			return s.fail("a control character in a string must be escaped")
		case c < utf8.RuneSelf:
			i++
		default:
			r, n := utf8.DecodeRune(b[i:])
			if r == utf8.RuneError && n == 1 {
				s.i = i
				return s.fail("the text is not UTF-8")
			}
			i += n
		}
	}
	s.i = len(b)
	return s.fail("the document ends inside of a string")
}

// escapeLen is the length of the escape that b begins with, 0 for a wrong one.
func escapeLen(b []byte) int {
	if len(b) < 2 {
		return 0
	}
	switch b[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		if _, ok := hex4(b[2:]); ok {
			return 6
		}
	}
	return 0
}

func hex4(b []byte) (rune, bool) {
	if len(b) < 4 {
		return 0, false
	}
	var r rune
	for _, c := range b[:4] {
		r <<= 4
		switch {
		case '0' <= c && c <= '9':
			r |= rune(c - '0')
		case 'a' <= c && c <= 'f':
			r |= rune(c-'a') + 10
		case 'A' <= c && c <= 'F':
			r |= rune(c-'A') + 10
		default:
			return 0, false
		}
	}
	return r, true
}
