package expr

import (
	"math/rand/v2"
	"strconv"
	"testing"

	"github.com/cockroachdb/apd/v3"
)

// What stands for a decimal that is far below another one gives the same sum
// and difference as all its zeros written out.
func TestDecimalsFarApart(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(1, 2))
	c := decimals()
	digits := func() string {
		b := make([]byte, 1+rnd.IntN(34))
		for i := range b {
			b[i] = "0123456789"[rnd.IntN(10)]
			if rnd.IntN(3) == 0 {
				b[i] = "0459"[rnd.IntN(4)]
			}
		}
		if rnd.IntN(8) == 0 {
			return "0"
		}
		return string(b)
	}
	next := func() *apd.Decimal {
		sign := []string{"", "-"}[rnd.IntN(2)]
		d, _, err := apd.NewFromString(sign + digits() + "e" + strconv.Itoa(rnd.IntN(300)-150))
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	// Halves, which a remainder far below decides.
	pairs := [][2]string{
		{"12345678901234567890123456789012345e9", "1e-300"},
		{"12345678901234567890123456789012345e9", "-1e-300"},
		{"12345678901234567890123456789012355e9", "-1e-300"},
		{"1e200", "-1e-200"},
		{"1e200", "0e-200"},
		{"0e200", "1e-200"},
		{"0e200", "-0e-200"},
	}
	for i := range 20_000 {
		x, y := next(), next()
		if i < len(pairs) {
			x, _, _ = apd.NewFromString(pairs[i][0])
			y, _, _ = apd.NewFromString(pairs[i][1])
		}
		for _, op := range []func(d, x, y *apd.Decimal) (apd.Condition, error){c.Add, c.Sub} {
			var want, got apd.Decimal
			if _, err := op(&want, x, y); err != nil {
				t.Fatal(err)
			}
			a, b := near(x, y)
			if gap := int64(a.Exponent) - int64(b.Exponent); gap > 120 || gap < -120 {
				t.Fatalf("%s and %s become %s and %s", x, y, a, b)
			}
			if _, err := op(&got, a, b); err != nil {
				t.Fatal(err)
			}
			if got.String() != want.String() || got.Exponent != want.Exponent {
				t.Fatalf("%s and %s give %s, want %s", x, y, &got, &want)
			}
		}
	}
}
