//go:build !race

// The race detector slows both sides, but not alike.

package expr

import (
	"testing"
	"time"
)

// ratio gives how long own takes for one of stock's, in this run: each at its
// best of many short turns that alternate, so that what else the machine does
// counts little.
func ratio(own, stock func()) float64 {
	const turns, work = 60, 500 * time.Microsecond
	once := func(do func(), n int) time.Duration {
		start := time.Now()
		for range n {
			do()
		}
		return time.Since(start)
	}
	size := func(do func()) int {
		n := 1
		for once(do, n) < work {
			n *= 2
		}
		return n
	}
	own()
	stock()
	n, m := size(own), size(stock)
	a, b := time.Hour, time.Hour
	for range turns {
		a, b = min(a, once(own, n)), min(b, once(stock, m))
	}
	return float64(a) / float64(n) / (float64(b) / float64(m))
}

// Mapping and compiling cost a fraction of what they cost with the stock VM and
// compiler, and a completion no more than its compilation of one expression.
func TestRatiosToStock(t *testing.T) {
	four := fourTemplates(t)
	env := &Env{Values: []any{taskMap(t)}}
	sc := manySteps()
	compile := stockCompile(t)
	for _, c := range []struct {
		name       string
		own, stock func()
		most       float64
	}{
		{"the four fields", func() {
			for _, tm := range four {
				if _, err := tm.Eval(env); err != nil {
					t.Fatal(err)
				}
			}
		}, stockFourFields(t), 0.8},
		{"compiling with 200 fields in scope", func() { Compile(manyFields, sc) }, compile, 0.1},
		{"completing among them", func() { Complete(`steps.step31.body.field1`, 24, sc) }, compile, 0.5},
	} {
		best := ratio(c.own, c.stock)
		for range 4 { // a busy machine gets more turns
			if best <= c.most {
				break
			}
			best = min(best, ratio(c.own, c.stock))
		}
		t.Logf("%s: %.3f of stock's time", c.name, best)
		if best > c.most {
			t.Errorf("%s: %.3f of stock's time, at most %v", c.name, best, c.most)
		}
	}
}
