package engine

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/tappet-dev/tappet/sdk"
)

// masked stands in what is recorded where a secret was.
const masked = "***"

// leastSecret is the fewest bytes of a secret: a shorter one can't be told from
// what isn't secret.
const leastSecret = 4

// leastPart is the fewest bytes of the part behind the last space of a secret
// that is hidden by itself: an answer repeats "Bearer x" as x.
const leastPart = 8

// A mask hides the secrets that one call has got in all that is kept of the
// call: as they are, percent-encoded, and as JSON writes them. Its zero value
// hides nothing. It is safe for concurrent use.
type mask struct {
	mu sync.Mutex
	// secrets are in the order of their length, the longest first.
	secrets []string
	// names are of those that were learned by their name.
	names []string
}

// learn is add for the secret of a name.
func (m *mask) learn(name, secret string) {
	m.add(secret)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.names = append(m.names, name)
}

// knows says whether the secret of a name was learned.
func (m *mask) knows(name string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Contains(m.names, name)
}

func (m *mask) add(secret string) {
	parts := []string{secret}
	if part := secret[strings.LastIndexByte(secret, ' ')+1:]; len(part) >= leastPart {
		parts = append(parts, part)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, p := range parts {
		if !slices.Contains(m.secrets, p) {
			// A new list: text may be going through the old one.
			m.secrets = append(slices.Clone(m.secrets), p)
		}
	}
	slices.SortStableFunc(m.secrets, func(a, b string) int { return len(b) - len(a) })
}

// conceal is add for a part of a connection's credentials, which may be as short
// as its owner likes: one that can't be told from what isn't secret isn't hidden.
func (m *mask) conceal(text string) {
	if len(text) >= leastSecret {
		m.add(text)
	}
}

func (m *mask) list() []string {
	if unmasked {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.secrets
}

// text hides the secrets in s.
func (m *mask) text(s string) string { return hideAll(s, m.list()) }

func hideAll(s string, secrets []string) string {
	for _, secret := range secrets {
		s = strings.ReplaceAll(s, secret, masked)
		if strings.ContainsAny(s, "%+") {
			s = hide(s, secret, percentEncoded)
			s = hide(s, secret, formEncoded)
		}
		if strings.Contains(s, `\`) {
			s = hide(s, secret, jsonEscaped)
		}
	}
	return s
}

// hide hides a secret that stands in s in an encoding.
func hide(s, secret string, unit func(string) (string, int)) string {
	var b strings.Builder
	from := 0
	for i := 0; i < len(s); {
		n := 0
		if c := s[i]; c == secret[0] || c == '%' || c == '+' || c == '\\' {
			n = encoded(s[i:], secret, unit)
		}
		if n == 0 {
			i++
			continue
		}
		b.WriteString(s[from:i])
		b.WriteString(masked)
		i += n
		from = i
	}
	if from == 0 {
		return s
	}
	b.WriteString(s[from:])
	return b.String()
}

// encoded gives the number of bytes at the beginning of s that stand for the
// secret, 0 if they don't; unit decodes the first of them.
func encoded(s, secret string, unit func(string) (string, int)) int {
	at := 0
	for secret != "" {
		if at == len(s) {
			return 0
		}
		part, n := unit(s[at:])
		if !strings.HasPrefix(secret, part) {
			return 0
		}
		secret = secret[len(part):]
		at += n
	}
	return at
}

// percentEncoded decodes the first byte of a part of a URL (RFC 3986, 2.1).
func percentEncoded(s string) (string, int) {
	if s[0] == '%' && len(s) >= 3 {
		if v, err := strconv.ParseUint(s[1:3], 16, 8); err == nil {
			return string([]byte{byte(v)}), 3
		}
	}
	return s[:1], 1
}

// formEncoded is percentEncoded where a space is a plus.
func formEncoded(s string) (string, int) {
	if s[0] == '+' {
		return " ", 1
	}
	return percentEncoded(s)
}

// jsonEscaped decodes the first character of the inside of a JSON string (RFC
// 8259, 7).
func jsonEscaped(s string) (string, int) {
	if s[0] != '\\' || len(s) < 2 {
		return s[:1], 1
	}
	switch s[1] {
	case '"', '\\', '/':
		return s[1:2], 2
	case 'n':
		return "\n", 2
	case 't':
		return "\t", 2
	case 'r':
		return "\r", 2
	case 'b':
		return "\b", 2
	case 'f':
		return "\f", 2
	case 'u':
		r, ok := codeUnit(s)
		if !ok {
			return s[:1], 1
		}
		if low, ok := codeUnit(s[6:]); ok && utf16.IsSurrogate(r) {
			if both := utf16.DecodeRune(r, low); both != utf8.RuneError {
				return string(both), 12
			}
		}
		return string(r), 6
	}
	return s[:1], 1
}

// codeUnit reads \uXXXX.
func codeUnit(s string) (rune, bool) {
	if len(s) < 6 || s[0] != '\\' || s[1] != 'u' {
		return 0, false
	}
	v, err := strconv.ParseUint(s[2:6], 16, 16)
	return rune(v), err == nil
}

// json hides the secrets in the strings and numbers of a valid JSON document;
// what it gives is one, too.
func (m *mask) json(doc json.RawMessage) json.RawMessage {
	secrets := m.list()
	if len(secrets) == 0 {
		return doc
	}
	least := len(secrets[len(secrets)-1]) // encoded it isn't shorter
	var out []byte
	from := 0
	for i := 0; i < len(doc); {
		end := tokenEnd(doc, i)
		if text, ok := tokenText(doc[i:end], least); ok {
			if hidden := hideAll(text, secrets); hidden != text {
				out = appendText(append(out, doc[from:i]...), hidden)
				from = end
			}
		}
		i = end
	}
	if from == 0 {
		return doc
	}
	return append(out, doc[from:]...)
}

// tokenEnd gives the end of the string or number that begins at b[i]; other
// bytes are tokens of their own.
func tokenEnd(b []byte, i int) int {
	if b[i] == '"' {
		for i++; i < len(b) && b[i] != '"'; i++ {
			if b[i] == '\\' {
				i++
			}
		}
		return min(i+1, len(b))
	}
	for isNumeric(b[i]) && i+1 < len(b) && isNumeric(b[i+1]) {
		i++
	}
	return i + 1
}

func isNumeric(c byte) bool {
	return '0' <= c && c <= '9' || c == '-' || c == '+' || c == '.' || c == 'e' || c == 'E'
}

// tokenText gives what a token says; false for one that can't hold a secret of
// that many bytes.
func tokenText(token []byte, least int) (string, bool) {
	if len(token) < least {
		return "", false
	}
	if token[0] != '"' {
		return string(token), true
	}
	if !slices.Contains(token, '\\') {
		return string(token[1 : len(token)-1]), true
	}
	var s string
	return s, json.Unmarshal(token, &s) == nil
}

// exchange hides the secrets in what is recorded of a request.
func (m *mask) exchange(x *Exchange) {
	x.URL, x.Error = m.text(x.URL), m.text(x.Error)
	for i, r := range x.Redirects {
		x.Redirects[i] = m.text(r)
	}
}

// error gives err with the secrets in its text hidden; its kind and reason stay.
func (m *mask) error(err error) error {
	if err == nil || m.text(err.Error()) == err.Error() {
		return err
	}
	return &sdk.Error{Kind: sdk.KindOf(err), RetryAfter: retryAfter(err), Reason: sdk.ReasonOf(err), Err: errors.New(m.text(err.Error()))}
}

// value hides the secrets in what is logged beside a message.
func (m *mask) value(v any) any {
	switch v := v.(type) {
	case nil, bool, int, int64, uint64, float64, time.Duration, time.Time:
		return v
	}
	if len(m.list()) == 0 {
		return v
	}
	return m.text(fmt.Sprint(v))
}
