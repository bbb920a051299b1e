package contract

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"math/big"
	"slices"
	"strings"
)

// rat gives a number exactly if it is short and has no exponent, and otherwise
// what a float64 has of it; nil if that is nothing finite.
func rat(n json.Number) *big.Rat {
	if len(n) <= 100 && !strings.ContainsAny(n.String(), "eE") {
		if r, ok := new(big.Rat).SetString(n.String()); ok {
			return r
		}
	}
	x, _ := n.Float64() // beyond its range it is infinite
	return new(big.Rat).SetFloat64(x)
}

func compare(a, b json.Number) int {
	if x, y := rat(a), rat(b); x != nil && y != nil {
		return x.Cmp(y)
	}
	x, _ := a.Float64()
	y, _ := b.Float64()
	return cmp.Compare(x, y)
}

func isMultiple(v, of json.Number) bool {
	x, y := rat(v), rat(of)
	if x == nil || y == nil || y.Sign() == 0 {
		return false
	}
	return x.Quo(x, y).IsInt()
}

func isOf(want, v any) bool {
	if list, ok := want.([]any); ok {
		return slices.ContainsFunc(list, func(w any) bool { return isOf(w, v) })
	}
	have := kindWord(v)
	return want == have || want == "number" && have == "integer"
}

// kindWord is JSON Schema's word for a value's type.
func kindWord(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case string:
		return "string"
	case []any:
		return "array"
	case json.Number:
		// An exponent would make the exact number as long as it likes.
		if !strings.ContainsAny(v.String(), ".eE") {
			return "integer"
		}
		if n, err := v.Float64(); err == nil && n == math.Trunc(n) {
			return "integer"
		}
		return "number"
	}
	return "object"
}

func typeWords(want any) string {
	if list, ok := want.([]any); ok {
		words := make([]string, len(list))
		for i, w := range list {
			words[i] = fmt.Sprint(w)
		}
		return strings.Join(words, " or ")
	}
	return fmt.Sprint(want)
}

// equal compares two JSON values, numbers by their value.
func equal(a, b any) bool {
	switch a := a.(type) {
	case map[string]any:
		b, ok := b.(map[string]any)
		return ok && maps.EqualFunc(a, b, equal)
	case []any:
		b, ok := b.([]any)
		return ok && slices.EqualFunc(a, b, equal)
	case json.Number:
		b, ok := b.(json.Number)
		return ok && (a == b || compare(a, b) == 0)
	}
	switch b.(type) {
	case map[string]any, []any:
		return false
	}
	return a == b
}
