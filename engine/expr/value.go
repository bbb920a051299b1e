package expr

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/cockroachdb/apd/v3"
)

// kindName is the name of a value's kind, the same words as Type.String has.
func kindName(v any) string {
	switch x := v.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case int, float64, json.Number:
		return "number"
	case *apd.Decimal:
		return "decimal"
	case string:
		return "string"
	case []any:
		return "list"
	case map[string]any, Members:
		return "object"
	case time.Time:
		return "time"
	case time.Duration:
		return "duration"
	case Secret:
		return "secret"
	case *Raw:
		if x.isList() {
			return "list"
		}
		return "object"
	}
	return fmt.Sprintf("a Go value of type %T", v)
}

// clip quotes a text of the data for a message.
func clip(s string) string {
	const most = 40
	if len(s) <= most {
		return strconv.Quote(s)
	}
	n := most
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return strconv.Quote(s[:n]) + "…"
}

const addDefault = "add ?? and a default"

func (f *frame) wrong(want string, v any) {
	if v == nil {
		f.fail("expected %s, got null; %s", want, addDefault)
	}
	f.fail("expected %s, got %s", want, kindName(v))
}

// force decodes the outermost level of a raw value.
func (f *frame) force(v any) any {
	if r, ok := v.(*Raw); ok {
		return f.open(r)
	}
	return v
}

func (f *frame) str(v any) string {
	s, ok := v.(string)
	if !ok {
		f.wrong("a string", v)
	}
	return s
}

func (f *frame) list(v any) []any {
	if l, ok := f.force(v).([]any); ok {
		return l
	}
	f.wrong("a list", v)
	return nil
}

func (f *frame) object(v any) map[string]any {
	switch x := f.force(v).(type) {
	case map[string]any:
		return x
	case Lister:
		names := x.Names()
		f.alloc(48 + 80*len(names))
		m := make(map[string]any, len(names))
		for _, n := range names {
			m[n], _ = x.Member(n)
		}
		return m
	case Members:
		f.fail("this object can't be taken as a whole; name one of its members")
	}
	f.wrong("an object", v)
	return nil
}

// sortedKeys gives the keys of m in order, and charges for it.
func (f *frame) sortedKeys(m map[string]any) []string {
	f.step(4 * len(m))
	f.alloc(16 * len(m))
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// member reads a member of anything that isn't a plain map.
func (f *frame) member(v any, name string, at int) any {
	switch x := v.(type) {
	case nil:
		return nil
	case map[string]any:
		return x[name]
	case *Raw:
		f.at = at
		return f.get(x, name)
	case Members:
		m, _ := x.Member(name)
		return m
	}
	f.at = at
	f.fail("%s has no field %s", kindName(v), clip(name))
	return nil
}

// index is v[i]: outside of a list or text, and of an absent value, null.
func (f *frame) index(v, i any, at int) any {
	f.at = at
	f.step(1)
	switch x := v.(type) {
	case nil:
		return nil
	case *Raw:
		if !x.isList() {
			return f.get(x, f.str(i))
		}
	case map[string]any, Members:
		return f.member(x, f.str(i), at)
	}
	switch x := f.force(v).(type) {
	case []any:
		if n := fromEnd(f.int(i), len(x)); n >= 0 && n < len(x) {
			return x[n]
		}
		return nil
	case string:
		n := f.int(i)
		from, to := f.runes(x, n, n+1)
		if n == -1 {
			from, to = f.runes(x, -1, math.MaxInt)
		}
		if from == to {
			return nil
		}
		return x[from:to]
	}
	f.fail("%s can't be indexed", kindName(v))
	return nil
}

func fromEnd(i, n int) int {
	if i < 0 {
		return i + n
	}
	return i
}

// runes gives the byte offsets of the runes from..to of s; negative ones count
// from the end, and what lies outside is cut off.
func (f *frame) runes(s string, from, to int) (a, b int) {
	f.step(len(s) / 16)
	n := utf8.RuneCountInString(s)
	from = max(0, min(n, fromEnd(from, n)))
	to = max(from, min(n, fromEnd(to, n)))
	if n == len(s) {
		return from, to
	}
	k := 0
	a, b = len(s), len(s)
	for i := range s {
		if k == from {
			a = i
		}
		if k == to {
			b = i
			break
		}
		k++
	}
	return a, b
}

// slice is v[from:to]; null bounds are the ends. A text is cut by characters.
func (f *frame) slice(v, from, to any) any {
	bound := func(i any, def int) int {
		if i == nil {
			return def
		}
		return f.int(i)
	}
	switch x := f.force(v).(type) {
	case nil:
		return nil
	case []any:
		a := max(0, min(len(x), fromEnd(bound(from, 0), len(x))))
		b := max(a, min(len(x), fromEnd(bound(to, len(x)), len(x))))
		return x[a:b:b]
	case string:
		a, b := f.runes(x, bound(from, 0), bound(to, math.MaxInt))
		return x[a:b]
	}
	f.fail("%s can't be cut with [:]", kindName(v))
	return nil
}

// equal compares by value; values of different kinds are not equal, but all
// numbers are of one kind.
func (f *frame) equal(a, b any, depth int) bool {
	f.step(1)
	if depth > maxValueDepth {
		f.exceeded("the value is nested too deeply to be compared")
	}
	if ra, ok := a.(*Raw); ok {
		if rb, ok := b.(*Raw); ok && ra == rb {
			return true
		}
	}
	a, b = f.force(a), f.force(b)
	switch x := a.(type) {
	case nil:
		return b == nil
	case bool:
		y, ok := b.(bool)
		return ok && x == y
	case string:
		y, ok := b.(string)
		f.step(len(x) / 64)
		return ok && x == y
	case int, float64, json.Number, *apd.Decimal:
		return f.equalNumbers(a, b)
	case time.Time:
		y, ok := b.(time.Time)
		return ok && x.Equal(y)
	case time.Duration:
		y, ok := b.(time.Duration)
		return ok && x == y
	case []any:
		y, ok := b.([]any)
		if !ok || len(x) != len(y) {
			return false
		}
		for i := range x {
			if !f.equal(x[i], y[i], depth+1) {
				return false
			}
		}
		return true
	case map[string]any, Members:
		switch b.(type) {
		case map[string]any, Members:
		default:
			return false
		}
		y, z := f.object(a), f.object(b)
		if len(y) != len(z) {
			return false
		}
		// In order, so that the steps that are charged don't vary.
		for _, k := range f.sortedKeys(y) {
			w, ok := z[k]
			if !ok || !f.equal(y[k], w, depth+1) {
				return false
			}
		}
		return true
	case Secret:
		f.fail("a secret can't be compared")
	}
	return false
}

// compare orders two values of one kind.
func (f *frame) compare(a, b any) int {
	switch x := a.(type) {
	case string:
		if y, ok := b.(string); ok {
			f.step(min(len(x), len(y)) / 64)
			return strings.Compare(x, y)
		}
	case time.Time:
		if y, ok := b.(time.Time); ok {
			return x.Compare(y)
		}
	case time.Duration:
		if y, ok := b.(time.Duration); ok {
			return cmpOrdered(x, y)
		}
	case int, float64, json.Number, *apd.Decimal:
		if isNumber(b) {
			return f.compareNumbers(a, b)
		}
	}
	if a == nil || b == nil {
		f.fail("null can't be compared; %s", addDefault)
	}
	f.fail("%s can't be compared with %s", kindName(a), kindName(b))
	return 0
}

func cmpOrdered[T int | float64 | time.Duration](x, y T) int {
	switch {
	case x < y:
		return -1
	case x > y:
		return 1
	}
	return 0
}

// contains is "a in b": an item of a list, a name of an object.
func (f *frame) contains(a, b any) bool {
	if r, ok := b.(*Raw); ok && !r.isList() {
		b = f.open(r)
	}
	switch y := f.force(b).(type) {
	case nil:
		return false
	case []any:
		for _, v := range y {
			if f.equal(a, v, 0) {
				return true
			}
		}
		return false
	case map[string]any:
		_, ok := y[f.str(a)]
		return ok
	case Members:
		_, ok := y.Member(f.str(a))
		return ok
	}
	f.fail("in needs a list or an object, got %s", kindName(b))
	return false
}

// text is the one rule for making text of a value: in templates, string(),
// join() and keys. Lists and objects become JSON; null and secrets have none.
func (f *frame) text(v any) string {
	switch x := v.(type) {
	case string:
		return x
	case nil:
		f.fail("the value is null and would be part of a text; %s", addDefault)
	case bool:
		return strconv.FormatBool(x)
	case int:
		return strconv.Itoa(x)
	case float64, *apd.Decimal, json.Number:
		return string(f.appendNumber(nil, v, true))
	case time.Time:
		return f.timeText(x)
	case time.Duration:
		return durationText(x)
	case *Raw:
		f.alloc(len(x.b))
		return string(x.b)
	case []any, map[string]any, Members:
		return string(f.appendJSON(nil, v, 0))
	case Secret:
		f.fail("a secret can't be made into text")
	}
	f.fail("%s can't be made into text", kindName(v))
	return ""
}

// keyText is the text of a value as a key: equal numbers have one text.
func (f *frame) keyText(v any) string {
	if !isNumber(v) {
		return f.text(v)
	}
	switch x := f.numeric(v).(type) {
	case *apd.Decimal:
		f.step(20)
		f.alloc(decimalSize)
		d, _ := new(apd.Decimal).Reduce(x)
		return f.text(d)
	case float64:
		if whole := math.Trunc(x); whole == x && math.Abs(x) < 1<<53 {
			return strconv.Itoa(int(x))
		}
		return f.text(x)
	default:
		return f.text(x)
	}
}

// timeText is RFC 3339, with as many fractions of a second as there are.
func (f *frame) timeText(t time.Time) string {
	if y := t.Year(); y < 0 || y > 9999 {
		f.fail("the year %d has no text; 0 to 9999 have", y)
	}
	return t.Format(time.RFC3339Nano)
}

// durationText is Go's, without the units that are zero: 1h30m, not 1h30m0s.
func durationText(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
