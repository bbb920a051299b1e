package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"

	"github.com/zitadel/oidc/v3/example/server/exampleop"
	"github.com/zitadel/oidc/v3/example/server/storage"
)

// The one app that is registered at the provider.
const (
	clientID     = "tappet"
	clientSecret = "the-secret-of-the-client"
)

// provider is zitadel's example server, with one app.
type provider struct {
	url string

	mu     sync.Mutex
	op     http.Handler // nil: no app is registered yet
	grants []string     // those that were given, in order
	revoke map[string]bool
}

// register registers the app with its redirect URI, as its owner would.
func (p *provider) register(w http.ResponseWriter, r *http.Request) {
	var app struct {
		RedirectURI string `json:"redirect_uri"`
	}
	if !read(w, r, &app) {
		return
	}
	clients := map[string]*storage.Client{clientID: storage.WebClient(clientID, clientSecret, app.RedirectURI)}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.op = exampleop.SetupServer(p.url, storage.NewStorageWithClients(storage.NewUserStore(p.url), clients), nil, false)
}

// ServeHTTP is the provider's. It notes the grants that were given.
func (p *provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	op := p.op
	p.mu.Unlock()
	if op == nil {
		http.NotFound(w, r)
		return
	}
	if r.URL.Path != "/oauth/token" {
		op.ServeHTTP(w, r)
		return
	}
	b, _ := io.ReadAll(r.Body)
	form, _ := url.ParseQuery(string(b))
	r.Body = io.NopCloser(strings.NewReader(string(b)))
	rec := httptest.NewRecorder()
	op.ServeHTTP(rec, r)
	p.mu.Lock()
	if rec.Code == http.StatusOK {
		p.grants = append(p.grants, form.Get("grant_type"))
	}
	p.mu.Unlock()
	for name, values := range rec.Header() {
		w.Header()[name] = values
	}
	w.WriteHeader(rec.Code)
	_, _ = w.Write(rec.Body.Bytes())
}

func (p *provider) granted(w http.ResponseWriter, _ *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	reply(w, p.grants)
}

// revokeAt has the token of the next request for a path revoked before it is
// looked at.
func (p *provider) revokeAt(w http.ResponseWriter, r *http.Request) {
	var at struct {
		Path string `json:"path"`
	}
	if !read(w, r, &at) {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.revoke[at.Path] = true
}

// guarded lets in who has a token that the provider knows.
func (p *provider) guarded(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		authorization := r.Header.Get("Authorization")
		p.mu.Lock()
		op, revoke := p.op, p.revoke[r.URL.Path]
		delete(p.revoke, r.URL.Path)
		p.mu.Unlock()
		if op == nil {
			http.Error(w, "no app is registered", http.StatusUnauthorized)
			return
		}
		if revoke {
			form := url.Values{"token": {strings.TrimPrefix(authorization, "Bearer ")}}
			q := httptest.NewRequest(http.MethodPost, p.url+"/revoke", strings.NewReader(form.Encode()))
			q.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			q.SetBasicAuth(clientID, clientSecret)
			op.ServeHTTP(httptest.NewRecorder(), q)
		}
		q := httptest.NewRequest(http.MethodGet, p.url+"/userinfo", http.NoBody)
		q.Header.Set("Authorization", authorization)
		rec := httptest.NewRecorder()
		if op.ServeHTTP(rec, q); rec.Code != http.StatusOK {
			w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
			http.Error(w, "the token isn't known", http.StatusUnauthorized)
			return
		}
		next(w, r)
	}
}
