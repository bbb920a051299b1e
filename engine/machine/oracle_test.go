package machine_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tappet-dev/tappet/engine/expr"
	"github.com/tappet-dev/tappet/engine/machine"
	"github.com/tappet-dev/tappet/engine/program"
)

// An oracle reads the rules in the simplest way: one step after the other, in
// written order, each to its end.
type oracle struct {
	p     *program.Program
	event string
	seed  uint32

	outputs, views map[string]any
	status         map[string]machine.Status
	prefix         string   // of the keys of the list's effects
	cause          string   // the kind of the failure that on_failure is about
	sent           []string // key and input of each effect
	answer         string
	result         string
	failed         string // the kind of the unhandled failure
}

func (o *oracle) run() {
	o.outputs, o.views, o.status = map[string]any{}, map[string]any{}, map[string]machine.Status{}
	for _, l := range lists(o.p) {
		for _, s := range l.Steps {
			o.set(s.ID, machine.StepSkipped, 0, "", nil)
		}
	}
	o.list(o.p.Top)
	if o.failed == "" || o.p.Failure == nil {
		return
	}
	o.cause, o.failed, o.prefix = o.failed, "", "!failure/"
	o.list(o.p.Failure)
	o.failed = o.cause // whatever has become of on_failure
}

func (o *oracle) list(l *program.List) {
	for _, s := range l.Steps {
		if o.step(s); o.failed != "" {
			return
		}
	}
}

func (o *oracle) set(id string, st machine.Status, attempts int, out string, err *machine.Error) {
	o.status[id] = st
	view := map[string]any{"status": string(st), "attempts": attempts, "error": nil, "output": nil}
	o.outputs[id], o.result = nil, "null"
	if out != "" {
		o.outputs[id] = expr.NewRaw([]byte(out))
		o.result = out
	}
	if err != nil {
		view["error"] = map[string]any{"kind": err.Kind, "message": err.Message}
	}
	o.views[id] = view
}

func (o *oracle) env() *expr.Env {
	return &expr.Env{
		Values: []any{expr.NewRaw([]byte(o.event)), o.outputs, o.views, nil, nil, map[string]any{"kind": o.cause}},
		Now:    time.UnixMilli(0),
	}
}

func (o *oracle) json(t *expr.Template) (string, *machine.Error) {
	b, err := t.AppendJSON(nil, o.env())
	if err != nil {
		return "", &machine.Error{Kind: machine.KindExpression}
	}
	return string(b), nil
}

func (o *oracle) step(s *program.Step) {
	if s.If != nil {
		v, err := s.If.Eval(o.env())
		holds, ok := v.(bool)
		if err != nil || !ok {
			o.set(s.ID, machine.StepFailed, 0, "", nil)
			o.failed = machine.KindExpression
			return
		}
		if !holds {
			o.set(s.ID, machine.StepSkipped, 0, "", nil)
			return
		}
	}
	attempts, out, err := 1, "", (*machine.Error)(nil)
	switch s.Verb {
	case program.Use:
		attempts, out, err = o.use(s)
	case program.Set:
		out, err = o.json(s.Set)
	case program.Respond:
		out, err = o.respond(s)
	}
	switch {
	case err == nil:
		o.set(s.ID, machine.StepSucceeded, attempts, out, nil)
		return
	case err.Kind == machine.KindUnknown:
		o.set(s.ID, machine.StepUnknown, attempts, "", err)
	default:
		o.set(s.ID, machine.StepFailed, attempts, "", err)
	}
	if !s.Continue {
		o.failed = err.Kind
	}
}

func (o *oracle) use(s *program.Step) (int, string, *machine.Error) {
	input := ""
	for _, f := range s.With {
		doc, err := o.json(f.Value)
		if err != nil {
			return 1, "", err
		}
		input += " " + f.Name + "=" + doc
	}
	for n := 1; ; n++ {
		key := o.prefix + s.ID
		if n > 1 {
			key = fmt.Sprintf("%s#%d", key, n)
		}
		o.sent = append(o.sent, key+input)
		of := result(o.seed, machine.Key(key))
		if of.Err == nil || s.Retry == nil || !of.Err.Retryable || n == s.Retry.MaxAttempts {
			return n, string(of.Output), of.Err
		}
	}
}

func (o *oracle) respond(s *program.Step) (string, *machine.Error) {
	status, err := o.json(s.Answer.Status)
	if err != nil || status < "200" {
		return "", &machine.Error{Kind: machine.KindExpression}
	}
	body, err := o.json(s.Answer.Body)
	if err == nil && o.answer == "" {
		o.answer = status + " " + body
	}
	return body, err
}

// TestOracle compares with the oracle: of a sequence everything; of a graph run
// in any order all but what the order decides, which is the first answer, and
// everything once a failure ends the run.
func TestOracle(t *testing.T) {
	t.Parallel()
	for _, seq := range []bool{true, false} {
		t.Run(map[bool]string{true: "sequence", false: "any order"}[seq], func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(t *rapid.T) { compare(t, seq) })
		})
	}
}

func compare(t *rapid.T, seq bool) {
	src := gen{t: t, seq: seq}.program()
	// How long the world takes is none of the oracle's business.
	src = strings.ReplaceAll(src, " elapsed=1m", "")
	t.Log(src)
	d := newDriver(t, mustProgram(t, src), uint32(pick(t, 1<<16)))
	d.accept()
	accepted, _ := d.journal[0].Of.(*machine.Accepted)
	o := &oracle{p: d.p, event: string(accepted.Event), seed: d.seed}
	o.run()
	if o.failed != "" && !seq {
		return
	}
	for d.end == nil {
		d.next(false)
	}
	want := map[string]any{"state": machine.Succeeded, "result": o.result, "kind": o.failed, "status": o.status}
	if o.failed != "" {
		want["state"], want["result"] = machine.Failed, ""
	}
	got := map[string]any{"state": d.end.State, "result": string(d.end.Result), "kind": ""}
	if d.end.Err != nil {
		got["kind"] = d.end.Err.Kind
	}
	status := map[string]machine.Status{}
	for _, v := range d.m.Steps() {
		status[v.ID] = v.Status
	}
	got["status"] = status
	sent := map[string]bool{}
	for _, s := range o.sent {
		sent[s] = true
	}
	gotSent := map[string]bool{}
	for k := range d.seen {
		if !strings.HasSuffix(string(k), "!again") && !strings.HasSuffix(string(k), "!limit") {
			gotSent[string(k)+d.inputs(k)] = true
		}
	}
	want["sent"], got["sent"] = sent, gotSent
	if seq {
		want["answers"], got["answers"] = min(1, len(o.answer)), d.answers
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("(-oracle +machine)\n%s", diff)
	}
}

// inputs gives the fields of the effect with key k.
func (d *driver) inputs(k machine.Key) string {
	path, _, _ := strings.Cut(string(k), "#")
	s := ""
	for _, f := range d.keys[path].Input {
		s += " " + f.Name + "=" + string(f.Value)
	}
	return s
}
