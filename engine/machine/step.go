package machine

import (
	"encoding/json"

	"github.com/tappet-dev/tappet/engine/program"
)

// An outcome is how a step has settled.
type outcome struct {
	status  Status
	output  json.RawMessage
	err     *Error
	handled bool
}

// begin is reached once for each step of a list, when all its predecessors have
// settled (G2).
func (m *Machine) begin(sc *scope, s *program.Step) {
	if !m.visit() {
		return
	}
	sl := &m.slots[s.Slot]
	if s.If != nil {
		holds, err := m.condition(s)
		if err != nil {
			// An `if` stands outside of on_error (G6).
			sl.started = m.now
			m.settle(sc, s, outcome{status: StepFailed, err: err})
			return
		}
		if !holds {
			m.settle(sc, s, outcome{status: StepSkipped})
			return
		}
	}
	sl.status, sl.started, sl.attempts = StepRunning, m.now, 1
	switch s.Verb {
	case program.Use:
		m.use(sc, s)
	case program.Set:
		out, err := m.value(s, s.Set, "/set")
		m.done(sc, s, out, err)
	case program.Respond:
		out, err := m.respond(sc, s)
		m.done(sc, s, out, err)
	}
}

// visit counts an attempt of a step; past the limit it aborts the run and says
// no.
func (m *Machine) visit() bool {
	if m.visits >= m.limits.Visits {
		m.exhaust()
		return false
	}
	m.visits++
	return true
}

// done settles a step after its last attempt.
func (m *Machine) done(sc *scope, s *program.Step, out json.RawMessage, err *Error) {
	if err == nil {
		m.settle(sc, s, outcome{status: StepSucceeded, output: out})
		return
	}
	// `continue` is an empty handler, and no handler starts in a list that ends
	// early (G9, G11).
	m.settle(sc, s, outcome{status: failure(err), err: err, handled: s.Continue && sc.mode == open})
}

// failure gives the state of a step that failed with err.
func failure(err *Error) Status {
	if err.Kind == KindUnknown {
		return StepUnknown
	}
	return StepFailed
}

// settle ends a step for good: its successors have one predecessor less to wait
// for, or, when nobody handled its failure, its list ends.
func (m *Machine) settle(sc *scope, s *program.Step, o outcome) {
	m.record(sc, s, o)
	if sc.mode == open {
		if o.err != nil && !o.handled {
			m.decide(&End{State: Failed, Err: o.err})
			m.shut(sc, drain)
			return
		}
		for _, i := range s.Succs {
			if sc.waits[i]--; sc.waits[i] == 0 {
				m.queue = append(m.queue, ready{sc, sc.list.Steps[i]})
			}
		}
	}
	m.check(sc)
}

// record writes down what a step has come to.
func (m *Machine) record(sc *scope, s *program.Step, o outcome) {
	sc.left--
	sl := &m.slots[s.Slot]
	sl.status, sl.output, sl.handled = o.status, o.output, o.handled
	if o.err != nil {
		sl.err = o.err
	} else if o.status != StepCancelled {
		// A success after failed attempts; a step that is cut short between two
		// attempts still shows why it had to wait.
		sl.err = nil
	}
	if o.status != StepSkipped {
		sl.ended = m.now
	}
}
