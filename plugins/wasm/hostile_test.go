package wasm_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tappet-dev/tappet/plugins/internal/guest"
	"github.com/tappet-dev/tappet/plugins/pipe"
	"github.com/tappet-dev/tappet/plugins/wasm"
	"github.com/tappet-dev/tappet/sdk"
	"github.com/tappet-dev/tappet/sdk/sdktest"
	"github.com/tappet-dev/tappet/sdk/wire"
)

// A hostile module is one of the corpus: made by hand, small, and meant to hurt.
type hostile struct {
	class, name string
	module      []byte
	kind        sdk.Kind // of the error that it ends in, at its loading or its call
	text        string
}

// u is a number as modules have it.
func u(n uint64) string { return string(binary.AppendUvarint(nil, n)) }

// plugin is a module whose call runs code.
func plugin(code string) guest.Module {
	return guest.Module{Start: []byte(guest.Ready + "\x1a" + code)}
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
	m := plugin(code)
	m = with(m, 2, guest.Vector(guest.Name("tappet_1")+guest.Name("swap")+"\x00\x01", guest.Name("wasi_snapshot_preview1")+guest.Name(name)+"\x00"+typ))
	return with(m, 7, guest.Vector(guest.Name("memory")+"\x02\x00", guest.Name("_start")+"\x00\x02"))
}

// corpus is the modules, several for each class.
func corpus() []hostile {
	const (
		forever = "\x03\x40\x0c\x00\x0b" // loop br 0 end
		over    = "its instance was thrown away"
	)
	var all []hostile
	add := func(class, name string, m guest.Module, kind sdk.Kind, text string) {
		all = append(all, hostile{class, name, m.Bytes(), kind, text})
	}
	good := plugin("").Bytes()
	for _, n := range []int{9, len(good) / 2, len(good) - 1} {
		all = append(all, hostile{"malformed", fmt.Sprintf("cut at %d", n), good[:n], sdk.Invalid, "scan the module"})
	}
	all = append(all,
		hostile{"malformed", "an unknown section", append(slices.Clone(good), 0x20, 0), sdk.Invalid, "section 32 is unknown"},
		hostile{"malformed", "a section twice", append(slices.Clone(good), 11, 1, 0), sdk.Invalid, "comes twice"})
	add("malformed", "an unknown instruction", plugin("\xff"), sdk.Invalid, "instruction 0xff")
	add("malformed", "a wrong type", plugin("\x42\x00\x45\x1a"), sdk.Invalid, "compile the module")
	add("malformed", "an empty stack", plugin("\x1a"), sdk.Invalid, "compile the module")
	add("malformed", "the meter's own local", plugin("\x20\x00\x1a"), sdk.Invalid, "local 0 is used")
	add("malformed", "the meter's own counter", plugin("\x23\x00\x1a"), sdk.Invalid, "global 0 is used")
	add("malformed", "the meter's own counter, exported", with(plugin(""), 7, guest.Vector(guest.Name("memory")+"\x02\x00", guest.Name("_start")+"\x00\x01", guest.Name("g")+"\x03\x00")), sdk.Invalid, "global 0 is used")

	for id, what := range map[byte]string{1: "types", 2: "imports", 3: "functions", 6: "globals", 7: "exports", 9: "segments of the table", 10: "functions' code", 11: "segments of data"} {
		add("lying counts", what, with(plugin(""), id, []byte(u(1<<32-1))), sdk.Invalid, "4294967295 "+what+" are announced")
	}
	add("lying counts", "a type's values", with(plugin(""), 1, []byte("\x01\x60"+u(1<<31))), sdk.Invalid, "2147483648 values")
	add("lying counts", "a name", with(plugin(""), 2, []byte("\x01"+u(1<<30))), sdk.Invalid, "1073741824 bytes are announced")
	add("lying counts", "a branch's targets", plugin("\x41\x00\x0e"+u(1<<32-1)), sdk.Invalid, "4294967295 targets")
	add("lying counts", "locals", guest.Module{Locals: []byte("\x01" + u(1<<32-1) + "\x7f")}, sdk.TooLarge, "4000 are allowed")
	add("lying counts", "locals in many groups", guest.Module{Locals: []byte(u(200) + strings.Repeat(u(100)+"\x7f", 200))}, sdk.TooLarge, "4000 are allowed")
	add("lying counts", "names of functions", with(guest.Module{}, 11, nil), sdk.Broken, "it returned")
	named := append(slices.Clone(good), 0)
	named = append(named, guest.Name(guest.Name("name")+"\x01"+"\x05"+u(1<<32-1))...)
	all = append(all, hostile{"lying counts", "names that nobody reads", named, sdk.Broken, "it returned"})

	add("compile bombs", "locals × blocks", guest.Module{Locals: []byte("\x01" + u(3999) + "\x7f"), Start: guest.Repeat("\x02\x40\x0b", 1000)}, sdk.TooLarge, "locals × blocks")
	add("compile bombs", "nesting", guest.Module{Start: append(guest.Repeat("\x02\x40", 100_000), guest.Repeat("\x0b", 100_000)...)}, sdk.TooLarge, "nest deeper")
	add("compile bombs", "one large function", guest.Module{Start: guest.Repeat("\x41\x00\x1a", 2<<20)}, sdk.TooLarge, "a function has")
	add("compile bombs", "loops that the meter makes large", guest.Module{More: many(string(guest.Function(strings.Repeat("\x03\x40\x0b", 1000))), 1000)}, sdk.TooLarge, "metered code larger")
	add("compile bombs", "functions", with(guest.Module{}, 3, append([]byte(u(300_000)), make([]byte, 300_000)...)), sdk.TooLarge, "200000 are allowed")

	add("loops", "a plain one", plugin(forever), sdk.Timeout, over)
	add("loops", "one in a loop", plugin("\x03\x40\x03\x40\x0c\x01\x0b\x0b"), sdk.Timeout, over)
	add("loops", "by a table of branches", plugin("\x03\x40\x41\x07\x0e\x00\x00\x0b"), sdk.Timeout, over)
	add("loops", "calls of a short function", func() guest.Module {
		m := plugin("\x03\x40\x10\x02\x0c\x00\x0b")
		m.More = [][]byte{guest.Function("")}
		return m
	}(), sdk.Timeout, over)
	add("loops", "long straight code", plugin("\x03\x40"+strings.Repeat("\x41\x00\x40\x00\x1a", 100_000)+"\x0c\x00\x0b"), sdk.Timeout, over)
	add("loops", "before it is ready", guest.Module{Start: []byte(forever)}, sdk.Timeout, "not ready within")

	recursive := plugin("\x10\x02")
	recursive.More = [][]byte{guest.Function("\x10\x02")}
	add("recursion", "endless", recursive, sdk.Broken, "stack overflow")
	wide := plugin("\x10\x02")
	wide.More = [][]byte{[]byte("\x01" + u(1000) + "\x7e\x10\x02\x0b")}
	add("recursion", "with wide frames", wide, sdk.Broken, "stack overflow")
	mutual := plugin("\x10\x02")
	mutual.More = [][]byte{guest.Function("\x10\x03"), guest.Function("\x10\x02")}
	add("recursion", "of two", mutual, sdk.Broken, "stack overflow")

	add("tables", "one that begins large", with(plugin(""), 4, []byte("\x01\x70\x00"+u(100_000_000))), sdk.TooLarge, "the table begins with 100000000")
	add("tables", "two", with(plugin(""), 4, []byte("\x02\x70\x00\x01\x70\x00\x01")), sdk.TooLarge, "2 tables")
	add("tables", "growth", with(plugin("\xd0\x70\x41\x01\xfc\x0f\x00\x1a"), 4, []byte("\x01\x70\x00\x01")), sdk.Invalid, "table.grow is not supported")
	add("tables", "filled for ever", with(plugin("\x03\x40\x41\x00\xd0\x70\x41"+"\xc0\x84\x3d"+"\xfc\x11\x00\x0c\x00\x0b"), 4, []byte("\x01\x70\x00"+u(1_000_000))), sdk.Timeout, over)
	add("tables", "a call of nothing", with(plugin("\x41\x00\x11\x00\x00"), 4, []byte("\x01\x70\x00\x01")), sdk.Broken, "wasm error")

	add("memory", "one that begins large", with(plugin(""), 5, []byte("\x01\x00"+u(2000))), sdk.TooLarge, "the memory begins with 131072000")
	add("memory", "two", with(plugin(""), 5, []byte("\x02\x00\x01\x00\x01")), sdk.TooLarge, "2 memories")
	add("memory", "growth without end", plugin("\x03\x40\x41\x01\x40\x00\x1a\x0c\x00\x0b"), sdk.Timeout, over)
	add("memory", "beyond its end", plugin("\x41\x7f\x28\x02\x00\x1a"), sdk.Broken, "out of bounds memory access")
	add("memory", "filled for ever", plugin("\x41"+"\xe6\x07"+"\x40\x00\x1a\x03\x40\x41\x00\x41\x00\x41"+"\x80\x80\x80\x1e"+"\xfc\x0b\x00\x0c\x00\x0b"), sdk.Timeout, over)
	add("memory", "filled without a loop", plugin("\x41"+"\xe6\x07"+"\x40\x00\x1a"+strings.Repeat("\x41\x00\x41\x00\x41"+"\x80\x80\x80\x1e"+"\xfc\x0b\x00", 5_000)), sdk.Timeout, over)

	add("traps", "unreachable", plugin("\x00"), sdk.Broken, "unreachable")
	add("traps", "division by zero", plugin("\x41\x01\x41\x00\x6d\x1a"), sdk.Broken, "integer divide by zero")
	add("traps", "at the start", guest.Module{Start: []byte("\x00")}, sdk.Broken, "ended before it was ready")
	add("traps", "an end", plugin(""), sdk.Broken, "it returned")

	// What lies at 8 is the frame that the plugin returns.
	frame := func(b string) guest.Module {
		return with(guest.Module{Start: []byte(guest.Ready + "\x1a\x41\x08\x41" + u(uint64(len(b))) + "\x41\x10\x41\x80\x10\x10\x00\x1a")}, 11,
			guest.Vector("\x00\x41\x00\x0b"+guest.Name("\x08\x40\x10\x01"), "\x00\x41\x08\x0b"+guest.Name(b)))
	}
	add("garbage frames", "an unknown op", frame("\x08\x3f"), sdk.Broken, "it returned")
	add("garbage frames", "a return that isn't whole", frame("\x08\x41\x4a\x7f"), sdk.Broken, "read the plugin's frame")
	add("garbage frames", "one of zeros", frame(strings.Repeat("\x00", 32)), sdk.Broken, "it returned")
	add("garbage frames", "no ready", with(plugin(""), 11, guest.Vector("\x00\x41\x00\x0b"+guest.Name("\x08\x41\x10\x01"))), sdk.Invalid, "first frame is not ready")
	add("garbage frames", "another version", with(plugin(""), 11, guest.Vector("\x00\x41\x00\x0b"+guest.Name("\x08\x40\x10\x63"))), sdk.Invalid, "version 99 of the conversation, this engine speaks 1; build it with a matching sdk")

	add("oversized frames", "more than a frame may be", plugin("\x41\x00\x41"+"\x81\x80\x80\x10"+"\x41\x10\x41\x08\x10\x00\x1a"), sdk.Broken, "a frame of 33554433 bytes")
	add("oversized frames", "beyond the memory", plugin("\x41\x00\x41"+"\x80\x80\x80\x01"+"\x41\x10\x41\x08\x10\x00\x1a"), sdk.Broken, "lies outside the memory")
	add("oversized frames", "a negative length", plugin("\x41\x00\x41\x7f\x41\x10\x41\x08\x10\x00\x1a"), sdk.Broken, "a frame of 4294967295 bytes")
	add("oversized frames", "a reply outside", guest.Module{Start: []byte("\x41\x00\x41\x04\x41\x7f\x41\x80\x10\x10\x00\x1a")}, sdk.Broken, "lies outside the memory")

	imports := func(s ...string) guest.Module {
		m := with(plugin(""), 2, guest.Vector(append([]string{guest.Name("tappet_1") + guest.Name("swap") + "\x00\x01"}, s...)...))
		return with(m, 7, guest.Vector(guest.Name("memory")+"\x02\x00", guest.Name("_start")+"\x00"+u(uint64(1+len(s)))))
	}
	add("wrong imports", "a function", imports(guest.Name("env")+guest.Name("system")+"\x00\x00"), sdk.Invalid, `"env"."system"`)
	add("wrong imports", "a memory", imports(guest.Name("env")+guest.Name("memory")+"\x02\x00\x01"), sdk.Invalid, "imports a memory")
	add("wrong imports", "a table", imports(guest.Name("env")+guest.Name("table")+"\x01\x70\x00\x01"), sdk.Invalid, "imports a table")
	add("wrong imports", "a global", imports(guest.Name("env")+guest.Name("g")+"\x03\x7f\x00"), sdk.Invalid, "imports a global")
	add("wrong imports", "swap of another type", with(plugin(""), 2, guest.Vector(guest.Name("tappet_1")+guest.Name("swap")+"\x00\x00")), sdk.Invalid, "with another type")
	add("wrong imports", "a system function of another type", importing("fd_write", "\x00", ""), sdk.Broken, "signature mismatch")

	// Asks for the time, with frames of 2 bytes at 8, until it is stopped.
	ask := func(op string) guest.Module {
		m := plugin("\x03\x40\x41\x08\x41\x02\x41\x10\x41\x80\x10\x10\x00\x1a\x0c\x00\x0b")
		return with(m, 11, guest.Vector("\x00\x41\x00\x0b"+guest.Name("\x08\x40\x10\x01"), "\x00\x41\x08\x0b"+guest.Name("\x08"+op)))
	}
	add("host-call floods", "the time", ask("\x49"), sdk.Timeout, over)
	add("host-call floods", "pings", ask("\x4a"), sdk.Timeout, over)
	add("host-call floods", "visits", plugin("\x03\x40\x41\x00\x41\x00\x41\x00\x41\x00\x10\x00\x1a\x0c\x00\x0b"), sdk.Timeout, over)
	add("host-call floods", "random bytes", importing("random_get", "\x02", "\x03\x40\x41\x00\x41"+"\x80\x80\x04"+"\x10\x01\x1a\x0c\x00\x0b"), sdk.Timeout, over)
	add("host-call floods", "subscriptions", importing("poll_oneoff", "\x01", "\x03\x40\x41\x00\x41\x00\x41"+"\xd0\x0a"+"\x41\x00\x10\x01\x1a\x0c\x00\x0b"), sdk.Timeout, over)
	add("log floods", "log lines", ask("\x46"), sdk.Timeout, over)
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

// TestHostile runs the corpus while others call: each of its modules ends in a
// clear error, no other call fails, and the memory comes back. It isn't parallel
// to other tests, since it weighs the heap.
func TestHostile(t *testing.T) {
	var l log
	e := newEngine(t, wasm.Limits{Grace: 50 * time.Millisecond, Start: 2 * time.Second})
	good := newModule(t, e, guest.WASM(t, guest.Traps), &l)
	c := guest.Connector(t, good)
	h := sdktest.NewHost(t, sdktest.HostOptions{})
	before := heap()

	stop := make(chan struct{})
	var calls sync.WaitGroup
	served := make([]int, 2)
	for n := range served {
		calls.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if r, err := guest.TrapOn(t.Context(), t, c, h, "ok"); err != nil || r != `"ok"` {
					t.Errorf("a call beside them: %s, %v", r, err)
					return
				}
				served[n]++
			}
		})
	}
	for _, h := range corpus() {
		t.Run(h.class+"/"+h.name, func(t *testing.T) {
			err := attack(t, e, h.module, &l)
			if sdk.KindOf(err) != h.kind || !strings.Contains(fmt.Sprint(err), h.text) {
				t.Errorf("kind %s: %.300v; kind %s with %q is wanted", sdk.KindOf(err), err, h.kind, h.text)
			}
		})
	}
	close(stop)
	calls.Wait()
	for _, n := range served {
		if n == 0 {
			t.Error("no call was served beside them")
		}
	}
	if after := heap(); after > before+32<<20 {
		t.Errorf("%d MiB of heap before, %d MiB after", before>>20, after>>20)
	}
	if s := l.String(); len(s) > 1<<20 {
		t.Errorf("the log has %d bytes", len(s))
	}
}

func heap() uint64 {
	for range 3 { // pools give back what they hold at the second collection
		debug.FreeOSMemory()
	}
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return s.HeapAlloc
}

// attack loads a module and calls it for a moment.
func attack(t *testing.T, e *wasm.Engine, module []byte, l *log) error {
	t.Helper()
	m, err := e.Load(t.Context(), module, l)
	if err != nil {
		return err
	}
	wait := 50 * time.Millisecond
	if strings.HasPrefix(t.Name(), "TestHostile/loops/before") || strings.HasPrefix(t.Name(), "TestHostile/recursion") {
		wait = time.Minute // these end by themselves
	}
	ctx, cancel := context.WithTimeout(t.Context(), wait)
	defer cancel()
	_, err = m.Call(ctx, &wire.Frame{Op: wire.OpDescribe}, answering{l})
	return errors.Join(err, m.Close())
}

// answering is a host that answers whatever it is asked, and logs.
type answering struct{ l *log }

func (a answering) Serve(_ context.Context, f *wire.Frame) wire.Frame {
	if f.Op == wire.OpLog {
		_, _ = a.l.Write([]byte(f.Text + "\n"))
	}
	return wire.Frame{}
}

var _ pipe.Server = answering{}
