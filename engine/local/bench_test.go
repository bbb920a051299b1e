package local_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tappet-dev/tappet/engine"
	"github.com/tappet-dev/tappet/engine/enginetest"
	"github.com/tappet-dev/tappet/engine/local"
	"github.com/tappet-dev/tappet/engine/machine"
	"github.com/tappet-dev/tappet/engine/program"
	"github.com/tappet-dev/tappet/engine/sqlite"
)

// instant performs every action at once.
type instant struct {
	p     *program.Program
	ended sync.WaitGroup
}

func (w *instant) Program(context.Context, engine.GraphID, int) (*program.Program, error) {
	return w.p, nil
}

func (w *instant) Perform(context.Context, engine.Job) engine.Outcome {
	return engine.Outcome{Output: json.RawMessage(`{"status":200,"body":{"id":"e1","ok":true}}`)}
}

func (w *instant) Answer(engine.RunID, *machine.Answer) {}

func (w *instant) Ended(engine.RunID, *machine.End) { w.ended.Done() }

// newBench is a runner that serves an instant worker until the benchmark's end.
func newBench(b *testing.B) (*local.Runner, *instant) {
	b.Helper()
	store, err := sqlite.Open(b.Context(), b.TempDir(), sqlite.Options{})
	if err != nil {
		b.Fatal(err)
	}
	r := local.New(store, local.Options{MaxOpen: 1 << 20, MaxGraph: 1 << 20, Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	w := &instant{p: enginetest.Program(b, `- {id: a, use: test.act, with: {n: "${{ trigger.n }}", text: "n is ${{ trigger.n }}"}}`)}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Serve(ctx, w) }()
	b.Cleanup(func() {
		stop()
		if err := errors.Join(<-done, store.Close()); err != nil {
			b.Error(err)
		}
	})
	return r, w
}

// BenchmarkRun is a durable run of one effect, accepted by 64 senders at once:
// what the committer, the machine and the store cost without HTTP.
func BenchmarkRun(b *testing.B) {
	r, w := newBench(b)
	b.SetParallelism(32) // times GOMAXPROCS
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			w.ended.Add(1)
			_, err := r.Accept(b.Context(), []engine.Acceptance{{
				Run: engine.RandomIDs{}.NewRun(), Graph: 1, Version: 1, Event: json.RawMessage(`{"n":1}`), At: engine.SystemClock{}.Now(),
			}})
			if err != nil {
				b.Error(err)
				w.ended.Done()
			}
		}
	})
	w.ended.Wait()
}

// BenchmarkDuplicate is what de-duplication costs a run, accepted by 64 senders at
// once: with no key, with one that is new, and what an event costs whose key is
// known and that starts none.
func BenchmarkDuplicate(b *testing.B) {
	for _, kind := range []string{"none", "fresh", "known"} {
		b.Run(kind, func(b *testing.B) {
			r, w := newBench(b)
			var n, duplicates atomic.Int64
			accept := func() {
				now := engine.SystemClock{}.Now()
				a := engine.Acceptance{Run: engine.RandomIDs{}.NewRun(), Graph: 1, Version: 1, Event: json.RawMessage(`{"n":1}`), At: now}
				switch kind {
				case "fresh":
					a.Key, a.KeyUntil = fmt.Sprintf("webhook.webhook/%036d", n.Add(1)), now.Add(24*time.Hour)
				case "known":
					a.Key, a.KeyUntil = fmt.Sprintf("webhook.webhook/%036d", 0), now.Add(24*time.Hour)
				}
				w.ended.Add(1)
				acc, err := r.Accept(b.Context(), []engine.Acceptance{a})
				if err != nil {
					b.Error(err)
				}
				if err != nil || acc[0].Duplicate {
					duplicates.Add(1)
					w.ended.Done()
				}
			}
			if kind == "known" {
				accept()
			}
			b.SetParallelism(32) // times GOMAXPROCS
			b.ReportAllocs()
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					accept()
				}
			})
			w.ended.Wait()
			if got := duplicates.Load(); kind == "known" && got != int64(b.N) || kind != "known" && got != 0 {
				b.Errorf("%d of %d were duplicates", got, b.N)
			}
		})
	}
}
