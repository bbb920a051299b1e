package meter_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/tappet-dev/tappet/plugins/internal/guest"
	"github.com/tappet-dev/tappet/plugins/wasm/meter"
	"github.com/tappet-dev/tappet/plugins/wasm/scan"
	"github.com/tappet-dev/tappet/sdk"
)

var swap = meter.Options{Module: "tappet_1", Name: "swap", Turns: 100}

// rewrite scans and rewrites a module.
func rewrite(tb testing.TB, module []byte) []byte {
	tb.Helper()
	m, err := scan.Parse(module, scan.Limits{})
	if err != nil {
		tb.Fatal(err)
	}
	b, err := meter.Rewrite(m, swap)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// errEnough ends a run that has had its visits.
var errEnough = errors.New("enough")

// run runs _start and gives how often the host was visited, and the hash of the
// memory. After most visits, unless that is 0, it ends with errEnough.
func run(ctx context.Context, module []byte, most int) (visits int, memory string, err error) {
	rt := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigInterpreter().WithMemoryLimitPages(16).WithDebugInfoEnabled(false))
	defer func() { _ = rt.Close(ctx) }()
	i := api.ValueTypeI32
	if _, err := rt.NewHostModuleBuilder("tappet_1").NewFunctionBuilder().WithGoModuleFunction(api.GoModuleFunc(func(_ context.Context, mod api.Module, s []uint64) {
		if uint32(s[1]) == 0 && uint32(s[3]) == 0 {
			if visits++; visits == most {
				panic(errEnough)
			}
		}
		s[0] = 0
	}), []api.ValueType{i, i, i, i}, []api.ValueType{i}).Export("swap").Instantiate(ctx); err != nil {
		return 0, "", err
	}
	mod, err := rt.InstantiateWithConfig(ctx, module, wazero.NewModuleConfig().WithStartFunctions())
	if err != nil {
		return 0, "", err
	}
	_, err = mod.ExportedFunction("_start").Call(ctx)
	if mod.Memory() != nil {
		b, _ := mod.Memory().Read(0, mod.Memory().Size())
		memory = fmt.Sprintf("%x", sha256.Sum256(b))
	}
	return visits, memory, err
}

func TestRewrite(t *testing.T) {
	t.Parallel()
	const (
		// local 0 from 1,000 down to 0; store it at 8 in the end
		down   = "\x41\xe8\x07\x21\x00\x03\x40\x20\x00\x41\x01\x6b\x22\x00\x0d\x00\x0b"
		stored = "\x41\x08\x20\x00\x41\x2a\x6a\x36\x02\x00"
	)
	for _, tt := range []struct {
		about  string
		module guest.Module
		visits int
	}{
		{"nothing", guest.Module{}, 0},
		{"a loop of 1,000 turns", guest.Module{Locals: []byte("\x01\x01\x7f"), Start: []byte(down + stored)}, 10},
		{"200 calls", guest.Module{Start: guest.Repeat("\x10\x02", 200), More: [][]byte{guest.Function("")}}, 2},
		{"64 KiB filled", guest.Module{Start: []byte("\x41\x00\x41\x07\x41\x80\x80\x04\xfc\x0b\x00")}, 1},
		{"64 KiB copied twice", guest.Module{Start: guest.Repeat("\x41\x00\x41\x80\x04\x41\x80\x80\x03\xfc\x0a\x00\x00", 2)}, 2},
		{"a branch out of nested loops", guest.Module{Start: []byte("\x02\x40\x03\x40\x03\x40\x0c\x02\x0b\x0b\x0b")}, 0},
		{"long straight code", guest.Module{Start: guest.Repeat("\x41\x00\x1a", 30_000)}, 1},
	} {
		t.Run(tt.about, func(t *testing.T) {
			t.Parallel()
			plain := tt.module.Bytes()
			_, want, err := run(t.Context(), plain, 0)
			if err != nil {
				t.Fatal(err)
			}
			visits, got, err := run(t.Context(), rewrite(t, plain), 0)
			if err != nil || visits != tt.visits || got != want {
				t.Errorf("%d visits, %v, memory %s; %d and %s are wanted", visits, err, got, tt.visits, want)
			}
		})
	}
}

func TestRewriteRefuses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		about, text string
		imports     []byte
	}{
		{"no swap", "does not import tappet_1.swap", []byte("\x00")},
		{"swap of another type", "with another type", guest.Vector(guest.Name("tappet_1") + guest.Name("swap") + "\x00\x02")},
	} {
		m := guest.Module{Sections: map[byte][]byte{2: tt.imports, 7: []byte("\x00")}}
		s, err := scan.Parse(m.Bytes(), scan.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := meter.Rewrite(s, swap); sdk.KindOf(err) != sdk.Invalid || !strings.Contains(fmt.Sprint(err), tt.text) {
			t.Errorf("%s: %v", tt.about, err)
		}
	}
}

// FuzzRewrite holds that a scanned module and its rewritten one are both valid
// or neither, and that a run gives the same memory and the same trap. What has
// loops or calls itself is run for as long as some visits last. The second
// function can be called, also through a table.
func FuzzRewrite(f *testing.F) {
	none := []byte{0x0b}
	f.Add([]byte{0}, []byte("\x41\x08\x41\x2a\x36\x02\x00"), none)
	f.Add([]byte("\x01\x01\x7f"), []byte("\x41\x09\x21\x00\x03\x40\x20\x00\x41\x01\x6b\x22\x00\x0d\x00\x0b"), none)
	f.Add([]byte{0}, []byte("\x41\x00\x41\x07\x41\x80\x02\xfc\x0b\x00\x02\x7f\x41\x01\x0b\x1a\x00"), none)
	f.Add([]byte{0}, []byte("\x41\x00\x04\x40\x05\x41\x00\x41\x01\x41\x02\xfc\x0a\x00\x00\x0b"), none)
	// A loop that gives a value and one in it, each turn of which is counted at 8.
	count := "\x41\x08\x41\x08\x28\x02\x00\x41\x01\x6a\x36\x02\x00"
	f.Add([]byte("\x01\x01\x7f"), []byte("\x03\x7f\x03\x40"+count+"\x20\x00\x41\x01\x6a\x22\x00\x41\x32\x48\x0d\x00\x0b\x20\x00\x0b\x1a"), none)
	// Calls of the second function, by its name and through the table.
	f.Add([]byte{0}, []byte("\x10\x02\x41\x01\x11\x00\x00\x10\x02"), []byte(count+"\x0b"))
	// Recursion up to a count, and one without an end.
	f.Add([]byte{0}, []byte("\x10\x02"), []byte(count+"\x41\x08\x28\x02\x00\x41\xc8\x01\x48\x04\x40\x10\x02\x0b\x0b"))
	f.Add([]byte{0}, []byte("\x10\x02"), []byte("\x10\x02\x0b"))
	f.Fuzz(func(t *testing.T, locals, code, second []byte) {
		if len(code)+len(second) > 1<<12 {
			return
		}
		plain := guest.Module{
			Locals: locals, Start: code, More: [][]byte{append([]byte{0}, second...)},
			Sections: map[byte][]byte{4: guest.Vector("\x70\x00\x02"), 9: guest.Vector("\x00\x41\x00\x0b\x02\x01\x02")},
		}.Bytes()
		m, err := scan.Parse(plain, scan.Limits{Locals: 100, Depth: 100})
		if err != nil {
			return
		}
		b, err := meter.Rewrite(m, swap)
		if err != nil {
			t.Fatal(err)
		}
		ctx := t.Context()
		rt := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigInterpreter().WithDebugInfoEnabled(false))
		defer func() { _ = rt.Close(ctx) }()
		_, before := rt.CompileModule(ctx, plain)
		_, after := rt.CompileModule(ctx, b)
		if (before == nil) != (after == nil) {
			t.Fatalf("as it is: %v; rewritten: %v", before, after)
		}
		if before != nil {
			return
		}
		_, got, gerr := run(ctx, b, 50)
		if errors.Is(gerr, errEnough) || gerr != nil && strings.Contains(gerr.Error(), "stack overflow") {
			return // a visit takes one frame of the stack
		}
		_, want, werr := run(ctx, plain, 0)
		if got != want || reason(werr) != reason(gerr) {
			t.Errorf("%s, %v; %s, %v as it is", got, gerr, want, werr)
		}
	})
}

// reason is a trap without the functions that it went through.
func reason(err error) string {
	if err == nil {
		return ""
	}
	first, _, _ := strings.Cut(err.Error(), "\n")
	return first
}
