// Package guest builds the plugins that tests run, with the ordinary Go
// toolchain and once per test binary.
//
// It is for tests alone. Its one rule: what is built goes below the user's cache
// folder, where the next run finds modules compiled.
package guest

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// module is the path of the module whose packages are built.
const module = "github.com/tappet-dev/tappet/"

// builds holds what this test binary has built, by kind, package and tags.
var builds sync.Map

type build struct {
	once sync.Once
	path string
	out  string
	err  error
}

// Traps is the package of the plugin that does what authors must not do.
const Traps = "plugins/internal/guest/traps"

// Compiler is the package of the process that compiles modules, for binaries
// that are too large for its limits.
const Compiler = "plugins/internal/guest/compiler"

// Feed is the package of the feed example.
const Feed = "examples/plugins/feed"

// WASM builds a package of the module as a WASM module and gives its path. Under
// the race detector, where compiling is ten times slower, it also has a child
// without it compile the module into CacheDir.
func WASM(tb testing.TB, pkg string, tags ...string) string {
	tb.Helper()
	path := run(tb, "wasm", pkg, tags, []string{"GOOS=wasip1", "GOARCH=wasm"})
	if race {
		warm(tb, path)
	}
	return path
}

// Native builds a package of the module as a program of this machine.
func Native(tb testing.TB, pkg string, tags ...string) string {
	tb.Helper()
	return run(tb, "native", pkg, tags, nil)
}

// CacheDir is where tests keep compiled modules.
func CacheDir(tb testing.TB) string {
	tb.Helper()
	return filepath.Join(root(tb), "compiled")
}

func root(tb testing.TB) string {
	tb.Helper()
	dir, err := os.UserCacheDir()
	if err != nil {
		dir = os.TempDir()
	}
	dir = filepath.Join(dir, "tappet-test")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		tb.Fatalf("make the folder of guests: %v", err)
	}
	return dir
}

func run(tb testing.TB, kind, pkg string, tags, env []string) string {
	tb.Helper()
	name := strings.Join(append([]string{kind, filepath.Base(pkg)}, tags...), "-")
	v, _ := builds.LoadOrStore(name, &build{})
	b, _ := v.(*build)
	b.once.Do(func() {
		// Other test binaries build the same at the same time.
		f, err := os.CreateTemp(root(tb), name+"-*.tmp")
		if err != nil {
			b.err = err
			return
		}
		_ = f.Close()
		b.path = filepath.Join(root(tb), name)
		b.out, b.err = goTool(append(env, "CGO_ENABLED=0"), "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w",
			"-tags="+strings.Join(tags, ","), "-o", f.Name(), module+pkg)
		if b.err == nil {
			b.err = os.Chmod(f.Name(), 0o700)
		}
		if b.err == nil {
			b.err = os.Rename(f.Name(), b.path)
		}
		_ = os.Remove(f.Name())
	})
	if b.err != nil {
		tb.Fatalf("build %s: %v\n%s", pkg, b.err, b.out)
	}
	return b.path
}

func warm(tb testing.TB, path string) {
	tb.Helper()
	v, _ := builds.LoadOrStore("warm "+path, &build{})
	b, _ := v.(*build)
	b.once.Do(func() {
		// A test binary knows no versions of its modules, so its wazero keeps what
		// it compiles under "dev": the child's must do the same.
		b.out, b.err = goTool(nil, "run", "-ldflags=-X github.com/tetratelabs/wazero/internal/version.version=dev", module+"plugins/internal/guest/warm", CacheDir(tb), path)
	})
	if b.err != nil {
		tb.Fatalf("compile %s: %v\n%s", path, b.err, b.out)
	}
}

// goTool outlives the test that asks first, since others wait for it.
func goTool(env []string, args ...string) (string, error) {
	cmd := exec.CommandContext(context.Background(), "go", args...)
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}
