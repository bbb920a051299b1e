package expr

import (
	"encoding/json"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/cockroachdb/apd/v3"
)

// appendJSON writes a value within the budget. The same value gives the same
// bytes: names are sorted, numbers finite, and what is undecoded is copied.
func (f *frame) appendJSON(b []byte, v any, depth int) []byte {
	f.step(1)
	if depth > maxValueDepth {
		f.exceeded("the value is nested too deeply to be written out")
	}
	switch x := v.(type) {
	case nil:
		f.alloc(4)
		return append(b, "null"...)
	case bool:
		f.alloc(5)
		return strconv.AppendBool(b, x)
	case int:
		f.alloc(8)
		return strconv.AppendInt(b, int64(x), 10)
	case float64, *apd.Decimal:
		f.alloc(24)
		return f.appendNumber(b, x, false)
	case json.Number:
		f.alloc(len(x))
		return f.appendNumber(b, x, false)
	case string:
		return f.appendString(b, x)
	case *Raw:
		f.copied(len(x.b))
		return append(b, x.b...)
	case []any:
		b = append(b, '[')
		for i, e := range x {
			if i > 0 {
				b = append(b, ',')
			}
			f.alloc(2)
			b = f.appendJSON(b, e, depth+1)
		}
		return append(b, ']')
	case map[string]any:
		return f.appendObject(b, x, depth)
	case Members:
		return f.appendObject(b, f.object(x), depth)
	case time.Time:
		return f.appendString(b, f.timeText(x))
	case time.Duration:
		return f.appendString(b, durationText(x))
	case Secret:
		if f.show {
			return f.appendReference(b, x)
		}
		f.fail("a secret can't be written out")
	}
	f.fail("%s can't be written out", kindName(v))
	return b
}

func (f *frame) appendObject(b []byte, m map[string]any, depth int) []byte {
	b = append(b, '{')
	for i, k := range f.sortedKeys(m) {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(f.appendString(b, k), ':')
		b = f.appendJSON(b, m[k], depth+1)
	}
	return append(b, '}')
}

func (f *frame) appendString(b []byte, s string) []byte {
	// A buffer that grows by doubling takes twice what is written.
	f.alloc(2*len(s) + 4)
	f.step(len(s) / 16)
	b = append(b, '"')
	return append(appendEscaped(b, s), '"')
}

// appendEscaped writes the inside of a JSON string. Bytes that aren't UTF-8
// become U+FFFD.
func appendEscaped(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= 0x20 && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && n == 1 {
				b = append(append(b, s[start:i]...), "\ufffd"...)
				start = i + 1
			}
			i += n
			continue
		}
		b = append(b, s[start:i]...)
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, '\\', 'n')
		case '\t':
			b = append(b, '\\', 't')
		case '\r':
			b = append(b, '\\', 'r')
		default:
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
		i++
		start = i
	}
	return append(b, s[start:]...)
}
