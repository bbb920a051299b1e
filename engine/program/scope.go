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
	steps               []graph.Step
	before              []set // of each step, the steps that settle before it
	outputs, views      []expr.Prop
	byID                []int // the steps by their ids, as a type has its members
	fault               *expr.Type
	status              *expr.Type
}

// ScopeOf gives what the expressions of a step see; event is as in BuildWith. An
// empty id stands for a step that comes after all others. It is false when the
// document has no such step.
func ScopeOf(doc *graph.Document, cat Catalogue, event *expr.Type, id string) (*expr.Scope, bool) {
	at := slices.IndexFunc(doc.Steps, func(s graph.Step) bool { return s.ID == id })
	if id == "" {
		after := *doc
		at = len(doc.Steps)
		after.Steps = append(slices.Clone(doc.Steps), graph.Step{})
		doc = &after
	}
	if at < 0 {
		return nil, false
	}
	b, _ := build(doc, cat, event)
	return b.names.of(at, &graph.Value{Kind: graph.String, Text: "steps step"}), true
}

// ScopeFor gives a scope of these types, each of which may be nil: any.
// Steps are the types of outputs.
func ScopeFor(event *expr.Type, steps map[string]*expr.Type) *expr.Scope {
	var outputs, views []expr.Prop
	s := newScopes(event, nil, nil)
	for id, t := range steps {
		outputs = append(outputs, expr.Prop{Name: id, Type: t})
		views = append(views, s.view(id, t))
	}
	return s.scope(expr.ObjectOf(outputs, nil), expr.ObjectOf(views, nil))
}

// set is a set of steps by index.
type set []uint64

func newSet(n int) set { return make(set, (n+63)/64) }

func (s set) has(i int) bool { return s[i/64]>>(i%64)&1 == 1 }
func (s set) add(i int)      { s[i/64] |= 1 << (i % 64) }

func (s set) join(t set) {
	for i := range s {
		s[i] |= t[i]
	}
}

func newScopes(event *expr.Type, steps []graph.Step, list *List) *scopes {
	text := expr.StringType()
	s := &scopes{
		trigger: event,
		run:     expr.ObjectOf([]expr.Prop{{Name: "id", Type: text}, {Name: "started_at", Type: text}, {Name: "attempt", Type: expr.Int()}}, nil),
		graph:   expr.ObjectOf([]expr.Prop{{Name: "name", Type: text}, {Name: "version", Type: expr.Int()}}, nil),
		index:   make(map[string]int, len(steps)),
		steps:   steps,
		before:  make([]set, len(steps)),
		outputs: make([]expr.Prop, len(steps)),
		views:   make([]expr.Prop, len(steps)),
		// Only a settled step is seen.
		status: expr.Enum("succeeded", "skipped", "failed", "unknown"),
	}
	s.fault = expr.Optional(expr.ObjectOf([]expr.Prop{
		{Name: "kind", Type: text},
		{Name: "message", Type: text},
		{Name: "step", Type: text},
		{Name: "retryable", Type: expr.Bool()},
		{Name: "data", Type: expr.Any()},
	}, nil))
	for i := range steps {
		if _, taken := s.index[steps[i].ID]; !taken {
			s.index[steps[i].ID] = i
		}
		s.byID = append(s.byID, i)
		s.before[i] = newSet(len(steps))
		for _, p := range list.Steps[i].Preds {
			s.before[i].add(p)
			s.before[i].join(s.before[p])
		}
	}
	slices.SortStableFunc(s.byID, func(a, b int) int { return strings.Compare(steps[a].ID, steps[b].ID) })
	return s
}

// settle notes the output of the step at index i.
func (s *scopes) settle(i int, step *Step) {
	s.outputs[i] = expr.Prop{Name: step.ID, Type: step.Output}
	s.views[i] = s.view(step.ID, step.Output)
}

// view is what step("id") gives of a step with an output.
func (s *scopes) view(id string, output *expr.Type) expr.Prop {
	return expr.Prop{Name: id, Type: expr.ObjectOf([]expr.Prop{
		{Name: "status", Type: s.status},
		{Name: "output", Type: output},
		{Name: "error", Type: s.fault},
		{Name: "attempts", Type: expr.Int()},
	}, nil)}
}

// of gives the scope of the step at index i. What its values can't read, since
// they nowhere say its name, is left out: a large graph has many such steps.
func (s *scopes) of(i int, values ...*graph.Value) *expr.Scope {
	return s.scope(s.visible(i, s.outputs, "steps", values), s.visible(i, s.views, "step", values))
}

// scope gives the roots their places.
func (s *scopes) scope(outputs, views *expr.Type) *expr.Scope {
	vars := make([]expr.Var, NumVars)
	vars[VarTrigger] = expr.Var{Name: "trigger", Type: s.trigger}
	vars[VarSteps] = expr.Var{Name: "steps", Type: outputs}
	vars[VarStep] = expr.Var{Name: "step", Type: views, Call: true}
	vars[VarRun] = expr.Var{Name: "run", Type: s.run}
	vars[VarGraph] = expr.Var{Name: "graph", Type: s.graph}
	return expr.NewScope(vars...)
}

// visible is an object of what step i sees, empty if no value says the word.
func (s *scopes) visible(i int, all []expr.Prop, word string, values []*graph.Value) *expr.Type {
	says := func(v *graph.Value) bool {
		return contains(v, func(text string) bool { return saysWord(text, word) })
	}
	var props []expr.Prop
	if slices.ContainsFunc(values, says) {
		for _, j := range s.byID {
			if s.before[i].has(j) && all[j].Name != "" {
				props = append(props, all[j])
			}
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
