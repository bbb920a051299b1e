package local

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/tappet-dev/tappet/engine"
	"github.com/tappet-dev/tappet/engine/machine"
)

// perform carries out one effect and gives its outcome to the run.
func (x *run) perform(e *machine.Effect) {
	if x.r.parked.Load() {
		return // stopped: it is open, the next process sends it
	}
	if e.FailUnknown && !x.note(engine.Record{Kind: engine.RecordStarted, Path: e.Key, At: x.r.o.Clock.Now()}) {
		return
	}
	if n, ok := x.inDoubt(e.Key); ok &&
		!x.note(engine.Record{Kind: engine.RecordInDoubt, Path: machine.Key(fmt.Sprintf("%s?%d", e.Key, n)), At: x.r.o.Clock.Now()}) {
		return
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	c := &attempt{x: x, ctx: ctx, cancel: cancel, effect: e, began: x.r.o.Clock.Now()}
	if e.Timeout > 0 { // before others can see c
		var stop context.CancelFunc
		c.ctx, stop = context.WithTimeoutCause(ctx, e.Timeout, errTimedOut)
		defer stop()
		defer context.AfterFunc(c.ctx, c.grace)()
	}
	if !x.sent(c) {
		return
	}
	if ctx.Err() != nil { // withdrawn before it was sent
		c.settle(engine.Outcome{Err: &machine.Error{Kind: machine.KindCancelled}})
		return
	}
	c.settle(x.r.worker.Perform(c.ctx, engine.Job{Run: x.id, Graph: x.head.Graph, Version: x.head.Version, Effect: e}))
}

// An attempt is a call that is owed an outcome: the connector's, or ours when
// it doesn't end in time.
type attempt struct {
	x       *run
	ctx     context.Context // of the call that it stands for
	cancel  context.CancelCauseFunc
	effect  *machine.Effect
	began   time.Time
	settled atomic.Bool
}

// end cuts the call short.
func (c *attempt) end(cause error) {
	c.cancel(cause)
	c.grace()
}

// grace gives a call that was ended Grace to say what has become of it.
func (c *attempt) grace() {
	time.AfterFunc(c.x.r.o.Grace, func() {
		if c.settled.Load() || !c.x.r.enter() {
			return
		}
		defer c.x.r.active.Done()
		c.settle(engine.Outcome{Err: &machine.Error{Kind: machine.KindUnknown, Message: "the connector didn't end in time"}})
	})
}

// settle takes the first outcome; a later one is dropped.
func (c *attempt) settle(out engine.Outcome) {
	if !c.settled.CompareAndSwap(false, true) {
		drop(out)
		return
	}
	x := c.x
	x.mu.Lock()
	x.effects = slices.DeleteFunc(x.effects, func(e *attempt) bool { return e == c })
	x.mu.Unlock()
	if out, ok := judge(c.ctx, c.effect, out); ok {
		x.settle(c.effect, c.began, out)
	} else {
		drop(out)
	}
}

// drop lets go of what an outcome holds: it is durable, or won't be.
func drop(out engine.Outcome) {
	if out.Release != nil {
		out.Release()
	}
}

// sent notes a call under way; false when the run has ended meanwhile.
func (x *run) sent(c *attempt) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.ended {
		return false
	}
	x.effects = append(x.effects, c)
	switch {
	case x.cut[c.effect.Key]:
		c.cancel(errWithdrawn)
	case x.r.parked.Load():
		c.cancel(errParked)
	}
	return true
}

// inDoubt says whether a former process may have sent an effect, and gives the
// number of the note about it.
func (x *run) inDoubt(k machine.Key) (n int, ok bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	n, ok = x.doubts[k]
	delete(x.doubts, k)
	return n + 1, ok
}

// note writes a record that is no fact; false when it can't be written.
func (x *run) note(rec engine.Record) bool {
	x.mu.Lock()
	x.seq++
	t := x.r.commit.submit(true, &engine.Append{Run: x.id, Seq: x.seq, Record: rec})
	x.mu.Unlock()
	<-t.done
	return t.err == nil
}

// judge says what an outcome means when its context has ended: the reason of
// the ending outranks what the connector makes of it, but a success stays one.
// It is false for a call that was parked: the next process finds it in doubt.
func judge(ctx context.Context, e *machine.Effect, out engine.Outcome) (engine.Outcome, bool) {
	if out.Err == nil || ctx.Err() == nil {
		return out, true
	}
	cause := context.Cause(ctx)
	switch {
	case errors.Is(cause, errParked):
		return out, false
	case errors.Is(cause, errWithdrawn):
		out.Err = &machine.Error{Kind: machine.KindCancelled, Message: "the run was ended before the call had", Step: e.Step}
	default:
		out.Err = &machine.Error{
			Kind: machine.KindTimeout, Retryable: true, Step: e.Step,
			Message: fmt.Sprintf("the attempt took longer than its timeout of %s", e.Timeout), Data: out.Err.Data,
		}
	}
	return out, true
}
