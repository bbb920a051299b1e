package local

import (
	"context"
	"errors"
	"log/slog"
	"testing"

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
