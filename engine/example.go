package engine

import (
	"encoding/json"
	"maps"
	"slices"

	"github.com/tappet-dev/tappet/engine/expr"
)

// The limits of a value that is made of a type.
const (
	maxExampleDepth = 16
	maxExampleNodes = 1000
)

// exampleOf makes a value of a type: each member of an object, lists with one
// item, plain texts and numbers. Where nothing is known it is null.
func exampleOf(t *expr.Type) json.RawMessage {
	e := exampler{left: maxExampleNodes}
	b, err := json.Marshal(e.value(t.Schema(), 0))
	if err != nil {
		return json.RawMessage("null") // what value gives always marshals
	}
	return b
}

type exampler struct{ left int }

func (e *exampler) value(schema json.RawMessage, depth int) any {
	var s struct {
		Type       any                        `json:"type"`
		Format     string                     `json:"format"`
		Enum       []any                      `json:"enum"`
		Items      json.RawMessage            `json:"items"`
		Properties map[string]json.RawMessage `json:"properties"`
	}
	if e.left--; e.left < 0 || depth > maxExampleDepth || json.Unmarshal(schema, &s) != nil {
		return nil
	}
	if len(s.Enum) > 0 {
		return s.Enum[0]
	}
	name, _ := s.Type.(string)
	if list, ok := s.Type.([]any); ok {
		// The richest of them: it shows the most.
		for _, want := range []string{"object", "array", "string", "integer", "number", "boolean"} {
			if slices.Contains(list, any(want)) {
				name = want
				break
			}
		}
	}
	switch name {
	case "object":
		out := map[string]any{}
		for _, k := range slices.Sorted(maps.Keys(s.Properties)) {
			out[k] = e.value(s.Properties[k], depth+1)
		}
		return out
	case "array":
		if len(s.Items) == 0 {
			return []any{}
		}
		return []any{e.value(s.Items, depth+1)}
	case "string":
		if s.Format == "date-time" {
			return "2026-01-31T09:30:00.000Z"
		}
		return "text"
	case "integer", "number":
		return 1
	case "boolean":
		return true
	}
	return nil
}
