package local_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tappet-dev/tappet/engine"
	"github.com/tappet-dev/tappet/engine/enginetest"
	"github.com/tappet-dev/tappet/engine/local"
	"github.com/tappet-dev/tappet/engine/machine"
	"github.com/tappet-dev/tappet/engine/program"
	"github.com/tappet-dev/tappet/engine/sqlite"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A disk is a store that can fail, and that a dead process can't write to.
type disk struct {
	*sqlite.Store
	fault atomic.Pointer[error]
	// commits counts transactions.
	commits atomic.Int64
}

func (d *disk) Commit(ctx context.Context, e []engine.Entry) error {
	if err := d.fault.Load(); err != nil {
		return *err
	}
	d.commits.Add(1)
	return d.Store.Commit(ctx, e)
}

type dead struct{}

func (dead) Error() string { return "the process is dead" }

func open(t testing.TB, dir string, w engine.Worker, o enginetest.RunnerOptions) enginetest.Life {
	t.Helper()
	s, err := sqlite.Open(context.Background(), dir, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	d := &disk{Store: s}
	r := local.New(d, local.Options{
		MaxOpen: o.MaxOpen, MaxGraph: o.MaxGraph, Grace: o.Grace, Drain: time.Millisecond,
		Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Serve(ctx, w) }()
	r.WaitServing()
	return enginetest.Life{
		Runner: r, Historian: r, Files: s,
		Crash: sync.OnceFunc(func() {
			var err error = dead{}
			d.fault.Store(&err)
			stop()
			if err := <-done; err != nil {
				t.Error(err)
			}
			_ = s.Close()
		}),
		Fault: func(err error) {
			if err == nil {
				d.fault.Store(nil)
				return
			}
			d.fault.Store(&err)
		},
	}
}

func TestRunner(t *testing.T) {
	t.Parallel()
	enginetest.RunRunner(t, open)
}

// A shyDisk can't list open runs the first time.
type shyDisk struct {
	*sqlite.Store
	asked atomic.Bool
}

func (d *shyDisk) Open(ctx context.Context, after engine.RunID, n int) ([]engine.RunID, error) {
	if !d.asked.Swap(true) {
		return nil, errors.New("too many open files")
	}
	return d.Store.Open(ctx, after, n)
}

// A worker knows one program, and tells of ends.
type worker struct {
	program *program.Program
	ended   chan engine.RunID
}

func (w worker) Program(context.Context, engine.GraphID, int) (*program.Program, error) {
	return w.program, nil
}
func (worker) Perform(context.Context, engine.Job) engine.Outcome { return engine.Outcome{} }
func (worker) Answer(engine.RunID, *machine.Answer)               {}
func (w worker) Ended(id engine.RunID, _ *machine.End)            { w.ended <- id }

// What was acknowledged is taken up though the store couldn't be read at once.
func TestUnfinishedRunsAreAskedForAgain(t *testing.T) {
	t.Parallel()
	s, err := sqlite.Open(t.Context(), t.TempDir(), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	left := enginetest.NewRun(1)
	if err := s.Commit(t.Context(), []engine.Entry{&engine.Begin{Run: left}}); err != nil {
		t.Fatal(err)
	}
	w := worker{enginetest.Program(t, "- {id: a, use: test.act}\n"), make(chan engine.RunID, 1)}
	r := local.New(&shyDisk{Store: s}, local.Options{Log: slog.New(slog.DiscardHandler)})
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	served := make(chan error, 1)
	go func() { served <- r.Serve(ctx, w) }()
	select {
	case <-w.ended:
	case <-ctx.Done():
		t.Error("the run isn't taken up")
	}
	stop()
	if err := <-served; err != nil {
		t.Error(err)
	}
}
