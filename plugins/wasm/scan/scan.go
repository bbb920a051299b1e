// Package scan looks a WASM module over before anything compiles it: every
// count against the bytes that are left and against a limit, every instruction
// by its length.
//
// It doesn't validate types: the compiler does. Its one rule: what it accepts
// costs a decoder, and the compiler, no more than its limits say.
package scan

import (
	"encoding/binary"
	"unicode/utf8"

	"github.com/tappet-dev/tappet/sdk"
)

// Limits bound what a module may hold. A zero field means its default.
type Limits struct {
	// Functions is the most functions of a module: 200,000.
	Functions int
	// Body is the most bytes of one function: 4 MiB.
	Body int
	// Locals is the most locals of one function, parameters apart: 4,000.
	Locals int
	// Work is the most of locals × blocks of one function, what compiling it
	// costs memory: 2,000,000.
	Work int
	// Depth is how deep blocks may nest: 5,000.
	Depth int
	// Table is the most elements of the table, and of all its segments: 1,000,000.
	Table int
	// Memory is the most bytes of memory that a module may begin with: 64 MiB.
	Memory int
	// Items is the most types, imports, exports, globals or segments: 100,000
	// each.
	Items int
	// Values is the most parameters or results of a type: 1,000.
	Values int
}

func (l Limits) orDefaults() Limits {
	set := func(v *int, to int) {
		if *v <= 0 {
			*v = to
		}
	}
	set(&l.Functions, 200_000)
	set(&l.Body, 4<<20)
	set(&l.Locals, 4_000)
	set(&l.Work, 2_000_000)
	set(&l.Depth, 5_000)
	set(&l.Table, 1_000_000)
	set(&l.Memory, 64<<20)
	set(&l.Items, 100_000)
	set(&l.Values, 1_000)
	return l
}

// The sections of a module.
const (
	custom = iota
	types
	imports
	functions
	table
	memory
	globals
	exports
	start
	elements
	code
	data
	dataCount
	sections
)

// order is how the sections stand in a module.
var order = [...]byte{types, imports, functions, table, memory, globals, exports, start, elements, dataCount, code, data}

// A Module is what a scan found. Its bytes are those of the scanned module.
type Module struct {
	Types     []Type
	Imports   []Import // functions: nothing else may be imported
	Functions []int    // the types of the module's own
	Tables    int
	Memories  int
	Globals   int
	Exports   []Export
	// Most is the most that a function has.
	Most struct{ Body, Locals, Work, Depth int }

	bodies [sections][]byte
	bases  [sections]int
	has    [sections]bool
}

// A Type is a function's type; each byte is a value's.
type Type struct{ Params, Results []byte }

// An Import is a function that the module wants.
type Import struct {
	Module, Name string
	Type         int
}

// Kinds of what is exported.
const (
	ExportFunction = 0
	ExportTable    = 1
	ExportMemory   = 2
	ExportGlobal   = 3
)

// An Export is what the module gives.
type Export struct {
	Name  string
	Kind  byte
	Index int
}

// Magic begins every module.
const Magic = "\x00asm\x01\x00\x00\x00"

// Parse scans a module. An error is an *sdk.Error of kind invalid or too_large
// that says where and what.
func Parse(module []byte, limits Limits) (*Module, error) {
	l := limits.orDefaults()
	if len(module) < len(Magic) || string(module[:len(Magic)]) != Magic {
		return nil, sdk.Errorf(sdk.Invalid, "not a core module of WebAssembly version 1")
	}
	m := &Module{}
	r := NewReader(module[len(Magic):], len(Magic))
	place := 0
	for r.Left() > 0 {
		id := r.Byte()
		body := r.Bytes(r.U32())
		if r.err != nil {
			break
		}
		if id == custom {
			continue // names and debug information, which a decoder needn't see
		}
		for place < len(order) && order[place] != id {
			place++
		}
		if place == len(order) {
			r.fail(sdk.Invalid, "section %d is unknown, comes twice or stands in the wrong place", id)
			break
		}
		place++
		m.bodies[id], m.bases[id], m.has[id] = body, len(Magic)+r.at-len(body), true
	}
	if r.err != nil {
		return nil, r.err
	}
	// The code is scanned last: it may name what stands behind it.
	for _, id := range []byte{types, imports, functions, table, memory, globals, exports, start, elements, dataCount, data, code} {
		if !m.has[id] {
			continue
		}
		s := m.section(id)
		m.scan(s, id, &l)
		if s.err == nil && s.Left() > 0 {
			s.fail(sdk.Invalid, "section %d has %d bytes too many", id, s.Left())
		}
		if s.err != nil {
			return nil, s.err
		}
	}
	if len(m.Functions) > 0 && !m.has[code] {
		return nil, sdk.Errorf(sdk.Invalid, "%d functions are announced, the module has no code", len(m.Functions))
	}
	return m, nil
}

func (m *Module) section(id byte) *Reader { return NewReader(m.bodies[id], m.bases[id]) }

func (m *Module) scan(r *Reader, id byte, l *Limits) {
	switch id {
	case types:
		m.types(r, l)
	case imports:
		m.imports(r, l)
	case functions:
		n := r.Count("functions", l.Functions)
		m.Functions = make([]int, n)
		for i := range m.Functions {
			m.Functions[i] = r.index("type", len(m.Types))
		}
	case table:
		if m.Tables = r.Count("tables", 1); m.Tables > 0 {
			if t := r.Byte(); t != 0x70 && t != 0x6f {
				r.fail(sdk.Invalid, "type %#x is no table's", t)
			}
			if n := r.limits(); uint64(n) > uint64(l.Table) {
				r.fail(sdk.TooLarge, "the table begins with %d elements, %d are allowed", n, l.Table)
			}
		}
	case memory:
		if m.Memories = r.Count("memories", 1); m.Memories > 0 {
			if n := uint64(r.limits()) << 16; n > uint64(l.Memory) {
				r.fail(sdk.TooLarge, "the memory begins with %d bytes, %d are allowed", n, l.Memory)
			}
		}
	case globals:
		m.Globals = r.Count("globals", l.Items)
		for range m.Globals {
			r.valueType()
			if r.Byte() > 1 {
				r.fail(sdk.Invalid, "a global is mutable or not")
			}
			m.expression(r)
		}
	case exports:
		m.exports(r, l)
	case start:
		r.index("function", len(m.Imports)+len(m.Functions))
	case elements:
		m.elements(r, l)
	case dataCount:
		r.U32()
	case data:
		for range r.Count("segments of data", l.Items) {
			switch r.U32() {
			case 0:
				m.expression(r)
			case 1:
			case 2:
				r.zero()
				m.expression(r)
			default:
				r.fail(sdk.Invalid, "a segment of data has an unknown form")
			}
			r.Bytes(r.U32())
		}
	case code:
		m.code(r, l)
	}
}

func (m *Module) types(r *Reader, l *Limits) {
	n := r.Count("types", l.Items)
	m.Types = make([]Type, 0, n)
	for range n {
		if f := r.Byte(); f != 0x60 {
			r.fail(sdk.Invalid, "type %#x is not one of WebAssembly 2.0", f)
		}
		var t Type
		for _, list := range []*[]byte{&t.Params, &t.Results} {
			k := r.Count("values of a type", l.Values)
			at := r.at
			for range k {
				r.valueType()
			}
			*list = r.b[at:r.at]
		}
		if r.err != nil {
			return
		}
		m.Types = append(m.Types, t)
	}
}

func (m *Module) imports(r *Reader, l *Limits) {
	for range r.Count("imports", l.Items) {
		i := Import{Module: r.name(), Name: r.name()}
		if kind := r.Byte(); kind != 0 && r.err == nil {
			what := "something unknown"
			if kind <= 3 {
				what = [...]string{"", "a table", "a memory", "a global"}[kind]
			}
			r.fail(sdk.Invalid, "the module imports %s, %q.%q; it has to bring its own", what, i.Module, i.Name)
		}
		i.Type = r.index("type", len(m.Types))
		if r.err != nil {
			return
		}
		m.Imports = append(m.Imports, i)
	}
}

func (m *Module) exports(r *Reader, l *Limits) {
	for range r.Count("exports", l.Items) {
		e := Export{Name: r.name(), Kind: r.Byte()}
		switch e.Kind {
		case ExportFunction:
			e.Index = r.index("function", len(m.Imports)+len(m.Functions))
		case ExportTable:
			e.Index = r.index("table", m.Tables)
		case ExportMemory:
			e.Index = r.index("memory", m.Memories)
		case ExportGlobal:
			e.Index = r.index("global", m.Globals)
		default:
			r.fail(sdk.Invalid, "an export has the unknown kind %d", e.Kind)
		}
		if r.err != nil {
			return
		}
		m.Exports = append(m.Exports, e)
	}
}

// Export gives what the module exports under a name.
func (m *Module) Export(name string, kind byte) (Export, bool) {
	for _, e := range m.Exports {
		if e.Name == name && e.Kind == kind {
			return e, true
		}
	}
	return Export{}, false
}

// Function gives the type of function i, imports first.
func (m *Module) Function(i int) *Type {
	if i < len(m.Imports) {
		return &m.Types[m.Imports[i].Type]
	}
	return &m.Types[m.Functions[i-len(m.Imports)]]
}

func (m *Module) elements(r *Reader, l *Limits) {
	all := 0
	for range r.Count("segments of the table", l.Items) {
		form := r.U32()
		if form > 7 {
			r.fail(sdk.Invalid, "a segment of the table has an unknown form")
		}
		active, exprs := form&1 == 0, form&4 != 0
		if form == 2 || form == 6 {
			r.index("table", m.Tables)
		}
		if active {
			m.expression(r)
		}
		if form&3 != 0 {
			if t := r.Byte(); exprs && t != 0x70 && t != 0x6f || !exprs && t != 0 {
				r.fail(sdk.Invalid, "a segment of the table has the unknown type %#x", t)
			}
		}
		n := r.Count("elements", l.Table)
		if all += n; all > l.Table {
			r.fail(sdk.TooLarge, "the segments of the table have more than %d elements", l.Table)
		}
		for range n {
			if exprs {
				m.expression(r)
			} else {
				r.index("function", len(m.Imports)+len(m.Functions))
			}
			if r.err != nil {
				return
			}
		}
		if r.err != nil {
			return
		}
	}
}

func (m *Module) code(r *Reader, l *Limits) {
	n := r.Count("functions' code", l.Functions)
	if r.err == nil && n != len(m.Functions) {
		r.fail(sdk.Invalid, "%d functions are announced, %d have code", len(m.Functions), n)
	}
	for i := range n {
		size := r.U32()
		if r.err == nil && uint64(size) > uint64(l.Body) {
			r.fail(sdk.TooLarge, "a function has %d bytes, %d are allowed", size, l.Body)
		}
		at := r.base + r.at
		f := NewReader(r.Bytes(size), at)
		if r.err != nil {
			return
		}
		m.Most.Body = max(m.Most.Body, int(size))
		if f.function(m, m.Function(len(m.Imports)+i), l); f.err != nil {
			r.err = f.err
			return
		}
	}
}

// expression scans a constant.
func (m *Module) expression(r *Reader) {
	switch op := r.Byte(); op {
	case 0x41:
		r.signed(32)
	case 0x42:
		r.signed(64)
	case 0x43:
		r.Bytes(4)
	case 0x44:
		r.Bytes(8)
	case 0xd0:
		if t := r.Byte(); t != 0x70 && t != 0x6f {
			r.fail(sdk.Invalid, "type %#x is no reference", t)
		}
	case 0xd2:
		r.index("function", len(m.Imports)+len(m.Functions))
	case 0xfd:
		if r.Byte() != 12 {
			r.fail(sdk.Invalid, "an expression is not constant")
		}
		r.Bytes(16)
	default:
		// global.get is for imported globals, and there are none.
		r.fail(sdk.Invalid, "an expression is not constant: instruction %#x", op)
	}
	if r.Byte() != End {
		r.fail(sdk.Invalid, "an expression has more than one instruction")
	}
}

// limits reads the sizes of a table or memory and gives the first.
func (r *Reader) limits() uint32 {
	form, n := r.Byte(), r.U32()
	switch form {
	case 0:
	case 1:
		r.U32()
	default:
		r.fail(sdk.Invalid, "a table or memory has the unknown form %d", form)
	}
	return n
}

func (r *Reader) name() string {
	b := r.Bytes(r.U32())
	if !utf8.Valid(b) {
		r.fail(sdk.Invalid, "a name is not valid UTF-8")
	}
	return string(b)
}

// Code gives the functions' code in turn: what precedes the instructions
// belongs to it.
func (m *Module) Code(each func(i int, body []byte) error) error {
	r := m.section(code)
	if !m.has[code] {
		return nil
	}
	for i := range r.Count("functions' code", len(m.Functions)) {
		if err := each(i, r.Bytes(r.U32())); err != nil {
			return err
		}
	}
	return r.err
}

// Global gives the globals' section without its count.
func (m *Module) global() []byte {
	r := m.section(globals)
	if m.has[globals] {
		r.U32()
	}
	return r.b[r.at:]
}

// Bytes writes the module again without its custom sections. With bodies not nil
// it has those functions for its own, each with its size, and one global more:
// a mutable i32 that begins as counter.
func (m *Module) Bytes(bodies [][]byte, counter int32) []byte {
	out := []byte(Magic)
	for _, id := range order {
		body, has := m.bodies[id], m.has[id]
		switch {
		case bodies == nil:
		case id == globals:
			has = true
			body = append(binary.AppendUvarint(nil, uint64(m.Globals+1)), m.global()...)
			body = append(AppendInt32(append(body, 0x7f, 1, 0x41), counter), End)
		case id == code && has:
			n := 5
			for _, f := range bodies {
				n += len(f) + 5
			}
			body = binary.AppendUvarint(make([]byte, 0, n), uint64(len(bodies)))
			for _, f := range bodies {
				body = append(binary.AppendUvarint(body, uint64(len(f))), f...)
			}
		}
		if has {
			out = append(binary.AppendUvarint(append(out, id), uint64(len(body))), body...)
		}
	}
	return out
}

// AppendInt32 writes a signed number as modules do.
func AppendInt32(b []byte, v int32) []byte {
	for {
		c := byte(v & 0x7f)
		v >>= 7
		if v == 0 && c&0x40 == 0 || v == -1 && c&0x40 != 0 {
			return append(b, c)
		}
		b = append(b, c|0x80)
	}
}
