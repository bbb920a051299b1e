package machine_test

import (
	"fmt"
	"math/bits"
	"slices"
	"strings"

	"pgregory.net/rapid"
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
	g.list(&b, "s", n, nil)
	if g.chance(50) {
		b.WriteString("failure\n")
		var top []string
		for i := range n {
			top = append(top, fmt.Sprintf("s%d", i))
		}
		g.list(&b, "f", 1+pick(g.t, 4), top)
	}
	return b.String()
}

// list draws n steps of a list, whose ids begin with name; they all see above.
func (g gen) list(b *strings.Builder, name string, n int, above []string) {
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
					after = append(after, fmt.Sprintf("%s%d", name, j))
				}
			}
		}
		sees[i] = map[string]bool{}
		for _, p := range preds {
			sees[i][fmt.Sprintf("%s%d", name, p)] = true
			for id := range sees[p] {
				sees[i][id] = true
			}
		}
		ids := slices.Clone(above)
		for j := range i {
			if id := fmt.Sprintf("%s%d", name, j); sees[i][id] {
				ids = append(ids, id)
			}
		}
		g.step(b, fmt.Sprintf("%s%d", name, i), ids)
		if len(after) > 1 {
			after = after[1:]
		}
		if after != nil {
			fmt.Fprintf(b, "  after %s\n", strings.Join(after, " "))
		}
	}
}

func (g gen) step(b *strings.Builder, id string, sees []string) {
	switch pick(g.t, 8) {
	case 0, 1, 2, 3, 4:
		fmt.Fprintf(b, "step %s use x.y\n", id)
		for range pick(g.t, 3) {
			fmt.Fprintf(b, "  with f = %s\n", g.value(sees))
		}
		if id[0] == 'f' {
			b.WriteString("  with why = ${{ error.kind }}\n")
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
