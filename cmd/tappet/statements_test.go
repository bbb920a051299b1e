package main_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
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

const statedGraph = `name: stated
description: What a person reads — ä, "quotes" and all.
trigger: {use: webhook, with: {path: stated}}
steps:
  - id: entry
    use: http.post
    with: {url: "%[1]s/first", body: {n: "${{ trigger.body.n }}"}}
  - id: more
    use: http.post
    with: {url: "%[1]s/second", body: {from: "${{ steps.entry.status }}"}}
`

func TestS1_NameAndDescriptionReadBack(t *testing.T) {
	t.Parallel()
	s := start(t, "")
	const description = "What a person reads — ä, \"quotes\" and all."
	if _, err := s.CreateGraph(t.Context(), fmt.Appendf(nil, statedGraph, "https://x.test"), client.YAML); err != nil {
		t.Fatal(err)
	}
	g, err := s.Graph(t.Context(), "stated")
	if err != nil || g.Name != "stated" || g.Description != description {
		t.Errorf("%q, %q, %v", g.Name, g.Description, err)
	}
	page, err := s.Graphs(t.Context(), client.GraphQuery{})
	if err != nil || len(page.Items) != 1 || page.Items[0].Description != description {
		t.Errorf("%+v, %v", page.Items, err)
	}
	doc, err := s.Document(t.Context(), "stated", 0, client.JSON)
	var kept struct{ Name, Description string }
	if err != nil || json.Unmarshal(doc, &kept) != nil || kept.Name != "stated" || kept.Description != description {
		t.Errorf("%s, %v", doc, err)
	}
}

func TestS2_OneTriggerAndOneActionOrMore(t *testing.T) {
	t.Parallel()
	sink := newSink(t, nil)
	s := start(t, "", "--egress-allow", hostport(sink.URL))
	s.deploy(t, "stated", fmt.Sprintf(statedGraph, sink.URL))
	r := s.ended(t, s.hook(t, "stated", `{"n":1}`))
	var steps []string
	for _, x := range r.Steps {
		steps = append(steps, x.ID+" "+x.Use+" "+x.Status)
	}
	if want := []string{"entry http.post succeeded", "more http.post succeeded"}; !slices.Equal(steps, want) {
		t.Errorf("steps %q, want %q", steps, want)
	}
	for doc, want := range map[string]string{
		"name: x\nsteps:\n  - {id: a, set: 1}\n":                            `the field "trigger" is missing`,
		"name: x\ntrigger: {use: webhook, with: {path: x}}\n":               `the field "steps" is missing`,
		"name: x\ntrigger: {use: webhook, with: {path: x}}\nsteps: []\n":    "steps",
		"name: x\ntrigger: [{use: webhook}]\nsteps:\n  - {id: a, set: 1}\n": "trigger",
	} {
		v, err := s.Validate(t.Context(), []byte(doc), client.YAML)
		if err != nil || !slices.ContainsFunc(v.Problems, func(p client.ProblemError) bool { return strings.Contains(p.Pointer+" "+p.Message, want) }) {
			t.Errorf("%q: %+v, %v", doc, v.Problems, err)
		}
	}
}

func TestS3_TheCatalogueIsSearched(t *testing.T) {
	t.Parallel()
	s := start(t, "")
	for q, want := range map[string]string{"http": "http", "HTTP": "http", "webhook": "webhook", "no such thing": ""} {
		found, err := s.Connectors(t.Context(), q)
		names := make([]string, len(found))
		for i, c := range found {
			names[i] = c.Name
		}
		if err != nil || (want == "") != (len(names) == 0) || want != "" && !slices.Contains(names, want) {
			t.Errorf("%q finds %q, %v; want %q", q, names, err, want)
		}
	}
	c, err := s.Connector(t.Context(), "http")
	if err != nil {
		t.Fatal(err)
	}
	var actions []string
	for _, a := range c.Actions {
		actions = append(actions, a.Name)
	}
	slices.Sort(actions)
	if want := []string{"custom", "get", "post", "put"}; !slices.Equal(actions, want) {
		t.Errorf("actions %q, want %q", actions, want)
	}
}

// A request that came to a receiver, and when.
type came struct {
	at        time.Time
	key, body string
}

// failingReceiver breaks the first request off, refuses the second and third for a
// while, in the two ways that Retry-After has, and takes the fourth.
func failingReceiver(t *testing.T) (url string, got func() []came) {
	t.Helper()
	var mu sync.Mutex
	var all []came
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		all = append(all, came{time.Now(), r.Header.Get("Idempotency-Key"), string(body)})
		n := len(all)
		mu.Unlock()
		switch n {
		case 1:
			conn, _, err := w.(http.Hijacker).Hijack()
			if err == nil {
				_ = conn.(*net.TCPConn).SetLinger(0) // a reset
				_ = conn.Close()
			}
		case 2:
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusServiceUnavailable)
		case 3:
			w.Header().Set("Retry-After", time.Now().Add(2*time.Second).UTC().Format(http.TimeFormat))
			w.WriteHeader(http.StatusTooManyRequests)
		default:
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"id":"e-1"}`)
		}
	}))
	t.Cleanup(s.Close)
	return s.URL, func() []came {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(all)
	}
}

// Each attempt of a step is on the run, with its reason, times and sizes; all send
// the same bytes under the same key, not before the time that the receiver asks
// for.
func TestS26_EachAttemptIsShown(t *testing.T) {
	t.Parallel()
	url, got := failingReceiver(t)
	s := start(t, "", "--egress-allow", hostport(url))
	s.deploy(t, "stated", fmt.Sprintf(`name: stated
trigger: {use: webhook, with: {path: stated}}
steps:
  - id: entry
    use: http.post
    with: {url: "%s/entries", body: {n: "${{ trigger.body.n }}", at: "${{ string(now()) }}"}}
    retry: {max_attempts: 5, initial_interval: 1ms, max_interval: 1ms}
`, url))
	r := s.ended(t, s.hook(t, "stated", `{"n":1}`))
	sent := got()
	if r.State != "succeeded" || len(r.Steps) != 1 || len(r.Steps[0].Attempts) != 4 || len(sent) != 4 {
		t.Fatalf("%s; %d requests; %+v", r.State, len(sent), r.Steps)
	}
	for i, c := range sent {
		if c.key == "" || c.key != sent[0].key || c.body != sent[0].body {
			t.Errorf("request %d has the key %q and the body %s; the first had %q and %s", i+1, c.key, c.body, sent[0].key, sent[0].body)
		}
	}
	if d := sent[2].at.Sub(sent[1].at); d < time.Second {
		t.Errorf("after Retry-After: 1 it is sent again in %s", d)
	}
	if d := sent[3].at.Sub(sent[2].at.Add(2 * time.Second).Truncate(time.Second)); d < 0 {
		t.Errorf("it is sent again %s before the date of Retry-After", -d)
	}
	attempts := r.Steps[0].Attempts
	for i, want := range []struct {
		kind, after string
		status      int
	}{{"unavailable", "", 0}, {"unavailable", "1s", 503}, {"rate_limited", "", 429}, {"", "", 200}} {
		a := attempts[i]
		if a.Number != i+1 || len(a.Exchanges) != 1 || (a.Error == nil) != (want.kind == "") {
			t.Fatalf("attempt %d is %+v", i+1, a)
		}
		x := a.Exchanges[0]
		if x.Method != "POST" || x.URL != url+"/entries" || x.Status != want.status || x.Total <= 0 || x.StartedAt.IsZero() || x.Sent < int64(len(sent[0].body)) {
			t.Errorf("attempt %d has the exchange %+v", i+1, x)
		}
		if want.kind == "" {
			if x.FirstByte <= 0 || x.Received != int64(len(`{"id":"e-1"}`)) || x.Error != "" {
				t.Errorf("the last exchange is %+v", x)
			}
			continue
		}
		if e := a.Error; e.Kind != want.kind || !e.Retryable || e.Message == "" || want.after != "" && e.RetryAfter != want.after {
			t.Errorf("attempt %d failed with %+v, want %+v", i+1, e, want)
		}
	}
	if out := string(r.Steps[0].Output); !strings.Contains(out, `"body":{"id":"e-1"}`) || !strings.Contains(out, `"status":200`) {
		t.Errorf("output %s", out)
	}
}

// A thousand runs that are open at once share as many connections to a host as it
// takes calls at a time, and use them again in their second steps.
func TestAThousandRunsShareConnections(t *testing.T) {
	t.Parallel()
	const runs, most = 1000, 64
	var dials, requests atomic.Int64
	hold := make(chan struct{})
	sink := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		_, _ = io.Copy(io.Discard, r.Body)
		<-hold
	}))
	sink.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			dials.Add(1)
		}
	}
	sink.Start()
	t.Cleanup(sink.Close)
	free := sync.OnceFunc(func() { close(hold) })
	t.Cleanup(free)
	s := start(t, "", "--egress-allow", hostport(sink.URL))
	s.deploy(t, "stated", fmt.Sprintf(statedGraph, sink.URL))
	for i := range runs {
		s.hook(t, "stated", fmt.Sprintf(`{"n":%d}`, i))
	}
	eventually(t, "as many calls as the host takes", func() (bool, any) { return requests.Load() == most, requests.Load() })
	free() // until now none of the runs could end
	s.idle(t)
	if n := requests.Load(); n != 2*runs {
		t.Errorf("%d requests, want %d", n, 2*runs)
	}
	if n := dials.Load(); n > most {
		t.Errorf("%d connections for %d requests, want at most %d", n, 2*runs, most)
	}
}
