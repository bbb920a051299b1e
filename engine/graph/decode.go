package graph

import (
	"fmt"
	"slices"
	"strconv"
	"time"
)

// decoder makes a document of a tree. Every key must be known; the ones that
// the language has and this version has not are refused by name.
type decoder struct {
	lim      Limits
	problems *problems
	steps    map[string]place // of each id, of the first step that has it
	count    int              // of the steps of all lists
}

// key is one key of an object of the format.
type key[T any] struct {
	name string
	set  func(d *decoder, to *T, m Member, at *path)
}

// object reads the members of v by the keys. What the language has and this
// version has not stands in later.
func object[T any](d *decoder, to *T, v *Value, at *path, keys []key[T], later []string) {
	for _, m := range v.Members {
		child := at.member(m.Name)
		if i := slices.IndexFunc(keys, func(k key[T]) bool { return k.name == m.Name }); i >= 0 {
			keys[i].set(d, to, m, child)
			continue
		}
		if d.problems.full() {
			return
		}
		p := Problem{Pointer: child.String(), Line: m.Line, Column: m.Column}
		if slices.Contains(later, m.Name) {
			p.Code, p.Message = "not_available", fmt.Sprintf("this version of Tappet doesn't have %q", m.Name)
		} else {
			known := make([]string, len(keys))
			for i := range keys {
				known[i] = keys[i].name
			}
			p.Code, p.Message = "unknown_field", fmt.Sprintf("unknown field %q", clip(m.Name))
			p.Suggestion = didYouMean(m.Name, known)
		}
		d.problems.add(p)
	}
}

// fail adds a problem about a value.
func (d *decoder) fail(v *Value, at *path, code, format string, args ...any) {
	d.problems.add(Problem{
		Pointer: at.String(), Line: v.Line, Column: v.Column, Code: code, Message: fmt.Sprintf(format, args...),
	})
}

// want says whether v has the kind, and tells if not.
func (d *decoder) want(v *Value, at *path, k Kind) bool {
	if v.Kind == k {
		return true
	}
	d.fail(v, at, "type", "must be %s, not %s", k, v.Kind)
	return false
}

func (d *decoder) text(v *Value, at *path) string {
	if !d.want(v, at, String) {
		return ""
	}
	return v.Text
}

// limited is a text of at most max bytes.
func (d *decoder) limited(v *Value, at *path, max int) string {
	s := d.text(v, at)
	if len(s) > max {
		d.fail(v, at, "limit", "may have at most %d bytes, not %d", max, len(s))
	}
	return s
}

// oneOf is a text out of a few; "" if it is another.
func (d *decoder) oneOf(v *Value, at *path, words ...string) string {
	s := d.text(v, at)
	if v.Kind != String || slices.Contains(words, s) {
		return s
	}
	d.problems.add(Problem{
		Pointer: at.String(), Line: v.Line, Column: v.Column, Code: "enum",
		Message:    fmt.Sprintf("must be one of %s, not %q", quoteAll(words), clip(s)),
		Suggestion: didYouMean(s, words),
	})
	return ""
}

func (d *decoder) duration(v *Value, at *path) time.Duration {
	if v.Kind != String {
		d.fail(v, at, "type", "must be a duration such as 30s, 5m or 1h30m, not %s", v.Kind)
		return 0
	}
	t, err := time.ParseDuration(v.Text)
	switch {
	case err != nil:
		d.fail(v, at, "duration", "must be a duration such as 30s, 5m or 1h30m, not %q", clip(v.Text))
	case t < time.Millisecond:
		d.fail(v, at, "range", "must be at least 1ms")
	case t > MaxDuration:
		d.fail(v, at, "range", "must be at most %s", writeDuration(MaxDuration))
	default:
		return t
	}
	return 0
}

// number is a number from low to high; ok says that it is.
func (d *decoder) number(v *Value, at *path, low, high float64) (n float64, ok bool) {
	if !d.want(v, at, Number) {
		return 0, false
	}
	n, err := strconv.ParseFloat(v.Text, 64)
	if err != nil || n < low || n > high {
		d.fail(v, at, "range", "must be from %v to %v, not %s", low, high, clip(v.Text))
		return 0, false
	}
	return n, true
}

// integer is a whole number from low to high, 0 if it isn't one.
func (d *decoder) integer(v *Value, at *path, low, high int) int {
	if !d.want(v, at, Number) {
		return 0
	}
	n, err := strconv.Atoi(v.Text)
	if err != nil || n < low || n > high {
		d.fail(v, at, "range", "must be a whole number from %d to %d, not %s", low, high, clip(v.Text))
		return 0
	}
	return n
}

// texts is a list of texts.
func (d *decoder) texts(v *Value, at *path) []string {
	if !d.want(v, at, List) {
		return nil
	}
	list := make([]string, 0, len(v.Items))
	for i, item := range v.Items {
		if d.want(item, at.item(i), String) {
			list = append(list, item.Text)
		}
	}
	return list
}

// present tells when a required key is missing from the object v.
func (d *decoder) present(v *Value, at *path, names ...string) {
	for _, n := range names {
		if v.Get(n) == nil {
			d.fail(v, at, "required", "the field %q is missing", n)
		}
	}
}

func pos(v *Value) Pos { return Pos{v.Line, v.Column} }

func documentKeys() []key[Document] {
	return []key[Document]{
		{"format", func(d *decoder, to *Document, m Member, at *path) {
			if n := d.integer(m.Value, at, Version, Version); n != 0 {
				to.Format = n
			}
		}},
		{"name", func(d *decoder, to *Document, m Member, at *path) {
			to.Name = d.limited(m.Value, at, d.lim.Name)
			if m.Value.Kind == String && !isName(to.Name) {
				d.fail(m.Value, at, "pattern", "a graph's name is of a-z, 0-9 and dashes, and doesn't start with a dash")
			}
		}},
		{"description", func(d *decoder, to *Document, m Member, at *path) {
			to.Description = d.limited(m.Value, at, d.lim.Description)
		}},
		{"labels", func(d *decoder, to *Document, m Member, at *path) { to.Labels = d.labels(m.Value, at) }},
		{"trigger", func(d *decoder, to *Document, m Member, at *path) {
			if d.want(m.Value, at, Object) {
				d.trigger(&to.Trigger, m.Value, at)
			}
		}},
		{"steps", func(d *decoder, to *Document, m Member, at *path) {
			to.Steps = d.list(m.Value, at, "a graph needs at least one step")
		}},
		{"on_failure", func(d *decoder, to *Document, m Member, at *path) {
			to.OnFailure = d.list(m.Value, at, "on_failure needs at least one step")
		}},
		{"dedupe", func(d *decoder, to *Document, m Member, at *path) {
			if d.want(m.Value, at, Object) {
				to.Dedupe = d.dedupe(m.Value, at)
			}
		}},
		{"timeout", func(d *decoder, to *Document, m Member, at *path) { to.Timeout = d.duration(m.Value, at) }},
		{"layout", func(_ *decoder, to *Document, m Member, _ *path) {
			if m.Value.Kind != Null {
				to.Layout = m.Value
			}
		}},
	}
}

func (d *decoder) document(v *Value) *Document {
	to := &Document{Format: Version}
	object(d, to, v, nil, documentKeys(), []string{
		"concurrency", "debounce", "rate", "retention", "vars", "durability",
	})
	d.present(v, nil, "name", "trigger", "steps")
	// `after` can tell of a step in the other list only when both are read.
	d.orders(to.Steps, v.Get("steps"), "steps")
	d.orders(to.OnFailure, v.Get("on_failure"), "on_failure")
	return to
}

func (d *decoder) dedupe(v *Value, at *path) *Dedupe {
	to := &Dedupe{}
	object(d, to, v, at, []key[Dedupe]{
		{"key", func(d *decoder, to *Dedupe, m Member, at *path) {
			if d.want(m.Value, at, String) {
				to.Key = m.Value
			}
		}},
		{"window", func(d *decoder, to *Dedupe, m Member, at *path) { to.Window = d.duration(m.Value, at) }},
	}, nil)
	if v.Get("key") == nil && v.Get("window") == nil {
		d.fail(v, at, "required", `dedupe wants "key", "window" or both`)
	}
	return to
}

func (d *decoder) labels(v *Value, at *path) map[string]string {
	if !d.want(v, at, Object) || len(v.Members) == 0 {
		return nil
	}
	if len(v.Members) > d.lim.Labels {
		d.fail(v, at, "limit", "may have at most %d labels, not %d", d.lim.Labels, len(v.Members))
		return nil
	}
	labels := make(map[string]string, len(v.Members))
	for _, m := range v.Members {
		child := at.member(m.Name)
		if m.Name == "" || len(m.Name) > maxLabelName {
			d.fail(m.Value, child, "limit", "a label's name must have 1 to %d bytes", maxLabelName)
		}
		labels[m.Name] = d.limited(m.Value, child, maxLabelValue)
	}
	return labels
}

func (d *decoder) use(v *Value, at *path) string {
	s := d.limited(v, at, maxUse)
	if v.Kind == String && !isUse(s) {
		d.fail(v, at, "pattern", `must be a connector such as "webhook", or one and its member such as "http.post", not %q`, clip(s))
		return ""
	}
	return s
}

// connection is the name of a connection, "" if it isn't one.
func (d *decoder) connection(v *Value, at *path) string {
	s := d.limited(v, at, maxConnection)
	if v.Kind == String && !isConnection(s) {
		d.fail(v, at, "pattern", "a connection's name begins with a-z and is of a-z, 0-9, _ and dashes, not %q", clip(s))
		return ""
	}
	return s
}

// with is an object, nil if it isn't one.
func (d *decoder) with(v *Value, at *path) *Value {
	if !d.want(v, at, Object) {
		return nil
	}
	return v
}

// times is a text that says when a poll is asked; what it means is not checked
// here.
func (d *decoder) times(v *Value, at *path, what string) string {
	s := d.limited(v, at, 256)
	if v.Kind == String && s == "" {
		d.fail(v, at, "pattern", "must be %s, not empty", what)
	}
	return s
}

func (d *decoder) trigger(to *Trigger, v *Value, at *path) {
	to.Pos = pos(v)
	object(d, to, v, at, []key[Trigger]{
		{"use", func(d *decoder, to *Trigger, m Member, at *path) {
			to.Use, to.UsePos = d.use(m.Value, at), pos(m.Value)
		}},
		{"connection", func(d *decoder, to *Trigger, m Member, at *path) {
			to.Connection, to.ConnectionPos = d.connection(m.Value, at), pos(m.Value)
		}},
		{"with", func(d *decoder, to *Trigger, m Member, at *path) { to.With = d.with(m.Value, at) }},
		{"filter", func(d *decoder, to *Trigger, m Member, at *path) { to.Filter = d.condition(m.Value, at) }},
		{"every", func(d *decoder, to *Trigger, m Member, at *path) {
			to.Every, to.EveryPos = d.duration(m.Value, at), pos(m.Value)
		}},
		{"cron", func(d *decoder, to *Trigger, m Member, at *path) {
			to.Cron, to.CronPos = d.times(m.Value, at, "a cron expression such as \"0 8 * * MON-FRI\""), pos(m.Value)
		}},
		{"time_zone", func(d *decoder, to *Trigger, m Member, at *path) {
			to.TimeZone, to.TimeZonePos = d.times(m.Value, at, "an IANA name such as Europe/Berlin"), pos(m.Value)
		}},
	}, nil)
	d.present(v, at, "use")
}
