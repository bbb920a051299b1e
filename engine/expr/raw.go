package expr

import (
	"bytes"
	"encoding/json"
	"strconv"
	"sync/atomic"
	"unicode/utf16"
	"unicode/utf8"
)

// Raw is an object or a list of a JSON document that isn't decoded: a path
// walks its bytes, only the values it reaches are decoded, and a Raw that is
// written out is copied as it is, with its order, its spaces and all digits of
// its numbers. It may be shared by goroutines; its bytes must not change.
type Raw struct {
	b []byte
	// idx is made on first use, or shared with the document around it. Two
	// goroutines may make it at once: they make the same.
	idx atomic.Pointer[index]
	// at is the entry of idx that this is the value of, plus one; 0: idx is this
	// document's own.
	at int32
}

// NewRaw gives the document as a value: a *Raw, or the value itself when it is
// no object and no list. The document must have passed [CheckJSON]; it is kept,
// not copied.
func NewRaw(doc []byte) any {
	doc = bytes.Trim(doc, " \t\r\n")
	if len(doc) == 0 {
		return nil
	}
	if doc[0] == '{' || doc[0] == '[' {
		return &Raw{b: doc}
	}
	return scalar(doc)
}

// Bytes gives the JSON text. It must not be changed.
func (r *Raw) Bytes() []byte { return r.b }

const (
	// eagerMembers is how many members the first look at a document indexes
	// below its own: enough for the paths of an ordinary event to be found in
	// one pass, and a bound on what is indexed in vain.
	eagerMembers = 1024
	eagerDepth   = 8
	// memoSize is the size from which on a Raw's decoded form is kept for the
	// rest of the evaluation, and charged once.
	memoSize = 1024
)

// index is where the members of an object are, and those of the objects in it.
type index struct {
	// entries stand in the order of the document, a member's own members behind
	// it: one slice for all of them.
	entries []entry
	// kids are the objects and lists among the values.
	kids []Raw
}

// entry is one member; its offsets count from the beginning of the document.
type entry struct {
	// nameFrom, nameTo enclose the name without its quotes; from, to the value.
	// A negative nameTo, -nameTo, means that the name has escapes.
	nameFrom, nameTo, from, to int32
	// next is the entry behind the member's own members.
	next int32
	// kid is the value's place among the kids, -1 for what is neither an object
	// nor a list.
	kid int32
}

// memo is a Raw that this evaluation has already been charged for, and its
// decoded form once that was needed.
type memo struct {
	raw *Raw
	val any
}

func (r *Raw) isList() bool { return r.b[0] == '[' }

func (r *Raw) index() *index {
	if x := r.idx.Load(); x != nil {
		return x
	}
	// A look at the beginning tells how much there is to be found, about.
	head := r.b[:min(len(r.b), 2<<10)]
	x := &index{
		entries: make([]entry, 0, min(32, 1+bytes.Count(head, []byte{':'}))),
		kids:    make([]Raw, 0, min(8, bytes.Count(head, []byte{'{'})+bytes.Count(head, []byte{'['})-1)),
	}
	x.object(r.b, 0, 0)
	for i := range x.entries {
		m := &x.entries[i]
		if m.kid < 0 {
			continue
		}
		kid := &x.kids[m.kid]
		kid.b = r.b[m.from:m.to]
		if kid.at != 0 {
			kid.idx.Store(x)
		}
	}
	r.idx.Store(x)
	return x
}

// object finds the members of the object that begins at b[i] and gives its end.
// Objects inside it are indexed in the same pass while there are few.
func (x *index) object(b []byte, i, depth int) int {
	i = skipSpace(b, i+1)
	for b[i] != '}' {
		to := skipString(b, i)
		m := entry{nameFrom: int32(i + 1), nameTo: int32(to - 1), kid: -1}
		if bytes.IndexByte(b[i+1:to-1], '\\') >= 0 {
			m.nameTo = -m.nameTo
		}
		v := skipSpace(b, skipSpace(b, to)+1)
		at := len(x.entries)
		end := 0
		switch {
		case b[v] == '{' && at < eagerMembers && depth < eagerDepth:
			m.kid = int32(len(x.kids))
			x.kids = append(x.kids, Raw{at: int32(at + 1)})
			x.entries = append(x.entries, m)
			end = x.object(b, v, depth+1)
		case b[v] == '{' || b[v] == '[':
			m.kid = int32(len(x.kids))
			x.kids = append(x.kids, Raw{})
			x.entries = append(x.entries, m)
			end = skipValue(b, v)
		default:
			x.entries = append(x.entries, m)
			end = skipValue(b, v)
		}
		e := &x.entries[at]
		e.from, e.to, e.next = int32(v), int32(end), int32(len(x.entries))
		i = skipSpace(b, end)
		if b[i] == ',' {
			i = skipSpace(b, i+1)
		}
	}
	return i + 1
}

// members are the entries of an object: the first, and the one behind the last.
func (x *index) members(r *Raw) (from, to int32) {
	if r.at == 0 {
		return 0, int32(len(x.entries))
	}
	return r.at, x.entries[r.at-1].next
}

// base is where the entries' offsets count from, in the bytes of r.
func (x *index) base(r *Raw) int32 {
	if r.at == 0 {
		return 0
	}
	return x.entries[r.at-1].from
}

// key is the name of a member as it is written, and whether it has escapes;
// base is that of r.
func (m *entry) key(r *Raw, base int32) (name []byte, escaped bool) {
	if m.nameTo < 0 {
		return r.b[m.nameFrom-base : -m.nameTo-base], true
	}
	return r.b[m.nameFrom-base : m.nameTo-base], false
}

func (m *entry) name(r *Raw, base int32) string {
	key, escaped := m.key(r, base)
	if escaped {
		return unescape(key)
	}
	return string(key)
}

// charge counts the index of r: once for a large one, each time for a small
// one, so that the count doesn't depend on who looked at r before.
func (f *frame) charge(r *Raw, members int) {
	if len(r.b) >= memoSize && f.remembered(r) == nil {
		f.step(len(r.b) / 256)
		f.alloc(members * 32)
		f.remember(r, nil)
	}
	f.step(1 + members/8)
}

func (f *frame) remembered(r *Raw) *memo {
	for i := range f.memo {
		if f.memo[i].raw == r {
			return &f.memo[i]
		}
	}
	if v, ok := f.memoMap[r]; ok {
		return &memo{r, v}
	}
	return nil
}

func (f *frame) remember(r *Raw, v any) {
	for i := range f.memo {
		if f.memo[i].raw == r {
			f.memo[i].val = v
			return
		}
	}
	if len(f.memo) < len(f.memoBuf) {
		f.memo = append(f.memo, memo{r, v})
		return
	}
	if f.memoMap == nil {
		f.memoMap = make(map[*Raw]any)
	}
	f.memoMap[r] = v
}

// get finds one member; of several with one name it gives the last.
func (f *frame) get(r *Raw, name string) any {
	if r.isList() {
		f.fail("a list has no field %s", clip(name))
	}
	x := r.index()
	base := x.base(r)
	var found *entry
	members := 0
	for i, end := x.members(r); i < end; {
		m := &x.entries[i]
		i = m.next
		members++
		if key, escaped := m.key(r, base); !escaped && string(key) == name || escaped && unescape(key) == name {
			found = m
		}
	}
	f.charge(r, members)
	switch {
	case found == nil:
		return nil
	case found.kid >= 0:
		return &x.kids[found.kid]
	}
	return f.scalar(r.b[found.from-base : found.to-base])
}

// open decodes one level: a list of items or a map of members. What is inside
// stays raw.
func (f *frame) open(r *Raw) any {
	if len(r.b) < memoSize {
		return f.openLevel(r)
	}
	if m := f.remembered(r); m != nil && m.val != nil {
		return m.val
	}
	v := f.openLevel(r)
	f.remember(r, v)
	return v
}

func (f *frame) openLevel(r *Raw) any {
	if r.isList() {
		return f.items(r.b)
	}
	x := r.index()
	base := x.base(r)
	members := 0
	for i, end := x.members(r); i < end; i = x.entries[i].next {
		members++
	}
	f.charge(r, members)
	f.alloc(48 + members*80)
	out := make(map[string]any, members)
	for i, end := x.members(r); i < end; {
		m := &x.entries[i]
		i = m.next
		if m.kid >= 0 {
			out[m.name(r, base)] = &x.kids[m.kid]
		} else {
			out[m.name(r, base)] = f.scalar(r.b[m.from-base : m.to-base])
		}
	}
	return out
}

func (f *frame) items(b []byte) []any {
	out := []any{}
	f.step(len(b) / 256)
	i := skipSpace(b, 1)
	for b[i] != ']' {
		end := skipValue(b, i)
		f.alloc(64)
		if b[i] == '{' || b[i] == '[' {
			out = append(out, &Raw{b: b[i:end]})
		} else {
			out = append(out, f.scalar(b[i:end]))
		}
		i = skipSpace(b, end)
		if b[i] == ',' {
			i = skipSpace(b, i+1)
		}
	}
	return out
}

// scalar decodes a value that is no object and no list.
func (f *frame) scalar(b []byte) any {
	if b[0] == '"' {
		f.alloc(len(b))
	}
	return scalar(b)
}

func scalar(b []byte) any {
	switch b[0] {
	case '"':
		return unescape(b[1 : len(b)-1])
	case 't':
		return true
	case 'f':
		return false
	case 'n':
		return nil
	}
	return number(b)
}

// number decodes a JSON number: to an int or a float64 when that prints as the
// same digits again, else to a json.Number, which keeps them.
func number(b []byte) any {
	digits, dot := 0, false
	for _, c := range b {
		switch {
		case c >= '0' && c <= '9':
			digits++
		case c == '.':
			dot = true
		case c == 'e' || c == 'E':
			return json.Number(b)
		}
	}
	if !dot {
		if n, err := strconv.Atoi(string(b)); err == nil && (n != 0 || b[0] != '-') {
			return n
		}
		return json.Number(b)
	}
	// A float64 holds 15 digits exactly; tiny ones print with an exponent.
	if digits > 15 || b[len(b)-1] == '0' || bytes.HasPrefix(bytes.TrimPrefix(b, []byte("-")), []byte("0.000000")) {
		return json.Number(b)
	}
	x, err := strconv.ParseFloat(string(b), 64)
	if err != nil {
		return json.Number(b)
	}
	return x
}

// unescape decodes the inside of a JSON string. A half of a surrogate pair
// becomes U+FFFD.
func unescape(b []byte) string {
	i := bytes.IndexByte(b, '\\')
	if i < 0 {
		return string(b)
	}
	out := make([]byte, 0, len(b))
	for {
		out = append(out, b[:i]...)
		c := b[i+1]
		b = b[i+2:]
		switch c {
		case 'b':
			out = append(out, '\b')
		case 'f':
			out = append(out, '\f')
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		case 'u':
			r := hex4(b)
			b = b[4:]
			if utf16.IsSurrogate(r) {
				pair := utf8.RuneError
				if len(b) >= 6 && b[0] == '\\' && b[1] == 'u' {
					pair = utf16.DecodeRune(r, hex4(b[2:]))
				}
				if pair != utf8.RuneError {
					b = b[6:]
				}
				r = pair
			}
			out = utf8.AppendRune(out, r)
		default:
			out = append(out, c)
		}
		if i = bytes.IndexByte(b, '\\'); i < 0 {
			return string(append(out, b...))
		}
	}
}

func hex4(b []byte) rune {
	var r rune
	for _, c := range b[:4] {
		switch {
		case c <= '9':
			c -= '0'
		default:
			c = c | 0x20 - 'a' + 10
		}
		r = r<<4 | rune(c)
	}
	return r
}

// skipString gives the end of the string that begins at b[i].
func skipString(b []byte, i int) int {
	// Most strings are short: the first bytes are looked at one by one.
	for end := i + 24; i < end; {
		i++
		switch b[i] {
		case '"':
			return i + 1
		case '\\':
			i++
		}
	}
	for i++; ; {
		i += bytes.IndexByte(b[i:], '"')
		k := i - 1
		for b[k] == '\\' {
			k--
		}
		i++
		if (i-k)&1 == 0 { // an even number of backslashes before the quote
			return i
		}
	}
}

// skipValue gives the end of the value that begins at b[i].
func skipValue(b []byte, i int) int {
	switch b[i] {
	case '"':
		return skipString(b, i)
	case '{', '[':
		// '[' and '{', and ']' and '}', differ in the bit 0x20 alone.
		for depth := 0; ; i++ {
			switch c := b[i]; {
			case c == '"':
				i = skipString(b, i) - 1
			case c|0x20 == '{':
				depth++
			case c|0x20 == '}':
				if depth--; depth == 0 {
					return i + 1
				}
			}
		}
	}
	for i < len(b) {
		switch b[i] {
		case ',', '}', ']', ' ', '\n', '\t', '\r':
			return i
		}
		i++
	}
	return i
}
