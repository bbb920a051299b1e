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

// A service is linked, and takes credentials until it has revoked them.
type service struct {
	linked
	revoked map[string]bool
	// hangs: it doesn't answer.
	hangs bool
	tried []string
}

func (s *service) TryConnection(ctx context.Context, name string) (string, error) {
	s.mu.Lock()
	s.tried = append(s.tried, name)
	revoked, hangs := s.revoked[name], s.hangs
	s.mu.Unlock()
	if hangs {
		<-ctx.Done()
		return "", sdk.Errorf(sdk.Unavailable, "the connection %q couldn't be tried out: %w", name, ctx.Err())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.m[name] = nil; revoked {
		s.m[name] = sdk.Errorf(sdk.Unavailable, "the connection %q fails at present: it was revoked", name)
		return "", s.m[name]
	}
	return "it was tried", nil
}

func (s *service) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

// took gives the connections that were tried since, by name.
func (s *service) took() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	tried := s.tried
	s.tried = nil
	slices.Sort(tried)
	return tried
}

// stands tells whether a graph is ON and ready, and what its checks say of its
// connections.
func (b *bench) stands(name string) (active, ready bool, said []string) {
	b.t.Helper()
	g, err := b.Graph(context.Background(), name)
	if err != nil {
		b.t.Fatal(err)
	}
	if g.Readiness == nil {
		return g.Active, false, nil
	}
	for _, c := range g.Readiness.Checks {
		if c.Part == "connection" {
			said = append(said, c.Detail)
		}
	}
	return g.Active, g.Readiness.Ready, said
}

const linkedDoc = "name: g\ntrigger: {use: test.hook}\nsteps:\n" +
	"  - {id: a, use: test.act, connection: forms}\n  - {id: b, use: test.act, connection: tasks}\n  - {id: c, use: test.act, connection: forms}\n"

// ON asks the services: one that takes the credentials no more keeps a graph OFF,
// and is named.
func TestS32_OnTriesTheCredentials(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s := &service{linked: linked{m: map[string]error{"forms": nil, "tasks": nil}}, revoked: map[string]bool{"forms": true}}
		b := newBenchWith(t, dir, func(o *engine.Options) { o.Connections = s })
		defer b.close()
		ctx := context.Background()
		if _, err := b.CreateGraph(ctx, []byte(linkedDoc), graph.YAML); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Publish(ctx, "g"); err != nil {
			t.Fatal(err)
		}
		_, err := b.Activate(ctx, "g")
		if e := wantKind(t, err, engine.Conflict); len(e.Problems) != 1 || !strings.Contains(e.Problems[0].Message, `"forms" fails at present: it was revoked`) {
			t.Errorf("problems %+v", e.Problems)
		}
		if active, _, _ := b.stands("g"); active {
			t.Error("it is ON")
		}
		if d := cmp.Diff([]string{"forms", "tasks"}, s.took()); d != "" {
			t.Errorf("tried: %s", d)
		}
		// A service that doesn't answer has its time, and holds up nobody else.
		s.set(func() { s.revoked, s.hangs, s.m["forms"] = nil, true, nil })
		began := time.Now()
		done := make(chan error)
		go func() { _, err := b.Activate(ctx, "g"); done <- err }()
		synctest.Wait()
		b.on(strings.Replace(hooked, "test.act", "test.tell", 1))
		if err := <-done; engine.KindOf(err) != engine.Conflict || time.Since(began) != 10*time.Second {
			t.Errorf("after %s: %v", time.Since(began), err)
		}
		// A caller who goes away turns nothing ON.
		gone, cancel := context.WithCancel(ctx)
		time.AfterFunc(time.Second, cancel)
		if _, err := b.Activate(gone, "g"); err == nil {
			t.Error("it is ON without an answer")
		}
		// The control: one that takes them.
		s.set(func() { s.hangs = false })
		r, err := b.Activate(ctx, "g")
		if err != nil || !r.Ready {
			t.Fatalf("%+v, %v", r, err)
		}
		active, ready, said := b.stands("g")
		if d := cmp.Diff([]string{"forms can be used: it was tried", "tasks can be used: it was tried"}, said); !active || !ready || d != "" {
			t.Errorf("active %t, ready %t: %s", active, ready, d)
		}
	})
}

// While it is ON they are tried again: seldom while all is well, soon after one
// has failed, and then less and less often.
func TestS32_CredentialsAreTriedAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s := &service{linked: linked{m: map[string]error{"forms": nil, "tasks": nil}}}
		b := newBenchWith(t, dir, func(o *engine.Options) { o.Connections = s })
		b.on(linkedDoc)
		b.close()
		s.took()
		b = newBenchWith(t, dir, func(o *engine.Options) { o.Connections = s })
		defer b.close()
		passes := func(d time.Duration) {
			time.Sleep(d) // the bubble's
			synctest.Wait()
		}
		took := func(want ...string) {
			t.Helper()
			if d := cmp.Diff(want, s.took()); d != "" {
				t.Errorf("tried: %s", d)
			}
		}
		// After a start they are spread over a round.
		passes(7 * time.Minute)
		took()
		passes(2 * time.Minute)
		took("forms")
		passes(7 * time.Minute)
		took("tasks")
		passes(30 * time.Minute)
		took("forms", "forms", "tasks", "tasks")
		s.set(func() { s.revoked = map[string]bool{"tasks": true} })
		passes(15 * time.Minute)
		s.took()
		active, ready, said := b.stands("g")
		if !active || ready || !slices.Contains(said, `the connection "tasks" fails at present: it was revoked`) {
			t.Errorf("active %t, ready %t: %q; want ON, and not ready", active, ready, said)
		}
		b.ended(b.mustPost("g", "", `{}`).Run) // its events are taken
		s.set(func() { s.revoked = nil })
		passes(15 * time.Minute) // at the latest
		if _, ready, said := b.stands("g"); !ready || !slices.Contains(said, "tasks can be used: it was tried") {
			t.Errorf("ready %t: %q; want it healed", ready, said)
		}
		s.took()
		s.set(func() { s.revoked = map[string]bool{"forms": true} })
		passes(15*time.Minute + time.Second)
		s.set(func() { s.tried = slices.DeleteFunc(s.tried, func(n string) bool { return n == "tasks" }) })
		first := len(s.took())
		passes(time.Hour)
		n := 0
		for _, name := range s.took() {
			if name == "forms" {
				n++
			}
		}
		// 1, 2, 4, 8 minutes, and then each 15.
		if n > 8 || first+n < 6 {
			t.Errorf("one that fails was tried %d times within the first quarter of an hour, and %d in the next hour", first, n)
		}
		// Nobody is asked for a graph that is OFF.
		if err := b.Deactivate(context.Background(), "g"); err != nil {
			t.Fatal(err)
		}
		passes(time.Minute)
		s.took()
		passes(time.Hour)
		took()
	})
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
