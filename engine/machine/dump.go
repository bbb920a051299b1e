package machine

import (
	"fmt"
	"strings"
)

// Dump is the whole state as text, for tests and for people: equal text means
// equal state.
func (m *Machine) Dump() string {
	var b strings.Builder
	state, result, err := m.State()
	fmt.Fprintf(&b, "run %s version %d attempt %d: %s", m.run.ID, m.run.Version, m.run.Attempt, state)
	if m.slots == nil {
		return b.String() + "\n"
	}
	fmt.Fprintf(&b, " result %s err %s now %d started %d visits %d answered %q\n",
		result, faultText(err), m.now, m.started, m.visits, m.answeredBy())
	if m.ending != nil && !m.ended {
		fmt.Fprintf(&b, "ending %s err %s\n", m.ending.State, faultText(m.ending.Err))
	}
	if m.armed {
		fmt.Fprintf(&b, "limit %d\n", m.limit)
	}
	fmt.Fprintf(&b, "cancelled %t cause %s\n", m.cancelled, faultText(m.cause))
	fmt.Fprintf(&b, "list %q mode %d left %d waits %v\n", m.list.prefix, m.list.mode, m.list.left, m.list.waits)
	for _, v := range m.Steps() {
		fmt.Fprintf(&b, "step %s %s handled %t attempts %d started %d ended %d output %s err %s\n",
			v.ID, v.Status, v.Handled, v.Attempts, v.Started, v.Ended, v.Output, faultText(v.Err))
	}
	for _, v := range m.list.open {
		fmt.Fprintf(&b, "visit %s leaf %d cut %t since %d due %d attempt %d digest %016x idempotency %s\n",
			v.key, v.leaf, v.cut, v.since, v.due, v.effect.Attempt, v.effect.Digest, v.effect.Idempotency)
		for _, f := range v.effect.Input {
			fmt.Fprintf(&b, "  %s %s\n", f.Name, f.Value)
		}
	}
	fmt.Fprintf(&b, "open %v\n", m.Open())
	return b.String()
}

func faultText(e *Error) string {
	if e == nil {
		return "-"
	}
	return fmt.Sprintf("{%s %q %s %s %t %d %s}", e.Kind, e.Message, e.Step, e.Pointer, e.Retryable, e.RetryAfter, e.Data)
}
