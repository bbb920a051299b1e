package expr

import (
	"fmt"
	"math"
	"unicode/utf8"
)

// DefaultJSONDepth is how deep a document may nest when CheckJSON is given no
// depth.
const DefaultJSONDepth = 200

// CheckJSON says whether b is one JSON document (RFC 8259) in valid UTF-8 that
// nests at most maxDepth deep; 0 means [DefaultJSONDepth]. The error tells the
// offset in bytes. Duplicate names are allowed: the last one counts.
func CheckJSON(b []byte, maxDepth int) error {
	if maxDepth <= 0 {
		maxDepth = DefaultJSONDepth
	}
	if len(b) > math.MaxInt32 {
		return fmt.Errorf("json: a document of %d bytes; at most %d are allowed", len(b), math.MaxInt32)
	}
	if !utf8.Valid(b) {
		i := 0
		for i < len(b) {
			r, n := utf8.DecodeRune(b[i:])
			if r == utf8.RuneError && n == 1 {
				break
			}
			i += n
		}
		return fmt.Errorf("json: invalid UTF-8 at offset %d", i)
	}
	c := jsonChecker{b: b, max: maxDepth}
	i, err := c.document()
	if err != "" {
		if i >= len(b) {
			return fmt.Errorf("json: the document ends too early, at offset %d: %s", len(b), err)
		}
		return fmt.Errorf("json: %s at offset %d", err, i)
	}
	return nil
}

type jsonChecker struct {
	b   []byte
	max int
	buf [64]byte
}

// document gives the offset of what is wrong, and what would be right; an empty
// text means that all is.
func (c *jsonChecker) document() (int, string) {
	b := c.b
	open := c.buf[:0] // the closing bracket of each open value
	i := skipSpace(b, 0)
value:
	for {
		if i >= len(b) {
			return i, "a value is expected"
		}
		switch ch := b[i]; {
		case ch == '{' || ch == '[':
			if len(open) == c.max {
				return i, fmt.Sprintf("nested more than %d deep", c.max)
			}
			closing := ch + 2 // ']' and '}' are two after '[' and '{'
			i = skipSpace(b, i+1)
			if i < len(b) && b[i] == closing {
				i++
				break
			}
			open = append(open, closing)
			if closing == '}' {
				var err string
				if i, err = checkName(b, i); err != "" {
					return i, err
				}
			}
			continue
		case ch == '"':
			var err string
			if i, err = checkString(b, i); err != "" {
				return i, err
			}
		case ch == '-' || ch >= '0' && ch <= '9':
			var err string
			if i, err = checkNumber(b, i); err != "" {
				return i, err
			}
		case ch == 't':
			if !hasWord(b, i, "true") {
				return i, "true is expected"
			}
			i += 4
		case ch == 'f':
			if !hasWord(b, i, "false") {
				return i, "false is expected"
			}
			i += 5
		case ch == 'n':
			if !hasWord(b, i, "null") {
				return i, "null is expected"
			}
			i += 4
		default:
			return i, "a value is expected"
		}
		for {
			i = skipSpace(b, i)
			if len(open) == 0 {
				if i < len(b) {
					return i, "the end is expected"
				}
				return i, ""
			}
			closing := open[len(open)-1]
			switch {
			case i >= len(b):
				return i, "a comma or a closing bracket is expected"
			case b[i] == closing:
				open = open[:len(open)-1]
				i++
			case b[i] == ',':
				i = skipSpace(b, i+1)
				if closing == '}' {
					var err string
					if i, err = checkName(b, i); err != "" {
						return i, err
					}
				}
				continue value
			default:
				return i, "a comma or a closing bracket is expected"
			}
		}
	}
}

// checkName passes a member's name, the colon and the space around it.
func checkName(b []byte, i int) (int, string) {
	if i >= len(b) || b[i] != '"' {
		return i, "a name in quotes is expected"
	}
	i, err := checkString(b, i)
	if err != "" {
		return i, err
	}
	i = skipSpace(b, i)
	if i >= len(b) || b[i] != ':' {
		return i, "a colon is expected"
	}
	return skipSpace(b, i+1), ""
}

// checkString passes the string that begins at b[i].
func checkString(b []byte, i int) (int, string) {
	for i++; i < len(b); {
		switch ch := b[i]; {
		case ch == '"':
			return i + 1, ""
		case ch < 0x20:
			return i, "a control character in a string must be escaped"
		case ch != '\\':
			i++
		case i+1 >= len(b):
			return i + 1, "an escape is expected"
		case b[i+1] == 'u':
			for k := i + 2; k < i+6; k++ {
				if k >= len(b) || !isHex(b[k]) {
					return min(k, len(b)), "four hexadecimal digits are expected"
				}
			}
			i += 6
		default:
			switch b[i+1] {
			case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
				i += 2
			default:
				return i + 1, "an escape is expected"
			}
		}
	}
	return i, "a closing quote is expected"
}

// checkNumber passes the number that begins at b[i].
func checkNumber(b []byte, i int) (int, string) {
	if b[i] == '-' {
		i++
	}
	n := digits(b, i)
	switch {
	case n == i:
		return i, "a digit is expected"
	case b[i] == '0' && n > i+1:
		return i + 1, "no digit may follow a leading zero"
	}
	i = n
	if i < len(b) && b[i] == '.' {
		if n = digits(b, i+1); n == i+1 {
			return n, "a digit is expected"
		}
		i = n
	}
	if i < len(b) && (b[i] == 'e' || b[i] == 'E') {
		i++
		if i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		if n = digits(b, i); n == i {
			return n, "a digit is expected"
		}
		i = n
	}
	return i, ""
}

func digits(b []byte, i int) int {
	for i < len(b) && b[i] >= '0' && b[i] <= '9' {
		i++
	}
	return i
}

func hasWord(b []byte, i int, w string) bool {
	return len(b)-i >= len(w) && string(b[i:i+len(w)]) == w
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'f'
}

func skipSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\t' || b[i] == '\r') {
		i++
	}
	return i
}
