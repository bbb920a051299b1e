package rawjson

import (
	"unicode/utf16"
	"unicode/utf8"
)

// A Type is the kind of a JSON value.
type Type byte

// The types of JSON values. None is of bytes that begin no value.
const (
	None Type = iota
	Null
	Bool
	Number
	String
	Array
	Object
)

// Of tells the type of v by its first byte; nil and empty are None.
func Of(v []byte) Type {
	v = trim(v)
	if len(v) == 0 {
		return None
	}
	switch c := v[0]; c {
	case 'n':
		return Null
	case 't', 'f':
		return Bool
	case '"':
		return String
	case '[':
		return Array
	case '{':
		return Object
	default:
		if c == '-' || '0' <= c && c <= '9' {
			return Number
		}
	}
	return None
}

// Name is the type's name as a person reads it.
func (t Type) Name() string {
	switch t {
	case Null:
		return "null"
	case Bool:
		return "a boolean"
	case Number:
		return "a number"
	case String:
		return "a string"
	case Array:
		return "a list"
	case Object:
		return "an object"
	case None:
	}
	return "no value"
}

// Members calls each for the members of the object v, in order; name is the
// quoted name, for Unquote. It ends with each's first error. Values are checked
// as they are passed over; what follows the object isn't.
func Members(v []byte, each func(name, value []byte) error) error {
	s := scanner{b: v, depth: MaxDepth}
	s.space()
	if !s.at('{') {
		return s.fail("an object is wanted")
	}
	_ = s.enter() // the depth is at its limit here, so it can be entered
	if s.at('}') {
		return nil
	}
	for {
		if !s.at('"') {
			return s.fail("a member's name in double quotes is wanted")
		}
		from := s.i
		if err := s.text(); err != nil {
			return err
		}
		name := v[from:s.i]
		s.space()
		if !s.at(':') {
			return s.fail("a colon is wanted after a member's name")
		}
		s.i++
		s.space()
		from = s.i
		if err := s.value(); err != nil {
			return err
		}
		if err := each(name, v[from:s.i]); err != nil {
			return err
		}
		s.space()
		switch {
		case s.at('}'):
			return nil
		case s.at(','):
			s.i++
			s.space()
		default:
			return s.fail("a comma or the end of the object is wanted")
		}
	}
}

// Elements calls each for the elements of the array v, as Members does.
func Elements(v []byte, each func(value []byte) error) error {
	s := scanner{b: v, depth: MaxDepth}
	s.space()
	if !s.at('[') {
		return s.fail("an array is wanted")
	}
	_ = s.enter() // the depth is at its limit here, so it can be entered
	if s.at(']') {
		return nil
	}
	for {
		from := s.i
		if err := s.value(); err != nil {
			return err
		}
		if err := each(v[from:s.i]); err != nil {
			return err
		}
		s.space()
		switch {
		case s.at(']'):
			return nil
		case s.at(','):
			s.i++
			s.space()
		default:
			return s.fail("a comma or the end of the array is wanted")
		}
	}
}

// Unquote gives the text of the JSON string v; false if v is not one string.
// An unpaired surrogate becomes U+FFFD.
func Unquote(v []byte) (string, bool) {
	v = trim(v)
	s := scanner{b: v}
	if !s.at('"') || s.text() != nil || s.i != len(v) {
		return "", false
	}
	in := v[1 : len(v)-1]
	plain := true
	for _, c := range in {
		if c == '\\' {
			plain = false
			break
		}
	}
	if plain {
		return string(in), true
	}
	out := make([]byte, 0, len(in))
	for i := 0; i < len(in); {
		if in[i] != '\\' {
			out = append(out, in[i])
			i++
			continue
		}
		switch c := in[i+1]; c {
		case 'b':
			out = append(out, '\b')
		case 'f':
			out = append(out, '\f')
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		case 'u':
			r, _ := hex4(in[i+2:]) // text has checked it
			i += 4
			if utf16.IsSurrogate(r) {
				pair := rune(utf8.RuneError)
				if i+3 < len(in) && in[i+2] == '\\' && in[i+3] == 'u' {
					low, _ := hex4(in[i+4:])
					pair = utf16.DecodeRune(r, low)
				}
				if pair != utf8.RuneError {
					i += 6
				}
				r = pair
			}
			out = utf8.AppendRune(out, r)
		default:
			out = append(out, c)
		}
		i += 2
	}
	return string(out), true
}

// trim cuts white space from both ends.
func trim(v []byte) []byte {
	for len(v) > 0 && isSpace(v[0]) {
		v = v[1:]
	}
	for len(v) > 0 && isSpace(v[len(v)-1]) {
		v = v[:len(v)-1]
	}
	return v
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }
