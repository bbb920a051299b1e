package main_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/tappet-dev/tappet/api/client"
)

// A babbler is an OAuth provider and the service behind it, which repeat all that
// they are sent in what they answer.
type babbler struct {
	*httptest.Server
	mu sync.Mutex
	// marks are what went through its hands and nobody else's business.
	marks map[string]string
	// refuses: the token endpoint refuses everything.
	refuses bool
	given   int // tokens
}

func newBabbler(t *testing.T) *babbler {
	t.Helper()
	b := &babbler{marks: map[string]string{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /authorize", func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		code := fmt.Sprintf("canary-code-%d", b.note("state", q.Get("state")))
		b.note("code", code)
		http.Redirect(w, r, q.Get("redirect_uri")+"?"+url.Values{"code": {code}, "state": {q.Get("state")}}.Encode(), http.StatusFound)
	})
	mux.HandleFunc("POST /token", b.token)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/refuses" {
			w.WriteHeader(http.StatusUnauthorized)
		}
		echo(w, r)
	})
	b.Server = httptest.NewServer(mux)
	t.Cleanup(b.Close)
	return b
}

// note keeps a mark, and gives how many there are.
func (b *babbler) note(name, mark string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	if mark != "" {
		b.marks[fmt.Sprintf("%s %d", name, len(b.marks))] = mark
	}
	return len(b.marks)
}

func (b *babbler) token(w http.ResponseWriter, r *http.Request) {
	_ = r.ParseForm()
	for _, name := range []string{"code", "code_verifier", "refresh_token"} {
		b.note(name, r.Form.Get(name))
	}
	b.mu.Lock()
	refuses := b.refuses
	b.given++
	n := b.given
	b.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	if refuses {
		w.WriteHeader(http.StatusBadRequest)
		_ = json.NewEncoder(w).Encode(map[string]string{
			"error": "invalid_grant", "error_description": "not " + r.Form.Encode() + " of " + r.Header.Get("Authorization") + " " + r.Form.Get("refresh_token") + r.Form.Get("code"),
		})
		return
	}
	answer := map[string]any{"token_type": "Bearer", "expires_in": 3600}
	for name, field := range map[string]string{"access": "access_token", "refresh": "refresh_token"} {
		token := fmt.Sprintf("canary-%s-of-%d", name, n)
		b.note(name, token)
		answer[field] = token
	}
	_ = json.NewEncoder(w).Encode(answer)
}

// SecurityRule 05 and 09. What an authorization by a browser is made of (the
// one-time address, state, cookie, verifier, code, the client's secret, the
// tokens, and those that come of a refresh) is in no answer, page, log, run or
// file, whether it works or not, and although the provider repeats it. The build
// that hides nothing shows the tokens.
func TestSec05_AuthorizationsStayHidden(t *testing.T) {
	t.Parallel()
	if found := authorizationRun(t, binary(t)); len(found) > 0 {
		t.Errorf("credentials are in %v", found)
	}
	wantPlaces(t, authorizationRun(t, build(t, "cmd/tappet", "", "tappet_control_mask")), "data", "run", "step test")
}

func authorizationRun(t *testing.T, bin string) []string {
	t.Helper()
	b, p := newBabbler(t), places{}
	address := hostport(b.URL)
	const secret = "canary-client-secret"
	b.note("client_secret", secret)
	s := startBinary(t, bin, filepath.Join(t.TempDir(), "data"), "--log-level", "debug", "--insecure-oauth", "--egress-host", "*=failures:off", "--egress-allow", address)
	draft := client.ConnectionDraft{Name: "crm", Kind: "oauth2", Hosts: []string{address}, Config: config(
		"authorization_url", b.URL+"/authorize", "token_url", b.URL+"/token", "client_id", "tappet", "client_secret", secret, "scope", "a", "state", "own")}
	s.connect(t, draft)

	// open follows an authorization to the callback; change has its query.
	open := func(browser *http.Client, change func(q url.Values)) (status int) {
		t.Helper()
		a, err := s.AuthorizeConnection(t.Context(), "crm", "")
		if err != nil {
			t.Fatal(err)
		}
		b.note("ticket", a.URL[strings.LastIndexByte(a.URL, '/')+1:])
		visit := func(method, address string) (next string) {
			req, err := http.NewRequestWithContext(t.Context(), method, address, http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := browser.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			page, err := io.ReadAll(resp.Body)
			if err != nil {
				t.Fatal(err)
			}
			if strings.HasPrefix(address, s.URL) { // the provider's are its own affair
				p["pages"] = append(p["pages"], page...)
			}
			for _, c := range resp.Cookies() {
				b.note("cookie", c.Value)
			}
			if to, err := resp.Location(); err == nil {
				return to.String()
			}
			status = resp.StatusCode
			return ""
		}
		visit(http.MethodHead, a.URL) // isn't the browser that it is for, and uses nothing up
		callback, err := url.Parse(visit(http.MethodGet, visit(http.MethodGet, a.URL)))
		if err != nil {
			t.Fatal(err)
		}
		q := callback.Query()
		change(q)
		callback.RawQuery = q.Encode()
		visit(http.MethodGet, callback.String())
		visit(http.MethodGet, a.URL) // once more: it is used up
		return status
	}
	browser := func() *http.Client {
		c := newBrowser(t)
		c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		return c
	}
	refuse := func(yes bool) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.refuses = yes
	}
	foreign := browser()
	foreign.Jar = nil
	as := func(url.Values) {}
	open(foreign, as)
	open(browser(), func(q url.Values) { q.Set("state", q.Get("state")+"x") })
	open(browser(), func(q url.Values) { q.Set("iss", "https://evil.example.com") })
	open(browser(), func(q url.Values) {
		q.Set("error", "access_denied")
		q.Set("error_description", "not with "+q.Get("code")+" and "+q.Get("state"))
	})
	refuse(true)
	open(browser(), as)
	p.get(t, s, "connection", http.MethodGet, "/api/v1/connections/crm", "")
	refuse(false)
	open(browser(), as)
	if c, err := s.Connection(t.Context(), "crm"); err != nil || c.State != "ready" {
		t.Fatalf("it isn't authorised: %+v, %v", c, err)
	}

	s.deploy(t, "crm", fmt.Sprintf(`name: crm
trigger: {use: webhook, with: {path: crm, respond: result}}
steps:
  - {id: good, use: http.post, connection: crm, on_error: continue, with: {url: '%[1]s/good', body: {a: 1}}}
  - {id: moved, use: http.get, connection: crm, on_error: continue, with: {url: '%[1]s/moved'}}
  - {id: refused, use: http.get, connection: crm, on_error: continue, with: {url: '%[1]s/refuses'}}
  - {id: all, respond: {body: '${{ [steps.good, steps.moved, step("refused").error] }}'}}
`, b.URL))
	p.get(t, s, "answer", http.MethodPost, "/hooks/crm", `{}`)
	draft.Title = "Another" // opened anew, it doesn't remember that it was just refreshed
	if _, err := s.PutConnection(t.Context(), "crm", draft); err != nil {
		t.Fatal(err)
	}
	refuse(true)
	p.get(t, s, "answer", http.MethodPost, "/hooks/crm", `{}`)
	s.idle(t)
	page, err := s.Runs(t.Context(), client.RunQuery{})
	if err != nil || len(page.Items) != 2 {
		t.Fatalf("%+v, %v", page.Items, err)
	}
	for _, r := range page.Items {
		p.get(t, s, "run", http.MethodGet, "/api/v1/runs/"+r.ID, "")
	}
	if c, err := s.Connection(t.Context(), "crm"); err != nil || c.State != "needs_authorization" || !strings.Contains(c.Message, "invalid_grant") {
		t.Errorf("its refresh was refused: %+v, %v", c, err)
	}
	for _, path := range []string{"/api/v1/connections", "/api/v1/connections/crm", "/api/v1/graphs/crm", "/api/v1/connections/crm/usage"} {
		p.get(t, s, "connection", http.MethodGet, path, "")
	}
	p.get(t, s, "connection", http.MethodPost, "/api/v1/connections/crm/test", "")
	refuse(false)
	open(browser(), as)
	for _, step := range []string{"good", "moved", "refused"} {
		p.get(t, s, "step test", http.MethodPost, "/api/v1/graphs/crm/steps/"+step+"/test", `{"event": {"body": {}}}`)
		p.get(t, s, "step test", http.MethodGet, "/api/v1/graphs/crm/steps/"+step+"/curl", "")
	}
	keys := p.end(t, s)
	b.mu.Lock()
	defer b.mu.Unlock()
	n := map[string]int{}
	for name := range b.marks {
		kind, _, _ := strings.Cut(name, " ")
		n[kind]++
	}
	for _, kind := range []string{"ticket", "state", "cookie", "code", "code_verifier", "client_secret", "access", "refresh", "refresh_token"} {
		if n[kind] == 0 {
			t.Errorf("no %s was seen: nothing was looked for", kind)
		}
	}
	sealedHold(t, s.data, keys, map[string]string{
		"client_secret": secret, "the newest token": fmt.Sprintf("canary-access-of-%d", b.given), "what refreshes it": fmt.Sprintf("canary-refresh-of-%d", b.given),
	})
	return p.find(t, b.marks)
}
