package sdk

import (
	"encoding"
	"encoding/json"
	"reflect"
	"strings"
	"time"
)

// form is how a Go type looks in JSON.
type form uint8

const (
	formAny    form = iota // any JSON value
	formNone               // has no JSON form: a channel, a function
	formString             // string kind
	formBool
	formInt
	formUint
	formFloat
	formBytes // []byte, as base64
	formTime
	formText // encoding.TextMarshaler
	formList
	formMap
	formObject
)

// A shape is a Go type as it is written in JSON: made once by a constructor,
// immutable afterwards, and the one source of schema, decoding and encoding.
type shape struct {
	typ    reflect.Type
	form   form
	elem   *shape // of a list or map
	fields []shapeField
	byName map[string]int
}

type shapeField struct {
	name string
	// key is the name as JSON, with its colon.
	key      string
	index    []int
	tag      reflect.StructTag
	shape    *shape
	optional bool
	// omitEmpty and omitZero are those of encoding/json.
	omitEmpty, omitZero bool
	// always: it is written whatever its value is.
	always bool
	// fallback is the JSON of the default tag, nil without one.
	fallback json.RawMessage
	// enum are the values that the tag allows, nil if the field takes any.
	enum []json.RawMessage
}

func shapeOf[T any]() *shape {
	return newShape(reflect.TypeFor[T](), map[reflect.Type]*shape{})
}

// newShape resolves t; seen closes the circle of a recursive type.
func newShape(t reflect.Type, seen map[reflect.Type]*shape) *shape {
	for t.Kind() == reflect.Pointer && !speaksForItself(t) {
		t = t.Elem()
	}
	if s, ok := seen[t]; ok {
		return s
	}
	s := &shape{typ: t}
	seen[t] = s
	switch {
	case t == reflect.TypeFor[time.Time]():
		s.form = formTime
	case implements[json.Marshaler](t) || implements[json.Unmarshaler](t):
		s.form = formAny
	case implements[encoding.TextMarshaler](t):
		s.form = formText
	default:
		s.resolve(t, seen)
	}
	return s
}

func (s *shape) resolve(t reflect.Type, seen map[reflect.Type]*shape) {
	switch t.Kind() {
	case reflect.Bool:
		s.form = formBool
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		s.form = formInt
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		s.form = formUint
	case reflect.Float32, reflect.Float64:
		s.form = formFloat
	case reflect.String:
		s.form = formString
	case reflect.Interface:
		s.form = formAny
	case reflect.Slice, reflect.Array:
		if t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8 {
			s.form = formBytes
			return
		}
		s.form, s.elem = formList, newShape(t.Elem(), seen)
	case reflect.Map:
		s.form = formNone
		if t.Key().Kind() == reflect.String {
			s.form, s.elem = formMap, newShape(t.Elem(), seen)
		}
	case reflect.Struct:
		s.form, s.byName = formObject, map[string]int{}
		s.addFields(t, nil, seen)
	default:
		s.form = formNone
	}
}

// addFields takes the exported fields of t, those of embedded structs in place;
// an outer field hides an embedded one of its name.
func (s *shape) addFields(t reflect.Type, at []int, seen map[reflect.Type]*shape) {
	for i := range t.NumField() {
		f := t.Field(i)
		tag := f.Tag.Get("json")
		if tag == "-" {
			continue
		}
		name, opts, _ := strings.Cut(tag, ",")
		index := append(append(make([]int, 0, len(at)+1), at...), i)
		if f.Anonymous && name == "" && f.Type.Kind() == reflect.Struct && !speaksForItself(f.Type) {
			s.addFields(f.Type, index, seen)
			continue
		}
		if !f.IsExported() {
			continue
		}
		if name == "" {
			name = snake(f.Name)
		}
		sf := shapeField{name: name, key: string(appendString(nil, name)) + ":", index: index, tag: f.Tag, shape: newShape(f.Type, seen)}
		for _, o := range strings.Split(opts, ",") {
			sf.omitEmpty = sf.omitEmpty || o == "omitempty"
			sf.omitZero = sf.omitZero || o == "omitzero"
		}
		if v, ok := f.Tag.Lookup("default"); ok {
			sf.fallback = sf.shape.literal(v)
		}
		sf.enum = sf.readEnum()
		sf.always = sf.isAlways(f.Type)
		sf.optional = sf.omitEmpty || sf.omitZero || sf.fallback != nil || f.Type.Kind() == reflect.Pointer
		if old, ok := s.byName[name]; ok {
			if len(s.fields[old].index) > len(index) {
				s.fields[old] = sf
			}
			continue
		}
		s.byName[name] = len(s.fields)
		s.fields = append(s.fields, sf)
	}
}

// literal reads the text of a tag as a value of s: text for what is a string
// in JSON, JSON for the rest; nil if it is neither.
func (s *shape) literal(text string) json.RawMessage {
	switch s.form {
	case formString, formText, formTime, formBytes:
		return quote(text)
	case formAny, formNone, formBool, formInt, formUint, formFloat, formList, formMap, formObject:
	}
	if json.Valid([]byte(text)) {
		return json.RawMessage(text)
	}
	return nil
}

// speaksForItself says whether t has a JSON form of its own.
func speaksForItself(t reflect.Type) bool {
	if t.Kind() == reflect.Pointer {
		return false // a nil pointer is left out; what it points to is asked
	}
	return t == reflect.TypeFor[time.Time]() || implements[json.Marshaler](t) ||
		implements[json.Unmarshaler](t) || implements[encoding.TextMarshaler](t)
}

func implements[I any](t reflect.Type) bool {
	i := reflect.TypeFor[I]()
	return t.Kind() != reflect.Interface && (t.Implements(i) || reflect.PointerTo(t).Implements(i))
}

// snake writes a Go name in snake_case: PublishedAt is published_at, ID is id,
// HTTPStatus is http_status.
func snake(name string) string {
	b := make([]byte, 0, len(name)+4)
	for i := range len(name) {
		c := name[i]
		if 'A' <= c && c <= 'Z' {
			ends := i > 0 && !isUpper(name[i-1])
			starts := i > 0 && i+1 < len(name) && isLower(name[i+1])
			if (ends || starts) && name[i-1] != '_' {
				b = append(b, '_')
			}
			c += 'a' - 'A'
		}
		b = append(b, c)
	}
	return string(b)
}

func isUpper(c byte) bool { return 'A' <= c && c <= 'Z' }
func isLower(c byte) bool { return 'a' <= c && c <= 'z' }
