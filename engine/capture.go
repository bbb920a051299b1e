package engine

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"net/http/httputil"
	"strings"
	"unicode/utf8"
)

// A Capture is one request and its response as they crossed the wire (RFC 9112),
// with the secrets that were sent.
type Capture struct {
	URL               string
	Request, Response []byte
	// RequestCut and ResponseCut: there was more.
	RequestCut, ResponseCut bool
}

// A Hop is a Capture that may be shown.
type Hop struct {
	URL               string
	Request, Response Message
}

// A Message is one side of an HTTP exchange as it crossed the wire, its secrets
// hidden and its chunks joined.
type Message struct {
	// Bytes are head and body; in base64 if Base64.
	Bytes  string
	Base64 bool
	// Truncated: there was more.
	Truncated bool
	// LeftOut is how the body is compressed, which is why it isn't in Bytes: what
	// it holds can't be hidden in it. Empty: the body is there.
	LeftOut string
}

// credentialHeaders are header fields whose values are never shown.
var credentialHeaders = []string{"Authorization", "Proxy-Authorization", "Cookie", "Set-Cookie"}

// note hides the values of credentials in a capture wherever else they stand.
func (m *mask) note(c Capture) {
	for _, message := range [][]byte{c.Request, c.Response} {
		for len(message) > 0 {
			head, body, found := bytes.Cut(message, []byte("\r\n\r\n"))
			fields(string(head), func(name, value string) {
				if isCredential(name) {
					m.credential(value)
				}
			})
			if message = nil; found && interim(head) {
				message = body
			}
		}
	}
}

// credential hides a header's value, and the values of the cookies in it.
func (m *mask) credential(value string) {
	if len(value) >= leastSecret {
		m.add(value)
	}
	for pair := range strings.SplitSeq(value, ";") {
		if _, v, ok := strings.Cut(pair, "="); ok && len(v) >= leastPart {
			m.add(strings.Trim(v, `" `))
		}
	}
}

func isCredential(name string) bool {
	for _, c := range credentialHeaders {
		if strings.EqualFold(c, name) {
			return true
		}
	}
	return false
}

// fields calls each for the header fields of a head.
func fields(head string, each func(name, value string)) {
	lines := strings.Split(head, "\n")
	for _, line := range lines[1:] {
		if name, value, ok := strings.Cut(line, ":"); ok {
			each(strings.TrimSpace(name), strings.TrimSpace(value))
		}
	}
}

// interim says whether a head is of an interim response, which another follows
// (RFC 9110, 15.2).
func interim(head []byte) bool {
	return bytes.HasPrefix(head, []byte("HTTP/1.")) && len(head) > 9 && head[9] == '1' && !bytes.HasPrefix(head[9:], []byte("101"))
}

func (m *mask) hop(c Capture) Hop {
	return Hop{URL: m.text(c.URL), Request: m.message(c.Request, c.RequestCut), Response: m.message(c.Response, c.ResponseCut)}
}

// message makes bytes of the wire fit to be shown.
func (m *mask) message(b []byte, cut bool) Message {
	out := Message{Truncated: cut}
	var shown strings.Builder
	for {
		head, body, found := bytes.Cut(b, []byte("\r\n\r\n"))
		m.head(&shown, string(head))
		if !found {
			break
		}
		shown.WriteString("\r\n\r\n")
		if interim(head) {
			b = body
			continue
		}
		chunked := false
		fields(string(head), func(name, value string) {
			switch {
			case strings.EqualFold(name, "Transfer-Encoding"):
				chunked = strings.Contains(strings.ToLower(value), "chunked")
			case strings.EqualFold(name, "Content-Encoding") && !strings.EqualFold(value, "identity"):
				out.LeftOut = value
			}
		})
		if out.LeftOut != "" {
			if len(body) == 0 {
				out.LeftOut = ""
			}
			break
		}
		if chunked {
			body, _ = io.ReadAll(httputil.NewChunkedReader(bytes.NewReader(body))) // what can be read is shown
		}
		shown.WriteString(m.text(string(body)))
		break
	}
	out.Bytes = shown.String()
	if cut && !unmasked {
		out.Bytes = m.whole(out.Bytes)
	}
	if !utf8.ValidString(out.Bytes) || strings.Contains(out.Bytes, "\x00") {
		out.Bytes, out.Base64 = base64.StdEncoding.EncodeToString([]byte(out.Bytes)), true
	}
	return out
}

// whole takes so much off the end that no part of a secret can be left there,
// however it was encoded.
func (m *mask) whole(s string) string {
	const widest = 6 // \u0041
	secrets := m.list()
	if len(secrets) == 0 {
		return s
	}
	return s[:max(0, len(s)-widest*len(secrets[0]))]
}

// head writes a head without credentials; a line that goes on belongs to the
// field before it (RFC 9112, 5.2).
func (m *mask) head(to *strings.Builder, head string) {
	hidden := false
	for i, line := range strings.SplitAfter(head, "\n") {
		folded := i > 0 && (strings.HasPrefix(line, " ") || strings.HasPrefix(line, "\t"))
		switch name, _, ok := strings.Cut(line, ":"); {
		case unmasked:
			to.WriteString(line)
		case folded && hidden:
		case i > 0 && ok && isCredential(strings.TrimSpace(name)):
			hidden = true
			fmt.Fprintf(to, "%s: %s%s", name, masked, line[len(strings.TrimRight(line, "\r\n")):])
		default:
			hidden = false
			to.WriteString(m.text(line))
		}
	}
}
