package main_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/tappet-dev/tappet/api/client"
)

// TestPathsAndAnswers: paths with parameters and answers, as callers see them.
func TestPathsAndAnswers(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	t.Cleanup(slow.Close)
	s := start(t, "", "--limits-hook-wait", "50ms", "--egress-allow", hostport(slow.URL))
	s.deploy(t, "items", "name: items\ntrigger: {use: webhook, with: {path: 'orders/{id}/items/{item}', respond: result}}\nsteps:\n  - {id: a, respond: {body: '${{ trigger.params }}'}}\n")
	s.deploy(t, "fixed", "name: fixed\ntrigger: {use: webhook, with: {path: fixed, respond: {status: 201, headers: {Content-Type: text/plain, X-Kind: note}, body: thanks}}}\nsteps:\n  - {id: a, set: 1}\n")
	s.deploy(t, "empty", "name: empty\ntrigger: {use: webhook, with: {path: empty, respond: {status: 204}}}\nsteps:\n  - {id: a, set: 1}\n")
	hc := &http.Client{Timeout: patience, Transport: transport(t)}
	post := func(path string) (*http.Response, string) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/hooks/"+path, strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		resp, err := hc.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp, string(b)
	}
	for path, want := range map[string]struct {
		status     int
		kind, body string
	}{
		"fixed":              {201, "text/plain", "thanks"},
		"empty":              {204, "", ""},
		"orders/7":           {404, "application/problem+json", ""},
		"orders/%FF/items/1": {422, "application/problem+json", ""},
	} {
		resp, body := post(path)
		if resp.StatusCode != want.status || resp.Header.Get("Content-Type") != want.kind || want.status < 300 && body != want.body {
			t.Errorf("%s: %s, %v, %s", path, resp.Status, resp.Header, body)
		}
		if path == "fixed" && resp.Header.Get("X-Kind") != "note" {
			t.Errorf("%s: %v", path, resp.Header)
		}
	}
	// The answer, or where it will be: a machine that is busy may take longer.
	resp, body := post("orders/a%2Fb%20c/items/%C3%A9")
	const params = `{"id":"a/b c","item":"é"}`
	switch resp.StatusCode {
	case http.StatusOK:
		if body != params {
			t.Errorf("params are %s", body)
		}
	case http.StatusAccepted:
	default:
		t.Errorf("%s: %s", resp.Status, body)
	}
	s.idle(t)
	page, err := s.Runs(t.Context(), client.RunQuery{Graph: "items", Limit: 10})
	if err != nil || len(page.Items) != 1 {
		t.Fatalf("%+v, %v", page, err)
	}
	// Given in again, it has its parameters again, unless the path is another now.
	events, err := s.Events(t.Context(), client.EventQuery{Graph: "items", Outcomes: []string{"run"}})
	if err != nil || len(events.Items) != 1 {
		t.Fatalf("%+v, %v; want one event that became a run", events.Items, err)
	}
	again, err := s.Reinject(t.Context(), events.Items[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	s.idle(t)
	if run, err := s.Run(t.Context(), again); err != nil || string(run.Result) != params {
		t.Errorf("given in again: %s, %v; want %s", run.Result, err, params)
	}
	s.deploy(t, "items", "name: items\ntrigger: {use: webhook, with: {path: 'orders/{id}'}}\nsteps:\n  - {id: a, set: 1}\n")
	if _, err := s.Reinject(t.Context(), events.Items[0].ID); err == nil || !strings.Contains(err.Error(), "orders/{id}") {
		t.Errorf("given in to another path: %v", err)
	}
	if page, err := s.Runs(t.Context(), client.RunQuery{Graph: "fixed", Limit: 10}); err != nil || len(page.Items) != 1 {
		t.Errorf("a fixed answer has %+v, %v; want its run", page.Items, err)
	}
	g, err := s.Graph(t.Context(), "items")
	if err != nil || !g.Ready || g.ReadySince == nil || time.Since(*g.ReadySince) < 0 {
		t.Errorf("graph %+v, %v; want it ready, and since when", g, err)
	}
	// Past the wait limit: 202, and where the run is.
	s.deploy(t, "slow", "name: slow\ntrigger: {use: webhook, with: {path: slow, respond: result}}\nsteps:\n  - {id: a, use: http.get, with: {url: '"+slow.URL+"'}}\n  - {id: b, respond: {body: late}}\n")
	resp, body = post("slow")
	close(release)
	id, ok := strings.CutPrefix(resp.Header.Get("Location"), "/api/v1/runs/")
	if resp.StatusCode != http.StatusAccepted || !ok || !strings.Contains(body, id) {
		t.Errorf("slow: %s, %v, %s; want 202 and the run", resp.Status, resp.Header, body)
	}
	s.idle(t)
	if run, err := s.Run(t.Context(), id); err != nil || run.State != "succeeded" {
		t.Errorf("slow: run %s, %v", run.State, err)
	}
}
