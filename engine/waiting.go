package engine

import (
	"sync"

	"github.com/tappet-dev/tappet/engine/machine"
)

// waits tells why calls under way wait for their turn: what a run shows of an
// attempt before it has an outcome. It holds those that wait, and no others.
type waits struct {
	mu sync.Mutex
	of map[attemptKey]string
}

type attemptKey struct {
	run RunID
	key machine.Key
}

// note says why a call waits; "": it does no longer.
func (w *waits) note(run RunID, key machine.Key, why string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	k := attemptKey{run, key}
	if why == "" {
		delete(w.of, k)
		return
	}
	if w.of == nil {
		w.of = map[attemptKey]string{}
	}
	w.of[k] = why
}

// why gives the reason for which a call waits, "" if it doesn't.
func (w *waits) why(run RunID, key machine.Key) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.of[attemptKey{run, key}]
}
