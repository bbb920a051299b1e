package plugins

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"math/big"
	"slices"
	"strings"

	"github.com/tappet-dev/tappet/sdk"
)

// visits is the work that any event is worth; it is worth four more for each of
// its bytes. A schema comes from the plugin, and alternatives within
// alternatives grow without end.
const visits = 1 << 15

// A fitter holds one event against the schema that its plugin told, in the words
// that bind a value's form: type, enum, const, properties, required,
// additionalProperties, items, prefixItems, anyOf, oneOf, allOf and $ref within
// the schema. Other words say nothing here.
type fitter struct {
	root any
	left int // visits
}

// fits says why an event doesn't fit its schema, nil if it does. Schemas that
// readManifest took are the only ones that come here.
func fits(schema any, event []byte) error {
	d := json.NewDecoder(bytes.NewReader(event))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return fmt.Errorf("it is not valid JSON: %w", err)
	}
	f := &fitter{root: schema, left: visits + 4*len(event)}
	err := f.fit(schema, v, "", 0)
	if f.left < 0 { // an alternative may have swallowed it
		return misfit("", "it takes more than %d steps to hold it against the schema", visits+4*len(event))
	}
	return err
}

func misfit(at, format string, args ...any) error {
	if at == "" {
		at = "the event"
	}
	return fmt.Errorf("%.200s: %s", at, fmt.Sprintf(format, args...))
}

func (f *fitter) fit(schema, v any, at string, depth int) error {
	if f.left--; f.left < 0 || depth > 4*maxDepth {
		return misfit(at, "it takes more than %d levels to hold it against the schema", 4*maxDepth)
	}
	s, ok := schema.(map[string]any)
	if !ok {
		if schema == false {
			return misfit(at, "the schema allows no value here")
		}
		return nil
	}
	if ref, ok := s["$ref"].(string); ok {
		to, ok := f.resolve(ref)
		if !ok {
			return misfit(at, "the schema refers to %.80q, which it doesn't have", ref)
		}
		if err := f.fit(to, v, at, depth+1); err != nil {
			return err
		}
	}
	if want, ok := s["type"]; ok && !isOf(want, v) {
		return misfit(at, "%s is wanted, it is %s", typeWords(want), kindWord(v))
	}
	if all, ok := s["enum"].([]any); ok && !slices.ContainsFunc(all, func(e any) bool { return equal(e, v) }) {
		return misfit(at, "its value is none of the schema's enum")
	}
	if one, ok := s["const"]; ok && !equal(one, v) {
		return misfit(at, "its value is not the schema's const")
	}
	if err := f.alternatives(s, v, at, depth); err != nil {
		return err
	}
	switch v := v.(type) {
	case map[string]any:
		return f.object(s, v, at, depth)
	case []any:
		first, _ := s["prefixItems"].([]any)
		for i, e := range v {
			each := s["items"]
			if i < len(first) {
				each = first[i]
			}
			if each == nil {
				continue
			}
			if err := f.fit(each, e, fmt.Sprintf("%s[%d]", at, i), depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}

func (f *fitter) alternatives(s map[string]any, v any, at string, depth int) error {
	all, _ := s["allOf"].([]any)
	for _, x := range all {
		if err := f.fit(x, v, at, depth+1); err != nil {
			return err
		}
	}
	count := func(word string) (fit, of int) {
		list, _ := s[word].([]any)
		for _, x := range list {
			if f.fit(x, v, at, depth+1) == nil {
				fit++
			}
		}
		return fit, len(list)
	}
	if n, of := count("anyOf"); of > 0 && n == 0 {
		return misfit(at, "it fits none of the schema's anyOf")
	}
	if n, of := count("oneOf"); of > 0 && n != 1 {
		return misfit(at, "it fits %d of the schema's oneOf, one is wanted", n)
	}
	return nil
}

func (f *fitter) object(s, v map[string]any, at string, depth int) error {
	required, _ := s["required"].([]any)
	for _, r := range required {
		name, _ := r.(string)
		if _, ok := v[name]; !ok {
			return misfit(at, "the field %q is missing", name)
		}
	}
	props, _ := s["properties"].(map[string]any)
	_, patterns := s["patternProperties"]
	for _, name := range slices.Sorted(maps.Keys(v)) {
		field := strings.TrimPrefix(at+"."+name, ".")
		if p, ok := props[name]; ok {
			if err := f.fit(p, v[name], field, depth+1); err != nil {
				return err
			}
			continue
		}
		more, ok := s["additionalProperties"]
		switch {
		case !ok || patterns:
		case more == false:
			return misfit(field, "the schema has no such field")
		default:
			if err := f.fit(more, v[name], field, depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}

// resolve follows a reference within the schema: "#" or a JSON pointer.
func (f *fitter) resolve(ref string) (any, bool) {
	path, ok := strings.CutPrefix(ref, "#")
	if !ok {
		return nil, false
	}
	at := f.root
	if path == "" {
		return at, true
	}
	path, ok = strings.CutPrefix(path, "/")
	if !ok {
		return nil, false
	}
	unescape := strings.NewReplacer("~1", "/", "~0", "~")
	for _, name := range strings.Split(path, "/") {
		m, isObject := at.(map[string]any)
		if !isObject {
			return nil, false
		}
		if at, ok = m[unescape.Replace(name)]; !ok {
			return nil, false
		}
	}
	return at, true
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
		return ok && (a == b || sameNumber(a.String(), b.String()))
	}
	switch b.(type) {
	case map[string]any, []any:
		return false
	}
	return a == b
}

// sameNumber compares within what a float64 tells apart when there is an
// exponent, exactly otherwise.
func sameNumber(a, b string) bool {
	if len(a)+len(b) > 200 || strings.ContainsAny(a+b, "eE") {
		x, errA := json.Number(a).Float64()
		y, errB := json.Number(b).Float64()
		return errA == nil && errB == nil && x == y
	}
	x, okA := new(big.Rat).SetString(a)
	y, okB := new(big.Rat).SetString(b)
	return okA && okB && x.Cmp(y) == 0
}

// readSchemas prepares the event schemas of a version's triggers.
func (v *version) readSchemas() error {
	v.events = map[string]any{}
	for i := range v.spec.Triggers {
		t := &v.spec.Triggers[i]
		if len(t.Event) == 0 {
			continue
		}
		d := json.NewDecoder(bytes.NewReader(t.Event))
		d.UseNumber()
		var s any
		if err := d.Decode(&s); err != nil {
			return sdk.Errorf(sdk.Invalid, "read the event schema of %s: %w", t.Name, err)
		}
		v.events[t.Name] = s
	}
	return nil
}

// refused says why an event of a trigger isn't taken, nil if it is; a refusal is
// counted and kept for the plugin's health.
func (v *version) refused(trigger string, event []byte) error {
	schema, ok := v.events[trigger]
	if !ok {
		return nil
	}
	err := fits(schema, event)
	if err == nil {
		return nil
	}
	err = sdk.Errorf(sdk.Invalid, "an event of %s.%s doesn't fit the schema that the plugin tells: %w; tell its author", v.spec.Name, trigger, err)
	v.account.refuse(err)
	v.journal.add(sdk.Fault, err.Error(), nil)
	return err
}
