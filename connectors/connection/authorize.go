package connection

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/url"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"github.com/tappet-dev/tappet/sdk"
)

// What a ticket is for; part of the hash that finds it, so that none passes for
// one of another purpose.
const (
	ticketStart    = "start"
	ticketCallback = "callback"
)

// pass is what a ticket holds.
type pass struct {
	Name     string `json:"name"`
	ID       string `json:"id"`
	ReturnTo string `json:"return_to,omitempty"`
	// Config is a hash of the connection's config at the start.
	Config string `json:"config,omitempty"`
	// Cookie is a hash of the browser's cookie.
	Cookie   string `json:"cookie,omitempty"`
	Verifier string `json:"verifier,omitempty"`
}

// CallbackURL is where providers send browsers back to; "" without a public URL.
func (m *Manager) CallbackURL() string {
	if m.o.PublicURL == "" {
		return ""
	}
	return m.o.PublicURL + "/oauth/callback"
}

// Authorize begins an authorization: the address, under the public URL, is for
// the browser of the user who signs in at the provider; it can be opened once
// and within Limits.Ticket. ReturnTo is a path of this server where the browser
// is in the end, or empty. Errors are of kind invalid, not_found and unavailable.
func (m *Manager) Authorize(ctx context.Context, name, returnTo string) (address string, expires time.Time, err error) {
	if returnTo != "" && !localPath(returnTo) {
		return "", expires, sdk.Errorf(sdk.Invalid, "return_to isn't a path of this server, such as /connections")
	}
	if m.o.PublicURL == "" || m.o.Tickets == nil {
		return "", expires, sdk.Errorf(sdk.Invalid, "the server doesn't know where browsers reach it; set its public URL")
	}
	s, a, err := m.authorizable(ctx, name)
	if err != nil {
		return "", expires, err
	}
	ticket := rand.Text()
	t, err := m.keep(ctx, ticketStart, ticket, pass{Name: name, ID: s.id, ReturnTo: returnTo, Config: a.print()})
	if err != nil {
		return "", expires, err
	}
	return m.o.PublicURL + "/oauth/start/" + ticket, t.ExpiresAt, nil
}

// localPath says whether s is a path of the same server for every browser.
func localPath(s string) bool {
	if strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c == '\\' || c >= 0x7f }) {
		return false
	}
	u, err := url.Parse(s)
	return err == nil && u.Scheme == "" && u.Host == "" && strings.HasPrefix(s, "/") && !strings.HasPrefix(s, "//")
}

// authorizable gives the session of a connection that a browser can authorise.
func (m *Manager) authorizable(ctx context.Context, name string) (*session, *oauth, error) {
	s, err := m.open(ctx, name)
	if err != nil {
		return nil, nil, err
	}
	a, ok := s.auth.(*oauth)
	if !ok || a.text("grant") != grantCode {
		return nil, nil, named(name, sdk.Errorf(sdk.Invalid, "only one of the kind oauth2 with the grant %s is authorised by a browser", grantCode))
	}
	return s, a, nil
}

// print is a hash of what an authorization depends on.
func (a *oauth) print() string {
	b, _ := json.Marshal([]any{a.config.text, a.config.pairs}) // texts always can be
	return hashed(string(b))
}

func hashed(s string) string {
	sum := sha256.Sum256([]byte(s))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

func (m *Manager) keep(ctx context.Context, purpose, value string, p pass) (Ticket, error) {
	plain, err := json.Marshal(p)
	if err != nil {
		return Ticket{}, err
	}
	t := Ticket{Key: hashed(purpose + ":" + value), ExpiresAt: m.o.Clock().UTC().Add(m.limits.Ticket)}
	t.Sealed = m.o.Seal.Seal(plain, []byte("oauth/"+t.Key))
	if err := m.o.Tickets.Put(ctx, t); err != nil {
		return Ticket{}, sdk.Errorf(sdk.Unavailable, "the authorization can't be stored: %w", err)
	}
	return t, nil
}

// take gives the pass of a ticket, which is then gone.
func (m *Manager) take(ctx context.Context, purpose, value string) (pass, error) {
	gone := sdk.Errorf(sdk.Invalid, "the address of this authorization was used already, is too old, or isn't one; begin again")
	if value == "" || m.o.Tickets == nil {
		return pass{}, gone
	}
	t, err := m.o.Tickets.Take(ctx, hashed(purpose+":"+value))
	switch {
	case errors.Is(err, ErrNotFound):
		return pass{}, gone
	case err != nil:
		return pass{}, sdk.Errorf(sdk.Unavailable, "the authorization can't be read: %w", err)
	case !m.o.Clock().Before(t.ExpiresAt):
		return pass{}, gone
	}
	plain, err := m.o.Seal.Open(t.Sealed, []byte("oauth/"+t.Key))
	var p pass
	if err != nil || json.Unmarshal(plain, &p) != nil {
		return pass{}, gone
	}
	return p, nil
}

// A Started authorization sends the browser to the provider.
type Started struct {
	// Location is the provider's address.
	Location string
	// Cookie has to come back to Callback; HttpOnly and SameSite=Lax, for as long
	// as MaxAge.
	CookieName, Cookie string
	MaxAge             time.Duration
}

// CookieName is that of the cookie which belongs to a state: authorizations that
// are under way in one browser don't disturb each other.
func CookieName(state string) string { return "tappet_oauth_" + hashed("cookie:" + state)[:12] }

// Start opens the address that Authorize gave. Errors are of kind invalid,
// not_found and unavailable.
func (m *Manager) Start(ctx context.Context, ticket string) (Started, error) {
	p, err := m.take(ctx, ticketStart, ticket)
	if err != nil {
		return Started{}, err
	}
	a, err := m.same(ctx, p)
	if err != nil {
		return Started{}, err
	}
	p.Verifier = oauth2.GenerateVerifier()
	state, cookie := rand.Text(), rand.Text()
	if own := a.text("state"); own != "" {
		state += "." + own
	}
	p.Cookie = hashed(cookie)
	if _, err := m.keep(ctx, ticketCallback, state, p); err != nil {
		return Started{}, err
	}
	return Started{Location: a.location(m.CallbackURL(), state, p.Verifier), CookieName: CookieName(state), Cookie: cookie, MaxAge: m.limits.Ticket}, nil
}

// same gives the connection that a pass is for, if it is what it was.
func (m *Manager) same(ctx context.Context, p pass) (*oauth, error) {
	s, a, err := m.authorizable(ctx, p.Name)
	if err != nil {
		return nil, err
	}
	if s.id != p.ID || a.print() != p.Config {
		return nil, named(p.Name, sdk.Errorf(sdk.Invalid, "it was changed while it was being authorised; begin again"))
	}
	return a, nil
}

// location is the authorization URL with what RFC 6749, 4.1.1 and RFC 7636 add;
// its own query stays.
func (a *oauth) location(callback, state, verifier string) string {
	client := oauth2.Config{
		ClientID: a.text("client_id"), RedirectURL: callback,
		Endpoint: oauth2.Endpoint{AuthURL: a.text("authorization_url")},
	}
	if scope := a.text("scope"); scope != "" {
		client.Scopes = []string{scope} // as it is
	}
	var more []oauth2.AuthCodeOption
	for name, value := range a.config.pairs["authorization_params"] {
		switch {
		case name == "response_type", name == "client_id", name == "redirect_uri", name == "state":
		case name == "scope" && client.Scopes != nil:
		default:
			more = append(more, oauth2.SetAuthURLParam(name, value))
		}
	}
	return client.AuthCodeURL(state, append(more, oauth2.S256ChallengeOption(verifier))...)
}

// An Authorized connection has its tokens.
type Authorized struct {
	// Name is the connection's.
	Name string
	// ReturnTo is what Authorize was given.
	ReturnTo string
	// State is the user's own, as it came back.
	State string
}

// Callback takes what the provider sends the browser back with, and the cookie
// that Start set, "" if there is none. The code is exchanged only if both belong
// to one authorization, which is then used up. Errors are of kind invalid (a
// state that isn't known, another browser, another issuer), denied (the provider
// or its user has refused), unauthorized (the code or the client was refused),
// and those of the way to the provider; their texts are safe to show, escaped.
func (m *Manager) Callback(ctx context.Context, query url.Values, cookie string) (Authorized, error) {
	for _, name := range []string{"state", "code", "iss", "error"} {
		if len(query[name]) > 1 {
			return Authorized{}, sdk.Errorf(sdk.Invalid, "the callback has %s twice", name)
		}
	}
	state := query.Get("state")
	p, err := m.take(ctx, ticketCallback, state)
	if err != nil {
		return Authorized{}, err
	}
	if subtle.ConstantTimeCompare([]byte(hashed(cookie)), []byte(p.Cookie)) != 1 {
		return Authorized{}, sdk.Errorf(sdk.Invalid, "the authorization was begun in another browser, or its cookie is gone; begin again")
	}
	a, err := m.same(ctx, p)
	if err != nil {
		return Authorized{}, err
	}
	if err := a.checkIssuer(query); err != nil {
		return Authorized{}, named(p.Name, err)
	}
	if code := query.Get("error"); code != "" {
		r := refusal{code: a.clean(code, query), description: a.clean(query.Get("error_description"), query)}
		return Authorized{}, named(p.Name, &sdk.Error{Kind: sdk.Denied, Err: errors.New(r.Error())})
	}
	if query.Get("code") == "" {
		return Authorized{}, named(p.Name, sdk.Errorf(sdk.Invalid, "the provider has sent no code"))
	}
	if err := m.exchange(ctx, a, p, query.Get("code")); err != nil {
		return Authorized{}, named(p.Name, err)
	}
	_, own, _ := strings.Cut(state, ".")
	return Authorized{Name: p.Name, ReturnTo: p.ReturnTo, State: own}, nil
}

// checkIssuer compares who answers with who was asked (RFC 9207).
func (a *oauth) checkIssuer(query url.Values) error {
	iss := query.Get("iss")
	if !query.Has("iss") || iss == a.text("issuer") && iss != "" {
		return nil
	}
	if a.text("issuer") == "" && sameOrigin(iss, a.text("authorization_url")) {
		return nil
	}
	return sdk.Errorf(sdk.Invalid, "the answer is of the issuer %.200q, which isn't the one that was asked; if it is right, give it as issuer", iss)
}

// exchange turns the code into tokens. Like a refresh, it doesn't end with the
// browser's request, whose code would be lost.
func (m *Manager) exchange(ctx context.Context, a *oauth, p pass, code string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), m.limits.TokenTime)
	defer cancel()
	e := m.entry(p.Name)
	unlock, err := e.lock(ctx)
	if err != nil {
		return sdk.Errorf(sdk.Unavailable, "the connection is being changed: %w", err)
	}
	defer unlock()
	if s := e.session.Load(); s == nil || s.auth != auth(a) {
		return errReplaced
	}
	t, err := a.ask(ctx, url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {m.CallbackURL()}, "code_verifier": {p.Verifier},
	}, a.token.Load().Style)
	if err != nil {
		return err
	}
	return a.accept(ctx, t)
}
