package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tappet-dev/tappet/api"
	"github.com/tappet-dev/tappet/engine"
)

// fakeConnections has the connection forms, and remembers what it was told.
type fakeConnections struct {
	got []any
	err error
}

func (f *fakeConnections) told(what ...any) error {
	f.got = append(f.got, what...)
	return f.err
}

func theConnection() api.Connection {
	at := api.Timestamp(when)
	return api.Connection{
		Name: "forms", Kind: "oauth2", Title: "The form app", Hosts: []string{"api.example.com"}, Credentials: []string{"client_secret"},
		Config: json.RawMessage(`{"client_id":"tappet","callback_url":"https://tappet.example.com/oauth/callback"}`),
		State:  "needs_authorization", Message: "nobody has authorised it yet", CreatedAt: &at, UpdatedAt: &at,
	}
}

func (f *fakeConnections) ConnectionKinds() []api.ConnectionKind {
	return []api.ConnectionKind{{Name: "basic", Title: "User name and password", Description: "Sends both.", Config: json.RawMessage(`{"type":"object"}`), NeedsHosts: true}}
}

func (f *fakeConnections) Connections(context.Context) ([]api.Connection, error) {
	return []api.Connection{theConnection(), {Name: "other", State: "ready"}}, f.err
}

func (f *fakeConnections) Connection(_ context.Context, name string) (api.Connection, error) {
	if name != "forms" {
		return api.Connection{}, &engine.Error{Kind: engine.NotFound, Err: errors.New("there is no such connection")}
	}
	return theConnection(), f.err
}

func (f *fakeConnections) CreateConnection(_ context.Context, d api.ConnectionDraft) (api.Connection, error) {
	return theConnection(), f.told("create", d.Name, d.Kind, string(d.Config), strings.Join(d.Hosts, " "))
}

func (f *fakeConnections) UpdateConnection(_ context.Context, name string, d api.ConnectionDraft) (api.Connection, error) {
	return theConnection(), f.told("update", name, string(d.Config))
}

func (f *fakeConnections) DeleteConnection(_ context.Context, name string) error {
	return f.told("delete", name)
}

func (f *fakeConnections) TestConnection(_ context.Context, name string) (api.ConnectionTest, error) {
	return api.ConnectionTest{Status: 401, Message: "the service has answered 401"}, f.told("test", name)
}

func (f *fakeConnections) Authorize(_ context.Context, name, returnTo string) (string, time.Time, error) {
	return "https://tappet.example.com/oauth/start/T", when, f.told("authorize", name, returnTo)
}

func (f *fakeConnections) StartAuthorization(_ context.Context, ticket string) (api.AuthorizationStart, error) {
	return api.AuthorizationStart{Location: "https://provider.example.com/authorize?x=1", CookieName: "c", Cookie: "v", MaxAge: 10 * time.Minute}, f.told("start", ticket)
}

func (f *fakeConnections) EndAuthorization(_ context.Context, q url.Values, cookie func(string) string) (api.AuthorizationEnd, error) {
	err := f.told("end", q.Get("state"), cookie("c"))
	return api.AuthorizationEnd{Connection: "forms", CookieName: "c", ReturnTo: q.Get("to")}, err
}

type fakeSecrets struct{ got []any }

func (f *fakeSecrets) Secrets(context.Context) ([]api.Secret, error) {
	x, err := f.PutSecret(context.Background(), "forms", "")
	return []api.Secret{x}, err
}

func (f *fakeSecrets) PutSecret(_ context.Context, name, value string) (api.Secret, error) {
	f.got = append(f.got, name, value)
	at := api.Timestamp(when)
	return api.Secret{Name: name, CreatedAt: &at, UpdatedAt: &at}, nil
}

func (f *fakeSecrets) DeleteSecret(_ context.Context, name string) error {
	f.got = append(f.got, "delete", name)
	return nil
}

func (f *fake) CredentialUses(context.Context) (engine.Credentials, error) {
	use := []engine.GraphUse{{Graph: "orders", Version: 2, Active: true}}
	return engine.Credentials{Connections: map[string][]engine.GraphUse{"forms": use}, Secrets: map[string][]engine.GraphUse{"forms": use}}, nil
}

// linked is a server with connections and secrets.
func linked(tb testing.TB) (*api.Server, *fakeConnections, *fakeSecrets) {
	tb.Helper()
	c, x := &fakeConnections{}, &fakeSecrets{}
	return newServer(tb, newFake(), func(o *api.Options) {
		o.Connections, o.Secrets, o.PublicURL = c, x, "https://tappet.example.com/below"
	}), c, x
}

func TestConnectionAnswers(t *testing.T) {
	t.Parallel()
	const draft = `{"name":"forms","kind":"basic","hosts":["api.example.com"],"config":{"password":"canary"}}`
	for _, c := range []struct {
		file, method, target, body string
		status                     int
		told                       []any
	}{
		{"connection_kinds.json", "GET", "/api/v1/connection-kinds", "", 200, nil},
		{"connections.json", "GET", "/api/v1/connections?state=needs_authorization&q=FORM", "", 200, nil},
		{"connection.json", "GET", "/api/v1/connections/forms", "", 200, nil},
		{"connection.json", "POST", "/api/v1/connections", draft, 201, []any{"create", "forms", "basic", `{"password":"canary"}`, "api.example.com"}},
		{"connection.json", "PUT", "/api/v1/connections/forms", draft, 200, []any{"update", "forms", `{"password":"canary"}`}},
		{"connection_test.json", "POST", "/api/v1/connections/forms/test", "", 200, []any{"test", "forms"}},
		{"connection_authorize.json", "POST", "/api/v1/connections/forms/authorize", "", 200, []any{"authorize", "forms", ""}},
		{"connection_authorize.json", "POST", "/api/v1/connections/forms/authorize", `{"return_to":"/x"}`, 200, []any{"authorize", "forms", "/x"}},
		{"connection_usage.json", "GET", "/api/v1/connections/forms/usage", "", 200, nil},
		{"", "DELETE", "/api/v1/connections/forms?force=true", "", 204, []any{"delete", "forms"}},
		{"", "DELETE", "/api/v1/connections/forms", "", 409, nil},
		{"", "DELETE", "/api/v1/connections/none", "", 404, nil},
		{"", "GET", "/api/v1/connections/none/usage", "", 404, nil},
	} {
		s, f, _ := linked(t)
		w := do(s, request(c.method, c.target, c.body, "Content-Type", "application/json"))
		if w.Code != c.status {
			t.Errorf("%s %s: status %d, %s", c.method, c.target, w.Code, w.Body)
			continue
		}
		if d := cmp.Diff(c.told, f.got); d != "" {
			t.Errorf("%s %s: told %s", c.method, c.target, d)
		}
		if c.file != "" {
			golden(t, c.file, indent(t, w.Body.Bytes()))
		}
		if strings.Contains(w.Body.String(), "canary") {
			t.Errorf("%s %s answers with the credential", c.method, c.target)
		}
	}
}

func TestSecretAnswers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		file, method, target, body string
		status                     int
		told                       []any
	}{
		{"secrets.json", "GET", "/api/v1/secrets", "", 200, []any{"forms", ""}},
		{"secret.json", "PUT", "/api/v1/secrets/forms", `{"value":"canary"}`, 200, []any{"forms", "canary"}},
		{"", "DELETE", "/api/v1/secrets/forms", "", 409, nil},
		{"", "DELETE", "/api/v1/secrets/free", "", 204, []any{"delete", "free"}},
		{"", "DELETE", "/api/v1/secrets/forms?force=true", "", 204, []any{"delete", "forms"}},
		{"", "PUT", "/api/v1/secrets/forms", `{"valu":"canary"}`, 422, nil},
		{"", "PUT", "/api/v1/secrets/forms", `{"value":{"canary":1}}`, 422, nil},
		{"", "PUT", "/api/v1/secrets/forms", `{"value":"canary`, 422, nil},
		{"", "GET", "/api/v1/secrets/forms", "", 405, nil},
	} {
		s, _, f := linked(t)
		w := do(s, request(c.method, c.target, c.body, "Content-Type", "application/json"))
		if w.Code != c.status {
			t.Errorf("%s %s: status %d, %s", c.method, c.target, w.Code, w.Body)
			continue
		}
		if d := cmp.Diff(c.told, f.got); d != "" {
			t.Errorf("%s %s: told %s", c.method, c.target, d)
		}
		if c.file != "" {
			golden(t, c.file, indent(t, w.Body.Bytes()))
		}
		if strings.Contains(w.Body.String(), "canary") {
			t.Errorf("%s %s answers with the value: %s", c.method, c.target, w.Body)
		}
	}
}

// A server without connections and secrets says so.
func TestNoConnections(t *testing.T) {
	t.Parallel()
	s := newServer(t, newFake(), nil)
	for target, status := range map[string]int{
		"GET /api/v1/connections": 200, "GET /api/v1/connection-kinds": 200, "GET /api/v1/connections/x": 404, "POST /api/v1/connections": 503,
		"PUT /api/v1/secrets/x": 503, "GET /api/v1/secrets": 200, "DELETE /api/v1/secrets/x": 404, "POST /api/v1/connections/x/test": 404,
		"POST /api/v1/connections/x/authorize": 404, "PUT /api/v1/connections/x": 404, "GET /oauth/start/x": 503, "GET /oauth/callback": 503,
	} {
		method, path, _ := strings.Cut(target, " ")
		body := ""
		if method == "PUT" || strings.HasSuffix(target, "POST /api/v1/connections") {
			body = `{}`
		}
		if w := do(s, request(method, path, body, "Content-Type", "application/json")); w.Code != status {
			t.Errorf("%s: status %d, %s; want %d", target, w.Code, w.Body, status)
		}
	}
}

// SecurityRule 09: no token, a cookie for the callback alone, a policy that lets
// nothing run, and nothing a stranger wrote that isn't escaped.
func TestSec09_OAuthAddresses(t *testing.T) {
	t.Parallel()
	open := func(s http.Handler, method, target, cookie string) *http.Response {
		r := request(method, target, "")
		r.Header.Del("Authorization")
		if cookie != "" {
			r.Header.Set("Cookie", cookie)
		}
		return do(s, r).Result()
	}
	s, f, _ := linked(t)
	w := open(s, "GET", "/oauth/start/TICKET", "")
	if w.StatusCode != http.StatusSeeOther || w.Header.Get("Location") != "https://provider.example.com/authorize?x=1" {
		t.Errorf("start: %d to %s", w.StatusCode, w.Header.Get("Location"))
	}
	if got := w.Header.Get("Set-Cookie"); got != "c=v; Path=/below/oauth/callback; Max-Age=600; HttpOnly; Secure; SameSite=Lax" {
		t.Errorf("cookie %q", got)
	}
	w = open(s, "GET", "/oauth/callback?state=S&code=C", "c=v")
	if w.StatusCode != http.StatusOK || !strings.HasPrefix(w.Header.Get("Set-Cookie"), "c=; Path=/below/oauth/callback; Max-Age=0;") {
		t.Errorf("callback: %d, cookie %q", w.StatusCode, w.Header.Get("Set-Cookie"))
	}
	for name, want := range map[string]string{
		"Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
		"Referrer-Policy":         "no-referrer", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Content-Type": "text/html; charset=utf-8",
	} {
		if got := w.Header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	w = open(s, "GET", "/oauth/callback?state=S&to=/connections", "c=v; c=w")
	if w.StatusCode != http.StatusSeeOther || w.Header.Get("Location") != "/connections" {
		t.Errorf("callback: %d to %s", w.StatusCode, w.Header.Get("Location"))
	}
	if d := cmp.Diff([]any{"start", "TICKET", "end", "S", "v", "end", "S", ""}, f.got); d != "" {
		t.Errorf("told %s", d)
	}
	for _, target := range []string{"/oauth/start/TICKET", "/oauth/callback"} {
		for _, method := range []string{"HEAD", "POST"} {
			if w := open(s, method, target, ""); w.StatusCode != http.StatusMethodNotAllowed {
				t.Errorf("%s %s: %d", method, target, w.StatusCode)
			}
		}
	}
	if len(f.got) != 8 {
		t.Errorf("another method has used something up: %v", f.got)
	}
	for kind, status := range map[engine.Kind]int{engine.Invalid: 400, engine.Refused: 403, engine.Unavailable: 503, engine.Internal: 500, engine.NotFound: 404} {
		f.err = &engine.Error{Kind: kind, Err: errors.New("<script>alert(1)</script>")}
		r := request("GET", "/oauth/callback?state=S", "")
		got := do(s, r)
		if got.Code != status || strings.Contains(got.Body.String(), "<script>") || got.Header().Get("Set-Cookie") != "" {
			t.Errorf("%s: %d %s", kind, got.Code, got.Body)
		}
		if kind != engine.Internal && !strings.Contains(got.Body.String(), "&lt;script&gt;") {
			t.Errorf("%s isn't told: %s", kind, got.Body)
		}
	}
	if w := open(s, "GET", "/oauth/callbacks", ""); w.StatusCode != http.StatusUnauthorized {
		t.Errorf("a path that is none of them: %d", w.StatusCode)
	}
}
