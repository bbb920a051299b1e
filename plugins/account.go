package plugins

import (
	"fmt"
	"sync"
	"time"

	"github.com/tappet-dev/tappet/sdk"
)

// An account is what a version did wrong: its crashes, and the events and results
// that were refused.
type account struct {
	mu sync.Mutex
	// row counts crashes since a call last came to its end, crashes all.
	row, crashes int
	last         time.Time // the last one that was counted
	until        time.Time // not called before
	refused      int
	refusal      string
}

// calm is how many crashes in a row are forgiven before calls are held back.
const calm = 3

// steady is how long a call must have run before its crash for it to begin a row
// of its own: a stream that dies once a day is in no loop.
const steady = time.Minute

// held says how long calls are held back after crashes, 0: they aren't.
func (a *account) held() time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.row < calm {
		return 0
	}
	return max(0, time.Until(a.until))
}

// settle notes how a call ended that began at a time, and gives the number of
// crashes in a row if this one counts. Calls that were under way at a crash are
// part of it.
func (a *account) settle(began time.Time, err error) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	if sdk.KindOf(err) != sdk.Broken {
		if err == nil {
			a.row = 0
		}
		return 0
	}
	if began.Before(a.last) {
		return 0
	}
	if time.Since(began) > steady {
		a.row = 0
	}
	a.row++
	a.crashes++
	a.last = time.Now()
	if n := a.row - calm; n >= 0 {
		a.until = a.last.Add(min(5*time.Second, 100*time.Millisecond<<min(n, 8)))
	}
	return a.row
}

func (a *account) refuse(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.refused++
	a.refusal = err.Error()
}

// show adds the account to a health.
func (a *account) show(h *Health) {
	a.mu.Lock()
	defer a.mu.Unlock()
	h.Crashes, h.Refused, h.Refusal = a.crashes, a.refused, a.refusal
}

// settle notes how a call of a version ended, and puts the version into
// quarantine when it keeps crashing.
func (c *Catalogue) settle(v *version, began time.Time, err error) {
	n := v.account.settle(began, err)
	if n < c.limits.Crashes {
		return
	}
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.closed {
		return
	}
	// Not here: this call is one of those that a retiring version waits for.
	c.wg.Go(func() { c.quarantine(v, fmt.Sprintf("%d crashes in a row, the last: %v", n, err)) })
}

// quarantine takes a version out of service until it is enabled or replaced.
func (c *Catalogue) quarantine(v *version, reason string) {
	c.scans.Lock()
	defer c.scans.Unlock()
	c.mu.Lock()
	f, p := c.files[v.file], c.pins[v.file]
	if c.closed || f == nil || f.version != v || p.off() {
		c.mu.Unlock()
		return
	}
	p.Quarantine = &quarantine{Reason: reason, Since: time.Now().UTC().Truncate(time.Second)}
	c.takeOut(f, p.health())
	c.mu.Unlock()
	if err := c.save(); err != nil {
		c.log.Error("a plugin's quarantine is forgotten at the next start", "error", err)
	}
	c.log.Warn("plugin in quarantine", "file", v.file, "connector", v.spec.Name, "reason", reason)
	c.tell()
}
