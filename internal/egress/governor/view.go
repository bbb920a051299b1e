package governor

import (
	"slices"
	"strings"
	"time"
)

// A View is how a host stands now.
type View struct {
	Key Key
	// Active calls are under way, Waiting ones wait, of so many Groups.
	Active, Waiting, Groups int
	// Why says why they wait, "" if none would have to.
	Why Why
	// Next is when that ends, zero where another call's end is waited for.
	Next time.Time
	// Concurrency, and Calls in each Per (0: any number), are what holds there.
	Concurrency, Calls int
	Per                time.Duration
	// State is the breaker's, since Since (zero: always). Until is when an open
	// one lets a call try.
	State        State
	Since, Until time.Time
	// Failures are those in a row, Fault is the last of them.
	Failures int
	Fault    string
}

// Hosts lists the hosts that are being called, or of which there is something
// to say, by name and port.
func (g *Governor) Hosts() []View {
	now := time.Now()
	g.mu.Lock()
	g.sweep(now)
	hosts := make([]*host, 0, len(g.hosts))
	for _, h := range g.hosts {
		hosts = append(hosts, h)
	}
	g.mu.Unlock()
	views := make([]View, len(hosts))
	for i, h := range hosts {
		views[i] = h.view(now)
	}
	slices.SortFunc(views, func(a, b View) int {
		if c := strings.Compare(a.Key.Host, b.Key.Host); c != 0 {
			return c
		}
		return int(a.Key.Port) - int(b.Key.Port)
	})
	return views
}

func (h *host) view(now time.Time) View {
	h.mu.Lock()
	defer h.mu.Unlock()
	at, why, _ := h.gate(now)
	v := View{
		Key: h.key, Active: h.active, Waiting: h.queue.len, Groups: len(h.queue.lines), Why: why, Next: at,
		Concurrency: h.rule.Concurrency, Calls: h.rule.Calls, Per: h.rule.Per,
		State: h.state, Since: h.since, Failures: h.failures, Fault: h.lastFault,
	}
	if h.state == Open {
		v.Until = h.until
	}
	if v.Failures == 0 {
		v.Fault = ""
	}
	return v
}
