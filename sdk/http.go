package sdk

import "io"

// A Pair is one header field.
type Pair struct{ Name, Value string }

// Header is a list of fields, in order; names are compared without case
// (RFC 9110, 5.1).
type Header []Pair

// Get returns the first value of the named field, "" if there is none.
func (h Header) Get(name string) string {
	for i := range h {
		if equalFold(h[i].Name, name) {
			return h[i].Value
		}
	}
	return ""
}

// Has says whether the named field is there.
func (h Header) Has(name string) bool {
	for i := range h {
		if equalFold(h[i].Name, name) {
			return true
		}
	}
	return false
}

// Add appends a field.
func (h *Header) Add(name, value string) { *h = append(*h, Pair{name, value}) }

// equalFold compares ASCII without case; header names are ASCII tokens.
func equalFold(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		x, y := a[i], b[i]
		if 'A' <= x && x <= 'Z' {
			x += 'a' - 'A'
		}
		if 'A' <= y && y <= 'Z' {
			y += 'a' - 'A'
		}
		if x != y {
			return false
		}
	}
	return true
}

// A Request is one HTTP request to send.
type Request struct {
	// Method is sent as it is; empty means GET.
	Method string
	// URL is absolute, http or https.
	URL    string
	Header Header
	// Body is streamed; nil means none. Its bytes stay as they are until the
	// response's body is closed.
	Body io.Reader
	// Size is the length of Body in bytes; -1 means unknown, sent chunked.
	Size int64
	// Reopen gives the body again, for a redirect or a fresh connection; nil
	// means that it can be sent only once.
	Reopen func() (io.ReadCloser, error)
	// MaxResponse is how many bytes of the response's body the caller is ready to
	// take, for one that streams it into a file; 0 means the host's limit for
	// bodies in memory. The host's own limit for files holds in any case. It
	// doesn't cross a pipe.
	MaxResponse int64
	// MaxRedirects is how many redirects are followed at most, within the host's
	// limit; 0 means that limit, and a negative number none: the redirect is the
	// response. It doesn't cross a pipe.
	MaxRedirects int
	// Redirect is asked before a redirect to a URL is followed; its error ends
	// the request. Nil: redirects are followed within the host's limits. It
	// doesn't cross a pipe.
	Redirect func(url string) error
}

// A Response is what came back. Body is never nil and is closed by the one who
// asked; it is limited by the host.
type Response struct {
	Status int
	Header Header
	Body   io.ReadCloser
	// Size is the length that the response declares, -1 if it doesn't.
	Size int64
}
