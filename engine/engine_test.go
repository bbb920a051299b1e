package engine_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/tappet-dev/tappet/engine"
	"github.com/tappet-dev/tappet/engine/graph"
	"github.com/tappet-dev/tappet/engine/local"
	"github.com/tappet-dev/tappet/engine/machine"
	"github.com/tappet-dev/tappet/engine/sqlite"
	"github.com/tappet-dev/tappet/sdk"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// shelf is a set of connectors that tests change.
type shelf struct {
	mu sync.Mutex
	m  map[string]engine.Connector
	// older are those that others have replaced, by digest.
	older map[string]engine.Connector
}

func (s *shelf) put(c sdk.Connector, digest string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if old, ok := s.m[c.Name]; ok {
		s.older[old.Digest] = old
	}
	s.m[c.Name] = engine.Connector{Connector: &c, Origin: "wasm", Digest: digest}
}

// forget loses the connectors that others have replaced.
func (s *shelf) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.older)
}

func (s *shelf) At(name, digest string) (engine.Connector, error) {
	c, err := s.Connector(name)
	if err != nil || digest == "" || c.Digest == digest {
		return c, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if c, ok := s.older[digest]; ok && c.Name == name {
		return c, nil
	}
	return c, &engine.Error{Kind: engine.Unavailable, Op: "open connector", Err: errors.New("the release " + digest + " is gone")}
}

func (s *shelf) take(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.m, name)
}

func (s *shelf) Connector(name string) (engine.Connector, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, ok := s.m[name]
	if !ok {
		return c, &engine.Error{Kind: engine.NotFound, Op: "open connector", Err: errors.New("there is no connector " + name)}
	}
	return c, nil
}

func (s *shelf) Connectors() []engine.Connector {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []engine.Connector
	for _, c := range s.m {
		out = append(out, c)
	}
	slices.SortFunc(out, func(a, b engine.Connector) int { return strings.Compare(a.Name, b.Name) })
	return out
}

type noHosts struct{}

func (noHosts) Host(context.Context, engine.HostCall) (sdk.Host, func()) { return nil, func() {} }

// A bench is an engine on a temporary folder with the connector test: the
// actions act and boom, and a trigger of each kind.
type bench struct {
	*engine.Engine
	t     testing.TB
	shelf *shelf
	close func()

	mu    sync.Mutex
	calls []sdk.ActionCall
	act   func(context.Context, sdk.ActionCall) (sdk.Result, error)
	poll  func(sdk.PollCall) (sdk.RawBatch, error)
	// emit is handed the emit function of each stream that starts.
	emit chan sdk.EmitFunc
}

func newBench(t testing.TB, dir string, stock ...func(*shelf)) *bench {
	t.Helper()
	return newBenchOf(t, dir, noHosts{}, nil, stock...)
}

// newBenchOf is newBench with hosts, and a place for the bytes of files.
func newBenchOf(t testing.TB, dir string, hosts engine.Hosts, blobs engine.Blobs, stock ...func(*shelf)) *bench {
	t.Helper()
	return newBenchWith(t, dir, func(o *engine.Options) { o.Hosts, o.Blobs = hosts, blobs }, stock...)
}

// newBenchWith is newBench with other options.
func newBenchWith(t testing.TB, dir string, with func(*engine.Options), stock ...func(*shelf)) *bench {
	t.Helper()
	b := &bench{t: t, shelf: &shelf{m: map[string]engine.Connector{}, older: map[string]engine.Connector{}}, emit: make(chan sdk.EmitFunc, 4)}
	b.shelf.put(b.connector(), "d1")
	for _, fill := range stock {
		fill(b.shelf)
	}
	store, err := sqlite.Open(context.Background(), dir, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	runner := local.New(store, local.Options{Log: log, Drain: time.Millisecond})
	o := engine.Options{
		Graphs: store, Versions: store, Runner: runner, History: runner,
		Connectors: b.shelf, Hosts: noHosts{}, Files: store, Keys: store, Log: log,
		Limits: engine.Limits{MinEvery: time.Millisecond, HookWait: 10 * time.Second},
	}
	with(&o)
	b.Engine, err = engine.New(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	b.close = sync.OnceFunc(func() {
		if err := errors.Join(b.Stop(context.Background()), store.Close()); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(b.close)
	return b
}

func (b *bench) connector() sdk.Connector {
	return sdk.Connector{
		Name: "test", Title: "Test things",
		Actions: []sdk.Action{
			{Name: "act", Idempotent: true, Do: func(ctx context.Context, _ sdk.Host, c sdk.ActionCall) (sdk.Result, error) {
				b.mu.Lock()
				b.calls = append(b.calls, c)
				act := b.act
				b.mu.Unlock()
				if act == nil {
					return sdk.Result{Output: json.RawMessage(`{"ok":true}`)}, nil
				}
				return act(ctx, c)
			}},
			{
				Name: "tell", Literal: []string{"schema"}, Output: json.RawMessage(`{"type":"object","properties":{"body":{"schemaFrom":"schema"}}}`),
				Do: func(_ context.Context, _ sdk.Host, c sdk.ActionCall) (sdk.Result, error) {
					return sdk.Result{Output: c.Input.Get("answer")}, nil
				},
			},
			{Name: "boom", Do: func(context.Context, sdk.Host, sdk.ActionCall) (sdk.Result, error) { panic("boom") }},
		},
		Triggers: []sdk.Trigger{
			{Name: "hook", Kind: sdk.KindWebhook, Webhook: hook},
			{Name: "poll", Kind: sdk.KindPoll, Every: sdk.Duration(time.Millisecond), Poll: func(_ context.Context, _ sdk.Host, c sdk.PollCall) (sdk.RawBatch, error) {
				b.mu.Lock()
				poll := b.poll
				b.mu.Unlock()
				return poll(c)
			}},
			{Name: "stream", Kind: sdk.KindStream, Stream: func(ctx context.Context, _ sdk.Host, _ sdk.StreamCall, emit sdk.EmitFunc) error {
				b.emit <- emit
				<-ctx.Done()
				return ctx.Err()
			}},
			{Name: "hand", Kind: sdk.KindManual, Event: json.RawMessage(`{"type":"object","properties":{"body":{"type":"object","properties":{"n":{"type":"integer"}},"required":["n"]}},"required":["body"],"additionalProperties":false}`)},
		},
	}
}

// hook makes a request's body the event; the query says what else.
func hook(_ context.Context, _ sdk.Host, c sdk.WebhookCall) (sdk.RawWebhook, error) {
	switch c.Request.Query {
	case "refuse":
		return sdk.RawWebhook{}, sdk.Errorf(sdk.Invalid, "no")
	case "none":
		return sdk.RawWebhook{}, nil
	case "panic":
		panic("hook")
	case "garbage":
		return sdk.RawWebhook{Events: []sdk.Event{{Data: json.RawMessage(`{"a":`)}}}, nil
	}
	key, _ := strings.CutPrefix(c.Request.Query, "key=")
	return sdk.RawWebhook{
		Events: []sdk.Event{{Key: key, Data: json.RawMessage(`{"body":` + string(c.Request.Body) + `}`)}},
		Wait:   c.Request.Query == "wait",
	}, nil
}

func (b *bench) does(f func(context.Context, sdk.ActionCall) (sdk.Result, error)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.act = f
}

func (b *bench) polls(f func(sdk.PollCall) (sdk.RawBatch, error)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.poll = f
}

// on stores, publishes and activates a document.
func (b *bench) on(src string) {
	b.t.Helper()
	g, err := b.CreateGraph(context.Background(), []byte(src), graph.YAML)
	if err != nil {
		b.t.Fatal(err)
	}
	if _, err := b.Publish(context.Background(), g.Name); err != nil {
		b.t.Fatal(err)
	}
	if _, err := b.Activate(context.Background(), g.Name); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) post(path, query, body string) (engine.HookResult, error) {
	return b.Hook(b.t.Context(), path, sdk.WebhookRequest{Method: "POST", Path: path, Query: query, Body: []byte(body)})
}

func (b *bench) mustPost(path, query, body string) engine.HookResult {
	b.t.Helper()
	r, err := b.post(path, query, body)
	if err != nil {
		b.t.Fatal(err)
	}
	return r
}

// ended waits for a run and gives it.
func (b *bench) ended(id engine.RunID) engine.RunView {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), 20*time.Second)
	defer cancel()
	if done, err := b.WaitRun(ctx, id); err != nil || !done {
		b.t.Fatalf("wait for run %s: %v, %v", id, done, err)
	}
	v, err := b.Run(ctx, id)
	if err != nil {
		b.t.Fatal(err)
	}
	return v
}

func wantKind(t testing.TB, err error, k engine.Kind) engine.Error {
	t.Helper()
	var e *engine.Error
	if !errors.As(err, &e) || e.Kind != k {
		t.Fatalf("err = %v; want kind %s", err, k)
	}
	return *e
}

const hooked = `name: hooked
trigger: {use: test.hook, with: {path: in/here}}
steps:
  - {id: a, use: test.act, with: {n: "${{ trigger.body.n }}"}}
  - {id: b, set: {twice: "${{ trigger.body.n * 2 }}"}}
`

func TestAHookStartsARunThatHistoryTells(t *testing.T) {
	t.Parallel()
	b := newBench(t, t.TempDir())
	b.on(hooked)
	r := b.mustPost("in/here", "", `{"n":21}`)
	if r.Answer != nil || r.Run.IsZero() {
		t.Fatalf("result = %+v; want a run and no answer yet", r)
	}
	v := b.ended(r.Run)
	if v.State != machine.Succeeded || string(v.Result) != `{"twice":42}` || v.GraphName != "hooked" || string(v.Event) != `{"body":{"n":21}}` {
		t.Errorf("run = %+v, result %s", v.Run, v.Result)
	}
	if len(v.Steps) != 2 || v.Steps[0].Use != "test.act" || len(v.Steps[0].Attempts) != 1 || v.Steps[0].Attempts[0].State != "succeeded" || v.Steps[1].Use != "" {
		t.Errorf("steps = %+v", v.Steps)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if diff := cmp.Diff(sdk.Fields{{Name: "n", Value: json.RawMessage("21")}}, b.calls[0].Input); diff != "" || b.calls[0].IdempotencyKey == "" {
		t.Errorf("input (-want +got):\n%s key %q", diff, b.calls[0].IdempotencyKey)
	}
}

func TestHookRefusals(t *testing.T) {
	t.Parallel()
	b := newBench(t, t.TempDir())
	b.on(hooked)
	tests := map[string]struct {
		method, path, query string
		want                engine.Kind
	}{
		"no such path":         {"POST", "other", "", engine.NotFound},
		"a method":             {"GET", "in/here", "", engine.MethodNotAllowed},
		"the trigger says no":  {"POST", "in/here", "refuse", engine.Invalid},
		"the trigger panics":   {"POST", "in/here", "panic", engine.Unavailable},
		"an event is not JSON": {"POST", "in/here", "garbage", engine.Unavailable},
	}
	for name, tt := range tests {
		_, err := b.Hook(t.Context(), tt.path, sdk.WebhookRequest{Method: tt.method, Query: tt.query, Body: []byte(`1`)})
		e := wantKind(t, err, tt.want)
		if tt.want == engine.MethodNotAllowed && !slices.Equal(e.Allow, []string{"POST"}) {
			t.Errorf("%s: allow = %v; want POST", name, e.Allow)
		}
	}
	if r := b.mustPost("in/here", "none", "1"); r.Answer == nil || r.Answer.Status != 204 {
		t.Errorf("no event: %+v; want 204", r)
	}
	page, err := b.Runs(t.Context(), "hooked", engine.RunQuery{})
	if err != nil || len(page.Runs) != 0 {
		t.Errorf("runs = %v, %v; want none", page.Runs, err)
	}
}

func TestG25AnswerOrEndReachesTheCaller(t *testing.T) {
	t.Parallel()
	b := newBench(t, t.TempDir())
	doc := func(name, steps string) {
		b.on("name: " + name + "\ntrigger: {use: test.hook}\nsteps:\n" + steps)
	}
	doc("responds", `  - {id: a, respond: {status: 201, headers: {X-N: "${{ string(trigger.body) }}"}, body: {got: "${{ trigger.body }}"}}}`)
	doc("text", `  - {id: a, respond: {headers: {Content-Type: text/plain}, body: "n is ${{ trigger.body }}"}}`)
	doc("ends", `  - {id: a, set: {n: "${{ trigger.body }}"}}`)
	doc("fails", `  - {id: a, use: test.boom}`)
	tests := map[string]struct {
		status int
		body   string
	}{
		"responds": {201, `{"got":7}`},
		"text":     {200, "n is 7"},
		"ends":     {200, `{"n":7}`},
		"fails":    {500, `{"error":{"kind":"panicked","step":"a"},"state":"failed"}`},
	}
	for name, tt := range tests {
		r := b.mustPost(name, "wait", "7")
		if r.Answer == nil || r.Answer.Status != tt.status || string(r.Answer.Body) != tt.body {
			t.Errorf("%s: answer = %+v; want %d %s", name, r.Answer, tt.status, tt.body)
		}
		if name == "responds" && r.Answer.Header.Get("X-N") != "7" {
			t.Errorf("header = %v", r.Answer.Header)
		}
	}
}

func TestACallerWhoGoesAwayDoesNotEndTheRun(t *testing.T) {
	t.Parallel()
	b := newBench(t, t.TempDir())
	b.on("name: slow\ntrigger: {use: test.hook}\nsteps:\n  - {id: a, use: test.act}\n")
	ctx, leave := context.WithCancel(t.Context())
	release := make(chan struct{})
	b.does(func(context.Context, sdk.ActionCall) (sdk.Result, error) {
		leave()
		<-release
		return sdk.Result{}, nil
	})
	r, err := b.Hook(ctx, "slow", sdk.WebhookRequest{Method: "POST", Query: "wait", Body: []byte("1")})
	close(release)
	if err != nil || r.Answer != nil {
		t.Fatalf("result = %+v, %v; want the run's id alone", r, err)
	}
	if v := b.ended(r.Run); v.State != machine.Succeeded {
		t.Errorf("run = %s; want succeeded", v.State)
	}
}

func TestTheSameKeyIsTheSameRun(t *testing.T) {
	t.Parallel()
	b := newBench(t, t.TempDir())
	b.on(hooked)
	first := b.mustPost("in/here", "key=1", `{"n":1}`)
	second := b.mustPost("in/here", "key=1", `{"n":2}`)
	if first.Run != second.Run || first.Duplicate || !second.Duplicate {
		t.Errorf("first %+v, second %+v; want one run", first, second)
	}
}

func TestS32_OnNeedsEverythingAndNamesWhatFails(t *testing.T) {
	t.Parallel()
	b := newBench(t, t.TempDir())
	create := func(src string) {
		t.Helper()
		if _, err := b.CreateGraph(t.Context(), []byte(src), graph.YAML); err != nil {
			t.Fatal(err)
		}
	}
	create(hooked)
	_, err := b.Activate(t.Context(), "hooked")
	if e := wantKind(t, err, engine.Conflict); e.Problems[0].Code != "not_published" {
		t.Errorf("problems = %v; want not_published", e.Problems)
	}
	if _, err := b.Publish(t.Context(), "hooked"); err != nil {
		t.Fatal(err)
	}
	b.shelf.take("test")
	r, err := b.Activate(t.Context(), "hooked")
	if e := wantKind(t, err, engine.Conflict); len(e.Problems) != 2 || r.Ready {
		t.Errorf("problems = %v, ready = %v; want the action and the trigger named", e.Problems, r.Ready)
	}
	if g, err := b.Graph(t.Context(), "hooked"); err != nil || g.Active {
		t.Errorf("active = %v, %v; nothing may have changed", g.Active, err)
	}
	b.shelf.put(b.connector(), "d1")
	if r, err = b.Activate(t.Context(), "hooked"); err != nil || !r.Ready {
		t.Fatalf("activate = %+v, %v", r, err)
	}
	create(strings.Replace(hooked, "name: hooked", "name: rival", 1))
	if _, err := b.Publish(t.Context(), "rival"); err != nil {
		t.Fatal(err)
	}
	_, err = b.Activate(t.Context(), "rival")
	if e := wantKind(t, err, engine.Conflict); !strings.Contains(e.Problems[0].Message, `"hooked"`) {
		t.Errorf("problems = %v; want the other graph named", e.Problems)
	}
}

func TestS32_OffUnbindsAtOnceAndRunsFinish(t *testing.T) {
	t.Parallel()
	b := newBench(t, t.TempDir())
	b.on(hooked)
	begun, release := make(chan struct{}), make(chan struct{})
	b.does(func(context.Context, sdk.ActionCall) (sdk.Result, error) {
		close(begun)
		<-release
		return sdk.Result{}, nil
	})
	r := b.mustPost("in/here", "", `{"n":1}`)
	<-begun
	if err := b.Deactivate(t.Context(), "hooked"); err != nil {
		t.Fatal(err)
	}
	_, err := b.post("in/here", "", `{"n":2}`)
	wantKind(t, err, engine.Unavailable)
	close(release)
	if v := b.ended(r.Run); v.State != machine.Succeeded {
		t.Errorf("run = %s; want succeeded", v.State)
	}
}

func TestWhoComesJustAfterOffIsToldToComeAgain(t *testing.T) {
	t.Parallel()
	clock := &settable{}
	b := newBenchWith(t, t.TempDir(), func(o *engine.Options) { o.Clock = clock })
	b.on(hooked)
	if err := b.Deactivate(t.Context(), "hooked"); err != nil {
		t.Fatal(err)
	}
	_, err := b.post("in/here", "", `{}`)
	if x, ok := errors.AsType[*engine.Error](err); !ok || x.Kind != engine.Unavailable || x.RetryAfter <= 0 {
		t.Errorf("%v; want unavailable, and when to come again", err)
	}
	// The path is free for another graph at once.
	b.on(strings.Replace(hooked, "name: hooked", "name: other", 1))
	b.mustPost("in/here", "", `{}`)
	if err := b.Deactivate(t.Context(), "other"); err != nil {
		t.Fatal(err)
	}
	clock.jump(time.Minute)
	_, err = b.post("in/here", "", `{}`)
	wantKind(t, err, engine.NotFound)
}

func TestAnActiveGraphIsOnAgainAfterARestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b := newBench(t, dir)
	b.on(hooked)
	b.close()
	b = newBench(t, dir)
	b.ended(b.mustPost("in/here", "", `{"n":1}`).Run)
	g, err := b.Graph(t.Context(), "hooked")
	if err != nil || g.Readiness == nil || !g.Readiness.Ready {
		t.Errorf("readiness = %+v, %v; want ready", g.Readiness, err)
	}
}

func TestReadinessIsTruthful(t *testing.T) {
	t.Parallel()
	b := newBench(t, t.TempDir())
	b.on(hooked)
	b.shelf.take("test")
	b.Rebind(t.Context())
	g, err := b.Graph(t.Context(), "hooked")
	if err != nil || !g.Active || g.Readiness.Ready {
		t.Fatalf("graph = %+v, %v; want ON but not ready", g.Readiness, err)
	}
	_, err = b.post("in/here", "", `{"n":2}`)
	wantKind(t, err, engine.NotFound)
	b.shelf.put(b.connector(), "d2") // not what the graph was published with
	b.Rebind(t.Context())
	_, err = b.post("in/here", "", `{"n":2}`)
	wantKind(t, err, engine.NotFound)
	b.shelf.put(b.connector(), "d1")
	b.Rebind(t.Context())
	b.ended(b.mustPost("in/here", "", `{"n":1}`).Run)
}

func TestPublishRefusesProblemsAllAtOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t, t.TempDir())
	src := "name: bad\ntrigger: {use: tset.hook}\nsteps:\n  - {id: a, use: test.atc}\n  - {id: b, set: {x: \"${{ steps.z }}\"}}\n"
	g, err := b.CreateGraph(t.Context(), []byte(src), graph.YAML)
	if err != nil {
		t.Fatal(err)
	}
	if len(g.Problems) < 3 {
		t.Errorf("draft's problems = %v; want three", g.Problems)
	}
	_, err = b.Publish(t.Context(), "bad")
	e := wantKind(t, err, engine.Invalid)
	var hints []string
	for _, p := range e.Problems {
		hints = append(hints, p.Suggestion)
	}
	all := strings.Join(hints, "\n")
	for _, want := range []string{`"test.hook"`, `"test.act"`} {
		if !strings.Contains(all, want) {
			t.Errorf("suggestions = %q; want %s among them", hints, want)
		}
	}
}

func TestPublishTwiceIsOneVersionAndActiveGraphsMoveOn(t *testing.T) {
	t.Parallel()
	b := newBench(t, t.TempDir())
	b.on(hooked)
	again, err := b.Publish(t.Context(), "hooked")
	if err != nil || again.Number != 1 {
		t.Fatalf("version = %d, %v; want 1", again.Number, err)
	}
	if _, err := b.PutDraft(t.Context(), "hooked", []byte(strings.Replace(hooked, "* 2", "* 3", 1)), graph.YAML); err != nil {
		t.Fatal(err)
	}
	next, err := b.Publish(t.Context(), "hooked")
	if err != nil || next.Number != 2 {
		t.Fatalf("version = %d, %v; want 2", next.Number, err)
	}
	v := b.ended(b.mustPost("in/here", "", `{"n":2}`).Run)
	if v.Version != 2 || string(v.Result) != `{"twice":6}` {
		t.Errorf("run of version %d gave %s; want 2, 6", v.Version, v.Result)
	}
}

func TestStartByHand(t *testing.T) {
	t.Parallel()
	b := newBench(t, t.TempDir())
	b.on("name: byhand\ntrigger: {use: test.hand}\nsteps:\n  - {id: a, set: \"${{ trigger.body.n + 1 }}\"}\n")
	acc, err := b.StartRun(t.Context(), "byhand", json.RawMessage(`{"body":{"n":1}}`), "k")
	if err != nil {
		t.Fatal(err)
	}
	if v := b.ended(acc.Run); string(v.Result) != "2" {
		t.Errorf("result = %s; want 2", v.Result)
	}
	again, err := b.StartRun(t.Context(), "byhand", json.RawMessage(`{"body":{"n":1}}`), "k")
	if err != nil || again.Run != acc.Run || !again.Duplicate {
		t.Errorf("again = %+v, %v; want the same run", again, err)
	}
	for _, bad := range []string{`{"body":{"n":"x"}}`, `{"body":{}}`, `{}`, `[]`, `{"body":`, `{"body":{"n":1},"more":1}`} {
		_, err := b.StartRun(t.Context(), "byhand", json.RawMessage(bad), "")
		wantKind(t, err, engine.Invalid)
	}
	_, err = b.StartRun(t.Context(), "none", json.RawMessage(`{}`), "")
	wantKind(t, err, engine.NotFound)
}

func TestAPanickingConnectorFailsItsStepAlone(t *testing.T) {
	t.Parallel()
	b := newBench(t, t.TempDir())
	b.on("name: p\ntrigger: {use: test.hook}\nsteps:\n  - {id: a, use: test.boom, on_error: continue}\n  - {id: b, use: test.act}\n")
	v := b.ended(b.mustPost("p", "", "1").Run)
	if v.State != machine.Succeeded || v.Steps[0].Err == nil || v.Steps[0].Err.Kind != "panicked" || !v.Steps[0].Handled {
		t.Errorf("run = %s, step a = %+v", v.State, v.Steps[0].StepView)
	}
}

func TestAnOutputThatIsNoJSONIsAFailure(t *testing.T) {
	t.Parallel()
	b := newBench(t, t.TempDir())
	b.on(hooked)
	b.does(func(context.Context, sdk.ActionCall) (sdk.Result, error) {
		return sdk.Result{Output: json.RawMessage(`{"a`)}, nil
	})
	if v := b.ended(b.mustPost("in/here", "", `{"n":1}`).Run); v.State != machine.Failed || v.Err.Kind != "failed" {
		t.Errorf("run = %s, %v; want failed", v.State, v.Err)
	}
}

func TestFailureKeepsResultAndRetryAfter(t *testing.T) {
	t.Parallel()
	b := newBench(t, t.TempDir())
	b.on("name: r\ntrigger: {use: test.hook}\nsteps:\n  - {id: a, use: test.act, retry: {max_attempts: 2, initial_interval: 1ms}}\n")
	n := 0
	b.does(func(context.Context, sdk.ActionCall) (sdk.Result, error) {
		if n++; n == 1 {
			return sdk.Result{Output: json.RawMessage(`{"status":429}`)}, &sdk.Error{Kind: sdk.RateLimited, RetryAfter: 2 * time.Millisecond, Err: errors.New("slow down")}
		}
		return sdk.Result{Output: json.RawMessage(`{"status":200}`)}, nil
	})
	v := b.ended(b.mustPost("r", "", "1").Run)
	a := v.Steps[0].Attempts
	if len(a) != 2 || a[0].State != "failed" || string(a[0].Err.Data) != `{"status":429}` || a[0].Err.RetryAfter != 2 || a[1].State != "succeeded" || a[1].Number != 2 {
		t.Errorf("attempts = %+v", a)
	}
}

func TestPollEventsBecomeRunsOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b := newBench(t, dir)
	ran := make(chan string, 16)
	act := func(_ context.Context, c sdk.ActionCall) (sdk.Result, error) {
		ran <- string(c.Input.Get("id"))
		return sdk.Result{}, nil
	}
	items := func(c sdk.PollCall) (sdk.RawBatch, error) {
		return sdk.RawBatch{Cursor: "page-2", Events: []sdk.Event{
			{Key: "1", Data: json.RawMessage(`{"id":1}`)}, {Key: "2", Data: json.RawMessage(`{"id":2}`)},
		}}, nil
	}
	b.does(act)
	b.polls(items)
	b.on("name: polled\ntrigger: {use: test.poll}\nsteps:\n  - {id: a, use: test.act, with: {id: \"${{ trigger.id }}\"}}\n")
	got := []string{<-ran, <-ran}
	slices.Sort(got)
	if !slices.Equal(got, []string{"1", "2"}) {
		t.Fatalf("ran %v; want 1 and 2", got)
	}
	b.close()

	// In the next process the same items are known, and the cursor is there.
	b = newBench(t, dir)
	b.does(act)
	polled := make(chan sdk.Cursor, 64)
	b.polls(func(c sdk.PollCall) (sdk.RawBatch, error) {
		select {
		case polled <- c.Cursor:
		default:
		}
		r, err := items(c)
		r.Events = append(r.Events, sdk.Event{Key: "3", Data: json.RawMessage(`{"id":3}`)})
		return r, err
	})
	b.Rebind(t.Context())
	if id := <-ran; id != "3" {
		t.Errorf("ran %s; want 3 alone", id)
	}
	if c := <-polled; c != "page-2" {
		t.Errorf("cursor = %q; want page-2", c)
	}
}

func TestAFailingPollIsShownAndRecovers(t *testing.T) {
	t.Parallel()
	b := newBench(t, t.TempDir())
	fail := make(chan struct{}, 1)
	b.polls(func(sdk.PollCall) (sdk.RawBatch, error) {
		select {
		case fail <- struct{}{}:
		default:
		}
		return sdk.RawBatch{}, sdk.Errorf(sdk.Unavailable, "the feed is down")
	})
	b.on("name: polled\ntrigger: {use: test.poll}\nsteps:\n  - {id: a, use: test.act}\n")
	<-fail
	deadline := time.Now().Add(20 * time.Second)
	for {
		g, err := b.Graph(t.Context(), "polled")
		if err != nil {
			t.Fatal(err)
		}
		if !g.Readiness.Ready {
			last := g.Readiness.Checks[len(g.Readiness.Checks)-1]
			if last.Part != "source" || !strings.Contains(last.Detail, "the feed is down") {
				t.Errorf("check = %+v", last)
			}
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the failure isn't shown")
		}
	}
}

func TestStreamEmitReturnsAfterTheEventIsDurable(t *testing.T) {
	t.Parallel()
	b := newBench(t, t.TempDir())
	b.on("name: streamed\ntrigger: {use: test.stream}\nsteps:\n  - {id: a, use: test.act}\n")
	emit := <-b.emit
	if err := emit(t.Context(), "c1", sdk.Event{Key: "k", Data: json.RawMessage(`{"id":1}`)}); err != nil {
		t.Fatal(err)
	}
	page, err := b.Runs(t.Context(), "streamed", engine.RunQuery{})
	if err != nil || len(page.Runs) != 1 || page.Runs[0].Key != "test.stream/k" {
		t.Fatalf("runs = %+v, %v; want one, before emit has returned", page.Runs, err)
	}
	if err := b.Deactivate(t.Context(), "streamed"); err != nil {
		t.Fatal(err)
	}
	if err := emit(context.Background(), "c2", sdk.Event{Key: "k2", Data: json.RawMessage(`{}`)}); err == nil {
		t.Error("an event was accepted though the graph is OFF")
	}
}

func TestDelete(t *testing.T) {
	t.Parallel()
	b := newBench(t, t.TempDir())
	b.on(hooked)
	begun := make(chan struct{})
	b.does(func(ctx context.Context, _ sdk.ActionCall) (sdk.Result, error) {
		close(begun)
		<-ctx.Done()
		return sdk.Result{}, ctx.Err()
	})
	r := b.mustPost("in/here", "", `{"n":1}`)
	<-begun
	wantKind(t, b.DeleteGraph(t.Context(), "hooked", false), engine.Conflict)
	if err := b.Deactivate(t.Context(), "hooked"); err != nil {
		t.Fatal(err)
	}
	if e := wantKind(t, b.DeleteGraph(t.Context(), "hooked", false), engine.Conflict); e.Problems[0].Code != "runs_open" {
		t.Errorf("problems = %v; want runs_open", e.Problems)
	}
	if err := b.DeleteGraph(t.Context(), "hooked", true); err != nil {
		t.Fatal(err)
	}
	if v := b.ended(r.Run); v.State != machine.Cancelled || v.GraphName != "hooked" {
		t.Errorf("run = %s of %q; want cancelled, with its graph's old name", v.State, v.GraphName)
	}
	_, err := b.Graph(t.Context(), "hooked")
	wantKind(t, err, engine.NotFound)
}

func TestTwoEnginesDoNotKnowOfEachOther(t *testing.T) {
	t.Parallel()
	a, b := newBench(t, t.TempDir()), newBench(t, t.TempDir())
	a.on(hooked)
	_, err := b.post("in/here", "", `{"n":1}`)
	wantKind(t, err, engine.NotFound)
	if _, err := b.Graph(t.Context(), "hooked"); err == nil {
		t.Error("the other engine has the graph")
	}
}

func TestSearchFindsConnectors(t *testing.T) {
	t.Parallel()
	b := newBench(t, t.TempDir())
	for q, want := range map[string]int{"": 1, "TEST": 1, "things": 1, "boom": 1, "stream": 1, "nothing": 0} {
		if got := len(b.Connectors(q)); got != want {
			t.Errorf("search %q finds %d; want %d", q, got, want)
		}
	}
}
