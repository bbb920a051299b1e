package local

import "sync/atomic"

// A crew runs functions in goroutines that it keeps for the next ones: driving
// a run goes deep into HTTP, and a fresh goroutine's stack has to grow for it
// each time.
type crew struct {
	work chan func()
	idle atomic.Int32
	stop chan struct{}
}

// maxIdle is how many goroutines wait for work at most.
const maxIdle = 128

func newCrew() *crew { return &crew{work: make(chan func()), stop: make(chan struct{})} }

// do runs f in a goroutine of its own; it doesn't wait.
func (c *crew) do(f func()) {
	select {
	case c.work <- f:
	default:
		go c.run(f)
	}
}

func (c *crew) run(f func()) {
	for {
		f()
		if c.idle.Add(1) > maxIdle {
			c.idle.Add(-1)
			return
		}
		select {
		case f = <-c.work:
			c.idle.Add(-1)
		case <-c.stop:
			c.idle.Add(-1)
			return
		}
	}
}

// dismiss lets the idle ones go; those at work go when they have done it.
func (c *crew) dismiss() { close(c.stop) }
