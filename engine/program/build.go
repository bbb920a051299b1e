package program

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/tappet-dev/tappet/engine/expr"
	"github.com/tappet-dev/tappet/engine/graph"
)

// maxProblems is how many problems Build tells.
const maxProblems = 100

// The kinds of triggers that ask a service themselves; `every` is for polls.
const (
	kindPoll   = "poll"
	kindStream = "stream"
)

// Build makes a program of a document, or tells all that is wrong with what it
// means. The program is nil when there is a problem that is no warning, and
// also when doc is broken, whose problems Parse has told.
func Build(doc *graph.Document, cat Catalogue) (*Program, []graph.Problem) {
	return BuildWith(doc, cat, nil)
}

// BuildWith is Build with a type of the event that is known from elsewhere,
// such as a sample (Sample, SampleOf): it stands where the trigger's own schema
// says nothing. With nil it is Build.
func BuildWith(doc *graph.Document, cat Catalogue, event *expr.Type) (*Program, []graph.Problem) {
	b, p := build(doc, cat, event)
	problems := b.done()
	if doc.Broken() || slices.ContainsFunc(problems, func(p graph.Problem) bool { return !p.Warning }) {
		return nil, problems
	}
	return p, problems
}

// build compiles what can be compiled.
func build(doc *graph.Document, cat Catalogue, event *expr.Type) (*builder, *Program) {
	b := &builder{doc: doc, cat: cat, event: event, specs: map[string]*action{}}
	p := &Program{
		Name:    doc.Name,
		Timeout: cmp.Or(doc.Timeout, graph.DefaultTimeout),
		Slots:   len(doc.Steps) + len(doc.OnFailure),
		Limits:  limitsOf(cat),
		ByID:    make(map[string]*Step, len(doc.Steps)+len(doc.OnFailure)),
	}
	b.trigger(&p.Trigger)
	b.names = newScopes(p.Trigger.Event)
	b.names.limits = p.Limits
	b.gate(p)
	p.Top = order(doc.Steps, 0)
	steps := p.Top.Steps
	b.names.add(doc.Steps, p.Top)
	if len(doc.OnFailure) > 0 {
		p.Failure = order(doc.OnFailure, len(doc.Steps))
		steps = slices.Concat(steps, p.Failure.Steps)
		b.names.add(doc.OnFailure, p.Failure)
	}
	for i, s := range steps {
		b.step(s, i)
		b.names.settle(i, s)
		if _, taken := p.ByID[s.ID]; s.ID != "" && !taken {
			p.ByID[s.ID] = s
		}
	}
	return b, p
}

// builder collects the problems of one document.
type builder struct {
	doc *graph.Document
	cat Catalogue
	// event is what is known of it beside the trigger's schema, or nil.
	event    *expr.Type
	specs    map[string]*action
	names    *scopes
	problems []graph.Problem
}

// action is a spec with what is made of its schemas, once for all its steps.
type action struct {
	spec          ActionSpec
	err           error
	input, output *expr.Type
	checker       *graph.Checker
	// files is what manyFiles has read of the input's schema.
	files map[string]string
}

// full says whether another problem would not be told.
func (b *builder) full() bool { return len(b.problems) > maxProblems }

func (b *builder) add(p graph.Problem) {
	if !b.full() {
		b.problems = append(b.problems, p)
	}
}

func (b *builder) fail(at graph.Pos, pointer, code, format string, args ...any) {
	b.add(graph.Problem{
		Pointer: pointer, Line: at.Line, Column: at.Column, Code: code, Message: fmt.Sprintf(format, args...),
	})
}

// done gives the problems by their place in the document.
func (b *builder) done() []graph.Problem {
	list := b.problems
	more := b.full()
	if more {
		list = list[:maxProblems]
	}
	slices.SortStableFunc(list, func(x, y graph.Problem) int {
		return cmp.Or(cmp.Compare(x.Line, y.Line), cmp.Compare(x.Column, y.Column))
	})
	if more {
		list = append(list, graph.Problem{
			Code: "limit", Message: fmt.Sprintf("there are more problems; only the first %d are told", maxProblems),
		})
	}
	return list
}

// unknown tells that the catalogue doesn't have a `use`.
func (b *builder) unknown(err error, at graph.Pos, pointer string) {
	p := graph.Problem{Pointer: pointer, Line: at.Line, Column: at.Column, Code: "unknown_use", Message: err.Error()}
	var u *UnknownUse
	if errors.As(err, &u) {
		p.Message, p.Suggestion = u.Message, u.Suggestion
	}
	b.add(p)
}

// typeOf makes a type of a schema; one that can't be used is told and takes
// everything, and isn't usable.
func (b *builder) typeOf(schema []byte, what, use string, at graph.Pos, pointer string) (t *expr.Type, usable bool) {
	t, err := expr.ParseSchema(schema)
	if err != nil {
		b.unusable(err, what, use, at, pointer)
		return expr.Any(), false
	}
	return t, true
}

// checkerOf makes a checker of a schema, nil if it can't be used.
func (b *builder) checkerOf(compile func([]byte) (*graph.Checker, error), schema []byte, what, use string, at graph.Pos, pointer string) *graph.Checker {
	c, err := compile(schema)
	if err != nil {
		b.unusable(err, what, use, at, pointer)
		return nil
	}
	return c
}

func (b *builder) unusable(err error, what, use string, at graph.Pos, pointer string) {
	b.fail(at, pointer, "schema", "the %s schema of %s can't be used: %v", what, use, err)
}

func (b *builder) trigger(to *Trigger) {
	t := &b.doc.Trigger
	to.Use, to.Every, to.Event, to.Config = t.Use, t.Every, expr.Any(), []byte("{}")
	to.Cron, to.TimeZone = t.Cron, t.TimeZone
	if t.With != nil {
		to.Config = t.With.JSON()
	}
	to.Event = refine(to.Event, b.event)
	if t.Use == "" {
		return
	}
	const pointer = "/trigger"
	spec, err := b.cat.Trigger(t.Use)
	if err != nil {
		b.unknown(err, t.UsePos, pointer+"/use")
		return
	}
	to.Use = spec.Use
	switch {
	case t.Connection == "":
	case spec.Kind != kindPoll && spec.Kind != kindStream:
		b.fail(t.ConnectionPos, pointer+"/connection", "unknown_field", `"connection" is for triggers that ask a service; %s waits to be called`, spec.Use)
	default:
		to.Connection = t.Connection
		b.connection(t.Connection, t.ConnectionPos, pointer+"/connection")
	}
	event, _ := b.typeOf(spec.Event, "event", spec.Use, t.UsePos, pointer+"/use")
	to.Members, event = b.declare(spec.Event, b.doc.Trigger.With, "/trigger/with", event, false)
	to.Event = refine(event, b.event)
	checker := b.checkerOf(graph.NewChecker, spec.Config, "config", spec.Use, t.UsePos, pointer+"/use")
	if t.Every > 0 && spec.Kind != kindPoll {
		b.fail(t.EveryPos, pointer+"/every", "unknown_field", `"every" is for triggers that are polled; %s isn't`, spec.Use)
	}
	b.times(t, &spec)
	with := t.With
	if with == nil {
		with = &graph.Value{Kind: graph.Object, Line: t.Pos.Line, Column: t.Pos.Column}
	}
	found := map[*graph.Value]bool{}
	walk(with, pointer+"/with", func(v *graph.Value, pointer string) {
		if isTemplate(v) {
			found[v] = true
			b.fail(place(v), pointer, "expression_not_allowed", "a trigger's config is constant; an expression has no place in it")
		}
	})
	if !b.check(checker, with, pointer+"/with", func(v *graph.Value) bool { return found[v] }) || len(found) > 0 {
		return
	}
	b.paths(&spec, with, pointer+"/with")
	if spec.Validate != nil {
		if err := spec.Validate(to.Config); err != nil {
			b.fail(place(with), pointer+"/with", "config", "%v", err)
		}
	}
}

// connection tells of a connection that isn't there; "" names none.
func (b *builder) connection(name string, at graph.Pos, pointer string) {
	known, ok := b.cat.(Connections)
	if name == "" || !ok {
		return
	}
	if err := known.Connection(name); err != nil {
		b.fail(at, pointer, "unknown_connection", "%v", err)
	}
}

// times checks when a poll is asked.
func (b *builder) times(t *graph.Trigger, spec *TriggerSpec) {
	switch {
	case t.Cron == "" && t.TimeZone == "":
	case t.Cron == "":
		b.fail(t.TimeZonePos, "/trigger/time_zone", "required", `"time_zone" says what the times of "cron" mean, and there is no "cron"`)
	case spec.Kind != kindPoll:
		b.fail(t.CronPos, "/trigger/cron", "unknown_field", `"cron" is for triggers that are polled; %s isn't`, spec.Use)
	case t.Every > 0:
		b.fail(t.CronPos, "/trigger/cron", "exclusive", `"every" and "cron" exclude each other: give one of them`)
	case spec.Times != nil:
		if err := spec.Times(t.Cron, t.TimeZone); err != nil {
			b.fail(t.CronPos, "/trigger/cron", "cron", "%v", err)
		}
	}
}

// check tells what violates a schema, and whether nothing does.
func (b *builder) check(c *graph.Checker, v *graph.Value, pointer string, open func(*graph.Value) bool) bool {
	if c == nil {
		return true
	}
	problems := c.Check(v, pointer, open)
	for _, p := range problems {
		b.add(p)
	}
	return len(problems) == 0
}

// order makes the steps of a list and what lies between them (G1, G2); slot is
// that of the first.
func order(steps []graph.Step, slot int) *List {
	to := &List{Steps: make([]*Step, len(steps))}
	index := make(map[string]int, len(steps))
	for i := range steps {
		from := &steps[i]
		s := &Step{
			ID: from.ID, Pointer: from.Pointer, Slot: slot + i, Timeout: from.Timeout,
			Continue: from.OnError == "continue", Retry: retry(from.Retry), Output: expr.Any(),
		}
		to.Steps[i] = s
		switch {
		case from.AfterSet:
			for _, id := range from.After {
				if p, ok := index[id]; ok && !slices.Contains(s.Preds, p) {
					s.Preds = append(s.Preds, p)
				}
			}
			slices.Sort(s.Preds)
		case i > 0:
			s.Preds = []int{i - 1}
		}
		for _, p := range s.Preds {
			to.Steps[p].Succs = append(to.Steps[p].Succs, i)
		}
		if len(s.Preds) == 0 {
			to.First = append(to.First, i)
		}
		if _, taken := index[from.ID]; !taken {
			index[from.ID] = i
		}
	}
	return to
}

// retry fills in the defaults.
func retry(r *graph.Retry) *Retry {
	if r == nil {
		return nil
	}
	to := &Retry{
		MaxAttempts:     cmp.Or(r.MaxAttempts, graph.DefaultMaxAttempts),
		InitialInterval: cmp.Or(r.InitialInterval, graph.DefaultInitialInterval),
		Multiplier:      graph.DefaultMultiplier,
		MaxInterval:     cmp.Or(r.MaxInterval, max(graph.DefaultMaxInterval, r.InitialInterval)),
		Jitter:          graph.DefaultJitter,
		MaxElapsed:      r.MaxElapsed,
		On:              slices.Clone(r.On),
	}
	if r.MaxInterval > 0 && r.InitialInterval == 0 {
		to.InitialInterval = min(to.InitialInterval, r.MaxInterval)
	}
	if r.Multiplier != nil {
		to.Multiplier = *r.Multiplier
	}
	if r.Jitter != nil {
		to.Jitter = *r.Jitter
	}
	return to
}
