package graph

import (
	"fmt"
	"strconv"
	"strings"
)

// A place is that of a step in the document.
type place struct {
	// list is the key of its list: "steps" or "on_failure".
	list  string
	index int
}

// list reads the steps of a list; empty tells that there are none. What lies
// between them is checked by orders.
func (d *decoder) list(v *Value, at *path, empty string) []Step {
	if !d.want(v, at, List) {
		return nil
	}
	d.count += len(v.Items)
	switch {
	case len(v.Items) == 0:
		d.fail(v, at, "required", "%s", empty)
		return nil
	case d.count > d.lim.Steps:
		d.fail(v, at, "limit", "a graph may have at most %d steps, not %d", d.lim.Steps, d.count)
		d.problems.fatal = true
		return nil
	}
	steps := make([]Step, len(v.Items))
	if d.steps == nil {
		d.steps = make(map[string]place, len(v.Items))
	}
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
				"the id %q is taken by %s; ids are unique in a graph", id, Pointer("", first.list, strconv.Itoa(first.index)))
			continue
		}
		d.steps[id] = place{at.name, i}
	}
	return steps
}

// orders checks what lies between the steps of the list under a key.
func (d *decoder) orders(steps []Step, v *Value, list string) {
	var root *path
	for i := range steps {
		if after := v.Items[i].Get("after"); after != nil && steps[i].AfterSet {
			d.order(steps, i, list, after, root.member(list).item(i).member("after"))
		}
	}
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
			to.If = d.condition(m.Value, at)
		}},
		{"use", func(d *decoder, to *Step, m Member, at *path) {
			to.Use, to.UsePos = d.use(m.Value, at), pos(m.Value)
		}},
		{"connection", func(d *decoder, to *Step, m Member, at *path) {
			to.Connection, to.ConnectionPos = d.connection(m.Value, at), pos(m.Value)
		}},
		{"with", func(d *decoder, to *Step, m Member, at *path) { to.With = d.with(m.Value, at) }},
		{"on_unknown", func(d *decoder, to *Step, m Member, at *path) {
			to.OnUnknown = d.oneOf(m.Value, at, "retry", "fail")
		}},
		{"success_when", func(d *decoder, to *Step, m Member, at *path) { to.SuccessWhen = d.condition(m.Value, at) }},
		{"paginate", func(d *decoder, to *Step, m Member, at *path) {
			if d.want(m.Value, at, Object) {
				to.Paginate = d.paginate(m.Value, at)
			}
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
		"for_each", "concurrency", "while", "max_iterations", "filter", "send_nulls",
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
		for _, name := range []string{"connection", "with", "on_unknown", "success_when", "paginate"} {
			if x := v.Get(name); x != nil {
				d.fail(x, at.member(name), "unknown_field", "%q belongs to use; this step has %s", name, verbs[0])
			}
		}
	}
}

// condition is an expression or a boolean.
func (d *decoder) condition(v *Value, at *path) *Value {
	if v.Kind != String && v.Kind != Bool {
		d.fail(v, at, "type", "must be an expression or a boolean, not %s", v.Kind)
		return nil
	}
	return v
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
func (d *decoder) order(steps []Step, i int, list string, after *Value, at *path) {
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
		below := target.index > i
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
		case target.list != list:
			d.fail(item, where, "order", "%q stands in %s; after names steps above in the same list", id, target.list)
		case below && d.follows(steps, list, target.index, i):
			d.fail(item, where, "order", "%q comes after this step, so this would be a cycle; after names steps above", id)
		case below:
			d.fail(item, where, "order", "%q stands below; after names steps above, so that no cycle can be drawn", id)
		}
		seen[id] = true
	}
}

// follows says whether the step at index from comes after the step at index
// to of the same list, by any chain.
func (d *decoder) follows(steps []Step, list string, from, to int) bool {
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
			if next, ok := d.steps[id]; ok && next.list == list {
				open = append(open, next.index)
			}
		}
	}
	return false
}
