package governor

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tappet-dev/tappet/sdk"
)

// State is that of a host's circuit breaker.
type State string

// The states of a breaker.
const (
	// Closed: calls pass.
	Closed State = "closed"
	// Open: the host is down; calls fail at once, without being sent.
	Open State = "open"
	// HalfOpen: its time is over; one call, the probe, tries, the others wait
	// for what becomes of it.
	HalfOpen State = "half_open"
)

// A host is what is known of one host.
type host struct {
	key    Key
	limits Limits
	rule   Rule
	gap    time.Duration // between calls, by the rule's rate; 0: none
	left   atomic.Bool   // dropped, readable without the lock

	mu      sync.Mutex
	dropped bool
	queue   queue
	timer   *time.Timer
	// active is how many slots are out.
	active int
	// due is when the next call would be, if all had come at the rate (a generic
	// cell rate algorithm).
	due time.Time
	// pause is until when the host is left alone, and why that is.
	pause    time.Time
	pauseWhy Why
	// quota is how many calls the host still takes until quotaEnd, by its own
	// account; it counts when quotaEnd lies ahead.
	quota    int64
	quotaEnd time.Time

	state State
	// failures are those in a row; lastFault is the last of them, at lastFailed.
	failures   int
	lastFault  string
	lastFailed time.Time
	// since is when state began, until is when an open breaker lets a probe pass.
	since, until time.Time
	backoff      time.Duration
	probing      bool
}

func newHost(k Key, l Limits, r Rule) *host {
	h := &host{key: k, limits: l, rule: r, state: Closed}
	if h.rule.Concurrency == 0 {
		h.rule.Concurrency = l.Concurrency
	}
	if h.rule.Failures == 0 {
		h.rule.Failures = l.Failures
	}
	if r.Calls > 0 {
		h.gap = r.Per / time.Duration(r.Calls)
	}
	return h
}

func (h *host) gone() bool { return h.left.Load() }

// drop forgets the host if there is nothing to remember of it.
func (h *host) drop(now time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	idle := h.active == 0 && h.queue.len == 0 && !h.pause.After(now) && !h.quotaEnd.After(now) && !h.due.After(now) &&
		!h.until.After(now) && (h.failures == 0 || now.Sub(h.lastFailed) > 2*h.limits.OpenMost)
	if idle {
		h.dropped = true
		h.left.Store(true)
		if h.timer != nil {
			h.timer.Stop()
		}
	}
	return idle
}

// gate says whether a call may begin now: why "" says that it may. Otherwise at
// is when that ends, zero where another call's end must be waited for. The error
// is that of an open breaker.
func (h *host) gate(now time.Time) (at time.Time, why Why, err error) {
	if h.state != Closed {
		if h.state == Open {
			if now.Before(h.until) {
				return at, "", later(sdk.Unavailable, now, h.until,
					"%s isn't called until %s: %d calls in a row have failed, the last at %s (%s)",
					h.key, clock(h.until), h.failures, clock(h.lastFailed), h.lastFault)
			}
			h.state, h.since, h.probing = HalfOpen, now, false
		}
		if h.probing {
			return at, Probe, nil
		}
	}
	switch {
	case h.pause.After(now):
		return h.pause, h.pauseWhy, nil
	case h.quota <= 0 && h.quotaEnd.After(now):
		return h.quotaEnd, Quota, nil
	}
	if h.gap > 0 {
		if at := h.due.Add(-time.Duration(h.rule.Burst-1) * h.gap); at.After(now) {
			return at, Rate, nil
		}
	}
	if h.active >= h.rule.Concurrency {
		return at, Concurrency, nil
	}
	return at, "", nil
}

// begin takes a slot; gate has allowed it.
func (h *host) begin(now time.Time) Slot {
	h.active++
	if h.gap > 0 {
		if h.due.Before(now) {
			h.due = now
		}
		h.due = h.due.Add(h.gap)
	}
	if h.quotaEnd.After(now) {
		h.quota--
	}
	s := Slot{host: h}
	if h.state == HalfOpen {
		h.probing, s.probe = true, true
	}
	return s
}

// enqueue lets a call wait, unless it is sure that its turn comes too late.
func (h *host) enqueue(now, at, deadline time.Time, why Why, group int64) (*waiter, error) {
	if h.queue.len >= h.limits.Waiting {
		return nil, later(sdk.RateLimited, now, now.Add(time.Second), "%d calls wait for %s, the most that may (limits.host_waiting)", h.queue.len, h.key)
	}
	if why == "" { // there is room, and somebody is before it
		why = Concurrency
	}
	if h.gap > 0 {
		// Those of its own group come first, whatever the others do.
		first := h.due.Add(-time.Duration(h.rule.Burst-1) * h.gap).Add(time.Duration(h.queue.of(group)) * h.gap)
		if first.After(at) && first.After(now) {
			at = first
			if why == Concurrency {
				why = Rate
			}
		}
	}
	if at.After(deadline) {
		return nil, h.tooLate(now, at, why)
	}
	w := &waiter{news: make(chan struct{}, 1), deadline: deadline, why: why}
	h.queue.push(w, group)
	h.dispatch(now) // the timer must be set for the first that waits
	return w, nil
}

// tooLate is the error of a call that can't wait as long as it would have to.
func (h *host) tooLate(now, at time.Time, why Why) error {
	switch why {
	case RetryAfter:
		return later(sdk.RateLimited, now, at, "%s has asked to be left alone until %s, which is too late for this call", h.key, clock(at))
	case Quota:
		return later(sdk.RateLimited, now, at, "%s takes no more calls until %s by its own account, which is too late for this call", h.key, clock(at))
	case Rate, Concurrency, Probe:
	}
	return later(sdk.RateLimited, now, at, "the rate of %s lets this call begin at %s, which is too late for it", h.key, clock(at))
}

// dispatch lets calls begin that may, and sets the timer for those that have
// to wait for a time.
func (h *host) dispatch(now time.Time) {
	for h.queue.len > 0 {
		at, why, err := h.gate(now)
		switch {
		case err != nil:
			h.queue.each(func(w *waiter) { h.settle(w, Slot{}, err) })
			return
		case why == "":
			h.settle(h.queue.turn.first, h.begin(now), nil)
			continue
		}
		for l, n := h.queue.turn, len(h.queue.lines); n > 0; l, n = l.next, n-1 {
			if w := l.first; w.why != why {
				w.why = why
				w.tell()
			}
		}
		if !at.IsZero() {
			h.wakeAt(at.Sub(now))
		}
		return
	}
}

func (h *host) wakeAt(d time.Duration) {
	if h.timer == nil {
		h.timer = time.AfterFunc(d, func() {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.dispatch(time.Now())
		})
		return
	}
	h.timer.Reset(d)
}

// settle ends a wait.
func (h *host) settle(w *waiter, s Slot, err error) {
	if err == nil {
		h.queue.turn = w.line.next
	}
	h.queue.remove(w)
	w.slot, w.err, w.settled = s, err, true
	w.tell()
}

// wait is what a call does in the queue.
func (h *host) wait(ctx context.Context, w *waiter, begun time.Time, waiting func(Why)) (Slot, error) {
	timer := time.NewTimer(h.limits.Wait)
	defer timer.Stop()
	told := Why("")
	for {
		var over error
		h.mu.Lock()
		if w.settled {
			h.mu.Unlock()
			w.slot.Waited, w.slot.Why = time.Since(begun), w.why
			return w.slot, w.err
		}
		why := w.why
		h.mu.Unlock()
		if why != told && waiting != nil {
			waiting(why)
		}
		told = why
		select {
		case <-w.news:
			continue
		case <-ctx.Done():
			over = ended(ctx)
		case <-timer.C:
			now := time.Now()
			over = later(sdk.RateLimited, now, now.Add(time.Second), "it has waited for %s to call %s (%s), which is its limit (limits.host_wait)", h.limits.Wait, h.key, why)
		}
		h.mu.Lock()
		if w.settled { // at the same moment: the slot isn't wanted any more
			h.mu.Unlock()
			w.slot.Done("")
			return Slot{}, over
		}
		h.queue.remove(w)
		h.mu.Unlock()
		return Slot{}, over
	}
}

// answered learns from an answer.
func (h *host) answered(s *Slot, status int, header http.Header) {
	var said notice
	if !h.rule.IgnoreHeaders {
		said = read(status, header, time.Now)
	}
	s.fine = status < 500
	h.mu.Lock()
	defer h.mu.Unlock()
	if s.fine && h.state != Closed {
		h.close(time.Now())
	} else if said == (notice{}) {
		return
	}
	now := time.Now()
	most := now.Add(h.limits.Pause)
	if said.Wait > 0 {
		if until := earlier(now.Add(said.Wait), most); until.After(h.pause) {
			h.pause, h.pauseWhy = until, said.Why
			h.refuseLate(now, until, said.Why)
		}
	}
	if said.Reset > 0 {
		h.quotaEnd = earlier(now.Add(said.Reset), most)
		// Others that are under way may not be counted in what is left.
		h.quota = said.Left - int64(h.active-1)
		if said.Left == 0 {
			h.refuseLate(now, h.quotaEnd, Quota)
		}
	}
	h.dispatch(now)
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// refuseLate ends the waits that a pause makes too long.
func (h *host) refuseLate(now, until time.Time, why Why) {
	h.queue.each(func(w *waiter) {
		if until.After(w.deadline) {
			h.queue.remove(w)
			w.err, w.settled = h.tooLate(now, until, why), true
			w.tell()
		}
	})
}

// done takes a slot back.
func (h *host) done(s *Slot, fault string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.active--
	if s.probe {
		h.probing = false
	}
	switch {
	case fault != "":
		h.failed(s, time.Now(), fault)
	case s.fine:
		h.failures = 0
	}
	if h.queue.len > 0 {
		h.dispatch(time.Now())
	}
}

// failed counts a failure, and opens the breaker when it is one too many. What
// was sent before it opened says nothing new.
func (h *host) failed(s *Slot, now time.Time, fault string) {
	if h.rule.Failures < 0 || h.state == Open || h.state == HalfOpen && !s.probe {
		return
	}
	h.failures++
	h.lastFault, h.lastFailed = fault, now
	if h.state == Closed && h.failures < h.rule.Failures {
		return
	}
	if h.state == Closed {
		h.backoff = h.limits.Open
	} else {
		h.backoff = min(2*h.backoff, h.limits.OpenMost)
	}
	h.state, h.since, h.until = Open, now, now.Add(h.backoff)
}

// close lets calls pass again.
func (h *host) close(now time.Time) {
	h.state, h.since, h.until, h.probing, h.failures = Closed, now, time.Time{}, false, 0
}
