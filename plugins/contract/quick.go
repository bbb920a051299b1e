package contract

import (
	"bytes"
	"encoding/json"
	"slices"
	"unicode/utf8"
)

// A quick is a schema that can tell at one look over a document that it fits. It
// says yes, or that it can't say: then the whole check says whether, and why not.
//
// Its rule: where it says yes, [fitter.fit] finds nothing. What it takes it takes
// in each of a name's occurrences, so that the last, which counts, is among them.
// nil can't say of any value.
type quick struct {
	kinds kinds // 0: all
	// texts are the values of enum or const, of which the value must be one if
	// listed.
	texts  []string
	listed bool
	format string // one that isFormat knows
	// natural: no number below 0.
	natural bool
	// fields are those of properties; byName has their places.
	fields []*quick
	byName map[string]int
	// needed has the bits of the fields that must be there.
	needed uint64
	// rest is what other fields have, items what a list has.
	rest, items *quick
}

// kinds is a set of JSON Schema's words for types.
type kinds uint8

const (
	kindNull kinds = 1 << iota
	kindBoolean
	kindString
	kindArray
	kindObject
	kindInteger
	kindNumber
)

var kindsByWord = map[string]kinds{
	"null": kindNull, "boolean": kindBoolean, "string": kindString, "array": kindArray,
	"object": kindObject, "integer": kindInteger, "number": kindNumber | kindInteger,
}

// What a quick takes no more of: the whole check bounds its own steps, and a
// document that it refuses for them must not be taken here.
const (
	quickTexts  = 64
	quickFields = 64
	quickDepth  = 100
)

// anything takes all values.
var anything = func() *quick {
	q := &quick{}
	q.rest, q.items = q, q
	return q
}()

// newQuick gives nil for a schema with words that take more than a look.
func newQuick(schema any) *quick {
	if schema == false {
		return nil
	}
	s, ok := schema.(map[string]any)
	if !ok {
		return anything
	}
	q := &quick{rest: anything, items: anything, byName: map[string]int{}}
	for word, v := range s {
		if !q.take(word, v) {
			return nil
		}
	}
	// Behind all of properties, whatever comes first in the map.
	required, _ := s["required"].([]any)
	for _, r := range required {
		name, _ := r.(string)
		i, ok := q.byName[name]
		if !ok {
			return nil
		}
		q.needed |= 1 << i
	}
	return q
}

// take adds a word of a schema; false: it takes more than a look.
func (q *quick) take(word string, v any) bool {
	switch word {
	case "type":
		return q.takeKinds(v)
	case "enum", "const":
		list, ok := v.([]any)
		if word == "const" {
			list, ok = []any{v}, true
		}
		return !ok || q.takeTexts(list)
	case "format":
		switch v {
		case "date-time", "date", "ipv4", "ipv6", "uuid":
			q.format = v.(string)
		}
	case "minimum":
		q.natural = v == json.Number("0")
		return q.natural
	case "properties":
		props, _ := v.(map[string]any)
		for name, p := range props {
			q.byName[name] = len(q.fields)
			q.fields = append(q.fields, newQuick(p))
		}
		return len(q.fields) <= quickFields
	case "additionalProperties":
		q.rest = newQuick(v)
	case "items":
		q.items = newQuick(v)
	case "$ref", "allOf", "anyOf", "oneOf", "not", "patternProperties", "propertyNames", "minProperties", "maxProperties",
		"prefixItems", "contains", "minItems", "maxItems", "uniqueItems", "maximum", "exclusiveMinimum", "exclusiveMaximum",
		"multipleOf", "minLength", "maxLength", "pattern":
		return false
	}
	return true // other words say nothing
}

func (q *quick) takeKinds(v any) bool {
	words, ok := v.([]any)
	if !ok {
		words = []any{v}
	}
	for _, w := range words {
		word, _ := w.(string)
		if kindsByWord[word] == 0 {
			return false
		}
		q.kinds |= kindsByWord[word]
	}
	return q.kinds != 0
}

func (q *quick) takeTexts(list []any) bool {
	if q.listed || len(list) > quickTexts {
		return false
	}
	q.listed = true
	for _, v := range list {
		if text, ok := v.(string); ok {
			q.texts = append(q.texts, text)
		}
	}
	return true
}

func (q *quick) allows(k kinds) bool { return q.kinds == 0 || q.kinds&k != 0 }

// fits says that a document surely fits.
func (q *quick) fits(doc []byte) bool {
	if q == nil {
		return false
	}
	l := look{b: doc}
	if !l.value(q, 0) {
		return false
	}
	l.gap()
	return l.i == len(doc)
}

// A look goes over a document once. Each of its methods says no to what isn't JSON.
type look struct {
	b []byte
	i int
}

func (l *look) gap() {
	for l.i < len(l.b) && (l.b[l.i] == ' ' || l.b[l.i] == '\t' || l.b[l.i] == '\n' || l.b[l.i] == '\r') {
		l.i++
	}
}

// next skips white space and gives what stands behind it, 0 at the end.
func (l *look) next() byte {
	l.gap()
	if l.i == len(l.b) {
		return 0
	}
	return l.b[l.i]
}

// takes skips white space and c; false: something else stands there.
func (l *look) takes(c byte) bool {
	if l.next() != c {
		return false
	}
	l.i++
	return true
}

func (l *look) value(q *quick, depth int) bool {
	if q == nil || depth > quickDepth {
		return false
	}
	switch c := l.next(); c {
	case '{':
		return q.allows(kindObject) && !q.listed && l.object(q, depth)
	case '[':
		return q.allows(kindArray) && !q.listed && l.list(q, depth)
	case '"':
		text, plain := l.text()
		return q.allows(kindString) && text != nil && (!q.listed && q.format == "" || plain && q.is(text))
	case 't':
		return q.allows(kindBoolean) && !q.listed && l.word("true")
	case 'f':
		return q.allows(kindBoolean) && !q.listed && l.word("false")
	case 'n':
		return q.allows(kindNull) && !q.listed && l.word("null")
	default:
		if c == '-' && q.natural || q.listed {
			return false
		}
		ok, whole := l.number()
		return ok && (q.allows(kindNumber) || whole && q.allows(kindInteger))
	}
}

// is holds a text against enum, const and format.
func (q *quick) is(text []byte) bool {
	if q.listed && !slices.ContainsFunc(q.texts, func(t string) bool { return t == string(text) }) {
		return false
	}
	return q.format == "" || isFormat(q.format, string(text))
}

func (l *look) object(q *quick, depth int) bool {
	l.i++
	var there uint64
	if l.next() == '}' {
		l.i++
		return q.needed == 0
	}
	for {
		if l.next() != '"' {
			return false
		}
		name, plain := l.text()
		if !plain || !utf8.Valid(name) || !l.takes(':') {
			return false
		}
		value := q.rest
		if at, ok := q.byName[string(name)]; ok {
			value = q.fields[at]
			there |= 1 << at
		}
		if !l.value(value, depth+1) {
			return false
		}
		if l.takes('}') {
			return there&q.needed == q.needed
		}
		if !l.takes(',') {
			return false
		}
	}
}

func (l *look) list(q *quick, depth int) bool {
	l.i++
	if l.next() == ']' {
		l.i++
		return true
	}
	for {
		if !l.value(q.items, depth+1) {
			return false
		}
		if l.takes(']') {
			return true
		}
		if !l.takes(',') {
			return false
		}
	}
}

// text gives what stands between two quotes, nil if it is no string; plain: no
// escape is in it.
func (l *look) text() (text []byte, plain bool) {
	start := l.i + 1
	plain = true
	for i := start; i < len(l.b); i++ {
		switch c := l.b[i]; {
		case c == '"':
			l.i = i + 1
			return l.b[start:i:i], plain
		case c < ' ':
			return nil, false
		case c == '\\':
			plain = false
			n := escape(l.b[i:])
			if n == 0 {
				return nil, false
			}
			i += n - 1
		}
	}
	return nil, false
}

// escape is the length of the escape at the start of b, 0 if it is none.
func escape(b []byte) int {
	switch {
	case len(b) < 2:
		return 0
	case bytes.IndexByte([]byte(`"\/bfnrt`), b[1]) >= 0:
		return 2
	case b[1] != 'u' || len(b) < 6:
		return 0
	}
	for _, c := range b[2:6] {
		if (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'f') {
			return 0
		}
	}
	return 6
}

func (l *look) word(w string) bool {
	if !bytes.HasPrefix(l.b[l.i:], []byte(w)) {
		return false
	}
	l.i += len(w)
	return true
}

// number skips a number; whole: it has neither a point nor an exponent.
func (l *look) number() (ok, whole bool) {
	l.one('-', '-')
	if !l.one('0', '0') && l.digits() == 0 {
		return false, false
	}
	whole = true
	if l.one('.', '.') {
		whole = false
		if l.digits() == 0 {
			return false, false
		}
	}
	if l.one('e', 'E') {
		whole = false
		l.one('+', '-')
		if l.digits() == 0 {
			return false, false
		}
	}
	return true, whole
}

// one skips one of two bytes, if it is there.
func (l *look) one(a, b byte) bool {
	if l.i == len(l.b) || l.b[l.i] != a && l.b[l.i] != b {
		return false
	}
	l.i++
	return true
}

func (l *look) digits() int {
	start := l.i
	for l.i < len(l.b) && l.b[l.i] >= '0' && l.b[l.i] <= '9' {
		l.i++
	}
	return l.i - start
}
