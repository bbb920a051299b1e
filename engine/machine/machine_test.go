package machine_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tappet-dev/tappet/engine/machine"
	"github.com/tappet-dev/tappet/engine/program"
)

// The names of effects are stored and sent to others: they never change.
func TestGoldenNames(t *testing.T) {
	t.Parallel()
	p := mustProgram(t, `step a use http.post
  with url = https://forms.example.com/entries
  with body = ${{ trigger }}
`)
	m := newMachine(p)
	m.Apply(machine.Fact{Of: &machine.Accepted{Event: json.RawMessage(`{"title":"A task","n":1.0}`)}})
	e := m.Effect("a")
	if e == nil {
		t.Fatalf("no effect:\n%s", m.Dump())
	}
	got := fmt.Sprintf("%016x %s", e.Digest, e.Idempotency)
	if want := goldenNames; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

const goldenNames = "1e455f30bc179cde 46868820be8011a53462e98834ecd4ca"

// Each part of an effect changes its digest, and so does where a part ends.
func TestDigestTellsInputsApart(t *testing.T) {
	t.Parallel()
	seen := map[uint64]string{}
	for _, src := range []string{
		"step a use x.y\n",
		"step a use x.z\n",
		"step a use x.y\n  with a = 1\n",
		"step a use x.y\n  with a = 11\n",
		"step a use x.y\n  with a1 = 1\n",
		"step a use x.y\n  with a = null\n",
		"step a use x.y\n  with a = \"12345678\"\n",
		"step a use x.y\n  with a = \"1234567\"\n",
		"step a use x.y\n  with a = 1\n  with b = 2\n",
		"step a use x.y\n  with b = 2\n  with a = 1\n",
	} {
		m := newMachine(mustProgram(t, src))
		m.Apply(machine.Fact{Of: &machine.Accepted{}})
		d := m.Effect("a").Digest
		if d == 0 || seen[d] != "" {
			t.Errorf("%q has digest %016x, like %q", src, d, seen[d])
		}
		seen[d] = src
	}
}

// Each visit of each run has its own idempotency key, short enough for a header.
func TestIdempotencyKeys(t *testing.T) {
	t.Parallel()
	p := mustProgram(t, "step a use x.y\nstep ab use x.y\n  after -\n")
	seen := map[string]bool{}
	for _, id := range []string{"run-1", "run-1a", "run-2"} {
		m := machine.New(p, machine.Run{ID: id})
		for _, c := range m.Apply(machine.Fact{Of: &machine.Accepted{}}) {
			e, ok := c.(*machine.Effect)
			if !ok || seen[e.Idempotency] || len(e.Idempotency) > 64 {
				t.Fatalf("run %s: %s", id, show(c))
			}
			seen[e.Idempotency] = true
		}
	}
}

// A run that begins more attempts than its limit is aborted.
func TestVisitsLimit(t *testing.T) {
	t.Parallel()
	p := mustProgram(t, `timeout 1h
step a use x.y
step b use x.y
  after -
  on_error continue
  retry attempts=1000 initial=1s
step c use x.y
  after a
`)
	const visits = 3
	m := machine.NewLimited(p, machine.Run{ID: "r"}, machine.Limits{Visits: visits})
	down := &machine.Settled{Err: &machine.Error{Kind: "unavailable", Retryable: true}}
	var got []string
	for _, f := range []machine.Fact{
		{Of: &machine.Accepted{}},
		{Key: "b", Of: down},
		{Key: "b#2!again", Of: &machine.Fired{}},
		{Key: "b#2", Of: down},
		{Key: "b#3!again", Of: &machine.Fired{}},
		{Key: "a", Of: &machine.Settled{}},
	} {
		got = append(got, strings.Fields(showAll(m.Apply(f)))...)
		got = append(got, ";")
	}
	want := strings.Fields(`timer !limit 1h0m0s effect a x.y attempt 1 key 14648a29 effect b x.y attempt 1 key c752879a ;
		timer b#2!again 1s ; effect b#2 x.y attempt 2 key c752879a ; timer b#3!again 1s ;
		withdraw !limit withdraw a ;
		end failed because limit: a run may begin at most 3 attempts of steps ;`)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// A run that may begin no more attempts tells of it all the same: on_failure may
// begin as many again, and not one more.
func TestG15VisitsAnew(t *testing.T) {
	t.Parallel()
	p := mustProgram(t, "step a set 1\nstep b set 2\nstep c set 3\nfailure\nstep x set ${{ error.kind }}\nstep y set 2\nstep z set 3\n")
	m := machine.NewLimited(p, machine.Run{ID: "r"}, machine.Limits{Visits: 2})
	cs := m.Apply(machine.Fact{Of: &machine.Accepted{}})
	if got := showAll(cs); got != "end failed because limit: a run may begin at most 2 attempts of steps\n" {
		t.Errorf("got %s", got)
	}
	var got []string
	for _, v := range m.Steps() {
		got = append(got, v.ID+" "+string(v.Status))
	}
	want := []string{"a succeeded", "b succeeded", "c skipped", "x succeeded", "y succeeded", "z skipped"}
	if diff := cmp.Diff(want, got); diff != "" || string(m.Steps()[3].Output) != `"limit"` {
		t.Errorf("x gave %s (-want +got)\n%s", m.Steps()[3].Output, diff)
	}
}

// Two runs of one program know nothing of each other, and a fact and its error
// belong to the caller.
func TestFactsAreNotChanged(t *testing.T) {
	t.Parallel()
	p := mustProgram(t, "step a use x.y\n")
	one, two := newMachine(p), newMachine(p)
	accepted := machine.Fact{Of: &machine.Accepted{Event: json.RawMessage(`{}`)}}
	one.Apply(accepted)
	failed := &machine.Settled{Err: &machine.Error{Kind: "refused"}}
	one.Apply(machine.Fact{Key: "a", Of: failed})
	if failed.Err.Step != "" {
		t.Errorf("the fact's error names step %q", failed.Err.Step)
	}
	if state, _, _ := two.State(); state != machine.Queued || two.Open() != nil {
		t.Errorf("the other run is %s", state)
	}
	if got := two.Steps()[0].Status; got != machine.StepPending {
		t.Errorf("the other run's step is %s", got)
	}
}

// Recovery gets the due time of each open timer, not a new delay.
func TestTimersAreDue(t *testing.T) {
	t.Parallel()
	p := mustProgram(t, "timeout 1h\nstep a use x.y\n  retry attempts=2 initial=1500us\n")
	m := newMachine(p)
	m.Apply(machine.Fact{At: 1000, Of: &machine.Accepted{}})
	m.Apply(machine.Fact{At: 5000, Key: "a", Of: &machine.Settled{Err: &machine.Error{Kind: "unavailable", Retryable: true}}})
	for k, want := range map[machine.Key]machine.Millis{"!limit": 3_601_000, "a#2!again": 5002} {
		if got, ok := m.Timer(k); !ok || got != want {
			t.Errorf("%s is due at %d (%t), want %d", k, got, ok, want)
		}
	}
	if _, ok := m.Timer("a"); ok {
		t.Error("a is no timer")
	}
	if state, _, _ := m.State(); state != machine.Waiting {
		t.Errorf("state %s", state)
	}
}

// The stack doesn't grow with a list.
func TestLongList(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	const n = 20_000
	for i := range n {
		fmt.Fprintf(&b, "step s%d set 1\n", i)
	}
	m := newMachine(mustProgram(t, b.String()))
	cs := m.Apply(machine.Fact{Of: &machine.Accepted{}})
	if len(cs) != 1 || show(cs[0]) != "end succeeded 1" {
		t.Errorf("got %s", showAll(cs))
	}
}

// chain is a sequence of n steps, each described by step.
func chain(tb testing.TB, n int, step string) *program.Program {
	tb.Helper()
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, step+"\n", i)
	}
	return mustProgram(tb, b.String())
}
