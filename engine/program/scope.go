package program

import (
	"regexp"
	"slices"
	"strings"

	"github.com/tappet-dev/tappet/engine/expr"
	"github.com/tappet-dev/tappet/engine/graph"
)

// scopes knows what each step's expressions see: the outputs of the steps that
// have surely settled before it (semantics.md, Names).
type scopes struct {
	trigger, run, graph *expr.Type
	index               map[string]int
	steps               []graph.Step // of all lists, by their slots
	// top is how many of them are the run's own; the others are of on_failure.
	top    int
	before []set // of each step, the steps that settle before it
	// seen is what the steps of its list see of a step, late what those of
	// on_failure see of one of the run's own.
	seen, late []seenStep
	byID       []int // the steps by their ids, as a type has its members
	fault      *expr.Type
	status     *expr.Type
	lateStatus *expr.Type
	limits     expr.Limits
}

// A seenStep is a step as expressions see it.
type seenStep struct{ output, view expr.Prop }

// ScopeOf gives what the expressions of a step see; event is as in BuildWith. An
// empty id stands for a step that comes after all others. It is false when the
// document has no such step.
func ScopeOf(doc *graph.Document, cat Catalogue, event *expr.Type, id string) (*expr.Scope, bool) {
	if id == "" {
		after := *doc
		after.Steps, after.OnFailure = append(slices.Clone(doc.Steps), graph.Step{}), nil
		doc = &after
	}
	b, _ := build(doc, cat, event)
	at, ok := len(doc.Steps)-1, true
	if id != "" {
		at, ok = b.names.index[id]
	}
	if !ok {
		return nil, false
	}
	return b.names.of(at, &graph.Value{Kind: graph.String, Text: allSteps}), true
}

// allSteps is a text that makes a scope show all steps that can be seen.
const allSteps = "steps step"

// ResultScopeOf gives what the expressions see that a step has about its call's
// result, success_when and those of paginate; event is as in BuildWith. It is
// false when the document has no such step with an action.
func ResultScopeOf(doc *graph.Document, cat Catalogue, event *expr.Type, id string) (*expr.Scope, bool) {
	b, _ := build(doc, cat, event)
	at, ok := b.names.index[id]
	if !ok || b.names.steps[at].Verb != graph.VerbUse {
		return nil, false
	}
	output := expr.Any()
	if a := b.specs[b.names.steps[at].Use]; a != nil && a.err == nil {
		output = a.output
	}
	return b.names.ofResult(at, output, &graph.Value{Kind: graph.String, Text: allSteps}), true
}

// ScopeFor gives a scope of these types, each of which may be nil: any.
// Steps are the types of outputs.
func ScopeFor(event *expr.Type, steps map[string]*expr.Type) *expr.Scope {
	var outputs, views []expr.Prop
	s := newScopes(event)
	for id, t := range steps {
		outputs = append(outputs, expr.Prop{Name: id, Type: t})
		views = append(views, s.view(id, t, s.status))
	}
	return expr.NewScope(s.roots(expr.ObjectOf(outputs, nil), expr.ObjectOf(views, nil), expr.Var{})...)
}

// set is a set of steps by index.
type set []uint64

func newSet(n int) set { return make(set, (n+63)/64) }

func (s set) has(i int) bool { return i/64 < len(s) && s[i/64]>>(i%64)&1 == 1 }
func (s set) add(i int)      { s[i/64] |= 1 << (i % 64) }

// join adds the members of t, which isn't of more steps.
func (s set) join(t set) {
	for i := range t {
		s[i] |= t[i]
	}
}

func newScopes(event *expr.Type) *scopes {
	text := expr.StringType()
	s := &scopes{
		trigger: event,
		run:     expr.ObjectOf([]expr.Prop{{Name: "id", Type: text}, {Name: "started_at", Type: text}, {Name: "attempt", Type: expr.Int()}}, nil),
		graph:   expr.ObjectOf([]expr.Prop{{Name: "name", Type: text}, {Name: "version", Type: expr.Int()}}, nil),
		index:   map[string]int{},
		// Only a settled step is seen.
		status:     expr.Enum("succeeded", "skipped", "failed", "unknown"),
		lateStatus: expr.Enum("succeeded", "skipped", "failed", "unknown", "cancelled"),
	}
	s.fault = expr.ObjectOf([]expr.Prop{
		{Name: "kind", Type: text},
		{Name: "message", Type: text},
		{Name: "step", Type: text},
		{Name: "retryable", Type: expr.Bool()},
		{Name: "data", Type: expr.Any()},
	}, nil)
	return s
}

// add takes the steps of a list: first the run's own, then those of on_failure,
// which begin when all of the run's own have settled.
func (s *scopes) add(steps []graph.Step, list *List) {
	first := len(s.steps)
	if first == 0 {
		s.top = len(steps)
	}
	s.steps = slices.Concat(s.steps, steps)
	for n, step := range list.Steps {
		i := first + n
		if _, taken := s.index[step.ID]; !taken {
			s.index[step.ID] = i
		}
		before := newSet(first + len(steps))
		for j := range first {
			before.add(j)
		}
		for _, p := range step.Preds {
			before.add(first + p)
			before.join(s.before[first+p])
		}
		s.before, s.byID = append(s.before, before), append(s.byID, i)
	}
	s.seen = append(s.seen, make([]seenStep, len(steps))...)
	slices.SortStableFunc(s.byID, func(a, b int) int { return strings.Compare(s.steps[a].ID, s.steps[b].ID) })
}

// settle notes the output of the step at index i.
func (s *scopes) settle(i int, step *Step) {
	s.seen[i] = s.see(step.ID, step.Output, s.status)
	if i < s.top && s.top < len(s.steps) {
		// The run has failed: whether the step has been reached isn't known.
		s.late = append(s.late, s.see(step.ID, expr.Optional(step.Output), s.lateStatus))
	}
}

func (s *scopes) see(id string, output, status *expr.Type) seenStep {
	return seenStep{output: expr.Prop{Name: id, Type: output}, view: s.view(id, output, status)}
}

// view is what step("id") gives of a step with an output.
func (s *scopes) view(id string, output, status *expr.Type) expr.Prop {
	return expr.Prop{Name: id, Type: expr.ObjectOf([]expr.Prop{
		{Name: "status", Type: status},
		{Name: "output", Type: output},
		{Name: "error", Type: expr.Optional(s.fault)},
		{Name: "attempts", Type: expr.Int()},
	}, nil)}
}

// of gives the scope of the step at index i. What its values can't read, since
// they nowhere say its name, is left out: a large graph has many such steps.
func (s *scopes) of(i int, values ...*graph.Value) *expr.Scope {
	return expr.NewScope(s.visibleRoots(i, values)...).WithLimits(s.limits)
}

// ofResult is of, and what is seen only when a call of the step has given its
// output.
func (s *scopes) ofResult(i int, output *expr.Type, values ...*graph.Value) *expr.Scope {
	vars := append(s.visibleRoots(i, values), expr.Var{Name: "output", Type: output})
	if s.steps[i].Paginate != nil {
		vars = append(vars, expr.Var{Name: "page", Type: expr.Int()})
	}
	return expr.NewScope(vars...).WithLimits(s.limits)
}

// visibleRoots are the roots that the step at index i sees.
func (s *scopes) visibleRoots(i int, values []*graph.Value) []expr.Var {
	var fault expr.Var
	if i >= s.top {
		fault = expr.Var{Name: "error", Type: s.fault}
	}
	return s.roots(
		s.visible(i, "steps", values, func(x seenStep) expr.Prop { return x.output }),
		s.visible(i, "step", values, func(x seenStep) expr.Prop { return x.view }),
		fault,
	)
}

// roots gives the roots their places; fault is the zero Var where there is none.
func (s *scopes) roots(outputs, views *expr.Type, fault expr.Var) []expr.Var {
	vars := make([]expr.Var, NumVars, NumResultVars)
	vars[VarTrigger] = expr.Var{Name: "trigger", Type: s.trigger}
	vars[VarSteps] = expr.Var{Name: "steps", Type: outputs}
	vars[VarStep] = expr.Var{Name: "step", Type: views, Call: true}
	vars[VarRun] = expr.Var{Name: "run", Type: s.run}
	vars[VarGraph] = expr.Var{Name: "graph", Type: s.graph}
	vars[VarError] = fault
	return vars
}

// visible is an object of what step i sees, empty if no value says the word.
func (s *scopes) visible(i int, word string, values []*graph.Value, part func(seenStep) expr.Prop) *expr.Type {
	says := func(v *graph.Value) bool {
		return contains(v, func(text string) bool { return saysWord(text, word) })
	}
	var props []expr.Prop
	if slices.ContainsFunc(values, says) {
		for _, j := range s.byID {
			if !s.before[i].has(j) || s.steps[j].ID == "" {
				continue
			}
			seen := s.seen[j]
			if i >= s.top && j < s.top {
				seen = s.late[j]
			}
			props = append(props, part(seen))
		}
	}
	return expr.ObjectOf(props, nil)
}

// saysWord says whether word stands in the text and doesn't go on as a longer
// name.
func saysWord(text, word string) bool {
	for {
		_, rest, ok := strings.Cut(text, word)
		if !ok {
			return false
		}
		if rest == "" || !isNameByte(rest[0]) {
			return true
		}
		text = rest
	}
}

func isNameByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_'
}

// refersTo matches what stands in front of a step's id.
const refersTo = `\b(?:steps\s*(?:\??\.|(?:\?\.)?\[)|step\s*\()\s*$`

// unseen says why the step at index i can't see the step that a problem's
// place in src names; "" when the problem is about something else.
func (s *scopes) unseen(i int, src string, p expr.Problem) (message, hint string) {
	if p.Code != expr.CodeUnknownField && p.Code != expr.CodeUnknownName {
		return "", ""
	}
	front, rest := split(src, p.Line, p.Column)
	id := name(strings.TrimLeft(rest, "\"'` "))
	j, known := s.index[id]
	if !known || !regexp.MustCompile(refersTo).MatchString(front) {
		return "", ""
	}
	switch {
	case j == i:
		return "a step can't read its own output", ""
	case i < s.top && j >= s.top:
		return `step "` + id + `" is of on_failure, which runs after this one`, ""
	case j > i:
		return `step "` + id + `" stands below, so it hasn't settled when this one starts`, ""
	}
	return `step "` + id + `" runs beside this one and may not have settled when it starts`, `add "` + id + `" to after`
}

// split cuts src in front of a place.
func split(src string, line, column int) (front, rest string) {
	at := 0
	for ; line > 1; line-- {
		n := strings.IndexByte(src[at:], '\n')
		if n < 0 {
			return src, ""
		}
		at += n + 1
	}
	for i := range src[at:] {
		if column--; column == 0 {
			return src[:at+i], src[at+i:]
		}
	}
	return src, ""
}

// name is the id at the start of s.
func name(s string) string {
	for i := range len(s) {
		if !isNameByte(s[i]) {
			return s[:i]
		}
	}
	return s
}
