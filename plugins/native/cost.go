package native

import (
	"time"

	"github.com/tappet-dev/tappet/plugins/pipe"
)

var _ pipe.Coster = (*Plugin)(nil)

// Cost implements pipe.Coster. The time of a process that runs is what its system
// tells; that of those which are gone is exact.
func (p *Plugin) Cost() pipe.Cost {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := pipe.Cost{CPU: p.spent}
	if p.starts > 0 {
		c.Restarts = p.starts - 1
	}
	if p.proc != nil && !p.proc.gone() {
		cpu, memory := usage(p.proc.cmd.Process.Pid)
		c.CPU, c.Memory = c.CPU+cpu, memory
	}
	return c
}

// used is the processor time of a process that was waited for, and of the
// children that it waited for.
func (c *command) used() time.Duration {
	if s := c.cmd.ProcessState; s != nil {
		return s.UserTime() + s.SystemTime()
	}
	return 0
}
