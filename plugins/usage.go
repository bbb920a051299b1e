package plugins

import (
	"sync/atomic"
	"time"

	"github.com/tappet-dev/tappet/plugins/pipe"
	"github.com/tappet-dev/tappet/sdk/wire"
)

// Usage is what the version in service has used since it was loaded.
type Usage struct {
	// Calls is how many calls have ended, Failures how many of them with an error:
	// the plugin's own, or that of its end.
	Calls, Failures uint64
	pipe.Cost
}

// A tally counts a version's calls.
type tally struct{ calls, failures atomic.Uint64 }

// count counts a call by how it ended.
func (t *tally) count(reply *wire.Frame, err error) {
	t.calls.Add(1)
	if err != nil || reply.Kind != "" {
		t.failures.Add(1)
	}
}

// usage is what the version has used so far.
func (v *version) usage() Usage {
	u := Usage{Calls: v.tally.calls.Load(), Failures: v.tally.failures.Load()}
	if c, ok := v.caller.(pipe.Coster); ok {
		u.Cost = c.Cost()
	}
	u.CPU = u.CPU.Round(time.Microsecond)
	return u
}
