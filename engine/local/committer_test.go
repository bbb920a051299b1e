package local

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tappet-dev/tappet/engine"
)

// A journal writes with a function.
type journal struct {
	engine.JournalStore
	commit func([]engine.Entry) error
}

func (j *journal) Commit(_ context.Context, e []engine.Entry) error { return j.commit(e) }

// A run's records are applied in their order: one that was written without the
// one before it would make another run of it.
func TestNothingIsWrittenBehindWhatWasGivenUp(t *testing.T) {
	t.Parallel()
	j := &journal{}
	c := newCommitter(j, slog.New(slog.DiscardHandler))
	ctx, stop := context.WithCancel(t.Context())
	broken := errors.New("broken disk")
	var second *ticket
	j.commit = func(e []engine.Entry) error {
		if second == nil { // the first: the process is stopped meanwhile, and the disk works again
			stop()
			second = c.submit(true, &engine.Append{Seq: 2})
			return broken
		}
		t.Errorf("written: %v", e)
		return nil
	}
	first := c.submit(true, &engine.Append{Seq: 1})
	c.run(ctx)
	for n, tk := range []*ticket{first, second, c.submit(true, &engine.Append{Seq: 3})} {
		<-tk.done
		if tk.err == nil {
			t.Errorf("record %d is told to be written", n+1)
		}
	}
}

// start has a committer run in a bubble; stop ends it, and may be called again.
func start(t *testing.T, commit func([]engine.Entry)) (c *committer, stop func()) {
	t.Helper()
	c = newCommitter(&journal{commit: func(e []engine.Entry) error { commit(e); return nil }}, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(t.Context())
	over := make(chan struct{})
	go func() { c.run(ctx); close(over) }()
	synctest.Wait()
	return c, func() { cancel(); <-over }
}

// What nobody waits for goes with what somebody waits for, and by itself when its
// patience is over or the process stops.
func TestPatience(t *testing.T) {
	t.Parallel()
	entry := func(n int) *engine.Append { return &engine.Append{Seq: n} }
	for name, tt := range map[string]struct {
		do   func(c *committer, stop func())
		want [][]int
		at   []time.Duration
	}{
		"by itself": {func(c *committer, _ func()) {
			c.submitThen(true, func(error) {}, entry(1))
			time.Sleep(patience / 2)
			c.submitThen(true, func(error) {}, entry(2))
		}, [][]int{{1, 2}}, []time.Duration{patience}},
		"with others": {func(c *committer, _ func()) {
			c.submitThen(true, func(error) {}, entry(1))
			time.Sleep(patience / 2)
			<-c.submit(true, entry(2)).done
			<-c.submit(true, entry(3)).done
		}, [][]int{{1, 2}, {3}}, []time.Duration{patience / 2, patience / 2}},
		"one that somebody waits for": {func(c *committer, _ func()) {
			c.submitThen(false, func(error) {}, entry(1))
		}, [][]int{{1}}, []time.Duration{0}},
		"at the end": {func(c *committer, stop func()) {
			c.submitThen(true, func(error) {}, entry(1))
			synctest.Wait()
			stop()
		}, [][]int{{1}}, []time.Duration{0}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				var got [][]int
				var at []time.Duration
				c, stop := start(t, func(e []engine.Entry) {
					var seqs []int
					for _, e := range e {
						seqs = append(seqs, e.(*engine.Append).Seq)
					}
					got, at = append(got, seqs), append(at, time.Since(began))
				})
				tt.do(c, stop)
				time.Sleep(time.Second)
				stop()
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Error(diff)
				}
				if diff := cmp.Diff(tt.at, at); diff != "" {
					t.Error(diff)
				}
			})
		})
	}
}

// A burst that nobody waits for is not let grow without end.
func TestPatienceHasABound(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		began, written := time.Now(), 0
		c, stop := start(t, func(e []engine.Entry) {
			if time.Since(began) == 0 {
				written += len(e)
			}
		})
		defer stop()
		c.submitThen(true, func(error) {}, &engine.Append{})
		synctest.Wait() // it lingers
		for range maxBatch {
			c.submitThen(true, func(error) {}, &engine.Append{})
		}
		synctest.Wait()
		if written < maxBatch/2 {
			t.Errorf("%d entries are written at once, at least %d are wanted", written, maxBatch/2)
		}
	})
}
