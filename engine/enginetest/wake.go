package enginetest

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/tappet-dev/tappet/engine"
	"github.com/tappet-dev/tappet/engine/machine"
	"github.com/tappet-dev/tappet/engine/program"
)

// waker is the runner as one that can be woken; a runner doesn't have to be one.
func waker(t *testing.T, b *bench) engine.Waker {
	t.Helper()
	w, ok := b.Runner.(engine.Waker)
	if !ok {
		t.Skip("the runner is no engine.Waker")
	}
	return w
}

const longWait = "- {id: a, use: test.act, retry: {max_attempts: 2, initial_interval: 1h, max_interval: 1h, on: [unauthorized]}}\n"

// waitWoken: the wait for the next attempt ends at once for those that are
// picked, and a crash afterwards changes nothing.
func waitWoken(t *testing.T, b *bench) {
	b.version(1, longWait)
	var n atomic.Int32
	b.does(func(context.Context, engine.Job) engine.Outcome {
		if n.Add(1) == 1 {
			return failWith("unauthorized", false)
		}
		return engine.Outcome{}
	})
	b.start()
	w := waker(t, b)
	b.mustAccept(1)
	asked := false
	b.eventually(func() error {
		w.Wake(func(s *program.Step, why *machine.Error) bool {
			asked = asked || s.ID == "a" && why.Kind == "unauthorized"
			return false
		})
		if !asked {
			return &engine.Error{Kind: engine.Unavailable, Err: errors.New("nothing waits")}
		}
		return nil
	})
	b.wantSent("a")
	w.Wake(func(*program.Step, *machine.Error) bool { return true })
	b.wantEnd(machine.Succeeded, "")
	b.wantSent("a", "a#2")
	b.again()
	if run, _, err := b.Journal(t.Context(), RunID(1)); err != nil || run.State != machine.Succeeded {
		t.Errorf("run %+v, %v", run, err)
	}
}

// wokenUnderWay: an attempt that fails after a wake, for what was before it,
// doesn't wait.
func wokenUnderWay(t *testing.T, b *bench) {
	b.version(1, longWait)
	begun, fail := make(chan machine.Key, 2), make(chan struct{})
	b.does(func(_ context.Context, j engine.Job) engine.Outcome {
		begun <- j.Effect.Key
		if j.Effect.Attempt == 1 {
			<-fail
			return failWith("unauthorized", false)
		}
		return engine.Outcome{}
	})
	b.start()
	w := waker(t, b)
	b.mustAccept(1)
	await(t, begun, "the call")
	w.Wake(func(*program.Step, *machine.Error) bool { return true })
	close(fail)
	b.wantEnd(machine.Succeeded, "")
	b.wantSent("a", "a#2")
}
