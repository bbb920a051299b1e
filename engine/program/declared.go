package program

import (
	"encoding/json"
	"maps"
	"slices"

	"github.com/tappet-dev/tappet/engine/expr"
	"github.com/tappet-dev/tappet/engine/graph"
)

// A described is a member of an event or an output whose schema depends on the
// config or the input it came from.
type described struct {
	// From names the field that holds the member's schema.
	From string `json:"schemaFrom"`
	// Path names the field that holds a path, whose parameters the member holds.
	Path string `json:"paramsFrom"`
	// By gives the member's schema for constants of a field.
	By struct {
		Field   string                     `json:"field"`
		Schemas map[string]json.RawMessage `json:"schemas"`
	} `json:"schemaBy"`
}

// describedMembers reads the keywords schemaFrom, schemaBy and paramsFrom of a schema's
// members.
func describedMembers(schema []byte) map[string]described {
	var s struct {
		Properties map[string]json.RawMessage `json:"properties"`
	}
	out := map[string]described{}
	if json.Unmarshal(schema, &s) != nil {
		return out // it is told as a schema that can't be used
	}
	for name, raw := range s.Properties {
		var d described
		if json.Unmarshal(raw, &d) == nil && (d.From != "" || d.By.Field != "" || d.Path != "") {
			out[name] = d
		}
	}
	return out
}

// DeclaredBy tells, of a schema of outputs or events, which members may be described
// by a schema in a field beside it: the fields by the members' names.
func DeclaredBy(schema []byte) map[string]string {
	out := map[string]string{}
	for member, d := range describedMembers(schema) {
		if d.From != "" {
			out[member] = d.From
		}
	}
	return out
}

// declare gives the members of an event or an output the types that the fields
// beside it describe, and what such a member has to fit. An output that a step
// judges by itself has no type by a field's constant: that is of what the
// connector takes for a success.
func (b *builder) declare(schema []byte, with *graph.Value, pointer string, base *expr.Type, judged bool) ([]Member, *expr.Type) {
	if with == nil {
		return nil, base
	}
	fields := describedMembers(schema)
	props := base.Props()
	typed := false
	set := func(member string, t *expr.Type) {
		typed = true
		for i := range props {
			if props[i].Name == member {
				// One that isn't there is held against the schema as null.
				props[i].Type, props[i].Optional = t, false
			}
		}
	}
	var members []Member
	for _, member := range slices.Sorted(maps.Keys(fields)) {
		d := fields[member]
		if v := with.Get(d.By.Field); v != nil && v.Kind == graph.String && !judged {
			if t, err := expr.ParseSchema(d.By.Schemas[v.Text]); err == nil && d.By.Schemas[v.Text] != nil {
				set(member, t)
			}
		}
		if v := with.Get(d.Path); v != nil && v.Kind == graph.String {
			if path, err := ParsePath(v.Text); err == nil {
				set(member, path.typ())
			}
		}
		v := with.Get(d.From)
		if v == nil || v.Kind != graph.Object {
			continue // what is no object is told by the config's schema
		}
		at := graph.Pointer(pointer, d.From)
		t, err := expr.ParseSchema(v.JSON())
		if err != nil {
			b.fail(place(v), at, "schema", "it can't be used: %v", err)
			continue
		}
		checker, err := graph.NewChecker(v.JSON())
		if err != nil {
			b.fail(place(v), at, "schema", "it can't be used: %v", err)
			continue
		}
		members = append(members, Member{Name: member, Schema: checker})
		set(member, t)
	}
	switch {
	case !typed:
		return members, base
	case base.Closed():
		return members, expr.ObjectOf(props, nil)
	}
	return members, expr.ObjectOf(props, expr.Any())
}
