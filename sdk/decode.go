package sdk

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"strings"
)

// maxProblems bounds what one error lists.
const maxProblems = 20

// problems gathers what is wrong with a value, each with its path.
type problems struct {
	list []string
	more int
}

func (p *problems) add(path, format string, args ...any) {
	if len(p.list) == maxProblems {
		p.more++
		return
	}
	p.list = append(p.list, path+": "+fmt.Sprintf(format, args...))
}

func (p *problems) err() error {
	if len(p.list) == 0 {
		return nil
	}
	text := strings.Join(p.list, "; ")
	if p.more > 0 {
		text += fmt.Sprintf("; and %d more", p.more)
	}
	return Errorf(Invalid, "%s", text)
}

// decode reads data, absent or null being an empty object.
func decode[T any](s *shape, what string, data []byte) (T, error) {
	var v, none T
	data = bytes.TrimSpace(data)
	if len(data) == 0 || string(data) == "null" {
		data = []byte("{}")
	}
	if !json.Valid(data) {
		return none, Errorf(Invalid, "%s: not valid JSON", what)
	}
	var p problems
	s.read(&p, what, data, reflect.ValueOf(&v).Elem(), 0)
	if err := p.err(); err != nil {
		return none, err
	}
	return v, nil
}

// decodeFields reads members that were delimited by the one who wrote them.
func decodeFields[T any](s *shape, what string, f Fields) (T, error) {
	if s.form != formObject {
		return decode[T](s, what, f.JSON())
	}
	var v, none T
	var p problems
	for i := range f {
		if !json.Valid(f[i].Value) {
			p.add(what+"."+f[i].Name, "not valid JSON")
		}
	}
	if len(p.list) == 0 {
		s.readObject(&p, what, f, settable(reflect.ValueOf(&v).Elem()), 0)
	}
	if err := p.err(); err != nil {
		return none, err
	}
	return v, nil
}

// settable follows pointers to what they point to, making it where it is nil.
func settable(v reflect.Value) reflect.Value {
	for v.Kind() == reflect.Pointer {
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
		}
		v = v.Elem()
	}
	return v
}

// read puts valid JSON into v.
func (s *shape) read(p *problems, path string, data []byte, v reflect.Value, depth int) {
	if depth > maxDepth {
		p.add(path, "nested more than %d deep", maxDepth)
		return
	}
	data = bytes.TrimSpace(data)
	got := jsonKind(data)
	if got == "null" && s.form != formAny {
		p.add(path, "%s is wanted, not null", s.wanted())
		return
	}
	v = settable(v)
	switch s.form {
	case formObject:
		if got != "an object" {
			p.add(path, "an object is wanted, not %s", got)
			return
		}
		f, dup := members(data)
		if dup != "" {
			p.add(path, "field %q is given twice", dup)
			return
		}
		s.readObject(p, path, f, v, depth)
	case formMap:
		if got != "an object" {
			p.add(path, "an object is wanted, not %s", got)
			return
		}
		f, dup := members(data)
		if dup != "" {
			p.add(path, "field %q is given twice", dup)
			return
		}
		m := reflect.MakeMapWithSize(v.Type(), len(f))
		for i := range f {
			x := reflect.New(v.Type().Elem()).Elem()
			s.elem.read(p, path+"."+f[i].Name, f[i].Value, x, depth+1)
			m.SetMapIndex(reflect.ValueOf(f[i].Name).Convert(v.Type().Key()), x)
		}
		v.Set(m)
	case formList:
		if got != "a list" {
			p.add(path, "a list is wanted, not %s", got)
			return
		}
		s.readList(p, path, data, v, depth)
	case formNone:
		p.add(path, "takes no value: the connector declares it as %s", s.typ)
	case formAny, formString, formBool, formInt, formUint, formFloat, formBytes, formTime, formText:
		if err := json.Unmarshal(data, v.Addr().Interface()); err != nil {
			p.add(path, "%s", s.why(got, data, err))
		}
	}
}

func (s *shape) readList(p *problems, path string, data []byte, v reflect.Value, depth int) {
	var items []json.RawMessage
	if err := json.Unmarshal(data, &items); err != nil {
		p.add(path, "not valid JSON")
		return
	}
	if v.Kind() == reflect.Array {
		if len(items) != v.Len() {
			p.add(path, "a list of %d is wanted, not of %d", v.Len(), len(items))
			return
		}
	} else {
		v.Set(reflect.MakeSlice(v.Type(), len(items), len(items)))
	}
	for i := range items {
		s.elem.read(p, path+"["+strconv.Itoa(i)+"]", items[i], v.Index(i), depth+1)
	}
}

func (s *shape) readObject(p *problems, path string, f Fields, v reflect.Value, depth int) {
	given := make([]bool, len(s.fields))
	for i := range f {
		at, ok := s.byName[f[i].Name]
		if !ok {
			p.add(path+"."+f[i].Name, "no such field%s", s.nearest(f[i].Name))
			continue
		}
		sf := &s.fields[at]
		if sf.optional && jsonKind(bytes.TrimSpace(f[i].Value)) == "null" && sf.shape.form != formAny {
			continue
		}
		given[at] = true
		sf.shape.read(p, path+"."+sf.name, f[i].Value, v.FieldByIndex(sf.index), depth+1)
		if e := sf.enum(); e != nil && !oneOf(e, f[i].Value) {
			p.add(path+"."+sf.name, "must be one of %s", joinRaw(e))
		}
	}
	for i := range s.fields {
		sf := &s.fields[i]
		switch {
		case given[i]:
		case sf.fallback != nil:
			sf.shape.read(p, path+"."+sf.name, sf.fallback, v.FieldByIndex(sf.index), depth+1)
		case !sf.optional:
			p.add(path+"."+sf.name, "is missing, %s is wanted", sf.shape.wanted())
		}
	}
}

// oneOf compares as compact JSON.
func oneOf(allowed []json.RawMessage, value []byte) bool {
	var b bytes.Buffer
	if json.Compact(&b, value) != nil {
		return false
	}
	for i := range allowed {
		if bytes.Equal(allowed[i], b.Bytes()) {
			return true
		}
	}
	return false
}

// nearest suggests the known name that differs least, if by little.
func (s *shape) nearest(name string) string {
	best, least := "", 3
	for i := range s.fields {
		if d := distance(name, s.fields[i].name); d < least && d < len(name) {
			best, least = s.fields[i].name, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", best)
}

// distance counts the edits from a to b; far apart in length counts as far.
func distance(a, b string) int {
	if len(a) > 64 || len(b) > 64 || len(a)-len(b) > 2 || len(b)-len(a) > 2 {
		return 64
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// why words the refusal of a scalar.
func (s *shape) why(got string, data []byte, err error) string {
	switch {
	case s.form == formTime && got == "a string":
		return fmt.Sprintf("%.64s is not a time such as \"2026-01-31T08:00:00Z\"", data)
	case (s.form == formInt || s.form == formUint || s.form == formFloat) && got == "a number":
		return fmt.Sprintf("%.64s does not fit %s", data, s.typ)
	case s.form == formBytes && got == "a string":
		return "not valid base64"
	case s.form == formAny, s.form == formText && got == "a string":
		return err.Error()
	}
	return fmt.Sprintf("%s is wanted, not %s", s.wanted(), got)
}

func (s *shape) wanted() string {
	switch s.form {
	case formString, formText, formBytes, formTime:
		return "a string"
	case formBool:
		return "true or false"
	case formInt, formUint:
		return "a whole number"
	case formFloat:
		return "a number"
	case formList:
		return "a list"
	case formMap, formObject:
		return "an object"
	case formAny, formNone:
	}
	return "a value"
}

func jsonKind(data []byte) string {
	if len(data) == 0 {
		return "nothing"
	}
	switch data[0] {
	case '{':
		return "an object"
	case '[':
		return "a list"
	case '"':
		return "a string"
	case 't', 'f':
		return "true or false"
	case 'n':
		return "null"
	}
	return "a number"
}

// members takes a valid JSON object apart, in order; dup is a name that comes
// twice.
func members(data []byte) (f Fields, dup string) {
	d := json.NewDecoder(bytes.NewReader(data))
	if _, err := d.Token(); err != nil {
		return nil, ""
	}
	seen := map[string]bool{}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return f, dup
		}
		name, _ := t.(string)
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			return f, dup
		}
		if seen[name] {
			dup = name
		}
		seen[name] = true
		f = append(f, Field{Name: name, Value: raw})
	}
	return f, dup
}
