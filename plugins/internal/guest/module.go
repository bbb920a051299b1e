package guest

import (
	"bytes"
	"encoding/binary"
	"maps"
	"slices"
)

// A Module is a WASM module that a test makes by hand: a plugin by its face, of
// which each part may be replaced. Function 0 is tappet_1.swap, 1 is _start.
type Module struct {
	// Start is the code of _start behind its locals; nil returns at once.
	Start []byte
	// Locals are the locals of _start, as a module has them; nil is none.
	Locals []byte
	// More are further functions of type () → (), from index 2 on, with locals.
	More [][]byte
	// Data are the segments of data; nil is Frames.
	Data []string
	// Sections replace whole sections by their id; nil leaves one out.
	Sections map[byte][]byte
}

// Ready is code that says with swap that the plugin is ready and leaves on the
// stack how many bytes the first call's frame has.
const Ready = "\x41\x00\x41\x04\x41\x10\x41\x80\x10\x10\x00"

// Return is code that ends a call with an empty return and leaves the next
// call's length on the stack.
const Return = "\x41\x08\x41\x02\x41\x10\x41\x80\x10\x10\x00"

// Vector writes a vector of items.
func Vector(items ...string) []byte {
	b := binary.AppendUvarint(nil, uint64(len(items)))
	for _, i := range items {
		b = append(b, i...)
	}
	return b
}

// Name writes a string with its length.
func Name(s string) string { return string(binary.AppendUvarint(nil, uint64(len(s)))) + s }

// Frames are the segments of data with the frames of Ready, at 0 and with its ABI,
// and Return, at 8, or those of Data.
func (m Module) Frames() []string {
	if m.Data != nil {
		return slices.Clone(m.Data)
	}
	return []string{"\x00\x41\x00\x0b" + Name("\x08\x40\x10\x01"), "\x00\x41\x08\x0b" + Name("\x08\x41")}
}

// Bytes writes the module.
func (m Module) Bytes() []byte {
	functions, code := []string{"\x00"}, []string{Name(string(slices.Concat(orEmpty(m.Locals), m.Start, []byte{0x0b})))}
	for _, f := range m.More {
		functions = append(functions, "\x00")
		code = append(code, Name(string(f)))
	}
	sections := map[byte][]byte{
		// 0 is () → (), 1 that of swap, fd_write and poll_oneoff, 2 that of random_get.
		1:  Vector("\x60\x00\x00", "\x60\x04\x7f\x7f\x7f\x7f\x01\x7f", "\x60\x02\x7f\x7f\x01\x7f"),
		2:  Vector(Name("tappet_1") + Name("swap") + "\x00\x01"),
		3:  Vector(functions...),
		5:  Vector("\x00\x02"),
		7:  Vector(Name("memory")+"\x02\x00", Name("_start")+"\x00\x01"),
		10: Vector(code...),
		11: Vector(m.Frames()...),
	}
	maps.Copy(sections, m.Sections)
	out := []byte("\x00asm\x01\x00\x00\x00")
	for _, id := range []byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 10, 11} {
		if body := sections[id]; body != nil {
			out = append(binary.AppendUvarint(append(out, id), uint64(len(body))), body...)
		}
	}
	return out
}

func orEmpty(b []byte) []byte {
	if b == nil {
		return []byte{0}
	}
	return b
}

// Function writes a function's code behind its locals, without them.
func Function(code string) []byte { return slices.Concat([]byte{0}, []byte(code), []byte{0x0b}) }

// Repeat gives code n times.
func Repeat(code string, n int) []byte { return bytes.Repeat([]byte(code), n) }
