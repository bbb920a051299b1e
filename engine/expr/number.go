package expr

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/cockroachdb/apd/v3"
)

// decimals is how decimals are computed: 34 digits, half to even, as IEEE
// 754's decimal128.
func decimals() *apd.Context {
	return &apd.Context{
		Precision:   34,
		MaxExponent: 6144,
		MinExponent: -6143,
		Rounding:    apd.RoundHalfEven,
		Traps:       apd.Overflow | apd.DivisionByZero | apd.InvalidOperation | apd.DivisionUndefined,
	}
}

// decimalSize is the memory of one decimal and of making it, in bytes.
const decimalSize = 128

func isNumber(v any) bool {
	switch v.(type) {
	case int, float64, json.Number, *apd.Decimal:
		return true
	}
	return false
}

// numeric gives a number that can be computed with: int, float64 or decimal.
// Integers beyond 64 bits become decimals, other kept digits float64.
func (f *frame) numeric(v any) any {
	switch x := v.(type) {
	case int, float64, *apd.Decimal:
		return v
	case json.Number:
		if strings.ContainsAny(string(x), ".eE") {
			n, err := strconv.ParseFloat(string(x), 64)
			switch {
			case err != nil:
				f.fail("%s is too large to be computed with", clip(string(x)))
			case n == 0 && strings.ContainsAny(mantissa(string(x)), "123456789"):
				f.fail("%s is too small to be computed with; use decimal()", clip(string(x)))
			}
			return n
		}
		if n, err := strconv.Atoi(string(x)); err == nil {
			return n
		}
		return f.decimal(x)
	}
	f.wrong("a number", v)
	return nil
}

// mantissa is a number without its exponent.
func mantissa(s string) string {
	if i := strings.IndexAny(s, "eE"); i >= 0 {
		return s[:i]
	}
	return s
}

// int gives a number without a fraction.
func (f *frame) int(v any) int {
	switch x := f.numeric(v).(type) {
	case int:
		return x
	case float64:
		if x == math.Trunc(x) && math.Abs(x) < 1<<53 {
			return int(x)
		}
		f.fail("expected an integer, got %s", formatFloat(x))
	case *apd.Decimal:
		if x.IsZero() {
			return 0 // whatever its exponent
		}
		n, err := x.Int64()
		if err != nil {
			f.fail("expected an integer of at most 64 bits, got %s", clip(x.String()))
		}
		return int(n)
	}
	return 0
}

func (f *frame) float(v any) float64 {
	switch x := f.numeric(v).(type) {
	case int:
		return float64(x)
	case float64:
		return x
	case *apd.Decimal:
		n, err := x.Float64()
		if err != nil {
			f.fail("%s is too large for a number", clip(x.String()))
		}
		return n
	}
	return 0
}

// decimal gives the exact decimal of a number or of a text that is one.
func (f *frame) decimal(v any) *apd.Decimal {
	text := ""
	switch x := v.(type) {
	case *apd.Decimal:
		return x
	case int:
		return apd.New(int64(x), 0)
	case float64:
		text = formatFloat(x)
	case json.Number:
		text = string(x)
	case string:
		text = strings.TrimSpace(x)
	default:
		f.wrong("a number", v)
	}
	if len(text) > f.limits.Digits {
		f.exceeded("a number of " + strconv.Itoa(len(text)) + " characters can't be computed with; at most " +
			strconv.Itoa(f.limits.Digits) + " are allowed (limits.expr_digits)")
	}
	f.step(10)
	f.alloc(decimalSize)
	d := new(apd.Decimal)
	if _, _, err := decimals().SetString(d, text); err != nil || d.Form != apd.Finite {
		f.fail("%s isn't a decimal number", clip(text))
	}
	return d
}

func (f *frame) equalNumbers(a, b any) bool {
	if !isNumber(b) {
		return false
	}
	x, ok := a.(json.Number)
	if y, also := b.(json.Number); ok && also && x == y {
		return true
	}
	return f.compareNumbers(a, b) == 0
}

func (f *frame) compareNumbers(a, b any) int {
	if isDecimal(a) || isDecimal(b) {
		return f.decimal(a).Cmp(f.decimal(b))
	}
	a, b = f.numeric(a), f.numeric(b)
	const exact = 1 << 53 // integers up to here are float64s
	switch x := a.(type) {
	case int:
		switch y := b.(type) {
		case int:
			return cmpOrdered(x, y)
		case float64:
			if x > -exact && x < exact {
				return cmpOrdered(float64(x), y)
			}
		}
	case float64:
		switch y := b.(type) {
		case float64:
			return cmpOrdered(x, y)
		case int:
			if y > -exact && y < exact {
				return cmpOrdered(x, float64(y))
			}
		}
	}
	return f.decimal(a).Cmp(f.decimal(b))
}

// arith computes a op b for numbers, times and durations, and joins texts.
func (f *frame) arith(op byte, a, b any) any {
	switch x := a.(type) {
	case int:
		if y, ok := b.(int); ok {
			if v, ok := f.ints(op, x, y); ok {
				return v
			}
			return f.floats(op, float64(x), float64(y))
		}
	case float64:
		switch y := b.(type) {
		case float64:
			return f.floats(op, x, y)
		case int:
			return f.floats(op, x, float64(y))
		}
	case string:
		if op == '+' {
			y := f.str(b)
			f.alloc(len(x) + len(y))
			return x + y
		}
	case time.Time, time.Duration:
		return f.times(op, a, b)
	case nil:
		f.fail("%s needs a value, got null; %s", opText(op), addDefault)
	}
	if b == nil {
		f.fail("%s needs a value, got null; %s", opText(op), addDefault)
	}
	if d, ok := b.(time.Duration); ok && op == '*' && isNumber(a) {
		return f.times(op, d, a)
	}
	if !isNumber(a) || !isNumber(b) {
		f.fail("%s can't be used between %s and %s", opText(op), kindName(a), kindName(b))
	}
	// The digits that were kept go into a decimal as they are.
	if isDecimal(a) || isDecimal(b) {
		return f.decimalOp(op, f.decimal(a), f.decimal(b))
	}
	a, b = f.numeric(a), f.numeric(b)
	if isDecimal(a) || isDecimal(b) {
		return f.decimalOp(op, f.decimal(a), f.decimal(b))
	}
	x, xi := a.(int)
	y, yi := b.(int)
	if xi && yi {
		if v, ok := f.ints(op, x, y); ok {
			return v
		}
	}
	return f.floats(op, f.float(a), f.float(b))
}

func isDecimal(v any) bool {
	_, ok := v.(*apd.Decimal)
	return ok
}

func opText(op byte) string {
	if op == '^' {
		return "**"
	}
	return string(op)
}

// ints computes with integers; false when the result is no integer.
func (f *frame) ints(op byte, x, y int) (int, bool) {
	switch op {
	case '+':
		if s := x + y; (s > x) == (y > 0) {
			return s, true
		}
	case '-':
		if s := x - y; (s < x) == (y > 0) {
			return s, true
		}
	case '*':
		if x == 0 || y == 0 {
			return 0, true
		}
		if p := x * y; p/y == x && !(x == -1 && y == math.MinInt) && !(y == -1 && x == math.MinInt) {
			return p, true
		}
	case '/':
		if y == 0 {
			f.fail("division by zero")
		}
		if y == -1 {
			return f.ints('-', 0, x)
		}
		return x / y, x%y == 0
	case '%':
		if y == 0 {
			f.fail("division by zero")
		}
		if y == -1 {
			return 0, true
		}
		return x % y, true
	case '^':
		return 0, false
	}
	f.fail("%d %s %d is more than a 64-bit integer holds; use decimal()", x, opText(op), y)
	return 0, false
}

func (f *frame) floats(op byte, x, y float64) any {
	var r float64
	switch op {
	case '+':
		r = x + y
	case '-':
		r = x - y
	case '*':
		r = x * y
	case '/':
		if y == 0 {
			f.fail("division by zero")
		}
		r = x / y
	case '%':
		v, _ := f.ints('%', f.int(x), f.int(y))
		return v
	case '^':
		r = math.Pow(x, y)
	}
	return f.finite(r)
}

func (f *frame) finite(r float64) float64 {
	if math.IsNaN(r) || math.IsInf(r, 0) {
		f.fail("the result isn't a finite number")
	}
	return r
}

func (f *frame) decimalOp(op byte, x, y *apd.Decimal) any {
	f.step(20)
	f.alloc(decimalSize)
	c, r := decimals(), new(apd.Decimal)
	var err error
	switch op {
	case '+':
		x, y = near(x, y)
		_, err = c.Add(r, x, y)
	case '-':
		x, y = near(x, y)
		_, err = c.Sub(r, x, y)
	case '*':
		_, err = c.Mul(r, x, y)
	case '/':
		if y.IsZero() {
			f.fail("division by zero")
		}
		if _, err = c.Quo(r, x, y); err == nil {
			r.Reduce(r) // to 2.5, not 2.500…
		}
	default:
		f.fail("%s isn't defined for decimals", opText(op))
	}
	if err != nil {
		f.fail("the result is no decimal: %v", err)
	}
	return r
}

// near gives two decimals that have the sum and the difference of x and y, as
// they are rounded, and exponents that aren't far apart: apd writes out the
// zeros between them, up to 12,000 for 1e6144 + 1e-6144. Of the one that is far
// below the other's last digit, and below all digits that are kept, nothing but
// its sign decides.
func near(x, y *apd.Decimal) (*apd.Decimal, *apd.Decimal) {
	switch {
	case x.IsZero() && x.Exponent > y.Exponent:
		return &apd.Decimal{Exponent: y.Exponent, Negative: x.Negative}, y
	case y.IsZero() && y.Exponent > x.Exponent:
		return x, &apd.Decimal{Exponent: x.Exponent, Negative: y.Negative}
	case x.Exponent < y.Exponent:
		return sticky(x, y), y
	}
	return x, sticky(y, x)
}

// sticky is small, or what stands for it when it is far below large.
func sticky(small, large *apd.Decimal) *apd.Decimal {
	const kept = 40 // more digits than a result keeps, and a guard
	least := min(int64(large.Exponent), int64(large.Exponent)+large.NumDigits()-kept) - 3
	switch top := int64(small.Exponent) + small.NumDigits(); {
	case small.IsZero() && int64(small.Exponent) < least:
		return &apd.Decimal{Exponent: int32(least), Negative: small.Negative}
	case small.IsZero() || top > least:
		return small
	}
	d := apd.New(1, int32(least))
	d.Negative = small.Negative
	return d
}

func (f *frame) times(op byte, a, b any) any {
	switch x := a.(type) {
	case time.Time:
		switch y := b.(type) {
		case time.Duration:
			switch op {
			case '+':
				return x.Add(y)
			case '-':
				return x.Add(-y)
			}
		case time.Time:
			if op == '-' {
				return x.Sub(y)
			}
		}
	case time.Duration:
		switch y := b.(type) {
		case time.Time:
			if op == '+' {
				return y.Add(x)
			}
		case time.Duration:
			switch op {
			case '+', '-':
				n, _ := f.ints(op, int(x), int(y))
				return time.Duration(n)
			case '/':
				return f.floats(op, float64(x), float64(y))
			}
		case int:
			if op == '*' {
				n, _ := f.ints(op, int(x), y)
				return time.Duration(n)
			}
		}
		if isNumber(b) && (op == '*' || op == '/') {
			n, _ := f.floats(op, float64(x), f.float(b)).(float64)
			if math.Abs(n) >= math.MaxInt64 {
				f.fail("the duration is too long; 292 years is the longest")
			}
			return time.Duration(n)
		}
	}
	if b == nil {
		f.fail("%s needs a value, got null; %s", opText(op), addDefault)
	}
	f.fail("%s can't be used between %s and %s", opText(op), kindName(a), kindName(b))
	return nil
}

// interval is a..b, both included.
func (f *frame) interval(a, b any) any {
	x, y := f.int(a), f.int(b)
	if y < x {
		return []any{}
	}
	n := uint64(y) - uint64(x)
	if n >= uint64(f.limits.Bytes/24) {
		f.exceeded("the range " + strconv.Itoa(x) + ".." + strconv.Itoa(y) + " is too long (limits.expr_bytes)")
	}
	f.alloc(24 * (int(n) + 1))
	f.step(int(n) + 1)
	out := make([]any, n+1)
	for i := range out {
		out[i] = x + i
	}
	return out
}

// appendNumber writes a float64, a decimal or kept digits, as JSON or, for
// people, without an exponent where it can be helped.
func (f *frame) appendNumber(b []byte, v any, plain bool) []byte {
	switch x := v.(type) {
	case float64:
		return appendFloat(b, f.finite(x))
	case json.Number:
		if plain && strings.ContainsAny(string(x), "eE") {
			if n, err := strconv.ParseFloat(string(x), 64); err == nil {
				return appendFloat(b, n)
			}
		}
		return append(b, x...)
	case *apd.Decimal:
		if x.Form != apd.Finite {
			f.fail("the result isn't a finite number")
		}
		f.step(20)
		if e := int64(x.Exponent) + x.NumDigits(); e > 40 || x.Exponent < -40 {
			return x.Append(b, 'E')
		}
		return x.Append(b, 'f')
	}
	return b
}

func formatFloat(x float64) string { return string(appendFloat(nil, x)) }

// appendFloat writes the shortest digits that give x again; only the very large
// and the very small have an exponent.
func appendFloat(b []byte, x float64) []byte {
	if x == 0 {
		return append(b, '0') // never -0
	}
	if a := math.Abs(x); a < 1e-6 || a >= 1e21 {
		return strconv.AppendFloat(b, x, 'e', -1, 64)
	}
	return strconv.AppendFloat(b, x, 'f', -1, 64)
}

func (f *frame) negate(v any) any {
	switch x := v.(type) {
	case float64:
		return -x
	case time.Duration:
		n, _ := f.ints('-', 0, int(x))
		return time.Duration(n)
	}
	if v == nil {
		f.wrong("a number", v)
	}
	return f.arith('-', 0, v)
}
