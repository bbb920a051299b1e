package sdktest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"reflect"
	"slices"
	"time"
	"unicode/utf8"
)

// Fits says whether one JSON document fits a JSON Schema, in the words that
// typed connectors use: type, properties, required, additionalProperties,
// items, enum, minimum and format date-time. Other words are not looked at; no
// schema fits anything.
func Fits(schema, doc json.RawMessage) error {
	if !utf8.Valid(doc) {
		return fmt.Errorf("not valid UTF-8: %.200q", doc)
	}
	d := json.NewDecoder(bytes.NewReader(doc))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return fmt.Errorf("not valid JSON: %w", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return fmt.Errorf("more than one JSON value: %.200s", doc)
	}
	if len(schema) == 0 {
		return nil
	}
	var s any
	if err := json.Unmarshal(schema, &s); err != nil {
		return fmt.Errorf("the schema is not valid JSON: %w", err)
	}
	return fits(s, v, "$")
}

func fits(schema, v any, at string) error {
	s, ok := schema.(map[string]any)
	if !ok {
		if schema == false {
			return fmt.Errorf("%s: no value is allowed", at)
		}
		return nil
	}
	if want, ok := s["type"]; ok && !isType(want, v) {
		return fmt.Errorf("%s: %v is wanted, not %v", at, want, v)
	}
	if enum, ok := s["enum"].([]any); ok && !slices.ContainsFunc(enum, func(e any) bool { return same(e, v) }) {
		return fmt.Errorf("%s: %v is none of %v", at, v, enum)
	}
	switch v := v.(type) {
	case string:
		if s["format"] == "date-time" {
			if _, err := time.Parse(time.RFC3339Nano, v); err != nil {
				return fmt.Errorf("%s: %q is no date-time", at, v)
			}
		}
	case json.Number:
		if least, ok := s["minimum"].(float64); ok {
			if f, err := v.Float64(); err == nil && f < least {
				return fmt.Errorf("%s: %v is less than %v", at, v, least)
			}
		}
	case []any:
		for i, e := range v {
			if err := fits(s["items"], e, fmt.Sprintf("%s[%d]", at, i)); err != nil {
				return err
			}
		}
	case map[string]any:
		return fitsObject(s, v, at)
	}
	return nil
}

func fitsObject(s, v map[string]any, at string) error {
	required, _ := s["required"].([]any)
	for _, r := range required {
		name, _ := r.(string)
		if _, ok := v[name]; !ok {
			return fmt.Errorf("%s: field %q is missing", at, name)
		}
	}
	props, _ := s["properties"].(map[string]any)
	for name, e := range v {
		p, ok := props[name]
		if !ok {
			if p, ok = s["additionalProperties"]; ok && p == false {
				return fmt.Errorf("%s: field %q is not in the schema", at, name)
			}
		}
		if err := fits(p, e, at+"."+name); err != nil {
			return err
		}
	}
	return nil
}

func isType(want, v any) bool {
	if list, ok := want.([]any); ok {
		return slices.ContainsFunc(list, func(w any) bool { return isType(w, v) })
	}
	switch v := v.(type) {
	case nil:
		return want == "null"
	case bool:
		return want == "boolean"
	case string:
		return want == "string"
	case []any:
		return want == "array"
	case map[string]any:
		return want == "object"
	case json.Number:
		f, err := v.Float64()
		return want == "number" || want == "integer" && err == nil && f == math.Trunc(f)
	}
	return false
}

// same compares a value of the schema, whose numbers are float64, with one of
// the document.
func same(schema, doc any) bool {
	if n, ok := doc.(json.Number); ok {
		f, err := n.Float64()
		return err == nil && schema == f
	}
	return reflect.DeepEqual(schema, doc)
}
