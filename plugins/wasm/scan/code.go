package scan

import "github.com/tappet-dev/tappet/sdk"

// Opcodes that mean something to a scan or a rewrite.
const (
	Block    = 0x02
	Loop     = 0x03
	If       = 0x04
	Else     = 0x05
	End      = 0x0b
	BrTable  = 0x0e
	Call     = 0x10
	LocalGet = 0x20
	LocalTee = 0x22
	Indirect = 0x11
	// Bulk is an instruction whose last operand says how much it works on.
	Bulk = 0xfc
)

// An Instruction is one instruction of a function.
type Instruction struct {
	Op byte
	// Bulk, with Op Bulk, says that its topmost operand is a length: of elements
	// of a table if Table, else of bytes.
	Bulk, Table bool
	// Index is the type of a block (-1: no type index), the function of a call,
	// the local of an instruction on one.
	Index int
	// Targets is how many targets a branch has.
	Targets int
}

// Instruction reads one instruction. It knows those of WebAssembly 2.0, what
// wazero compiles by default, and refuses those that make a table grow, which
// no limit on memory covers; it measures each as wazero's validation does.
func (r *Reader) Instruction(m *Module) Instruction {
	in := Instruction{Op: r.Byte(), Index: -1}
	switch op := in.Op; {
	case op == Block || op == Loop || op == If:
		in.Index = r.blockType(m)
	case op == End, op <= 0x01, op == Else, op == 0x0f, op == 0x1a, op == 0x1b, op == 0xd1, op >= 0x45 && op <= 0xc4:
	case op == 0x0c || op == 0x0d: // br, br_if
		in.Targets = 1
		r.U32()
	case op == BrTable:
		in.Targets = r.Count("targets of a branch", r.Left()) + 1
		for range in.Targets {
			if r.U32(); r.err != nil {
				break
			}
		}
	case op == Call, op == 0xd2: // call, ref.func
		in.Index = r.index("function", len(m.Imports)+len(m.Functions))
	case op == Indirect:
		r.index("type", len(m.Types))
		r.index("table", m.Tables)
	case op == 0x1c: // select with a type
		if r.Byte() != 1 {
			r.fail(sdk.Invalid, "a select has one type")
		}
		r.valueType()
	case op >= LocalGet && op <= LocalTee:
		in.Index = int(r.U32())
	case op == 0x23 || op == 0x24: // globals
		r.index("global", m.Globals)
	case op == 0x25 || op == 0x26: // table.get, table.set
		r.index("table", m.Tables)
	case op >= 0x28 && op <= 0x3e: // loads and stores
		r.U32()
		r.U32()
	case op == 0x3f || op == 0x40: // memory.size, memory.grow
		r.zero()
	case op == 0x41:
		r.signed(32)
	case op == 0x42:
		r.signed(64)
	case op == 0x43:
		r.Bytes(4)
	case op == 0x44:
		r.Bytes(8)
	case op == 0xd0: // ref.null
		if t := r.Byte(); t != 0x70 && t != 0x6f {
			r.fail(sdk.Invalid, "type %#x is no reference", t)
		}
	case op == Bulk:
		r.misc(m, &in)
	case op == 0xfd:
		r.vector()
	default:
		r.fail(sdk.Invalid, "instruction %#x is not one of WebAssembly 2.0", op)
	}
	return in
}

func (r *Reader) misc(m *Module, in *Instruction) {
	switch sub := r.U32(); sub {
	case 0, 1, 2, 3, 4, 5, 6, 7: // saturating truncations
	case 8: // memory.init
		in.Bulk = true
		r.U32()
		r.zero()
	case 9, 13: // data.drop, elem.drop
		r.U32()
	case 10: // memory.copy
		in.Bulk = true
		r.zero()
		r.zero()
	case 11: // memory.fill
		in.Bulk = true
		r.zero()
	case 12: // table.init
		in.Bulk, in.Table = true, true
		r.U32()
		r.index("table", m.Tables)
	case 14: // table.copy
		in.Bulk, in.Table = true, true
		r.index("table", m.Tables)
		r.index("table", m.Tables)
	case 15:
		r.fail(sdk.Invalid, "table.grow is not supported: the limit of memory doesn't cover tables")
	case 16: // table.size
		r.index("table", m.Tables)
	case 17: // table.fill
		in.Bulk, in.Table = true, true
		r.index("table", m.Tables)
	default:
		r.fail(sdk.Invalid, "instruction 0xfc %d is not one of WebAssembly 2.0", sub)
	}
}

// vector reads what follows 0xfd. wazero takes one byte for the instruction, and
// the 0x01 that ends those from 128 for an instruction that does nothing; so
// must this.
func (r *Reader) vector() {
	switch sub := r.Byte(); {
	case sub <= 11, sub == 92, sub == 93: // loads and stores
		r.U32()
		r.U32()
	case sub == 12, sub == 13: // constant, shuffle
		r.Bytes(16)
	case sub >= 21 && sub <= 34: // lanes
		r.Byte()
	case sub >= 84 && sub <= 91: // loads and stores of a lane
		r.U32()
		r.U32()
		r.Byte()
	}
}

func (r *Reader) zero() {
	if r.Byte() != 0 {
		r.fail(sdk.Invalid, "a reserved byte is not zero; more than one memory is not supported")
	}
}

func (r *Reader) index(what string, n int) int {
	i := r.U32()
	if uint64(i) >= uint64(n) {
		r.fail(sdk.Invalid, "%s %d is used, the module has %d", what, i, n)
		return 0
	}
	return int(i)
}

func (r *Reader) valueType() byte {
	t := r.Byte()
	switch t {
	case 0x7f, 0x7e, 0x7d, 0x7c, 0x7b, 0x70, 0x6f:
	default:
		r.fail(sdk.Invalid, "type %#x is not one of WebAssembly 2.0", t)
	}
	return t
}

// blockType gives the index of the block's type, or -1.
func (r *Reader) blockType(m *Module) int {
	t := r.signed(33)
	switch {
	case t >= 0 && t < int64(len(m.Types)):
		return int(t)
	case t == -64, t >= -5 && t < 0, t == -16, t == -17: // none, or the byte of a value type
	default:
		r.fail(sdk.Invalid, "a block has the unknown type %d", t)
	}
	return -1
}

// function scans one function's locals and instructions.
func (r *Reader) function(m *Module, f *Type, l *Limits) {
	locals := 0
	for range r.Count("groups of locals", l.Locals) {
		n := r.U32()
		r.valueType()
		if locals += int(min(n, 1<<30)); locals > l.Locals {
			r.fail(sdk.TooLarge, "a function has %d locals or more, %d are allowed", locals, l.Locals)
			return
		}
		if r.err != nil {
			return
		}
	}
	m.Most.Locals = max(m.Most.Locals, locals)
	// Each edge between blocks may carry each variable and the block's own values.
	variables, depth, work := 1+locals+len(f.Params)+len(f.Results), 1, 0
	for depth > 0 && r.err == nil {
		in := r.Instruction(m)
		switch in.Op {
		case Block, Loop, If:
			if depth++; depth > l.Depth {
				r.fail(sdk.TooLarge, "blocks nest deeper than %d", l.Depth)
			}
			m.Most.Depth = max(m.Most.Depth, depth)
			work += variables
			if in.Index >= 0 {
				t := &m.Types[in.Index]
				work += len(t.Params) + len(t.Results)
			}
		case Else:
			work += variables
		case LocalGet, LocalGet + 1, LocalTee:
			if n := len(f.Params) + locals; in.Index >= n {
				r.fail(sdk.Invalid, "local %d is used, the function has %d", in.Index, n)
			}
		case End:
			depth--
		default:
			work += in.Targets
		}
		if work > l.Work {
			r.fail(sdk.TooLarge, "locals × blocks of a function are more than %d", l.Work)
		}
	}
	m.Most.Work = max(m.Most.Work, work)
	if r.err == nil && r.Left() > 0 {
		r.fail(sdk.Invalid, "%d bytes follow a function's end", r.Left())
	}
}
