package main_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"io/fs"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tappet-dev/tappet/api/client"
	"github.com/tappet-dev/tappet/engine"
	"github.com/tappet-dev/tappet/engine/sqlite"
	"github.com/tappet-dev/tappet/internal/seal"
)

// SecurityRule 05. What connections and secrets hold, and the tokens that
// providers give, is in no byte of the data folder, in no log, and in no answer of
// the API, whatever becomes of the requests that are sent with them. The control
// build, which hides nothing in what is recorded, shows that the search would find
// them there; the key opens what is sealed, and what it seals is them.
func TestSec05_CredentialsStayHidden(t *testing.T) {
	t.Parallel()
	if found := credentialRun(t, binary(t)); len(found) > 0 {
		t.Errorf("credentials are in %v", found)
	}
	wantPlaces(t, credentialRun(t, build(t, "cmd/tappet", "", "tappet_control_mask")), "data", "run", "step test")
}

// clientKey makes a certificate and its key, in PEM.
func clientKey(tb testing.TB) (certificate, key string) {
	tb.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		tb.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		tb.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// echo repeats all that comes, as a careless service does, with success, with a
// status that fails, as what it isn't, and behind a redirect.
func echo(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.URL.Path == "/token":
		_ = r.ParseForm()
		w.Header().Set("Content-Type", "application/json")
		if r.Form.Get("scope") == "refuse" {
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprintf(w, `{"error": "invalid_client", "error_description": %q}`, "no client "+r.Header.Get("Authorization")+r.Form.Get("client_secret"))
			return
		}
		fmt.Fprint(w, `{"access_token": "canary-token-5150", "token_type": "Bearer", "expires_in": 3600, "refresh_token": "canary-refresh-5150"}`)
		return
	case strings.HasPrefix(r.URL.Path, "/digest") && r.Header.Get("Authorization") == "":
		w.Header().Set("WWW-Authenticate", `Digest realm="r", nonce="n", qop="auth", algorithm=SHA-256`)
		w.WriteHeader(http.StatusUnauthorized)
		return
	case strings.HasSuffix(r.URL.Path, "/moved"):
		http.Redirect(w, r, strings.TrimSuffix(r.URL.Path, "/moved")+"/good?"+r.URL.RawQuery, http.StatusFound)
		return
	}
	body, _ := io.ReadAll(r.Body)
	w.Header().Set("X-Echo", r.Header.Get("Authorization")+r.URL.RawQuery+r.Header.Get("Cookie"))
	w.Header().Set("Content-Type", "application/json")
	if strings.HasSuffix(r.URL.Path, "/bad") {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	if strings.HasSuffix(r.URL.Path, "/broken") {
		fmt.Fprintf(w, "no JSON: %s %s %s", r.Header, r.URL, r.Header.Get("X-Canary"))
		return
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"url": r.URL.String(), "headers": r.Header, "body": string(body)})
}

// credentialRun gives the places in which a credential was found, as
// "place: credential".
func credentialRun(t *testing.T, bin string) (found []string) {
	t.Helper()
	service := httptest.NewServer(http.HandlerFunc(echo))
	defer service.Close()
	address := hostport(service.URL)
	certificate, key := clientKey(t)
	marks := map[string]string{
		"basic": "canary-basic-ü/1", "bearer": "canary-bearer-2", "header": "canary-header-3", "query": "canary query&4", "cookie": "canary-cookie-5",
		"digest": "canary-digest-6", "client": "canary-client-7", "pasted": "canary-pasted-8", "aws": "canary-aws-9/secret", "session": "canary-session-10",
		"hmac": "canary-hmac-11", "secret": "Bearer canary-secret-12", "token": "canary-token-5150", "refresh": "canary-refresh-5150",
		"key": strings.Split(key, "\n")[1],
	}
	s := startBinary(t, bin, filepath.Join(t.TempDir(), "data"), "--log-level", "debug", "--insecure-oauth", "--egress-host", "*=failures:off", "--egress-allow", address+",127.0.0.1:1")
	oauth := func(more ...string) json.RawMessage {
		return config(append([]string{"grant", "client_credentials", "token_url", service.URL + "/token", "client_id", "tappet", "client_secret", marks["client"]}, more...)...)
	}
	hosts := []string{address, "127.0.0.1:1"}
	drafts := []client.ConnectionDraft{
		{Name: "basic", Kind: "basic", Config: config("username", "ada", "password", marks["basic"])},
		{Name: "bearer", Kind: "bearer", Config: config("token", marks["bearer"])},
		{Name: "header", Kind: "api_key", Config: config("key", marks["header"], "name", "X-Canary")},
		{Name: "query", Kind: "api_key", Config: config("key", marks["query"], "in", "query", "name", "k")},
		{Name: "cookie", Kind: "api_key", Config: config("key", marks["cookie"], "in", "cookie", "name", "c")},
		{Name: "digest", Kind: "digest", Config: config("username", "ada", "password", marks["digest"])},
		{Name: "oauth", Kind: "oauth2", Config: oauth()},
		{Name: "refused", Kind: "oauth2", Config: oauth()},
		{Name: "pasted", Kind: "oauth2", Config: config("grant", "access_token", "access_token", marks["pasted"])},
		{Name: "aws", Kind: "aws_sigv4", Config: config("access_key_id", "AKIDEXAMPLE", "secret_access_key", marks["aws"], "session_token", marks["session"], "region", "eu-central-1", "service", "execute-api")},
		{Name: "hmac", Kind: "hmac", Config: config("profile", "generic", "secret", marks["hmac"])},
		{Name: "certificate", Kind: "mutual_tls", Config: config("certificate", certificate, "private_key", key)},
	}
	places := places{}
	var doc strings.Builder
	doc.WriteString("name: canary\ntrigger: {use: webhook, with: {path: canary, respond: result}}\nsteps:\n")
	n := 0
	step := func(connection, target string) {
		fmt.Fprintf(&doc, "  - {id: s%d, use: http.post, connection: %s, on_error: continue, retry: {max_attempts: 2, initial_interval: 1ms}, with: {url: '%s', body: {a: 1}}}\n", n, connection, target)
		n++
	}
	for _, d := range drafts {
		d.Hosts = hosts
		c := s.connect(t, d)
		for _, path := range []string{"good", "bad", "broken", "moved"} {
			step(c.Name, service.URL+"/"+c.Name+"/"+path)
		}
		if d.Name == "query" { // one alone: what is down is left alone for a while
			step(c.Name, "http://127.0.0.1:1/nobody")
		}
		step(c.Name, service.URL[:len("http://")]+"elsewhere.example.com/x")
	}
	if _, err := s.PutSecret(t.Context(), "canary", marks["secret"]); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(&doc, "  - {id: secret, use: http.get, on_error: continue, with: {url: '%s/bad', headers: {Authorization: '${{ secret(\"canary\") }}'}}}\n", service.URL)
	ids := make([]string, n)
	for i := range ids {
		ids[i] = fmt.Sprintf("step(\"s%d\").error, steps.s%d", i, i)
	}
	fmt.Fprintf(&doc, "  - {id: all, respond: {body: '${{ [%s] }}'}}\n", strings.Join(ids, ", "))
	s.deploy(t, "canary", doc.String())
	// Its provider refuses it from now on: before, that would have kept the graph OFF.
	if _, err := s.PutConnection(t.Context(), "refused", client.ConnectionDraft{Hosts: hosts, Config: oauth("scope", "refuse")}); err != nil {
		t.Fatal(err)
	}

	get := func(place, method, path, body string) {
		t.Helper()
		places.get(t, s, place, method, path, body)
	}
	get("answer", http.MethodPost, "/hooks/canary", `{}`)
	s.idle(t)
	page, err := s.Runs(t.Context(), client.RunQuery{Limit: 1})
	if err != nil || len(page.Items) != 1 || page.Items[0].State != "succeeded" {
		t.Fatalf("%+v, %v", page.Items, err)
	}
	run, err := s.Run(t.Context(), page.Items[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	sent := 0
	for _, st := range run.Steps {
		for _, a := range st.Attempts {
			sent += len(a.Exchanges)
		}
	}
	if sent < 4*len(drafts) {
		t.Errorf("only %d requests were sent", sent)
	}
	get("run", http.MethodGet, "/api/v1/runs/"+run.ID, "")
	for _, i := range []int{0, 5, 15, 31} {
		get("step test", http.MethodPost, fmt.Sprintf("/api/v1/graphs/canary/steps/s%d/test", i), `{"event": {"body": {}}}`)
	}
	for _, d := range drafts {
		get("connection", http.MethodGet, "/api/v1/connections/"+d.Name, "")
		get("connection", http.MethodPost, "/api/v1/connections/"+d.Name+"/test", "")
	}
	if c, err := s.Connection(t.Context(), "refused"); err != nil || c.State != "needs_authorization" {
		t.Errorf("its provider hasn't refused it: %s %q, %v", c.State, c.Message, err)
	}
	for _, path := range []string{"/api/v1/connections", "/api/v1/secrets", "/api/v1/runs", "/api/v1/graphs/canary", "/api/v1/system/hosts"} {
		get("lists", http.MethodGet, path, "")
	}
	places.inbox(t, s, 1)
	for _, path := range []string{"?draft=true", "?version=1", "/versions", "/versions/1"} {
		get("exports", http.MethodGet, "/api/v1/graphs/canary"+path, "")
	}
	if yaml, err := s.Document(t.Context(), "canary", 1, client.YAML); err != nil {
		t.Error(err)
	} else {
		places["exports"] = append(places["exports"], yaml...)
	}
	for i := range n {
		get("exports", http.MethodGet, fmt.Sprintf("/api/v1/graphs/canary/steps/s%d/curl", i), "")
	}
	get("exports", http.MethodGet, "/api/v1/graphs/canary/steps/secret/curl", "")
	keys := places.end(t, s)
	sealedHold(t, s.data, keys, marks)
	return places.find(t, marks)
}

// Places are all that was said somewhere, by the name of the place.
type places map[string][]byte

// get adds an answer of the API, which must be 200.
func (p places) get(t *testing.T, s *server, place, method, path, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	p[place] = append(p[place], roundTrip(t, req)...)
}

// inbox adds the list of what came in, and each of it, which must be so much.
func (p places) inbox(t *testing.T, s *server, least int) {
	t.Helper()
	p.get(t, s, "events", http.MethodGet, "/api/v1/events?limit=200", "")
	page, err := s.Events(t.Context(), client.EventQuery{Limit: 200})
	if err != nil || len(page.Items) < least {
		t.Fatalf("%d events, at least %d are wanted; %v", len(page.Items), least, err)
	}
	for _, e := range page.Items {
		p.get(t, s, fmt.Sprintf("events (%s %s %s: %s)", e.Graph, e.Outcome, e.Reason, e.Detail), http.MethodGet, "/api/v1/events/"+e.ID, "")
	}
}

// end stops the server and adds its log and its data folder, whose keys it gives.
func (p places) end(t *testing.T, s *server) (keys string) {
	t.Helper()
	s.signal(t, syscall.SIGTERM)
	s.wantExit(t, 0)
	p["log"] = []byte(s.Output())
	err := filepath.WalkDir(s.data, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if filepath.Base(path) == "secret.key" {
			keys = string(b)
		}
		p["data"] = append(p["data"], b...)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// find gives where marks are, as "place: mark", sorted.
func (p places) find(t *testing.T, marks map[string]string) (found []string) {
	t.Helper()
	for place, b := range p {
		if len(b) == 0 {
			t.Errorf("%s is empty: nothing was looked through", place)
		}
		for name, mark := range marks {
			if shows(b, mark) {
				found = append(found, place+": "+name)
			}
		}
	}
	slices.Sort(found)
	return found
}

// wantPlaces says which places a control build must show something in.
func wantPlaces(t *testing.T, found []string, places ...string) {
	t.Helper()
	for _, place := range places {
		if !slices.ContainsFunc(found, func(f string) bool { return strings.HasPrefix(f, place) }) {
			t.Errorf("the build that hides nothing shows credentials in %v alone: the search doesn't look into %s", found, place)
		}
	}
}

// shows looks for a text as it is and as URLs, JSON, base64 and Basic write it.
func shows(b []byte, mark string) bool {
	quoted, _ := json.Marshal(mark)
	for _, form := range []string{
		mark, url.QueryEscape(mark), url.PathEscape(mark), string(quoted[1 : len(quoted)-1]),
		base64.StdEncoding.EncodeToString([]byte(mark)), base64.StdEncoding.EncodeToString([]byte("ada:" + mark)), base64.StdEncoding.EncodeToString([]byte("tappet:" + mark)),
	} {
		if bytes.Contains(b, []byte(form)) {
			return true
		}
	}
	return false
}

// sealedHold checks that what is sealed is the credentials: each is in a box that
// the key opens.
func sealedHold(t *testing.T, dir, keys string, marks map[string]string) {
	t.Helper()
	ring, err := seal.Parse(keys)
	if err != nil {
		t.Fatal(err)
	}
	store, err := sqlite.Open(t.Context(), dir, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	var plain []byte
	open := func(sealed []byte, place string) {
		b, err := ring.Open(sealed, []byte(place))
		if err != nil {
			t.Errorf("%s: %v", place, err)
		}
		plain = append(plain, b...)
	}
	connections, err := store.Connections(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range connections {
		open(c.Sealed, "connections/"+c.ID)
	}
	var secrets []engine.StoredSecret
	if secrets, err = store.StoredSecrets(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, x := range secrets {
		open(x.Sealed, "secrets/"+x.Name)
	}
	for name, mark := range marks {
		if !shows(plain, mark) {
			t.Errorf("the credential %s isn't in what is sealed: the test proves nothing of it", name)
		}
	}
}
