package expr

import (
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/cockroachdb/apd/v3"
)

func numberFunctions() []function {
	const group = "numbers"
	num := Number()
	number := req("number", num)
	many := req("values", Any())
	rounding := func(name, doc string, do func(float64) float64, how apd.Rounder, examples ...Example) function {
		return function{
			name: name, group: group, params: []param{number, opt("digits", Int())}, returns: "number",
			result: gives(num), doc: doc, examples: examples,
			do: func(f *frame, a []any) any { return f.round(a, do, how) },
		}
	}
	bits := func(name, doc string, do func(x, y int) int, examples ...Example) function {
		return function{
			name: name, group: group, params: []param{req("a", Int()), req("b", Int())}, returns: "integer", result: gives(Int()), doc: doc, examples: examples,
			do: func(f *frame, a []any) any {
				x, y := f.int(a[0]), f.int(a[1])
				if y < 0 && strings.HasPrefix(name, "bits") || y < 0 && name == "bitushr" {
					f.fail("a negative shift of %d", y)
				}
				return do(x, y)
			},
		}
	}
	return []function{
		{
			name: "int", group: group, params: []param{req("value", of(kString|kNumber))}, returns: "integer", result: gives(Int()),
			doc: "The integer of a text or a number; fractions are cut off.", examples: []Example{{`int("42")`, `42`}, {`int(2.9)`, `2`}},
			do: toInt,
		},
		{
			name: "float", group: group, params: []param{req("value", of(kString|kNumber))}, returns: "number", result: gives(of(kFloat)),
			doc: "The number of a text or a number, with 15 exact digits.", examples: []Example{{`float("1.50")`, `1.5`}, {`float(2)`, `2`}},
			do: func(f *frame, a []any) any {
				s, ok := a[0].(string)
				if !ok {
					return f.float(a[0])
				}
				return f.parseFloat(s)
			},
		},
		{
			name: "type", group: group, params: []param{req("value", Any())}, returns: "string",
			result: gives(Enum("null", "boolean", "number", "decimal", "string", "list", "object", "time", "duration")),
			doc:    "The kind of the value.", examples: []Example{{`type([1])`, `"list"`}, {`type(null)`, `"null"`}},
			do: func(f *frame, a []any) any { return kindName(a[0]) },
		},
		{
			name: "abs", group: group, params: []param{number}, returns: "number", result: func(a []*Type) *Type { return signed(a[0]) },
			doc: "The number without its sign.", examples: []Example{{`abs(-2)`, `2`}, {`abs(2.5)`, `2.5`}},
			do: func(f *frame, a []any) any {
				if n := f.numeric(a[0]); f.compareNumbers(n, 0) >= 0 {
					return n
				}
				return f.negate(a[0])
			},
		},
		rounding("ceil", "The next larger number with so many digits after the point (none).", math.Ceil, apd.RoundCeiling, Example{`ceil(1.2)`, `2`}, Example{`ceil(1.21, 1)`, `1.3`}),
		rounding("floor", "The next smaller number with so many digits after the point (none).", math.Floor, apd.RoundFloor, Example{`floor(-1.2)`, `-2`}, Example{`floor(1.29, 1)`, `1.2`}),
		rounding("round", "The nearest number with so many digits after the point (none); a half goes away from zero.", math.Round, apd.RoundHalfUp,
			Example{`round(1.5)`, `2`}, Example{`round(1.2345, 2)`, `1.23`}),
		{
			name: "max", group: group, params: []param{many.as(isOrdered)}, rest: true, returns: "value", result: extreme,
			doc: "The largest of the values, or of the items of lists; null of none.", examples: []Example{{`max(1, 3, 2)`, `3`}, {`max([1, 3])`, `3`}},
			do: func(f *frame, a []any) any { return f.extreme(a, 1) },
		},
		{
			name: "min", group: group, params: []param{many.as(isOrdered)}, rest: true, returns: "value", result: extreme,
			doc: "The smallest of the values, or of the items of lists; null of none.", examples: []Example{{`min(1, 3, 2)`, `1`}, {`min([2, 1])`, `1`}},
			do: func(f *frame, a []any) any { return f.extreme(a, -1) },
		},
		{
			name: "mean", group: group, params: []param{many.as(isNumbers)}, rest: true, returns: "number", result: gives(num),
			doc: "The mean of the numbers, or of the items of lists; 0 of none.", examples: []Example{{`mean([1, 2, 6])`, `3`}, {`mean([])`, `0`}},
			do: func(f *frame, a []any) any {
				xs := f.floatList(a)
				if len(xs) == 0 {
					return 0
				}
				sum := 0.0
				for _, x := range xs {
					sum += x
				}
				return f.finite(sum / float64(len(xs)))
			},
		},
		{
			name: "median", group: group, params: []param{many.as(isNumbers)}, rest: true, returns: "number", result: gives(num),
			doc: "The number in the middle of the numbers, or of the items of lists; 0 of none.", examples: []Example{{`median([5, 1, 3])`, `3`}, {`median(1, 2)`, `1.5`}},
			do: func(f *frame, a []any) any {
				xs := f.floatList(a)
				if len(xs) == 0 {
					return 0
				}
				f.step(8 * len(xs))
				slices.Sort(xs)
				if n := len(xs); n%2 == 0 {
					return f.finite(xs[n/2-1]/2 + xs[n/2]/2)
				}
				return xs[len(xs)/2]
			},
		},
		bits("bitand", "The bits that both have.", func(x, y int) int { return x & y }, Example{`bitand(6, 3)`, `2`}, Example{`bitand(8, 3)`, `0`}),
		bits("bitor", "The bits that either has.", func(x, y int) int { return x | y }, Example{`bitor(6, 3)`, `7`}, Example{`bitor(8, 1)`, `9`}),
		bits("bitxor", "The bits that one of them has.", func(x, y int) int { return x ^ y }, Example{`bitxor(6, 3)`, `5`}, Example{`bitxor(1, 1)`, `0`}),
		bits("bitnand", "The bits of a that b lacks.", func(x, y int) int { return x &^ y }, Example{`bitnand(6, 3)`, `4`}, Example{`bitnand(3, 3)`, `0`}),
		bits("bitshl", "The bits of a, moved up by b.", func(x, y int) int { return x << min(y, 64) }, Example{`bitshl(1, 4)`, `16`}, Example{`bitshl(3, 1)`, `6`}),
		bits("bitshr", "The bits of a, moved down by b, with its sign.", func(x, y int) int { return x >> min(y, 64) }, Example{`bitshr(16, 4)`, `1`}, Example{`bitshr(-8, 1)`, `-4`}),
		bits("bitushr", "The bits of a, moved down by b, zeros coming after.", func(x, y int) int { return int(uint(x) >> min(y, 64)) }, Example{`bitushr(16, 4)`, `1`}, Example{`bitushr(8, 3)`, `1`}),
		{
			name: "bitnot", group: group, params: []param{req("a", Int())}, returns: "integer", result: gives(Int()),
			doc: "The bits that a lacks.", examples: []Example{{`bitnot(0)`, `-1`}, {`bitnot(-1)`, `0`}},
			do: func(f *frame, a []any) any { return ^f.int(a[0]) },
		},
	}
}

func toInt(f *frame, a []any) any {
	switch x := a[0].(type) {
	case string:
		s := strings.TrimSpace(x)
		if n, err := strconv.Atoi(s); err == nil && len(s) < 32 {
			return n
		}
		f.fail("%s isn't an integer", clip(x))
	case float64, json.Number:
		n, ok := f.numeric(x).(float64)
		if !ok {
			return f.int(x)
		}
		if math.Abs(n) < 1<<53 {
			return int(n)
		}
		f.fail("%s is too large for an integer", formatFloat(n))
	case *apd.Decimal:
		whole := new(apd.Decimal)
		x.Modf(whole, nil)
		return f.int(whole)
	}
	return f.int(a[0])
}

func (f *frame) parseFloat(s string) float64 {
	text := strings.TrimSpace(s)
	// Hexadecimal and underscores, which Go reads, aren't numbers here.
	if len(text) > f.limits.Digits || strings.ContainsAny(text, "xXpP_nNiI") {
		f.fail("%s isn't a number", clip(s))
	}
	n, err := strconv.ParseFloat(text, 64)
	if err != nil {
		f.fail("%s isn't a number", clip(s))
	}
	return n
}

// round gives an int when no digits are asked for and it fits.
func (f *frame) round(a []any, do func(float64) float64, how apd.Rounder) any {
	digits := 0
	if len(a) > 1 {
		if digits = f.int(a[1]); digits < -20 || digits > 20 {
			f.fail("a number is rounded to -20 to 20 digits, not %d", digits)
		}
	}
	n := f.numeric(a[0])
	if d, ok := n.(*apd.Decimal); ok || digits != 0 {
		if !ok {
			d = f.decimal(n)
		}
		r := f.quantize(d, digits, how)
		if ok {
			return r
		}
		return f.float(r)
	}
	x, ok := n.(float64)
	if !ok {
		return n
	}
	if r := do(x); math.Abs(r) < 1<<53 {
		return int(r)
	}
	return do(x)
}

func extreme(a []*Type) *Type {
	t, empty := never(), true
	for _, x := range a {
		t = union(t, flat(x))
		empty = empty && x.has(kList)
	}
	if empty {
		return t.orNull()
	}
	return t
}

// each walks the values and the items of the lists among them.
func (f *frame) each(a []any, depth int, do func(v any)) {
	if depth > maxValueDepth {
		f.exceeded("the list is nested too deeply")
	}
	for _, v := range a {
		f.step(1)
		if l, ok := f.force(v).([]any); ok {
			f.each(l, depth+1, do)
			continue
		}
		do(v)
	}
}

func (f *frame) extreme(a []any, sign int) any {
	var best any
	first := true
	f.each(a, 0, func(v any) {
		if first {
			f.compare(v, v)
			best, first = v, false
		} else if f.compare(v, best)*sign > 0 {
			best = v
		}
	})
	return best
}

func (f *frame) floatList(a []any) []float64 {
	var out []float64
	f.each(a, 0, func(v any) {
		f.alloc(16)
		out = append(out, f.float(v))
	})
	return out
}
