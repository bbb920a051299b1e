package api_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tappet-dev/tappet/api"
	"github.com/tappet-dev/tappet/engine"
	"github.com/tappet-dev/tappet/engine/machine"
)

// fakeCurl prints and imports one thing.
type fakeCurl struct{}

func (fakeCurl) Print(p engine.Preview) (string, []string, error) {
	return "curl " + p.URL, []string{"a note"}, nil
}

func (fakeCurl) Import(command string) (api.ImportedStep, []api.ProblemError) {
	if !strings.HasPrefix(command, "curl") {
		return api.ImportedStep{}, []api.ProblemError{{Pointer: "/command", Line: 1, Column: 1, Code: "curl", Message: "it must begin with curl"}}
	}
	return api.ImportedStep{
		Step: api.StepFields{ID: "request", Use: "http.get", Timeout: "2s", With: json.RawMessage(`{"url":"https://x.example.com"}`)},
		YAML: "  - id: request\n",
	}, nil
}

func withCurl(o *api.Options) { o.Curl = fakeCurl{} }

func testedStep() engine.StepTested {
	hop := engine.Hop{
		URL:      "https://forms.example.com/old",
		Request:  engine.Message{Bytes: "GET /old HTTP/1.1\r\n\r\n"},
		Response: engine.Message{Bytes: "HTTP/1.1 302 Found\r\n\r\n"},
	}
	last := hop
	last.URL, last.Response = "https://forms.example.com/new", engine.Message{Bytes: "AAE=", Base64: true, Truncated: true, LeftOut: "br"}
	return engine.StepTested{
		Event: engine.SourceRun, Steps: map[string]engine.Source{"first": engine.SourceExample}, Run: runID,
		Input: json.RawMessage(`{"url":"https://forms.example.com/old"}`), Hops: []engine.Hop{hop, last},
		Exchanges: []engine.Exchange{{Method: "GET", URL: "https://forms.example.com/old", Status: 200, Started: when, Total: 7}},
		Output:    json.RawMessage(`{"status":500}`), Err: &machine.Error{Kind: "unavailable", Message: "500", Step: "entry"},
		Warnings: []string{"only the first page is asked for"},
		Schemas:  map[string]json.RawMessage{"response_schema": json.RawMessage(`{"type":"object"}`)},
	}
}

func TestStepsAreTested(t *testing.T) {
	t.Parallel()
	f := newFake()
	f.tested = testedStep()
	s := newServer(t, f, withCurl)
	ask := func(method, path, body string) []byte {
		t.Helper()
		w := do(s, request(method, path, body, "Content-Type", "application/json"))
		if w.Code != 200 {
			t.Fatalf("%s: %d %s", path, w.Code, w.Body)
		}
		return indent(t, w.Body.Bytes())
	}
	const step = "/api/v1/graphs/orders/steps/entry"
	golden(t, "step_test.json", ask("POST", step+"/test?version=2", `{"event":{"a":1.0},"steps":{"first":null}}`))
	want := engine.StepTest{
		Graph: "orders", Step: "entry", Version: 2, Event: json.RawMessage(`{"a":1.0}`), Steps: map[string]json.RawMessage{"first": json.RawMessage("null")},
	}
	if d := cmp.Diff(want, f.got); d != "" {
		t.Error(d)
	}
	// What is printed saw the same run.
	ask("POST", step+"/test", "")
	if d := cmp.Diff(engine.StepTest{Graph: "orders", Step: "entry", Run: runID}, f.got); d != "" {
		t.Error(d)
	}
	golden(t, "step_curl.json", ask("GET", step+"/curl?run="+runID.String(), ""))
	if d := cmp.Diff(engine.StepTest{Graph: "orders", Step: "entry", Run: runID}, f.got); d != "" {
		t.Error(d)
	}
	golden(t, "step_curl.json", ask("POST", step+"/curl", `{"event":{}}`))
	golden(t, "curl_import.json", ask("POST", "/api/v1/connectors/http/curl", `{"command":"curl https://x.example.com"}`))
	if f.tested = (engine.StepTested{Event: engine.SourceGiven}); !strings.Contains(string(ask("POST", step+"/test", "{}")), `"hops": []`) {
		t.Error("an empty list is null")
	}
}

func TestBadStepTests(t *testing.T) {
	t.Parallel()
	s := newServer(t, newFake(), withCurl)
	const step = "/api/v1/graphs/orders/steps/entry"
	for _, c := range []struct {
		method, path, body string
		status             int
		kind, text         string
	}{
		{"POST", step + "/test", `{"evnt":{}}`, 422, "invalid", "evnt"},
		{"POST", step + "/test", `{"run":"x"}`, 422, "invalid", "no id of a run"},
		{"POST", step + "/test", `[]`, 422, "invalid", ""},
		{"POST", step + "/test?version=0", ``, 422, "invalid", "version"},
		{"POST", step + "/curl", `{"steps":[]}`, 422, "invalid", ""},
		{"GET", step + "/curl?run=x", ``, 422, "invalid", "no id of a run"},
		{"GET", step + "/curl?event=x", ``, 422, "invalid", "event"},
		{"POST", "/api/v1/connectors/http/curl", ``, 422, "invalid", "empty"},
		{"POST", "/api/v1/connectors/http/curl", `{"command":7}`, 422, "invalid", "command"},
		{"POST", "/api/v1/connectors/http/curl", `{"command":"wget"}`, 422, "invalid", "begin with curl"},
		{"POST", step + "/tests", ``, 404, "not_found", ""},
	} {
		w := do(s, request(c.method, c.path, c.body, "Content-Type", "application/json"))
		if p := wantProblem(t, w, c.status, c.kind); !strings.Contains(p.Detail, c.text) {
			t.Errorf("%s %s: %s; %q is wanted", c.path, c.body, p.Detail, c.text)
		}
	}
	f := newFake()
	f.err = &engine.Error{Kind: engine.NotFound, Op: "x"}
	for _, path := range []string{"/test", "/curl"} {
		wantProblem(t, do(newServer(t, f, withCurl), request("POST", step+path, "{}", "Content-Type", "application/json")), 404, "not_found")
	}
	w := do(newServer(t, newFake(), nil), request("POST", "/api/v1/connectors/http/curl", `{"command":"curl x"}`, "Content-Type", "application/json"))
	wantProblem(t, w, 422, "invalid")
}
