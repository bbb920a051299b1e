//go:build !race

// Under the race detector a sync.Pool forgets at random.

package expr

import "testing"

// The four fields take the allocations of their values, and few more.
func TestFourFieldsAllocations(t *testing.T) {
	four := fourTemplates(t)
	env := &Env{Values: []any{taskMap(t)}}
	got := testing.AllocsPerRun(100, func() {
		for _, tm := range four {
			if _, err := tm.Eval(env); err != nil {
				t.Fatal(err)
			}
		}
	})
	if got > 6 {
		t.Errorf("%v allocations, at most 6", got)
	}
	var dst []byte
	got = testing.AllocsPerRun(100, func() {
		for _, tm := range four {
			dst, _ = tm.AppendJSON(dst[:0], env)
		}
	})
	if got > 4 {
		t.Errorf("%v allocations for their JSON, at most 4", got)
	}
}
