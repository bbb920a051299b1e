package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tappet-dev/tappet/api"
	"github.com/tappet-dev/tappet/engine"
	"github.com/tappet-dev/tappet/engine/graph"
	"github.com/tappet-dev/tappet/engine/machine"
	"github.com/tappet-dev/tappet/sdk"
)

var update = flag.Bool("update", false, "rewrite golden files")

const token = "open-sesame"

type oneToken struct{}

func (oneToken) Authenticate(t string) bool { return t == token }

var (
	when  = time.Date(2026, 11, 24, 9, 30, 0, 125e6, time.FixedZone("", 3600))
	runID = engine.RunID{0x01, 0x9a, 0xb2, 0xf4, 0x6c, 0, 0x7a, 0x51, 0xb3, 0xc1, 0x2f, 0x9d, 0x64, 0xc0, 0xa5, 0xe7}
)

const draft = `# the first graph
name: orders
description: One order, one entry.
trigger:
  use: webhook
  with: {path: orders}
steps:
  - id: entry
    use: http.post
    with: {url: "https://forms.example.com/entries"}
`

// fake is an engine whose answers are fields; it remembers what it was asked.
type fake struct {
	mu    sync.Mutex
	calls []string
	got   any

	err        error
	graph      engine.Graph
	version    engine.Version
	validation engine.Validation
	readiness  engine.Readiness
	accepted   engine.Accepted
	run        engine.RunView
	ended      bool
	route      engine.HookRoute
	routeErr   error
	hookErr    func(sdk.WebhookRequest) error
	file       engine.File
	bytes      string
	hook       engine.HookResult
	arrival    engine.Arrival
	tested     engine.StepTested
	onHook     func(context.Context, string, sdk.WebhookRequest)
}

func newFake() *fake {
	return &fake{
		graph: engine.Graph{
			StoredGraph: engine.StoredGraph{
				ID: 7, Name: "orders", Description: "One order, one entry.", Labels: map[string]string{"team": "forms"},
				Draft: []byte(draft), DraftFormat: graph.YAML, Version: 2, Active: true, CreatedAt: when, UpdatedAt: when,
			},
			Problems: []engine.Problem{{
				Pointer: "/steps/0/with/url", Line: 10, Column: 12, Code: "unknown_field", Message: `unknown field "tilte"`,
				Suggestion: `did you mean "title"?`,
			}},
			Readiness: &engine.Readiness{Ready: true, Since: when, Checks: []engine.Check{{Part: "route", OK: true, Detail: "POST /hooks/orders"}}},
		},
		version: engine.Version{
			Graph: 7, Number: 2, Document: json.RawMessage(`{"format":1,"name":"orders"}`), Digest: "abc", Evaluator: 1,
			PublishedAt: when,
		},
		validation: engine.Validation{
			OK: true, Trigger: json.RawMessage(`{"type":"object"}`), Inferred: true,
			Steps: map[string]engine.StepTypes{"entry": {Input: json.RawMessage(`{"type":"object"}`), Output: json.RawMessage(`{}`)}},
		},
		readiness: engine.Readiness{Ready: true, Checks: []engine.Check{{Part: "version", OK: true, Detail: "2"}}},
		accepted:  engine.Accepted{Run: runID},
		run:       fakeRun(),
		ended:     true,
		hook:      engine.HookResult{Run: runID},
		arrival: engine.Arrival{
			ID: runID, Graph: 7, At: when, Outcome: engine.ArrivalRefused, Reason: "unauthorized", Detail: "the signature isn't taken",
			Method: "POST", Path: "orders", Remote: "192.0.2.1:4711", Size: 7, Missed: 3, Body: []byte(`{"n":1}`),
			Header: sdk.Header{{Name: "Authorization", Value: "***"}, {Name: "Content-Type", Value: "application/json"}},
		},
	}
}

func fakeRun() engine.RunView {
	failed := &machine.Error{
		Kind: "unavailable", Message: "503", Step: "entry", Retryable: true, RetryAfter: 1500, Data: json.RawMessage(`{"status":503}`),
	}
	return engine.RunView{
		Run: engine.Run{
			ID: runID, Graph: 7, Version: 2, State: machine.Succeeded, Key: "evt-17", Attempt: 1, AcceptedAt: when,
			EndedAt: when.Add(time.Second), Event: json.RawMessage(`{"body":{"n":1.0}}`),
		},
		GraphName: "orders", Result: json.RawMessage(`{"status":201}`),
		Steps: []engine.StepView{
			{
				StepView: machine.StepView{
					ID: "entry", Status: machine.StepSucceeded, Attempts: 2, Output: json.RawMessage(`{"status":201}`),
					Started: machine.Millis(when.UnixMilli()), Ended: machine.Millis(when.UnixMilli() + 900),
				},
				Use: "http.post",
				Mapping: []engine.Mapped{{
					Pointer: "/body/title", Expression: "Order ${{ trigger.body.n }}", Reads: []string{"trigger.body.n"},
				}},
				Attempts: []engine.Attempt{
					{Number: 1, State: "failed", StartedAt: when, EndedAt: when, Err: failed},
					{Number: 2, State: "succeeded", StartedAt: when, EndedAt: when.Add(time.Second), Exchanges: []engine.Exchange{{
						Method: "POST", URL: "https://forms.example.com/entries", Status: 201, Started: when, Total: 41000,
						FirstByte: 38000, Sent: 311, Received: 57, Reused: true,
					}}, Warnings: []string{"the answer isn't JSON status=201"}},
				},
			},
			{StepView: machine.StepView{ID: "note", OnFailure: true, Status: machine.StepSkipped, Warnings: []string{"nothing was sent"}}},
		},
	}
}

// called remembers a call; got is what it was given.
func (f *fake) called(name string, got any) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls, f.got = append(f.calls, name), got
	return f.err
}

func (f *fake) CreateGraph(_ context.Context, src []byte, ft graph.Format) (engine.Graph, error) {
	return f.graph, f.called("CreateGraph", ft.String()+": "+string(src))
}

func (f *fake) PutDraft(_ context.Context, name string, src []byte, ft graph.Format) (engine.Graph, error) {
	return f.graph, f.called("PutDraft", name+": "+ft.String()+": "+string(src))
}

func (f *fake) Graph(_ context.Context, name string) (engine.Graph, error) {
	return f.graph, f.called("Graph", name)
}

func (f *fake) Graphs(_ context.Context, q engine.GraphQuery) ([]engine.Graph, string, error) {
	return []engine.Graph{f.graph}, "next", f.called("Graphs", q)
}

func (f *fake) DeleteGraph(_ context.Context, name string, force bool) error {
	return f.called("DeleteGraph", []any{name, force})
}

func (f *fake) Validate(_ context.Context, src []byte, ft graph.Format) engine.Validation {
	_ = f.called("Validate", ft.String()+": "+string(src))
	return f.validation
}

func (f *fake) ValidateDraft(_ context.Context, name string, sample engine.SampleEvent) (engine.Validation, error) {
	if sample.Last || sample.Event != nil {
		return f.validation, f.called("ValidateDraft", []any{name, sample})
	}
	return f.validation, f.called("ValidateDraft", name)
}

func (f *fake) Publish(_ context.Context, name string) (engine.Version, error) {
	return f.version, f.called("Publish", name)
}

func (f *fake) Versions(_ context.Context, name string) ([]engine.Version, error) {
	return []engine.Version{f.version}, f.called("Versions", name)
}

func (f *fake) Version(_ context.Context, name string, number int) (engine.Version, error) {
	return f.version, f.called("Version", []any{name, number})
}

func (f *fake) Activate(_ context.Context, name string) (engine.Readiness, error) {
	return f.readiness, f.called("Activate", name)
}

func (f *fake) Deactivate(_ context.Context, name string) error { return f.called("Deactivate", name) }

func (f *fake) StartRun(_ context.Context, name string, event json.RawMessage, key string) (engine.Accepted, error) {
	return f.accepted, f.called("StartRun", []string{name, string(event), key})
}

func (f *fake) WaitRun(ctx context.Context, id engine.RunID) (bool, error) {
	d, ok := ctx.Deadline()
	return f.ended, f.called("WaitRun", ok && time.Until(d) > 0 && id == runID)
}

func (f *fake) CancelRun(_ context.Context, id engine.RunID) error {
	return f.called("CancelRun", id.String())
}

func (f *fake) Run(_ context.Context, id engine.RunID) (engine.RunView, error) {
	return f.run, f.called("Run", id.String())
}

func (f *fake) Runs(_ context.Context, name string, q engine.RunQuery) (engine.RunPage, error) {
	return engine.RunPage{Runs: []engine.Run{f.run.Run}, Next: "next"}, f.called("Runs", []any{name, q})
}

func (f *fake) GraphNames(_ context.Context, ids []engine.GraphID) map[engine.GraphID]string {
	out := map[engine.GraphID]string{}
	for _, id := range ids {
		out[id] = "orders"
	}
	return out
}

func (f *fake) HookRoute(string, string) (engine.HookRoute, error) { return f.route, f.routeErr }

func (f *fake) OpenFile(_ context.Context, run engine.RunID, id string) (engine.File, io.ReadSeekCloser, error) {
	return f.file, readSeekCloser{strings.NewReader(f.bytes)}, f.called("OpenFile", run.String()+" "+id)
}

func (f *fake) Arrivals(_ context.Context, graphName string, q engine.ArrivalQuery) (engine.ArrivalPage, error) {
	return engine.ArrivalPage{Arrivals: []engine.Arrival{f.arrival}, Next: "c2"}, f.called("Arrivals", []any{graphName, q})
}

func (f *fake) Arrival(_ context.Context, id engine.RunID) (engine.Arrival, error) {
	return f.arrival, f.called("Arrival", id.String())
}

func (f *fake) Reinject(_ context.Context, id engine.RunID) (engine.Accepted, error) {
	return f.accepted, f.called("Reinject", id.String())
}

func (f *fake) HookRefused(_ context.Context, path string, _ sdk.WebhookRequest, reason, detail string) {
	_ = f.called("HookRefused", path+": "+reason+": "+detail)
}

func (f *fake) DeleteRun(_ context.Context, id engine.RunID) error {
	return f.called("DeleteRun", id.String())
}

type readSeekCloser struct{ io.ReadSeeker }

func (readSeekCloser) Close() error { return nil }

func (f *fake) Hook(ctx context.Context, path string, r sdk.WebhookRequest) (engine.HookResult, error) {
	if f.onHook != nil {
		f.onHook(ctx, path, r)
	}
	if err := f.called("Hook", r); err != nil || f.hookErr == nil {
		return f.hook, err
	}
	return f.hook, f.hookErr(r)
}

func connector() engine.Connector {
	return engine.Connector{Origin: "builtin", Connector: &sdk.Connector{
		Name: "http", Title: "HTTP", Description: "Sends HTTP requests.", Version: "1.0.0", Needs: sdk.Needs{HTTP: []string{"{url}"}},
		Triggers: []sdk.Trigger{{Name: "changed", Kind: sdk.KindPoll, Event: json.RawMessage(`{"type":"object"}`)}},
		Actions:  []sdk.Action{{Name: "post", Title: "POST", Keyed: true, Input: json.RawMessage(`{"type":"object"}`)}},
		Check:    &sdk.Checker{Config: json.RawMessage(`{"type":"object"}`)},
		Options:  []sdk.Chooser{{Name: "lists", Title: "Lists", Config: json.RawMessage(`{"type":"object"}`)}},
	}}
}

func (f *fake) Connectors(q string) []engine.Connector {
	_ = f.called("Connectors", q)
	return []engine.Connector{connector()}
}

func (f *fake) Connector(name string) (engine.Connector, error) {
	return connector(), f.called("Connector", name)
}

func (f *fake) TestStep(_ context.Context, q engine.StepTest) (engine.StepTested, error) {
	return f.tested, f.called("TestStep", q)
}

func (f *fake) PreviewStep(_ context.Context, q engine.StepTest, show func(engine.Preview) error) error {
	if err := f.called("PreviewStep", q); err != nil {
		return err
	}
	return show(engine.Preview{Request: &sdk.Request{URL: "https://forms.example.com"}})
}

func (f *fake) CheckConfig(_ context.Context, name string, config json.RawMessage) (engine.Checked, error) {
	return engine.Checked{Kind: sdk.Unauthorized, Message: "the server answered with status 401"}, f.called("CheckConfig", name+": "+string(config))
}

func (f *fake) ChooseOptions(_ context.Context, name string, q engine.Choosing) ([]sdk.Option, error) {
	return []sdk.Option{{Value: json.RawMessage(`"a"`), Title: "List A"}, {Value: json.RawMessage(`7`)}}, f.called("ChooseOptions", []any{name, q})
}

type fakePlugins struct{}

func (fakePlugins) Plugins() []api.PluginInfo {
	return []api.PluginInfo{
		{Name: "broken.wasm", File: "broken.wasm", Kind: "wasm", Digest: "00", State: "failed", Reason: "it is not a WASM module", Since: when},
		{
			Name: "feed", File: "feed.wasm", Kind: "wasm", Digest: "01", Version: "1.0.0", State: "ready", Since: when,
			Needs: sdk.Needs{HTTP: []string{"{url}"}}, Triggers: []string{"new_item"},
			Usage: api.PluginUsage{Calls: 1204, Failures: 3, Restarts: 1, CPU: 1204123 * time.Microsecond, Memory: 5111808},
		},
	}
}

func (p fakePlugins) Plugin(name string) (api.PluginInfo, error) {
	for _, x := range p.Plugins() {
		if x.Name == name {
			return x, nil
		}
	}
	return api.PluginInfo{}, &engine.Error{Kind: engine.NotFound, Err: errors.New("there is no such plugin")}
}

// newServer makes a server over f whose log is discarded; change may be nil.
func newServer(tb testing.TB, f *fake, change func(*api.Options)) *api.Server {
	tb.Helper()
	o := api.Options{Engine: f, Auth: oneToken{}, Plugins: fakePlugins{}, Version: "0.1.0", Hosts: fakeHosts, Log: slog.New(slog.DiscardHandler)}
	if change != nil {
		change(&o)
	}
	s, err := api.New(o)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func fakeHosts() []api.Host {
	until := api.Timestamp(when.Add(30 * time.Second))
	return []api.Host{{
		Host: "api.example.com:443", Active: 8, Waiting: 120, WaitingGraphs: 2, WaitReason: "retry_after", WaitUntil: &until,
		Concurrency: 8, Rate: "10/s", Breaker: "closed", Failures: 1, LastFailure: "503 Service Unavailable",
	}}
}

// request is a request with a token; header is name, value, name, value.
func request(method, target, body string, header ...string) *http.Request {
	var b io.Reader
	if body != "" {
		b = strings.NewReader(body)
	}
	r := httptest.NewRequest(method, target, b)
	r.Header.Set("Authorization", "Bearer "+token)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return r
}

func do(s http.Handler, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w
}

// problemOf reads an answer that must be a complete problem of the status.
func wantProblem(tb testing.TB, w *httptest.ResponseRecorder, status int, kind string) api.Problem {
	tb.Helper()
	var p api.Problem
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
		tb.Fatalf("status %d, no problem in %q: %v", w.Code, w.Body, err)
	}
	if w.Code != status || p.Status != status || p.Type != "/problems/"+kind {
		tb.Errorf("got status %d, problem %d %s (%s); want %d %s", w.Code, p.Status, p.Type, p.Detail, status, kind)
	}
	if ct := w.Header().Get("Content-Type"); ct != "application/problem+json" {
		tb.Errorf("content type is %q", ct)
	}
	if p.RequestID == "" || p.RequestID != w.Header().Get("X-Request-Id") || p.Title == "" || p.Detail == "" || p.Instance == "" {
		tb.Errorf("the problem is not complete: %+v", p)
	}
	return p
}

// golden compares with a file of testdata.
func golden(tb testing.TB, name string, got []byte) {
	tb.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			tb.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			tb.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	if d := cmp.Diff(string(want), string(got)); d != "" {
		tb.Errorf("%s (-want +got):\n%s", path, d)
	}
}

func indent(tb testing.TB, b []byte) []byte {
	tb.Helper()
	var out bytes.Buffer
	if err := json.Indent(&out, b, "", "  "); err != nil {
		tb.Fatalf("%q: %v", b, err)
	}
	return out.Bytes()
}
