package engine_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tappet-dev/tappet/engine"
	"github.com/tappet-dev/tappet/engine/graph"
	"github.com/tappet-dev/tappet/engine/local"
	"github.com/tappet-dev/tappet/engine/sqlite"
	"github.com/tappet-dev/tappet/sdk"
)

// A counted vault gives one secret, unless it is lost, and counts how often it is
// asked.
type countedVault struct {
	mu   sync.Mutex
	lost bool
	n    int
}

func (v *countedVault) Secret(ctx context.Context, _ string) ([]byte, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.n++
	if err := ctx.Err(); err != nil {
		return nil, &sdk.Error{Kind: sdk.Unavailable, Err: err}
	}
	if v.lost {
		return nil, sdk.Errorf(sdk.NotFound, "the secret isn't there")
	}
	return []byte("a secret"), nil
}

func (v *countedVault) lose(lost bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.lost = lost
}

func (v *countedVault) asked() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	n := v.n
	v.n = 0
	return n
}

// A countedStore counts the reads of graphs and versions.
type countedStore struct {
	*sqlite.Store
	mu sync.Mutex
	n  int
}

func (s *countedStore) read() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.n++
}

func (s *countedStore) reads() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.n
	s.n = 0
	return n
}

func (s *countedStore) GraphByID(ctx context.Context, id engine.GraphID) (engine.StoredGraph, error) {
	s.read()
	return s.Store.GraphByID(ctx, id)
}

func (s *countedStore) Version(ctx context.Context, id engine.GraphID, n int) (engine.Version, error) {
	s.read()
	return s.Store.Version(ctx, id, n)
}

// A logbook is a log that tests read.
type logbook struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logbook) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

// count gives how many lines hold a text.
func (l *logbook) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.b.String(), text)
}

// needy is the connector test, whose hook needs a secret.
func needy() sdk.Connector {
	c := (&bench{}).connector()
	c.Triggers[0].Secrets = func(json.RawMessage) []string { return []string{"forms"} }
	return c
}

// A watched is an engine in a bubble whose graphs are proved again each minute.
type watched struct {
	*engine.Engine
	t     testing.TB
	shelf *shelf
	vault *countedVault
	store *countedStore
	log   *logbook
	close func()
}

func newWatched(t testing.TB, dir string) *watched {
	t.Helper()
	store, err := sqlite.Open(context.Background(), dir, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	w := &watched{
		t: t, vault: &countedVault{}, store: &countedStore{Store: store}, log: &logbook{},
		shelf: &shelf{m: map[string]engine.Connector{}, older: map[string]engine.Connector{}},
	}
	w.shelf.put(needy(), "d1")
	log := slog.New(slog.NewTextHandler(w.log, nil))
	runner := local.New(store, local.Options{Log: log, Drain: time.Millisecond})
	w.Engine, err = engine.New(engine.Options{
		Graphs: w.store, Versions: w.store, Runner: runner, History: runner, Connectors: w.shelf, Hosts: noHosts{},
		Secrets: w.vault, Log: log,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	w.close = func() {
		if err := errors.Join(w.Stop(context.Background()), store.Close()); err != nil {
			t.Error(err)
		}
	}
	return w
}

func (w *watched) on(name, path string) {
	w.t.Helper()
	doc := "name: " + name + "\ntrigger: {use: test.hook, with: {path: '" + path + "'}}\nsteps:\n  - {id: a, use: test.act, with: {n: 1}}\n"
	if _, err := w.CreateGraph(context.Background(), []byte(doc), graph.YAML); err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.Publish(context.Background(), name); err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.Activate(context.Background(), name); err != nil {
		w.t.Fatal(err)
	}
}

// passes lets time go by.
func (*watched) passes(d time.Duration) {
	time.Sleep(d) // the bubble's
	synctest.Wait()
}

// stands gives a graph's readiness with the part that fails.
func (w *watched) stands(name string) (r engine.Readiness, part string) {
	w.t.Helper()
	g, err := w.Graph(context.Background(), name)
	if err != nil || g.Readiness == nil {
		w.t.Fatalf("graph %s: %v, %v", name, g.Readiness, err)
	}
	for _, c := range g.Readiness.Checks {
		if !c.OK {
			part = c.Part
		}
	}
	return *g.Readiness, part
}

func TestOnIsProvedAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		w := newWatched(t, dir)
		defer w.close()
		began := time.Now()
		w.on("g", "orders/{id}")
		if r, part := w.stands("g"); !r.Ready || part != "" || !r.Since.Equal(began.Truncate(time.Millisecond)) {
			t.Fatalf("%+v", r)
		}
		for _, tt := range []struct {
			part       string
			lose, find func()
		}{
			{"secret", func() { w.vault.lose(true) }, func() { w.vault.lose(false) }},
			{"trigger", func() { w.shelf.take("test") }, func() { w.shelf.put(needy(), "d1") }},
		} {
			w.passes(90 * time.Second)
			again := w.log.count("is ready again")
			tt.lose()
			lost := time.Now()
			w.passes(61 * time.Second)
			r, part := w.stands("g")
			if r.Ready || part != tt.part || r.Since.Before(lost.Add(-time.Second)) || r.Since.After(time.Now()) {
				t.Errorf("%s is lost: %+v", tt.part, r)
			}
			since := r.Since
			w.passes(5 * time.Minute)
			if r, _ := w.stands("g"); r.Ready || !r.Since.Equal(since) {
				t.Errorf("%s is lost for long: since %s, want %s", tt.part, r.Since, since)
			}
			// It is still bound: whoever calls isn't told that nobody is there.
			if _, err := w.HookRoute("orders/1", "POST"); err != nil {
				t.Errorf("%s is lost: %v", tt.part, err)
			}
			tt.find()
			w.passes(61 * time.Second)
			if r, _ := w.stands("g"); !r.Ready || !r.Since.After(since) {
				t.Errorf("%s is back: %+v", tt.part, r)
			}
			if n := w.log.count("is ready again"); n != again+1 {
				t.Errorf("%s is back: the log says so %d times", tt.part, n-again)
			}
		}
		if n := w.log.count("isn't ready"); n != 2 {
			t.Errorf("the log tells %d times that the graph isn't ready, want 2", n)
		}
	})
}

// A graph that couldn't be bound is, as soon as what it lacks is there.
func TestAGraphIsBoundWhenWhatItLacksIsThere(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		w := newWatched(t, dir)
		w.on("g", "here")
		w.close()
		w = newWatched(t, dir)
		defer w.close()
		w.shelf.take("test")
		w.Rebind(context.Background())
		if _, err := w.HookRoute("here", "POST"); err == nil {
			t.Fatal("it is bound without its trigger")
		}
		w.shelf.put(needy(), "d1")
		w.passes(121 * time.Second)
		if _, err := w.HookRoute("here", "POST"); err != nil {
			t.Error(err)
		}
	})
}

// Proving again reads each secret once, and no graph.
func TestProvingAgainIsCheap(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		w := newWatched(t, dir)
		defer w.close()
		for i := range 20 {
			w.on(fmt.Sprint("g", i), fmt.Sprint("g", i))
		}
		w.passes(2 * time.Minute)
		w.vault.asked()
		w.store.reads()
		w.passes(time.Minute)
		asked, reads := w.vault.asked(), w.store.reads()
		if asked < 1 || asked > 2 || reads != 0 {
			t.Errorf("in a minute %d secrets and %d graphs are read; want 1 or 2, and none", asked, reads)
		}
	})
}
