package engine

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/tappet-dev/tappet/engine/expr"
	"github.com/tappet-dev/tappet/engine/graph"
	"github.com/tappet-dev/tappet/engine/machine"
	"github.com/tappet-dev/tappet/engine/program"
)

// StartRun starts a run of the newest published version by hand. The event is
// the whole event, checked by the trigger's schema. A key makes it the same
// run when it is started again with it.
func (e *Engine) StartRun(ctx context.Context, name string, event json.RawMessage, key string) (Accepted, error) {
	op := "start a run of " + name
	g, err := e.published(ctx, op, name)
	if err != nil {
		return Accepted{}, err
	}
	v, err := e.o.Versions.Version(ctx, g.ID, g.Version)
	if err != nil {
		return Accepted{}, err
	}
	if err := e.checkStart(op, event, v.Specs.Trigger.Event); err != nil {
		return Accepted{}, err
	}
	p, err := e.Program(ctx, g.ID, g.Version)
	if err != nil {
		return Accepted{}, err
	}
	if problems := e.checkMembers(p.Trigger.Members, event); len(problems) > 0 {
		return Accepted{}, &Error{Kind: Invalid, Op: op, Problems: problems}
	}
	if key != "" {
		key = "start/" + key
	}
	acc, err := e.o.Runner.Accept(ctx, []Acceptance{{
		Run: e.o.IDs.NewRun(), Graph: g.ID, Version: g.Version, Key: key, Event: event, At: e.now(),
	}})
	if err != nil {
		return Accepted{}, err
	}
	return acc[0], nil
}

func (e *Engine) checkStart(op string, event, schema json.RawMessage) error {
	if len(event) > e.o.Limits.EventBytes {
		return errorf(TooLarge, op, "the event is %d bytes, the limit is %d (limits.event_bytes)", len(event), e.o.Limits.EventBytes)
	}
	if err := expr.CheckJSON(event, e.o.Limits.EventDepth); err != nil {
		return &Error{Kind: Invalid, Op: op, Problems: []Problem{{Code: "syntax", Message: "the event isn't JSON: " + err.Error()}}}
	}
	if problems := graph.CheckEvent(schema, event, graph.Limits{Bytes: e.o.Limits.EventBytes, Depth: e.o.Limits.EventDepth}); len(problems) > 0 {
		return &Error{Kind: Invalid, Op: op, Problems: problems}
	}
	return nil
}

// WaitRun waits until a run has ended or ctx ends, and says which it was.
func (e *Engine) WaitRun(ctx context.Context, id RunID) (ended bool, err error) {
	w := e.waiters.add(id)
	defer e.waiters.remove(id, w)
	// It may have ended before the waiter was there.
	run, _, err := e.o.History.Journal(ctx, id)
	if err != nil {
		return false, err
	}
	if run.State.Ended() {
		return true, nil
	}
	select {
	case <-w.end:
		return true, nil
	case <-ctx.Done():
		return false, nil
	}
}

// Runs lists runs, newest first; of all graphs when the name is empty.
func (e *Engine) Runs(ctx context.Context, graphName string, q RunQuery) (RunPage, error) {
	if graphName != "" {
		g, err := e.o.Graphs.GraphByName(ctx, graphName)
		if err != nil {
			return RunPage{}, err
		}
		q.Graph = g.ID
	}
	return e.o.Runner.Runs(ctx, q)
}

// CancelRun ends a run; one that has ended stays as it is.
func (e *Engine) CancelRun(ctx context.Context, id RunID) error {
	return e.o.Runner.Signal(ctx, id, machine.Fact{At: machine.Millis(e.now().UnixMilli()), Of: &machine.Cancel{}})
}

// Run gives a run with its steps and attempts, as its journal tells: the
// machine is replayed, so that what is shown is what happened.
func (e *Engine) Run(ctx context.Context, id RunID) (RunView, error) {
	run, recs, err := e.o.History.Journal(ctx, id)
	if err != nil {
		return RunView{}, err
	}
	v := RunView{Run: run, GraphName: e.GraphNames(ctx, []GraphID{run.Graph})[run.Graph]}
	p, err := e.Program(ctx, run.Graph, run.Version)
	if err != nil {
		return v, err
	}
	m := machine.New(p, machine.Run{ID: id.String(), Version: run.Version, Attempt: run.Attempt})
	m.Apply(machine.Fact{At: machine.Millis(run.AcceptedAt.UnixMilli()), Of: &machine.Accepted{Event: run.Event}})
	attempts := map[string][]Attempt{}
	for _, rec := range recs {
		f, ok, err := rec.Fact()
		if err != nil {
			return v, err
		}
		if ok {
			m.Apply(f)
		}
		if err := addAttempt(attempts, rec); err != nil {
			return v, err
		}
	}
	for _, k := range m.Open() {
		if eff := m.Effect(k); eff != nil && !run.State.Ended() {
			attempts[eff.Step] = append(attempts[eff.Step], Attempt{Number: eff.Attempt, State: "running", Waiting: e.waits.why(id, k)})
		}
	}
	for _, s := range m.Steps() {
		sv := StepView{StepView: s, Attempts: attempts[s.ID]}
		if st := p.ByID[s.ID]; st != nil && st.Verb == program.Use {
			sv.Use = st.Action
			if s.Started != 0 {
				sv.Mapping = mapping(st)
			}
		}
		v.Steps = append(v.Steps, sv)
	}
	if run.State == machine.Succeeded {
		_, v.Result, _ = m.State()
	}
	return v, nil
}

// mapping tells what the fields of an action's input are made from.
func mapping(s *program.Step) []Mapped {
	var out []Mapped
	for _, f := range s.With {
		for _, x := range f.Value.Sources() {
			out = append(out, Mapped{Pointer: graph.Pointer("", f.Name) + x.Pointer, Expression: x.Expression, Reads: x.Reads})
		}
	}
	return out
}

// addAttempt reads what a record says of an action's attempts.
func addAttempt(to map[string][]Attempt, rec Record) error {
	step, number := visit(rec.Path)
	switch rec.Kind {
	case RecordSettled:
		s, err := rec.Settled()
		if err != nil {
			return err
		}
		a := Attempt{Number: number, State: "succeeded", StartedAt: millis(s.Started), EndedAt: rec.At, Err: s.Err, Exchanges: s.Exchanges, Warnings: s.Warnings}
		if s.Err != nil {
			a.State = "failed"
		}
		to[step] = append(to[step], a)
	case RecordInDoubt:
		to[step] = append(to[step], Attempt{Number: number, State: "in_doubt", EndedAt: rec.At})
	case RecordFired, RecordCancel, RecordStarted:
	}
	return nil
}

// visit reads step and attempt out of a key: "entry", "entry#2", "entry#2?1",
// "!failure/notice".
func visit(k machine.Key) (step string, attempt int) {
	s, _, _ := strings.Cut(string(k), "?")
	step, num, ok := strings.Cut(s[strings.LastIndexByte(s, '/')+1:], "#")
	if !ok {
		return step, 1
	}
	for _, c := range num {
		if c < '0' || c > '9' {
			break
		}
		attempt = attempt*10 + int(c-'0')
	}
	return step, attempt
}
