package connection_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tappet-dev/tappet/connectors/connection"
	"github.com/tappet-dev/tappet/internal/egress"
	"github.com/tappet-dev/tappet/sdk"
)

func TestSec05_CredentialsGoToTheHostsAlone(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		hosts []string
		url   string
		kind  sdk.Kind
	}{
		{[]string{"api.example.com"}, "https://api.example.com/x", ""},
		{[]string{"api.example.com"}, "HTTPS://API.Example.com:443/x", ""},
		{[]string{"API.example.com"}, "https://api.example.com?x", ""},
		{[]string{"api.example.com"}, "http://api.example.com/", sdk.Denied},
		{[]string{"api.example.com"}, "https://api.example.com:8443/", sdk.Denied},
		{[]string{"api.example.com"}, "https://api.example.com.evil.example/", sdk.Denied},
		{[]string{"api.example.com"}, "https://evil.example/api.example.com", sdk.Denied},
		{[]string{"api.example.com"}, "https://evil.example#@api.example.com", sdk.Denied},
		{[]string{"api.example.com"}, "https://api.example.com@evil.example/", sdk.Invalid},
		{[]string{"api.example.com"}, `https://evil.example\@api.example.com/`, sdk.Invalid},
		{[]string{"api.example.com"}, "https:api.example.com", sdk.Invalid},
		{[]string{"api.example.com"}, "ftp://api.example.com/", sdk.Invalid},
		{[]string{"api.example.com:80"}, "http://api.example.com/", ""},
		{[]string{"*.example.com"}, "https://a.b.example.com/", ""},
		{[]string{"*.example.com"}, "https://example.com/", sdk.Denied},
		{[]string{"*.example.com"}, "https://badexample.com/", sdk.Denied},
		{[]string{"x.example", "[::1]:80"}, "http://[::1]/", ""},
	} {
		h := newHouse(t)
		h.create(t, "bearer", `{"token":"marked"}`, tt.hosts...)
		for range 2 { // the second time it is known
			reached := false
			_, err := h.Do(t.Context(), "c", &sdk.Request{URL: tt.url}, func(_ context.Context, r *sdk.Request) (*sdk.Response, error) {
				reached = r.Header.Get("Authorization") == "Bearer marked"
				return &sdk.Response{Status: 200, Body: http.NoBody}, nil
			})
			if reached != (tt.kind == "") || tt.kind != "" && sdk.KindOf(err) != tt.kind {
				t.Errorf("%v %s: sent: %t, %v", tt.hosts, tt.url, reached, err)
			}
		}
	}
	for _, bad := range []string{"", "*", "*.com", "a b", "https://a.example", "a.example/x", "u@a.example", "a.example:x", "*.10.0.0.1", ".example.com", "a.example.", "a.example:"} {
		if _, err := connection.ParseHosts([]string{bad}); err == nil {
			t.Errorf("%q is a host", bad)
		}
	}
}

// A redirect to another origin, through the real transport: no kind's
// credentials arrive there. The control is the same redirect to the same origin.
func TestSec10_RedirectsCarryNoCredentials(t *testing.T) {
	t.Parallel()
	var leaked []string
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var b bytes.Buffer
		_ = r.Write(&b)
		leaked = append(leaked, b.String())
	}))
	t.Cleanup(elsewhere.Close)
	arrived, challenge := "", ""
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if challenge != "" && r.Header.Get("Authorization") == "" {
			w.Header().Set("WWW-Authenticate", challenge)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		switch r.URL.Path {
		case "/away":
			http.Redirect(w, r, elsewhere.URL+"/x", http.StatusTemporaryRedirect)
		case "/near":
			http.Redirect(w, r, "/there", http.StatusTemporaryRedirect)
		default:
			var b bytes.Buffer
			_ = r.Write(&b)
			arrived = b.String()
		}
	}))
	t.Cleanup(s.Close)
	for _, tt := range []struct{ kind, config, marked string }{
		{"basic", `{"username":"marked","password":"m"}`, "Authorization: Basic"},
		{"bearer", `{"token":"marked"}`, "marked"},
		{"api_key", `{"key":"marked"}`, "marked"},
		{"api_key", `{"key":"marked","name":"X-Plain"}`, "marked"},
		{"api_key", `{"key":"marked","in":"cookie","name":"a"}`, "marked"},
		{"hmac", `{"profile":"generic","secret":"s","header":"X-Plain","prefix":"marked"}`, "marked"},
		{"aws_sigv4", `{"access_key_id":"marked","secret_access_key":"s","region":"r","service":"s"}`, "marked"},
		{"oauth2", `{"grant":"access_token","access_token":"marked"}`, "marked"},
		{"digest", `{"username":"marked","password":"m"}`, `username="marked"`},
	} {
		if challenge = ""; tt.kind == "digest" {
			challenge = `Digest realm="r", nonce="n", qop="auth", algorithm=SHA-256`
		}
		h := newHouse(t)
		h.create(t, tt.kind, tt.config, s.Listener.Addr().String(), elsewhere.Listener.Addr().String())
		arrived, leaked = "", nil
		if _, _, err := h.get(t.Context(), s.URL+"/near"); err != nil || !strings.Contains(arrived, tt.marked) {
			t.Errorf("%s: to the same origin: %v, %q", tt.kind, err, arrived)
		}
		_, _, err := h.get(t.Context(), s.URL+"/away")
		if err != nil && sdk.KindOf(err) != sdk.Denied || slices.ContainsFunc(leaked, func(s string) bool { return strings.Contains(s, tt.marked) }) {
			t.Errorf("%s %s: %v, arrived there: %q", tt.kind, tt.config, err, leaked)
		}
		if err == nil && len(leaked) != 1 {
			t.Errorf("%s: the redirect wasn't followed", tt.kind)
		}
	}
}

// Nor is a client's certificate shown to another origin, which may ask for it
// when the connection is made.
func TestSec10_RedirectsShowNoCertificate(t *testing.T) {
	t.Parallel()
	certificate, key := selfSigned(t)
	asking := func(h http.HandlerFunc) *httptest.Server {
		s := httptest.NewUnstartedServer(h)
		s.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
		s.StartTLS()
		t.Cleanup(s.Close)
		return s
	}
	var shown, leaked int
	elsewhere := asking(func(_ http.ResponseWriter, r *http.Request) { leaked += len(r.TLS.PeerCertificates) })
	s := asking(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/away":
			http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
		case "/near":
			http.Redirect(w, r, "/there", http.StatusTemporaryRedirect)
		default:
			shown += len(r.TLS.PeerCertificates)
		}
	})
	h := newHouse(t)
	ca := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}))
	h.create(t, "mutual_tls", `{"certificate":`+quoted(certificate)+`,"private_key":`+quoted(key)+`,"ca":`+quoted(ca)+`}`,
		s.Listener.Addr().String(), elsewhere.Listener.Addr().String())
	get := func(url string) error {
		config, err := h.TLS(t.Context(), "c")
		if err != nil {
			t.Fatal(err)
		}
		resp, err := h.Do(t.Context(), "c", &sdk.Request{URL: url}, func(ctx context.Context, r *sdk.Request) (*sdk.Response, error) {
			return h.egress.Send(ctx, r, egress.Call{TLS: config})
		})
		if err == nil {
			_ = resp.Body.Close()
		}
		return err
	}
	if err := get(s.URL + "/near"); err != nil || shown != 1 {
		t.Errorf("to the same origin: %v, %d certificates", err, shown)
	}
	if err := get(s.URL + "/away"); sdk.KindOf(err) != sdk.Denied || leaked != 0 {
		t.Errorf("to another: %v, %d certificates", err, leaked)
	}
	if err := get(elsewhere.URL); err != nil || leaked != 1 { // the control: asked for itself
		t.Errorf("%v, %d certificates", err, leaked)
	}
}

func TestProblemsAreToldAtOnce(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(o *connection.Options) { o.Insecure = false })
	for _, tt := range []struct{ kind, config, hosts, want string }{
		{"basic", `{"username":"a:b","x":1}`, "", "config.x: the kind basic has no such field; hosts: name the hosts that the credentials may be sent to, such as api.example.com; config.username: has a colon or a control character, which can't be sent"},
		{"bearer", `{"token":"a\nb"}`, "a.example", "config.token: has blanks, line ends or other characters that no token has"},
		{"bearer", `{"token":5}`, "a.example", "config.token: isn't a text"},
		{"bearer", `[]`, "a.example", "config: isn't a JSON object"},
		{"api_key", `{"key":"k\r\nX: y"}`, "a.example", "config.key: has line ends or other control characters, which a header can't have"},
		{"api_key", `{"key":"k","in":"body"}`, "a.example", "config.in: is none of header, query, cookie"},
		{"api_key", `{"key":"k","test_url":"https://b.example/"}`, "a.example", "config.test_url: isn't of the connection's hosts: its credentials aren't sent to b.example; name that among its hosts to allow it"},
		{"none", `{"ca":"x"}`, "", "config.ca: holds no certificate in PEM, a block of BEGIN CERTIFICATE"},
		{"mutual_tls", `{"certificate":"x","private_key":"y"}`, "a.example", "config.certificate: and the private key aren't a pair in PEM, the key not encrypted"},
		{"hmac", `{"secret":"short"}`, "a.example", "config.secret: isn't whsec_ and 24 to 64 bytes in base64"},
		{"hmac", `{"profile":"generic","secret":"s","content":"{timestamp}"}`, "a.example", "config.content: doesn't hold {body}, so anybody could change the body; config.timestamp_header: is missing: the receiver needs {timestamp} to check the signature"},
		{"oauth2", `{"authorization_url":"http://a.example/","token_url":"/t","callback_url":"https://evil.example/"}`, "a.example", "config.callback_url: is computed by the server and can't be written; config.authorization_url: is plain http; a provider is asked by https alone; config.token_url: isn't an absolute URL of https without a user name; config.client_id: is missing"},
		{"oauth2", `{"grant":"jwt_bearer","token_url":"https://a.example/","private_key":"x","expired_when":"1"}`, "a.example", "config.private_key: isn't an RSA, ECDSA or Ed25519 key in PEM, not encrypted; config.client_id: is missing: it is the issuer of the assertion; config.expired_when: isn't supported here"},
		{"aws_sigv4", `{}`, "a.example", "config.access_key_id: is missing; config.region: is missing; config.secret_access_key: is missing; config.service: is missing"},
		{"ftp", `{}`, "a b", `kind: "ftp" is none of api_key, aws_sigv4, basic, bearer, digest, hmac, mutual_tls, none, oauth2; hosts: hosts[0]: "a b" is no host; api.example.com, *.example.com or 10.0.0.7:8080 would do`},
	} {
		var hosts []string
		if tt.hosts != "" {
			hosts = []string{tt.hosts}
		}
		_, err := h.Create(t.Context(), connection.Draft{Name: "c", Kind: tt.kind, Config: json.RawMessage(tt.config), Hosts: hosts})
		got := strings.Split(problems(t, err), "; ")
		want := strings.Split(tt.want, "; ")
		slices.Sort(got)
		slices.Sort(want)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s %s: %s", tt.kind, tt.config, diff)
		}
	}
	for _, name := range []string{"", "A", "1a", "a b", strings.Repeat("a", 65), "a\n"} {
		_, err := h.Create(t.Context(), connection.Draft{Name: name, Kind: "bearer", Config: json.RawMessage(`{"tokn":"x"}`)})
		for _, want := range []string{"name: isn't a name", "hosts: ", "config.tokn: ", "config.token: is missing"} {
			if got := problems(t, err); !strings.Contains(got, want) {
				t.Errorf("%q: %s; %q is wanted", name, got, want)
			}
		}
	}
}

func TestSecretsAreWrittenAndNeverRead(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	v := h.create(t, "basic", `{"username":"ada","password":"marked-secret"}`, "a.example")
	if !cmp.Equal(v.Set, []string{"password"}) || string(v.Config) != `{"username":"ada"}` {
		t.Errorf("%+v", v)
	}
	update := func(config string, hosts ...string) (connection.View, error) {
		return h.Update(t.Context(), "c", connection.Draft{Config: json.RawMessage(config), Hosts: hosts})
	}
	header := func() string { return h.sent(t, &sdk.Request{URL: "https://a.example/"}).Header.Get("Authorization") }
	before := header()
	if _, err := update(`{"username":"ada"}`, "a.example"); err != nil || header() != before {
		t.Errorf("left out, the password doesn't stay: %v", err)
	}
	// Who may edit may not read: more hosts, and it must be given again.
	_, err := update(`{"username":"ada"}`, "a.example", "evil.example")
	if got := problems(t, err); got != "config.password: has to be given again, since it may now be sent to other hosts than before" {
		t.Error(got)
	}
	if _, err := update(`{"username":"ada","password":"marked-secret"}`, "a.example", "*.b.example"); err != nil {
		t.Error(err)
	}
	if _, err := update(`{"username":"ada"}`, "x.b.example", "a.example"); err != nil {
		t.Errorf("fewer hosts: %v", err)
	}
	if v, err := update(`{"username":"ada","password":null}`, "a.example"); err != nil || len(v.Set) != 0 || header() == before {
		t.Errorf("%+v, %v", v, err)
	}
	if _, err := h.Update(t.Context(), "c", connection.Draft{Kind: "bearer", Name: "d"}); err == nil {
		t.Error("kind and name can be changed")
	}
	if _, err := h.Update(t.Context(), "d", connection.Draft{}); !errors.Is(err, connection.ErrNotFound) {
		t.Error(err)
	}
	if _, err := h.Create(t.Context(), connection.Draft{Name: "c", Kind: "none"}); !errors.Is(err, connection.ErrExists) {
		t.Error(err)
	}
}

// Marked credentials stand in no view and no record; the control opens the box.
func TestSec05_RecordsAreSealed(t *testing.T) {
	t.Parallel()
	const marked = "canary-5f1c"
	configs := map[string]string{
		"basic": `{"username":"u","password":"` + marked + `"}`, "bearer": `{"token":"` + marked + `"}`, "api_key": `{"key":"` + marked + `"}`,
		"digest": `{"username":"u","password":"` + marked + `"}`, "hmac": `{"profile":"generic","secret":"` + marked + `"}`,
		"aws_sigv4": `{"access_key_id":"a","secret_access_key":"` + marked + `","session_token":"` + marked + `","region":"r","service":"s"}`,
		"oauth2":    `{"grant":"access_token","access_token":"` + marked + `","refresh_token":"` + marked + `","token_url":"http://a.example/","client_id":"c","client_secret":"` + marked + `"}`,
	}
	for kind, config := range configs {
		h := newHouse(t)
		h.create(t, kind, config, "a.example")
		views, err := h.List(t.Context())
		if err != nil || len(views) != 1 || len(views[0].Set) == 0 {
			t.Fatal(kind, views, err)
		}
		r, err := h.store.Get(t.Context(), "c")
		if err != nil {
			t.Fatal(err)
		}
		shown, _ := json.Marshal([]any{views, r.Config, r.Message})
		if strings.Contains(string(shown), marked) || bytes.Contains(r.Sealed, []byte(marked)) {
			t.Errorf("%s: %s", kind, shown)
		}
		open, err := ringOf(t, 1).Open(r.Sealed, []byte("connections/"+r.ID))
		if err != nil || !bytes.Contains(open, []byte(marked)) {
			t.Errorf("%s: the box doesn't hold it: %v", kind, err)
		}
		hidden, err := h.Hidden(t.Context(), "c")
		if err != nil || !slices.Contains(hidden, marked) {
			t.Errorf("%s: hidden are %q, %v", kind, hidden, err)
		}
	}
}

func TestSec05_KeysOfConnectionsRotate(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.create(t, "bearer", `{"token":"t"}`, "a.example")
	with := func(keys ...byte) *connection.Manager {
		m := connection.New(connection.Options{Store: h.store, Seal: ringOf(t, keys...)})
		t.Cleanup(m.Close)
		return m
	}
	if n, err := with(2, 1).Reseal(t.Context()); err != nil || n != 1 {
		t.Fatal(n, err)
	}
	if n, err := with(2, 1).Reseal(t.Context()); err != nil || n != 0 {
		t.Error(n, err)
	}
	ok := func(context.Context, *sdk.Request) (*sdk.Response, error) {
		return &sdk.Response{Status: 200, Body: http.NoBody}, nil
	}
	r := &sdk.Request{URL: "https://a.example/"}
	if _, err := with(2).Do(t.Context(), "c", r, ok); err != nil {
		t.Error(err)
	}
	lost := with(3)
	if _, err := lost.Do(t.Context(), "c", r, ok); sdk.KindOf(err) != sdk.Unauthorized || !strings.Contains(err.Error(), `"c"`) {
		t.Errorf("without the key: %v", err)
	}
	if v, err := lost.Get(t.Context(), "c"); err != nil || v.State != connection.NeedsAuthorization || v.Message == "" {
		t.Errorf("without the key: %+v, %v", v, err)
	}
	if _, err := lost.Update(t.Context(), "c", connection.Draft{Config: json.RawMessage(`{"token":"n"}`), Hosts: []string{"a.example"}}); err != nil {
		t.Errorf("given again: %v", err)
	}
	if _, err := lost.Do(t.Context(), "c", r, ok); err != nil {
		t.Error(err)
	}
}

func TestDeletedConnection(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.create(t, "none", "")
	if _, err := h.Do(t.Context(), "c", &sdk.Request{URL: "http://127.0.0.1:1/"}, h.send); sdk.KindOf(err) != sdk.Unavailable {
		t.Fatal(err)
	}
	if err := h.Delete(t.Context(), "c"); err != nil {
		t.Fatal(err)
	}
	_, err := h.Do(t.Context(), "c", &sdk.Request{URL: "http://127.0.0.1:1/"}, h.send)
	if sdk.KindOf(err) != sdk.NotFound || !strings.Contains(err.Error(), `"c"`) {
		t.Error(err)
	}
	if err := h.Delete(t.Context(), "c"); !errors.Is(err, connection.ErrNotFound) {
		t.Error(err)
	}
}

func TestTriedOut(t *testing.T) {
	t.Parallel()
	status := http.StatusOK
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, "x")
	}))
	t.Cleanup(s.Close)
	h := newHouse(t)
	h.create(t, "bearer", `{"token":"t","test_url":"`+s.URL+`/me"}`, s.Listener.Addr().String())
	for _, tt := range []struct {
		status int
		ok     bool
		state  connection.State
	}{{200, true, connection.Ready}, {401, false, connection.Failing}, {204, true, connection.Ready}} {
		status = tt.status
		got, err := h.Test(t.Context(), "c")
		if err != nil || got.OK != tt.ok || got.Status != tt.status {
			t.Errorf("%+v, %v", got, err)
		}
		if v, err := h.Get(t.Context(), "c"); err != nil || v.State != tt.state || (v.Message == "") != tt.ok {
			t.Errorf("%+v, %v", v, err)
		}
	}
	if _, err := h.Test(t.Context(), "d"); !errors.Is(err, connection.ErrNotFound) {
		t.Error(err)
	}
}
