// Package hostile is a corpus of WASM modules that are meant to hurt, several for
// each class, and what each has to end in.
//
// It is for tests alone. Its one rule: a module is made by hand and small, so that
// what it does can be read here.
package hostile

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/tappet-dev/tappet/plugins/internal/guest"
	"github.com/tappet-dev/tappet/sdk"
)

// A Module is one of the corpus.
type Module struct {
	Class, Name string
	Bytes       []byte `json:"-"`
	// Plugin is the same as a plugin whose spec is Spec and which does its harm in
	// a call of any part; nil for what is refused before its first call.
	Plugin []byte `json:"-"`
	// Kind and Text are of the error that it ends in: at its loading, its first
	// call or, of Plugin, in its call.
	Kind sdk.Kind
	Text string
}

// Spec is what each Module.Plugin tells of itself.
const Spec = `{"name":"hostile","version":"1.0.0","actions":[{"name":"act"}],"triggers":[{"name":"tick","kind":"poll"},{"name":"flow","kind":"stream"}]}`

// u is a number as modules have it.
func u(n uint64) string { return string(binary.AppendUvarint(nil, n)) }

// Calling is a module whose first call runs code.
func Calling(code string) guest.Module {
	return guest.Module{Start: []byte(begun + code)}
}

// with gives the module with a section replaced.
func with(m guest.Module, id byte, body []byte) guest.Module {
	if m.Sections == nil {
		m.Sections = map[byte][]byte{}
	}
	m.Sections[id] = body
	return m
}

// importing is a plugin that imports a function of the system interface more:
// swap is 0, the other 1, _start 2.
func importing(name, typ, code string) guest.Module {
	m := Calling(code)
	m = with(m, 2, guest.Vector(guest.Name("tappet_1")+guest.Name("swap")+"\x00\x01", guest.Name("wasi_snapshot_preview1")+guest.Name(name)+"\x00"+typ))
	return with(m, 7, guest.Vector(guest.Name("memory")+"\x02\x00", guest.Name("_start")+"\x00\x02"))
}

// s is a signed number as modules have it; n isn't negative.
func s(n int) (out string) {
	for {
		b := byte(n & 0x7f)
		if n >>= 7; n == 0 && b&0x40 == 0 {
			return out + string([]byte{b})
		}
		out += string([]byte{b | 0x80})
	}
}

// begun is how the code of Calling begins.
const begun = guest.Ready + "\x1a"

// described gives a plugin that answers each describe with Spec, and any other call
// with the code of m; nil if m isn't made by Calling.
func described(m guest.Module) []byte {
	code, ok := strings.CutPrefix(string(m.Start), begun)
	if !ok || m.Sections[11] != nil {
		return nil
	}
	const at = 8192
	frame := "\x08\x41\x10\x01\x4a" + u(uint64(len(Spec))) + Spec
	m.Data = append(m.Frames(), "\x00\x41"+s(at)+"\x0b"+guest.Name(frame))
	// While the op of the frame at 16 is that of describe, return the spec.
	m.Start = []byte(begun + "\x03\x40\x41\x00\x2d\x00\x11\x41\x01\x46\x04\x40\x41" + s(at) + "\x41" + s(len(frame)) +
		"\x41\x10\x41\x80\x10\x10\x00\x1a\x0c\x01\x0b" + code + "\x0b")
	return m.Bytes()
}

// Corpus gives the modules.
func Corpus() []Module {
	const (
		forever = "\x03\x40\x0c\x00\x0b" // loop br 0 end
		over    = "its instance was thrown away"
	)
	var all []Module
	add := func(class, name string, m guest.Module, kind sdk.Kind, text string) {
		h := Module{Class: class, Name: name, Bytes: m.Bytes(), Kind: kind, Text: text}
		if kind == sdk.Timeout || kind == sdk.Broken {
			h.Plugin = described(m)
		}
		all = append(all, h)
	}
	raw := func(class, name string, b []byte, kind sdk.Kind, text string) {
		all = append(all, Module{Class: class, Name: name, Bytes: b, Kind: kind, Text: text})
	}
	good := Calling("").Bytes()
	for _, n := range []int{9, len(good) / 2, len(good) - 1} {
		raw("malformed", fmt.Sprintf("cut at %d", n), good[:n], sdk.Invalid, "scan the module")
	}
	raw("malformed", "an unknown section", append(slices.Clone(good), 0x20, 0), sdk.Invalid, "section 32 is unknown")
	raw("malformed", "a section twice", append(slices.Clone(good), 11, 1, 0), sdk.Invalid, "comes twice")
	add("malformed", "an unknown instruction", Calling("\xff"), sdk.Invalid, "instruction 0xff")
	add("malformed", "a wrong type", Calling("\x42\x00\x45\x1a"), sdk.Invalid, "compile the module")
	add("malformed", "an empty stack", Calling("\x1a"), sdk.Invalid, "compile the module")
	add("malformed", "the meter's own local", Calling("\x20\x00\x1a"), sdk.Invalid, "local 0 is used")
	add("malformed", "the meter's own counter", Calling("\x23\x00\x1a"), sdk.Invalid, "global 0 is used")
	add("malformed", "the meter's own counter, exported", with(Calling(""), 7, guest.Vector(guest.Name("memory")+"\x02\x00", guest.Name("_start")+"\x00\x01", guest.Name("g")+"\x03\x00")), sdk.Invalid, "global 0 is used")

	for id, what := range map[byte]string{1: "types", 2: "imports", 3: "functions", 6: "globals", 7: "exports", 9: "segments of the table", 10: "functions' code", 11: "segments of data"} {
		add("lying counts", what, with(Calling(""), id, []byte(u(1<<32-1))), sdk.Invalid, "4294967295 "+what+" are announced")
	}
	add("lying counts", "a type's values", with(Calling(""), 1, []byte("\x01\x60"+u(1<<31))), sdk.Invalid, "2147483648 values")
	add("lying counts", "a name", with(Calling(""), 2, []byte("\x01"+u(1<<30))), sdk.Invalid, "1073741824 bytes are announced")
	add("lying counts", "a branch's targets", Calling("\x41\x00\x0e"+u(1<<32-1)), sdk.Invalid, "4294967295 targets")
	add("lying counts", "locals", guest.Module{Locals: []byte("\x01" + u(1<<32-1) + "\x7f")}, sdk.TooLarge, "4000 are allowed")
	add("lying counts", "locals in many groups", guest.Module{Locals: []byte(u(200) + strings.Repeat(u(100)+"\x7f", 200))}, sdk.TooLarge, "4000 are allowed")
	add("lying counts", "names of functions", with(guest.Module{}, 11, nil), sdk.Broken, "it returned")
	named := append(slices.Clone(good), 0)
	named = append(named, guest.Name(guest.Name("name")+"\x01"+"\x05"+u(1<<32-1))...)
	raw("lying counts", "names that nobody reads", named, sdk.Broken, "it returned")

	add("compile bombs", "locals × blocks", guest.Module{Locals: []byte("\x01" + u(3999) + "\x7f"), Start: guest.Repeat("\x02\x40\x0b", 1000)}, sdk.TooLarge, "locals × blocks")
	add("compile bombs", "nesting", guest.Module{Start: append(guest.Repeat("\x02\x40", 100_000), guest.Repeat("\x0b", 100_000)...)}, sdk.TooLarge, "nest deeper")
	add("compile bombs", "one large function", guest.Module{Start: guest.Repeat("\x41\x00\x1a", 2<<20)}, sdk.TooLarge, "a function has")
	add("compile bombs", "loops that the meter makes large", guest.Module{More: many(string(guest.Function(strings.Repeat("\x03\x40\x0b", 1000))), 1000)}, sdk.TooLarge, "metered code larger")
	add("compile bombs", "functions", with(guest.Module{}, 3, append([]byte(u(300_000)), make([]byte, 300_000)...)), sdk.TooLarge, "200000 are allowed")

	add("loops", "a plain one", Calling(forever), sdk.Timeout, over)
	add("loops", "one in a loop", Calling("\x03\x40\x03\x40\x0c\x01\x0b\x0b"), sdk.Timeout, over)
	add("loops", "by a table of branches", Calling("\x03\x40\x41\x07\x0e\x00\x00\x0b"), sdk.Timeout, over)
	add("loops", "calls of a short function", func() guest.Module {
		m := Calling("\x03\x40\x10\x02\x0c\x00\x0b")
		m.More = [][]byte{guest.Function("")}
		return m
	}(), sdk.Timeout, over)
	add("loops", "long straight code", Calling("\x03\x40"+strings.Repeat("\x41\x00\x40\x00\x1a", 100_000)+"\x0c\x00\x0b"), sdk.Timeout, over)
	add("loops", "before it is ready", guest.Module{Start: []byte(forever)}, sdk.Timeout, "not ready within")

	recursive := Calling("\x10\x02")
	recursive.More = [][]byte{guest.Function("\x10\x02")}
	add("recursion", "endless", recursive, sdk.Broken, "stack overflow")
	wide := Calling("\x10\x02")
	wide.More = [][]byte{[]byte("\x01" + u(1000) + "\x7e\x10\x02\x0b")}
	add("recursion", "with wide frames", wide, sdk.Broken, "stack overflow")
	mutual := Calling("\x10\x02")
	mutual.More = [][]byte{guest.Function("\x10\x03"), guest.Function("\x10\x02")}
	add("recursion", "of two", mutual, sdk.Broken, "stack overflow")

	add("tables", "one that begins large", with(Calling(""), 4, []byte("\x01\x70\x00"+u(100_000_000))), sdk.TooLarge, "the table begins with 100000000")
	add("tables", "two", with(Calling(""), 4, []byte("\x02\x70\x00\x01\x70\x00\x01")), sdk.TooLarge, "2 tables")
	add("tables", "growth", with(Calling("\xd0\x70\x41\x01\xfc\x0f\x00\x1a"), 4, []byte("\x01\x70\x00\x01")), sdk.Invalid, "table.grow is not supported")
	add("tables", "filled for ever", with(Calling("\x03\x40\x41\x00\xd0\x70\x41"+"\xc0\x84\x3d"+"\xfc\x11\x00\x0c\x00\x0b"), 4, []byte("\x01\x70\x00"+u(1_000_000))), sdk.Timeout, over)
	add("tables", "a call of nothing", with(Calling("\x41\x00\x11\x00\x00"), 4, []byte("\x01\x70\x00\x01")), sdk.Broken, "wasm error")

	add("memory", "one that begins large", with(Calling(""), 5, []byte("\x01\x00"+u(2000))), sdk.TooLarge, "the memory begins with 131072000")
	add("memory", "two", with(Calling(""), 5, []byte("\x02\x00\x01\x00\x01")), sdk.TooLarge, "2 memories")
	add("memory", "growth without end", Calling("\x03\x40\x41\x01\x40\x00\x1a\x0c\x00\x0b"), sdk.Timeout, over)
	add("memory", "beyond its end", Calling("\x41\x7f\x28\x02\x00\x1a"), sdk.Broken, "out of bounds memory access")
	add("memory", "filled for ever", Calling("\x41"+"\xe6\x07"+"\x40\x00\x1a\x03\x40\x41\x00\x41\x00\x41"+"\x80\x80\x80\x1e"+"\xfc\x0b\x00\x0c\x00\x0b"), sdk.Timeout, over)
	add("memory", "filled without a loop", Calling("\x41"+"\xe6\x07"+"\x40\x00\x1a"+strings.Repeat("\x41\x00\x41\x00\x41"+"\x80\x80\x80\x1e"+"\xfc\x0b\x00", 5_000)), sdk.Timeout, over)

	add("traps", "unreachable", Calling("\x00"), sdk.Broken, "unreachable")
	add("traps", "division by zero", Calling("\x41\x01\x41\x00\x6d\x1a"), sdk.Broken, "integer divide by zero")
	add("traps", "at the start", guest.Module{Start: []byte("\x00")}, sdk.Broken, "ended before it was ready")
	add("traps", "an end", Calling(""), sdk.Broken, "it returned")

	// What lies at 8 is the frame that the plugin returns, or asks with.
	holding := func(m guest.Module, frame string) guest.Module {
		m.Data = []string{m.Frames()[0], "\x00\x41\x08\x0b" + guest.Name(frame)}
		return m
	}
	frame := func(b string) guest.Module {
		return holding(Calling("\x41\x08\x41"+s(len(b))+"\x41\x10\x41\x80\x10\x10\x00\x1a"), b)
	}
	add("garbage frames", "an unknown op", frame("\x08\x3f"), sdk.Broken, "it returned")
	add("garbage frames", "a return that isn't whole", frame("\x08\x41\x4a\x7f"), sdk.Broken, "read the plugin's frame")
	add("garbage frames", "one of zeros", frame(strings.Repeat("\x00", 32)), sdk.Broken, "it returned")
	add("garbage frames", "no ready", with(Calling(""), 11, guest.Vector("\x00\x41\x00\x0b"+guest.Name("\x08\x41\x10\x01"))), sdk.Invalid, "first frame is not ready")
	add("garbage frames", "another version", with(Calling(""), 11, guest.Vector("\x00\x41\x00\x0b"+guest.Name("\x08\x40\x10\x63"))), sdk.Invalid, "version 99 of the conversation, this engine speaks 1; build it with a matching sdk")

	add("oversized frames", "more than a frame may be", Calling("\x41\x00\x41"+"\x81\x80\x80\x10"+"\x41\x10\x41\x08\x10\x00\x1a"), sdk.Broken, "a frame of 33554433 bytes")
	add("oversized frames", "beyond the memory", Calling("\x41\x00\x41"+"\x80\x80\x80\x01"+"\x41\x10\x41\x08\x10\x00\x1a"), sdk.Broken, "lies outside the memory")
	add("oversized frames", "a negative length", Calling("\x41\x00\x41\x7f\x41\x10\x41\x08\x10\x00\x1a"), sdk.Broken, "a frame of 4294967295 bytes")
	add("oversized frames", "a reply outside", guest.Module{Start: []byte("\x41\x00\x41\x04\x41\x7f\x41\x80\x10\x10\x00\x1a")}, sdk.Broken, "lies outside the memory")

	imports := func(s ...string) guest.Module {
		m := with(Calling(""), 2, guest.Vector(append([]string{guest.Name("tappet_1") + guest.Name("swap") + "\x00\x01"}, s...)...))
		return with(m, 7, guest.Vector(guest.Name("memory")+"\x02\x00", guest.Name("_start")+"\x00"+u(uint64(1+len(s)))))
	}
	add("wrong imports", "a function", imports(guest.Name("env")+guest.Name("system")+"\x00\x00"), sdk.Invalid, `"env"."system"`)
	add("wrong imports", "a memory", imports(guest.Name("env")+guest.Name("memory")+"\x02\x00\x01"), sdk.Invalid, "imports a memory")
	add("wrong imports", "a table", imports(guest.Name("env")+guest.Name("table")+"\x01\x70\x00\x01"), sdk.Invalid, "imports a table")
	add("wrong imports", "a global", imports(guest.Name("env")+guest.Name("g")+"\x03\x7f\x00"), sdk.Invalid, "imports a global")
	add("wrong imports", "swap of another type", with(Calling(""), 2, guest.Vector(guest.Name("tappet_1")+guest.Name("swap")+"\x00\x00")), sdk.Invalid, "with another type")
	add("wrong imports", "a system function of another type", importing("fd_write", "\x00", ""), sdk.Broken, "signature mismatch")

	// Asks the same until it is stopped.
	ask := func(b string) guest.Module {
		return holding(Calling("\x03\x40\x41\x08\x41"+s(len(b))+"\x41\x10\x41\x80\x10\x10\x00\x1a\x0c\x00\x0b"), b)
	}
	add("host-call floods", "the time", ask("\x08\x49"), sdk.Timeout, over)
	add("host-call floods", "pings", ask("\x08\x4a"), sdk.Timeout, over)
	url := "http://192.0.2.1/"
	add("host-call floods", "requests", ask("\x08\x42\xc2\x01\x03GET\xca\x01"+guest.Name(url)), sdk.Timeout, over)
	add("host-call floods", "secrets", ask("\x08\x47\x2a\x05token"), sdk.Timeout, over)
	add("host-call floods", "reading state", ask("\x08\x4b\x2a\x01k"), sdk.Timeout, over)
	add("host-call floods", "writing state", ask("\x08\x4c\x2a\x01k\x4a\x01v"), sdk.Timeout, over)
	add("host-call floods", "events", ask("\x08\x48\x6a\x03\x12\x011"), sdk.Timeout, over)
	add("host-call floods", "visits", Calling("\x03\x40\x41\x00\x41\x00\x41\x00\x41\x00\x10\x00\x1a\x0c\x00\x0b"), sdk.Timeout, over)
	add("host-call floods", "random bytes", importing("random_get", "\x02", "\x03\x40\x41\x00\x41"+"\x80\x80\x04"+"\x10\x01\x1a\x0c\x00\x0b"), sdk.Timeout, over)
	add("host-call floods", "subscriptions", importing("poll_oneoff", "\x01", "\x03\x40\x41\x00\x41\x00\x41"+"\xd0\x0a"+"\x41\x00\x10\x01\x1a\x0c\x00\x0b"), sdk.Timeout, over)
	add("log floods", "log lines", ask("\x08\x46"), sdk.Timeout, over)
	// One vector of 64 KiB at 32, printed for ever.
	printing := importing("fd_write", "\x01", "\x41\x24\x41\x80\x80\x04\x36\x02\x00\x03\x40\x41\x01\x41\x20\x41\x01\x41\x18\x10\x01\x1a\x0c\x00\x0b")
	add("log floods", "standard output", printing, sdk.Timeout, over)
	return all
}

func many(f string, n int) [][]byte {
	out := make([][]byte, n)
	for i := range out {
		out[i] = []byte(f)
	}
	return out
}
