package machine

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tappet-dev/tappet/engine/expr"
	"github.com/tappet-dev/tappet/engine/program"
)

// What expressions see of a run. The types are views of the machine and of a
// slot, so making one costs nothing.
type (
	outputs  Machine // steps
	steps    Machine // step("id")
	runView  Machine // run
	graph    Machine // graph
	slotView slot    // step("id").x
)

var (
	_ expr.Lister = (*outputs)(nil)
	_ expr.Lister = (*steps)(nil)
	_ expr.Lister = (*runView)(nil)
	_ expr.Lister = (*graph)(nil)
	_ expr.Lister = (*slotView)(nil)
)

// bind gives the roots of the scope their values.
func (m *Machine) bind(event json.RawMessage) {
	m.values = [program.NumVars]any{
		program.VarTrigger: raw(event),
		program.VarSteps:   (*outputs)(m),
		program.VarStep:    (*steps)(m),
		program.VarRun:     (*runView)(m),
		program.VarGraph:   (*graph)(m),
	}
	if m.cause != nil {
		m.values[program.VarError] = fault(m.cause)
	}
	m.env = expr.Env{Values: m.values[:], Limits: m.limits.Expr}
}

// fault is an error as expressions see it.
func fault(e *Error) map[string]any {
	return map[string]any{
		"kind":      e.Kind,
		"message":   e.Message,
		"step":      e.Step,
		"retryable": e.Retryable,
		"data":      raw(e.Data),
	}
}

// at is what the expressions of a place see now: now() is the time of the fact
// being applied, and ids are derived from run, step and place (semantics.md,
// Names).
func (m *Machine) at(s *program.Step, place ...string) *expr.Env {
	m.env.Now = m.now.time()
	seed := append(append(append(m.env.Seed[:0], m.run.ID...), '/'), s.ID...)
	for _, p := range place {
		seed = append(seed, p...)
	}
	m.env.Seed = seed
	return &m.env
}

func (t Millis) time() time.Time { return time.UnixMilli(int64(t)).UTC() }

// raw makes a document a value; none is null. The driver has checked what facts
// carry; a document that can't even be begun reads as null, and one that breaks
// off further in is an error of the expression that gets there.
func raw(doc json.RawMessage) (v any) {
	if len(doc) == 0 {
		return nil
	}
	defer func() {
		if recover() != nil {
			v = nil
		}
	}()
	return expr.NewRaw(doc)
}

func (m *Machine) ids() []string {
	out := make([]string, 0, m.p.Slots)
	for _, s := range m.p.Top.Steps {
		out = append(out, s.ID)
	}
	if m.cause != nil {
		for _, s := range m.p.Failure.Steps {
			out = append(out, s.ID)
		}
	}
	return out
}

// Member gives the output of a step: null unless it has succeeded.
func (o *outputs) Member(id string) (any, bool) {
	s := o.p.ByID[id]
	if s == nil {
		return nil, false
	}
	sl := &o.slots[s.Slot]
	if !sl.read && sl.output != nil {
		sl.value, sl.read = raw(sl.output), true
	}
	return sl.value, true
}

// Names gives the ids of all steps.
func (o *outputs) Names() []string { return (*Machine)(o).ids() }

// Member gives what is known of a step.
func (o *steps) Member(id string) (any, bool) {
	s := o.p.ByID[id]
	if s == nil {
		return nil, false
	}
	return (*slotView)(&o.slots[s.Slot]), true
}

// Names gives the ids of all steps.
func (o *steps) Names() []string { return (*Machine)(o).ids() }

// Member gives status, output, error or attempts.
func (v *slotView) Member(name string) (any, bool) {
	switch name {
	case "status":
		return string(v.status), true
	case "output":
		return raw(v.output), true
	case "attempts":
		return v.attempts, true
	case "error":
		if v.err == nil {
			return nil, true
		}
		return fault(v.err), true
	}
	return nil, false
}

// Names gives what a step has.
func (v *slotView) Names() []string { return []string{"status", "output", "error", "attempts"} }

// Member gives id, started_at or attempt.
func (r *runView) Member(name string) (any, bool) {
	switch name {
	case "id":
		return r.run.ID, true
	case "started_at":
		return r.started.time().Format("2006-01-02T15:04:05.000Z07:00"), true
	case "attempt":
		return r.run.Attempt, true
	}
	return nil, false
}

// Names gives what a run has.
func (r *runView) Names() []string { return []string{"id", "started_at", "attempt"} }

// Member gives name or version.
func (g *graph) Member(name string) (any, bool) {
	switch name {
	case "name":
		return g.p.Name, true
	case "version":
		return g.run.Version, true
	}
	return nil, false
}

// Names gives what a graph has.
func (g *graph) Names() []string { return []string{"name", "version"} }

// condition evaluates an `if`.
func (m *Machine) condition(s *program.Step) (bool, *Error) {
	v, err := s.If.Eval(m.at(s, "/if"))
	if err != nil {
		return false, failed(s, "/if", err)
	}
	holds, ok := v.(bool)
	if !ok {
		return false, failed(s, "/if", errors.New("a condition must give true or false"))
	}
	return holds, nil
}

// value computes a JSON value of a step; part is its place below the step. Nil
// means null.
func (m *Machine) value(s *program.Step, t *expr.Template, part string) ([]byte, *Error) {
	if t == nil {
		return []byte("null"), nil
	}
	if doc, ok := t.Constant(); ok {
		return doc, nil
	}
	buf, err := t.AppendJSON(m.scratch[:0], m.at(s, part))
	if err != nil {
		return nil, failed(s, part, err)
	}
	return m.keep(buf), nil
}

// keptScratch is the largest buffer that a run keeps between two steps.
const keptScratch = 1 << 10

// keep gives the bytes of buf for good: a copy of their size when buf is worth
// keeping as the next scratch, else buf itself.
func (m *Machine) keep(buf []byte) []byte {
	if cap(buf) <= keptScratch {
		m.scratch = buf[:0]
		return bytes.Clone(buf)
	}
	m.scratch = nil
	return buf[:len(buf):len(buf)]
}

// failed makes an evaluation's error the step's; part is the place of the
// expression below the step.
func failed(s *program.Step, part string, err error) *Error {
	e := &Error{Kind: KindExpression, Message: err.Error(), Step: s.ID, Pointer: s.Pointer + part}
	var at *expr.Error
	if errors.As(err, &at) {
		e.Pointer += at.Pointer
		e.Message = at.Message
		if at.Line > 0 {
			e.Message = fmt.Sprintf("%d:%d: %s", at.Line, at.Column, at.Message)
		}
	}
	return e
}

// pointer escapes a name as a token of a JSON pointer (RFC 6901).
func pointer(name string) string {
	return strings.ReplaceAll(strings.ReplaceAll(name, "~", "~0"), "/", "~1")
}
