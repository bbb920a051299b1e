package sdktest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/tappet-dev/tappet/sdk"
)

// A StreamTrial is a trial of a stream trigger.
type StreamTrial struct {
	// Config is one that works.
	Config json.RawMessage
	// Bad are configs that must be refused with kind invalid, beside those that
	// the kit makes from the schema.
	Bad []json.RawMessage
	// HTTP answers what the trigger asks; a reply that the trigger is to go on
	// listening to has Hold.
	HTTP    Cassette
	Secrets map[string]string
	// Provoke makes the n-th event happen, from 1; nil if HTTP does. It is called
	// once the stream runs, and again and again until the event has come.
	Provoke func(tb testing.TB, n int)
	// Events is how many events the trial waits for: 2 if it is less.
	Events int
}

// Stream runs a stream until it has emitted n events, takes it back, and gives
// the events; it fails tb if the stream then goes on for more than patience.
func Stream(tb testing.TB, t sdk.Trigger, h *Host, config json.RawMessage, n int, patience time.Duration) []sdk.Event {
	tb.Helper()
	ctx, cancel := context.WithCancel(tb.Context())
	defer cancel()
	var mu sync.Mutex
	var got []sdk.Event
	enough := make(chan struct{}, 1)
	emit := func(_ context.Context, _ sdk.Cursor, ev ...sdk.Event) error {
		mu.Lock()
		defer mu.Unlock()
		for _, e := range ev {
			got = append(got, sdk.Event{Key: e.Key, Data: bytes.Clone(e.Data)})
		}
		if len(got) >= n {
			signal(enough)
		}
		return nil
	}
	done := make(chan error, 1)
	go func() {
		defer h.Over()
		done <- t.Stream(ctx, h, sdk.StreamCall{Trigger: t.Name, Config: config}, emit)
	}()
	select {
	case <-enough:
	case err := <-done:
		tb.Fatalf("the stream ended by itself: %v", err)
	}
	cancel()
	select {
	case err := <-done:
		if err != nil && !errors.Is(err, context.Canceled) && sdk.KindOf(err) != sdk.Cancelled {
			tb.Errorf("the stream ended with %v, an error of kind cancelled is wanted", err)
		}
	case <-time.After(patience):
		tb.Fatalf("the stream goes on %s after it was taken back", patience)
	}
	mu.Lock()
	defer mu.Unlock()
	return got
}

// enough is how long the kit waits for what must happen.
const enough = 10 * time.Second

// errRefused is what a journal of the kit gives that refuses an event.
var errRefused = errors.New("the test's journal takes no more")

// A listener is one life of a stream, whose events it takes.
type listener struct {
	cancel context.CancelFunc
	done   chan error
	// came gets each event with the cursor that resumes after it.
	came chan landed
}

type landed struct {
	event  sdk.Event
	cursor sdk.Cursor
}

// listen starts a stream; take decides what becomes of each event.
func listen(t *testing.T, tr *sdk.Trigger, s StreamTrial, h *Host, at sdk.Cursor, take func(sdk.Event) error) *listener {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	l := &listener{cancel: cancel, done: make(chan error, 1), came: make(chan landed, 1024)}
	go func() {
		defer h.Over()
		err := tr.Stream(ctx, h, sdk.StreamCall{Trigger: tr.Name, Config: s.Config, Cursor: at},
			func(ctx context.Context, c sdk.Cursor, ev ...sdk.Event) error {
				for _, e := range ev {
					if err := errors.Join(ctx.Err(), take(e)); err != nil {
						return err
					}
				}
				for _, e := range ev {
					select {
					case l.came <- landed{sdk.Event{Key: e.Key, Data: bytes.Clone(e.Data)}, c}:
					case <-ctx.Done():
						return ctx.Err()
					}
				}
				return nil
			})
		h.inspect(err)
		l.done <- err
	}()
	return l
}

// next waits for an event, which it provokes.
func (l *listener) next(t *testing.T, s StreamTrial, n int) landed {
	t.Helper()
	again := time.NewTicker(250 * time.Millisecond)
	defer again.Stop()
	end := time.NewTimer(enough)
	defer end.Stop()
	for {
		if s.Provoke != nil {
			s.Provoke(t, n)
		}
		select {
		case e := <-l.came:
			return e
		case err := <-l.done:
			l.done <- err
			t.Fatalf("the stream ended by itself: %v", err)
		case <-again.C:
		case <-end.C:
			t.Fatalf("event %d hasn't come", n)
		}
	}
}

// stop takes the stream back and wants it to end with patience.
func (l *listener) stop(t *testing.T, patience time.Duration) {
	t.Helper()
	l.cancel()
	select {
	case err := <-l.done:
		if err != nil && !errors.Is(err, context.Canceled) && sdk.KindOf(err) != sdk.Cancelled {
			t.Errorf("the stream ended with %v, an error of kind cancelled is wanted", err)
		}
	case <-time.After(patience):
		t.Errorf("the stream goes on %s after it was taken back; it ended with %v", patience, <-l.done)
	}
}

func streams(t *testing.T, open func(testing.TB) sdk.Connector, name string, s StreamTrial, patience time.Duration) {
	t.Helper()
	tr := mustTrigger(t, open(t), name, sdk.KindStream)
	s.Events = max(s.Events, 2)
	host := func(t *testing.T) *Host {
		t.Helper()
		return NewHost(t, HostOptions{HTTP: s.HTTP, Secrets: s.Secrets})
	}
	take := func(sdk.Event) error { return nil }
	var first landed // its cursor is a place to resume from
	t.Run("events are keyed JSON that fits the schema", func(t *testing.T) {
		l := listen(t, tr, s, host(t), "", take)
		var got []sdk.Event
		for n := range s.Events {
			e := l.next(t, s, n+1)
			got = append(got, e.event)
			if n == 0 {
				first = e
			}
		}
		wantEvents(t, tr, got)
		l.stop(t, patience)
	})
	t.Run("a cursor resumes after its event", func(t *testing.T) {
		l := listen(t, tr, s, host(t), first.cursor, take)
		if e := l.next(t, s, s.Events+1); e.event.Key == first.event.Key {
			t.Errorf("the event %q comes again from the cursor %q", e.event.Key, e.cursor)
		}
		l.stop(t, patience)
	})
	t.Run("an event that was not taken comes again after a crash", func(t *testing.T) {
		var refused string
		l := listen(t, tr, s, host(t), first.cursor, func(e sdk.Event) error {
			if refused == "" {
				refused = e.Key
			}
			return errRefused
		})
		err := l.ended(t, s)
		if err == nil {
			t.Fatal("the stream ended without an error, though its event was refused")
		}
		l.cancel()
		l = listen(t, tr, s, host(t), first.cursor, take)
		for n := 0; ; n++ {
			if e := l.next(t, s, s.Events+2); e.event.Key == refused {
				break
			}
			if n > 1000 {
				t.Fatalf("the event %q does not come again", refused)
			}
		}
		l.stop(t, patience)
	})
	t.Run("an oversized event is an error of kind too_large, and the stream goes on anew", func(t *testing.T) {
		l := listen(t, tr, s, host(t), first.cursor, func(sdk.Event) error {
			return sdk.Errorf(sdk.TooLarge, "the test's journal takes no event of this size")
		})
		if err := l.ended(t, s); sdk.KindOf(err) != sdk.TooLarge {
			t.Errorf("%v, the error of kind too_large that emit gave is wanted", err)
		}
		l.cancel()
		l = listen(t, tr, s, host(t), first.cursor, take)
		l.next(t, s, s.Events+3)
		l.stop(t, patience)
	})
	t.Run("a slow journal is waited for, and can be left", func(t *testing.T) {
		var mu sync.Mutex
		inside := 0
		entered := make(chan struct{}, 1)
		hold := make(chan struct{})
		l := listen(t, tr, s, host(t), "", func(sdk.Event) error {
			mu.Lock()
			inside++
			mu.Unlock()
			signal(entered)
			<-hold
			return nil
		})
		l.wait(t, s, entered)
		l.cancel()
		close(hold)
		l.stop(t, patience)
		mu.Lock()
		defer mu.Unlock()
		if inside > 64 {
			t.Errorf("%d events were emitted before the first was taken", inside)
		}
	})
	t.Run("a config that does not fit is refused as invalid", func(t *testing.T) {
		for _, bad := range append(badConfigs(tr.Config, s.Config), s.Bad...) {
			h := host(t)
			b := s
			b.Config = bad
			l := listen(t, tr, b, h, "", take)
			select {
			case err := <-l.done:
				wantInvalid(t, bad, err)
			case e := <-l.came:
				t.Errorf("config %s: the stream gives the event %q", bad, e.event.Key)
			case <-time.After(enough):
				t.Errorf("config %s: the stream runs", bad)
			}
			l.cancel()
		}
	})
	t.Run("a refused request is an error of kind denied", func(t *testing.T) {
		if s.HTTP == nil {
			return
		}
		h := NewHost(t, HostOptions{Secrets: s.Secrets})
		l := listen(t, tr, s, h, "", take)
		defer l.cancel()
		if err := l.ended(t, s); sdk.KindOf(err) != sdk.Denied {
			t.Errorf("%v, an error of kind denied is wanted", err)
		}
	})
}

// ended waits for the stream's own end, and provokes events until then.
func (l *listener) ended(t *testing.T, s StreamTrial) error {
	t.Helper()
	over := make(chan struct{}, 1)
	var err error
	go func() {
		err = <-l.done
		signal(over)
	}()
	l.wait(t, s, over)
	return err
}

// wait waits for a signal, and provokes events until then.
func (l *listener) wait(t *testing.T, s StreamTrial, c <-chan struct{}) {
	t.Helper()
	again := time.NewTicker(250 * time.Millisecond)
	defer again.Stop()
	end := time.NewTimer(enough)
	defer end.Stop()
	for n := s.Events + 3; ; n++ {
		if s.Provoke != nil {
			s.Provoke(t, n)
		}
		select {
		case <-c:
			return
		case <-again.C:
		case <-end.C:
			t.Fatal("the stream neither emits nor ends")
		}
	}
}
