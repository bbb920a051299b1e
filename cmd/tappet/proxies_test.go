package main_test

import (
	"net/http"
	"os/exec"
	"strings"
	"testing"

	"github.com/tappet-dev/tappet/api/client"
)

// A webhook's list of networks goes by what a trusted proxy says of the client,
// and so does the inbox; a server that trusts no proxy, which is the control,
// goes by the connection.
func TestSec08_TrustedProxiesSayWhereARequestComesFrom(t *testing.T) {
	t.Parallel()
	doc := "name: near\ntrigger: {use: webhook, with: {path: near, ip_allow: [192.0.2.0/24]}}\nsteps:\n  - {id: a, set: 1}\n"
	type request struct {
		said          string
		status        int
		reason, shown string
	}
	for trusted, requests := range map[string][]request{
		"10.0.0.1,127.0.0.0/8": {
			{"192.0.2.5", 202, "", "192.0.2.5:0"},
			{"192.0.2.5, 198.51.100.1", 403, "network", "198.51.100.1:0"},
			{"unknown", 403, "network", ""},
		},
		"10.0.0.1": {{"192.0.2.5", 403, "network", "127.0.0.1:"}},
		"":         {{"192.0.2.5", 403, "network", "127.0.0.1:"}},
	} {
		s := start(t, "", "--trusted-proxies", trusted)
		s.deploy(t, "near", doc)
		for n, r := range requests {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/hooks/near", strings.NewReader("{}"))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("X-Forwarded-For", r.said)
			resp, err := (&http.Client{Transport: transport(t)}).Do(req)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			events, err := s.Events(t.Context(), client.EventQuery{})
			if err != nil || len(events.Items) != n+1 || resp.StatusCode != r.status {
				t.Fatalf("%q, %q: %d, %+v, %v; want %d", trusted, r.said, resp.StatusCode, events.Items, err, r.status)
			}
			if e := events.Items[0]; e.Reason != r.reason || !strings.HasPrefix(e.Remote, r.shown) || r.shown == "" && e.Remote != "" {
				t.Errorf("%q, %q: the inbox has %s from %q; want %s from %q", trusted, r.said, e.Reason, e.Remote, r.reason, r.shown)
			}
		}
	}
	out, err := command(t, binary(t), "serve", "--data", t.TempDir(), "--trusted-proxies", "0.0.0.0/0").CombinedOutput()
	if _, ok := err.(*exec.ExitError); !ok || !strings.Contains(string(out), "everybody") { //nolint:errorlint // exec gives it bare
		t.Errorf("everybody is trusted: %v, %s", err, out)
	}
}
