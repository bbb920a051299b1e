package machine

import (
	"encoding/json"
	"slices"

	"github.com/tappet-dev/tappet/engine/program"
)

// Open gives the keys of all that was sent and hasn't settled, sorted: what a
// driver sends again after a replay. It is empty exactly when the run has ended
// or hasn't been accepted.
func (m *Machine) Open() []Key {
	var out []Key
	for k := range m.open {
		out = append(out, k)
	}
	if m.armed {
		out = append(out, m.limitKey())
	}
	slices.Sort(out)
	return out
}

// Effect gives the open effect with key k again, nil if there is none.
func (m *Machine) Effect(k Key) *Effect {
	if v := m.open[k]; v != nil && v.leaf == effect {
		return v.effect
	}
	return nil
}

// Withdrawn says whether the effect with key k is open and was withdrawn: it
// isn't sent again after a replay, its outcome is owed all the same.
func (m *Machine) Withdrawn(k Key) bool {
	v := m.open[k]
	return v != nil && v.cut
}

// Timer gives when the open timer with key k is due, and whether there is one.
func (m *Machine) Timer(k Key) (due Millis, ok bool) {
	if k == m.limitKey() && m.armed {
		return m.limit, true
	}
	if v := m.open[k]; v != nil && v.leaf == backoff {
		return v.due, true
	}
	return 0, false
}

// Backoff gives the step that the open timer with key k is for, and the failure
// that it waits after; nil for another key.
func (m *Machine) Backoff(k Key) (*program.Step, *Error) {
	v := m.open[k]
	if v == nil || v.leaf != backoff {
		return nil, nil
	}
	return v.step, m.slots[v.step.Slot].err
}

// State gives the state of the run; the result once it has succeeded, the error
// once it has failed.
func (m *Machine) State() (State, json.RawMessage, *Error) {
	switch {
	case m.slots == nil:
		return Queued, nil, nil
	case m.ended:
		return m.ending.State, m.ending.Result, m.ending.Err
	}
	for _, v := range m.list.open {
		if v.leaf == effect {
			return Running, nil, nil
		}
	}
	return Waiting, nil, nil
}

// Steps gives all steps in written order, those of on_failure last. Before the
// run was accepted all are pending.
func (m *Machine) Steps() []StepView {
	out := m.views(make([]StepView, 0, m.p.Slots), m.p.Top, false)
	if m.p.Failure != nil {
		out = m.views(out, m.p.Failure, true)
	}
	return out
}

func (m *Machine) views(out []StepView, l *program.List, onFailure bool) []StepView {
	for _, s := range l.Steps {
		v := StepView{ID: s.ID, OnFailure: onFailure, Status: StepPending}
		if m.slots != nil {
			sl := &m.slots[s.Slot]
			v.Status, v.Handled, v.Attempts = sl.status, sl.handled, sl.attempts
			v.Output, v.Err = sl.output, sl.err
			v.Started, v.Ended = sl.started, sl.ended
			v.Warnings = m.warnings(s)
		}
		out = append(out, v)
	}
	return out
}
