// Package meter rewrites a WASM module so that it comes back to its host every
// so many turns, whatever it does: a private counter goes down at each function's
// entry, at each turn of a loop and with each bulk operation's length.
//
// It trusts package scan for the module's shape and the compiler for its types.
// Its one rule: nothing but the time that it takes changes for the guest.
package meter

import (
	"encoding/binary"

	"github.com/tappet-dev/tappet/plugins/wasm/scan"
	"github.com/tappet-dev/tappet/sdk"
)

// Options say how a module is metered. A zero field means its default.
type Options struct {
	// Module and Name are the import that a visit calls, with four zeros; its
	// type is (i32 i32 i32 i32) → i32 and its result is dropped.
	Module, Name string
	// Turns is how many turns pass between two visits: 20,000.
	Turns int32
	// Size is the most bytes of all functions' code once it is rewritten: four
	// times what it was, and 256 KiB.
	Size int
}

const (
	// DefaultTurns is what Options.Turns means when it is 0.
	DefaultTurns = 20_000
	// straight is how many bytes of code count as one turn more: no loop and no
	// function does much between two counts.
	straight = 512
	// filled and moved are, as powers of two, the bytes and the elements that a
	// bulk operation does in a turn.
	filled = 8
	moved  = 4
)

// Rewrite gives the module with its meter. An error is an *sdk.Error.
func Rewrite(m *scan.Module, o Options) ([]byte, error) {
	if o.Turns <= 0 {
		o.Turns = DefaultTurns
	}
	w := &writer{module: m, options: o, visit: -1}
	for i, f := range m.Imports {
		if f.Module != o.Module || f.Name != o.Name {
			continue
		}
		t := m.Types[f.Type]
		if string(t.Params) != "\x7f\x7f\x7f\x7f" || string(t.Results) != "\x7f" {
			return nil, sdk.Errorf(sdk.Invalid, "the module imports %s.%s with another type than (i32 i32 i32 i32) → i32", o.Module, o.Name)
		}
		w.visit = i
		break
	}
	if w.visit < 0 {
		return nil, sdk.Errorf(sdk.Invalid, "the module does not import %s.%s", o.Module, o.Name)
	}
	w.counter = binary.AppendUvarint(nil, uint64(m.Globals))
	bodies := make([][]byte, 0, len(m.Functions))
	size, was := 0, 0
	err := m.Code(func(i int, body []byte) error {
		b, err := w.function(m.Function(len(m.Imports)+i), body)
		size, was = size+len(b), was+len(body)
		if limit := o.limit(was); err == nil && size > limit {
			err = sdk.Errorf(sdk.TooLarge, "the module's loops make its metered code larger than %d bytes", limit)
		}
		bodies = append(bodies, b)
		return err
	})
	if err != nil {
		return nil, err
	}
	return m.Bytes(bodies, o.Turns), nil
}

// limit is the most bytes of code that had so many.
func (o *Options) limit(was int) int {
	if o.Size > 0 {
		return o.Size
	}
	return 4*was + 256<<10
}

type writer struct {
	module  *scan.Module
	options Options
	visit   int    // the function that a visit calls
	counter []byte // the counter's index
}

// A mark is a place where a function counts.
type mark struct {
	at    int // of the bytes before it
	bulk  bool
	table bool
	turns int32 // unless bulk
}

// function rewrites one body.
func (w *writer) function(t *scan.Type, body []byte) ([]byte, error) {
	r := scan.NewReader(body, 0)
	groups := r.U32()
	first := r.At()
	locals := uint64(len(t.Params))
	for range groups {
		locals += uint64(r.U32())
		r.Byte()
	}
	from := r.At()
	marks, err := w.marks(r, body)
	if err != nil {
		return nil, err
	}
	// One local more keeps what is counted.
	scratch := binary.AppendUvarint(nil, locals)
	out := make([]byte, 0, len(body)+12+40*len(marks))
	out = binary.AppendUvarint(out, uint64(groups)+1)
	out = append(append(out, body[first:from]...), 1, 0x7f)
	for _, k := range marks {
		out = append(out, body[from:k.at]...)
		out = w.count(out, scratch, k)
		from = k.at
	}
	return append(out, body[from:]...), nil
}

// marks finds where a function counts: at its entry, inside each loop's head
// and before each bulk operation.
func (w *writer) marks(r *scan.Reader, body []byte) ([]mark, error) {
	marks := []mark{{at: r.At(), turns: turns(len(body))}}
	open := []int{-1} // the marks of the open loops, -1 for other blocks
	for len(open) > 0 {
		at := r.At()
		in := r.Instruction(w.module)
		if err := r.Err(); err != nil {
			return nil, err
		}
		switch {
		case in.Op == scan.Loop:
			open = append(open, len(marks))
			marks = append(marks, mark{at: r.At()})
		case in.Op == scan.Block, in.Op == scan.If:
			open = append(open, -1)
		case in.Op == scan.End:
			if i := open[len(open)-1]; i >= 0 {
				marks[i].turns = turns(at - marks[i].at)
			}
			open = open[:len(open)-1]
		case in.Bulk:
			marks = append(marks, mark{at: at, bulk: true, table: in.Table})
		}
	}
	return marks, nil
}

func turns(bytes int) int32 { return int32(1 + bytes/straight) }

// count writes: take turns off the counter; if none are left, set it anew and
// visit. A bulk operation's length stays on the stack.
func (w *writer) count(b, scratch []byte, k mark) []byte {
	const (
		get, set             = 0x23, 0x24 // global
		localGet, tee        = 0x20, 0x22
		i32, sub, lessOrSame = 0x41, 0x6b, 0x4c
		shiftRight           = 0x76
	)
	if k.bulk {
		shift := int32(filled)
		if k.table {
			shift = moved
		}
		b = append(append(b, tee), scratch...)
		b = append(append(b, get), w.counter...)
		b = append(append(b, localGet), scratch...)
		b = append(scan.AppendInt32(append(b, i32), shift), shiftRight)
	} else {
		b = append(append(b, get), w.counter...)
		b = scan.AppendInt32(append(b, i32), k.turns)
	}
	b = append(append(append(b, sub), tee), scratch...)
	b = append(append(b, set), w.counter...)
	b = append(append(b, localGet), scratch...)
	b = append(b, i32, 0, lessOrSame, scan.If, 0x40)
	b = scan.AppendInt32(append(b, i32), w.options.Turns)
	b = append(append(b, set), w.counter...)
	b = append(b, i32, 0, i32, 0, i32, 0, i32, 0, scan.Call)
	b = binary.AppendUvarint(b, uint64(w.visit))
	return append(b, 0x1a, scan.End) // drop, end
}
