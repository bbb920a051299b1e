package graph

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// JSON returns the document as canonical JSON: compact; the format's own keys
// in a fixed order, defaults left out as they were, format always written;
// labels by name; values with their members in written order and their numbers
// as written; layout last. Parse reads an equal document from it.
func (d *Document) JSON() []byte { return d.tree(true).JSON() }

// Digest is the SHA-256, in hex, of the canonical JSON without layout: what a
// version of a graph means.
func (d *Document) Digest() string {
	sum := sha256.Sum256(d.tree(false).JSON())
	return hex.EncodeToString(sum[:])
}

// builder makes an object; what is zero is left out.
type builder struct{ v Value }

func newBuilder() *builder { return &builder{Value{Kind: Object}} }

func (b *builder) value(name string, v *Value) {
	if v != nil {
		b.v.Members = append(b.v.Members, Member{Name: name, Value: v})
	}
}

func (b *builder) text(name, s string) {
	if s != "" {
		b.value(name, &Value{Kind: String, Text: s})
	}
}

func (b *builder) duration(name string, t time.Duration) {
	if t != 0 {
		b.text(name, writeDuration(t))
	}
}

// writeDuration is time.Duration.String without the zeros at its end: 5m, not
// 5m0s.
func writeDuration(t time.Duration) string {
	s := t.String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(s, zero) {
			s = s[:len(s)-2]
		}
	}
	return s
}

func (b *builder) integer(name string, n int) {
	if n != 0 {
		b.number(name, n)
	}
}

// number is written also when it is 0.
func (b *builder) number(name string, n int) {
	b.value(name, &Value{Kind: Number, Text: strconv.Itoa(n)})
}

func (b *builder) float(name string, n *float64) {
	if n != nil {
		b.value(name, &Value{Kind: Number, Text: strconv.FormatFloat(*n, 'f', -1, 64)})
	}
}

func (b *builder) texts(name string, list []string) {
	v := &Value{Kind: List}
	for _, s := range list {
		v.Items = append(v.Items, &Value{Kind: String, Text: s})
	}
	b.value(name, v)
}

// tree is the document as one value, in canonical order.
func (d *Document) tree(layout bool) *Value {
	b := newBuilder()
	b.integer("format", d.Format)
	b.text("name", d.Name)
	b.text("description", d.Description)
	if len(d.Labels) > 0 {
		labels := newBuilder()
		for _, name := range slices.Sorted(maps.Keys(d.Labels)) {
			labels.value(name, &Value{Kind: String, Text: d.Labels[name]})
		}
		b.value("labels", &labels.v)
	}
	trigger := newBuilder()
	trigger.text("use", d.Trigger.Use)
	trigger.text("connection", d.Trigger.Connection)
	trigger.value("with", d.Trigger.With)
	trigger.value("filter", d.Trigger.Filter)
	trigger.duration("every", d.Trigger.Every)
	trigger.text("cron", d.Trigger.Cron)
	trigger.text("time_zone", d.Trigger.TimeZone)
	b.value("trigger", &trigger.v)
	b.value("steps", treeOf(d.Steps))
	if len(d.OnFailure) > 0 {
		b.value("on_failure", treeOf(d.OnFailure))
	}
	if d.Dedupe != nil {
		dedupe := newBuilder()
		dedupe.value("key", d.Dedupe.Key)
		dedupe.duration("window", d.Dedupe.Window)
		b.value("dedupe", &dedupe.v)
	}
	b.duration("timeout", d.Timeout)
	if layout {
		b.value("layout", d.Layout)
	}
	return &b.v
}

func treeOf(steps []Step) *Value {
	list := &Value{Kind: List}
	for i := range steps {
		list.Items = append(list.Items, steps[i].tree())
	}
	return list
}

func (s *Step) tree() *Value {
	b := newBuilder()
	b.text("id", s.ID)
	if s.AfterSet {
		b.texts("after", s.After)
	}
	b.value("if", s.If)
	b.text("use", s.Use)
	b.text("connection", s.Connection)
	b.value("with", s.With)
	b.text("on_unknown", s.OnUnknown)
	b.value("success_when", s.SuccessWhen)
	if s.Paginate != nil {
		b.value("paginate", s.Paginate.tree())
	}
	b.value("set", s.Set)
	if s.Respond != nil {
		respond := newBuilder()
		respond.value("status", s.Respond.Status)
		respond.value("headers", s.Respond.Headers)
		respond.value("body", s.Respond.Body)
		b.value("respond", &respond.v)
	}
	b.text("on_error", s.OnError)
	if r := s.Retry; r != nil {
		retry := newBuilder()
		retry.integer("max_attempts", r.MaxAttempts)
		retry.duration("initial_interval", r.InitialInterval)
		retry.float("multiplier", r.Multiplier)
		retry.duration("max_interval", r.MaxInterval)
		retry.float("jitter", r.Jitter)
		retry.duration("max_elapsed", r.MaxElapsed)
		if len(r.On) > 0 {
			retry.texts("on", r.On)
		}
		b.value("retry", &retry.v)
	}
	b.duration("timeout", s.Timeout)
	return &b.v
}
