package engine

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/tappet-dev/tappet/sdk"
)

// place writes a field's place for people.
func place(path []string) string { return strings.Join(path, ".") }

// lookup gives the value at a place of an input, nil if there is none.
func lookup(fields sdk.Fields, path []string) json.RawMessage {
	i := last(fields, path[0])
	if i < 0 {
		return nil
	}
	if len(path) == 1 {
		return fields[i].Value
	}
	inner, err := members(fields[i].Value)
	if err != nil {
		return nil
	}
	return lookup(inner, path[1:])
}

// put gives the fields with a value at a place; objects on the way to it are
// made where there is nothing.
func put(fields sdk.Fields, path []string, value json.RawMessage) (sdk.Fields, error) {
	out := slices.Clone(fields)
	i := last(out, path[0])
	if i < 0 {
		i, out = len(out), append(out, sdk.Field{Name: path[0], Value: json.RawMessage("null")})
	}
	if len(path) > 1 {
		inner, err := members(out[i].Value)
		if err != nil {
			return nil, fmt.Errorf("%q must be an object: %w", path[0], err)
		}
		if inner, err = put(inner, path[1:], value); err != nil {
			return nil, err
		}
		value = inner.JSON()
	}
	out[i].Value = value
	return out, nil
}

// last gives the index of the last field of a name, -1 if there is none.
func last(fields sdk.Fields, name string) int {
	for i := len(fields) - 1; i >= 0; i-- {
		if fields[i].Name == name {
			return i
		}
	}
	return -1
}

// members splits an object into its members as they are written; null has none.
func members(doc json.RawMessage) (sdk.Fields, error) {
	if doc = bytes.TrimSpace(doc); string(doc) == "null" {
		return nil, nil
	}
	if len(doc) == 0 || doc[0] != '{' {
		return nil, fmt.Errorf("it is %.40s", doc)
	}
	dec := json.NewDecoder(bytes.NewReader(doc))
	if _, err := dec.Token(); err != nil {
		return nil, err
	}
	var out sdk.Fields
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return nil, err
		}
		f := sdk.Field{}
		f.Name, _ = name.(string) // within an object it is one
		if err := dec.Decode(&f.Value); err != nil {
			return nil, err
		}
		out = append(out, f)
	}
	return out, nil
}

// count is how many values stand in a list of which the brackets were taken
// away. It holds nothing of them: a page may have millions.
func count(inside []byte) int {
	if len(inside) == 0 {
		return 0
	}
	n, depth, quoted := 1, 0, false
	for i := 0; i < len(inside); i++ {
		switch c := inside[i]; {
		case quoted:
			switch c {
			case '\\':
				i++
			case '"':
				quoted = false
			}
		case c == '"':
			quoted = true
		case c == '[' || c == '{':
			depth++
		case c == ']' || c == '}':
			depth--
		case c == ',' && depth == 0:
			n++
		}
	}
	return n
}
