package expr

import (
	"bytes"
	"fmt"
)

// CheckUniqueJSON is [CheckJSON] for a document that no two readers take for
// different values: no object has two members of one name, and no text has half
// of a surrogate pair.
func CheckUniqueJSON(b []byte, maxDepth int) error {
	if err := CheckJSON(b, maxDepth); err != nil {
		return err
	}
	if at, what := ambiguity(b); what != "" {
		return fmt.Errorf("json: %s at offset %d", what, at)
	}
	return nil
}

// PlainJSON gives a document that passed [CheckJSON] as paths read it: of the
// members of one name the last alone, and U+FFFD for half of a surrogate pair.
// The document itself is given, not a copy, when it has neither.
func PlainJSON(b []byte) []byte {
	if _, what := ambiguity(b); what == "" {
		return b
	}
	out, _ := appendPlain(make([]byte, 0, len(b)), b, skipSpace(b, 0))
	return out
}

// ambiguity is the first thing in a valid document that two readers could take
// for different values, and its offset; an empty text when there is none.
func ambiguity(b []byte) (at int, what string) {
	i := skipSpace(b, 0)
	if i == len(b) {
		return 0, ""
	}
	var buf [8][]byte
	u := uniqueness{b: b, names: buf[:0], escapes: bytes.IndexByte(b, '\\') >= 0}
	u.value(i)
	return u.at, u.what
}

type uniqueness struct {
	b []byte
	// names are those of the objects that are open, each object's behind those
	// of the object around it.
	names   [][]byte
	escapes bool // there are escapes in the document
	at      int
	what    string
}

// value passes the value at b[i]. Once there is something wrong, what it gives
// has no meaning.
func (u *uniqueness) value(i int) int {
	switch u.b[i] {
	case '{':
		return u.object(i)
	case '[':
		i = skipSpace(u.b, i+1)
		for u.what == "" && u.b[i] != ']' {
			i = skipSpace(u.b, u.value(i))
			if u.what == "" && u.b[i] == ',' {
				i = skipSpace(u.b, i+1)
			}
		}
		return i + 1
	case '"':
		return u.text(i)
	}
	return skipValue(u.b, i)
}

func (u *uniqueness) text(i int) int {
	end := skipString(u.b, i)
	if u.escapes && halved(u.b[i+1:end-1]) {
		u.at, u.what = i, "half of a surrogate pair in a text"
	}
	return end
}

// fewNames is how many names are compared each with each.
const fewNames = 16

func (u *uniqueness) object(i int) int {
	first := len(u.names)
	var many map[string]bool
	i = skipSpace(u.b, i+1)
	for u.b[i] != '}' {
		to := u.text(i)
		name := u.b[i+1 : to-1]
		if u.escapes && bytes.IndexByte(name, '\\') >= 0 {
			name = []byte(unescape(name))
		}
		if many == nil && len(u.names)-first == fewNames {
			many = make(map[string]bool, 2*fewNames)
			for _, n := range u.names[first:] {
				many[string(n)] = true
			}
		}
		if many != nil {
			if many[string(name)] {
				u.twice(i, name)
			}
			many[string(name)] = true
		} else {
			for _, n := range u.names[first:] {
				if bytes.Equal(n, name) {
					u.twice(i, name)
				}
			}
			u.names = append(u.names, name)
		}
		if u.what != "" {
			return i
		}
		i = skipSpace(u.b, u.value(skipSpace(u.b, skipSpace(u.b, to)+1)))
		if u.what != "" {
			return i
		}
		if u.b[i] == ',' {
			i = skipSpace(u.b, i+1)
		}
	}
	u.names = u.names[:first]
	return i + 1
}

func (u *uniqueness) twice(at int, name []byte) {
	u.at, u.what = at, "the name "+clip(string(name))+" for the second time"
}

// halved says that the inside of a JSON string has half of a surrogate pair.
func halved(s []byte) bool {
	for {
		i := bytes.IndexByte(s, '\\')
		if i < 0 {
			return false
		}
		if s[i+1] != 'u' {
			s = s[i+2:]
			continue
		}
		r := hex4(s[i+2:])
		s = s[i+6:]
		switch {
		case r < 0xd800 || r > 0xdfff:
		case r < 0xdc00 && len(s) >= 6 && s[0] == '\\' && s[1] == 'u' && hex4(s[2:])&0xfc00 == 0xdc00:
			s = s[6:]
		default:
			return true
		}
	}
}

// appendPlain writes the value at b[i] as paths read it, and gives its end.
func appendPlain(dst, b []byte, i int) ([]byte, int) {
	switch b[i] {
	case '"':
		end := skipString(b, i)
		return appendPlainText(dst, b[i:end]), end
	case '[':
		dst = append(dst, '[')
		i = skipSpace(b, i+1)
		for b[i] != ']' {
			dst, i = appendPlain(dst, b, i)
			if i = skipSpace(b, i); b[i] == ',' {
				dst = append(dst, ',')
				i = skipSpace(b, i+1)
			}
		}
		return append(dst, ']'), i + 1
	case '{':
		return appendPlainObject(dst, b, i)
	}
	end := skipValue(b, i)
	return append(dst, b[i:end]...), end
}

func appendPlainObject(dst, b []byte, i int) ([]byte, int) {
	type member struct {
		name  []byte // with its quotes
		value int
	}
	var members []member
	last := map[string]int{}
	i = skipSpace(b, i+1)
	for b[i] != '}' {
		to := skipString(b, i)
		value := skipSpace(b, skipSpace(b, to)+1)
		last[unescape(b[i+1:to-1])] = len(members)
		members = append(members, member{b[i:to], value})
		if i = skipSpace(b, skipValue(b, value)); b[i] == ',' {
			i = skipSpace(b, i+1)
		}
	}
	dst = append(dst, '{')
	for k, m := range members {
		if last[unescape(m.name[1:len(m.name)-1])] != k {
			continue
		}
		if dst[len(dst)-1] != '{' {
			dst = append(dst, ',')
		}
		dst = append(appendPlainText(dst, m.name), ':')
		dst, _ = appendPlain(dst, b, m.value)
	}
	return append(dst, '}'), i + 1
}

func appendPlainText(dst, quoted []byte) []byte {
	inside := quoted[1 : len(quoted)-1]
	if !halved(inside) {
		return append(dst, quoted...)
	}
	return append(appendEscaped(append(dst, '"'), unescape(inside)), '"')
}
