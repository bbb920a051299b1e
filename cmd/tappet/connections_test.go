package main_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tappet-dev/tappet/api/client"
)

// connect creates a connection.
func (s *server) connect(tb testing.TB, d client.ConnectionDraft) client.Connection {
	tb.Helper()
	c, err := s.CreateConnection(tb.Context(), d)
	if err != nil {
		tb.Fatalf("create connection %s: %v", d.Name, err)
	}
	return c
}

// config makes a connection's config.
func config(pairs ...string) json.RawMessage {
	m := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	b, _ := json.Marshal(m) // texts always can be
	return b
}

// run starts a run of a manual graph and waits for its end.
func (s *server) run(tb testing.TB, graph string) client.Run {
	tb.Helper()
	r, _, err := s.StartRun(tb.Context(), graph, client.Start{Event: json.RawMessage(`{}`), Wait: 30 * time.Second})
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

// What a connection has goes out with the requests of the steps that name it, to
// its hosts alone, and with no others.
func TestConnectionsSendTheirCredentials(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	came := map[string]string{}
	sink := newSink(t, func(r *http.Request, _ []byte) {
		mu.Lock()
		defer mu.Unlock()
		came[r.URL.Path] = strings.Join([]string{r.Header.Get("Authorization"), r.Header.Get("X-Key"), r.URL.RawQuery, r.Header.Get("Cookie")}, "|")
	})
	other := newSink(t, func(r *http.Request, _ []byte) { t.Errorf("%s was sent to another host", r.URL) })
	s := start(t, "", "--egress-allow", hostport(sink.URL)+","+hostport(other.URL))
	hosts := []string{hostport(sink.URL)}
	s.connect(t, client.ConnectionDraft{Name: "basic", Kind: "basic", Hosts: hosts, Config: config("username", "ada", "password", "pässword")})
	s.connect(t, client.ConnectionDraft{Name: "bearer", Kind: "bearer", Hosts: hosts, Config: config("token", "t0ken-1")})
	s.connect(t, client.ConnectionDraft{Name: "in-header", Kind: "api_key", Hosts: hosts, Config: config("key", "k-1234", "name", "X-Key")})
	s.connect(t, client.ConnectionDraft{Name: "in-query", Kind: "api_key", Hosts: hosts, Config: config("key", "k&234", "in", "query", "name", "key")})
	s.connect(t, client.ConnectionDraft{Name: "in-cookie", Kind: "api_key", Hosts: hosts, Config: config("key", "k-1234", "in", "cookie", "name", "sid")})
	var doc strings.Builder
	doc.WriteString("name: all\ntrigger: {use: manual}\nsteps:\n  - {id: none, use: http.get, with: {url: " + sink.URL + "/none}}\n")
	for i, name := range []string{"basic", "bearer", "in-header", "in-query", "in-cookie"} {
		fmt.Fprintf(&doc, "  - {id: s%d, use: http.get, connection: %s, with: {url: %s/%s}}\n", i, name, sink.URL, name)
	}
	fmt.Fprintf(&doc, "  - {id: elsewhere, use: http.get, connection: bearer, with: {url: %s/elsewhere}}\n", other.URL)
	s.deploy(t, "all", doc.String())
	r := s.run(t, "all")
	if r.State != "failed" || r.Error == nil || r.Error.Kind != "denied" || r.Error.Step != "elsewhere" || !strings.Contains(r.Error.Message, `"bearer"`) {
		t.Errorf("run %s, %+v", r.State, r.Error)
	}
	mu.Lock()
	defer mu.Unlock()
	for path, want := range map[string]string{
		"/none": "|||", "/basic": "Basic YWRhOnDDpHNzd29yZA==|||", "/bearer": "Bearer t0ken-1|||", "/in-header": "|k-1234||",
		"/in-query": "||key=k%26234|", "/in-cookie": "|||sid=k-1234",
	} {
		if came[path] != want {
			t.Errorf("%s came with %q, want %q", path, came[path], want)
		}
	}
}

// A connection that isn't there is a problem of the graph; one that goes is told
// by its graphs and their runs, and when it comes back, what waits goes on.
func TestAConnectionThatIsMissing(t *testing.T) {
	t.Parallel()
	sink := newSink(t, nil)
	s := start(t, "", "--egress-allow", hostport(sink.URL))
	ctx := t.Context()
	doc := "name: forms\ntrigger: {use: webhook, with: {path: forms}}\nsteps:\n  - {id: send, use: http.get, connection: forms, " +
		"retry: {max_attempts: 2, initial_interval: 1h, max_interval: 1h, on: [not_found, unauthorized]}, with: {url: " + sink.URL + "}}\n"
	v, err := s.Validate(ctx, []byte(doc), client.YAML)
	if err != nil || len(v.Problems) != 1 || v.Problems[0].Code != "unknown_connection" || v.Problems[0].Pointer != "/steps/0/connection" || v.Problems[0].Line != 4 {
		t.Errorf("validation: %+v, %v", v.Problems, err)
	}
	if _, err := s.Deploy(ctx, "forms", []byte(doc), client.YAML); !client.Is(err, "invalid") {
		t.Errorf("published: %v", err)
	}
	draft := client.ConnectionDraft{Name: "forms", Kind: "bearer", Hosts: []string{hostport(sink.URL)}, Config: config("token", "t0ken-1")}
	s.connect(t, draft)
	s.deploy(t, "forms", doc)
	if use, err := s.ConnectionUsage(ctx, "forms"); err != nil || len(use) != 1 || use[0].Graph != "forms" || !use[0].Active {
		t.Errorf("usage %+v, %v", use, err)
	}
	if err := s.DeleteConnection(ctx, "forms", false); !client.Is(err, "conflict") || !strings.Contains(err.Error(), "forms") {
		t.Errorf("deleted though it is used: %v", err)
	}
	if err := s.DeleteConnection(ctx, "forms", true); err != nil {
		t.Fatal(err)
	}
	g, err := s.Graph(ctx, "forms")
	if err != nil || g.Ready || !slices.ContainsFunc(g.Checks, func(c client.Check) bool {
		return c.Part == "connection" && !c.OK && strings.Contains(c.Detail, `"forms"`)
	}) {
		t.Errorf("graph %+v, %v", g, err)
	}
	if _, err := s.Activate(ctx, "forms"); !client.Is(err, "conflict") {
		t.Errorf("turned ON: %v", err)
	}
	// Its event is taken all the same, and its run waits.
	id := s.hook(t, "forms", `{}`)
	waiting := func() client.Run {
		var r client.Run
		eventually(t, "a failed attempt", func() (bool, any) {
			if r, err = s.Run(ctx, id); err != nil {
				t.Fatal(err)
			}
			return r.Steps[0].Status == "retrying", r
		})
		return r
	}
	r := waiting()
	if a := r.Steps[0].Attempts; len(a) != 1 || a[0].Error == nil || a[0].Error.Kind != "not_found" || !strings.Contains(a[0].Error.Message, `"forms"`) {
		t.Errorf("attempts %+v", a)
	}
	if sink.Count() != 0 {
		t.Error("something was sent without its credentials")
	}
	s.connect(t, draft)
	if r := s.ended(t, id); r.State != "succeeded" || len(r.Steps[0].Attempts) != 2 {
		t.Errorf("run %s, %+v", r.State, r.Error)
	}
	if g, err := s.Graph(ctx, "forms"); err != nil || !g.Ready {
		t.Errorf("graph %+v, %v", g, err)
	}
}

// A provider gives tokens; it is strict about what must be right in a request.
type provider struct {
	*httptest.Server
	mu sync.Mutex
	// tokens counts what was given out; the last one is good. Revoked: neither the
	// token nor what refreshes it is.
	tokens  int
	revoked bool
	codes   map[string]url.Values // by code, what the browser came with
	asked   []string              // grants of token requests
	life    int                   // of a token, in seconds
}

func newProvider(tb testing.TB) *provider {
	tb.Helper()
	p := &provider{codes: map[string]url.Values{}, life: 3600}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /authorize", func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		defer p.mu.Unlock()
		q := r.URL.Query()
		if q.Get("response_type") != "code" || q.Get("client_id") != "tappet" || q.Get("code_challenge_method") != "S256" {
			tb.Errorf("authorize: %s", r.URL.RawQuery)
		}
		code := fmt.Sprintf("code-%d", len(p.codes))
		p.codes[code] = q
		back := q.Get("redirect_uri") + "?" + url.Values{"code": {code}, "state": {q.Get("state")}}.Encode()
		http.Redirect(w, r, back, http.StatusFound)
	})
	mux.HandleFunc("POST /token", func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		defer p.mu.Unlock()
		_ = r.ParseForm()
		p.asked = append(p.asked, r.Form.Get("grant_type"))
		w.Header().Set("Content-Type", "application/json")
		ok := r.Form.Get("grant_type") == "refresh_token" && r.Form.Get("refresh_token") == fmt.Sprintf("canary-refresh-%d", p.tokens) && !p.revoked
		if q := p.codes[r.Form.Get("code")]; q != nil {
			delete(p.codes, r.Form.Get("code"))
			ok, p.revoked = q.Get("redirect_uri") == r.Form.Get("redirect_uri") && r.Form.Get("code_verifier") != "", false
		}
		if !ok {
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprintf(w, `{"error": "invalid_grant", "error_description": "not %s <b>"}`, r.Form.Get("refresh_token"))
			return
		}
		p.tokens++
		fmt.Fprintf(w, `{"access_token": "canary-access-%d", "token_type": "bearer", "refresh_token": "canary-refresh-%d", "expires_in": %d}`, p.tokens, p.tokens, p.life)
	})
	mux.HandleFunc("GET /api", func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.revoked || r.Header.Get("Authorization") != fmt.Sprintf("Bearer canary-access-%d", p.tokens) {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"you": %q}`, r.Header.Get("Authorization"))
	})
	p.Server = httptest.NewServer(mux)
	tb.Cleanup(p.Close)
	return p
}

func (p *provider) revoke() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.revoked = true
}

func (p *provider) grants() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.asked)
}

// browse opens an address as a browser does, and gives where it ends.
func browse(tb testing.TB, c *http.Client, address string) (status int, page string) {
	tb.Helper()
	req, err := http.NewRequestWithContext(tb.Context(), http.MethodGet, address, http.NoBody)
	if err != nil {
		tb.Fatal(err)
	}
	resp, err := c.Do(req)
	if err != nil {
		tb.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		tb.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func newBrowser(tb testing.TB) *http.Client {
	tb.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		tb.Fatal(err)
	}
	return &http.Client{Jar: jar, Transport: transport(tb), Timeout: patience}
}

// S12 to S18 on the real binary: a browser authorises a connection, its token is
// refreshed when the service refuses it, and when the provider refuses that too,
// everybody is told, until it is authorised again: then what waits goes on.
func TestAConnectionIsAuthorisedByABrowser(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	s := start(t, "", "--insecure-oauth", "--egress-allow", hostport(p.URL))
	ctx := t.Context()
	draft := client.ConnectionDraft{
		Name: "forms", Kind: "oauth2", Hosts: []string{hostport(p.URL)},
		Config: config("authorization_url", p.URL+"/authorize?prompt=login", "token_url", p.URL+"/token", "client_id", "tappet", "client_secret", "canary-client", "scope", "a b", "state", "mine"),
	}
	c := s.connect(t, draft)
	var shown map[string]string
	if err := json.Unmarshal(c.Config, &shown); err != nil || shown["callback_url"] != s.URL+"/oauth/callback" || shown["client_secret"] != "" {
		t.Errorf("config %s, %v", c.Config, err)
	}
	if c.State != "needs_authorization" || !slices.Equal(c.Credentials, []string{"client_secret"}) {
		t.Errorf("connection %+v", c)
	}
	wrong := draft
	wrong.Config = config("authorization_url", p.URL+"/authorize", "token_url", p.URL+"/token", "client_id", "tappet", "callback_url", "https://example.com")
	if _, err := s.PutConnection(ctx, "forms", wrong); !client.Is(err, "invalid") || !strings.Contains(err.Error(), "/config/callback_url") {
		t.Errorf("S13: callback_url was written: %v", err)
	}
	doc := "name: forms\ntrigger: {use: webhook, with: {path: forms}}\nsteps:\n  - {id: get, use: http.get, connection: forms, " +
		"retry: {max_attempts: 3, initial_interval: 1h, max_interval: 1h, on: [unauthorized]}, with: {url: " + p.URL + "/api}}\n"
	if _, err := s.Deploy(ctx, "forms", []byte(doc), client.YAML); !client.Is(err, "conflict") || !strings.Contains(err.Error(), "authorised") {
		t.Errorf("turned ON before it was authorised: %v", err)
	}

	// Another browser, and the same address twice: neither reaches the provider's
	// token endpoint.
	address := func() string {
		t.Helper()
		a, err := s.AuthorizeConnection(ctx, "forms", "")
		if err != nil || !strings.HasPrefix(a.URL, s.URL+"/oauth/start/") {
			t.Fatalf("%+v, %v", a, err)
		}
		return a.URL
	}
	first := newBrowser(t)
	var callback string
	first.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
		if r.URL.Path == "/oauth/callback" {
			callback = r.URL.String()
			return http.ErrUseLastResponse
		}
		return nil
	}
	begun := address()
	if status, _ := browse(t, first, begun); status != http.StatusFound || callback == "" {
		t.Fatalf("status %d, callback %q", status, callback)
	}
	for what, bad := range map[string]string{
		"another browser": callback, "another state": strings.Replace(callback, "state=", "state=x", 1), "no state": s.URL + "/oauth/callback?code=x",
		"used twice": begun, "no such ticket": s.URL + "/oauth/start/x",
	} {
		if status, page := browse(t, newBrowser(t), bad); status != http.StatusBadRequest || strings.Contains(page, "code-0") {
			t.Errorf("S18: %s: %d %s", what, status, page)
		}
	}
	if got := p.grants(); len(got) != 0 {
		t.Errorf("S18: a code was exchanged all the same: %v", got)
	}
	status, page := browse(t, newBrowser(t), address())
	if status != http.StatusOK || !strings.Contains(page, "forms is authorised") {
		t.Fatalf("authorised: %d %s", status, page)
	}
	s.deploy(t, "forms", doc)
	if r := s.ended(t, s.hook(t, "forms", `{}`)); r.State != "succeeded" || strings.Contains(string(r.Steps[0].Output), "canary") {
		t.Errorf("run %s, %+v, %s", r.State, r.Error, r.Steps[0].Output)
	}

	p.revoke()
	id := s.hook(t, "forms", `{}`)
	eventually(t, "a failed attempt", func() (bool, any) {
		r, err := s.Run(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		return r.Steps[0].Status == "retrying" && len(r.Steps[0].Attempts) == 1 && r.Steps[0].Attempts[0].Error != nil, r
	})
	r, err := s.Run(ctx, id)
	if e := r.Steps[0].Attempts[0].Error; err != nil || e.Kind != "unauthorized" || !strings.Contains(e.Message, `"forms"`) || strings.Contains(e.Message, "canary") {
		t.Errorf("attempt %+v, %v", e, err)
	}
	if found, err := s.Connections(ctx, "needs_authorization"); err != nil || len(found) != 1 || found[0].Message == "" || strings.Contains(found[0].Message, "canary") {
		t.Errorf("connections %+v, %v", found, err)
	}
	if g, err := s.Graph(ctx, "forms"); err != nil || g.Ready {
		t.Errorf("the graph is shown as ready: %+v, %v", g, err)
	}
	if status, page := browse(t, newBrowser(t), address()); status != http.StatusOK {
		t.Fatalf("authorised again: %d %s", status, page)
	}
	if r := s.ended(t, id); r.State != "succeeded" || len(r.Steps[0].Attempts) != 2 {
		t.Errorf("run %s, %+v", r.State, r.Error)
	}
	if got := p.grants(); !slices.Equal(got, []string{"authorization_code", "refresh_token", "authorization_code"}) {
		t.Errorf("the provider was asked for %v", got)
	}

	// Tokens and what waits survive the process.
	s.signal(t, syscall.SIGTERM)
	s.wantExit(t, 0)
	s = start(t, s.data, "--insecure-oauth", "--egress-allow", hostport(p.URL))
	if r := s.ended(t, s.hook(t, "forms", `{}`)); r.State != "succeeded" {
		t.Errorf("run %s, %+v", r.State, r.Error)
	}
}

// Secrets are put, used, listed without their values, and sealed anew when the
// key is rotated.
func TestSecretsArePutAndSealed(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var last string
	sink := newSink(t, func(r *http.Request, _ []byte) {
		mu.Lock()
		defer mu.Unlock()
		last = r.Header.Get("Authorization")
	})
	args := []string{"--egress-allow", hostport(sink.URL)}
	s := start(t, "", args...)
	ctx := t.Context()
	doc := "name: forms\ntrigger: {use: manual}\nsteps:\n  - {id: send, use: http.get, with: {url: " + sink.URL + ", headers: {Authorization: '${{ secret(\"forms\") }}'}}}\n"
	want := func(value string) {
		t.Helper()
		r := s.run(t, "forms")
		mu.Lock()
		defer mu.Unlock()
		if r.State != "succeeded" || last != value {
			t.Errorf("run %s, %+v: sent %q, want %q", r.State, r.Error, last, value)
		}
	}
	for name, value := range map[string]string{"forms": "abc", "Forms": "abcdef", "for-ms": "abcdef", "f": strings.Repeat("x", 64<<10+1)} {
		if _, err := s.PutSecret(ctx, name, value); !client.Is(err, "invalid") {
			t.Errorf("%q was put: %v", name, err)
		}
	}
	if _, err := s.PutSecret(ctx, "forms", "first-value"); err != nil {
		t.Fatal(err)
	}
	s.deploy(t, "forms", doc)
	want("first-value")
	if _, err := s.PutSecret(ctx, "forms", "second-value"); err != nil {
		t.Fatal(err)
	}
	want("second-value")
	found, err := s.Secrets(ctx)
	if err != nil || len(found) != 1 || found[0].Name != "forms" || len(found[0].Graphs) != 1 || found[0].Graphs[0].Graph != "forms" {
		t.Errorf("secrets %+v, %v", found, err)
	}
	if err := s.DeleteSecret(ctx, "forms", false); !client.Is(err, "conflict") {
		t.Errorf("deleted though it is used: %v", err)
	}
	s.connect(t, client.ConnectionDraft{Name: "c", Kind: "bearer", Hosts: []string{hostport(sink.URL)}, Config: config("token", "t0ken-1")})

	// The file gets a new key; then only that one is left of it, which reads all.
	s.signal(t, syscall.SIGTERM)
	s.wantExit(t, 0)
	if out, err := command(t, binary(t), "secret", "rotate-key", "--data", s.data).CombinedOutput(); err != nil {
		t.Fatalf("rotate-key: %v\n%s", err, out)
	}
	s = start(t, s.data, args...)
	want("second-value")
	s.signal(t, syscall.SIGTERM)
	s.wantExit(t, 0)
	keys, err := os.ReadFile(filepath.Join(s.data, "secret.key"))
	if err != nil {
		t.Fatal(err)
	}
	newest, older, _ := strings.Cut(strings.TrimSpace(string(keys)), "\n")
	if older == "" {
		t.Fatalf("secret.key has one key: the rotation made none")
	}
	withKey := func(keys string) *server {
		cmd := command(t, binary(t), "serve", "--data", s.data, "--addr", "127.0.0.1:0", args[0], args[1])
		cmd.Env = append(cmd.Env, "TAPPET_ADMIN_TOKEN="+token, "TAPPET_KEY="+keys)
		next := launch(t, cmd, token)
		next.data = s.data
		return next
	}
	s = withKey(newest)
	want("second-value")
	if x, err := s.Connection(ctx, "c"); err != nil || x.State != "ready" {
		t.Errorf("connection %+v, %v", x, err)
	}
	s.signal(t, syscall.SIGTERM)
	s.wantExit(t, 0)
	// The control: the older key alone reads nothing any more.
	s = withKey(older)
	if r := s.run(t, "forms"); r.State != "failed" || !strings.Contains(r.Error.Message, `"forms"`) {
		t.Errorf("the older key still opens: %s, %+v", r.State, r.Error)
	}
	if x, err := s.Connection(ctx, "c"); err != nil || x.State == "ready" {
		t.Errorf("connection %+v, %v", x, err)
	}
}

// The commands do what the API does, and take no credential as an argument.
func TestCredentialCommands(t *testing.T) {
	t.Parallel()
	s := start(t, "")
	tappet := func(in string, args ...string) (string, error) {
		cmd := command(t, binary(t), args...)
		cmd.Env = append(cmd.Env, "TAPPET_SERVER="+s.URL, "TAPPET_TOKEN="+token)
		cmd.Stdin = strings.NewReader(in)
		b, err := cmd.CombinedOutput()
		return string(b), err
	}
	for _, c := range []struct {
		in, args, wants string
		fails           bool
	}{
		{"", "connection kinds", "aws_sigv4", false},
		{`{"name": "forms", "kind": "bearer", "title": "The form app", "hosts": ["api.example.com"], "config": {"token": "canary-1"}}`, "connection create -f -", `"state": "ready"`, false},
		{`{"name": "forms", "kind": "bearer"}`, "connection create -f -", "forms", true},
		{`{"nme": "forms"}`, "connection create -f -", "nme", true},
		{"", "connection create", "--file is needed", true},
		{"", "connection list", "The form app", false},
		{`{"title": "Forms", "hosts": ["api.example.com"]}`, "connection put forms -f -", `"Forms"`, false},
		{"", "connection get forms", `"token"`, false},
		{"", "connection test forms", "works", false},
		{"", "connection usage forms", "GRAPH", false},
		{"", "connection authorize forms", "oauth2", true},
		{"", "connection delete forms", "is deleted", false},
		{"", "connection get forms", "forms", true},
		{"canary-value\r\n", "secret put forms", "forms is put", false},
		{"", "secret list", "forms", false},
		{"abc\n", "secret put short", "at least 4", true},
		{"", "secret delete forms", "is deleted", false},
		{"", "secret delete forms", "forms", true},
		{"", "secret rotate-key --data " + t.TempDir(), "secret.key", true},
	} {
		out, err := tappet(c.in, strings.Fields(c.args)...)
		if (err != nil) != c.fails || !strings.Contains(out, c.wants) {
			t.Errorf("%s: %v\n%s", c.args, err, out)
		}
		if strings.Contains(out, "canary") {
			t.Errorf("%s shows a credential: %s", c.args, out)
		}
	}
	if _, err := s.Connection(t.Context(), "forms"); !errors.As(err, new(*client.Problem)) {
		t.Errorf("the connection is still there: %v", err)
	}
}
