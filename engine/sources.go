package engine

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"runtime/debug"
	"sync"
	"time"

	"github.com/tappet-dev/tappet/engine/program"
	"github.com/tappet-dev/tappet/sdk"
	"github.com/tappet-dev/tappet/sdk/cron"
)

// A source is the loop of a poll or a stream of one active graph.
type source struct {
	e       *Engine
	b       *binding
	prog    *program.Program
	conn    Connector
	trigger *sdk.Trigger
	// hide has the secrets that the trigger got.
	hide mask
}

// Between tries of a source that fails, unless it asks for more.
const (
	firstBackoff = time.Second
	lastBackoff  = 5 * time.Minute
	// acceptBatch is how many events of a poll become durable at a time.
	acceptBatch = 256
	// steady is how long a stream must have run to be taken for one that works.
	steady = 30 * time.Second
	// glance is how often who waits for a moment looks at the clock, which may
	// have been set.
	glance = time.Minute
	// setBack is how far a clock must go back to be taken for one that was set.
	setBack = time.Second
)

// A pause is what lies between two turns: a time to wait, or a moment to wait
// for when it isn't zero.
type pause struct {
	wait  time.Duration
	until time.Time
}

// run asks or listens until ctx ends. A poll that has times of its own waits
// for the first of them; any other is asked at once.
func (s *source) run(ctx context.Context) {
	times, err := s.times()
	if err != nil {
		s.b.setFault(err.Error())
		return
	}
	if times != nil && !s.sleep(ctx, pause{until: times.Next(s.e.o.Clock.Now())}, times) {
		return
	}
	backoff := firstBackoff
	for ctx.Err() == nil {
		began := time.Now()
		next, err := s.turn(ctx, times)
		err = s.hide.error(err)
		if ctx.Err() != nil {
			return
		}
		if err == nil || s.trigger.Kind == sdk.KindStream && time.Since(began) >= steady {
			backoff = firstBackoff
		}
		if err != nil {
			next = pause{wait: s.spread(max(backoff, retryAfter(err)))}
			backoff = min(2*backoff, lastBackoff)
			s.b.setFault(fmt.Sprintf("%s: %s (again in %s)", s.prog.Trigger.Use, clip(err.Error()), next.wait.Round(time.Millisecond)))
			s.e.o.Log.Warn("a trigger failed", "graph", s.b.graph.Name, "trigger", s.prog.Trigger.Use, "error", err, "again_in", next.wait)
		} else {
			s.b.setFault("")
		}
		if !s.sleep(ctx, next, times) {
			return
		}
	}
}

// times are those of the graph's cron expression; nil when it has none.
func (s *source) times() (*cron.Times, error) {
	t := &s.prog.Trigger
	if t.Cron == "" {
		return nil, nil
	}
	times, err := cron.Parse(t.Cron, t.TimeZone)
	if err != nil {
		return nil, fmt.Errorf("trigger.cron: %w", err)
	}
	return &times, nil
}

// sleep says whether the pause has passed; if not, ctx has ended. A pause until a
// moment ends when the clock is set back, lest a clock that was a year ahead is
// waited for: whoever is asked early says anew when to ask again, and what has
// fired is known by its key. A poll with times of its own waits for the next of
// them.
func (s *source) sleep(ctx context.Context, p pause, times *cron.Times) bool {
	last := s.wall()
	for {
		wait := p.wait
		if !p.until.IsZero() {
			now := s.wall()
			if now.Before(last.Add(-setBack)) {
				if times == nil {
					return ctx.Err() == nil
				}
				p.until = times.Next(now)
			}
			last = now
			if wait = p.until.Sub(now); wait <= 0 {
				return ctx.Err() == nil
			}
			wait = min(wait, glance)
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
			if p.until.IsZero() {
				return true
			}
		case <-ctx.Done():
			timer.Stop()
			return false
		}
	}
}

// wall is what the clock shows; a difference of two of these knows of its being
// set.
func (s *source) wall() time.Time { return s.e.o.Clock.Now().Round(0) }

// spread moves an interval by up to a tenth, by the same part for each of the
// graph's, so that graphs that began together don't ask together.
func (s *source) spread(d time.Duration) time.Duration {
	h := fnv.New64a()
	fmt.Fprintf(h, "%d %s", s.b.graph.ID, s.prog.Trigger.Use)
	return d - d/10 + time.Duration(float64(d/5)*float64(h.Sum64()>>11)/(1<<53))
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

// turn is one poll, or one life of a stream; next is what it is to wait for.
func (s *source) turn(ctx context.Context, times *cron.Times) (next pause, err error) {
	defer func() {
		if p := recover(); p != nil {
			s.e.o.Log.Error("a connector panicked", "trigger", s.prog.Trigger.Use, "panic", s.hide.value(p), "stack", string(debug.Stack()))
			err = sdk.Errorf(sdk.Panicked, "the connector panicked: %v", p)
		}
	}()
	mark, err := s.e.o.Versions.Mark(ctx, s.b.graph.ID, s.prog.Trigger.Use)
	if err != nil {
		return pause{}, err
	}
	if s.trigger.Kind == sdk.KindStream {
		return pause{}, s.stream(ctx, sdk.Cursor(mark))
	}
	return s.poll(ctx, sdk.Cursor(mark), times)
}

func (s *source) host(ctx context.Context) (sdk.Host, func()) {
	return s.e.o.Hosts.Host(ctx, HostCall{
		Connector: s.conn, Config: func() []byte { return s.prog.Trigger.Config }, Graph: s.b.graph.ID,
		Connection: s.prog.Trigger.Connection, Conceal: s.hide.conceal,
		State:  triggerState{s.e.o.Versions, s.b.graph.ID, s.prog.Trigger.Use},
		Secret: func(ctx context.Context, name string) (string, error) { return s.e.noted(ctx, &s.hide, name) }, Hide: s.hide.value,
		Record: func(x Exchange) {
			s.hide.exchange(&x)
			s.e.o.Log.Debug("trigger request", "graph", s.b.graph.Name, "method", x.Method, "url", x.URL, "status", x.Status, "error", x.Error)
		},
	})
}

func (s *source) poll(ctx context.Context, from sdk.Cursor, times *cron.Times) (pause, error) {
	if s.trigger.Poll == nil {
		return pause{}, sdk.Errorf(sdk.Unsupported, "the trigger %q has no function", s.trigger.Name)
	}
	call, cancel := context.WithTimeout(ctx, s.e.o.Limits.CallTimeout)
	host, done := s.host(call)
	batch, err := s.trigger.Poll(call, host, sdk.PollCall{Trigger: s.trigger.Name, Config: s.prog.Trigger.Config, Cursor: from})
	done()
	cancel()
	if err != nil {
		return pause{}, err
	}
	if err := s.accept(ctx, from, batch.Cursor, batch.Events); err != nil {
		return pause{}, err
	}
	now, least := s.e.o.Clock.Now(), s.e.o.Limits.MinEvery
	switch {
	case !batch.Next.IsZero() && s.conn.Origin == builtin:
		return pause{until: batch.Next}, nil // a schedule may be exact
	case !batch.Next.IsZero():
		return pause{until: latest(batch.Next, now.Add(least))}, nil
	case times != nil:
		return pause{until: latest(times.Next(now), now.Add(least))}, nil
	}
	every := s.prog.Trigger.Every
	if every == 0 {
		every = time.Duration(s.trigger.Every)
	}
	if every == 0 {
		every = time.Minute
	}
	return pause{wait: max(s.spread(every), least)}, nil
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func (s *source) stream(ctx context.Context, from sdk.Cursor) error {
	if s.trigger.Stream == nil {
		return sdk.Errorf(sdk.Unsupported, "the trigger %q has no function", s.trigger.Name)
	}
	host, done := s.host(ctx)
	defer done()
	// A stream that stays up is taken for healthy although nothing happens.
	well := time.AfterFunc(steady, func() { s.b.setFault("") })
	defer well.Stop()
	var mu sync.Mutex // cursors become durable in the order in which they were given
	at := from
	err := s.trigger.Stream(ctx, host, sdk.StreamCall{Trigger: s.trigger.Name, Config: s.prog.Trigger.Config, Cursor: from},
		func(emitCtx context.Context, c sdk.Cursor, events ...sdk.Event) error {
			mu.Lock()
			defer mu.Unlock()
			if err := emitCtx.Err(); err != nil {
				return err
			}
			if err := s.accept(ctx, at, c, events); err != nil {
				return sdk.Errorf(sdk.Unavailable, "the events weren't accepted: %w", err)
			}
			at = c
			s.b.setFault("")
			return nil
		})
	if err == nil {
		err = sdk.Errorf(sdk.Unavailable, "the stream ended")
	}
	return err
}

// accept makes events durable, and the cursor together with the last of them:
// whoever is killed, what the cursor has passed is in the journal.
// What was OFF before an event was accepted drops it: its key and the cursor
// aren't stored, so that it comes again when the graph is ON.
func (s *source) accept(ctx context.Context, from, to sdk.Cursor, events []sdk.Event) error {
	mark := &Mark{Graph: s.b.graph.ID, Trigger: s.prog.Trigger.Use, Cursor: string(to)}
	if to == from {
		mark = nil
	}
	if cursorFirst && mark != nil {
		if _, err := s.e.o.Runner.Accept(ctx, []Acceptance{{Mark: mark}}); err != nil {
			return err
		}
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
			ev.Data = s.hide.json(ev.Data) // what it asks may repeat what it was asked with
			a := Acceptance{Run: s.e.o.IDs.NewRun(), Graph: s.b.graph.ID, Version: s.b.version, At: now, Unawaited: true}
			pass, err := s.e.sift(s.prog, s.conn, s.trigger, ev, &a)
			if err != nil {
				// The source goes on: this event would hold up all that follow.
				s.e.o.Log.Warn("an event starts no run: the graph's filter or key can't be computed", "graph", s.b.graph.Name, "key", ev.Key, "error", s.hide.error(err))
			}
			if !pass {
				a = Acceptance{Arrival: s.e.sieved(s.b.graph.ID, ev, now, err)}
			}
			if pass || a.Arrival != nil {
				as = append(as, a)
			}
		}
		if start+acceptBatch >= len(events) && mark != nil {
			as = append(as, Acceptance{Mark: mark})
			mark = nil
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if len(as) == 0 {
			continue
		}
		if _, err := s.e.o.Runner.Accept(ctx, as); err != nil {
			return err
		}
	}
	return nil
}
