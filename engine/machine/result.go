package machine

import (
	"encoding/json"
	"errors"
	"slices"
	"strconv"

	"github.com/tappet-dev/tappet/engine/expr"
	"github.com/tappet-dev/tappet/engine/program"
)

// A Scene is what the expressions of a step see while its call is under way:
// the same as those of its `with` saw. It is immutable and safe for concurrent
// use.
type Scene struct {
	step *program.Step
	m    *Machine
}

// scene keeps what s sees now for what it says about its call's results; nil
// when it says nothing.
func (m *Machine) scene(s *program.Step) *Scene {
	if s.Success == nil && s.Paginate == nil {
		return nil
	}
	return &Scene{step: s, m: m.frozen()}
}

// frozen is a copy that is only looked at: what it shares with m never changes,
// and nothing of what expressions have read so far is in it.
func (m *Machine) frozen() *Machine {
	c := &Machine{p: m.p, run: m.run, limits: m.limits, now: m.now, started: m.started, slots: slices.Clone(m.slots), cause: m.cause}
	for i := range c.slots {
		c.slots[i].value, c.slots[i].read = nil, false
	}
	c.values[program.VarTrigger] = m.values[program.VarTrigger]
	return c
}

// A Result evaluates what a step says about the results of one attempt:
// success_when and paginate. It is for one goroutine.
type Result struct {
	step   *program.Step
	m      *Machine
	values [program.NumResultVars]any
	place  string
}

// Result gives a Result that hasn't seen any output yet. A nil Scene gives nil:
// the step says nothing about its results.
func (s *Scene) Result() *Result {
	if s == nil {
		return nil
	}
	r := &Result{step: s.step, m: s.m.frozen()}
	r.m.bind(nil)
	r.m.values[program.VarTrigger] = s.m.values[program.VarTrigger]
	copy(r.values[:], r.m.values[:])
	r.m.env.Values = r.values[:]
	return r
}

// Paginate gives the step's paginate, nil if it has none.
func (r *Result) Paginate() *program.Paginate { return r.step.Paginate }

// See makes output, a valid JSON value, the result of the page, which counts
// from 1.
func (r *Result) See(output json.RawMessage, page int) {
	r.values[program.VarOutput], r.values[program.VarPage] = raw(output), page
	r.place = strconv.Itoa(page)
}

// Success says whether the output is a success, and whether the step says so
// at all; the error is of kind expression.
func (r *Result) Success() (holds, says bool, err *Error) {
	if r.step.Success == nil {
		return false, false, nil
	}
	holds, err = r.boolean(r.step.Success.When, "/success_when")
	return holds, true, err
}

// Condition is the source of success_when, for people.
func (r *Result) Condition() string { return r.step.Success.Source }

// Items gives the list of the page, JSON.
func (r *Result) Items() (json.RawMessage, *Error) {
	const part = "/paginate/items"
	doc, err := r.json(r.step.Paginate.Items, part)
	if err == nil && doc[0] != '[' {
		err = failed(r.step, part, errors.New("items must be the list of a page; it gave "+kindOf(doc[0])))
	}
	return doc, err
}

// Until says whether the step has got enough.
func (r *Result) Until() (bool, *Error) {
	if r.step.Paginate.Until == nil {
		return false, nil
	}
	return r.boolean(r.step.Paginate.Until, "/paginate/until")
}

// Next gives what leads to the next page, JSON: a URL, a Link header or what a
// field takes.
func (r *Result) Next() (json.RawMessage, *Error) {
	part := "/paginate/next"
	switch r.step.Paginate.Way {
	case program.PageLink:
		part = "/paginate/link"
	case program.PageValue:
		part = "/paginate/cursor/value"
	case program.PageURL, program.PageCount, program.PageItems:
	}
	return r.json(r.step.Paginate.Next, part)
}

// Fail makes an error of the step at a part of its paginate.
func (r *Result) Fail(kind, part, message string) *Error {
	return &Error{Kind: kind, Message: message, Step: r.step.ID, Pointer: r.step.Pointer + "/paginate/" + part}
}

func (r *Result) boolean(t *expr.Template, part string) (bool, *Error) {
	v, err := t.Eval(r.m.at(r.step, part, "/", r.place))
	if err != nil {
		return false, failed(r.step, part, err)
	}
	holds, ok := v.(bool)
	if !ok {
		return false, failed(r.step, part, errors.New("a condition must give true or false"))
	}
	return holds, nil
}

func (r *Result) json(t *expr.Template, part string) (json.RawMessage, *Error) {
	if doc, ok := t.Constant(); ok {
		return doc, nil
	}
	doc, err := t.AppendJSON(nil, r.m.at(r.step, part, "/", r.place))
	if err != nil {
		return nil, failed(r.step, part, err)
	}
	return doc, nil
}

// kindOf names the kind of a JSON value by its first byte.
func kindOf(first byte) string {
	switch first {
	case '{':
		return "an object"
	case '[':
		return "a list"
	case '"':
		return "a text"
	case 't', 'f':
		return "a boolean"
	case 'n':
		return "null; write ?? [] where a page may have no list"
	}
	return "a number"
}
