package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/tappet-dev/tappet/engine/expr"
	"github.com/tappet-dev/tappet/engine/graph"
	"github.com/tappet-dev/tappet/engine/machine"
	"github.com/tappet-dev/tappet/engine/program"
)

// MaxTemplate is how many bytes of JSON a template may have that is tried out.
const MaxTemplate = 256 << 10

// A Sample stands for what an expression sees when a run evaluates it.
type Sample struct {
	// Event is `trigger`, and Steps are `steps`: outputs by id. Without a value
	// they are null. All of them are JSON documents.
	Event json.RawMessage
	Steps map[string]json.RawMessage
	// EventSchema and StepSchemas are their types, JSON Schemas; without one the
	// type is inferred from the value.
	EventSchema json.RawMessage
	StepSchemas map[string]json.RawMessage
	// Graph and Step name a stored graph and a step of its draft, whose scope the
	// expression then has; what the schemas leave open is inferred. An empty Step
	// sees the outputs of all that stands before the end.
	Graph, Step string
	// Key is the step's key in which the expression stands. In success_when and
	// paginate `output` is in scope, too, for which the step's own output in Steps
	// stands, and in a step with paginate `page`, which is 1. Empty, and any other
	// key: as in `with`.
	Key string
	// Now is what now() gives; the zero time is now.
	Now time.Time
}

// An Evaluation asks what an expression gives.
type Evaluation struct {
	// Expression is bare or in ${{ }}. Template is, instead of it, a JSON value
	// with ${{ }} in its texts, such as the `with` of a step.
	Expression string
	Template   json.RawMessage
	Sample     Sample
}

// Evaluated is what came of an Evaluation.
type Evaluated struct {
	// Value is JSON; nil when Problems has more than warnings. A secret in it is a
	// reference, {"$secret":"name"}.
	Value json.RawMessage
	// Type is the type that was inferred; nil when it couldn't be compiled.
	Type *expr.Type
	// Problems are those of compiling, or the one of evaluating (codes
	// "evaluation" and "limit"). Their pointers lead into Template, their lines and
	// columns into the text there.
	Problems []Problem
	// Usage is what was used of Budget.
	Usage, Budget expr.Usage
}

// OK says that there is a value.
func (e *Evaluated) OK() bool { return e.Value != nil }

// A Completing asks what may stand at a place in a source.
type Completing struct {
	// Source is an expression, or a text with ${{ }}.
	Source string
	// Cursor counts runes of Source from 0.
	Cursor int
	Sample Sample
}

// Evaluate tries an expression without a server: Sample.Graph has no meaning
// here and is refused. The error, of kind Invalid, is about the sample.
func Evaluate(q Evaluation) (Evaluated, error) { return evaluate(q, expr.Limits{}) }

func evaluate(q Evaluation, l expr.Limits) (Evaluated, error) {
	t, err := q.Sample.types()
	if err != nil {
		return Evaluated{}, err
	}
	if q.Sample.Graph != "" {
		return Evaluated{}, sampleError("/graph", "not_available", "there are no stored graphs here")
	}
	sc := program.ScopeFor(t.event, t.steps).WithLimits(l)
	return q.evaluate(sc, program.ScopeFor(t.closedEvent, t.closedSteps).WithLimits(l), l, 1)
}

// Evaluate tries an expression. Errors are of kind Invalid, about the sample,
// or NotFound.
func (e *Engine) Evaluate(ctx context.Context, q Evaluation) (Evaluated, error) {
	if q.Sample.Now.IsZero() {
		q.Sample.Now = e.now()
	}
	if q.Sample.Graph == "" {
		return evaluate(q, e.o.Limits.Expr)
	}
	t, err := q.Sample.types()
	if err != nil {
		return Evaluated{}, err
	}
	g, err := e.o.Graphs.GraphByName(ctx, q.Sample.Graph)
	if err != nil {
		return Evaluated{}, err
	}
	sc, err := e.scope(ctx, g, q.Sample, t.event)
	if err != nil {
		return Evaluated{}, err
	}
	closed, err := e.scope(ctx, g, q.Sample, t.closedEvent)
	if err != nil {
		return Evaluated{}, err
	}
	return q.evaluate(sc, closed, e.o.Limits.Expr, max(1, g.Version))
}

// Complete says what may stand at the cursor, without a server, as Evaluate
// does.
func Complete(q Completing) (expr.Completion, error) {
	t, err := q.types()
	if err != nil {
		return expr.Completion{}, err
	}
	if q.Sample.Graph != "" {
		return expr.Completion{}, sampleError("/graph", "not_available", "there are no stored graphs here")
	}
	return expr.Complete(q.Source, q.Cursor, program.ScopeFor(t.event, t.steps)), nil
}

// Complete says what may stand at the cursor. Errors are as of Evaluate.
func (e *Engine) Complete(ctx context.Context, q Completing) (expr.Completion, error) {
	if q.Sample.Graph == "" {
		return Complete(q)
	}
	t, err := q.types()
	if err != nil {
		return expr.Completion{}, err
	}
	g, err := e.o.Graphs.GraphByName(ctx, q.Sample.Graph)
	if err != nil {
		return expr.Completion{}, err
	}
	sc, err := e.scope(ctx, g, q.Sample, t.event)
	if err != nil {
		return expr.Completion{}, err
	}
	return expr.Complete(q.Source, q.Cursor, sc), nil
}

func (q *Completing) types() (sampleTypes, error) {
	if n := utf8.RuneCountInString(q.Source); q.Cursor < 0 || q.Cursor > n {
		return sampleTypes{}, sampleError("/cursor", "range", fmt.Sprintf("the cursor is from 0 to %d, the length of the source", n))
	}
	return q.Sample.types()
}

// A SampleEvent is an event to infer types from: the given one, or with Last
// that of the graph's newest run.
type SampleEvent struct {
	Event json.RawMessage
	Last  bool
}

// ValidateDraft is Validate of a stored draft; with a sample, what the
// trigger's schema leaves open is inferred from it. Errors are of kind NotFound,
// or Invalid about the sample.
func (e *Engine) ValidateDraft(ctx context.Context, name string, sample SampleEvent) (Validation, error) {
	g, err := e.o.Graphs.GraphByName(ctx, name)
	if err != nil {
		return Validation{}, err
	}
	event := sample.Event
	if sample.Last {
		if event, err = e.lastEvent(ctx, g); err != nil {
			return Validation{}, err
		}
	}
	s := Sample{Event: event}
	if _, err := s.types(); err != nil {
		return Validation{}, err
	}
	return e.validate(ctx, g.Draft, g.DraftFormat, event), nil
}

// lastEvent is that of a graph's newest run.
func (e *Engine) lastEvent(ctx context.Context, g StoredGraph) (json.RawMessage, error) {
	page, err := e.o.Runner.Runs(ctx, RunQuery{Graph: g.ID, Limit: 1})
	if err != nil {
		return nil, err
	}
	if len(page.Runs) == 0 {
		return nil, errorf(NotFound, "find the last event", "the graph %s has no run yet", g.Name)
	}
	run, _, err := e.o.History.Journal(ctx, page.Runs[0].ID)
	return run.Event, err
}

// validate tells all that is wrong with a document. With a sample, a valid JSON
// document, the types are those that it shows, and what they make a problem is a
// warning: another event may be different.
func (e *Engine) validate(ctx context.Context, src []byte, f graph.Format, sample json.RawMessage) Validation {
	doc, problems := graph.Parse(src, f, e.o.Limits.Document)
	if doc == nil {
		return Validation{Problems: problems}
	}
	p, more := program.Build(doc, e.live(ctx))
	v := Validation{Problems: append(problems, more...)}
	v.Problems = append(v.Problems, e.warnOfPath(ctx, doc, e.live(ctx), 0)...)
	v.OK = !hasErrors(v.Problems)
	if len(sample) > 0 {
		v.Inferred = true
		_, strict := program.BuildWith(doc, e.live(ctx), program.SampleOf(sample, true))
		v.Problems = append(v.Problems, bySample(more, strict)...)
		if sampled, _ := program.BuildWith(doc, e.live(ctx), program.SampleOf(sample, false)); sampled != nil {
			p = sampled
		}
	}
	if p == nil {
		return v
	}
	v.Trigger = p.Trigger.Event.Schema()
	v.Steps = make(map[string]StepTypes, len(p.ByID))
	for id, s := range p.ByID {
		v.Steps[id] = StepTypes{Input: s.Input().Schema(), Output: s.Output.Schema()}
	}
	return v
}

// scope is that of the place in a graph's draft that a sample names.
func (e *Engine) scope(ctx context.Context, g StoredGraph, at Sample, event *expr.Type) (*expr.Scope, error) {
	key := newScopeKey(g.Draft, []byte{byte(g.DraftFormat)}, []byte(at.Step), []byte(at.Key), event.Schema())
	kept, age := e.scopes.get(key)
	if kept != nil {
		return kept, nil
	}
	doc, problems := graph.Parse(g.Draft, g.DraftFormat, e.o.Limits.Document)
	if doc == nil {
		return nil, &Error{Kind: Invalid, Op: "read the draft of " + g.Name, Problems: problems}
	}
	of, what := program.ScopeOf, "step"
	if at.Key == "success_when" || at.Key == "paginate" {
		of, what = program.ResultScopeOf, "step with `use`"
	}
	sc, ok := of(doc, e.live(ctx), event, at.Step)
	if !ok {
		return nil, errorf(NotFound, "find step", "the draft of %s has no %s %.100q", g.Name, what, at.Step)
	}
	e.scopes.put(key, sc, age)
	return sc, nil
}

// sampleTypes are the types of a sample: open ones, and closed ones that show
// what the sample doesn't have.
type sampleTypes struct {
	event, closedEvent *expr.Type
	steps, closedSteps map[string]*expr.Type
}

// types reads the documents of a sample.
func (s *Sample) types() (sampleTypes, error) {
	t := sampleTypes{steps: map[string]*expr.Type{}, closedSteps: map[string]*expr.Type{}}
	var err error
	if t.event, t.closedEvent, err = sampleType("/scope/trigger", s.Event, "/schemas/trigger", s.EventSchema); err != nil {
		return t, err
	}
	ids := map[string]bool{}
	for id := range s.Steps {
		ids[id] = true
	}
	for id := range s.StepSchemas {
		ids[id] = true
	}
	for id := range ids {
		t.steps[id], t.closedSteps[id], err = sampleType(
			graph.Pointer("/scope/steps", id), s.Steps[id], graph.Pointer("/schemas/steps", id), s.StepSchemas[id])
		if err != nil {
			return t, err
		}
	}
	return t, nil
}

func sampleType(at string, doc json.RawMessage, schemaAt string, schema json.RawMessage) (open, closed *expr.Type, err error) {
	if len(doc) > 0 {
		problems := graph.CheckEvent(nil, doc, graph.Limits{Bytes: 16 << 20, Depth: 160})
		for i := range problems {
			problems[i].Pointer = at + problems[i].Pointer
		}
		if len(problems) > 0 {
			return nil, nil, &Error{Kind: Invalid, Op: "read sample", Problems: problems}
		}
	}
	switch {
	case len(schema) > 0:
		t, err := expr.ParseSchema(schema)
		if err != nil {
			return nil, nil, sampleError(schemaAt, "schema", err.Error())
		}
		return t, t, nil
	case len(doc) > 0:
		return program.SampleOf(doc, false), program.SampleOf(doc, true), nil
	}
	return expr.Any(), expr.Any(), nil
}

func sampleError(pointer, code, message string) error {
	return &Error{Kind: Invalid, Op: "read sample", Problems: []Problem{{Pointer: pointer, Code: code, Message: message}}}
}

// evaluate compiles in the open scope, warns of what the closed one doesn't
// have, and evaluates.
func (q Evaluation) evaluate(sc, closed *expr.Scope, l expr.Limits, version int) (Evaluated, error) {
	var out Evaluated
	t, problems, err := q.compile(sc)
	if err != nil {
		return out, err
	}
	_, strict, _ := q.compile(closed) // it is the same source
	out.Problems = append(problems, bySample(problems, strict)...)
	if t == nil {
		return out, nil
	}
	out.Type = t.Type()
	out.Budget = l.Budget()
	env := q.Sample.env(version)
	env.Usage, env.Limits = &out.Usage, l
	value, err := t.AppendJSON(nil, env)
	if err != nil {
		out.Problems = append(out.Problems, evaluationProblem(err))
		return out, nil
	}
	out.Value = value
	return out, nil
}

func evaluationProblem(err error) Problem {
	p := Problem{Code: "evaluation", Message: err.Error()}
	if e, ok := errors.AsType[*expr.Error](err); ok {
		p.Pointer, p.Line, p.Column, p.Message = e.Pointer, e.Line, e.Column, e.Message
		if e.Limit {
			p.Code = "limit"
		}
	}
	return p
}

// bySample makes warnings of the problems that a sample alone shows.
func bySample(problems, strict []Problem) []Problem {
	type place struct {
		pointer      string
		line, column int
	}
	at := func(p Problem) place { return place{p.Pointer, p.Line, p.Column} }
	told := map[place]bool{}
	for _, p := range problems {
		told[at(p)] = true
	}
	var out []Problem
	for _, p := range strict {
		if !told[at(p)] {
			p.Warning, p.Message = true, "by the sample event: "+p.Message
			out = append(out, p)
		}
	}
	return out
}

// compile gives nil with problems that aren't warnings.
func (q Evaluation) compile(sc *expr.Scope) (*expr.Template, []Problem, error) {
	if len(q.Template) == 0 {
		t, problems := expr.Expr(q.Expression, sc)
		return t, documentProblems("", problems, false), nil
	}
	if q.Expression != "" {
		return nil, nil, sampleError("/template", "parameter", "give either an expression or a template")
	}
	if len(q.Template) > MaxTemplate {
		return nil, nil, errorf(TooLarge, "read template", "the template has %d bytes, the limit is %d", len(q.Template), MaxTemplate)
	}
	if err := expr.CheckJSON(q.Template, 0); err != nil {
		return nil, nil, sampleError("/template", "syntax", "the template isn't JSON: "+err.Error())
	}
	r := templateReader{scope: sc}
	t := r.value(q.Template, "")
	if hasErrors(r.problems) {
		t = nil
	}
	return t, r.problems, nil
}

func documentProblems(pointer string, problems []expr.Problem, warning bool) []Problem {
	out := make([]Problem, len(problems))
	for i, p := range problems {
		out[i] = Problem{
			Pointer: pointer, Line: p.Line, Column: p.Column, Code: p.Code, Message: p.Message, Suggestion: p.Hint, Warning: warning,
		}
	}
	return out
}

// maxTemplateProblems is how many problems of a template are looked for.
const maxTemplateProblems = 100

// templateReader compiles a JSON value whose texts may hold expressions.
type templateReader struct {
	scope    *expr.Scope
	problems []Problem
	full     bool
}

func (r *templateReader) value(doc json.RawMessage, pointer string) *expr.Template {
	doc = bytes.TrimSpace(doc)
	switch doc[0] {
	case '"':
		if r.full {
			break
		}
		if len(r.problems) >= maxTemplateProblems {
			r.full = true
			r.problems = append(r.problems, Problem{
				Pointer: pointer, Code: "limit", Message: fmt.Sprintf("there are %d problems and warnings before this; the rest isn't looked at", len(r.problems)),
			})
			break
		}
		var text string
		_ = json.Unmarshal(doc, &text) // it was checked
		r.problems = append(r.problems, documentProblems(pointer, expr.Warnings(text), true)...)
		t, problems := expr.Text(text, r.scope)
		r.problems = append(r.problems, documentProblems(pointer, problems, false)...)
		if t == nil {
			return expr.Literal([]byte("null"))
		}
		return t
	case '[':
		var items []json.RawMessage
		_ = json.Unmarshal(doc, &items)
		list := make([]*expr.Template, len(items))
		for i, item := range items {
			list[i] = r.value(item, graph.Pointer(pointer, strconv.Itoa(i)))
		}
		return expr.List(list)
	case '{':
		var members []expr.Member
		d := json.NewDecoder(bytes.NewReader(doc))
		_, _ = d.Token()
		for d.More() {
			token, _ := d.Token()
			name, _ := token.(string)
			var v json.RawMessage
			if d.Decode(&v) != nil {
				break
			}
			members = append(members, expr.Member{Name: name, Value: r.value(v, graph.Pointer(pointer, name))})
		}
		return expr.Object(members)
	}
	// Behind too many problems a text is left as it is: there is no value, as
	// that is a problem, too.
	return expr.Literal(doc)
}

// env gives the values of a sample.
func (s *Sample) env(version int) *expr.Env {
	outputs, views := map[string]any{}, map[string]any{}
	for id, doc := range s.Steps {
		v := expr.NewRaw(doc)
		outputs[id] = v
		views[id] = map[string]any{"status": string(machine.StepSucceeded), "output": v, "error": nil, "attempts": 1}
	}
	var event any
	if len(s.Event) > 0 {
		event = expr.NewRaw(s.Event)
	}
	now := s.Now
	if now.IsZero() {
		now = SystemClock{}.Now()
	}
	name := s.Graph
	if name == "" {
		name = "sample"
	}
	// Ids are the same each time, and those of no run.
	env := &expr.Env{Now: now.UTC().Truncate(time.Millisecond), Values: make([]any, program.NumResultVars), Seed: []byte("sample"), Show: true}
	env.Values[program.VarTrigger] = event
	env.Values[program.VarSteps] = outputs
	env.Values[program.VarStep] = views
	env.Values[program.VarRun] = map[string]any{
		"id": RunID{}.String(), "started_at": now.UTC().Format("2006-01-02T15:04:05.000Z07:00"), "attempt": 1,
	}
	env.Values[program.VarGraph] = map[string]any{"name": name, "version": version}
	env.Values[program.VarError] = map[string]any{
		"kind": "failed", "message": "a sample of an error", "step": "", "retryable": false, "data": nil,
	}
	env.Values[program.VarOutput], env.Values[program.VarPage] = outputs[s.Step], 1
	return env
}
