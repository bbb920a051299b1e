package main_test

import (
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tappet-dev/tappet/api/client"
)

// connectionChecks are what a graph's checks say of its connections.
func connectionChecks(checks []client.Check) (said []string) {
	for _, c := range checks {
		if c.Part == "connection" {
			said = append(said, fmt.Sprint(c.OK, " ", c.Detail))
		}
	}
	return said
}

// A credential that its service takes no more keeps a graph OFF, and one that is
// ON from being ready, until it is taken again. Of a connection that can't be
// tried out that is said.
func TestS32_ARevokedCredentialIsToldByTheSwitch(t *testing.T) {
	t.Parallel()
	var revoked atomic.Bool
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if revoked.Load() || r.Header.Get("Authorization") != "Bearer t0ken-1" {
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	t.Cleanup(service.Close)
	s := start(t, "", "--egress-allow", hostport(service.URL), "--test-every", "300ms", "--prove-every", "100ms")
	ctx := t.Context()
	hosts := []string{hostport(service.URL)}
	s.connect(t, client.ConnectionDraft{Name: "forms", Kind: "bearer", Hosts: hosts, Config: config("token", "t0ken-1", "test_url", service.URL+"/me")})
	s.connect(t, client.ConnectionDraft{Name: "plain", Kind: "bearer", Hosts: hosts, Config: config("token", "t0ken-1")})
	doc := "name: forms\ntrigger: {use: webhook, with: {path: forms}}\nsteps:\n" +
		"  - {id: a, use: http.get, connection: forms, with: {url: " + service.URL + "}}\n  - {id: b, use: http.get, connection: plain, with: {url: " + service.URL + "}}\n"
	s.deploy(t, "forms", doc)
	on, err := s.Activate(ctx, "forms")
	good := []string{"true forms can be used: the service has accepted its credentials", "true plain can be used: not tried: it has no test_url"}
	if said := connectionChecks(on.Checks); err != nil || !on.Active || !slices.Equal(said, good) {
		t.Fatalf("turned ON: %q, %v", said, err)
	}
	stands := func(ready bool, says string) {
		t.Helper()
		eventually(t, says, func() (bool, any) {
			g, err := s.Graph(ctx, "forms")
			if err != nil {
				t.Fatal(err)
			}
			said := connectionChecks(g.Checks)
			return g.Active && g.Ready == ready && slices.ContainsFunc(said, func(s string) bool { return strings.Contains(s, says) }), said
		})
	}
	revoked.Store(true)
	stands(false, `false the connection "forms" fails at present: the service has answered status 401`)
	s.hook(t, "forms", `{}`) // it is ON: its events are taken
	revoked.Store(false)
	stands(true, "true forms can be used: the service has accepted its credentials")

	if _, err := s.Deactivate(ctx, "forms"); err != nil {
		t.Fatal(err)
	}
	revoked.Store(true)
	_, err = s.Activate(ctx, "forms")
	if !client.Is(err, "conflict") || !strings.Contains(err.Error(), `the connection "forms" fails at present`) {
		t.Errorf("turned ON with a credential that was revoked: %v", err)
	}
	if g, err := s.Graph(ctx, "forms"); err != nil || g.Active {
		t.Errorf("graph %+v, %v", g, err)
	}
	revoked.Store(false)
	if on, err := s.Activate(ctx, "forms"); err != nil || !on.Active {
		t.Errorf("turned ON again: %+v, %v", on, err)
	}
}

// authorise has a browser authorise a connection.
func (s *server) authorise(tb testing.TB, name string) {
	tb.Helper()
	a, err := s.AuthorizeConnection(tb.Context(), name, "")
	if err != nil {
		tb.Fatal(err)
	}
	if status, page := browse(tb, newBrowser(tb), a.URL); status != http.StatusOK {
		tb.Fatalf("authorised: %d %s", status, page)
	}
}

// A hundred runs at once need a token that has expired: one refresh is seen, and
// all succeed. When the refresh is refused, all of them wait, and all go on at
// once when somebody has authorised the connection.
func TestAHundredRunsNeedOneToken(t *testing.T) {
	t.Parallel()
	const runs = 100
	p := newProvider(t)
	p.life = 1
	s := start(t, "", "--insecure-oauth", "--egress-allow", hostport(p.URL))
	ctx := t.Context()
	s.connect(t, client.ConnectionDraft{
		Name: "forms", Kind: "oauth2", Hosts: []string{hostport(p.URL)},
		Config: config("authorization_url", p.URL+"/authorize", "token_url", p.URL+"/token", "client_id", "tappet", "client_secret", "canary-client"),
	})
	s.authorise(t, "forms")
	s.deploy(t, "forms", "name: forms\ntrigger: {use: webhook, with: {path: forms}}\nsteps:\n  - {id: get, use: http.get, connection: forms, "+
		"retry: {max_attempts: 3, initial_interval: 1h, max_interval: 1h, on: [unauthorized]}, with: {url: "+p.URL+"/api}}\n")
	p.mu.Lock()
	p.life = 3600
	before := len(p.asked)
	p.mu.Unlock()
	c, err := s.Connection(ctx, "forms")
	if err != nil || c.ExpiresAt == nil {
		t.Fatalf("connection %+v, %v", c, err)
	}
	eventually(t, "the token's end", func() (bool, any) { return time.Now().After(*c.ExpiresAt), *c.ExpiresAt })
	fire := func() []string {
		ids := make([]string, runs)
		var all sync.WaitGroup
		for i := range ids {
			all.Go(func() { ids[i] = s.hook(t, "forms", `{}`) })
		}
		all.Wait()
		return ids
	}
	for _, id := range fire() {
		if r := s.ended(t, id); r.State != "succeeded" || len(r.Steps[0].Attempts) != 1 {
			t.Errorf("run %s, %+v", r.State, r.Error)
		}
	}
	if got := p.grants()[before:]; !slices.Equal(got, []string{"refresh_token"}) {
		t.Errorf("the provider was asked for %v, want one refresh", got)
	}

	p.revoke()
	ids := fire()
	for _, id := range ids {
		eventually(t, "a failed attempt", func() (bool, any) {
			r, err := s.Run(ctx, id)
			if err != nil {
				t.Fatal(err)
			}
			a := r.Steps[0].Attempts
			return r.Steps[0].Status == "retrying" && len(a) == 1 && a[0].Error != nil && a[0].Error.Kind == "unauthorized", r
		})
	}
	s.authorise(t, "forms")
	for _, id := range ids {
		if r := s.ended(t, id); r.State != "succeeded" || len(r.Steps[0].Attempts) != 2 {
			t.Errorf("run %s, %+v", r.State, r.Error)
		}
	}
	if got := p.grants()[before+1:]; !slices.Equal(got, []string{"refresh_token", "authorization_code"}) {
		t.Errorf("the provider was asked for %v, want one refresh that fails and one authorization", got)
	}
}

// A connection's certificate and its authorities hold for its own requests: a
// step with both reaches a service that asks for the one and has its certificate
// of the other. Without either it doesn't, on the same host and after one that
// did, whose connection isn't shared.
func TestAConnectionsTLSIsItsOwn(t *testing.T) {
	t.Parallel()
	certificate, key := clientKey(t)
	service := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = pem.Encode(w, &pem.Block{Type: "CERTIFICATE", Bytes: r.TLS.PeerCertificates[0].Raw})
	}))
	service.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	service.Config.ErrorLog = log.New(io.Discard, "", 0) // of those who are refused
	service.StartTLS()
	t.Cleanup(service.Close)
	addr := service.Listener.Addr().String()
	ca := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: service.Certificate().Raw}))
	s := start(t, "", "--egress-allow", addr)
	for name, d := range map[string]client.ConnectionDraft{
		"both":           {Kind: "mutual_tls", Config: config("certificate", certificate, "private_key", key, "ca", ca, "test_url", service.URL)},
		"no-authority":   {Kind: "mutual_tls", Config: config("certificate", certificate, "private_key", key)},
		"no-certificate": {Kind: "none", Config: config("ca", ca)},
	} {
		d.Name, d.Hosts = name, []string{addr}
		s.connect(t, d)
		s.deploy(t, name, "name: "+name+"\ntrigger: {use: manual}\nsteps:\n  - {id: get, use: http.get, connection: "+name+", with: {url: "+service.URL+"}}\n  - {id: shown, set: '${{ steps.get.body }}'}\n")
	}
	if tested, err := s.TestConnection(t.Context(), "both"); err != nil || !tested.OK || tested.Status != 200 {
		t.Errorf("tested: %+v, %v", tested, err)
	}
	for _, tt := range []struct{ graph, says string }{
		{"both", ""}, {"no-authority", "unknown authority"}, {"no-certificate", "certificate required"}, {"both", ""},
	} {
		r := s.run(t, tt.graph)
		switch {
		case tt.says == "":
			var shown string
			if err := json.Unmarshal(r.Result, &shown); err != nil || r.State != "succeeded" || shown != certificate {
				t.Errorf("%s: %s, %+v, %s", tt.graph, r.State, r.Error, r.Result)
			}
		case r.State != "failed" || !strings.Contains(r.Error.Message, tt.says):
			t.Errorf("%s: %s, %+v; want %q", tt.graph, r.State, r.Error, tt.says)
		}
	}
}

// The command event does what the API does.
func TestEventCommands(t *testing.T) {
	t.Parallel()
	s := start(t, "", "--limits-inbox-body", "64")
	tappet := func(args ...string) (string, error) {
		cmd := command(t, binary(t), append([]string{"event"}, args...)...)
		cmd.Env = append(cmd.Env, "TAPPET_SERVER="+s.URL, "TAPPET_TOKEN="+token)
		b, err := cmd.CombinedOutput()
		return string(b), err
	}
	s.deploy(t, "picky", "name: picky\ntrigger: {use: webhook, with: {path: picky}, filter: trigger.body.n > 1}\nsteps:\n  - {id: a, set: \"${{ trigger.body.n }}\"}\n")
	run := s.hook(t, "picky", `{"n": 2}`)
	for _, body := range []string{`{"n": 1}`, `{"n": 0, "long": "` + strings.Repeat("x", 64) + `"}`} {
		s.raw(t, http.MethodPost, "/hooks/picky", "", []byte(body), false)
	}
	events, err := s.Events(t.Context(), client.EventQuery{})
	if err != nil || len(events.Items) != 3 {
		t.Fatalf("%+v, %v", events, err)
	}
	long, filtered := events.Items[0].ID, events.Items[1].ID
	for _, c := range []struct {
		args  []string
		wants string
		fails bool
	}{
		{[]string{"list"}, run, false},
		{[]string{"list", "--outcome", "filtered", "--graph", "picky", "--limit", "1"}, "POST /hooks/picky", false},
		{[]string{"list", "--outcome", "filtered", "--limit", "1"}, "there are more: --cursor", false},
		{[]string{"list", "--outcome", "run,filtered", "-o", "json"}, `"outcome": "filtered"`, false},
		{[]string{"list", "--outcome", "lost"}, "outcome", true},
		{[]string{"list", "--graph", "nobody"}, "nobody", true},
		{[]string{"list", "-o", "xml"}, "use table or json", true},
		{[]string{"get", filtered}, `"body": "{\"n\": 1}"`, false},
		{[]string{"get", long}, `"whole": false`, false}, // of --limits-inbox-body
		{[]string{"get", run}, "no such event", true},
		{[]string{"reinject", long}, "wasn't kept", true},
	} {
		if out, err := tappet(c.args...); (err != nil) != c.fails || !strings.Contains(out, c.wants) {
			t.Errorf("%q: %v\n%s", c.args, err, out)
		}
	}
	out, err := tappet("reinject", filtered)
	id, ok := strings.CutPrefix(strings.TrimSpace(out), "run ")
	if err != nil || !ok {
		t.Fatalf("reinject: %v\n%s", err, out)
	}
	if r := s.ended(t, id); r.State != "succeeded" || string(r.Result) != "1" {
		t.Errorf("run %s, %s", r.State, r.Result)
	}
}
