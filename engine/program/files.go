package program

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/tappet-dev/tappet/engine/expr"
	"github.com/tappet-dev/tappet/engine/graph"
)

// manyFiles reads which fields of an input send a list of files whole only
// under a key that ends in a certain way: "filesUnder" in the schema of the
// field says how, and under any other key the first file is sent alone.
func manyFiles(input []byte) map[string]string {
	var s struct {
		Properties map[string]json.RawMessage `json:"properties"`
	}
	out := map[string]string{}
	if json.Unmarshal(input, &s) != nil {
		return out // it is told as a schema that can't be used
	}
	for name, raw := range s.Properties {
		var p struct {
			FilesUnder string `json:"filesUnder"`
		}
		if json.Unmarshal(raw, &p) == nil && p.FilesUnder != "" {
			out[name] = p.FilesUnder
		}
	}
	return out
}

// files warns of lists of files of which only the first would be sent
// (http.md, S31).
func (c *mapper) files(with *graph.Value, pointer string, fields map[string]string) {
	for _, m := range with.Members {
		end := fields[m.Name]
		if end == "" {
			continue
		}
		at := graph.Pointer(pointer, m.Name)
		// The parts are an object, or a list of {name, value}.
		if t := c.open[m.Value]; t != nil {
			for _, p := range t.Type().Props() {
				c.oneFile(p.Name, end, p.Type, m.Value, at)
			}
		}
		for _, part := range m.Value.Members {
			c.oneFile(part.Name, end, c.typeOf(part.Value), part.Value, graph.Pointer(at, part.Name))
		}
		for i, part := range m.Value.Items {
			name, value := part.Get("name"), part.Get("value")
			if name != nil && value != nil && name.Kind == graph.String && !isTemplate(name) {
				c.oneFile(name.Text, end, c.typeOf(value), value, graph.Pointer(at, strconv.Itoa(i), "value"))
			}
		}
	}
}

func (c *mapper) oneFile(key, end string, t *expr.Type, v *graph.Value, pointer string) {
	if strings.HasSuffix(key, end) || !isFile(t.Elem()) || c.b.full() {
		return
	}
	c.b.add(graph.Problem{
		Pointer: pointer, Line: v.Line, Column: v.Column, Code: "one_file", Warning: true,
		Message:    fmt.Sprintf("it is a list of files, and under a key without %s only the first of them is sent", end),
		Suggestion: fmt.Sprintf("write %q to send all, or give one file", key+end),
	})
}

// typeOf is the type of a value; any where it isn't known.
func (c *mapper) typeOf(v *graph.Value) *expr.Type {
	switch {
	case c.open[v] != nil:
		return c.open[v].Type()
	case v.Kind == graph.List && len(v.Items) > 1:
		elem := c.typeOf(v.Items[0])
		for _, item := range v.Items[1:] {
			elem = expr.Union(elem, c.typeOf(item))
		}
		return expr.ListOf(elem)
	}
	return expr.Any()
}

// isFile says whether a type is that of a file, by the members that all files
// have and nothing else does.
func isFile(t *expr.Type) bool {
	return t != nil && !t.IsAny() && !slices.ContainsFunc([]string{"file", "name", "type", "size"}, func(name string) bool {
		_, optional, ok := t.Prop(name)
		return !ok || optional
	})
}
