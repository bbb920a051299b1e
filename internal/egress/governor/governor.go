// Package governor decides when a call to a host may begin: so many at a time,
// so many a second, not while the host has asked to be left alone, and not
// while it is down.
//
// It sends nothing and knows no HTTP but the headers in which hosts speak of
// their limits. Its one rule: what one host does costs calls to no other host
// anything, and on one host no group of callers waits behind all of another's.
package governor

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/tappet-dev/tappet/sdk"
)

// Limits are what holds for each host that no rule names. A zero field means
// its default.
type Limits struct {
	// Concurrency is how many calls to one host are under way at a time; 64.
	Concurrency int
	// Waiting is how many calls to one host may wait; 100,000.
	Waiting int
	// Wait is how long a call waits for its turn, if its own deadline isn't
	// nearer; 5 min.
	Wait time.Duration
	// Pause is the longest time for which a host is left alone because its
	// headers ask for it; 1 h.
	Pause time.Duration
	// Failures is how many failures in a row open the breaker of a host; 10.
	// Negative: none do.
	Failures int
	// Open is how long a breaker that has opened refuses calls, and as much
	// again, doubled, each time that the probe fails; 1 s.
	Open time.Duration
	// OpenMost bounds that time; 1 min.
	OpenMost time.Duration
}

// withDefaults fills the fields that are zero.
func (l Limits) withDefaults() Limits {
	set(&l.Concurrency, 64)
	set(&l.Waiting, 100_000)
	set(&l.Wait, 5*time.Minute)
	set(&l.Pause, time.Hour)
	set(&l.Failures, 10)
	set(&l.Open, time.Second)
	set(&l.OpenMost, time.Minute)
	return l
}

func set[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}

// A Key names a host: its name or address in lower case, and its port.
type Key struct {
	Host string
	Port uint16
}

// String gives host:port, an IPv6 address in brackets.
func (k Key) String() string {
	port := strconv.Itoa(int(k.Port))
	for i := range len(k.Host) {
		if k.Host[i] == ':' {
			return "[" + k.Host + "]:" + port
		}
	}
	return k.Host + ":" + port
}

// Why says why a call waits. Its words are recorded and never renamed.
type Why string

// The reasons for waiting.
const (
	// Concurrency: as many calls as may be are under way.
	Concurrency Why = "concurrency"
	// Rate: the operator's rate for the host is used up.
	Rate Why = "rate"
	// RetryAfter: the host has answered 429 or 503 with Retry-After.
	RetryAfter Why = "retry_after"
	// Quota: by the host's own RateLimit headers nothing is left.
	Quota Why = "quota"
	// Probe: the host was down, and one call tries whether it still is.
	Probe Why = "probe"
)

// A Governor keeps a record of each host that is being called. It is safe for
// concurrent use and has no goroutine of its own.
type Governor struct {
	limits Limits
	rules  Rules

	mu    sync.RWMutex
	hosts map[Key]*host
	// sweepAt is the number of hosts at which the idle ones are dropped.
	sweepAt int
}

// New makes a governor.
func New(l Limits, rules Rules) *Governor {
	return &Governor{limits: l.withDefaults(), rules: rules, hosts: map[Key]*host{}, sweepAt: minSweep}
}

// minSweep is a number of hosts that are worth no sweep.
const minSweep = 64

// A Slot is the leave to call a host. It must be given back with Done; one that
// is zero stands for no host and may be too.
type Slot struct {
	host  *host
	probe bool
	fine  bool // it was answered, and not with a status of 5xx
	// Waited is how long the call has waited for it, and Why is the last reason.
	Waited time.Duration
	Why    Why
}

// Acquire waits until a call to a host may begin. Calls of a group are let
// through in order, groups in turn. waiting, which may be nil, is called on
// the caller's goroutine whenever the reason for waiting changes.
//
// Errors are *sdk.Error: rate_limited with RetryAfter, at once, when the wait
// won't fit into ctx's deadline or Limits.Wait; unavailable with RetryAfter
// while the host's breaker is open; timeout or cancelled when ctx ends.
func (g *Governor) Acquire(ctx context.Context, key Key, group int64, waiting func(Why)) (Slot, error) {
	if err := ctx.Err(); err != nil {
		return Slot{}, ended(ctx)
	}
	for {
		h := g.host(key)
		h.mu.Lock()
		if h.dropped {
			h.mu.Unlock()
			continue
		}
		now := time.Now()
		at, why, err := h.gate(now)
		if err == nil && why == "" && h.queue.len == 0 {
			s := h.begin(now)
			h.mu.Unlock()
			return s, nil
		}
		var w *waiter
		if err == nil {
			deadline := now.Add(g.limits.Wait)
			if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
				deadline = d
			}
			w, err = h.enqueue(now, at, deadline, why, group)
		}
		h.mu.Unlock()
		if err != nil {
			return Slot{}, err
		}
		return h.wait(ctx, w, now, waiting)
	}
}

// host gives the record of a host, and makes it where there is none.
func (g *Governor) host(key Key) *host {
	g.mu.RLock()
	h := g.hosts[key]
	g.mu.RUnlock()
	if h != nil && !h.gone() {
		return h
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if h := g.hosts[key]; h != nil {
		return h
	}
	if len(g.hosts) >= g.sweepAt {
		g.sweep(time.Now())
	}
	h = newHost(key, g.limits, g.rules.find(key))
	g.hosts[key] = h
	return h
}

// sweep drops the hosts of which there is nothing to remember. It is called
// when their number has doubled, so that it costs each new host little.
func (g *Governor) sweep(now time.Time) {
	for k, h := range g.hosts {
		if h.drop(now) {
			delete(g.hosts, k)
		}
	}
	g.sweepAt = max(minSweep, 2*len(g.hosts))
}

// Answered tells of an answer's status and header.
func (s *Slot) Answered(status int, header http.Header) {
	if s.host != nil {
		s.host.answered(s, status, header)
	}
}

// Done gives the slot back, once; fault says how the host has failed, "" that
// it hasn't or that it can't be blamed. A slot that wasn't answered and has no
// fault tells nothing of the host.
func (s *Slot) Done(fault string) {
	if s.host != nil {
		s.host.done(s, fault)
		s.host = nil
	}
}

// ended is the error of a call whose context has ended while it waited.
func ended(ctx context.Context) error {
	kind := sdk.Cancelled
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		kind = sdk.Timeout
	}
	return &sdk.Error{Kind: kind, Err: context.Cause(ctx)}
}

// later is the error of a call that can't begin before a time.
func later(kind sdk.Kind, now, at time.Time, format string, args ...any) *sdk.Error {
	return &sdk.Error{Kind: kind, RetryAfter: max(at.Sub(now), time.Millisecond), Err: fmt.Errorf(format, args...)}
}

// clock shows a time in messages.
func clock(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }
