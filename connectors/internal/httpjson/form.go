package httpjson

import (
	"fmt"
	"strings"

	"github.com/tappet-dev/tappet/connectors/internal/rawjson"
)

// MaxPairs is how many pairs a query or a form may hold.
const MaxPairs = 1_000

type pair struct{ key, value string }

// AppendForm appends the pairs of a query or of an urlencoded form as an
// object: a key that comes once has a string, one that is repeated the list of
// its values. Empty pairs, as in "a=1&&b=2", are passed over. A broken percent
// escape and more than MaxPairs pairs are errors.
func AppendForm(dst []byte, s string) ([]byte, error) {
	if s == "" {
		return append(dst, '{', '}'), nil
	}
	pairs := make([]pair, 0, min(strings.Count(s, "&")+1, MaxPairs))
	for s != "" {
		var p string
		p, s, _ = strings.Cut(s, "&")
		if p == "" {
			continue
		}
		if len(pairs) == MaxPairs {
			return nil, fmt.Errorf("there are more than %d pairs", MaxPairs)
		}
		k, v, _ := strings.Cut(p, "=")
		key, err := unescape(k)
		if err != nil {
			return nil, err
		}
		value, err := unescape(v)
		if err != nil {
			return nil, fmt.Errorf("key %q: %w", key, err)
		}
		pairs = append(pairs, pair{key, value})
	}
	var next [few]int32
	var head [few]bool
	c := link(len(pairs), &next, &head, func(i, j int) bool { return pairs[i].key == pairs[j].key },
		func(i int) string { return pairs[i].key })
	dst = append(dst, '{')
	empty := true
	for i := range pairs {
		if !c.head[i] {
			continue
		}
		if !empty {
			dst = append(dst, ',')
		}
		empty = false
		dst = append(rawjson.AppendString(dst, pairs[i].key), ':')
		if c.next[i] < 0 {
			dst = rawjson.AppendString(dst, pairs[i].value)
			continue
		}
		dst = rawjson.AppendString(append(dst, '['), pairs[i].value)
		for j := c.next[i]; j >= 0; j = c.next[j] {
			dst = rawjson.AppendString(append(dst, ','), pairs[j].value)
		}
		dst = append(dst, ']')
	}
	return append(dst, '}'), nil
}

// unescape decodes %XX and "+" (which stands for a space).
func unescape(s string) (string, error) {
	if !strings.ContainsAny(s, "%+") {
		return s, nil
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch c := s[i]; c {
		case '+':
			b = append(b, ' ')
		case '%':
			if i+2 >= len(s) || unhex(s[i+1]) > 15 || unhex(s[i+2]) > 15 {
				return "", fmt.Errorf("%q is no percent escape such as %%20", s[i:min(i+3, len(s))])
			}
			b = append(b, unhex(s[i+1])<<4|unhex(s[i+2]))
			i += 2
		default:
			b = append(b, c)
		}
	}
	return string(b), nil
}

// unhex gives the value of a hexadecimal digit, 255 for another byte.
func unhex(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10
	}
	return 255
}

const upperHex = "0123456789ABCDEF"

// AppendQueryEscaped appends s with every byte but RFC 3986's unreserved ones
// percent-encoded; a space becomes %20.
func AppendQueryEscaped(dst []byte, s string) []byte { return appendEscaped(dst, s, "%20") }

// AppendFormEscaped does the same for an urlencoded body, in which a space
// becomes "+".
func AppendFormEscaped(dst []byte, s string) []byte { return appendEscaped(dst, s, "+") }

func appendEscaped(dst []byte, s, space string) []byte {
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9',
			c == '-', c == '.', c == '_', c == '~':
			dst = append(dst, c)
		case c == ' ':
			dst = append(dst, space...)
		default:
			dst = append(dst, '%', upperHex[c>>4], upperHex[c&15])
		}
	}
	return dst
}
