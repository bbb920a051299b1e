package engine_test

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tappet-dev/tappet/engine"
	"github.com/tappet-dev/tappet/engine/expr"
	"github.com/tappet-dev/tappet/engine/graph"
	"github.com/tappet-dev/tappet/sdk"
)

// linked are connections and what stands against them.
type linked struct {
	mu sync.Mutex
	m  map[string]error
}

func (l *linked) Usable(_ context.Context, name string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	err, ok := l.m[name]
	if !ok {
		return sdk.Errorf(sdk.NotFound, "there is no connection %q", name)
	}
	return err
}

// called remembers for which connections hosts were made.
type called struct {
	mu    sync.Mutex
	names map[string]bool
}

func (c *called) Host(_ context.Context, h engine.HostCall) (sdk.Host, func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.names[h.Step+":"+h.Connection] = h.Conceal != nil
	return nil, func() {}
}

func TestConnectionsAreProved(t *testing.T) {
	t.Parallel()
	l := &linked{m: map[string]error{"good": nil, "late": sdk.Errorf(sdk.Unauthorized, "it has to be authorised")}}
	hosts := &called{names: map[string]bool{}}
	b := newBenchWith(t, t.TempDir(), func(o *engine.Options) { o.Connections, o.Hosts = l, hosts })
	doc := func(name, connection string) []byte {
		return []byte("name: " + name + "\ntrigger: {use: test.hook}\nsteps:\n  - {id: none, use: test.act}\n  - {id: a, use: test.act, connection: " + connection + "}\n")
	}
	ctx := t.Context()
	for name, kind := range map[string]engine.Kind{"missing": engine.Invalid, "late": ""} {
		if _, err := b.CreateGraph(ctx, doc(name, name), graph.YAML); err != nil {
			t.Fatal(err)
		}
		_, err := b.Publish(ctx, name)
		if kind == "" && err != nil || kind != "" && engine.KindOf(err) != kind {
			t.Errorf("publish %s: %v", name, err)
		}
	}
	if _, err := b.Activate(ctx, "late"); engine.KindOf(err) != engine.Conflict || !strings.Contains(err.Error(), "authorised") {
		t.Errorf("activate: %v", err)
	}
	b.on(string(doc("good", "good")))
	b.ended(b.mustPost("good", "", `{}`).Run)
	hosts.mu.Lock()
	if !hosts.names["a:good"] || !hosts.names["none:"] || hosts.names["a:"] {
		t.Errorf("hosts were made for %v", slices.Collect(maps.Keys(hosts.names)))
	}
	hosts.mu.Unlock()
	uses, err := b.CredentialUses(ctx)
	want := map[string][]engine.GraphUse{"good": {{Graph: "good", Version: 1, Active: true}}, "late": {{Graph: "late", Version: 1}}}
	if d := cmp.Diff(want, uses.Connections); err != nil || d != "" {
		t.Errorf("uses (-want +got): %v\n%s", err, d)
	}
	// ON stays ON, and takes events, while it isn't ready.
	l.mu.Lock()
	l.m["good"] = sdk.Errorf(sdk.Unauthorized, "it has to be authorised")
	l.mu.Unlock()
	b.Rebind(ctx)
	g, err := b.Graph(ctx, "good")
	if err != nil || g.Readiness == nil || g.Readiness.Ready {
		t.Errorf("graph %+v, %v", g.Readiness, err)
	}
	b.ended(b.mustPost("good", "", `{}`).Run)
}

func TestWithoutConnectionsNothingNamesOne(t *testing.T) {
	t.Parallel()
	b := newBench(t, t.TempDir())
	if _, err := b.CreateGraph(t.Context(), []byte("name: g\ntrigger: {use: test.hook}\nsteps:\n  - {id: a, use: test.act, connection: forms}\n"), graph.YAML); err != nil {
		t.Fatal(err)
	}
	_, err := b.Publish(t.Context(), "g")
	if e := wantKind(t, err, engine.Invalid); len(e.Problems) != 1 || e.Problems[0].Code != "unknown_connection" {
		t.Errorf("problems %+v", e.Problems)
	}
}

func TestATriggerThatWaitsForItsConnectionAsksWhenItIsThere(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		b := newBenchWith(t, dir, func(o *engine.Options) { o.Connections = &linked{m: map[string]error{"forms": nil}} })
		defer b.close()
		polls := 0
		b.polls(func(sdk.PollCall) (sdk.RawBatch, error) {
			polls++
			return sdk.RawBatch{}, sdk.Errorf(sdk.Unauthorized, "it has to be authorised")
		})
		b.on("name: g\ntrigger: {use: test.poll, every: 1h, connection: forms}\nsteps:\n  - {id: a, set: 1}\n")
		time.Sleep(time.Hour)
		synctest.Wait()
		before := polls
		b.ConnectionChanged(t.Context(), "other")
		synctest.Wait()
		if polls != before {
			t.Error("another connection made it ask")
		}
		b.ConnectionChanged(t.Context(), "forms")
		synctest.Wait()
		if polls != before+1 {
			t.Errorf("it was asked %d times, want once", polls-before)
		}
	})
}

func TestExpired(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]bool{
		`status == 400 && body.error == "expired"`: true, `status == 401`: false, `headers["x-auth"] == "gone"`: true, `body.error.code == 1`: false,
		`body.list[0] > 1`: false, `headers["x-auth"] contains "on"`: true,
	} {
		f, err := engine.CompileExpired(source, expr.Limits{})
		if err != nil {
			t.Errorf("%s: %v", source, err)
			continue
		}
		if got := f(400, sdk.Header{{Name: "X-Auth", Value: "gone"}, {Name: "x-auth", Value: "twice"}}, []byte(`{"error": "expired"}`)); got != want {
			t.Errorf("%s is %t", source, got)
		}
	}
	f, err := engine.CompileExpired(`body == "no \uFFFD JSON"`, expr.Limits{})
	if err != nil || !f(200, nil, []byte("no \xff JSON")) {
		t.Errorf("a text: %v", err)
	}
	for _, bad := range []string{"", "status", "stats == 1", `secret("x") == "y"`, "status ==", strings.Repeat("!", 1<<20) + "true"} {
		if _, err := engine.CompileExpired(bad, expr.Limits{}); err == nil {
			t.Errorf("%.40q compiles", bad)
		}
	}
}
