package machine_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tappet-dev/tappet/engine/machine"
	"github.com/tappet-dev/tappet/engine/program"
)

// result is what the world gives to an effect: the same for the same seed.
func result(seed uint32, k machine.Key) *machine.Settled {
	x := uint32(2166136261) ^ seed
	for _, c := range []byte(k) {
		x = (x ^ uint32(c)) * 16777619
	}
	x ^= x >> 15
	x %= 100
	switch {
	case x < 35+seed%3*20: // many or few failures
		return &machine.Settled{Output: json.RawMessage(fmt.Sprintf(`{"v":%d}`, x))}
	case x < 82+seed%3*5:
		return &machine.Settled{Err: &machine.Error{Kind: "unavailable", Message: "it is down", Retryable: true}}
	case x < 98:
		return &machine.Settled{Err: &machine.Error{Kind: "refused", Message: "it says no"}}
	}
	return &machine.Settled{Err: &machine.Error{Kind: machine.KindUnknown, Message: "nobody knows"}}
}

// A driver runs a program and checks each promise at each fact.
type driver struct {
	t    *rapid.T
	p    *program.Program
	m    *machine.Machine
	seed uint32
	at   machine.Millis

	open    map[machine.Key]machine.Command
	cut     map[machine.Key]bool
	seen    map[machine.Key]bool
	keys    map[string]machine.Effect // the first attempt of each visit
	sent    []string
	end     *machine.End
	journal []machine.Fact
	gave    []string
	dumps   []string
	answers int
	failing bool // a failure that nobody handles has been taken
	late    bool // on_failure has begun
}

// ofFailure says whether a key is of on_failure.
func ofFailure(k machine.Key) bool { return strings.HasPrefix(string(k), "!failure") }

func newDriver(t *rapid.T, p *program.Program, seed uint32) *driver {
	return &driver{
		t: t, p: p, m: newMachine(p), seed: seed,
		open: map[machine.Key]machine.Command{}, cut: map[machine.Key]bool{},
		seen: map[machine.Key]bool{}, keys: map[string]machine.Effect{},
	}
}

func (d *driver) accept() {
	n := pick(d.t, 21)
	d.apply(machine.Fact{Of: &machine.Accepted{Event: json.RawMessage(fmt.Sprintf(`{"n":%d,"zero":0}`, n))}})
}

func (d *driver) apply(f machine.Fact) {
	d.t.Helper()
	d.at += machine.Millis(pick(d.t, 5001))
	f.At = d.at
	cs := d.m.Apply(f)
	d.take(cs, f)
	dump := d.m.Dump()
	d.journal, d.gave, d.dumps = append(d.journal, f), append(d.gave, showAll(cs)), append(d.dumps, dump)
	f.At += 1000
	if cs := d.m.Apply(f); cs != nil || d.m.Dump() != dump {
		d.t.Fatalf("%s applied twice gave %s and\n%s", f.Key, showAll(cs), cmp.Diff(dump, d.m.Dump()))
	}
	d.check(f)
}

func showAll(cs []machine.Command) string {
	var b strings.Builder
	for _, c := range cs {
		b.WriteString(show(c) + "\n")
	}
	return b.String()
}

func (d *driver) take(cs []machine.Command, f machine.Fact) {
	d.t.Helper()
	delete(d.open, f.Key)
	delete(d.cut, f.Key)
	for _, c := range cs {
		if d.end != nil {
			d.t.Fatalf("a command after the end: %s", show(c))
		}
		switch c := c.(type) {
		case *machine.Effect:
			d.started(c.Key, c)
			d.opened(c.Key, c)
			d.sent = append(d.sent, show(c))
			path, _, _ := strings.Cut(string(c.Key), "#")
			first, again := d.keys[path]
			if !again {
				d.keys[path] = *c
			} else if first.Idempotency != c.Idempotency || first.Digest != c.Digest || !cmp.Equal(first.Input, c.Input) {
				d.t.Fatalf("attempts differ: %s, %s", show(&first), show(c))
			}
		case *machine.Timer:
			d.started(c.Key, c)
			d.opened(c.Key, c)
		case *machine.Answer:
			d.started(c.Key, c)
			if d.answers++; d.answers > 1 {
				d.t.Fatal("two answers")
			}
		case *machine.Withdraw:
			if _, ok := d.open[c.Key].(*machine.Effect); ok && !d.cut[c.Key] {
				d.cut[c.Key] = true
			} else if _, ok := d.open[c.Key].(*machine.Timer); ok {
				delete(d.open, c.Key)
			} else {
				d.t.Fatalf("%s, which isn't open", show(c))
			}
		case *machine.End:
			d.end = c
		}
	}
}

// started looks at what begins something: after an unhandled failure only
// on_failure does, and only when all else has settled.
func (d *driver) started(k machine.Key, c machine.Command) {
	d.t.Helper()
	if !ofFailure(k) {
		if d.failing {
			d.t.Fatalf("after an unhandled failure: %s", show(c))
		}
		return
	}
	d.late, d.failing = true, true
	for open := range d.open {
		if !ofFailure(open) {
			d.t.Fatalf("%s while %s is open", show(c), open)
		}
	}
}

func (d *driver) opened(k machine.Key, c machine.Command) {
	if d.seen[k] {
		d.t.Fatalf("%s was sent twice", k)
	}
	d.seen[k] = true
	d.open[k] = c
}

// check compares what the machine says is open with what its commands said,
// and looks at the order of the steps.
func (d *driver) check(f machine.Fact) {
	d.t.Helper()
	want := d.openKeys(func(machine.Command) bool { return true })
	if got := d.m.Open(); !slices.Equal(got, want) {
		d.t.Fatalf("after %s open is %v, by the commands %v", f.Key, got, want)
	}
	for _, k := range want {
		_, isTimer := d.m.Timer(k)
		e := d.m.Effect(k)
		if c, ok := d.open[k].(*machine.Effect); ok && (isTimer || e == nil || show(e) != show(c)) || !ok && (!isTimer || e != nil) {
			d.t.Fatalf("%s: the machine doesn't give again what it sent", k)
		}
		if d.m.Withdrawn(k) != d.cut[k] {
			d.t.Fatalf("%s: withdrawn %t", k, d.m.Withdrawn(k))
		}
	}
	if (d.end != nil) != (len(want) == 0) {
		d.t.Fatalf("ended %t with open %v\n%s", d.end != nil, want, d.m.Dump())
	}
	views := d.m.Steps()
	// Steps without effects send nothing.
	if d.late = d.late || strings.Contains(d.m.Dump(), `list "!failure/"`); d.late {
		for _, v := range views[:len(d.p.Top.Steps)] {
			if v.Status == machine.StepPending || v.Status == machine.StepRunning || v.Status == machine.StepRetrying {
				d.t.Fatalf("%s is %s in on_failure", v.ID, v.Status)
			}
		}
	}
	for _, l := range lists(d.p) {
		d.ordered(l, views[l.Steps[0].Slot:])
	}
}

// ordered looks at the steps of a list.
func (d *driver) ordered(l *program.List, views []machine.StepView) {
	d.t.Helper()
	for i, s := range l.Steps {
		v := views[i]
		if late := l != d.p.Top; v.OnFailure != late || late && !d.late && v.Attempts > 0 {
			d.t.Fatalf("%s is of on_failure: %t, began: %t", v.ID, v.OnFailure, v.Attempts > 0)
		}
		switch v.Status {
		case machine.StepFailed, machine.StepUnknown:
			d.failing = d.failing || !v.Handled
		case machine.StepPending, machine.StepRunning, machine.StepRetrying:
			if d.end != nil {
				d.t.Fatalf("%s is %s after the end", v.ID, v.Status)
			}
		case machine.StepSucceeded, machine.StepSkipped, machine.StepCancelled:
		}
		if v.Status == machine.StepPending || v.Attempts == 0 {
			continue
		}
		for _, q := range s.Preds {
			w := views[q]
			if w.Status != machine.StepSucceeded && w.Status != machine.StepSkipped && !w.Handled {
				d.t.Fatalf("%s is %s and %s before it is %s", s.ID, v.Status, w.ID, w.Status)
			}
		}
	}
}

func (d *driver) openKeys(ok func(machine.Command) bool) []machine.Key {
	var out []machine.Key
	for k, c := range d.open {
		if ok(c) {
			out = append(out, k)
		}
	}
	slices.Sort(out)
	return out
}

// next makes one open thing happen.
func (d *driver) next(limits bool) {
	d.t.Helper()
	ks := d.openKeys(func(c machine.Command) bool {
		t, ok := c.(*machine.Timer)
		return limits || !ok || t.Key != "!limit" && t.Key != "!failure!limit"
	})
	k := one(d.t, ks...)
	if e, ok := d.open[k].(*machine.Effect); ok {
		of := result(d.seed, k)
		if d.cut[k] && rapid.Bool().Draw(d.t, "cut") {
			of = &machine.Settled{Err: &machine.Error{Kind: machine.KindCancelled}}
		}
		of.Input = e.Digest
		d.apply(machine.Fact{Key: k, Of: of})
		return
	}
	d.apply(machine.Fact{Key: k, Of: &machine.Fired{}})
}

// noise: facts whose key isn't open for their kind change nothing.
func (d *driver) noise() {
	d.t.Helper()
	keys := []machine.Key{
		"", "nobody", "s0", "s0#2", "s0#2!again", "s1!again", "!limit", "!again",
		"f0", "!failure", "!failure/f0", "!failure/f0#2", "!failure/f0#2!again", "!failure!limit",
	}
	for k := range d.seen {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	k := one(d.t, keys...)
	_, isEffect := d.open[k].(*machine.Effect)
	_, isTimer := d.open[k].(*machine.Timer)
	facts := []machine.FactOf{nil, &machine.Accepted{}, (*machine.Settled)(nil), (*machine.Fired)(nil), (*machine.Cancel)(nil)}
	if !isEffect {
		facts = append(facts, &machine.Settled{})
	}
	if !isTimer {
		facts = append(facts, &machine.Fired{})
	}
	if k != "" {
		facts = append(facts, &machine.Cancel{})
	}
	before := d.m.Dump()
	for _, of := range facts {
		if cs := d.m.Apply(machine.Fact{Key: k, At: d.at + 99, Of: of}); cs != nil || d.m.Dump() != before {
			d.t.Fatalf("noise %T of %q gave %s", of, k, showAll(cs))
		}
	}
}

// crash forgets the machine and replays the journal.
func (d *driver) crash() {
	d.t.Helper()
	m := newMachine(d.p)
	for _, f := range d.journal {
		m.Apply(f)
	}
	if a, b := d.m.Dump(), m.Dump(); a != b {
		d.t.Fatalf("replay (-live +replay)\n%s", cmp.Diff(a, b))
	}
	d.m = m
}

// TestPromises runs random programs in random orders, with noise, crashes and
// cancels, and checks every promise at every fact.
func TestPromises(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		src := gen{t: t}.program()
		t.Log(src)
		d := newDriver(t, mustProgram(t, src), uint32(pick(t, 1<<16)))
		cancelAt := pick(t, 80) - 60
		d.accept()
		for n := 0; d.end == nil; n++ {
			if n > 200 {
				t.Fatal("the run doesn't end")
			}
			if pick(t, 4) == 0 {
				d.crash()
			}
			d.noise()
			if n == cancelAt {
				d.cancel()
				continue
			}
			d.next(pick(t, 10) == 0)
		}
		d.crash()
		d.everyPrefix()
	})
}

// cancel cancels and wants that only outcomes come after it.
func (d *driver) cancel() {
	d.t.Helper()
	state := machine.Cancelled
	dump := d.m.Dump()
	failing := strings.Contains(dump, "\nending failed")
	if failing {
		state = machine.Failed
	}
	if strings.Contains(dump, " mode 2 left") && (d.late || !failing || d.p.Failure == nil) {
		return // aborted already, and nothing to come: a cancel changes nothing
	}
	sent := len(d.sent)
	d.apply(machine.Fact{Of: &machine.Cancel{}})
	for d.end == nil {
		d.noise()
		for k := range d.open {
			if !d.cut[k] {
				d.t.Fatalf("after a cancel %s is open", k)
			}
		}
		d.next(true)
	}
	if len(d.sent) != sent || d.end.State != state {
		d.t.Fatalf("after a cancel: %d effects, %s", len(d.sent)-sent, d.end.State)
	}
}

// everyPrefix takes each prefix of the journal for a crash: replay, then go on
// with the same facts, gives the same commands and states.
func (d *driver) everyPrefix() {
	d.t.Helper()
	m := newMachine(d.p)
	for i, f := range d.journal {
		if got := showAll(m.Apply(f)); got != d.gave[i] || m.Dump() != d.dumps[i] {
			d.t.Fatalf("fact %d: replay gave\n%s%s\nlive\n%s%s", i, got, m.Dump(), d.gave[i], d.dumps[i])
		}
	}
}
