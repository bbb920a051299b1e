package wasm

import (
	"time"

	"github.com/tetratelabs/wazero/api"

	"github.com/tappet-dev/tappet/plugins/pipe"
)

var _ pipe.Coster = (*Module)(nil)

// Cost implements pipe.Coster: the time between the guest's entries and its words
// to the host, booked at each of them and at each visit of the meter, so that a
// call that never ends shows too.
func (m *Module) Cost() pipe.Cost {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := pipe.Cost{CPU: time.Duration(m.busy.Load()), Restarts: m.usage.Lost}
	for i := range m.live {
		c.Memory += i.memory.Load()
	}
	return c
}

// enter says that the guest runs from here on.
func (i *instance) enter() { i.since = time.Now() }

// leave books the time since enter; done twice, the second is of nothing.
func (i *instance) leave() {
	if !i.since.IsZero() {
		i.module.busy.Add(int64(time.Since(i.since)))
		i.since = time.Time{}
	}
}

// weigh notes the memory of the guest, for those who don't run it.
func (i *instance) weigh(mod api.Module) { i.memory.Store(int64(mod.Memory().Size())) }
