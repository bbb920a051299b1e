package connection

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tappet-dev/tappet/sdk"
)

const kindOAuth = "oauth2"

// The grants of the kind oauth2.
const (
	grantCode    = "authorization_code"
	grantClient  = "client_credentials"
	grantJWT     = "jwt_bearer"
	grantPresent = "access_token" // pasted
)

func oauthFields() []Field {
	return []Field{
		{Name: "grant", Title: "Grant", Description: "How a token is got. authorization_code: somebody signs in at the provider. client_credentials: by client ID and secret. jwt_bearer: by an assertion signed with a private key (RFC 7523). access_token: it is pasted.", Enum: []string{grantCode, grantClient, grantJWT, grantPresent}, Default: grantCode},
		{Name: "access_token", Title: "Access token", Description: "Usable as pasted; filled by the authorization.", Secret: true},
		{Name: "callback_url", Title: "Callback URL", Description: "Computed by the server; register it at the provider.", Format: "uri", ReadOnly: true},
		{Name: "authorization_url", Title: "Authorization URL", Description: "Where the browser is sent.", Format: "uri"},
		{Name: "token_url", Title: "Access token URL", Description: "Where codes and refresh tokens are exchanged.", Format: "uri"},
		{Name: "client_id", Title: "Client ID", Description: "As the provider gave it."},
		{Name: "client_secret", Title: "Client secret", Description: "As the provider gave it; none for a public client.", Secret: true},
		{Name: "scope", Title: "Scope", Description: "Passed as it is."},
		{Name: "state", Title: "State", Description: "Optional: carried inside the server's own state and given back after the authorization."},
		{Name: "refresh_token", Title: "Refresh token", Description: "Usable as pasted; filled by the authorization.", Secret: true},
		{Name: "client_auth", Title: "Client authentication", Description: "Where client ID and secret go at the token URL. auto: the header, and the body where the provider refuses that.", Enum: []string{"auto", "header", "body"}, Default: "auto"},
		{Name: "authorization_params", Title: "Authorization parameters", Description: "Added to the authorization URL, such as access_type or prompt.", Type: "object"},
		{Name: "token_params", Title: "Token parameters", Description: "Added to each token request, such as audience or resource.", Type: "object"},
		{Name: "issuer", Title: "Issuer", Description: "What the provider calls itself; compared with what comes back (RFC 9207). Absent: its host has to be that of the authorization URL."},
		{Name: "expired_when", Title: "Expired when", Description: "An expression over the response that says that the token has expired, for services that don't answer 401.", Format: "expression"},
		{Name: "private_key", Title: "Private key", Description: "PEM, for jwt_bearer: RSA, ECDSA or Ed25519.", Format: "pem", Secret: true},
		{Name: "key_id", Title: "Key ID", Description: "The kid of the assertion."},
		{Name: "subject", Title: "Subject", Description: "The sub of the assertion; absent: the client ID."},
		{Name: "audience", Title: "Audience", Description: "The aud of the assertion; absent: the token URL."},
	}
}

// spent is why a connection needs somebody although no provider has said so.
const spent = "it has no token that is good, and none to refresh it with"

// tokens are what a provider gave.
type tokens struct {
	Access  string `json:"access,omitempty"`
	Scheme  string `json:"scheme,omitempty"` // "" is Bearer
	Refresh string `json:"refresh,omitempty"`
	// ExpiresAt and DueAt are when it expires and when it is refreshed; zero:
	// that isn't known.
	ExpiresAt time.Time `json:"expires_at,omitzero"`
	DueAt     time.Time `json:"due_at,omitzero"`
	// Style is the client authentication that the provider took.
	Style string `json:"style,omitempty"`
	// Refusal says why nothing can be refreshed any more.
	Refusal string `json:"refusal,omitempty"`
}

// keepTokens gives the tokens that an update keeps: those of the same client by
// the same grant.
func keepTokens(t tokens, doc json.RawMessage, before map[string]string) tokens {
	var after struct {
		Grant    string `json:"grant"`
		ClientID string `json:"client_id"`
	}
	_ = json.Unmarshal(doc, &after) // put says what is wrong with it
	set(&after.Grant, grantCode)
	if after.Grant != before["grant"] || after.ClientID != before["client_id"] {
		return tokens{}
	}
	if after.Grant == grantClient || after.Grant == grantJWT {
		return tokens{Style: t.Style} // another secret or scope gives another one
	}
	t.Refusal = "" // what was mended may help
	return t
}

// pasted puts tokens that a user wrote in the place of those that were there.
func pasted(t tokens, text map[string]string) tokens {
	if access, refresh := text["access_token"], text["refresh_token"]; access != "" || refresh != "" {
		return tokens{Access: access, Refresh: refresh, Style: t.Style}
	}
	return t
}

// A token is what requests are sent with; it doesn't change.
type token struct {
	tokens
	authorization string
	// due and expires are Unix times in nanoseconds; 0: it isn't known.
	due, expires int64
}

func newToken(t tokens) *token {
	k := &token{tokens: t}
	if t.Access != "" {
		scheme := t.Scheme
		set(&scheme, "Bearer")
		k.authorization = scheme + " " + t.Access
	}
	if !t.DueAt.IsZero() {
		k.due = t.DueAt.UnixNano()
	}
	if !t.ExpiresAt.IsZero() {
		k.expires = t.ExpiresAt.UnixNano()
	}
	return k
}

// usable says whether the token can be sent at a time.
func (k *token) usable(now int64) bool {
	return k.Access != "" && k.Refusal == "" && (k.expires == 0 || now < k.expires)
}

// oauth is the kind oauth2.
type oauth struct {
	m      *Manager
	name   string
	config config
	tls    keyed // TLS and key of the assertion
	// expired is expired_when, or nil.
	expired Expired

	token atomic.Pointer[token]

	mu     sync.Mutex
	flight *flight // nil: no refresh is under way
	// unsaved were given by the provider and couldn't be stored.
	unsaved *tokens
	// retry and again are the earliest times for a refresh ahead of time, after
	// one that failed, and for one because of a refusal.
	retry, again time.Time
}

// A flight is one refresh, for all who need it.
type flight struct {
	done chan struct{}
	err  error // once done is closed
}

func openOAuth(o *opening) auth {
	a := &oauth{m: o.m, name: o.name, config: o.config}
	grant := o.text("grant")
	a.checkURLs(o, grant)
	if o.text("client_id") == "" && grant != grantPresent && grant != grantJWT {
		o.bad("client_id", "is missing")
	}
	if grant == grantClient && o.text("client_secret") == "" {
		o.bad("client_secret", "is missing")
	}
	if grant == grantPresent && o.tokens.Access == "" && o.tokens.Refresh == "" {
		o.bad("access_token", "is missing")
	}
	for _, f := range []string{"access_token", "refresh_token"} {
		if v := o.text(f); v != "" && !isVisible(v) {
			o.bad(f, "has blanks, line ends or other characters that no token has")
		}
	}
	if grant == grantJWT {
		a.tls.key = assertionKey(o)
		if o.text("client_id") == "" && o.text("subject") == "" {
			o.bad("client_id", "is missing: it is the issuer of the assertion")
		}
	}
	a.tls.config = o.tls
	if e := o.text("expired_when"); e != "" {
		var err error
		if o.m.o.Expired == nil {
			o.bad("expired_when", "isn't supported here")
		} else if a.expired, err = o.m.o.Expired(e); err != nil {
			o.bad("expired_when", "%v", err)
		}
	}
	a.token.Store(newToken(o.tokens))
	return a
}

// checkURLs checks the provider's addresses.
func (a *oauth) checkURLs(o *opening, grant string) {
	for _, f := range []string{"authorization_url", "token_url"} {
		s := o.text(f)
		if s == "" {
			if grant == grantCode || f == "token_url" && (grant != grantPresent || o.tokens.Refresh != "") {
				o.bad(f, "is missing")
			}
			continue
		}
		u, err := url.Parse(s)
		switch {
		case err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && u.Scheme != "http":
			o.bad(f, "isn't an absolute URL of https without a user name")
		case u.Scheme == "http" && !a.m.o.Insecure:
			o.bad(f, "is plain http; a provider is asked by https alone")
		case u.Fragment != "":
			o.bad(f, "has a fragment, which no server sees")
		}
	}
}

// standing is the state that a token gives a connection at a time, whatever its
// provider would say.
func standing(c config, t *token, now time.Time) (State, string) {
	switch {
	case t.Refusal != "":
		return NeedsAuthorization, t.Refusal
	case !t.usable(now.UnixNano()) && !refreshable(c, t):
		return NeedsAuthorization, spent
	}
	return Ready, ""
}

// refreshable says whether another token can be had without a user.
func refreshable(c config, t *token) bool {
	switch c.text["grant"] {
	case grantClient, grantJWT:
		return true
	}
	return t.Refresh != "" && c.text["token_url"] != ""
}

func (a *oauth) text(field string) string { return a.config.text[field] }

func (a *oauth) refreshable(t *token) bool { return refreshable(a.config, t) }

func (a *oauth) hidden() []string {
	t := a.token.Load()
	return []string{t.Access, t.Refresh, a.text("client_secret"), a.text("private_key")}
}

// authorize sends the token that there is; from the time that it is due, one of
// the callers has it refreshed, and the others wait for that only if it has
// expired.
func (a *oauth) authorize(ctx context.Context, r *sdk.Request) (string, error) {
	t := a.token.Load()
	if t.due != 0 || t.Access == "" || t.Refusal != "" {
		now := a.m.o.Clock()
		if n := now.UnixNano(); !t.usable(n) || n >= t.due {
			var err error
			if t, err = a.fresh(ctx, t, now); err != nil {
				return "", err
			}
		}
	}
	r.Header = with(r.Header, "Authorization", t.authorization)
	return t.Access, nil
}

// fresh gives the token to use where t is due, expired or none.
func (a *oauth) fresh(ctx context.Context, t *token, now time.Time) (*token, error) {
	switch usable := t.usable(now.UnixNano()); {
	case t.Refusal != "":
		return nil, sdk.Errorf(sdk.Unauthorized, "it needs to be authorised again: %s", t.Refusal)
	case usable && !a.refreshable(t):
		return t, nil
	case usable:
		if a.may(&a.retry, now, a.m.limits.TokenRetry) {
			a.begin(ctx, t)
		}
		return t, nil
	}
	if err := a.wait(ctx, a.begin(ctx, t)); err != nil {
		return nil, err
	}
	if k := a.token.Load(); k.usable(a.m.o.Clock().UnixNano()) {
		return k, nil
	}
	return nil, sdk.Errorf(sdk.Unavailable, "the provider has given a token that has expired already; compare the clocks")
}

// renewed is nil when there is a token that is good; one that is due is refreshed
// first.
func (a *oauth) renewed(ctx context.Context) error {
	t, now := a.token.Load(), a.m.o.Clock()
	switch usable := t.usable(now.UnixNano()); {
	case !usable:
		_, err := a.fresh(ctx, t, now)
		return err
	case t.due != 0 && now.UnixNano() >= t.due && a.refreshable(t):
		return a.wait(ctx, a.begin(ctx, t))
	}
	return nil
}

// may says whether the time *at has come, and if so sets the next one.
func (a *oauth) may(at *time.Time, now time.Time, pause time.Duration) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if now.Before(*at) {
		return false
	}
	*at = now.Add(pause)
	return true
}

// begin has the token t refreshed, unless that is under way or done; nil: it is.
func (a *oauth) begin(ctx context.Context, t *token) *flight {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.flight != nil || a.token.Load() != t {
		return a.flight
	}
	f := &flight{done: make(chan struct{})}
	a.flight = f
	// It belongs to all who wait: the caller's end doesn't end it.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), a.m.limits.TokenTime)
	if !a.m.fly(func() { defer cancel(); a.land(f, a.refresh(ctx, t)) }) {
		cancel()
		a.flight, f.err = nil, sdk.Errorf(sdk.Unavailable, "the server is stopping")
		close(f.done)
	}
	return f
}

func (a *oauth) land(f *flight, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.flight, f.err = nil, err
	close(f.done)
}

func (a *oauth) wait(ctx context.Context, f *flight) error {
	if f == nil {
		return nil
	}
	select {
	case <-f.done:
		return f.err
	case <-ctx.Done():
		return &sdk.Error{Kind: sdk.KindOf(ctx.Err()), Err: ctx.Err()}
	}
}

// refused implements renewer.
func (a *oauth) refused(r *sdk.Response) bool {
	if r.Status == http.StatusUnauthorized {
		return true
	}
	if a.expired == nil {
		return false
	}
	limit := a.m.limits.Judged
	read, err := io.ReadAll(io.LimitReader(r.Body, limit+1))
	rest := io.Reader(r.Body)
	if err != nil {
		rest = failing{err}
	}
	r.Body = &putBack{io.MultiReader(bytes.NewReader(read), rest), r.Body}
	return err == nil && int64(len(read)) <= limit && a.expired(r.Status, r.Header, read)
}

// putBack is a body of which a part was read.
type putBack struct {
	io.Reader
	io.Closer
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// renewable implements renewer.
func (a *oauth) renewable(mark string, _ *sdk.Response) bool {
	t := a.token.Load()
	if t.Access != mark {
		return true
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.refreshable(t) && (a.flight != nil || !a.m.o.Clock().Before(a.again))
}

// renew implements renewer: one refresh for all whose token was refused.
func (a *oauth) renew(ctx context.Context, mark string, _ *sdk.Response, wait bool) error {
	t := a.token.Load()
	if t.Access != mark {
		return nil
	}
	a.may(&a.again, a.m.o.Clock(), a.m.limits.Refused)
	f := a.begin(ctx, t)
	if !wait {
		return nil
	}
	return a.wait(ctx, f)
}
