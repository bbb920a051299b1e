package local_test

import (
	"context"
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
		MaxOpen: o.MaxOpen, Grace: o.Grace, Drain: time.Millisecond,
		Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Serve(ctx, w) }()
	r.WaitServing()
	return enginetest.Life{
		Runner: r, Historian: r,
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
