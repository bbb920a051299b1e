package wasm_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tappet-dev/tappet/plugins/internal/guest"
	"github.com/tappet-dev/tappet/plugins/internal/guest/hostile"
	"github.com/tappet-dev/tappet/plugins/wasm"
	"github.com/tappet-dev/tappet/sdk"
)

// newCompiler is an engine that has this test binary compile.
func newCompiler(t *testing.T, dir string, l wasm.Limits) *wasm.Engine {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return newCompilerOf(t, self, dir, l)
}

func newCompilerOf(t *testing.T, program, dir string, l wasm.Limits) *wasm.Engine {
	t.Helper()
	e, err := wasm.New(wasm.Options{Limits: l, CacheDir: dir, Compiler: []string{program}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

// marks are the modules of which the folder says that they compile within the
// limits; code is how many compiled ones it holds.
func marks(t *testing.T, dir string) (marks, code int) {
	t.Helper()
	m, err := filepath.Glob(filepath.Join(dir, "within-limits-*"))
	if err != nil {
		t.Fatal(err)
	}
	c, err := filepath.Glob(filepath.Join(dir, "wazero-*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	return len(m), len(c)
}

func TestCompilerSharesItsCache(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for range 2 {
		m, err := newCompiler(t, dir, wasm.Limits{}).Load(t.Context(), hostile.Calling("").Bytes(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
		if marks, code := marks(t, dir); marks != 1 || code != 1 {
			t.Errorf("%d marks and %d modules in the cache, one of each is wanted", marks, code)
		}
	}
}

func TestCompilerTellsOfAnInvalidModule(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	_, err := newCompiler(t, dir, wasm.Limits{}).Load(t.Context(), hostile.Calling("\x1a").Bytes(), nil)
	if sdk.KindOf(err) != sdk.Invalid || !strings.Contains(fmt.Sprint(err), "compile the module: invalid function") {
		t.Errorf("%v", err)
	}
	if marks, code := marks(t, dir); marks != 0 || code != 0 {
		t.Errorf("%d marks and %d modules in the cache, none is wanted", marks, code)
	}
}

// bomb is a module within the limits of a scan that takes long to compile.
func bomb() []byte {
	f := "\x01\x84\x07\x7f" + strings.Repeat("\x03\x40\x20\x00\x20\x01\x6a\x22\x02\x21\x01\x20\x02\x0d\x00\x0b", 2000) + "\x0b"
	return guest.Module{More: slices.Repeat([][]byte{[]byte(f)}, 300), Start: []byte("")}.Bytes()
}

func TestCompilerIsStopped(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		about, text string
		limits      wasm.Limits
	}{
		{"time", "more than 1 s of processor time", wasm.Limits{Compile: time.Second}},
		{"memory", "more than 67108864 bytes of memory", wasm.Limits{CompileMemory: 64 << 20}},
	} {
		t.Run(tt.about, func(t *testing.T) {
			t.Parallel()
			_, err := newCompilerOf(t, guest.Native(t, guest.Compiler), t.TempDir(), tt.limits).Load(t.Context(), bomb(), nil)
			if sdk.KindOf(err) != sdk.TooLarge || !strings.Contains(fmt.Sprint(err), tt.text) {
				t.Errorf("kind %s: %v; %q is wanted", sdk.KindOf(err), err, tt.text)
			}
		})
	}
}

func TestCompilerNeedsACache(t *testing.T) {
	t.Parallel()
	if _, err := wasm.New(wasm.Options{Compiler: []string{"tappet"}}); err == nil || !strings.Contains(err.Error(), "folder for the cache") {
		t.Errorf("%v", err)
	}
}
