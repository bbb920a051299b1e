package engine

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/tappet-dev/tappet/engine/expr"
	"github.com/tappet-dev/tappet/engine/graph"
	"github.com/tappet-dev/tappet/engine/machine"
	"github.com/tappet-dev/tappet/engine/program"
	"github.com/tappet-dev/tappet/sdk"
)

// A StepTest asks what one step does with an event.
type StepTest struct {
	Graph, Step string
	// Version is a published one; 0: the draft.
	Version int
	// Event is the event; without one that of Run, and without either the event
	// of the graph's newest run, or else one made of the trigger's type.
	Event json.RawMessage
	Run   RunID
	// Steps are outputs of the steps before it. One that isn't given is that of
	// the run, or else made of the step's type.
	Steps map[string]json.RawMessage
}

// A Source tells where a value of a test comes from.
type Source string

// The sources.
const (
	// SourceGiven: it was in the StepTest.
	SourceGiven Source = "given"
	// SourceRun: it is what a run had.
	SourceRun Source = "run"
	// SourceExample: it is made of a type.
	SourceExample Source = "example"
)

// A StepTested is what a step did. No secret is in it.
type StepTested struct {
	// Event and Steps tell where the event and the outputs of the steps before
	// come from; Run is whose they are, if they are a run's.
	Event Source
	Steps map[string]Source
	Run   RunID
	// Input are the mapped fields, a JSON object; nil when they couldn't be
	// computed, and of a step without `use`.
	Input json.RawMessage
	// Hops are what was sent and what came back, in order.
	Hops      []Hop
	Exchanges []Exchange
	// Output is what the step gives; with Err it is what the failed call brought
	// along, nil if nothing.
	Output   json.RawMessage
	Err      *machine.Error
	Warnings []string
	// Schemas are inferred from the output of a step that has succeeded: one for
	// each input field that takes the schema of a member of it.
	Schemas map[string]json.RawMessage
}

// maxCaptured is how many hops of a test are kept.
const maxCaptured = 20

// TestStep carries one step out: it calls the step's action once, as a run
// would, and stores nothing. It takes at most the step's timeout and
// Limits.CallTimeout. That the step fails is no error; errors are of kind
// NotFound, or Invalid when the document or what was given is wrong.
func (e *Engine) TestStep(ctx context.Context, q StepTest) (StepTested, error) {
	t, err := e.stepTrial(ctx, q)
	if err != nil {
		return StepTested{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, t.timeout())
	defer cancel()
	var hide mask
	t.condition()
	switch t.step.Verb {
	case program.Use:
		t.use(ctx, &hide)
	case program.Set:
		t.out.Output, t.out.Err = t.value(t.step.Set, "/set")
	case program.Respond:
		t.respond()
	}
	return t.out, nil
}

// testKey is an idempotency key that no run has.
func testKey() string { return "test-" + strings.ToLower(rand.Text()) }

// A stepTrial is one step with what it sees.
type stepTrial struct {
	e       *Engine
	graph   GraphID
	version *compiled
	step    *program.Step
	env     *expr.Env
	seed    string
	out     StepTested
}

// stepTrial finds the step, and what it sees.
func (e *Engine) stepTrial(ctx context.Context, q StepTest) (*stepTrial, error) {
	op := "test step " + q.Step + " of " + q.Graph
	g, err := e.o.Graphs.GraphByName(ctx, q.Graph)
	if err != nil {
		return nil, err
	}
	t := &stepTrial{e: e, graph: g.ID, seed: e.o.IDs.NewRun().String()}
	if t.version, err = e.tested(ctx, op, g, q.Version); err != nil {
		return nil, err
	}
	p := t.version.program
	if t.step = p.ByID[q.Step]; t.step == nil {
		return nil, errorf(NotFound, op, "there is no step %.100q", q.Step)
	}
	if err := q.check(op, p, e.o.Limits); err != nil {
		return nil, err
	}
	event, run, err := t.event(ctx, op, q, g)
	if err != nil {
		return nil, err
	}
	t.out.Steps = map[string]Source{}
	sample := Sample{Event: event, Steps: map[string]json.RawMessage{}, Graph: p.Name, Step: t.step.ID, Now: e.now()}
	failing := p.Failure != nil && slices.Contains(p.Failure.Steps, t.step)
	var seen []*program.Step
	if !failing {
		seen = before(p.Top, t.step)
	} else {
		seen = append(before(p.Failure, t.step), p.Top.Steps...)
	}
	for _, s := range seen {
		sample.Steps[s.ID], t.out.Steps[s.ID] = t.output(q, run, s)
	}
	t.env = sample.env(max(1, q.Version, g.Version))
	t.env.Limits = p.Limits
	if id, ok := t.env.Values[program.VarRun].(map[string]any); ok {
		id["id"] = t.seed
	}
	if failing {
		t.env.Values[program.VarError] = failureOf(run, p.Top)
	}
	return t, nil
}

// tested compiles what is tested.
func (e *Engine) tested(ctx context.Context, op string, g StoredGraph, version int) (*compiled, error) {
	if version != 0 {
		return e.compiled(ctx, g.ID, version)
	}
	doc, problems := graph.Parse(g.Draft, g.DraftFormat, e.o.Limits.Document)
	if doc == nil {
		return nil, &Error{Kind: Invalid, Op: op, Problems: problems}
	}
	p, more := program.Build(doc, e.live(ctx))
	if p == nil {
		problems = slices.DeleteFunc(append(problems, more...), func(x Problem) bool { return x.Warning })
		return nil, &Error{Kind: Invalid, Op: op, Problems: problems}
	}
	return &compiled{program: p}, nil
}

// check looks at what was given.
func (q *StepTest) check(op string, p *program.Program, l Limits) error {
	var problems []Problem
	one := func(pointer string, doc json.RawMessage) {
		if len(doc) > l.EventBytes {
			problems = append(problems, Problem{Pointer: pointer, Code: "limit", Message: fmt.Sprintf("it has %d bytes, the limit is %d (limits.event_bytes)", len(doc), l.EventBytes)})
		} else if err := expr.CheckJSON(doc, l.EventDepth); err != nil {
			problems = append(problems, Problem{Pointer: pointer, Code: "syntax", Message: err.Error()})
		}
	}
	if len(q.Event) > 0 {
		if !q.Run.IsZero() {
			problems = append(problems, Problem{Pointer: "/run", Code: "parameter", Message: "give either an event or a run"})
		}
		one("/event", q.Event)
	}
	for id, doc := range q.Steps {
		at := graph.Pointer("/steps", id)
		if p.ByID[id] == nil {
			problems = append(problems, Problem{Pointer: at, Code: "unknown_step", Message: "the graph has no such step"})
			continue
		}
		one(at, doc)
	}
	if len(problems) > 0 {
		slices.SortFunc(problems, func(a, b Problem) int { return strings.Compare(a.Pointer, b.Pointer) })
		return &Error{Kind: Invalid, Op: op, Problems: problems}
	}
	return nil
}

// event finds the event, and the run that it is of, if any.
func (t *stepTrial) event(ctx context.Context, op string, q StepTest, g StoredGraph) (json.RawMessage, *RunView, error) {
	if len(q.Event) > 0 {
		t.out.Event = SourceGiven
		return q.Event, nil, nil
	}
	id := q.Run
	if id.IsZero() {
		page, err := t.e.o.Runner.Runs(ctx, RunQuery{Graph: g.ID, Limit: 1})
		if err != nil {
			return nil, nil, err
		}
		if len(page.Runs) == 0 {
			t.out.Event = SourceExample
			return exampleOf(t.version.program.Trigger.Event), nil, nil
		}
		id = page.Runs[0].ID
	}
	run, err := t.e.Run(ctx, id)
	if err != nil {
		return nil, nil, err
	}
	if run.Graph != g.ID {
		return nil, nil, errorf(NotFound, op, "the run %s is of another graph", id)
	}
	t.out.Event, t.out.Run = SourceRun, id
	return run.Event, &run, nil
}

// output gives what a step before has given.
func (t *stepTrial) output(q StepTest, run *RunView, s *program.Step) (json.RawMessage, Source) {
	if doc, ok := q.Steps[s.ID]; ok {
		return doc, SourceGiven
	}
	if run != nil {
		for i := range run.Steps {
			if v := &run.Steps[i]; v.ID == s.ID && v.Status == machine.StepSucceeded && v.Output != nil {
				return v.Output, SourceRun
			}
		}
	}
	return exampleOf(s.Output), SourceExample
}

// before gives the steps that settle before a step.
func before(list *program.List, of *program.Step) []*program.Step {
	seen := map[int]bool{}
	var out []*program.Step
	var walk func(s *program.Step)
	walk = func(s *program.Step) {
		for _, i := range s.Preds {
			if !seen[i] {
				seen[i] = true
				out = append(out, list.Steps[i])
				walk(list.Steps[i])
			}
		}
	}
	walk(of)
	return out
}

// failureOf is what the steps of on_failure see of why a run has failed: that of
// the run, else an example.
func failureOf(run *RunView, top *program.List) any {
	bad := &machine.Error{Kind: string(sdk.Failed), Message: "text", Step: top.Steps[len(top.Steps)-1].ID}
	if run != nil && run.Err != nil {
		bad = run.Err
	}
	v := map[string]any{"kind": bad.Kind, "message": bad.Message, "step": bad.Step, "retryable": bad.Retryable, "data": nil}
	if len(bad.Data) > 0 {
		v["data"] = expr.NewRaw(bad.Data)
	}
	return v
}

func (t *stepTrial) timeout() time.Duration {
	if d := t.step.Timeout; d > 0 {
		return min(d, t.e.o.Limits.CallTimeout)
	}
	return t.e.o.Limits.CallTimeout
}

func (t *stepTrial) warn(format string, args ...any) {
	t.out.Warnings = append(t.out.Warnings, fmt.Sprintf(format, args...))
}

// at is what the expressions at a place see.
func (t *stepTrial) at(part string) *expr.Env {
	t.env.Seed = []byte(t.seed + "/" + t.step.ID + part)
	return t.env
}

// fault makes an error of the step of an expression's.
func (t *stepTrial) fault(part string, err error) *machine.Error {
	p := evaluationProblem(err)
	bad := &machine.Error{Kind: machine.KindExpression, Message: p.Message, Step: t.step.ID, Pointer: t.step.Pointer + part + p.Pointer}
	if p.Line > 0 {
		bad.Message = strconv.Itoa(p.Line) + ":" + strconv.Itoa(p.Column) + ": " + p.Message
	}
	return bad
}

func (t *stepTrial) value(x *expr.Template, part string) (json.RawMessage, *machine.Error) {
	if x == nil {
		return json.RawMessage("null"), nil
	}
	doc, err := x.AppendJSON(nil, t.at(part))
	if err != nil {
		return nil, t.fault(part, err)
	}
	return doc, nil
}

// condition tells when a run would skip the step.
func (t *stepTrial) condition() {
	if t.step.If == nil {
		return
	}
	v, err := t.step.If.Eval(t.at("/if"))
	switch {
	case err != nil:
		t.warn("in a run the step would fail, since its condition does: %s", t.fault("/if", err).Message)
	case v != true:
		t.warn("a run would skip the step: its condition is false for this event")
	}
}

// respond gives the parts of the answer.
func (t *stepTrial) respond() {
	a := t.step.Answer
	out := sdk.Fields{{Name: "status", Value: json.RawMessage("200")}}
	for _, part := range []struct {
		name string
		x    *expr.Template
	}{{"status", a.Status}, {"headers", a.Headers}, {"body", a.Body}} {
		if part.x == nil && part.name == "status" {
			continue
		}
		doc, bad := t.value(part.x, "/respond/"+part.name)
		if bad != nil {
			t.out.Err = bad
			return
		}
		if part.name == "status" {
			out = out[:0]
		}
		out = append(out, sdk.Field{Name: part.name, Value: doc})
	}
	t.out.Output = out.JSON()
}

func (t *stepTrial) action() (Connector, *sdk.Action, error) {
	c, member, err := t.version.at(t.e.o.Connectors, t.step.Action)
	if err != nil {
		return c, nil, err
	}
	a, err := findAction(c, t.step.Action, member)
	return c, a, err
}

// fields computes the input, with references to secrets in it.
func (t *stepTrial) fields() (sdk.Fields, *machine.Error) {
	var out sdk.Fields
	for _, f := range t.step.With {
		doc, err := f.Value.AppendJSON(nil, t.at("/with/"+f.Name))
		if err != nil {
			return nil, t.fault(graph.Pointer("/with", f.Name), err)
		}
		out = append(out, sdk.Field{Name: f.Name, Value: doc})
	}
	if p := t.step.Paginate; p != nil {
		first, err := (&pager{how: p, input: out}).first()
		if err != nil {
			return nil, failure(&mask{}, t.step.ID, nil, err)
		}
		t.warn("only the first page is asked for")
		return first, nil
	}
	return out, nil
}

// use calls the step's action.
func (t *stepTrial) use(ctx context.Context, hide *mask) {
	e := t.e
	c, a, err := t.action()
	if err != nil {
		t.out.Err = &machine.Error{Kind: string(sdk.Unavailable), Step: t.step.ID, Message: err.Error()}
		return
	}
	mapped, bad := t.fields()
	if bad != nil {
		t.out.Err = bad
		return
	}
	t.out.Input = mapped.JSON()
	if t.step.Connection != "" && e.o.Connections == nil {
		t.out.Err = failure(hide, t.step.ID, nil, e.usable(ctx, t.step.Connection))
		return
	}
	eff := &machine.Effect{Step: t.step.ID, Action: t.step.Action}
	for i, f := range mapped {
		x := machine.Field{Name: f.Name, Value: f.Value}
		if i < len(t.step.With) {
			x.To = t.step.With[i].To
		}
		eff.Input = append(eff.Input, x)
	}
	input, bad := e.reveal(ctx, hide, eff)
	if bad != nil {
		t.out.Err = bad
		return
	}
	var (
		mu       sync.Mutex
		captures []Capture
		over     bool
		warn     warnings
	)
	host, done := e.o.Hosts.Host(ctx, HostCall{
		Connector: c, Config: func() []byte { return input.JSON() }, Graph: t.graph, Run: t.out.Run, Step: t.step.ID,
		Connection: t.step.Connection, Conceal: hide.conceal,
		Warn:   func(msg string, args ...any) { warn.note(hide, msg, args) },
		Secret: func(ctx context.Context, name string) (string, error) { return e.noted(ctx, hide, name) }, Hide: hide.value,
		Record: func(x Exchange) {
			mu.Lock()
			defer mu.Unlock()
			if !over && len(t.out.Exchanges) < maxCaptured {
				t.out.Exchanges = append(t.out.Exchanges, x)
			}
		},
		Capture: func(list []Capture) {
			mu.Lock()
			defer mu.Unlock()
			for _, x := range list {
				// Where there was no connection nothing was sent.
				if !over && len(x.Request) > 0 && len(captures) < maxCaptured {
					captures = append(captures, x)
				}
			}
		},
	})
	res, err := e.do(ctx, hide, a, host, sdk.ActionCall{Action: a.Name, Input: input, IdempotencyKey: testKey()})
	if res, err = t.judged(ctx, c, res, err); err == nil {
		err = e.fits(t.step, res.Output)
	}
	if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		err = sdk.Errorf(sdk.Timeout, "the call took longer than %s: %w", t.timeout(), err)
	}
	done()
	mu.Lock()
	defer mu.Unlock()
	over = true
	t.out.Warnings = append(t.out.Warnings, warn.end()...)
	for _, x := range captures {
		hide.note(x)
	}
	for _, x := range captures {
		t.out.Hops = append(t.out.Hops, hide.hop(x))
	}
	for i := range t.out.Exchanges {
		hide.exchange(&t.out.Exchanges[i])
	}
	for i, w := range t.out.Warnings {
		t.out.Warnings[i] = clip(hide.text(w))
	}
	t.out.Input, t.out.Output = hide.json(input.JSON()), hide.json(res.Output)
	if err != nil {
		t.out.Err = failure(hide, t.step.ID, nil, err)
		return
	}
	t.out.Schemas = schemasOf(a.Output, t.out.Output)
}

// schemasOf infers schemas from what an action of the given output has given. They
// are open: that an answer has more another time is no failure.
func schemasOf(schema, output json.RawMessage) map[string]json.RawMessage {
	fields := program.DeclaredBy(schema)
	var members map[string]json.RawMessage
	if len(fields) == 0 || json.Unmarshal(output, &members) != nil {
		return nil
	}
	out := map[string]json.RawMessage{}
	for member, field := range fields {
		if doc := members[member]; doc != nil && string(doc) != "null" {
			out[field] = program.SampleOf(doc, false).Schema()
		}
	}
	return out
}

// judged applies success_when to a result, as a run does.
func (t *stepTrial) judged(ctx context.Context, c Connector, res sdk.Result, err error) (sdk.Result, error) {
	if bad := t.e.checkOutput(c, res.Output); bad != nil {
		return sdk.Result{}, errors.Join(err, bad)
	}
	s := t.step.Success
	if s == nil || err != nil && (res.Output == nil || ctx.Err() != nil) {
		return res, err
	}
	t.env.Values[program.VarOutput] = expr.NewRaw(res.Output)
	v, bad := s.When.Eval(t.at("/success_when/1"))
	switch {
	case bad != nil && err != nil:
	case bad != nil:
		err = t.fault("/success_when", bad)
	case v == true:
		err = nil
	case err != nil:
		err = fmt.Errorf("%w; success_when is false: %s", err, s.Source)
	default:
		err = sdk.Errorf(sdk.Failed, "success_when is false: %s", s.Source)
	}
	return res, err
}
