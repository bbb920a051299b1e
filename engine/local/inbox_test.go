package local_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/tappet-dev/tappet/engine"
	"github.com/tappet-dev/tappet/engine/enginetest"
	"github.com/tappet-dev/tappet/engine/local"
	"github.com/tappet-dev/tappet/engine/sqlite"
	"github.com/tappet-dev/tappet/sdk"
)

// A noted store notes what is committed together.
type noted struct {
	*sqlite.Store
	commits chan []engine.Entry
}

func (s *noted) Commit(ctx context.Context, e []engine.Entry) error {
	s.commits <- e
	return s.Store.Commit(ctx, e)
}

func newArrival(id engine.RunID) *engine.Arrival {
	body := []byte(`{"event":"task.completed","task":{"id":"T-1042","title":"Ship it","done":true}}`)
	return &engine.Arrival{
		ID: id, Graph: 1, At: time.Now(), Outcome: engine.ArrivalRun, Method: "POST", Path: "p", Remote: "192.0.2.1:1", Size: int64(len(body)),
		Header: sdk.Header{{Name: "Content-Type", Value: "application/json"}, {Name: "User-Agent", Value: "curl/8.5.0"}}, Body: body,
	}
}

// What came in costs no transaction, and so no sync, of its own.
func TestWhatCameInIsCommittedWithItsRun(t *testing.T) {
	t.Parallel()
	store, err := sqlite.Open(t.Context(), t.TempDir(), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	s := &noted{Store: store, commits: make(chan []engine.Entry, 16)}
	r := local.New(s, local.Options{Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	w := &instant{p: enginetest.Program(t, "- {id: a, set: 1}")}
	w.ended.Add(1)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Serve(ctx, w) }()
	ids := engine.RandomIDs{}
	run, arrival := ids.NewRun(), newArrival(ids.NewRun())
	if _, err := r.Accept(t.Context(), []engine.Acceptance{{Run: run, Graph: 1, Version: 1, At: time.Now(), Event: json.RawMessage("{}"), Arrival: arrival}}); err != nil {
		t.Fatal(err)
	}
	begin, receive := false, false
	for _, e := range <-s.commits {
		switch e := e.(type) {
		case *engine.Begin:
			begin = true
		case *engine.Receive:
			receive = e.Begin.Run.ID == run
		}
	}
	if !begin || !receive {
		t.Errorf("the first transaction has the run %t, what came in %t; want both", begin, receive)
	}
	if a, err := store.Arrival(t.Context(), arrival.ID); err != nil || a.Run != run {
		t.Errorf("kept %+v, %v", a, err)
	}
	w.ended.Wait()
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// BenchmarkArrival is BenchmarkRun of a run of one `set` step, with what came in
// and without.
func BenchmarkArrival(b *testing.B) {
	for name, with := range map[string]bool{"with": true, "without": false} {
		b.Run(name, func(b *testing.B) {
			store, err := sqlite.Open(b.Context(), b.TempDir(), sqlite.Options{})
			if err != nil {
				b.Fatal(err)
			}
			defer store.Close()
			r := local.New(store, local.Options{MaxOpen: 1 << 20, MaxGraph: 1 << 20, Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
			w := &instant{p: enginetest.Program(b, "- {id: a, set: 1}")}
			ctx, stop := context.WithCancel(context.Background())
			done := make(chan error, 1)
			go func() { done <- r.Serve(ctx, w) }()
			defer func() {
				stop()
				if err := <-done; err != nil {
					b.Error(err)
				}
			}()
			b.SetParallelism(32) // times GOMAXPROCS
			b.RunParallel(func(pb *testing.PB) {
				ids := engine.RandomIDs{}
				for pb.Next() {
					w.ended.Add(1)
					a := engine.Acceptance{Run: ids.NewRun(), Graph: 1, Version: 1, At: time.Now(), Event: json.RawMessage(`{"n":1}`)}
					if with {
						a.Arrival = newArrival(ids.NewRun())
					}
					if _, err := r.Accept(b.Context(), []engine.Acceptance{a}); err != nil {
						b.Error(err)
						return
					}
				}
			})
			w.ended.Wait()
		})
	}
}
