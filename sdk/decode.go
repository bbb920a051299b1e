package sdk

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxProblems bounds what one error lists.
const maxProblems = 20

// problems gathers what is wrong with a value, each with its path.
type problems struct {
	list []string
	more int
}

func (p *problems) add(at *place, format string, args ...any) {
	if len(p.list) == maxProblems {
		p.more++
		return
	}
	p.list = append(p.list, at.String()+": "+fmt.Sprintf(format, args...))
}

// A place is where a value stands; it becomes a text only when something is
// wrong there.
type place struct {
	up    *place
	name  string // of the whole where up is nil
	index int    // of an item
	item  bool
}

func (at *place) String() string {
	switch {
	case at.up == nil:
		return at.name
	case at.item:
		return at.up.String() + "[" + strconv.Itoa(at.index) + "]"
	}
	return at.up.String() + "." + at.name
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
	data = trim(data)
	if len(data) == 0 || string(data) == "null" {
		data = []byte("{}")
	}
	if !json.Valid(data) {
		return none, Errorf(Invalid, "%s: not valid JSON", what)
	}
	var p problems
	s.read(&p, &place{name: what}, data, reflect.ValueOf(&v).Elem(), 0)
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
	at := &place{name: what}
	for i := range f {
		if !json.Valid(f[i].Value) {
			p.add(&place{up: at, name: f[i].Name}, "not valid JSON")
		}
	}
	if len(p.list) == 0 {
		s.readObject(&p, at, f, settable(reflect.ValueOf(&v).Elem()), 0)
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
func (s *shape) read(p *problems, at *place, data []byte, v reflect.Value, depth int) {
	if depth > maxDepth {
		p.add(at, "nested more than %d deep", maxDepth)
		return
	}
	data = trim(data)
	got := jsonKind(data)
	if got == "null" && s.form != formAny {
		p.add(at, "%s is wanted, not null", s.wanted())
		return
	}
	v = settable(v)
	switch s.form {
	case formObject:
		if got != "an object" {
			p.add(at, "an object is wanted, not %s", got)
			return
		}
		f, dup := members(data)
		if dup != "" {
			p.add(at, "field %q is given twice", dup)
			return
		}
		s.readObject(p, at, f, v, depth)
	case formMap:
		if got != "an object" {
			p.add(at, "an object is wanted, not %s", got)
			return
		}
		f, dup := members(data)
		if dup != "" {
			p.add(at, "field %q is given twice", dup)
			return
		}
		m := reflect.MakeMapWithSize(v.Type(), len(f))
		for i := range f {
			x := reflect.New(v.Type().Elem()).Elem()
			s.elem.read(p, &place{up: at, name: f[i].Name}, f[i].Value, x, depth+1)
			m.SetMapIndex(reflect.ValueOf(f[i].Name).Convert(v.Type().Key()), x)
		}
		v.Set(m)
	case formList:
		if got != "a list" {
			p.add(at, "a list is wanted, not %s", got)
			return
		}
		s.readList(p, at, data, v, depth)
	case formNone:
		p.add(at, "takes no value: the connector declares it as %s", s.typ)
	case formAny, formString, formBool, formInt, formUint, formFloat, formBytes, formTime, formText:
		if s.readPlain(data, v) {
			return
		}
		if err := json.Unmarshal(data, v.Addr().Interface()); err != nil {
			p.add(at, "%s", s.why(got, data, err))
		}
	}
}

// readPlain reads what needs no more than a look; false leaves it to
// encoding/json, which also says what is wrong.
func (s *shape) readPlain(data []byte, v reflect.Value) bool {
	switch s.form {
	case formString:
		if data[0] == '"' {
			v.SetString(text(data))
			return true
		}
	case formBool:
		if data[0] == 't' || data[0] == 'f' {
			v.SetBool(data[0] == 't')
			return true
		}
	case formInt:
		n, err := strconv.ParseInt(string(data), 10, 64)
		if err == nil && !v.OverflowInt(n) {
			v.SetInt(n)
			return true
		}
	case formAny, formNone, formUint, formFloat, formBytes, formTime, formText, formList, formMap, formObject:
	}
	return false
}

func (s *shape) readList(p *problems, at *place, data []byte, v reflect.Value, depth int) {
	var items []json.RawMessage
	if err := json.Unmarshal(data, &items); err != nil {
		p.add(at, "not valid JSON")
		return
	}
	if v.Kind() == reflect.Array {
		if len(items) != v.Len() {
			p.add(at, "a list of %d is wanted, not of %d", v.Len(), len(items))
			return
		}
	} else {
		v.Set(reflect.MakeSlice(v.Type(), len(items), len(items)))
	}
	for i := range items {
		s.elem.read(p, &place{up: at, index: i, item: true}, items[i], v.Index(i), depth+1)
	}
}

func (s *shape) readObject(p *problems, at *place, f Fields, v reflect.Value, depth int) {
	given := make([]bool, len(s.fields))
	for i := range f {
		n, ok := s.byName[f[i].Name]
		if !ok {
			p.add(&place{up: at, name: f[i].Name}, "no such field%s", s.nearest(f[i].Name))
			continue
		}
		sf := &s.fields[n]
		if sf.optional && jsonKind(trim(f[i].Value)) == "null" && sf.shape.form != formAny {
			continue
		}
		given[n] = true
		sf.shape.read(p, &place{up: at, name: sf.name}, f[i].Value, v.FieldByIndex(sf.index), depth+1)
		if e := sf.enum; e != nil && !oneOf(e, f[i].Value) {
			p.add(&place{up: at, name: sf.name}, "must be one of %s", joinRaw(e))
		}
	}
	for i := range s.fields {
		sf := &s.fields[i]
		switch {
		case given[i]:
		case sf.fallback != nil:
			sf.shape.read(p, &place{up: at, name: sf.name}, sf.fallback, v.FieldByIndex(sf.index), depth+1)
		case !sf.optional:
			p.add(&place{up: at, name: sf.name}, "is missing, %s is wanted", sf.shape.wanted())
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

// members takes a valid JSON object apart, in order, as views of it; dup is a
// name that comes twice.
func members(data []byte) (f Fields, dup string) {
	i := 1 // behind the brace
	for {
		i += gap(data[i:])
		if data[i] == '}' {
			return f, twice(f)
		}
		if data[i] == ',' {
			i += 1 + gap(data[i+1:])
		}
		n := extent(data[i:])
		name := text(data[i : i+n])
		i += n + gap(data[i+n:]) + 1 // the colon
		i += gap(data[i:])
		n = extent(data[i:])
		f = append(f, Field{Name: name, Value: data[i : i+n : i+n]})
		i += n
	}
}

// manyMembers is how many names are compared one by one.
const manyMembers = 16

// twice gives a name that comes twice.
func twice(f Fields) (dup string) {
	var seen map[string]bool // of what is too much to go over again and again
	if len(f) > manyMembers {
		seen = make(map[string]bool, len(f))
	}
	for i := range f {
		name := f[i].Name
		if seen[name] || seen == nil && slices.ContainsFunc(f[:i], func(m Field) bool { return m.Name == name }) {
			dup = name
		}
		if seen != nil {
			seen[name] = true
		}
	}
	return dup
}

// trim cuts JSON's white space off.
func trim(data []byte) []byte { return bytes.Trim(data, " \t\r\n") }

// gap is the length of the white space at the start of JSON.
func gap(data []byte) int {
	n := 0
	for n < len(data) && (data[n] == ' ' || data[n] == '\t' || data[n] == '\n' || data[n] == '\r') {
		n++
	}
	return n
}

// extent is the length of the JSON value at the start of data, which is valid.
func extent(data []byte) int {
	depth := 0
	for i := 0; i < len(data); i++ {
		switch data[i] {
		case '"':
			for i++; data[i] != '"'; i++ {
				if data[i] == '\\' {
					i++
				}
			}
		case '{', '[':
			depth++
			continue
		case '}', ']':
			depth--
		case ',', ':', ' ', '\t', '\n', '\r':
			continue
		default: // a number or a word
			for i+1 < len(data) && !delimits(data[i+1]) {
				i++
			}
		}
		if depth == 0 {
			return i + 1
		}
	}
	return len(data)
}

// delimits says whether c ends a number or a word.
func delimits(c byte) bool {
	switch c {
	case ',', ':', '}', ']', ' ', '\t', '\n', '\r':
		return true
	}
	return false
}

// text reads a valid JSON string.
func text(quoted []byte) string {
	in := quoted[1 : len(quoted)-1]
	if bytes.IndexByte(in, '\\') < 0 && utf8.Valid(in) {
		return string(in)
	}
	var s string
	_ = json.Unmarshal(quoted, &s) // it was checked
	return s
}
