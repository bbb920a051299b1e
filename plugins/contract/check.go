package contract

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
)

// Check checks the form of a JSON Schema in those words that the engine reads;
// others are left alone, and so is no schema at all. found gets the path of each
// thing that is wrong, below at, and what it is.
func Check(at string, raw json.RawMessage, found func(path, format string, args ...any)) {
	if len(raw) == 0 {
		return
	}
	s := schemaCheck{add: found}
	_ = json.Unmarshal(raw, &s.root) // it is part of a document that was read
	s.schema(at, raw, 0)
}

// A schemaCheck checks one schema.
type schemaCheck struct {
	add  func(path, format string, args ...any)
	root any // the whole, in which its references lead
}

func (s *schemaCheck) schema(at string, raw json.RawMessage, depth int) {
	raw = bytes.TrimSpace(raw)
	if string(raw) == "true" || string(raw) == "false" {
		return
	}
	if depth > maxDepth {
		s.add(at, "nested more than %d deep", maxDepth)
		return
	}
	var words map[string]json.RawMessage
	if err := json.Unmarshal(raw, &words); err != nil || words == nil {
		s.add(at, "not a JSON Schema: an object, true or false is wanted")
		return
	}
	for _, word := range slices.Sorted(maps.Keys(words)) {
		s.word(at+"."+word, word, words[word], depth)
	}
}

func (s *schemaCheck) word(at, word string, v json.RawMessage, depth int) {
	switch word {
	case "type":
		s.types(at, v)
	case "properties", "$defs", "definitions", "patternProperties":
		var m map[string]json.RawMessage
		if json.Unmarshal(v, &m) != nil || m == nil {
			s.add(at, "must be an object of schemas")
		}
		for _, name := range slices.Sorted(maps.Keys(m)) {
			if word == "patternProperties" {
				s.pattern(at, name)
			}
			s.schema(at+"."+name, m[name], depth+1)
		}
	case "items", "additionalProperties", "not", "contains", "propertyNames":
		s.schema(at, v, depth+1)
	case "anyOf", "oneOf", "allOf", "prefixItems":
		var list []json.RawMessage
		if json.Unmarshal(v, &list) != nil || len(list) == 0 {
			s.add(at, "must be a list of schemas")
		}
		for i, e := range list {
			s.schema(fmt.Sprintf("%s[%d]", at, i), e, depth+1)
		}
	case "required":
		var names []string
		if json.Unmarshal(v, &names) != nil {
			s.add(at, "must be a list of names")
		}
	case "enum":
		var values []json.RawMessage
		if json.Unmarshal(v, &values) != nil || len(values) == 0 {
			s.add(at, "must be a list of values")
		}
	case "uniqueItems":
		var b bool
		if json.Unmarshal(v, &b) != nil {
			s.add(at, "must be true or false")
		}
	case "title", "description", "format", "pattern", "$ref":
		var text string
		if json.Unmarshal(v, &text) != nil {
			s.add(at, "must be a text")
			return
		}
		if _, ok := resolve(s.root, text); word == "$ref" && !ok {
			s.add(at, "%.80q leads to no schema in this one; references are # and a JSON pointer behind it, such as #/$defs/name", text)
		}
		if word == "pattern" {
			s.pattern(at, text)
		}
	default:
		s.number(at, word, v)
	}
}

func (s *schemaCheck) types(at string, v json.RawMessage) {
	var one string
	var many []string
	if json.Unmarshal(v, &one) == nil {
		many = []string{one}
	} else if json.Unmarshal(v, &many) != nil || len(many) == 0 {
		s.add(at, "must be a type or a list of types")
	}
	for _, t := range many {
		if !slices.Contains([]string{"string", "number", "integer", "boolean", "object", "array", "null"}, t) {
			s.add(at, "%.40q is not a type of JSON", t)
		}
	}
}

func (s *schemaCheck) pattern(at, text string) {
	if _, err := compilePattern(text); err != nil {
		s.add(at, "%.80q is no regular expression of RE2's syntax that can be used: %.200v", text, err)
	}
}

// number checks the words whose values are numbers, if word is one.
func (s *schemaCheck) number(at, word string, v json.RawMessage) {
	switch word {
	case "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf":
		var n json.Number
		if json.Unmarshal(v, &n) != nil || n == "" || v[0] == '"' || word == "multipleOf" && compare(n, "0") <= 0 {
			if word == "multipleOf" {
				s.add(at, "must be a number above 0")
			} else {
				s.add(at, "must be a number")
			}
		}
	case "minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties", "minContains", "maxContains":
		var n uint32
		if json.Unmarshal(v, &n) != nil || v[0] == 'n' {
			s.add(at, "must be a whole number from 0 on")
		}
	}
}
