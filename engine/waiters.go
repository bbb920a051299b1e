package engine

import (
	"sync"

	"github.com/tappet-dev/tappet/engine/machine"
)

// waiters are those who wait for a run in this process: for its answer or its
// end. After a crash nobody waits any more.
type waiters struct {
	mu sync.Mutex
	m  map[RunID][]*waiter
}

type waiter struct {
	// answer gets the first answer, if the waiter wants one; end the end.
	answer chan *machine.Answer
	end    chan *machine.End
}

// add waits for a run; the channels hold one value each, so nobody who sends
// is ever held up.
func (w *waiters) add(id RunID) *waiter {
	x := &waiter{answer: make(chan *machine.Answer, 1), end: make(chan *machine.End, 1)}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.m == nil {
		w.m = map[RunID][]*waiter{}
	}
	w.m[id] = append(w.m[id], x)
	return x
}

func (w *waiters) remove(id RunID, x *waiter) {
	w.mu.Lock()
	defer w.mu.Unlock()
	list := w.m[id]
	for i, y := range list {
		if x == y {
			list = append(list[:i:i], list[i+1:]...)
			break
		}
	}
	if len(list) == 0 {
		delete(w.m, id)
		return
	}
	w.m[id] = list
}

func (w *waiters) of(id RunID) []*waiter {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.m[id]
}

// Answer implements Worker.
func (e *Engine) Answer(id RunID, a *machine.Answer) {
	for _, x := range e.waiters.of(id) {
		select {
		case x.answer <- a:
		default:
		}
	}
}

// Ended implements Worker.
func (e *Engine) Ended(id RunID, end *machine.End) {
	for _, x := range e.waiters.of(id) {
		select {
		case x.end <- end:
		default:
		}
	}
}
