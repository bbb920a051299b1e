package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tappet-dev/tappet/api"
	"github.com/tappet-dev/tappet/engine"
	"github.com/tappet-dev/tappet/engine/machine"
)

func TestRepresentations(t *testing.T) {
	t.Parallel()
	id := runID.String()
	for _, c := range []struct {
		file, method, target, body string
		status                     int
		location                   string
	}{
		{"graph.json", "POST", "/api/v1/graphs", draft, 201, "/api/v1/graphs/orders"},
		{"graph.json", "GET", "/api/v1/graphs/orders", "", 200, ""},
		{"graph.json", "PUT", "/api/v1/graphs/orders/draft", draft, 200, ""},
		{"graphs.json", "GET", "/api/v1/graphs", "", 200, ""},
		{"validation.json", "POST", "/api/v1/graphs/validate", draft, 200, ""},
		{"validation.json", "POST", "/api/v1/graphs/orders/validate", "", 200, ""},
		{"version.json", "POST", "/api/v1/graphs/orders/publish", "", 200, "/api/v1/graphs/orders/versions/2"},
		{"version.json", "GET", "/api/v1/graphs/orders/versions/2", "", 200, ""},
		{"versions.json", "GET", "/api/v1/graphs/orders/versions", "", 200, ""},
		{"activation_on.json", "POST", "/api/v1/graphs/orders/activate", "", 200, ""},
		{"activation_off.json", "POST", "/api/v1/graphs/orders/deactivate", "", 200, ""},
		{"run.json", "GET", "/api/v1/runs/" + id, "", 200, ""},
		{"run.json", "POST", "/api/v1/runs/" + id + "/cancel", "", 202, "/api/v1/runs/" + id},
		{"runs.json", "GET", "/api/v1/runs", "", 200, ""},
		{"runs.json", "GET", "/api/v1/graphs/orders/runs", "", 200, ""},
		{"events.json", "GET", "/api/v1/events?graph=orders&outcome=refused&outcome=failed", "", 200, ""},
		{"event.json", "GET", "/api/v1/events/" + id, "", 200, ""},
		{"reinjection.json", "POST", "/api/v1/events/" + id + "/reinject", "", 202, "/api/v1/runs/" + id},
		{"connectors.json", "GET", "/api/v1/connectors?q=http", "", 200, ""},
		{"connector.json", "GET", "/api/v1/connectors/http", "", 200, ""},
		{"plugins.json", "GET", "/api/v1/plugins", "", 200, ""},
		{"plugin.json", "GET", "/api/v1/plugins/feed", "", 200, ""},
		{"system.json", "GET", "/api/v1/system", "", 200, ""},
		{"hosts.json", "GET", "/api/v1/system/hosts", "", 200, ""},
		{"healthz.json", "GET", "/healthz", "", 200, ""},
		{"readyz.json", "GET", "/readyz", "", 200, ""},
	} {
		w := do(newServer(t, newFake(), nil), request(c.method, c.target, c.body, "Content-Type", "application/yaml"))
		if w.Code != c.status || w.Header().Get("Location") != c.location {
			t.Errorf("%s %s: status %d, location %q, body %s", c.method, c.target, w.Code, w.Header().Get("Location"), w.Body)
			continue
		}
		if ct := w.Header().Get("Content-Type"); ct != "application/json" {
			t.Errorf("%s %s: content type %q", c.method, c.target, ct)
		}
		golden(t, c.file, indent(t, w.Body.Bytes()))
	}
}

func TestAHeadIsAGetWithoutItsBody(t *testing.T) {
	t.Parallel()
	s := newServer(t, newFake(), nil)
	if w := do(s, request("HEAD", "/healthz", "")); w.Code != 200 {
		t.Errorf("status %d", w.Code)
	}
}

func TestDocumentsAreGivenInTheFormatThatIsAskedFor(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ target, accept, contentType, contains string }{
		{"/api/v1/graphs/orders", "application/yaml", "application/yaml", "# the first graph\n"},
		{"/api/v1/graphs/orders?draft", "application/yaml, application/json;q=0.5", "application/yaml", "# the first graph\n"},
		{"/api/v1/graphs/orders?draft=true", "", "application/json", `"name":"orders"`},
		{"/api/v1/graphs/orders?draft", "application/yaml;q=0.1, */*", "application/json", `"name":"orders"`},
		{"/api/v1/graphs/orders?version=2", "", "application/json", `{"format":1,"name":"orders"}`},
		{"/api/v1/graphs/orders?version=2", "text/yaml", "application/yaml", "name: orders\n"},
		{"/api/v1/graphs/orders", "text/html, */*;q=0.1", "application/json", `"draft_problems"`},
	} {
		w := do(newServer(t, newFake(), nil), request("GET", c.target, "", "Accept", c.accept))
		if w.Code != 200 || w.Header().Get("Content-Type") != c.contentType || !strings.Contains(w.Body.String(), c.contains) {
			t.Errorf("%s as %q: %d %s %s", c.target, c.accept, w.Code, w.Header().Get("Content-Type"), w.Body)
		}
		if w.Header().Get("Vary") != "Accept" {
			t.Errorf("%s: no Vary", c.target)
		}
	}
}

func TestParametersReachTheEngine(t *testing.T) {
	t.Parallel()
	yes := true
	day := time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		method, target string
		want           any
	}{
		{"GET", "/api/v1/graphs?q=ord&active=true&limit=5&cursor=c", engine.GraphQuery{Text: "ord", Active: &yes, Limit: 5, Cursor: "c"}},
		{"GET", "/api/v1/graphs", engine.GraphQuery{Limit: 50}},
		{"DELETE", "/api/v1/graphs/orders", []any{"orders", false}},
		{"DELETE", "/api/v1/graphs/orders?force", []any{"orders", true}},
		{"DELETE", "/api/v1/graphs/orders?force=true", []any{"orders", true}},
		{"DELETE", "/api/v1/graphs/orders?force=false", []any{"orders", false}},
		{"GET", "/api/v1/graphs/orders/versions/12", []any{"orders", 12}},
		{"GET", "/api/v1/graphs/validate", "validate"},
		{"POST", "/api/v1/graphs/validate/publish", "validate"},
		{"POST", "/api/v1/graphs/validate/validate", "validate"},
		{"GET", "/api/v1/connectors?q=http", "http"},
		{
			"GET", "/api/v1/runs?graph=orders&state=failed&state=running&from=2026-11-24T00:00:00Z&to=2026-11-25T01:00:00%2B01:00&limit=7",
			[]any{"orders", engine.RunQuery{
				States: []machine.State{"failed", "running"}, From: day, To: day.Add(24 * time.Hour), Limit: 7,
			}},
		},
		{"GET", "/api/v1/graphs/orders/runs", []any{"orders", engine.RunQuery{Limit: 50}}},
	} {
		f := newFake()
		w := do(newServer(t, f, nil), request(c.method, c.target, ""))
		if w.Code >= 300 {
			t.Errorf("%s %s: %d %s", c.method, c.target, w.Code, w.Body)
		}
		if d := cmp.Diff(c.want, f.got); d != "" {
			t.Errorf("%s %s (-want +got):\n%s", c.method, c.target, d)
		}
	}
}

func TestStartRun(t *testing.T) {
	t.Parallel()
	event := `{"body":{"n":1.0}}`
	for _, c := range []struct {
		name, target, body, key string
		state                   machine.State
		duplicate               bool
		status                  int
		calls                   []string
	}{
		{"without wait it is 202", "", event, "", machine.Running, false, 202, []string{"StartRun", "Run"}},
		{"ended within wait is 200", "?wait=20s", event, "", machine.Failed, false, 200, []string{"StartRun", "WaitRun", "Run"}},
		{"past wait it is 202", "?wait=20ms", event, "", machine.Waiting, false, 202, []string{"StartRun", "WaitRun", "Run"}},
		{"no body is an empty event", "", "", "", machine.Queued, false, 202, []string{"StartRun", "Run"}},
		{"a known key gives the first run", "", ` { "body" : {"n":1.0} }`, "evt-17", machine.Succeeded, true, 200, []string{"StartRun", "Run"}},
		{"a known key with another event is refused", "", `{"body":{"n":2}}`, "evt-17", machine.Succeeded, true, 422, []string{"StartRun", "Run"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := newFake()
			f.run.State, f.accepted.Duplicate = c.state, c.duplicate
			w := do(newServer(t, f, nil), request("POST", "/api/v1/graphs/orders/runs"+c.target, c.body,
				"Content-Type", "application/json", "Idempotency-Key", c.key))
			if w.Code != c.status {
				t.Errorf("status %d: %s", w.Code, w.Body)
			}
			if d := cmp.Diff(c.calls, f.calls); d != "" {
				t.Error(d)
			}
			if w.Code < 300 && w.Header().Get("Location") != "/api/v1/runs/"+runID.String() {
				t.Errorf("location %q", w.Header().Get("Location"))
			}
			if got := w.Header().Get("Idempotency-Replayed") == "true"; got != (c.duplicate && c.status < 300) {
				t.Errorf("replayed: %v", got)
			}
		})
	}
}

func TestAnEventIsTheEnginesToKeep(t *testing.T) {
	t.Parallel()
	k := &keeper{fake: newFake()}
	k.run.Event = nil
	s := newServer(t, k.fake, func(o *api.Options) { o.Engine = k })
	for _, event := range []string{`{"body":"first"}`, `{"body":"other"}`} {
		do(s, request("POST", "/api/v1/graphs/orders/runs", event, "Content-Type", "application/json"))
	}
	if len(k.events) != 2 || string(k.events[0]) != `{"body":"first"}` {
		t.Errorf("the events became %s", k.events)
	}
}

// keeper keeps events without copying them.
type keeper struct {
	*fake
	events []json.RawMessage
}

func (k *keeper) StartRun(_ context.Context, _ string, event json.RawMessage, _ string) (engine.Accepted, error) {
	k.events = append(k.events, event)
	return k.accepted, nil
}

func TestActivateNamesWhatFailed(t *testing.T) {
	t.Parallel()
	f := newFake()
	f.err = &engine.Error{Kind: engine.Conflict, Op: "activate graph orders", Problems: []engine.Problem{
		{Code: "route", Message: "the path orders is taken by the graph sales"},
	}}
	f.readiness = engine.Readiness{Checks: []engine.Check{
		{Part: "version", OK: true, Detail: "2"}, {Part: "route", Detail: "the path orders is taken by the graph sales"},
	}}
	w := do(newServer(t, f, nil), request("POST", "/api/v1/graphs/orders/activate", ""))
	p := wantProblem(t, w, http.StatusConflict, "conflict")
	if len(p.Errors) != 1 || len(p.Checks) != 2 || p.Checks[1].OK {
		t.Errorf("%+v", p)
	}
}

func TestReadinessTellsItsReasonToThoseWithAToken(t *testing.T) {
	t.Parallel()
	s := newServer(t, newFake(), func(o *api.Options) { o.Ready = func(context.Context) error { return errors.New("the disk is full") } })
	r := request("GET", "/readyz", "")
	if p := wantProblem(t, do(s, r), 503, "unavailable"); p.Detail != "the disk is full" {
		t.Error(p.Detail)
	}
	r.Header.Del("Authorization")
	if p := wantProblem(t, do(s, r), 503, "unavailable"); strings.Contains(p.Detail, "disk") {
		t.Error(p.Detail)
	}
}
