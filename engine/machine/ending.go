package machine

import (
	"fmt"

	"github.com/tappet-dev/tappet/engine/program"
)

// The names of the timers.
const (
	// again stands behind the key of the attempt that a backoff precedes.
	again = "!again"
	// runLimit is the run's own limit (G14).
	runLimit Key = "!limit"
	// failureLimit is that of on_failure (G15).
	failureLimit Key = "!failure!limit"
	// failurePrefix is what the paths of on_failure begin with; no id of a step
	// does.
	failurePrefix = "!failure/"
)

// limitKey is the name of the limit of the list that runs.
func (m *Machine) limitKey() Key {
	if m.cause != nil {
		return failureLimit
	}
	return runLimit
}

// fails says whether on_failure is to run when the run's own steps have
// settled: after a failure, but not when the run was cancelled, and not with a
// program that isn't the run's (G13, G15).
func (m *Machine) fails() bool {
	return m.p.Failure != nil && m.cause == nil && !m.cancelled && m.ending != nil &&
		m.ending.State == Failed && m.ending.Err.Kind != KindChangedProgram
}

// mourn begins on_failure: with limits anew, and whatever becomes of it the run
// ends as it was decided (G15).
func (m *Machine) mourn() {
	m.cause, m.visits = m.ending.Err, 0
	m.values[program.VarError] = fault(m.cause)
	m.list = &scope{prefix: failurePrefix}
	m.arm()
	m.start(m.list, m.p.Failure)
}

// decide says how the run ends, unless that is decided (G10, G13).
func (m *Machine) decide(e *End) {
	if m.ending == nil {
		m.ending = e
	}
}

// changed ends the run because a journal holds the outcome of another input
// than v has. It replaces what was decided: all of that was computed by a
// program that isn't the run's.
func (m *Machine) changed(v *visit) {
	err := &Error{
		Kind:    KindChangedProgram,
		Message: "the journal holds the outcome of another input than this program computes; it would be right to replay the run with the version it began with",
		Step:    v.step.ID,
		Pointer: v.step.Pointer,
	}
	m.ending = &End{State: Failed, Err: err}
	m.record(v.scope, v.step, outcome{status: StepFailed, err: err})
	m.abort(v.scope)
}

// expire ends the run, or its on_failure, at its time limit.
func (m *Machine) expire() {
	m.armed = false
	m.decide(&End{State: Failed, Err: &Error{
		Kind:    KindTimeout,
		Message: fmt.Sprintf("the run took longer than its timeout of %s", m.p.Timeout),
	}})
	m.shut(m.list, abort)
}

// exhaust ends the run, or its on_failure, because it may begin no more
// attempts.
func (m *Machine) exhaust() {
	m.decide(&End{State: Failed, Err: &Error{
		Kind:    KindLimit,
		Message: fmt.Sprintf("a run may begin at most %d attempts of steps", m.limits.Visits),
	}})
	m.shut(m.list, abort)
}

// abort shuts sc; if it is being aborted already it may still be over now.
func (m *Machine) abort(sc *scope) {
	if sc.mode == abort {
		m.check(sc)
		return
	}
	m.shut(sc, abort)
}

// shut ends a list early (G11): nothing starts in it any more, backoffs are
// cancelled, and an abort withdraws what was sent.
func (m *Machine) shut(sc *scope, how mode) {
	if sc.mode >= how {
		return
	}
	sc.mode = how
	if how == abort {
		// What is withdrawn settles soon; the limit has nothing left to end.
		m.disarm()
	}
	kept := sc.open[:0]
	for _, v := range sc.open {
		switch v.leaf {
		case effect:
			if how == abort {
				v.cut = true
				m.emit(&Withdraw{Key: v.key})
			}
			kept = append(kept, v)
		case backoff:
			if m.open[v.key] == v {
				delete(m.open, v.key)
				m.emit(&Withdraw{Key: v.key})
			}
			m.record(sc, v.step, outcome{status: StepCancelled})
		}
	}
	clear(sc.open[len(kept):])
	sc.open = kept
	m.check(sc)
}

// check ends a list that has nothing under way and nothing to come.
func (m *Machine) check(sc *scope) {
	if !m.ended && sc == m.list && len(sc.open) == 0 && (sc.left == 0 || sc.mode != open) {
		m.close()
	}
}

// close ends the run, or begins its on_failure.
func (m *Machine) close() {
	if m.ending == nil {
		m.ending = &End{State: Succeeded, Result: m.result()}
	}
	m.disarm()
	m.skip(m.p.Top)
	if m.fails() {
		m.mourn()
		return
	}
	m.skip(m.p.Failure)
	m.ended = true
	m.emit(m.ending)
	m.open, m.queue, m.root.waits, m.list.waits, m.scratch = nil, nil, nil, nil, nil
}

// skip settles the steps of a list that were never reached.
func (m *Machine) skip(l *program.List) {
	if l == nil {
		return
	}
	for _, s := range l.Steps {
		if sl := &m.slots[s.Slot]; sl.status == StepPending {
			sl.status = StepSkipped
		}
	}
}

// result is the output of the last written step (G5).
func (m *Machine) result() []byte {
	if n := len(m.root.list.Steps); n > 0 {
		if out := m.slots[m.root.list.Steps[n-1].Slot].output; out != nil {
			return out
		}
	}
	return []byte("null")
}

// arm sets the time limit of the list that runs.
func (m *Machine) arm() {
	if m.p.Timeout > 0 {
		m.armed, m.limit = true, later(m.now, m.p.Timeout)
		m.emit(&Timer{Key: m.limitKey(), Delay: m.p.Timeout})
	}
}

// disarm takes the time limit back.
func (m *Machine) disarm() {
	if m.armed {
		m.armed = false
		m.emit(&Withdraw{Key: m.limitKey()})
	}
}
