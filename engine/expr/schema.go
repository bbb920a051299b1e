package expr

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

const (
	maxSchemaBytes = 1 << 20
	maxSchemaDepth = 64
	maxSchemaNodes = 20_000
	// maxUnroll is how often a $ref is followed inside of itself; what is
	// deeper is any.
	maxUnroll = 2
)

// ParseSchema reads a JSON Schema (2020-12): type, enum, const, properties,
// required, additionalProperties, patternProperties, items, prefixItems, oneOf, anyOf,
// allOf, $ref within the document, writeOnly (a text that is one takes a
// secret), description, and OpenAPI's nullable. Other keywords don't change the
// type. An empty schema is any; what nests or recurs too deeply
// becomes any.
func ParseSchema(schema []byte) (*Type, error) {
	if len(bytes.TrimSpace(schema)) == 0 {
		return Any(), nil
	}
	if len(schema) > maxSchemaBytes {
		return nil, fmt.Errorf("schema: %d bytes; at most %d are allowed", len(schema), maxSchemaBytes)
	}
	if err := CheckUniqueJSON(schema, maxSchemaDepth*2); err != nil {
		return nil, fmt.Errorf("schema: %w", err)
	}
	d := json.NewDecoder(bytes.NewReader(schema))
	d.UseNumber()
	var root any
	if err := d.Decode(&root); err != nil {
		return nil, fmt.Errorf("schema: %w", err)
	}
	p := schemaParser{root: root, nodes: maxSchemaNodes, open: map[string]int{}}
	t, err := p.schema(root, 0)
	if err != nil {
		return nil, fmt.Errorf("schema: %w", err)
	}
	return bounded(t), nil
}

type schemaParser struct {
	root  any
	nodes int
	open  map[string]int // the references that are being followed
}

func (p *schemaParser) schema(s any, depth int) (*Type, error) {
	p.nodes--
	if p.nodes < 0 || depth > maxSchemaDepth {
		return Any(), nil
	}
	var m map[string]any
	switch x := s.(type) {
	case bool:
		if x {
			return Any(), nil
		}
		return never(), nil
	case map[string]any:
		m = x
	default:
		return nil, errors.New("a schema must be an object, true or false")
	}
	t, err := p.base(m, depth)
	if err != nil {
		return nil, err
	}
	if ref, ok := m["$ref"].(string); ok {
		u, err := p.follow(ref, depth)
		if err != nil {
			return nil, err
		}
		t = intersect(t, u)
	}
	for _, key := range []string{"oneOf", "anyOf"} {
		alternatives, ok := m[key].([]any)
		if !ok || len(alternatives) == 0 {
			continue
		}
		u := never()
		for i, a := range alternatives {
			at, err := p.below(a, depth, key, strconv.Itoa(i))
			if err != nil {
				return nil, err
			}
			u = union(u, at)
		}
		t = intersect(t, u)
	}
	if all, ok := m["allOf"].([]any); ok {
		for i, a := range all {
			u, err := p.below(a, depth, "allOf", strconv.Itoa(i))
			if err != nil {
				return nil, err
			}
			t = intersect(t, u)
		}
	}
	if m["nullable"] == true {
		t = t.orNull()
	}
	if doc, ok := m["description"].(string); ok && doc != "" {
		described := *t
		described.doc = doc
		t = &described
	}
	return t, nil
}

// follow reads what a reference within the document points to.
func (p *schemaParser) follow(ref string, depth int) (*Type, error) {
	if ref != "#" && !strings.HasPrefix(ref, "#/") {
		return nil, fmt.Errorf("the $ref %s leaves the schema; only references like #/$defs/name are known", clip(ref))
	}
	if p.open[ref] >= maxUnroll {
		return Any(), nil
	}
	cur := p.root
	if ref != "#" {
		for _, name := range strings.Split(ref[2:], "/") {
			m, _ := cur.(map[string]any)
			next, ok := m[strings.NewReplacer("~1", "/", "~0", "~").Replace(name)]
			if !ok {
				return nil, fmt.Errorf("the $ref %s points to nothing", clip(ref))
			}
			cur = next
		}
	}
	p.open[ref]++
	defer func() { p.open[ref]-- }()
	t, err := p.below(cur, depth)
	if inner, ok := errors.AsType[*schemaError](err); ok && !inner.whole {
		return nil, &schemaError{pointer: ref[1:] + inner.pointer, err: inner.err, whole: true}
	}
	return t, err
}

// schemaError is what is wrong at a place of a schema.
type schemaError struct {
	pointer string // RFC 6901
	err     error
	whole   bool // the pointer begins at the root
}

func (e *schemaError) Error() string { return e.pointer + ": " + e.err.Error() }
func (e *schemaError) Unwrap() error { return e.err }

// below reads the schema s that stands at these names in the one that is read.
func (p *schemaParser) below(s any, depth int, names ...string) (*Type, error) {
	t, err := p.schema(s, depth+1)
	if err == nil {
		return t, nil
	}
	pointer := ""
	for _, n := range names {
		pointer += "/" + pointerName(n)
	}
	inner, ok := errors.AsType[*schemaError](err)
	switch {
	case ok && inner.whole:
		return nil, inner
	case ok:
		return nil, &schemaError{pointer: pointer + inner.pointer, err: inner.err}
	}
	return nil, &schemaError{pointer: pointer, err: err}
}

// items is the type of a list's items: those that prefixItems describes, one by
// one, and all others.
func (p *schemaParser) items(m map[string]any, depth int) (*Type, error) {
	t := Any()
	if items, ok := m["items"]; ok {
		if _, old := items.([]any); old {
			return nil, &schemaError{pointer: "/items", err: errors.New("a list of schemas is that of older drafts; it is called prefixItems")}
		}
		var err error
		if t, err = p.below(items, depth, "items"); err != nil {
			return nil, err
		}
	}
	prefix, _ := m["prefixItems"].([]any)
	for i, s := range prefix {
		u, err := p.below(s, depth, "prefixItems", strconv.Itoa(i))
		if err != nil {
			return nil, err
		}
		t = union(t, u)
	}
	return t, nil
}

// base reads the keywords that describe a value directly.
func (p *schemaParser) base(m map[string]any, depth int) (*Type, error) {
	names, err := typeNames(m)
	if err != nil {
		return nil, err
	}
	t := &Type{size: 1}
	for _, name := range names {
		switch name {
		case "null":
			t.k |= kNull
		case "boolean":
			t.k |= kBool
		case "integer":
			t.k |= kInt
		case "number":
			t.k |= kNumber
		case "string":
			t.k |= kString
		case "array":
			t.k |= kList
			if t.elem, err = p.items(m, depth); err != nil {
				return nil, err
			}
		case "object":
			t.k |= kObject
			if t.props, t.extra, err = p.members(m, depth); err != nil {
				return nil, err
			}
		default:
			return nil, fmt.Errorf("unknown type %s; null, boolean, integer, number, string, array and object are known", clip(name))
		}
	}
	if len(names) == 0 {
		t.dyn = true
	}
	values, ok := m["enum"].([]any)
	if c, has := m["const"]; has {
		values, ok = []any{c}, true
	}
	if ok {
		t = intersect(t, enumType(values))
	}
	t.count()
	if m["writeOnly"] == true && t.k&kString != 0 {
		t.k |= kSecret
		t.secret = true
	}
	return t, nil
}

func typeNames(m map[string]any) ([]string, error) {
	switch x := m["type"].(type) {
	case string:
		return []string{x}, nil
	case []any:
		var out []string
		for _, n := range x {
			s, ok := n.(string)
			if !ok {
				return nil, errors.New("a type must be a text or a list of texts")
			}
			out = append(out, s)
		}
		return out, nil
	case nil:
		switch {
		case m["properties"] != nil:
			return []string{"object"}, nil
		case m["items"] != nil || m["prefixItems"] != nil:
			return []string{"array"}, nil
		}
		return nil, nil
	}
	return nil, errors.New("a type must be a text or a list of texts")
}

func (p *schemaParser) members(m map[string]any, depth int) ([]prop, *Type, error) {
	required := map[string]bool{}
	names, _ := m["required"].([]any)
	for _, n := range names {
		if s, ok := n.(string); ok {
			required[s] = true
		}
	}
	properties, _ := m["properties"].(map[string]any)
	props := make([]prop, 0, len(properties))
	for _, name := range sortedNames(properties) {
		t, err := p.below(properties[name], depth, "properties", name)
		if err != nil {
			return nil, nil, err
		}
		props = append(props, newProp(name, t, !required[name]))
	}
	extra := Any()
	if a, ok := m["additionalProperties"]; ok {
		t, err := p.below(a, depth, "additionalProperties")
		if err != nil {
			return nil, nil, err
		}
		extra = t
	}
	patterns, _ := m["patternProperties"].(map[string]any)
	for _, name := range sortedNames(patterns) {
		t, err := p.below(patterns[name], depth, "patternProperties", name)
		if err != nil {
			return nil, nil, err
		}
		extra = union(extra, t)
	}
	if extra.empty() {
		extra = nil
	} else {
		// A member that is required but not described is there all the same.
		for _, n := range sortedNames(required) {
			if _, ok := properties[n]; !ok {
				props = append(props, newProp(n, extra, false))
			}
		}
		slices.SortFunc(props, func(a, b prop) int { return strings.Compare(a.name, b.name) })
	}
	return props, extra, nil
}

func sortedNames[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// enumType is the type of the given values and no others.
func enumType(values []any) *Type {
	t := &Type{size: 1}
	complete := true
	for _, v := range values {
		switch x := v.(type) {
		case nil:
			t.k |= kNull
			continue
		case bool:
			t.k |= kBool
		case string:
			t.k |= kString
		case json.Number:
			n := number([]byte(x))
			if _, ok := n.(int); ok {
				t.k |= kInt
			} else {
				t.k |= kNumber
			}
			v = n
		case []any:
			t.k |= kList
			t.elem, complete = Any(), false
			continue
		default:
			t.k |= kObject
			t.extra, complete = Any(), false
			continue
		}
		t.enum = append(t.enum, v)
	}
	if !complete {
		t.enum = nil
	}
	t.count()
	return t
}

// intersect is what has both types.
func intersect(a, b *Type) *Type {
	switch {
	case a == b || b.dyn:
		return a
	case a.dyn:
		return b
	}
	t := &Type{k: a.k & b.k, size: 1}
	// A text that may be secret on one side is a secret's place.
	if t.k&kString != 0 {
		t.k |= (a.k | b.k) & kSecret
	}
	t.secret = t.k&kSecret != 0
	// An integer is a number: what one side calls a number may be the other's
	// integer.
	if t.k&kList != 0 {
		t.elem = intersect(a.item(), b.item())
	}
	if t.k&kObject != 0 {
		t.props, t.extra = intersectProps(a, b)
	}
	switch {
	case len(a.enum) == 0:
		t.enum = b.enum
	case len(b.enum) == 0:
		t.enum = a.enum
	default:
		for _, v := range a.enum {
			if slices.Contains(b.enum, v) {
				t.enum = append(t.enum, v)
			}
		}
	}
	if len(t.enum) > 0 {
		t.enum = slices.DeleteFunc(slices.Clone(t.enum), func(v any) bool { return !t.has(valueKind(v)) })
	}
	t.count()
	return bounded(t)
}

func valueKind(v any) kinds {
	switch v.(type) {
	case bool:
		return kBool
	case string:
		return kString
	case int:
		return kInt
	}
	return kNumber
}

func intersectProps(a, b *Type) ([]prop, *Type) {
	var extra *Type
	if a.extra != nil && b.extra != nil {
		extra = intersect(a.extra, b.extra)
	}
	var out []prop
	for _, p := range a.props {
		switch q := b.prop(p.name); {
		case q != nil:
			out = append(out, newProp(p.name, intersect(p.typ, q.typ), p.opt && q.opt))
		case b.extra != nil:
			out = append(out, newProp(p.name, intersect(p.typ, b.extra), p.opt))
		}
	}
	for _, q := range b.props {
		if a.prop(q.name) == nil && a.extra != nil {
			out = append(out, newProp(q.name, intersect(q.typ, a.extra), q.opt))
		}
	}
	slices.SortFunc(out, func(p, q prop) int { return strings.Compare(p.name, q.name) })
	return out, extra
}

// Schema gives the type as a JSON Schema; the same type gives the same bytes.
// Times and durations are strings, decimals are numbers, and a secret is a
// string that is writeOnly.
func (t *Type) Schema() json.RawMessage {
	b, err := json.Marshal(known(t).schema())
	if err != nil {
		return json.RawMessage("true") // no value of schema() fails
	}
	return b
}

func (t *Type) schema() any {
	if t.dyn {
		return map[string]any{}
	}
	if t.empty() {
		return false
	}
	out := map[string]any{}
	var names []string
	add := func(k kinds, name string) {
		if t.k&k != 0 {
			names = append(names, name)
		}
	}
	add(kNull, "null")
	add(kBool, "boolean")
	if t.k&kNumber == kInt {
		add(kInt, "integer")
	} else {
		add(kNumber, "number")
	}
	add(kString|kTime|kDuration|kSecret, "string")
	if t.k&kTime != 0 && t.only(kTime|kNull) {
		out["format"] = "date-time"
	}
	if t.k&kSecret != 0 {
		out["writeOnly"] = true
	}
	if t.k&kList != 0 {
		add(kList, "array")
		if e := t.item(); !e.dyn {
			out["items"] = e.schema()
		}
	}
	if t.k&kObject != 0 {
		add(kObject, "object")
		t.describeMembers(out)
	}
	if len(names) == 1 {
		out["type"] = names[0]
	} else {
		out["type"] = names
	}
	if len(t.enum) > 0 {
		values := slices.Clone(t.enum)
		if t.nullable() {
			values = append(values, nil)
		}
		out["enum"] = values
	}
	return out
}

func (t *Type) describeMembers(out map[string]any) {
	if len(t.props) > 0 {
		props := make(map[string]any, len(t.props))
		var required []string
		for _, p := range t.props {
			props[p.name] = p.typ.schema()
			if !p.opt {
				required = append(required, p.name)
			}
		}
		out["properties"] = props
		if len(required) > 0 {
			out["required"] = required
		}
	}
	switch {
	case t.extra == nil:
		out["additionalProperties"] = false
	case !t.extra.dyn:
		out["additionalProperties"] = t.extra.schema()
	}
}
