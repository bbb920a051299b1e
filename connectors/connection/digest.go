package connection

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"sync"

	"github.com/icholy/digest"

	"github.com/tappet-dev/tappet/sdk"
)

// digestAuth is the kind digest: the first request asks, those that follow
// answer the challenge with a count of their own (RFC 7616, 3.4).
type digestAuth struct {
	username, password string
	cnonce             string // "": random

	mu    sync.Mutex
	asked *digest.Challenge // nil: none yet
	count int
}

func openDigest(o *opening) auth {
	o.checkUser(o.text("username"))
	o.confined = true // another origin must not choose what is answered
	return &digestAuth{username: o.text("username"), password: o.text("password")}
}

func (d *digestAuth) hidden() []string { return []string{d.password} }

func (d *digestAuth) authorize(_ context.Context, r *sdk.Request) (string, error) {
	d.mu.Lock()
	c := d.asked
	d.count++
	count := d.count
	d.mu.Unlock()
	if c == nil {
		return "", nil
	}
	u, err := url.Parse(r.URL)
	if err != nil {
		return "", sdk.Errorf(sdk.Invalid, "the URL can't be read")
	}
	method := r.Method
	if method == "" {
		method = http.MethodGet
	}
	o := digest.Options{Method: method, URI: u.RequestURI(), Count: count, Username: d.username, Password: d.password, Cnonce: d.cnonce}
	if r.Body != nil {
		o.GetBody = func() (io.ReadCloser, error) { return again(r) }
	}
	answer, err := digest.Digest(c, o)
	if err != nil {
		return "", sdk.Errorf(sdk.Unsupported, "the service's challenge can't be answered: %w", err)
	}
	r.Header = with(r.Header, "Authorization", answer.String())
	return c.Nonce, nil
}

func (d *digestAuth) refused(r *sdk.Response) bool { return r.Status == http.StatusUnauthorized }

// challenge is the first of a refusal that can be answered, or nil.
func (d *digestAuth) challenge(r *sdk.Response) *digest.Challenge {
	h := http.Header{}
	for _, f := range r.Header {
		h.Add(f.Name, f.Value)
	}
	c, err := digest.FindChallenge(h)
	if err != nil || c.Nonce == "" {
		return nil
	}
	return c
}

func (d *digestAuth) renewable(_ string, r *sdk.Response) bool { return d.challenge(r) != nil }

func (d *digestAuth) renew(_ context.Context, mark string, r *sdk.Response, _ bool) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.asked == nil || d.asked.Nonce == mark { // others may have another one already
		d.asked, d.count = d.challenge(r), 0
	}
	return nil
}

// again gives the body of a request once more, for its hash.
func again(r *sdk.Request) (io.ReadCloser, error) {
	if r.Reopen == nil {
		return nil, sdk.Errorf(sdk.Invalid, "the body can be read only once, so it can't be signed before it is sent")
	}
	return r.Reopen()
}
