package governor

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tappet-dev/tappet/sdk"
)

func key() Key { return Key{"api.example.com", 443} }

func mustRules(t testing.TB, entries ...string) Rules {
	t.Helper()
	r, err := ParseRules(entries)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func mustAcquire(t testing.TB, g *Governor, k Key) Slot {
	t.Helper()
	s, err := g.Acquire(t.Context(), k, 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// answer makes header fields of pairs of name and value.
func answer(pairs ...string) http.Header {
	h := http.Header{}
	for i := 0; i < len(pairs); i += 2 {
		h.Set(pairs[i], pairs[i+1])
	}
	return h
}

// wantError checks kind and RetryAfter, and that the text says so.
func wantError(t testing.TB, err error, kind sdk.Kind, after time.Duration, says string) {
	t.Helper()
	var e *sdk.Error
	if !errors.As(err, &e) || e.Kind != kind || e.RetryAfter != after || !strings.Contains(err.Error(), says) {
		t.Errorf("%+v, want kind %s, retry after %s, saying %q", err, kind, after, says)
	}
}

// wantText checks that an error says all of says.
func wantText(t testing.TB, what string, err error, says ...string) {
	t.Helper()
	for _, s := range says {
		if err == nil || !strings.Contains(err.Error(), s) {
			t.Errorf("%q: %v, want it to say %q", what, err, s)
		}
	}
}

func TestConcurrencyIsAHostsOwn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := New(Limits{Concurrency: 2}, nil)
		first, second := mustAcquire(t, g, key()), mustAcquire(t, g, key())
		got := make(chan Slot)
		var why []Why
		go func() {
			s, err := g.Acquire(t.Context(), key(), 1, func(w Why) { why = append(why, w) })
			if err != nil {
				t.Error(err)
			}
			got <- s
		}()
		synctest.Wait()
		other := mustAcquire(t, g, Key{"other.example.com", 443})
		if other.Waited != 0 {
			t.Errorf("another host's call waited %s", other.Waited)
		}
		other.Done("")
		v := g.Hosts()
		if len(v) != 1 || v[0].Active != 2 || v[0].Waiting != 1 || v[0].Groups != 1 || v[0].Why != Concurrency {
			t.Errorf("hosts %+v", v)
		}
		time.Sleep(3 * time.Second)
		first.Done("")
		s := <-got
		if s.Waited != 3*time.Second || s.Why != Concurrency || !cmp.Equal(why, []Why{Concurrency}) {
			t.Errorf("waited %s for %s, told %v", s.Waited, s.Why, why)
		}
		s.Done("")
		second.Done("")
		if v := g.Hosts(); len(v) != 0 {
			t.Errorf("idle hosts are kept: %+v", v)
		}
	})
}

// One group's thousands of waiting calls don't delay another group's one call
// by more than a turn.
func TestGroupsTakeTurns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := New(Limits{Concurrency: 1}, nil)
		held := mustAcquire(t, g, key())
		var mu sync.Mutex
		var order []int64
		var all sync.WaitGroup
		call := func(group int64) {
			all.Add(1)
			go func() {
				defer all.Done()
				s, err := g.Acquire(t.Context(), key(), group, nil)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				order = append(order, group)
				mu.Unlock()
				s.Done("")
			}()
			synctest.Wait()
		}
		for range 1000 {
			call(7)
		}
		call(8)
		call(9)
		call(8)
		held.Done("")
		all.Wait()
		if got := order[:6]; !cmp.Equal(got, []int64{7, 8, 9, 7, 8, 7}) || len(order) != 1003 {
			t.Errorf("turns %v of %d", got, len(order))
		}
	})
}

func TestRate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := New(Limits{}, mustRules(t, "api.example.com=rate:10/s,burst:3"))
		start := time.Now()
		var at []time.Duration
		for range 6 {
			s := mustAcquire(t, g, key())
			at = append(at, time.Since(start))
			if s.Waited > 0 && s.Why != Rate {
				t.Errorf("waited for %s", s.Why)
			}
			s.Done("")
		}
		const ms = time.Millisecond
		if diff := cmp.Diff([]time.Duration{0, 0, 0, 100 * ms, 200 * ms, 300 * ms}, at); diff != "" {
			t.Error(diff)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 50*ms)
		defer cancel()
		_, err := g.Acquire(ctx, key(), 1, nil)
		wantError(t, err, sdk.RateLimited, 100*ms, "too late")
		time.Sleep(time.Minute) // a rate that isn't used isn't saved up
		at = nil
		for range 4 {
			s := mustAcquire(t, g, key())
			at = append(at, s.Waited)
			s.Done("")
		}
		if diff := cmp.Diff([]time.Duration{0, 0, 0, 100 * ms}, at); diff != "" {
			t.Error(diff)
		}
	})
}

// What can't begin in time fails at once, also when a whole line is before it.
func TestALineThatIsTooLongFailsAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := New(Limits{}, mustRules(t, "*=rate:1/s"))
		ctx, cancel := context.WithTimeout(t.Context(), 10500*time.Millisecond)
		defer cancel()
		var all sync.WaitGroup
		var mu sync.Mutex
		began, refused := 0, 0
		start := time.Now()
		for range 100 {
			all.Go(func() {
				s, err := g.Acquire(ctx, key(), 1, nil)
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					began++
					s.Done("")
				} else if refused++; time.Since(start) != 0 || sdk.KindOf(err) != sdk.RateLimited {
					t.Errorf("after %s: %v", time.Since(start), err)
				}
			})
		}
		all.Wait()
		if began != 11 || refused != 89 {
			t.Errorf("%d began, %d were refused", began, refused)
		}
	})
}

func TestRetryAfterHoldsLaterCallsBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := New(Limits{Concurrency: 1, Pause: time.Hour}, nil)
		s := mustAcquire(t, g, key())
		soon, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		refused := make(chan error, 1)
		go func() {
			_, err := g.Acquire(soon, key(), 2, nil)
			refused <- err
		}()
		got := make(chan Slot, 1)
		var why []Why
		go func() {
			s, err := g.Acquire(t.Context(), key(), 1, func(w Why) { why = append(why, w) })
			if err != nil {
				t.Error(err)
			}
			got <- s
		}()
		synctest.Wait()
		s.Answered(429, answer("Retry-After", "30"))
		s.Done("")
		wantError(t, <-refused, sdk.RateLimited, 30*time.Second, "asked to be left alone until")
		_, err := g.Acquire(soon, key(), 2, nil)
		wantError(t, err, sdk.RateLimited, 30*time.Second, "too late for this call")
		later := <-got
		if later.Waited != 30*time.Second || later.Why != RetryAfter || !cmp.Equal(why, []Why{Concurrency, RetryAfter}) {
			t.Errorf("waited %s for %s, told %v", later.Waited, later.Why, why)
		}
		later.Answered(503, answer("Retry-After", "86400"))
		later.Done("503 Service Unavailable")
		_, err = g.Acquire(t.Context(), key(), 1, nil)
		wantError(t, err, sdk.RateLimited, time.Hour, "asked to be left alone until") // no host decides on more
	})
}

func TestQuotasAreKept(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := New(Limits{}, nil)
		s := mustAcquire(t, g, key())
		s.Answered(200, answer("RateLimit", `"default";r=2;t=60`))
		s.Done("")
		for i, want := range []time.Duration{0, 0, time.Minute} {
			s := mustAcquire(t, g, key())
			if s.Waited != want || want > 0 && s.Why != Quota {
				t.Errorf("call %d waited %s for %q, want %s", i, s.Waited, s.Why, want)
			}
			s.Done("")
		}
		g = New(Limits{}, mustRules(t, "api.example.com=headers:ignore"))
		s = mustAcquire(t, g, key())
		s.Answered(429, answer("RateLimit", `"default";r=0;t=60`, "Retry-After", "60"))
		s.Done("")
		if s := mustAcquire(t, g, key()); s.Waited != 0 {
			t.Errorf("headers that are to be ignored let a call wait %s", s.Waited)
		}
	})
}

func TestBreaker(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := New(Limits{Failures: 3, Open: time.Second, OpenMost: 3 * time.Second}, nil)
		fail := func() {
			t.Helper()
			s := mustAcquire(t, g, key())
			s.Done("connection refused")
		}
		fail()
		fail()
		s := mustAcquire(t, g, key())
		s.Answered(404, answer())
		s.Done("")
		fail()
		fail()
		stale := mustAcquire(t, g, key())
		if v := g.Hosts(); v[0].State != Closed || v[0].Failures != 2 {
			t.Errorf("before: %+v", v)
		}
		fail()
		_, err := g.Acquire(t.Context(), key(), 1, nil)
		wantError(t, err, sdk.Unavailable, time.Second, "3 calls in a row have failed, the last at 2000-01-01T00:00:00Z (connection refused)")
		v := g.Hosts()
		if v[0].State != Open || v[0].Fault != "connection refused" || !v[0].Until.Equal(time.Now().Add(time.Second)) {
			t.Errorf("open: %+v", v)
		}
		for _, wait := range []time.Duration{2 * time.Second, 3 * time.Second, 3 * time.Second} {
			time.Sleep(time.Until(g.Hosts()[0].Until))
			probe := mustAcquire(t, g, key())
			if v := g.Hosts(); v[0].State != HalfOpen || v[0].Why != Probe {
				t.Errorf("probing: %+v", v)
			}
			stale.Done("too late to say anything")
			stale = Slot{}
			waits := make(chan error, 1)
			go func() {
				_, err := g.Acquire(t.Context(), key(), 1, nil)
				waits <- err
			}()
			synctest.Wait()
			probe.Done("timeout")
			wantError(t, <-waits, sdk.Unavailable, wait, "timeout")
		}
		time.Sleep(3 * time.Second)
		given := mustAcquire(t, g, key())
		given.Done("") // taken back before it was answered: it says nothing
		probe := mustAcquire(t, g, key())
		got := make(chan Slot, 5)
		for range 5 {
			go func() {
				s, err := g.Acquire(t.Context(), key(), 1, nil)
				if err != nil {
					t.Error(err)
				}
				got <- s
			}()
		}
		time.Sleep(time.Second)
		probe.Answered(200, answer())
		for range 5 {
			if s := <-got; s.Why != Probe || s.Waited != time.Second {
				t.Errorf("waited %s for %s", s.Waited, s.Why)
			}
		}
		if v := g.Hosts(); v[0].State != Closed || v[0].Active != 6 || v[0].Failures != 0 {
			t.Errorf("after: %+v", v)
		}
	})
}

func TestWaitsEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := New(Limits{Concurrency: 1, Waiting: 3, Wait: time.Minute}, nil)
		s := mustAcquire(t, g, key())
		ctx, cancel := context.WithCancel(t.Context())
		soon, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		errs := make(chan error, 3)
		for _, ctx := range []context.Context{t.Context(), ctx, soon} {
			go func() {
				_, err := g.Acquire(ctx, key(), 1, nil)
				errs <- err
			}()
		}
		synctest.Wait()
		_, err := g.Acquire(t.Context(), key(), 1, nil)
		wantError(t, err, sdk.RateLimited, time.Second, "3 calls wait for api.example.com:443, the most that may (limits.host_waiting)")
		cancel()
		wantError(t, <-errs, sdk.Cancelled, 0, "canceled")
		wantError(t, <-errs, sdk.Timeout, 0, "deadline")
		wantError(t, <-errs, sdk.RateLimited, time.Second, "it has waited for 1m0s to call api.example.com:443 (concurrency), which is its limit (limits.host_wait)")
		_, err = g.Acquire(ctx, key(), 1, nil)
		wantError(t, err, sdk.Cancelled, 0, "canceled")
		if v := g.Hosts(); v[0].Waiting != 0 || v[0].Active != 1 {
			t.Errorf("%+v", v)
		}
		s.Done("")
		s.Done("") // more than once does nothing
		again := mustAcquire(t, g, key())
		if v := g.Hosts(); v[0].Active != 1 {
			t.Errorf("%+v", v)
		}
		again.Done("")
	})
}

// Whatever is cancelled, granted and given back at the same time, no place is
// lost, and never are more taken than there are.
func TestNoPlaceIsLost(t *testing.T) {
	t.Parallel()
	g := New(Limits{Concurrency: 3}, nil)
	var all sync.WaitGroup
	var mu sync.Mutex
	active, most := 0, 0
	for i := range 64 {
		all.Go(func() {
			for n := range 200 {
				ctx, cancel := context.WithCancel(t.Context())
				if (i+n)%3 == 0 {
					go cancel()
				}
				s, err := g.Acquire(ctx, key(), int64(i%5), nil)
				if err == nil {
					mu.Lock()
					active++
					most = max(most, active)
					mu.Unlock()
					runtime.Gosched()
					mu.Lock()
					active--
					mu.Unlock()
					s.Done("")
				} else if sdk.KindOf(err) != sdk.Cancelled {
					t.Error(err)
				}
				cancel()
			}
		})
	}
	all.Wait()
	if most > 3 {
		t.Errorf("%d calls at a time, 3 may be", most)
	}
	if v := g.Hosts(); len(v) != 0 {
		t.Errorf("places were lost: %+v", v)
	}
}

func TestIdleHostsAreDropped(t *testing.T) {
	t.Parallel()
	g := New(Limits{}, nil)
	busy := mustAcquire(t, g, key())
	for i := range 10_000 {
		s := mustAcquire(t, g, Key{fmt.Sprintf("h%d.example.com", i), 443})
		s.Answered(200, answer())
		s.Done("")
	}
	if n := len(g.hosts); n > 2*minSweep {
		t.Errorf("%d hosts are remembered", n)
	}
	if v := g.Hosts(); len(v) != 1 || v[0].Key != key() {
		t.Errorf("%+v, want the busy one", v)
	}
	busy.Done("")
}

// 10,000 waiting calls take less than 2 KiB of the heap each, the runtime's own
// record of a goroutine included.
func TestWaitingIsCheap(t *testing.T) {
	const n = 10_000
	g := New(Limits{Concurrency: 1, Wait: time.Hour}, nil)
	s := mustAcquire(t, g, key())
	ctx, cancel := context.WithCancel(t.Context())
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var all sync.WaitGroup
	for range n {
		all.Go(func() {
			if _, err := g.Acquire(ctx, key(), 1, nil); sdk.KindOf(err) != sdk.Cancelled {
				t.Error(err)
			}
		})
	}
	for g.Hosts()[0].Waiting < n {
		runtime.Gosched()
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if each := (int64(after.HeapAlloc) - int64(before.HeapAlloc)) / n; each > 2048 {
		t.Errorf("a waiting call takes %d bytes of the heap", each)
	} else {
		t.Logf("a waiting call takes %d bytes of the heap, its stack aside", each)
	}
	cancel()
	all.Wait()
	s.Done("")
}

func TestKeys(t *testing.T) {
	t.Parallel()
	for k, want := range map[Key]string{{"a.example", 80}: "a.example:80", {"::1", 443}: "[::1]:443"} {
		if got := k.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// The price of a call that needn't wait: its place alone, and with what its
// answer's header says.
func BenchmarkUncontended(b *testing.B) {
	header := answer("Content-Type", "application/json", "Date", "x")
	for _, answered := range []bool{false, true} {
		b.Run(map[bool]string{false: "place", true: "answered"}[answered], func(b *testing.B) {
			g := New(Limits{}, nil)
			ctx := b.Context()
			b.ReportAllocs()
			for b.Loop() {
				s, err := g.Acquire(ctx, key(), 1, nil)
				if err != nil {
					b.Fatal(err)
				}
				if answered {
					s.Answered(200, header)
				}
				s.Done("")
			}
		})
	}
}
