package local_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"sync"
	"testing"

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

// BenchmarkRun is a durable run of one effect, accepted by 64 senders at once:
// what the committer, the machine and the store cost without HTTP.
func BenchmarkRun(b *testing.B) {
	store, err := sqlite.Open(b.Context(), b.TempDir(), sqlite.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer store.Close()
	r := local.New(store, local.Options{MaxOpen: 1 << 20, MaxGraph: 1 << 20, Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	w := &instant{p: enginetest.Program(b, `- {id: a, use: test.act, with: {n: "${{ trigger.n }}", text: "n is ${{ trigger.n }}"}}`)}
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
