package wasm_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/tappet-dev/tappet/plugins/pipe"
	"github.com/tappet-dev/tappet/plugins/wasm"
	"github.com/tappet-dev/tappet/sdk"
)

// The sections of a module, by hand: small enough to read.
const (
	head = "\x00asm\x01\x00\x00\x00"
	// types: 0 is () -> (), 1 is (i32 i32 i32 i32) -> i32.
	types  = "\x01\x0c\x02\x60\x00\x00\x60\x04\x7f\x7f\x7f\x7f\x01\x7f"
	memory = "\x05\x03\x01\x00\x01"
	// one function of type 0
	function = "\x03\x02\x01\x00"
	trap     = "\x0a\x05\x01\x03\x00\x00\x0b"                 // unreachable
	forever  = "\x0a\x09\x01\x07\x00\x03\x40\x0c\x00\x0b\x0b" // loop br 0 end
	nothing  = "\x0a\x04\x01\x02\x00\x0b"
)

func section(id byte, body string) string { return string([]byte{id, byte(len(body))}) + body }

func name(s string) string { return string([]byte{byte(len(s))}) + s }

func imports(module, fn string) string {
	return section(2, "\x01"+name(module)+name(fn)+"\x00\x01")
}

// exports gives memory and, as _start, function n.
func exports(n byte) string {
	return section(7, "\x02"+name("memory")+"\x02\x00"+name("_start")+"\x00"+string([]byte{n}))
}

func TestLoadRefuses(t *testing.T) {
	t.Parallel()
	e := newEngine(t, wasm.Limits{Module: 1 << 20})
	for _, tt := range []struct{ about, module, text string }{
		{"nothing", "", "the file is empty"},
		{"text", "#!/bin/sh\n", "not a WebAssembly module"},
		{"a component", "\x00asm\x0d\x00\x01\x00", "components are not supported"},
		{"too much", head + strings.Repeat("\x00", 1<<20), "1048576 are allowed"},
		{"half a module", head + types[:5], "malformed at byte 10"},
		{"another version", head + types + imports("tappet_9", "swap") + function + memory + exports(1) + nothing, "speaks tappet_9, this engine speaks tappet_1"},
		{"no _start", head + types + imports("tappet_1", "swap") + function + memory + section(7, "\x01"+name("memory")+"\x02\x00") + nothing, "no function _start"},
		{"no memory", head + types + imports("tappet_1", "swap") + function + section(7, "\x01"+name("_start")+"\x00\x01") + nothing, "no memory"},
		{"foreign imports", head + types + imports("env", "system") + function + memory + exports(1) + nothing, `"env"."system"`},
		{"no plugin", head + types + function + memory + exports(0) + nothing, "does not import tappet_1.swap"},
	} {
		t.Run(tt.about, func(t *testing.T) {
			t.Parallel()
			_, err := e.Load(t.Context(), []byte(tt.module), nil)
			if k := sdk.KindOf(err); (k != sdk.Invalid && k != sdk.TooLarge) || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("%v; %q is wanted", err, tt.text)
			}
		})
	}
}

func TestStartRefuses(t *testing.T) {
	t.Parallel()
	e := newEngine(t, wasm.Limits{Start: 200 * time.Millisecond})
	plugin := head + types + imports("tappet_1", "swap") + function + memory + exports(1)
	for _, tt := range []struct {
		about, code, text string
		kind              sdk.Kind
	}{
		{"a trap", trap, "ended before it was ready: wasm error: unreachable", sdk.Broken},
		{"an end", nothing, "ended before it was ready: it returned", sdk.Broken},
		{"an endless loop", forever, "not ready within 200ms", sdk.Timeout},
	} {
		t.Run(tt.about, func(t *testing.T) {
			t.Parallel()
			m, err := e.Load(t.Context(), []byte(plugin+tt.code), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := m.Close(); err != nil {
					t.Error(err)
				}
			}()
			_, err = pipe.Describe(context.WithoutCancel(t.Context()), m)
			if sdk.KindOf(err) != tt.kind || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("%v; kind %s with %q is wanted", err, tt.kind, tt.text)
			}
		})
	}
}
