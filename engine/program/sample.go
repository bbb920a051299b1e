package program

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"

	"github.com/tappet-dev/tappet/engine/expr"
)

// The limits of a type that is inferred: what lies beyond them is any.
const (
	maxSampleDepth = 32
	maxSampleNodes = 10_000
	// maxSampleItems is how many items of a list are looked at.
	maxSampleItems = 100
)

// SampleOf infers the type of events that look like a sample, a valid JSON
// document. Numbers are numbers, texts are texts: no value of the sample is
// taken for the only possible one, and a null tells nothing. An open type takes
// members that the sample doesn't have, which may be anything; a closed one
// has none, so that what isn't in the sample is told as unknown.
func SampleOf(sample []byte, closed bool) *expr.Type {
	d := json.NewDecoder(bytes.NewReader(sample))
	d.UseNumber()
	var v any
	if d.Decode(&v) != nil {
		return expr.Any()
	}
	s := sampler{closed: closed, left: maxSampleNodes}
	return s.typeOf(v, 0)
}

type sampler struct {
	closed bool
	left   int
}

func (s *sampler) typeOf(v any, depth int) *expr.Type {
	if s.left--; s.left < 0 || depth > maxSampleDepth {
		return expr.Any()
	}
	switch v := v.(type) {
	case bool:
		return expr.Bool()
	case json.Number:
		if bytes.ContainsAny([]byte(v), ".eE") {
			return expr.Number()
		}
		return expr.Int()
	case string:
		return expr.StringType()
	case []any:
		if len(v) == 0 {
			return expr.ListOf(expr.Any())
		}
		elem := s.typeOf(v[0], depth+1)
		for _, x := range v[1:min(len(v), maxSampleItems)] {
			elem = expr.Union(elem, s.typeOf(x, depth+1))
		}
		return expr.ListOf(elem)
	case map[string]any:
		props := make([]expr.Prop, 0, len(v))
		// In order, so that the budget gives the same type each time.
		for _, name := range slices.Sorted(maps.Keys(v)) {
			props = append(props, expr.Prop{Name: name, Type: s.typeOf(v[name], depth+1)})
		}
		if s.closed {
			return expr.ObjectOf(props, nil)
		}
		return expr.ObjectOf(props, expr.Any())
	}
	return expr.Any()
}

// refine is the declared type with the sample's where nothing is declared.
func refine(declared, sample *expr.Type) *expr.Type {
	switch {
	case sample == nil || sample.IsAny():
		return declared
	case declared.IsAny():
		return sample
	case !declared.Closed():
		return declared
	}
	props := declared.Props()
	for i, p := range props {
		if t, _, ok := sample.Prop(p.Name); ok {
			// Of a member that may be anything nobody has to say what else to take.
			props[i].Type, props[i].Optional = refine(p.Type, t), p.Optional && !p.Type.IsAny()
		}
	}
	t := expr.ObjectOf(props, nil)
	if declared.Nullable() {
		return expr.Optional(t)
	}
	return t
}
