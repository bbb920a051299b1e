package machine_test

import (
	"encoding/json"
	"testing"

	"github.com/tappet-dev/tappet/engine/machine"
)

// FuzzApply gives any facts to a program that has something of everything:
// nothing panics, the run ends at most once, and what is open is what a replay
// finds open.
func FuzzApply(f *testing.F) {
	f.Add([]byte("a0c"), []byte(`{"n":1,"zero":0}`))
	f.Add([]byte("absdfgt"), []byte(`{"n":`))
	f.Add([]byte{0, 9, 17, 3, 64, 200, 77}, []byte(`"`))
	f.Add([]byte{}, []byte(`[`))
	f.Fuzz(func(t *testing.T, moves, doc []byte) {
		p := mustProgram(t, `timeout 1h
step a use x.y
  retry attempts=3 initial=1s multiplier=2 jitter=0.5 elapsed=1m on=unavailable,timeout
  with n = ${{ trigger.n }}
step b use x.y
  after -
  on_error continue
  retry attempts=2
step c set ${{ [steps.a, trigger] }}
  after a
  on_error continue
step d respond
  after a b
  status ${{ trigger.n }}
  headers trigger
  body ${{ steps.b }}
  on_error continue
step e use x.y
  with x = ${{ steps.d }}
failure
step f use x.y
  with why = ${{ error }}
  retry attempts=2
step g respond
  body ${{ [steps.a, step("b").status] }}
`)
		keys := []machine.Key{
			"", "a", "a#2", "a#2!again", "a#3!again", "a#3", "b", "b#2!again", "b#2", "e", "!limit",
			"!failure/f", "!failure/f#2!again", "!failure/f#2", "!failure!limit",
		}
		m := newMachine(p)
		var journal []machine.Fact
		ended := false
		for i, x := range moves {
			fact := machine.Fact{Key: keys[int(x)%len(keys)], At: machine.Millis(i) * 1000}
			switch int(x) / len(keys) % 7 {
			case 0, 1:
				fact.Of = &machine.Settled{Output: doc}
			case 2:
				fact.Of = &machine.Settled{Err: &machine.Error{Kind: "unavailable", Data: doc, Retryable: true, RetryAfter: int64(x) << (x % 64)}}
			case 3:
				fact.Of = &machine.Fired{}
			case 4:
				fact.Of = &machine.Accepted{Event: doc}
			case 5:
				fact.Of = &machine.Cancel{}
			default:
				fact.Of, fact.At = &machine.Settled{Input: uint64(x)}, -machine.Millis(x)<<(x%64)
			}
			if i == 0 {
				fact = machine.Fact{Of: &machine.Accepted{Event: doc}}
			}
			for _, c := range m.Apply(fact) {
				if ended {
					t.Fatalf("%s after the end", show(c))
				}
				_, ended = c.(*machine.End)
			}
			journal = append(journal, fact)
			if ended != (len(m.Open()) == 0) {
				t.Fatalf("ended %t, open %v", ended, m.Open())
			}
		}
		wantReplay(t, p, journal, m)
		if state, result, _ := m.State(); state == machine.Succeeded && json.Valid(doc) && !json.Valid(result) {
			t.Fatalf("the result %q is no JSON", result)
		}
	})
}
