package sdk

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"unicode/utf8"
)

// maxDepth bounds a value that leads back to itself.
const maxDepth = 256

// room is what most values fit in: growing costs a guest more than writing.
const room = 512

func (s *shape) encode(v any) (json.RawMessage, error) {
	return s.appendValue(make([]byte, 0, room), reflect.ValueOf(v), 0)
}

// encodeUnlessZero gives nil for the zero value.
func (s *shape) encodeUnlessZero(v any) (json.RawMessage, error) {
	if r := reflect.ValueOf(v); !r.IsValid() || r.IsZero() {
		return nil, nil
	}
	return s.encode(v)
}

func (s *shape) appendValue(b []byte, v reflect.Value, depth int) ([]byte, error) {
	for v.IsValid() && v.Kind() == reflect.Pointer && v.Type() != s.typ {
		v = v.Elem()
	}
	if !v.IsValid() {
		return append(b, "null"...), nil
	}
	if depth > maxDepth {
		return nil, fmt.Errorf("a value of %s is nested more than %d deep", s.typ, maxDepth)
	}
	switch s.form {
	case formString:
		return appendString(b, v.String()), nil
	case formBool:
		return strconv.AppendBool(b, v.Bool()), nil
	case formInt:
		return strconv.AppendInt(b, v.Int(), 10), nil
	case formUint:
		return strconv.AppendUint(b, v.Uint(), 10), nil
	case formFloat:
		if f := v.Float(); math.IsNaN(f) || math.IsInf(f, 0) {
			return nil, fmt.Errorf("the number %v has no JSON form", f)
		}
		return appendStock(b, v)
	case formList:
		b = append(b, '[')
		for i := range v.Len() {
			if i > 0 {
				b = append(b, ',')
			}
			var err error
			if b, err = s.elem.appendValue(b, v.Index(i), depth+1); err != nil {
				return nil, fmt.Errorf("[%d]: %w", i, err)
			}
		}
		return append(b, ']'), nil
	case formMap:
		return s.appendMap(b, v, depth)
	case formObject:
		return s.appendObject(b, v, depth)
	case formNone:
		return nil, fmt.Errorf("a %s has no JSON form", s.typ)
	case formAny, formBytes, formTime, formText:
	}
	return appendStock(b, v)
}

func (s *shape) appendMap(b []byte, v reflect.Value, depth int) ([]byte, error) {
	keys := v.MapKeys()
	slices.SortFunc(keys, func(x, y reflect.Value) int { return bytes.Compare([]byte(x.String()), []byte(y.String())) })
	b = append(b, '{')
	for i, k := range keys {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendString(b, k.String()), ':')
		var err error
		if b, err = s.elem.appendValue(b, v.MapIndex(k), depth+1); err != nil {
			return nil, fmt.Errorf("%s: %w", k.String(), err)
		}
	}
	return append(b, '}'), nil
}

func (s *shape) appendObject(b []byte, v reflect.Value, depth int) ([]byte, error) {
	b = append(b, '{')
	first := true
	for i := range s.fields {
		f := &s.fields[i]
		var x reflect.Value
		if len(f.index) == 1 {
			x = v.Field(f.index[0])
		} else {
			x = v.FieldByIndex(f.index)
		}
		if !f.always && f.leftOut(x) {
			continue
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		b = append(b, f.key...)
		if f.shape.form == formString && x.Kind() == reflect.String { // most fields
			b = appendString(b, x.String())
			continue
		}
		var err error
		if b, err = f.shape.appendValue(b, x, depth+1); err != nil {
			return nil, fmt.Errorf("%s: %w", f.name, err)
		}
	}
	return append(b, '}'), nil
}

// isAlways says whether leftOut can't say yes of a field of the type.
func (f *shapeField) isAlways(t reflect.Type) bool {
	k := t.Kind()
	raw := k == reflect.Slice && f.shape.form == formAny
	return k != reflect.Pointer && k != reflect.Interface && !raw && !f.omitEmpty && !f.omitZero
}

// leftOut says whether the field isn't written: nil pointers and interfaces
// never are, the rest by omitempty and omitzero.
func (f *shapeField) leftOut(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		return v.IsNil()
	case reflect.Slice, reflect.Map, reflect.Array:
		if f.shape.form == formAny && v.Kind() == reflect.Slice && v.Len() == 0 {
			return true // an empty json.RawMessage is no JSON
		}
		if f.omitEmpty && v.Len() == 0 {
			return true
		}
	case reflect.Struct:
	default:
		if f.omitEmpty && v.IsZero() {
			return true
		}
	}
	if !f.omitZero {
		return false
	}
	if z, ok := v.Interface().(interface{ IsZero() bool }); ok {
		return z.IsZero()
	}
	return v.IsZero()
}

// appendStock writes what encoding/json writes, without escaping for HTML.
func appendStock(b []byte, v reflect.Value) ([]byte, error) {
	var buf bytes.Buffer
	e := json.NewEncoder(&buf)
	e.SetEscapeHTML(false)
	if err := e.Encode(v.Interface()); err != nil {
		return nil, err
	}
	return append(b, bytes.TrimSuffix(buf.Bytes(), []byte("\n"))...), nil
}

// plain has 1 for each byte that stands for itself in a JSON string, whatever
// stands around it.
var plain = func() (t [256]byte) {
	for c := byte(' '); c < utf8.RuneSelf; c++ {
		if c != '"' && c != '\\' {
			t[c] = 1
		}
	}
	return t
}()

// appendString writes s as a JSON string; what is no UTF-8 becomes U+FFFD.
func appendString(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	start := 0
	for i := 0; i < len(s); {
		for i+8 <= len(s) {
			t := s[i : i+8]
			if plain[t[0]]&plain[t[1]]&plain[t[2]]&plain[t[3]]&plain[t[4]]&plain[t[5]]&plain[t[6]]&plain[t[7]] == 0 {
				break
			}
			i += 8
		}
		if i == len(s) {
			break
		}
		c := s[i]
		if c < utf8.RuneSelf {
			if plain[c] != 0 {
				i++
				continue
			}
			b = append(b, s[start:i]...)
			switch c {
			case '"', '\\':
				b = append(b, '\\', c)
			case '\n':
				b = append(b, '\\', 'n')
			case '\r':
				b = append(b, '\\', 'r')
			case '\t':
				b = append(b, '\\', 't')
			default:
				b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
			}
			i++
			start = i
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && n == 1 {
			b = append(append(b, s[start:i]...), "\uFFFD"...)
			i++
			start = i
			continue
		}
		i += n
	}
	return append(append(b, s[start:]...), '"')
}
