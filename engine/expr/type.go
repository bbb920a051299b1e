package expr

import (
	"slices"
	"strings"
)

// kinds is a set of kinds; a Type is the union of the kinds in its set.
type kinds uint16

const (
	kNull kinds = 1 << iota
	kBool
	kInt
	kFloat
	kDecimal
	kString
	kTime
	kDuration
	kList
	kObject
	kSecret

	kNumber = kInt | kFloat | kDecimal
)

// maxTypeSize bounds a type that a schema or an expression makes, counted in
// the nodes of its tree: sharing makes trees that are exponential in their
// source. A larger one becomes any.
const maxTypeSize = 50_000

// A Type says what values an expression can give or a field can take. It is
// immutable; nil means any.
type Type struct {
	// dyn: nothing is known, each use is allowed and checked when it happens.
	dyn  bool
	k    kinds
	elem *Type // of a list; nil: any
	// props are sorted by name.
	props []prop
	// extra is the type of the members that props doesn't name; nil: none.
	extra *Type
	// enum holds the only possible values, strings, bool, int and float64; the
	// null of k isn't in it. Empty: all values.
	enum []any
	// secret: there is a secret somewhere in it.
	secret bool
	// size counts the nodes of its tree.
	size int
	// doc is the description that a schema gave, which changes nothing.
	doc string
}

type prop struct {
	name string
	typ  *Type
	opt  bool
	// read is what an expression gets: typ, or null when opt.
	read *Type
}

// A Prop is one named member of an object type.
type Prop struct {
	Name string
	Type *Type
	// Optional: the member may be left out; reading it then gives null.
	Optional bool
}

// Any is the type of which nothing is known: it fits everywhere and is checked
// when it is used.
func Any() *Type { return &Type{dyn: true, size: 1} }

// Null is the type of null alone.
func Null() *Type { return of(kNull) }

// Bool is the type of true and false.
func Bool() *Type { return of(kBool) }

// Int is the type of 64-bit integers.
func Int() *Type { return of(kInt) }

// Number is the type of all numbers.
func Number() *Type { return of(kNumber) }

// StringType is the type of texts.
func StringType() *Type { return of(kString) }

// Enum is the type of the given texts.
func Enum(texts ...string) *Type {
	t := of(kString)
	for _, s := range texts {
		t.enum = append(t.enum, s)
	}
	return t
}

// Time is the type of points in time. As JSON it is a text of RFC 3339.
func Time() *Type { return of(kTime) }

// Duration is the type of lengths of time. As JSON it is a text like "1h30m".
func Duration() *Type { return of(kDuration) }

// SecretType is the type of a reference to a secret, which nothing can render.
func SecretType() *Type {
	t := of(kSecret)
	t.secret = true
	return t
}

// ListOf is the type of lists with items of type t.
func ListOf(t *Type) *Type {
	t = known(t)
	return bounded(&Type{k: kList, elem: t, secret: t.secret, size: 1 + t.size})
}

// ObjectOf is the type of objects with the given members and, unless extra is
// nil, any number of others of type extra. Of two members with one name the
// last is taken.
func ObjectOf(props []Prop, extra *Type) *Type {
	t := &Type{k: kObject, extra: extra, size: 1}
	t.props = make([]prop, 0, len(props))
	for _, p := range props {
		t.props = append(t.props, newProp(p.Name, known(p.Type), p.Optional))
	}
	slices.SortStableFunc(t.props, func(a, b prop) int { return strings.Compare(a.name, b.name) })
	kept := t.props[:0]
	for i, p := range t.props {
		if i+1 < len(t.props) && t.props[i+1].name == p.name {
			continue
		}
		kept = append(kept, p)
	}
	t.props = kept
	t.count()
	return t
}

// Optional is t or null.
func Optional(t *Type) *Type { return known(t).orNull() }

// Union is what has type a or b. Objects merge member by member: a member that
// one of them lacks is optional.
func Union(a, b *Type) *Type { return union(known(a), known(b)) }

// Prop gives the member of that name: its type, whether it may be left out,
// and false when the type names no such member.
func (t *Type) Prop(name string) (typ *Type, optional, ok bool) {
	if t == nil {
		return nil, false, false
	}
	p := t.prop(name)
	if p == nil {
		return nil, false, false
	}
	return p.typ, p.opt, true
}

// Field is the type of a member as a field that is filled in: a named one, or
// what the others may be; nil when nothing is known of it.
func (t *Type) Field(name string) *Type {
	if t == nil {
		return nil
	}
	return t.field(name)
}

// Props gives the named members, sorted by name.
func (t *Type) Props() []Prop {
	if t == nil || len(t.props) == 0 {
		return nil
	}
	out := make([]Prop, len(t.props))
	for i, p := range t.props {
		out[i] = Prop{Name: p.name, Type: p.typ, Optional: p.opt}
	}
	return out
}

// Closed says that t is an object type whose members are all named.
func (t *Type) Closed() bool { return t != nil && !t.dyn && t.k&kObject != 0 && t.extra == nil }

// Elem is the type of a list's items, nil when t has no lists.
func (t *Type) Elem() *Type {
	if t == nil || t.dyn || t.k&kList == 0 {
		return nil
	}
	return known(t.elem)
}

// IsAny says that nothing is known of the value.
func (t *Type) IsAny() bool { return t == nil || t.dyn }

// Nullable says that the value is known to be null at times.
func (t *Type) Nullable() bool { return t != nil && t.nullable() }

// Secret says that there is a secret somewhere in the value.
func (t *Type) Secret() bool { return t != nil && t.secret }

// Doc is the description that the schema gave for the value; empty for none.
func (t *Type) Doc() string {
	if t == nil {
		return ""
	}
	return t.doc
}

func of(k kinds) *Type { return &Type{k: k, size: 1} }

// never is the type without values: that of an empty list's items.
func never() *Type { return &Type{size: 1} }

func known(t *Type) *Type {
	if t == nil {
		return Any()
	}
	return t
}

func newProp(name string, t *Type, opt bool) prop {
	p := prop{name: name, typ: t, opt: opt, read: t}
	if opt {
		p.read = t.orNull()
	}
	return p
}

// count sets size and secret of an object type from its members.
func (t *Type) count() {
	t.size = 1
	for _, p := range t.props {
		t.size += p.typ.size
		t.secret = t.secret || p.typ.secret
	}
	for _, x := range []*Type{t.extra, t.elem} {
		if x != nil {
			t.size += x.size
			t.secret = t.secret || x.secret
		}
	}
}

func bounded(t *Type) *Type {
	if t.size <= maxTypeSize {
		return t
	}
	return &Type{dyn: true, secret: t.secret, size: 1}
}

// has says that a value may be of one of the kinds; a type without values has
// none that isn't.
func (t *Type) has(k kinds) bool  { return t.dyn || t.k == 0 || t.k&k != 0 }
func (t *Type) only(k kinds) bool { return !t.dyn && t.k != 0 && t.k&^k == 0 }
func (t *Type) nullable() bool    { return !t.dyn && t.k&kNull != 0 }
func (t *Type) empty() bool       { return !t.dyn && t.k == 0 }

func (t *Type) nonNull() *Type {
	if !t.nullable() {
		return t
	}
	c := *t
	c.k &^= kNull
	return &c
}

func (t *Type) orNull() *Type {
	if t.dyn || t.k&kNull != 0 {
		return t
	}
	c := *t
	c.k |= kNull
	return &c
}

func (t *Type) prop(name string) *prop {
	i, ok := slices.BinarySearchFunc(t.props, name, func(p prop, n string) int { return strings.Compare(p.name, n) })
	if !ok {
		return nil
	}
	return &t.props[i]
}

func (t *Type) names() []string {
	out := make([]string, len(t.props))
	for i, p := range t.props {
		out[i] = p.name
	}
	return out
}

// item is the type of what a list of this type holds.
func (t *Type) item() *Type {
	if t.dyn || t.elem == nil {
		return Any()
	}
	return t.elem
}

// member is the type of all members taken together.
func (t *Type) member() *Type {
	if t.dyn {
		return Any()
	}
	u := never()
	if t.extra != nil {
		u = t.extra
	}
	for _, p := range t.props {
		u = union(u, p.read)
	}
	return u
}

func union(a, b *Type) *Type {
	switch {
	case a == b || b.empty():
		return a
	case a.empty():
		return b
	case a.dyn || b.dyn:
		return &Type{dyn: true, secret: a.secret || b.secret, size: 1}
	}
	r := &Type{k: a.k | b.k, secret: a.secret || b.secret, size: 1}
	if r.k&kList != 0 {
		switch {
		case a.k&kList == 0:
			r.elem = b.elem
		case b.k&kList == 0:
			r.elem = a.elem
		case a.elem != nil && b.elem != nil:
			r.elem = union(a.elem, b.elem)
		}
	}
	ao, bo := a.k&kObject != 0, b.k&kObject != 0
	switch {
	case ao && bo:
		r.props, r.extra = mergeProps(a, b), mergeExtra(a.extra, b.extra)
	case ao:
		r.props, r.extra = a.props, a.extra
	case bo:
		r.props, r.extra = b.props, b.extra
	}
	r.enum = mergeEnum(a, b)
	r.count()
	return bounded(r)
}

// same says that two types take the same values, as far as they tell.
func same(a, b *Type) bool {
	if a == b {
		return true
	}
	if a == nil || b == nil || a.dyn != b.dyn || a.k != b.k || a.secret != b.secret || a.size != b.size ||
		len(a.props) != len(b.props) || !slices.Equal(a.enum, b.enum) {
		return false
	}
	for i := range a.props {
		p, q := &a.props[i], &b.props[i]
		if p.name != q.name || p.opt != q.opt || !same(p.typ, q.typ) {
			return false
		}
	}
	return same(a.elem, b.elem) && same(a.extra, b.extra)
}

func mergeProps(a, b *Type) []prop {
	out := make([]prop, 0, max(len(a.props), len(b.props)))
	i, j := 0, 0
	// lone is a member that the other type doesn't name, but may have.
	lone := func(p prop, other *Type) prop {
		if other.extra != nil {
			return newProp(p.name, union(p.typ, other.extra), true)
		}
		return newProp(p.name, p.typ, true)
	}
	for i < len(a.props) || j < len(b.props) {
		switch {
		case j == len(b.props) || i < len(a.props) && a.props[i].name < b.props[j].name:
			out = append(out, lone(a.props[i], b))
			i++
		case i == len(a.props) || b.props[j].name < a.props[i].name:
			out = append(out, lone(b.props[j], a))
			j++
		default:
			p, q := a.props[i], b.props[j]
			out = append(out, newProp(p.name, union(p.typ, q.typ), p.opt || q.opt))
			i++
			j++
		}
	}
	return out
}

func mergeExtra(a, b *Type) *Type {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	}
	return union(a, b)
}

// mergeEnum keeps the possible values while each side has few of them; null
// alone adds none.
func mergeEnum(a, b *Type) []any {
	switch {
	case a.only(kNull):
		return b.enum
	case b.only(kNull):
		return a.enum
	case len(a.enum) == 0 || len(b.enum) == 0 || len(a.enum)+len(b.enum) > 64:
		return nil
	}
	out := slices.Clone(a.enum)
	for _, v := range b.enum {
		if !slices.Contains(out, v) {
			out = append(out, v)
		}
	}
	return out
}

// String writes the type for people, cut to about 200 bytes.
func (t *Type) String() string {
	var b strings.Builder
	writeType(&b, known(t))
	return b.String()
}

const maxTypeText = 200

func writeType(b *strings.Builder, t *Type) {
	if b.Len() > maxTypeText {
		b.WriteString("…")
		return
	}
	if t.dyn {
		b.WriteString("any")
		return
	}
	if t.k == 0 {
		b.WriteString("nothing")
		return
	}
	sep := ""
	word := func(s string) {
		b.WriteString(sep)
		b.WriteString(s)
		sep = " or "
	}
	if n := len(t.enum); n > 0 && n <= 4 && t.only(kString|kNull) {
		for _, e := range t.enum {
			s, _ := e.(string)
			word(quoted(s))
		}
		if t.nullable() {
			word("null")
		}
		return
	}
	for _, k := range []struct {
		k    kinds
		name string
	}{{kBool, "boolean"}, {kString, "string"}, {kTime, "time"}, {kDuration, "duration"}, {kSecret, "secret"}} {
		if t.k&k.k != 0 {
			word(k.name)
		}
	}
	switch {
	case t.k&kNumber == kInt:
		word("integer")
	case t.k&kNumber == kDecimal:
		word("decimal")
	case t.k&kNumber != 0:
		word("number")
	}
	if t.k&kList != 0 {
		word("list")
		if t.elem != nil && !t.elem.dyn && !t.elem.empty() {
			b.WriteString("(")
			writeType(b, t.elem)
			b.WriteString(")")
		}
	}
	if t.k&kObject != 0 {
		word("object")
		if len(t.props) > 0 {
			writeProps(b, t)
		}
	}
	if t.k&kNull != 0 {
		word("null")
	}
}

func writeProps(b *strings.Builder, t *Type) {
	b.WriteString("{")
	cut := t.extra != nil
	for i, p := range t.props {
		if b.Len() > maxTypeText {
			cut = true
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(p.name)
		if p.opt {
			b.WriteString("?")
		}
		b.WriteString(": ")
		writeType(b, p.typ)
	}
	if cut {
		b.WriteString(", …")
	}
	b.WriteString("}")
}
