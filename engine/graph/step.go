package graph

import (
	"fmt"
	"strings"
)

// list reads the steps, then checks what lies between them.
func (d *decoder) list(v *Value, at *path) []Step {
	if !d.want(v, at, List) {
		return nil
	}
	switch n := len(v.Items); {
	case n == 0:
		d.fail(v, at, "required", "a graph needs at least one step")
	case n > d.lim.Steps:
		d.fail(v, at, "limit", "a graph may have at most %d steps, not %d", d.lim.Steps, n)
		d.problems.fatal = true
		return nil
	}
	steps := make([]Step, len(v.Items))
	d.steps = make(map[string]int, len(v.Items))
	keys := stepKeys()
	for i, item := range v.Items {
		child := at.item(i)
		steps[i].Pointer, steps[i].Pos = child.String(), pos(item)
		if d.want(item, child, Object) {
			d.step(&steps[i], item, child, keys)
		}
		id := steps[i].ID
		if id == "" {
			continue
		}
		if first, taken := d.steps[id]; taken {
			d.fail(item.Get("id"), child.member("id"), "duplicate_id",
				"the id %q is taken by %s; ids are unique in a graph", id, steps[first].Pointer)
			continue
		}
		d.steps[id] = i
	}
	for i, item := range v.Items {
		if after := item.Get("after"); after != nil && steps[i].AfterSet {
			d.order(steps, i, after, at.item(i).member("after"))
		}
	}
	return steps
}

func stepKeys() []key[Step] {
	return []key[Step]{
		{"id", func(d *decoder, to *Step, m Member, at *path) {
			to.ID = d.limited(m.Value, at, d.lim.ID)
			if m.Value.Kind == String && !isID(to.ID) {
				d.fail(m.Value, at, "pattern", "a step's id begins with a-z and is of a-z, 0-9 and _")
			}
		}},
		{"after", func(d *decoder, to *Step, m Member, at *path) {
			if d.want(m.Value, at, List) {
				to.After, to.AfterSet = d.texts(m.Value, at), true
			}
		}},
		{"if", func(d *decoder, to *Step, m Member, at *path) {
			if m.Value.Kind != String && m.Value.Kind != Bool {
				d.fail(m.Value, at, "type", "must be an expression or a boolean, not %s", m.Value.Kind)
				return
			}
			to.If = m.Value
		}},
		{"use", func(d *decoder, to *Step, m Member, at *path) {
			to.Use, to.UsePos = d.use(m.Value, at), pos(m.Value)
		}},
		{"with", func(d *decoder, to *Step, m Member, at *path) { to.With = d.with(m.Value, at) }},
		{"on_unknown", func(d *decoder, to *Step, m Member, at *path) {
			to.OnUnknown = d.oneOf(m.Value, at, "retry", "fail")
		}},
		{"set", func(_ *decoder, to *Step, m Member, _ *path) { to.Set = m.Value }},
		{"respond", func(d *decoder, to *Step, m Member, at *path) {
			if d.want(m.Value, at, Object) {
				to.Respond = d.respond(m.Value, at)
			}
		}},
		{"on_error", func(d *decoder, to *Step, m Member, at *path) {
			if m.Value.Kind == List {
				d.fail(m.Value, at, "not_available", `this version of Tappet doesn't have "on_error" with a list of steps; it has fail and continue`)
				return
			}
			to.OnError = d.oneOf(m.Value, at, "fail", "continue")
		}},
		{"retry", func(d *decoder, to *Step, m Member, at *path) {
			if d.want(m.Value, at, Object) {
				to.Retry = d.retry(m.Value, at)
			}
		}},
		{"timeout", func(d *decoder, to *Step, m Member, at *path) { to.Timeout = d.duration(m.Value, at) }},
	}
}

// laterVerbs and laterModifiers are what the language has and this version has
// not.
func laterVerbs() []string { return []string{"steps", "choose", "wait", "call", "stop"} }

func laterModifiers() []string {
	return []string{
		"for_each", "concurrency", "while", "max_iterations", "connection", "success_when", "paginate", "filter", "send_nulls",
	}
}

func (d *decoder) step(to *Step, v *Value, at *path, keys []key[Step]) {
	object(d, to, v, at, keys, append(laterVerbs(), laterModifiers()...))
	d.present(v, at, "id")
	d.verb(to, v, at)
}

// verb finds the one verb, and tells what belongs to another.
func (d *decoder) verb(to *Step, v *Value, at *path) {
	var verbs []string
	for _, m := range v.Members {
		switch m.Name {
		case "use":
			to.Verb = VerbUse
		case "set":
			to.Verb = VerbSet
		case "respond":
			to.Verb = VerbRespond
		case "steps", "choose", "wait", "call", "stop":
		default:
			continue
		}
		verbs = append(verbs, m.Name)
	}
	switch len(verbs) {
	case 0:
		d.fail(v, at, "verb", "a step needs one of use, set, respond")
	case 1:
	default:
		to.Verb = NoVerb
		d.fail(v, at, "verb", "a step has exactly one verb; this one has %s", strings.Join(verbs, " and "))
	}
	if len(verbs) == 1 && verbs[0] != "use" {
		for _, name := range []string{"with", "on_unknown"} {
			if x := v.Get(name); x != nil {
				d.fail(x, at.member(name), "unknown_field", "%q belongs to use; this step has %s", name, verbs[0])
			}
		}
	}
}

func (d *decoder) respond(v *Value, at *path) *Respond {
	to := &Respond{}
	object(d, to, v, at, []key[Respond]{
		{"status", func(d *decoder, to *Respond, m Member, at *path) {
			if m.Value.Kind == String {
				to.Status = m.Value
			} else if d.integer(m.Value, at, 200, 599) != 0 {
				to.Status = m.Value
			}
		}},
		{"headers", func(d *decoder, to *Respond, m Member, at *path) {
			if m.Value.Kind == String || d.want(m.Value, at, Object) {
				to.Headers = m.Value
			}
		}},
		{"body", func(_ *decoder, to *Respond, m Member, _ *path) { to.Body = m.Value }},
	}, nil)
	return to
}

func (d *decoder) retry(v *Value, at *path) *Retry {
	to := &Retry{}
	object(d, to, v, at, []key[Retry]{
		{"max_attempts", func(d *decoder, to *Retry, m Member, at *path) {
			to.MaxAttempts = d.integer(m.Value, at, 1, MaxAttempts)
		}},
		{"initial_interval", func(d *decoder, to *Retry, m Member, at *path) {
			to.InitialInterval = d.duration(m.Value, at)
		}},
		{"multiplier", func(d *decoder, to *Retry, m Member, at *path) {
			if n, ok := d.number(m.Value, at, 1, MaxMultiplier); ok {
				to.Multiplier = &n
			}
		}},
		{"max_interval", func(d *decoder, to *Retry, m Member, at *path) { to.MaxInterval = d.duration(m.Value, at) }},
		{"jitter", func(d *decoder, to *Retry, m Member, at *path) {
			if n, ok := d.number(m.Value, at, 0, 1); ok {
				to.Jitter = &n
			}
		}},
		{"max_elapsed", func(d *decoder, to *Retry, m Member, at *path) { to.MaxElapsed = d.duration(m.Value, at) }},
		{"on", func(d *decoder, to *Retry, m Member, at *path) {
			if to.On = d.texts(m.Value, at); len(to.On) == 0 {
				to.On = nil
			}
			for i, item := range m.Value.Items {
				if item.Kind == String && !isID(item.Text) {
					d.fail(item, at.item(i), "pattern", "a kind of error is of a-z, 0-9 and _, not %q", clip(item.Text))
				}
			}
		}},
	}, nil)
	if to.InitialInterval > 0 && to.MaxInterval > 0 && to.MaxInterval < to.InitialInterval {
		d.fail(v.Get("max_interval"), at.member("max_interval"), "range", "must not be less than initial_interval, %s", writeDuration(to.InitialInterval))
	}
	return to
}

// order checks `after` of the step at index i (G1): it names steps above, so
// that no cycle can be written.
func (d *decoder) order(steps []Step, i int, after *Value, at *path) {
	seen := make(map[string]bool, len(after.Items))
	for n, item := range after.Items {
		if item.Kind != String {
			continue // told as a wrong type
		}
		if d.problems.full() {
			return
		}
		id := item.Text
		where := at.item(n)
		target, known := d.steps[id]
		switch {
		case seen[id]:
			d.fail(item, where, "duplicate", "%q stands twice in after", clip(id))
		case id == steps[i].ID:
			d.fail(item, where, "order", "a step can't come after itself")
		case !known:
			var above []string
			for _, s := range steps[:i] {
				above = append(above, s.ID)
			}
			d.problems.add(Problem{
				Pointer: where.String(), Line: item.Line, Column: item.Column, Code: "unknown_step",
				Message: fmt.Sprintf("there is no step %q", clip(id)), Suggestion: didYouMean(id, above),
			})
		case target > i && d.follows(steps, target, i):
			d.fail(item, where, "order", "%q comes after this step, so this would be a cycle; after names steps above", id)
		case target > i:
			d.fail(item, where, "order", "%q stands below; after names steps above, so that no cycle can be drawn", id)
		}
		seen[id] = true
	}
}

// follows says whether the step at index from comes after the step at index
// to, by any chain.
func (d *decoder) follows(steps []Step, from, to int) bool {
	open, seen := []int{from}, make([]bool, len(steps))
	for len(open) > 0 {
		i := open[len(open)-1]
		open = open[:len(open)-1]
		switch {
		case i == to:
			return true
		case seen[i]:
			continue
		}
		seen[i] = true
		if !steps[i].AfterSet {
			if i > 0 {
				open = append(open, i-1)
			}
			continue
		}
		for _, id := range steps[i].After {
			if next, ok := d.steps[id]; ok {
				open = append(open, next)
			}
		}
	}
	return false
}
