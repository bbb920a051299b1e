package engine

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/tappet-dev/tappet/engine/program"
	"github.com/tappet-dev/tappet/sdk"
)

// A source is the loop of a poll or a stream of one active graph.
type source struct {
	e       *Engine
	b       *binding
	prog    *program.Program
	conn    Connector
	trigger *sdk.Trigger
}

// Between tries of a source that fails, unless it asks for more.
const (
	firstBackoff = time.Second
	lastBackoff  = 5 * time.Minute
	// acceptBatch is how many events of a poll become durable at a time.
	acceptBatch = 256
)

// run asks or listens until ctx ends.
func (s *source) run(ctx context.Context) {
	backoff := firstBackoff
	for ctx.Err() == nil {
		next, err := s.turn(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			next = max(backoff, retryAfter(err))
			backoff = min(2*backoff, lastBackoff)
			s.b.setFault(fmt.Sprintf("%s: %s (again in %s)", s.prog.Trigger.Use, clip(err.Error()), next))
			s.e.o.Log.Warn("a trigger failed", "graph", s.b.graph.Name, "trigger", s.prog.Trigger.Use, "error", err, "again_in", next)
		} else {
			backoff = firstBackoff
			s.b.setFault("")
		}
		timer := time.NewTimer(next)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
	}
}

func retryAfter(err error) time.Duration {
	var s *sdk.Error
	if errors.As(err, &s) {
		return s.RetryAfter
	}
	var x *Error
	if errors.As(err, &x) {
		return x.RetryAfter
	}
	return 0
}

// turn is one poll, or one life of a stream; next is how long to wait.
func (s *source) turn(ctx context.Context) (next time.Duration, err error) {
	defer func() {
		if p := recover(); p != nil {
			s.e.o.Log.Error("a connector panicked", "trigger", s.prog.Trigger.Use, "panic", p, "stack", string(debug.Stack()))
			err = sdk.Errorf(sdk.Panicked, "the connector panicked: %v", p)
		}
	}()
	mark, err := s.e.o.Versions.Mark(ctx, s.b.graph.ID, s.prog.Trigger.Use)
	if err != nil {
		return 0, err
	}
	if s.trigger.Kind == sdk.KindStream {
		return 0, s.stream(ctx, sdk.Cursor(mark))
	}
	return s.poll(ctx, sdk.Cursor(mark))
}

func (s *source) host(ctx context.Context) (sdk.Host, func()) {
	return s.e.o.Hosts.Host(ctx, HostCall{
		Connector: s.conn, Config: func() []byte { return s.prog.Trigger.Config }, Graph: s.b.graph.ID,
		Record: func(x Exchange) {
			s.e.o.Log.Debug("trigger request", "graph", s.b.graph.Name, "method", x.Method, "url", x.URL, "status", x.Status, "error", x.Error)
		},
	})
}

func (s *source) poll(ctx context.Context, from sdk.Cursor) (time.Duration, error) {
	if s.trigger.Poll == nil {
		return 0, sdk.Errorf(sdk.Unsupported, "the trigger %q has no function", s.trigger.Name)
	}
	call, cancel := context.WithTimeout(ctx, s.e.o.Limits.CallTimeout)
	host, done := s.host(call)
	batch, err := s.trigger.Poll(call, host, sdk.PollCall{Trigger: s.trigger.Name, Config: s.prog.Trigger.Config, Cursor: from})
	done()
	cancel()
	if err != nil {
		return 0, err
	}
	if err := s.accept(ctx, from, batch.Cursor, batch.Events); err != nil {
		return 0, err
	}
	every := s.prog.Trigger.Every
	if every == 0 {
		every = time.Duration(s.trigger.Every)
	}
	if every == 0 {
		every = time.Minute
	}
	if !batch.Next.IsZero() {
		every = batch.Next.Sub(s.e.o.Clock.Now())
		if s.conn.Origin == builtin {
			return max(every, 0), nil // a schedule may be exact
		}
	}
	return max(every, s.e.o.Limits.MinEvery), nil
}

func (s *source) stream(ctx context.Context, from sdk.Cursor) error {
	if s.trigger.Stream == nil {
		return sdk.Errorf(sdk.Unsupported, "the trigger %q has no function", s.trigger.Name)
	}
	host, done := s.host(ctx)
	defer done()
	at := from
	err := s.trigger.Stream(ctx, host, sdk.StreamCall{Trigger: s.trigger.Name, Config: s.prog.Trigger.Config, Cursor: from},
		func(emitCtx context.Context, c sdk.Cursor, events ...sdk.Event) error {
			if err := emitCtx.Err(); err != nil {
				return err
			}
			if err := s.accept(ctx, at, c, events); err != nil {
				return sdk.Errorf(sdk.Unavailable, "the events weren't accepted: %w", err)
			}
			at = c
			return nil
		})
	if err == nil {
		err = sdk.Errorf(sdk.Unavailable, "the stream ended")
	}
	return err
}

// accept makes events durable, and the cursor together with the last of them.
// What was OFF before an event was accepted drops it: its key and the cursor
// aren't stored, so that it comes again when the graph is ON.
func (s *source) accept(ctx context.Context, from, to sdk.Cursor, events []sdk.Event) error {
	mark := &Mark{Graph: s.b.graph.ID, Trigger: s.prog.Trigger.Use, Cursor: string(to)}
	if to == from {
		mark = nil
	}
	for start := 0; start < len(events) || mark != nil; start += acceptBatch {
		chunk := events[min(start, len(events)):min(start+acceptBatch, len(events))]
		as := make([]Acceptance, 0, len(chunk)+1)
		now := s.e.now()
		for _, ev := range chunk {
			if err := s.e.checkEvent(s.conn, ev.Data); err != nil {
				return err
			}
			as = append(as, Acceptance{
				Run: s.e.o.IDs.NewRun(), Graph: s.b.graph.ID, Version: s.b.version,
				Key: eventKey(s.trigger, s.conn, ev.Key), Event: ev.Data, At: now,
			})
		}
		if start+acceptBatch >= len(events) && mark != nil {
			as = append(as, Acceptance{Mark: mark})
			mark = nil
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if len(as) == 0 {
			return nil
		}
		if _, err := s.e.o.Runner.Accept(ctx, as); err != nil {
			return err
		}
	}
	return nil
}
