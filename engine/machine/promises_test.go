package machine_test

import (
	"encoding/json"
	"fmt"
	"math/bits"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tappet-dev/tappet/engine/machine"
	"github.com/tappet-dev/tappet/engine/program"
)

// A gen draws random programs, as text that mustProgram reads. Each step reads
// only what has surely settled before it.
type gen struct {
	t   *rapid.T
	seq bool // a plain sequence
}

func (g gen) chance(percent int) bool { return pick(g.t, 100) >= 100-percent }

// pick draws from 0 to n-1. Rapid's own integers prefer small ones by far,
// which would make short runs of nearly all; its bits are fair.
func pick(t *rapid.T, n int) int {
	x := 0
	for range bits.Len(uint(n)) + 2 {
		x <<= 1
		if rapid.Bool().Draw(t, "bit") {
			x |= 1
		}
	}
	return x % n
}

// one picks one of xs.
func one[T any](t *rapid.T, xs ...T) T { return xs[pick(t, len(xs))] }

func (g gen) program() string {
	var b strings.Builder
	if g.chance(50) {
		b.WriteString("timeout 1h\n")
	}
	n := 1 + pick(g.t, 10)
	sees := make([]map[string]bool, n)
	for i := range n {
		var preds []int
		var after []string
		switch {
		case i == 0:
		case g.seq || g.chance(30):
			preds = []int{i - 1}
		default:
			after = []string{"-"}
			for j := range i {
				if g.chance(25) {
					preds = append(preds, j)
					after = append(after, fmt.Sprintf("s%d", j))
				}
			}
		}
		sees[i] = map[string]bool{}
		for _, p := range preds {
			sees[i][fmt.Sprintf("s%d", p)] = true
			for id := range sees[p] {
				sees[i][id] = true
			}
		}
		var ids []string
		for j := range i {
			if id := fmt.Sprintf("s%d", j); sees[i][id] {
				ids = append(ids, id)
			}
		}
		g.step(&b, fmt.Sprintf("s%d", i), ids)
		if len(after) > 1 {
			after = after[1:]
		}
		if after != nil {
			fmt.Fprintf(&b, "  after %s\n", strings.Join(after, " "))
		}
	}
	return b.String()
}

func (g gen) step(b *strings.Builder, id string, sees []string) {
	switch pick(g.t, 8) {
	case 0, 1, 2, 3, 4:
		fmt.Fprintf(b, "step %s use x.y\n", id)
		for range pick(g.t, 3) {
			fmt.Fprintf(b, "  with f = %s\n", g.value(sees))
		}
		if g.chance(60) {
			fmt.Fprintf(b, "  retry attempts=%d initial=1s multiplier=2 jitter=0.3 elapsed=1m\n",
				2+pick(g.t, 3))
		}
	case 5, 6:
		fmt.Fprintf(b, "step %s set %s\n", id, g.value(sees))
	default:
		fmt.Fprintf(b, "step %s respond\n  status %s\n  headers {\"X-Id\": string(trigger.n)}\n  body %s\n", id,
			one(g.t, "201", "${{ 200 + trigger.n }}", "${{ 190 + trigger.n }}"), g.value(sees))
	}
	if g.chance(30) {
		fmt.Fprintf(b, "  if %s\n", g.condition(sees))
	}
	if g.chance(60) {
		b.WriteString("  on_error continue\n")
	}
}

func (g gen) value(sees []string) string {
	if g.chance(1) {
		return "${{ trigger.n % trigger.zero }}"
	}
	if len(sees) == 0 || g.chance(20) {
		return one(g.t, `{"a":1}`, "${{ trigger.n + 1 }}", "text ${{ trigger.n }}")
	}
	id := one(g.t, sees...)
	return fmt.Sprintf(one(g.t,
		"${{ steps.%s }}",
		`${{ step("%s").status }}`,
		`${{ [step("%[1]s").attempts, steps.%[1]s, trigger.n] }}`,
		`${{ {"e": step("%s").error?.kind ?? "none"} }}`,
		`is ${{ step("%s").status }}`,
	), id)
}

func (g gen) condition(sees []string) string {
	if g.chance(1) {
		return "trigger.n"
	}
	if len(sees) == 0 || g.chance(20) {
		return fmt.Sprintf("trigger.n > %d", pick(g.t, 21))
	}
	id := one(g.t, sees...)
	return fmt.Sprintf(one(g.t,
		`step("%s").status == "succeeded"`,
		"steps.%s != null",
		`step("%s").attempts < 2`,
	), id)
}

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
}

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
		if _, ok := c.(*machine.Withdraw); d.failing && !ok {
			if _, ok := c.(*machine.End); !ok {
				d.t.Fatalf("after an unhandled failure: %s", show(c))
			}
		}
		switch c := c.(type) {
		case *machine.Effect:
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
			d.opened(c.Key, c)
		case *machine.Answer:
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
	for i, s := range d.p.Top.Steps {
		v := views[i]
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
		return limits || !ok || t.Key != "!limit"
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
	keys := []machine.Key{"", "nobody", "s0", "s0#2", "s0#2!again", "s1!again", "!limit", "!again"}
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
	failing := strings.Contains(d.m.Dump(), "\nending failed")
	if failing {
		state = machine.Failed
	}
	if _, ok := d.open["!limit"]; !ok && strings.Contains(d.m.Dump(), "list mode 2") {
		return // aborted already: a cancel changes nothing
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
