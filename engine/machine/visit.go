package machine

import (
	"strconv"
	"time"

	"github.com/tappet-dev/tappet/engine/program"
)

// leaf is what a visit waits for.
type leaf uint8

const (
	// effect: the outcome of an attempt.
	effect leaf = iota
	// backoff: the timer before the next attempt.
	backoff
)

// A visit is one turn of a step that has to wait: its attempts and the delays
// between them.
type visit struct {
	scope *scope
	step  *program.Step
	// path names the visit in the run, without the number of the attempt.
	path string
	leaf leaf
	// key is the one that is open: of the attempt, or of the timer before the
	// next one.
	key Key
	// cut: its effect was withdrawn and still owes its outcome.
	cut bool
	// since is when the first attempt began, due when a backoff ends.
	since, due Millis
	// effect is the attempt under way, or the last one. All attempts share its
	// input: `with` is computed once in a turn (G21).
	effect *Effect
}

// use computes the input of an action and sends its first attempt.
func (m *Machine) use(sc *scope, s *program.Step) {
	input, err := m.fields(s)
	if err != nil {
		m.done(sc, s, nil, err)
		return
	}
	path := sc.prefix + s.ID
	v := &visit{scope: sc, step: s, path: path, since: m.now}
	v.effect = &Effect{
		Key:         Key(path),
		Step:        s.ID,
		Action:      s.Action,
		Idempotency: m.idempotency(path),
		Attempt:     1,
		Input:       input,
		Digest:      digest(s.Action, input),
		Timeout:     s.Timeout,
		FailUnknown: s.OnUnknown == program.UnknownFail,
		Scene:       m.scene(s),
	}
	sc.open = append(sc.open, v)
	m.send(v)
}

// fields computes an action's input. Fields without expressions are the
// program's own bytes; the others share one allocation.
func (m *Machine) fields(s *program.Step) ([]Field, *Error) {
	if len(s.With) == 0 {
		return nil, nil
	}
	out := make([]Field, len(s.With))
	buf, computed := m.scratch[:0], false
	for i, f := range s.With {
		out[i].Name, out[i].To = f.Name, f.To
		if doc, ok := f.Value.Constant(); ok {
			out[i].Value = doc
			continue
		}
		start := len(buf)
		next, err := f.Value.AppendJSON(buf, m.at(s, "/with/", f.Name))
		if err != nil {
			return nil, failed(s, "/with/"+pointer(f.Name), err)
		}
		buf, computed = next, true
		// Holds the place: the bytes may still move.
		out[i].Value = buf[start:]
	}
	if !computed {
		return out, nil
	}
	buf = m.keep(buf)
	at := 0
	for i := range out {
		if _, ok := s.With[i].Value.Constant(); ok {
			continue
		}
		end := at + len(out[i].Value)
		out[i].Value = buf[at:end:end]
		at = end
	}
	return out, nil
}

// send opens the attempt that v.effect describes.
func (m *Machine) send(v *visit) {
	v.leaf = effect
	m.expect(v, v.effect.Key)
	m.emit(v.effect)
}

// expect makes k the key that v waits for.
func (m *Machine) expect(v *visit, k Key) {
	if m.open == nil {
		m.open = make(map[Key]*visit)
	}
	v.key = k
	m.open[k] = v
}

// settled takes the outcome of v's attempt.
func (m *Machine) settled(v *visit, of *Settled) {
	delete(m.open, v.key)
	if of.Input != 0 && of.Input != v.effect.Digest {
		m.leave(v)
		m.changed(v)
		return
	}
	err := of.Err
	if err != nil && err.Step == "" {
		named := *err
		named.Step = v.step.ID
		err = &named
	}
	switch {
	case err == nil:
		m.leave(v)
		out := of.Output
		if len(out) == 0 {
			out = []byte("null")
		}
		m.done(v.scope, v.step, out, nil)
	case v.cut && err.Kind == KindCancelled:
		m.leave(v)
		m.settle(v.scope, v.step, outcome{status: StepCancelled})
	default:
		if v.scope.mode == open {
			if d, ok := m.delay(v, err); ok {
				m.wait(v, d, err)
				return
			}
		}
		m.leave(v)
		m.done(v.scope, v.step, nil, err)
	}
}

// leave takes v from its list's open visits.
func (m *Machine) leave(v *visit) {
	xs := v.scope.open
	for i, x := range xs {
		if x == v {
			copy(xs[i:], xs[i+1:])
			xs[len(xs)-1] = nil
			v.scope.open = xs[:len(xs)-1]
			return
		}
	}
}

// next is the key of the attempt after the one that v has had.
func (v *visit) next() Key {
	return Key(v.path + "#" + strconv.Itoa(v.effect.Attempt+1))
}

// wait arms the timer before v's next attempt.
func (m *Machine) wait(v *visit, d time.Duration, err *Error) {
	sl := &m.slots[v.step.Slot]
	sl.status, sl.err = StepRetrying, err
	v.leaf, v.due = backoff, later(m.now, d)
	m.expect(v, v.next()+again)
	m.emit(&Timer{Key: v.key, Delay: d})
}

// again begins v's next attempt, with the bytes of the first.
func (m *Machine) again(v *visit) {
	delete(m.open, v.key)
	if !m.visit() {
		return
	}
	e := *v.effect
	e.Key = v.next()
	e.Attempt++
	v.effect = &e
	sl := &m.slots[v.step.Slot]
	sl.status, sl.attempts = StepRunning, e.Attempt
	m.send(v)
}
