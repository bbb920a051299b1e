package engine_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tappet-dev/tappet/engine"
	"github.com/tappet-dev/tappet/engine/graph"
	"github.com/tappet-dev/tappet/sdk"
)

// logging is a host that only logs.
type logging struct {
	sdk.Host
	call engine.HostCall
}

func (h logging) Log(_ context.Context, level sdk.Level, msg string, args ...any) {
	if level == sdk.Warn {
		h.call.Warn(msg, args...)
	}
}

type loggingHosts struct{}

func (loggingHosts) Host(_ context.Context, c engine.HostCall) (sdk.Host, func()) {
	return logging{call: c}, func() {}
}

// calling is a plugin whose one action does what fn says.
func calling(fn func(ctx context.Context, h sdk.Host, c sdk.ActionCall) (sdk.Result, error)) sdk.Connector {
	return sdk.Connector{Name: "calling", Actions: []sdk.Action{{
		Name: "call", Output: json.RawMessage(`{"type":"object","additionalProperties":false,"properties":{"n":{"type":"integer"}}}`), Do: fn,
	}}}
}

const callingGraph = `{"name":"g","trigger":{"use":"test.hook","with":{"path":"p"}},"steps":[
	{"id":"a","use":"calling.call"},
	{"id":"b","use":"calling.call","timeout":"%TIMEOUT%","with":{"n":"${{ steps.a.n }}","run":"${{ run.id }}","id":"${{ uuid() }}"}}]}`

func TestAStepIsCarriedOutOnceWithoutARun(t *testing.T) {
	t.Parallel()
	b := newBenchOf(t, t.TempDir(), loggingHosts{}, nil)
	calls := 0
	var last sdk.ActionCall
	b.shelf.put(calling(func(ctx context.Context, h sdk.Host, c sdk.ActionCall) (sdk.Result, error) {
		calls++
		last = c
		if at, ok := ctx.Deadline(); !ok || time.Until(at) > 2*time.Second {
			t.Errorf("the call's deadline is %s, %t", at, ok)
		}
		h.Log(ctx, sdk.Warn, "be careful", "n", 7)
		h.Log(ctx, sdk.Info, "nothing")
		return sdk.Result{Output: json.RawMessage(`{"n":9}`)}, sdk.Errorf(sdk.Unavailable, "come again")
	}), "d1")
	if _, err := b.CreateGraph(t.Context(), []byte(strings.ReplaceAll(callingGraph, "%TIMEOUT%", "2s")), graph.JSON); err != nil {
		t.Fatal(err)
	}
	got, err := b.TestStep(t.Context(), engine.StepTest{Graph: "g", Step: "b"})
	if err != nil {
		t.Fatal(err)
	}
	if calls != 1 || got.Err == nil || got.Err.Kind != "unavailable" || string(got.Output) != `{"n":9}` || !strings.HasPrefix(last.IdempotencyKey, "test-") {
		t.Errorf("%d calls, %+v %s, key %s", calls, got.Err, got.Output, last.IdempotencyKey)
	}
	if d := cmp.Diff([]string{"be careful n=7"}, got.Warnings); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(map[string]engine.Source{"a": engine.SourceExample}, got.Steps); d != "" || got.Event != engine.SourceExample {
		t.Errorf("%s %s", d, got.Event)
	}
	if n := last.Input.Get("n"); string(n) != "1" {
		t.Errorf("n is %s", n)
	}
	if page, err := b.Runs(t.Context(), "g", engine.RunQuery{}); err != nil || len(page.Runs) != 0 {
		t.Errorf("%+v, %v", page, err)
	}
}

func TestATestedCallPanicsAlone(t *testing.T) {
	t.Parallel()
	b := newBenchOf(t, t.TempDir(), loggingHosts{}, nil)
	b.shelf.put(calling(func(context.Context, sdk.Host, sdk.ActionCall) (sdk.Result, error) { panic("no") }), "d1")
	if _, err := b.CreateGraph(t.Context(), []byte(strings.ReplaceAll(callingGraph, "%TIMEOUT%", "2s")), graph.JSON); err != nil {
		t.Fatal(err)
	}
	got, err := b.TestStep(t.Context(), engine.StepTest{Graph: "g", Step: "b"})
	if err != nil || got.Err == nil || got.Err.Kind != "panicked" {
		t.Errorf("%+v, %v", got.Err, err)
	}
}

func TestATestedCallEndsInTime(t *testing.T) {
	t.Parallel()
	b := newBenchOf(t, t.TempDir(), loggingHosts{}, nil)
	b.shelf.put(calling(func(ctx context.Context, _ sdk.Host, _ sdk.ActionCall) (sdk.Result, error) {
		<-ctx.Done()
		return sdk.Result{}, ctx.Err()
	}), "d1")
	if _, err := b.CreateGraph(t.Context(), []byte(strings.ReplaceAll(callingGraph, "%TIMEOUT%", "5ms")), graph.JSON); err != nil {
		t.Fatal(err)
	}
	got, err := b.TestStep(t.Context(), engine.StepTest{Graph: "g", Step: "b"})
	if err != nil || got.Err == nil || got.Err.Kind != "timeout" || !strings.Contains(got.Err.Message, "5ms") {
		t.Errorf("%+v, %v", got.Err, err)
	}
}

func TestAPreviewSendsNothing(t *testing.T) {
	t.Parallel()
	b := newBenchOf(t, t.TempDir(), loggingHosts{}, nil)
	var failed error
	b.shelf.put(calling(func(ctx context.Context, h sdk.Host, c sdk.ActionCall) (sdk.Result, error) {
		secret, err := h.Secret(ctx, "api-key")
		if err != nil {
			return sdk.Result{}, err
		}
		_, failed = h.HTTP(ctx, &sdk.Request{URL: "https://x.example.com/?n=" + string(c.Input.Get("n")), Header: sdk.Header{{Name: "K", Value: secret}}, Body: strings.NewReader("b")})
		return sdk.Result{}, failed
	}), "d1")
	if _, err := b.CreateGraph(t.Context(), []byte(strings.ReplaceAll(callingGraph, "%TIMEOUT%", "2s")), graph.JSON); err != nil {
		t.Fatal(err)
	}
	q := engine.StepTest{Graph: "g", Step: "b", Steps: map[string]json.RawMessage{"a": json.RawMessage(`{"n":5}`)}}
	shown := 0
	err := b.PreviewStep(t.Context(), q, func(p engine.Preview) error {
		shown++
		body, err := io.ReadAll(p.Body)
		if err != nil || string(body) != "b" || p.URL != "https://x.example.com/?n=5" || p.Secrets[p.Header.Get("K")] != "api_key" || p.File() != "" {
			t.Errorf("%+v, body %q, %v", p, body, err)
		}
		return nil
	})
	if err != nil || shown != 1 || sdk.KindOf(failed) != sdk.Cancelled {
		t.Errorf("%v, shown %d times; the connector got %v", err, shown, failed)
	}
	bad := errors.New("can't be shown")
	if err := b.PreviewStep(t.Context(), q, func(engine.Preview) error { return bad }); !errors.Is(err, bad) || engine.KindOf(err) != engine.Invalid {
		t.Error(err)
	}
	b.shelf.put(calling(func(context.Context, sdk.Host, sdk.ActionCall) (sdk.Result, error) { return sdk.Result{}, nil }), "d2")
	if err := b.PreviewStep(t.Context(), q, nil); err == nil || !strings.Contains(err.Error(), "sends no HTTP request") {
		t.Error(err)
	}
	b.shelf.mu.Lock()
	c := b.shelf.m["calling"]
	c.Origin = "native"
	b.shelf.m["calling"] = c
	b.shelf.mu.Unlock()
	if err := b.PreviewStep(t.Context(), q, nil); err == nil || !strings.Contains(err.Error(), "native plugin") {
		t.Error(err)
	}
}

// A step of on_failure sees all steps of the run, and why it has failed.
func TestAStepOfOnFailureIsTested(t *testing.T) {
	t.Parallel()
	b := newBenchOf(t, t.TempDir(), loggingHosts{}, nil)
	const doc = `{"name":"f","trigger":{"use":"test.hook","with":{"path":"p"}},"steps":[{"id":"a","set":{"n":1}}],
		"on_failure":[{"id":"x","set":{"m":2}},{"id":"y","set":{"why":"${{ error.kind }} in ${{ error.step }}","n":"${{ steps.a.n }}","m":"${{ steps.x.m }}"}}]}`
	if _, err := b.CreateGraph(t.Context(), []byte(doc), graph.JSON); err != nil {
		t.Fatal(err)
	}
	got, err := b.TestStep(t.Context(), engine.StepTest{Graph: "f", Step: "y"})
	if err != nil || got.Err != nil || string(got.Output) != `{"why":"failed in a","n":1,"m":1}` {
		t.Errorf("%s, %+v, %v", got.Output, got.Err, err)
	}
	if d := cmp.Diff(map[string]engine.Source{"a": engine.SourceExample, "x": engine.SourceExample}, got.Steps); d != "" {
		t.Error(d)
	}
}
