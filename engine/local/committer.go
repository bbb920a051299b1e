package local

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"time"

	"github.com/tappet-dev/tappet/engine"
)

// A committer turns what many runs want written into few transactions: it takes
// everything that waits, commits it once, and wakes everybody. No timer holds up
// what somebody waits for: while one transaction is being synced the next one
// gathers. What nobody waits for waits for that, but no longer than patience.
//
// Order: entries are written in the order of submit. What belongs to a running
// run is kept and tried again until it is written; an acceptance is refused at
// the first failure, because its sender is still there to be told.
type committer struct {
	store engine.JournalStore
	log   *slog.Logger

	mu      sync.Mutex
	waiting []*ticket
	// hurried is how many of waiting somebody waits for.
	hurried int
	// fault is the last failure, nil when the last commit succeeded.
	fault  error
	closed bool
	work   chan struct{} // holds one token: there is something to do
}

// A ticket is a group of entries that are written together.
type ticket struct {
	entries []engine.Entry
	// keep: try again until it is written.
	keep bool
	// patient: nobody waits for it.
	patient bool
	// done is closed, or then called by the committer, when err is known.
	done chan struct{}
	then func(error)
	err  error
}

// settle tells whoever waits what has become of a ticket.
func (t *ticket) settle(err error) {
	t.err = err
	if t.then != nil {
		t.then(err)
		return
	}
	close(t.done)
}

// Between tries of a commit that failed.
const (
	firstRetry = 50 * time.Millisecond
	lastRetry  = 5 * time.Second
)

// patience is how long entries that nobody waits for wait for others.
const patience = 2 * time.Millisecond

// maxBatch bounds the entries of one transaction, so that nobody waits long
// behind others.
const maxBatch = 4096

func newCommitter(store engine.JournalStore, log *slog.Logger) *committer {
	return &committer{store: store, log: log, work: make(chan struct{}, 1)}
}

// submit queues entries; done is closed when they are on disk, or have failed.
func (c *committer) submit(keep bool, entries ...engine.Entry) *ticket {
	return c.queue(&ticket{entries: entries, keep: keep, done: make(chan struct{})})
}

// submitThen is submit for those who don't wait: then must not block, the
// next commit waits for it. patient says that nobody else waits either.
func (c *committer) submitThen(patient bool, then func(error), entries ...engine.Entry) {
	c.queue(&ticket{entries: entries, keep: true, patient: patient, then: then})
}

func (c *committer) queue(t *ticket) *ticket {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		t.settle(errStopped)
		return t
	}
	c.waiting = append(c.waiting, t)
	if !t.patient {
		c.hurried++
	}
	// Behind others who can wait it can wait as well: they have woken it.
	wake := len(c.waiting) == 1 || !c.idleLocked()
	c.mu.Unlock()
	if wake {
		c.wake()
	}
	return t
}

func (c *committer) wake() {
	select {
	case c.work <- struct{}{}:
	default:
	}
}

// idleLocked says that nobody waits for what is waiting, and that it isn't much.
func (c *committer) idleLocked() bool { return c.hurried == 0 && len(c.waiting) < maxBatch/2 }

// canWait says that there is something to do, and that it can wait.
func (c *committer) canWait() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.waiting) > 0 && c.idleLocked()
}

// linger returns when nothing is there that can wait, or when patience is over.
func (c *committer) linger(ctx context.Context) {
	if !c.canWait() {
		return
	}
	over := time.After(patience)
	for c.canWait() {
		select {
		case <-c.work:
		case <-over:
			return
		case <-ctx.Done():
			return
		}
	}
}

// failing gives the store's last failure while it lasts.
func (c *committer) failing() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.fault
}

// run commits until ctx ends and nothing waits any more; then it refuses.
func (c *committer) run(ctx context.Context) {
	var held []*ticket // kept after a failure, oldest first
	delay := firstRetry
	for {
		// Those who are about to submit go first: larger batches cost less, and
		// who is alone waits for nobody.
		runtime.Gosched()
		if len(held) == 0 {
			c.linger(ctx)
		}
		batch := c.take(held)
		if len(batch) == 0 {
			if c.shut(ctx) {
				return
			}
			select {
			case <-c.work:
			case <-ctx.Done():
			}
			continue
		}
		err := c.commit(batch)
		c.mu.Lock()
		c.fault = err
		c.mu.Unlock()
		if err == nil {
			held, delay = nil, firstRetry
			for _, t := range batch {
				t.settle(nil)
			}
			continue
		}
		c.log.Error("the store can't be written; running runs are kept and tried again", "error", err, "waiting", len(batch), "again_in", delay)
		if held = c.refuse(batch, err); len(held) == 0 {
			held = append(held, probe())
		}
		if ctx.Err() != nil {
			// Stopping: what isn't written now is taken up again from its last
			// record by the next process.
			c.abandon(held, err)
			return
		}
		select {
		case <-time.After(delay):
		case <-ctx.Done():
		}
		delay = min(2*delay, lastRetry)
	}
}

// probe is an entry that changes nothing that anybody reads: it is tried until
// it can be written, so that a disk that works again is noticed though events
// are being refused.
func probe() *ticket {
	return &ticket{entries: []engine.Entry{&engine.Move{}}, keep: true, done: make(chan struct{})}
}

// take gives what was held and what waits, in order, within maxBatch.
func (c *committer) take(held []*ticket) []*ticket {
	c.mu.Lock()
	defer c.mu.Unlock()
	n, size := 0, 0
	for n < len(c.waiting) && size < maxBatch {
		size += len(c.waiting[n].entries)
		if !c.waiting[n].patient {
			c.hurried--
		}
		n++
	}
	if len(held) == 0 && n == len(c.waiting) {
		batch := c.waiting
		c.waiting = nil
		return batch
	}
	batch := append(append(make([]*ticket, 0, len(held)+n), held...), c.waiting[:n]...)
	c.waiting = append([]*ticket(nil), c.waiting[n:]...)
	return batch
}

func (c *committer) shut(ctx context.Context) bool {
	if ctx.Err() == nil {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = len(c.waiting) == 0
	return c.closed
}

// abandon refuses what was held and what waits behind it, and all that comes: a
// run's later record must not be written without its earlier one.
func (c *committer) abandon(held []*ticket, err error) {
	c.mu.Lock()
	c.closed = true
	rest := c.waiting
	c.waiting = nil
	c.mu.Unlock()
	for _, t := range append(held, rest...) {
		t.settle(err)
	}
}

func (c *committer) commit(batch []*ticket) error {
	n := 0
	for _, t := range batch {
		n += len(t.entries)
	}
	entries := make([]engine.Entry, 0, n)
	for _, t := range batch {
		entries = append(entries, t.entries...)
	}
	// A commit that has begun isn't cut short: half the batch's senders would
	// not know what has become of it.
	return c.store.Commit(context.Background(), entries)
}

// refuse fails the acceptances of a batch and gives what is kept.
func (c *committer) refuse(batch []*ticket, err error) (held []*ticket) {
	for _, t := range batch {
		if t.keep {
			held = append(held, t)
			continue
		}
		t.settle(fmt.Errorf("the store can't be written: %w", err))
	}
	return held
}
