package connection_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/zitadel/oidc/v3/example/server/exampleop"
	"github.com/zitadel/oidc/v3/example/server/storage"

	"github.com/tappet-dev/tappet/connectors/connection"
	"github.com/tappet-dev/tappet/sdk"
)

// provider is an OAuth provider that others have built, and the log of its token
// endpoint.
type provider struct {
	*httptest.Server
	// change, if set, answers a token request in the provider's place, or changes
	// its answer on the way.
	change func(next http.Handler) http.Handler

	mu    sync.Mutex
	asked []url.Values
	auth  []string // the Authorization of each
}

func newProvider(t testing.TB) *provider {
	t.Helper()
	p := &provider{}
	s := httptest.NewUnstartedServer(nil)
	issuer := "http://" + s.Listener.Addr().String()
	web := storage.WebClient("web", "secret", "http://tappet.test/oauth/callback")
	op := exampleop.SetupServer(issuer, storage.NewStorageWithClients(storage.NewUserStore(issuer), map[string]*storage.Client{"web": web}), nil, false)
	s.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/api" { // a service that asks the provider, and answers as most do
			r.URL.Path = "/userinfo"
			rec := httptest.NewRecorder()
			if op.ServeHTTP(rec, r); rec.Code != http.StatusOK {
				w.WriteHeader(http.StatusUnauthorized)
			}
			return
		}
		if r.URL.Path != "/oauth/token" {
			op.ServeHTTP(w, r)
			return
		}
		b, _ := io.ReadAll(r.Body)
		form, _ := url.ParseQuery(string(b))
		p.mu.Lock()
		p.asked, p.auth = append(p.asked, form), append(p.auth, r.Header.Get("Authorization"))
		change := p.change
		p.mu.Unlock()
		r.Body = io.NopCloser(strings.NewReader(string(b)))
		if change != nil {
			change(op).ServeHTTP(w, r)
			return
		}
		op.ServeHTTP(w, r)
	})
	s.Start()
	p.Server = s
	t.Cleanup(s.Close)
	return p
}

// count says how many token requests of a grant have come.
func (p *provider) count(grant string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for _, form := range p.asked {
		if form.Get("grant_type") == grant {
			n++
		}
	}
	return n
}

func (p *provider) set(change func(next http.Handler) http.Handler) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.change = change
}

// config is that of the authorization code grant; more is added to it.
func (p *provider) config(more string) string {
	return `{"authorization_url":"` + p.URL + `/auth","token_url":"` + p.URL + `/oauth/token","client_id":"web","client_secret":"secret",` +
		`"scope":"openid offline_access"` + more + `}`
}

// host is where the service is that wants a token.
func (p *provider) host() string { return p.Listener.Addr().String() }

func (p *provider) service() string { return p.URL + "/api" }

// browse signs a user in at the provider and gives what the callback gets.
func (p *provider) browse(t testing.TB, location string) url.Values {
	t.Helper()
	c := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, Transport: p.Client().Transport}
	follow := func(resp *http.Response, err error) string {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		to, err := resp.Location()
		if err != nil {
			t.Fatalf("%s: %d %s", resp.Request.URL, resp.StatusCode, b)
		}
		return to.String()
	}
	login := follow(c.Get(location))
	u, err := url.Parse(login)
	if err != nil {
		t.Fatal(err)
	}
	back := follow(c.PostForm(p.URL+u.Path, url.Values{"username": {"test-user@127.0.0.1"}, "password": {"verysecure"}, "id": {u.Query().Get("authRequestID")}}))
	for !strings.HasPrefix(back, "http://tappet.test/oauth/callback") {
		back = follow(c.Get(back))
	}
	if u, err = url.Parse(back); err != nil {
		t.Fatal(err)
	}
	return u.Query()
}

// start goes up to the provider.
func (h *house) start(t testing.TB) connection.Started {
	t.Helper()
	address, _, err := h.Authorize(t.Context(), "c", "/connections")
	if err != nil {
		t.Fatal(err)
	}
	ticket, ok := strings.CutPrefix(address, "http://tappet.test/oauth/start/")
	if !ok {
		t.Fatalf("address %s", address)
	}
	s, err := h.Start(t.Context(), ticket)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// authorized makes a connection that was authorised at the provider.
func (h *house) authorized(t testing.TB, p *provider, more string) {
	t.Helper()
	h.create(t, "oauth2", p.config(more), p.host())
	s := h.start(t)
	if _, err := h.Callback(t.Context(), p.browse(t, s.Location), s.Cookie); err != nil {
		t.Fatal(err)
	}
}

func (h *house) wantState(t testing.TB, want connection.State, words string) {
	t.Helper()
	v, err := h.Get(t.Context(), "c")
	if err != nil || v.State != want || !strings.Contains(v.Message, words) {
		t.Errorf("state %s %q, %v; want %s %q", v.State, v.Message, err, want, words)
	}
}

// wantCall calls the service, which wants a token that is good.
func (h *house) wantCall(t testing.TB, p *provider) {
	t.Helper()
	if status, got, err := h.get(t.Context(), p.service()); err != nil || status != 200 {
		t.Errorf("%d %s, %v", status, got, err)
	}
}

// revoke has the provider forget the access token.
func (h *house) revoke(t testing.TB, p *provider) {
	t.Helper()
	hidden, err := h.Hidden(t.Context(), "c")
	if err != nil {
		t.Fatal(err)
	}
	resp, err := p.Client().PostForm(p.URL+"/revoke", url.Values{"token": {hidden[0]}, "client_id": {"web"}, "client_secret": {"secret"}})
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatal(resp, err)
	}
	resp.Body.Close()
}

func TestS14_AuthorizationAtARealProvider(t *testing.T) {
	t.Parallel()
	p, h := newProvider(t), newHouse(t)
	v := h.create(t, "oauth2", p.config(`,"state":"user's own","authorization_params":{"prompt":"login"}`), p.host())
	if v.State != connection.NeedsAuthorization || !strings.Contains(string(v.Config), `"callback_url":"http://tappet.test/oauth/callback"`) {
		t.Errorf("%+v", v)
	}
	if _, _, err := h.get(t.Context(), p.service()); sdk.KindOf(err) != sdk.Unauthorized || !strings.Contains(err.Error(), `"c"`) {
		t.Errorf("not authorised: %v", err)
	}
	s := h.start(t)
	u, err := url.Parse(s.Location)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	for name, want := range map[string]string{
		"response_type": "code", "client_id": "web", "redirect_uri": "http://tappet.test/oauth/callback",
		"scope": "openid offline_access", "code_challenge_method": "S256", "prompt": "login",
	} {
		if q.Get(name) != want {
			t.Errorf("%s is %q, want %q", name, q.Get(name), want)
		}
	}
	if len(q.Get("code_challenge")) != 43 || !strings.HasSuffix(q.Get("state"), ".user's own") || s.CookieName != connection.CookieName(q.Get("state")) {
		t.Errorf("%v", q)
	}
	got, err := h.Callback(t.Context(), p.browse(t, s.Location), s.Cookie)
	if err != nil || got != (connection.Authorized{Name: "c", ReturnTo: "/connections", State: "user's own"}) {
		t.Fatalf("%+v, %v", got, err)
	}
	h.wantState(t, connection.Ready, "")
	h.wantCall(t, p)
	if n := p.count("authorization_code"); n != 1 {
		t.Errorf("%d exchanges", n)
	}
	// Another process has the tokens too.
	other := &house{Manager: connection.New(connection.Options{Store: h.store, Seal: ringOf(t, 1), Clock: h.clock, Insecure: true}), egress: h.egress}
	t.Cleanup(other.Close)
	other.wantCall(t, p)
}

// Each of them ends without an exchange; the control is the test above.
func TestSec09_CallbacksThatAreRefused(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(q url.Values, cookie *string, h *house){
		"wrong state":       func(q url.Values, _ *string, _ *house) { q.Set("state", "x"+q.Get("state")) },
		"no state":          func(q url.Values, _ *string, _ *house) { q.Del("state") },
		"state twice":       func(q url.Values, _ *string, _ *house) { q.Add("state", "x") },
		"user's state only": func(q url.Values, _ *string, _ *house) { q.Set("state", "own") },
		"foreign browser":   func(_ url.Values, cookie *string, _ *house) { *cookie = "" },
		"another cookie":    func(_ url.Values, cookie *string, _ *house) { *cookie += "x" },
		"too late":          func(_ url.Values, _ *string, h *house) { h.pass(10 * time.Minute) },
		"another issuer":    func(q url.Values, _ *string, _ *house) { q.Set("iss", "https://evil.example") },
		"an empty issuer":   func(q url.Values, _ *string, _ *house) { q.Set("iss", "") },
		"no code":           func(q url.Values, _ *string, _ *house) { q.Del("code") },
		"changed meanwhile": func(_ url.Values, _ *string, h *house) {
			r, _ := h.store.Get(context.Background(), "c")
			config := strings.Replace(string(r.Config), "openid offline_access", "openid", 1)
			_, err := h.Update(context.Background(), "c", connection.Draft{Config: json.RawMessage(config), Hosts: r.Hosts})
			if err != nil {
				panic(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, h := newProvider(t), newHouse(t)
			h.create(t, "oauth2", p.config(`,"state":"own"`), p.host())
			s := h.start(t)
			q := p.browse(t, s.Location)
			change(q, &s.Cookie, h)
			_, err := h.Callback(t.Context(), q, s.Cookie)
			if sdk.KindOf(err) != sdk.Invalid {
				t.Errorf("%v, want kind invalid", err)
			}
			if n := p.count("authorization_code"); n != 0 {
				t.Errorf("%d exchanges", n)
			}
			h.wantState(t, connection.NeedsAuthorization, "")
		})
	}
}

func TestSec09_TicketsAndStatesAreUsedOnce(t *testing.T) {
	t.Parallel()
	p, h := newProvider(t), newHouse(t)
	h.create(t, "oauth2", p.config(`,"issuer":"`+p.URL+`"`), p.host())
	address, _, err := h.Authorize(t.Context(), "c", "")
	if err != nil {
		t.Fatal(err)
	}
	ticket := address[strings.LastIndexByte(address, '/')+1:]
	s, err := h.Start(t.Context(), ticket)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.Start(t.Context(), ticket); sdk.KindOf(err) != sdk.Invalid {
		t.Errorf("the address again: %v", err)
	}
	q := p.browse(t, s.Location)
	q.Set("iss", p.URL)
	if _, err := h.Callback(t.Context(), q, s.Cookie); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Callback(t.Context(), q, s.Cookie); sdk.KindOf(err) != sdk.Invalid {
		t.Errorf("the callback again: %v", err)
	}
	// A code that was used, under a state that wasn't: the provider refuses it.
	s = h.start(t)
	u, _ := url.Parse(s.Location)
	_, err = h.Callback(t.Context(), url.Values{"state": u.Query()["state"], "code": q["code"]}, s.Cookie)
	if sdk.KindOf(err) != sdk.Unauthorized || strings.Contains(err.Error(), q.Get("code")) {
		t.Errorf("a replayed code: %v", err)
	}
	h.wantState(t, connection.Ready, "")
	h.wantCall(t, p)
	for _, ticket := range []string{"", "x", u.Query().Get("state")} {
		if _, err := h.Start(t.Context(), ticket); sdk.KindOf(err) != sdk.Invalid {
			t.Errorf("start with %q: %v", ticket, err)
		}
	}
	for _, to := range []string{"https://evil.example/", "//evil.example", `/\evil.example`, "evil", "/a\nb", `\\evil`} {
		if _, _, err := h.Authorize(t.Context(), "c", to); sdk.KindOf(err) != sdk.Invalid {
			t.Errorf("return to %q: %v", to, err)
		}
	}
}

func TestProviderRefusesTheUser(t *testing.T) {
	t.Parallel()
	p, h := newProvider(t), newHouse(t)
	h.create(t, "oauth2", p.config(""), p.host())
	s := h.start(t)
	u, _ := url.Parse(s.Location)
	_, err := h.Callback(t.Context(), url.Values{"state": u.Query()["state"], "error": {"access_denied"}, "error_description": {"no\r\n<b>"}}, s.Cookie)
	if sdk.KindOf(err) != sdk.Denied || !strings.Contains(err.Error(), "access_denied: no  <b>") {
		t.Error(err)
	}
}

// The provider rotates refresh tokens: the old one is good once.
func TestRefreshWithRotation(t *testing.T) {
	t.Parallel()
	p, h := newProvider(t), newHouse(t)
	h.authorized(t, p, "")
	for n := 1; n <= 4; n++ {
		h.pass(5 * time.Minute)
		h.wantCall(t, p)
		if got := p.count("refresh_token"); got != n {
			t.Fatalf("%d refreshes, want %d", got, n)
		}
	}
	seen := map[string]bool{}
	for _, form := range p.asked {
		if r := form.Get("refresh_token"); r != "" && seen[r] {
			t.Error("a refresh token was sent twice")
		} else {
			seen[r] = true
		}
	}
	h.wantState(t, connection.Ready, "")
}

func TestHundredRequestsNeedOneRefresh(t *testing.T) {
	t.Parallel()
	for _, expired := range []bool{true, false} {
		p, h := newProvider(t), newHouse(t)
		h.authorized(t, p, "")
		if expired {
			h.pass(6 * time.Minute)
		} else { // the provider has forgotten it: each of them is refused
			h.revoke(t, p)
		}
		var wg sync.WaitGroup
		begin := make(chan struct{})
		for range 100 {
			wg.Go(func() {
				<-begin
				h.wantCall(t, p)
			})
		}
		close(begin)
		wg.Wait()
		if n := p.count("refresh_token"); n != 1 {
			t.Errorf("expired: %t: %d refreshes, want 1", expired, n)
		}
	}
}

func TestRefreshThatIsRefused(t *testing.T) {
	t.Parallel()
	p, h := newProvider(t), newHouse(t)
	h.authorized(t, p, "")
	p.set(func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusBadRequest)
			_ = json.NewEncoder(w).Encode(map[string]string{"error": "invalid_grant", "error_description": "gone: " + r.FormValue("refresh_token")})
		})
	})
	h.pass(5 * time.Minute)
	hidden, _ := h.Hidden(t.Context(), "c")
	for range 3 {
		_, _, err := h.get(t.Context(), p.service())
		if sdk.KindOf(err) != sdk.Unauthorized || !strings.Contains(err.Error(), `"c"`) || !strings.Contains(err.Error(), "invalid_grant: gone: ***") || strings.Contains(err.Error(), hidden[1]) {
			t.Errorf("%v", err)
		}
	}
	if n := p.count("refresh_token"); n != 1 {
		t.Errorf("%d refreshes, want 1", n)
	}
	h.wantState(t, connection.NeedsAuthorization, "invalid_grant: gone: ***")
	p.set(nil)
	s := h.start(t)
	if _, err := h.Callback(t.Context(), p.browse(t, s.Location), s.Cookie); err != nil {
		t.Fatal(err)
	}
	h.wantState(t, connection.Ready, "")
	h.wantCall(t, p)
}

func TestProviderThatIsDown(t *testing.T) {
	t.Parallel()
	p, h := newProvider(t), newHouse(t)
	h.authorized(t, p, "")
	down := make(chan struct{}, 10)
	p.set(func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusBadGateway)
			down <- struct{}{}
		})
	})
	h.pass(4*time.Minute + time.Second) // due, and still good
	h.wantCall(t, p)
	<-down
	h.wantCall(t, p)
	h.pass(time.Minute)
	_, _, err := h.get(t.Context(), p.service())
	if k := sdk.KindOf(err); k != sdk.Unavailable || !k.Retryable() {
		t.Errorf("%v", err)
	}
	h.wantState(t, connection.Failing, "the provider is down")
	p.set(nil)
	h.wantCall(t, p)
	h.wantState(t, connection.Ready, "")
}

// The answer of the real provider, without its expires_in: the token is used
// until it is refused.
func TestMissingExpiresIn(t *testing.T) {
	t.Parallel()
	p, h := newProvider(t), newHouse(t)
	p.set(func(next http.Handler) http.Handler {
		return rewritten(next, func(m map[string]any) (string, string) {
			delete(m, "expires_in")
			b, _ := json.Marshal(m)
			return "application/json", string(b)
		})
	})
	h.authorized(t, p, "")
	h.pass(24 * time.Hour)
	h.wantCall(t, p)
	h.revoke(t, p)
	if n := p.count("refresh_token"); n != 0 {
		t.Fatalf("%d refreshes", n)
	}
	h.wantCall(t, p)
	h.wantCall(t, p)
	if n := p.count("refresh_token"); n != 1 {
		t.Errorf("%d refreshes, want 1", n)
	}
}

// The provider's userinfo answers 403 to a token that it has forgotten.
func TestExpiredWhen(t *testing.T) {
	t.Parallel()
	p, h := newProvider(t), newHouse(t, func(o *connection.Options) {
		o.Expired = func(expression string) (connection.Expired, error) {
			if expression != "status == 403" {
				return nil, errors.New("unknown")
			}
			return func(status int, _ sdk.Header, body []byte) bool { return status == 403 && len(body) > 0 }, nil
		}
	})
	h.authorized(t, p, `,"expired_when":"status == 403"`)
	h.revoke(t, p)
	if status, got, err := h.get(t.Context(), p.URL+"/userinfo"); err != nil || status != 200 || !strings.Contains(got, `"sub"`) {
		t.Errorf("%d %s, %v", status, got, err)
	}
	if n := p.count("refresh_token"); n != 1 {
		t.Errorf("%d refreshes, want 1", n)
	}
	// Without it, 403 is an answer like others.
	h = newHouse(t)
	h.authorized(t, p, "")
	h.revoke(t, p)
	if status, _, err := h.get(t.Context(), p.URL+"/userinfo"); err != nil || status != 403 {
		t.Errorf("%d, %v", status, err)
	}
}

func TestUrlencodedAnswers(t *testing.T) {
	t.Parallel()
	p, h := newProvider(t), newHouse(t)
	p.set(func(next http.Handler) http.Handler {
		return rewritten(next, func(m map[string]any) (string, string) {
			return "application/x-www-form-urlencoded", url.Values{
				"access_token": {m["access_token"].(string)}, "refresh_token": {m["refresh_token"].(string)}, "expires_in": {"299"}, "token_type": {"bearer"},
			}.Encode()
		})
	})
	h.authorized(t, p, "")
	h.wantCall(t, p)
	h.pass(5 * time.Minute)
	h.wantCall(t, p)
	if n := p.count("refresh_token"); n != 1 {
		t.Errorf("%d refreshes, want 1", n)
	}
}

// rewritten changes the answers of a token endpoint.
func rewritten(next http.Handler, change func(map[string]any) (contentType, body string)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rec := httptest.NewRecorder()
		next.ServeHTTP(rec, r)
		var m map[string]any
		if err := json.Unmarshal(rec.Body.Bytes(), &m); err != nil || rec.Code != 200 {
			w.WriteHeader(rec.Code)
			_, _ = w.Write(rec.Body.Bytes())
			return
		}
		contentType, body := change(m)
		w.Header().Set("Content-Type", contentType)
		_, _ = io.WriteString(w, body)
	})
}

func TestClientCredentialsAtARealProvider(t *testing.T) {
	t.Parallel()
	p, h := newProvider(t), newHouse(t)
	config := func(secret string) string {
		return `{"grant":"client_credentials","token_url":"` + p.URL + `/oauth/token","client_id":"sid1","client_secret":"` + secret + `","scope":"openid"}`
	}
	h.create(t, "oauth2", config("verysecret"), p.host())
	for range 3 {
		if got, err := h.Test(t.Context(), "c"); err != nil || !got.OK {
			t.Errorf("%+v, %v", got, err)
		}
	}
	if n := p.count("client_credentials"); n != 1 {
		t.Errorf("%d token requests, want 1", n)
	}
	h = newHouse(t)
	h.create(t, "oauth2", config("wrong-one"), p.host())
	if got, err := h.Test(t.Context(), "c"); err != nil || got.OK || strings.Contains(got.Message, "wrong-one") {
		t.Errorf("%+v, %v", got, err)
	}
	h.wantState(t, connection.NeedsAuthorization, "refused")
}

// The service's key is in the provider's module.
func TestJWTBearerAtARealProvider(t *testing.T) {
	t.Parallel()
	dir, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/zitadel/oidc/v3").Output()
	if err != nil {
		t.Fatal(err)
	}
	key, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "example", "server", "service-key1.pem"))
	if err != nil {
		t.Fatal(err)
	}
	p, h := newProvider(t), newHouse(t)
	h.create(t, "oauth2", `{"grant":"jwt_bearer","token_url":"`+p.URL+`/oauth/token","client_id":"service","key_id":"key1","audience":"`+p.URL+`",`+
		`"scope":"openid","private_key":`+quoted(string(key))+`}`, p.host())
	if got, err := h.Test(t.Context(), "c"); err != nil || !got.OK {
		t.Errorf("%+v, %v", got, err)
	}
	if n := p.count("urn:ietf:params:oauth:grant-type:jwt-bearer"); n != 1 {
		t.Errorf("%d token requests, want 1", n)
	}
}
