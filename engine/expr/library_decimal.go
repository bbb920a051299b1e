package expr

import (
	"math"
	"strconv"
	"strings"

	"github.com/cockroachdb/apd/v3"
)

// decimalFunctions are those of exact numbers and of numbers as people write
// them.
func decimalFunctions() []function {
	const group, numbers = "decimals", "numbers"
	str := StringType()
	value := req("value", of(kString|kNumber))
	return []function{
		{
			name: "decimal", group: group, params: []param{value}, returns: "decimal", result: gives(of(kDecimal)),
			doc: "The exact decimal of a text or a number: what is computed with it has 34 exact digits.", examples: []Example{{`decimal("0.1") + decimal("0.2")`, `0.3`}, {`string(decimal("1.10") * 2)`, `"2.20"`}},
			do: func(f *frame, a []any) any { return f.decimal(a[0]) },
		},
		{
			name: "toFixed", group: group, params: []param{value, req("digits", Int())}, returns: "string", result: gives(str),
			doc: "The text of a number with exactly so many digits after the point; a half goes away from zero.", examples: []Example{{`toFixed(1.5, 2)`, `"1.50"`}, {`toFixed("2.675", 2)`, `"2.68"`}},
			do: func(f *frame, a []any) any {
				return string(f.appendNumber(nil, f.quantize(f.decimal(a[0]), f.places(a[1]), apd.RoundHalfUp), true))
			},
		},
		{
			name: "roundHalfEven", group: group, params: []param{value, req("digits", Int())}, returns: "decimal", result: gives(of(kDecimal)),
			doc: "The decimal with so many digits after the point; a half goes to the even digit, as bankers round.", examples: []Example{{`roundHalfEven("2.345", 2)`, `2.34`}, {`roundHalfEven("2.355", 2)`, `2.36`}},
			do: func(f *frame, a []any) any {
				return f.quantize(f.decimal(a[0]), f.places(a[1]), apd.RoundHalfEven)
			},
		},
		{
			name: "divide", group: group, params: []param{value, req("by", of(kString|kNumber)), req("digits", Int())}, returns: "decimal", result: gives(of(kDecimal)),
			doc: "The exact quotient, with so many digits after the point; a half goes away from zero.", examples: []Example{{`divide(10, 3, 2)`, `3.33`}, {`divide("1", "8", 2)`, `0.13`}},
			do: func(f *frame, a []any) any {
				x, y := f.decimal(a[0]), f.decimal(a[1])
				if y.IsZero() {
					f.fail("division by zero")
				}
				f.step(20)
				c, r := decimals(), new(apd.Decimal)
				c.Rounding = apd.RoundDown // twice rounded would be wrong
				if _, err := c.Quo(r, x, y); err != nil {
					f.fail("the result is no decimal: %v", err)
				}
				return f.quantize(r, f.places(a[2]), apd.RoundHalfUp)
			},
		},
		{
			name: "formatNumber", group: numbers, params: []param{value, opt("digits", Int()), opt("point", str), opt("group", str)}, returns: "string", result: gives(str),
			doc: "The text of a number for people, with so many digits after the point (2), the point (.) and what separates thousands (,).",
			examples: []Example{
				{`formatNumber(1234567.5)`, `"1,234,567.50"`}, {`formatNumber(-1234.5, 1, ",", ".")`, `"-1.234,5"`}, {`formatNumber(12, 0, ".", "")`, `"12"`},
			},
			do: formatNumber,
		},
		{
			name: "parseNumber", group: numbers, params: []param{req("text", str), opt("point", str), opt("group", str)}, returns: "decimal", result: gives(of(kDecimal)),
			doc: "The exact number of a text that people wrote, with the point (.) and what separates thousands (,).",
			examples: []Example{
				{`parseNumber("1,234.50")`, `1234.50`}, {`parseNumber("1.234,5", ",", ".")`, `1234.5`}, {`parseNumber("12", ",", ".")`, `12`},
			},
			do: func(f *frame, a []any) any {
				s := strings.TrimSpace(f.str(a[0]))
				point, sep := f.separators(a[1:])
				f.alloc(len(s))
				whole, fraction, cut := strings.Cut(s, point)
				if sep != "" {
					// Groups of three, but for the first.
					groups := strings.Split(whole, sep)
					for i, g := range groups {
						if i > 0 && len(g) != 3 {
							f.fail("%s isn't a number with %s between thousands", clip(s), quoted(sep))
						}
					}
					whole = strings.Join(groups, "")
				}
				if cut {
					whole += "." + fraction
				}
				if !numeric(whole) || strings.ContainsAny(whole, "eE") {
					f.fail("%s isn't a number", clip(s))
				}
				return f.decimal(whole)
			},
		},
		{
			name: "sign", group: numbers, params: []param{req("number", Number())}, returns: "integer", result: gives(Int()),
			doc: "-1, 0 or 1, as the number is negative, zero or positive.", examples: []Example{{`sign(-2.5)`, `-1`}, {`sign(0)`, `0`}},
			do: func(f *frame, a []any) any { return f.compareNumbers(f.numeric(a[0]), 0) },
		},
		{
			name: "clamp", group: numbers, params: []param{req("number", Number()), req("least", Number()), req("most", Number())}, returns: "number", result: gives(Number()),
			doc: "The number, or the bound that it is beyond.", examples: []Example{{`clamp(12, 0, 10)`, `10`}, {`clamp(-1, 0, 10)`, `0`}},
			do: func(f *frame, a []any) any {
				x, low, high := f.numeric(a[0]), f.numeric(a[1]), f.numeric(a[2])
				switch {
				case f.compareNumbers(low, high) > 0:
					f.fail("the least is more than the most")
				case f.compareNumbers(x, low) < 0:
					return low
				case f.compareNumbers(x, high) > 0:
					return high
				}
				return x
			},
		},
		{
			name: "sqrt", group: numbers, params: []param{req("number", Number())}, returns: "number", result: gives(Number()),
			doc: "The square root.", examples: []Example{{`sqrt(9)`, `3`}, {`sqrt(2.25)`, `1.5`}},
			do: func(f *frame, a []any) any {
				x := f.float(a[0])
				if x < 0 {
					f.fail("%s has no square root", formatFloat(x))
				}
				return math.Sqrt(x)
			},
		},
		{
			name: "toBase", group: numbers, params: []param{req("number", Int()), req("base", Int())}, returns: "string", result: gives(str),
			doc: "The digits of an integer in the base 2 to 36.", examples: []Example{{`toBase(255, 16)`, `"ff"`}, {`toBase(-5, 2)`, `"-101"`}},
			do: func(f *frame, a []any) any { return strconv.FormatInt(int64(f.int(a[0])), f.base(a[1])) },
		},
		{
			name: "fromBase", group: numbers, params: []param{req("text", str), req("base", Int())}, returns: "integer", result: gives(Int()),
			doc: "The integer of digits in the base 2 to 36.", examples: []Example{{`fromBase("ff", 16)`, `255`}, {`fromBase("-101", 2)`, `-5`}},
			do: func(f *frame, a []any) any {
				s, base := f.str(a[0]), f.base(a[1])
				n, err := strconv.ParseInt(s, base, 64)
				if err != nil {
					f.fail("%s isn't an integer in the base %d", clip(s), base)
				}
				return int(n)
			},
		},
		{
			name: "bool", group: numbers, params: []param{req("value", of(kString|kNumber|kBool))}, returns: "boolean", result: gives(Bool()),
			doc: `The boolean of a text (true, yes, on, 1 and their opposites, in any case) or of 0 and 1.`, examples: []Example{{`bool("Yes")`, `true`}, {`bool(0)`, `false`}},
			do: func(f *frame, a []any) any {
				if b, ok := a[0].(bool); ok {
					return b
				}
				s := f.text(a[0])
				if len(s) <= 8 {
					switch strings.ToLower(strings.TrimSpace(s)) {
					case "true", "yes", "y", "on", "1":
						return true
					case "false", "no", "n", "off", "0":
						return false
					}
				}
				f.fail("%s is neither true nor false", clip(s))
				return nil
			},
		},
	}
}

func (f *frame) places(v any) int {
	n := f.int(v)
	if n < 0 || n > 20 {
		f.fail("a number has 0 to 20 digits after the point, not %d", n)
	}
	return n
}

func (f *frame) base(v any) int {
	n := f.int(v)
	if n < 2 || n > 36 {
		f.fail("a base is 2 to 36, not %d", n)
	}
	return n
}

// quantize gives a decimal so many digits after the point.
func (f *frame) quantize(d *apd.Decimal, digits int, how apd.Rounder) *apd.Decimal {
	const most = 64 // digits of the result
	f.step(20)
	f.alloc(2 * decimalSize)
	// What apd would write out in thousands of zeros is told before.
	switch {
	case d.IsZero():
		return apd.New(0, int32(-digits))
	case int64(d.Exponent)+d.NumDigits()+int64(digits) > most:
		f.fail("%s has more than %d digits when it has %d after the point", clip(d.String()), most, digits)
	}
	c, r := decimals(), new(apd.Decimal)
	c.Precision, c.Rounding = most, how
	if _, err := c.Quantize(r, d, int32(-digits)); err != nil {
		f.fail("the result is no decimal: %v", err)
	}
	if r.IsZero() {
		r.Negative = false
	}
	return r
}

// separators are the point and the separator of thousands, as arguments give
// them.
func (f *frame) separators(a []any) (point, group string) {
	point, group = ".", ","
	if len(a) > 0 {
		point = f.str(a[0])
	}
	if len(a) > 1 {
		group = f.str(a[1])
	}
	if point == group || point == "" || len(point) > 4 || len(group) > 4 || strings.ContainsAny(point+group, "0123456789+-") {
		f.fail("the point %s and the separator of thousands %s must differ, and be no digits", clip(point), clip(group))
	}
	return point, group
}

func formatNumber(f *frame, a []any) any {
	digits := 2
	if len(a) > 1 {
		digits = f.places(a[1])
	}
	point, sep := ".", ","
	if len(a) > 2 {
		point, sep = f.separators(a[2:])
	}
	s := string(f.appendNumber(nil, f.quantize(f.decimal(a[0]), digits, apd.RoundHalfUp), true))
	f.alloc(8 * len(s))
	s, negative := strings.CutPrefix(s, "-")
	whole, fraction, _ := strings.Cut(s, ".")
	var b strings.Builder
	if negative {
		b.WriteByte('-')
	}
	for i, c := range []byte(whole) {
		if i > 0 && (len(whole)-i)%3 == 0 {
			b.WriteString(sep)
		}
		b.WriteByte(c)
	}
	if fraction != "" {
		b.WriteString(point + fraction)
	}
	return b.String()
}
