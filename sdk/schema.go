package sdk

import (
	"encoding/json"
	"strings"
)

// schema writes the JSON Schema of s, properties in the order of the fields.
func (s *shape) schema() json.RawMessage {
	return s.appendSchema(nil, nil, map[*shape]bool{})
}

// appendSchema writes s with what the field that holds it says. open holds the
// objects around it: a type inside itself is just an object.
func (s *shape) appendSchema(b []byte, f *shapeField, open map[*shape]bool) []byte {
	if s.form == formNone {
		return append(b, "false"...)
	}
	b = append(b, '{')
	start := len(b)
	add := func(key string, value []byte) {
		if len(b) > start {
			b = append(b, ',')
		}
		b = append(append(append(append(b, '"'), key...), `":`...), value...)
	}
	if t := s.form.schemaType(); t != "" {
		add("type", quote(t))
	}
	if f != nil {
		for _, key := range []string{"title", "description"} {
			if v := f.tag.Get(key); v != "" {
				add(key, quote(v))
			}
		}
	}
	switch {
	case s.form == formTime:
		add("format", quote("date-time"))
	case f != nil && f.tag.Get("format") != "":
		add("format", quote(f.tag.Get("format")))
	}
	if s.form == formBytes {
		add("contentEncoding", quote("base64"))
	}
	if s.form == formUint {
		add("minimum", []byte("0"))
	}
	if f != nil {
		if e := f.enum; e != nil {
			add("enum", append(append([]byte{'['}, joinRaw(e)...), ']'))
		}
		if f.fallback != nil {
			add("default", f.fallback)
		}
		if f.tag.Get("secret") == "true" {
			add("writeOnly", []byte("true"))
		}
		if v := f.tag.Get("options"); v != "" {
			add("options", quote(v))
		}
	}
	switch {
	case s.form == formList:
		add("items", s.elem.appendSchema(nil, nil, open))
	case s.form == formMap:
		add("additionalProperties", s.elem.appendSchema(nil, nil, open))
	case s.form == formObject && !open[s]:
		open[s] = true
		props, required := s.members(open)
		delete(open, s)
		add("properties", props)
		if len(required) > 0 {
			add("required", required)
		}
		add("additionalProperties", []byte("false"))
	}
	return append(b, '}')
}

func (s *shape) members(open map[*shape]bool) (props, required []byte) {
	props = append(props, '{')
	var names []json.RawMessage
	for i := range s.fields {
		f := &s.fields[i]
		if i > 0 {
			props = append(props, ',')
		}
		props = append(append(props, quote(f.name)...), ':')
		props = f.shape.appendSchema(props, f, open)
		if !f.optional {
			names = append(names, quote(f.name))
		}
	}
	if len(names) > 0 {
		required = append(append([]byte{'['}, joinRaw(names)...), ']')
	}
	return append(props, '}'), required
}

// readEnum gives the values that the tag allows, nil if the field takes any.
func (f *shapeField) readEnum() []json.RawMessage {
	text := f.tag.Get("enum")
	if text == "" {
		return nil
	}
	var out []json.RawMessage
	for _, v := range strings.Split(text, ",") {
		if lit := f.shape.literal(strings.TrimSpace(v)); lit != nil {
			out = append(out, lit)
		}
	}
	return out
}

func (f form) schemaType() string {
	switch f {
	case formString, formBytes, formTime, formText:
		return "string"
	case formBool:
		return "boolean"
	case formInt, formUint:
		return "integer"
	case formFloat:
		return "number"
	case formList:
		return "array"
	case formMap, formObject:
		return "object"
	case formAny, formNone:
	}
	return ""
}

func joinRaw(v []json.RawMessage) []byte {
	var b []byte
	for i := range v {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, v[i]...)
	}
	return b
}

func quote(s string) json.RawMessage { return appendString(nil, s) }
