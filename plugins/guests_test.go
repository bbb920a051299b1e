package plugins_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tappet-dev/tappet/examples/plugins/trials"
	"github.com/tappet-dev/tappet/plugins/plugintest"
	"github.com/tappet-dev/tappet/sdk"
	"github.com/tappet-dev/tappet/sdk/sdktest"
)

// TestOtherLanguages runs the kit on guests that aren't written in Go: what they
// know of the engine stands in docs/abi.md. They know nothing of each other, and
// give the same bytes.
func TestOtherLanguages(t *testing.T) {
	t.Parallel()
	trial := trials.Page()
	poll := trial.Polls["changed"]
	got := map[string][]byte{}
	for name, build := range map[string]func(testing.TB) string{"c": buildC, "assemblyscript": buildAssemblyScript, "rust": buildRust} {
		t.Run(name, func(t *testing.T) { //nolint:paralleltest // what it gives is compared below
			c := plugintest.Open(t, build(t))
			sdktest.Run(t, func(testing.TB) sdk.Connector { return c }, trial)
			h := sdktest.NewHost(t, sdktest.HostOptions{HTTP: poll.HTTP})
			var err error
			if got[name], err = sdktest.Collect(t.Context(), c.Triggers[0], h, poll.Config, ""); err != nil {
				t.Fatal(err)
			}
		})
	}
	for one, a := range got {
		for other, b := range got {
			if one < other && !bytes.Equal(a, b) {
				t.Errorf("%s gives\n%s\n%s gives\n%s", one, a, other, b)
			}
		}
	}
}

func buildC(tb testing.TB) string {
	tb.Helper()
	for _, tool := range []string{"clang", "wasm-ld"} {
		if _, err := exec.LookPath(tool); err != nil {
			tb.Skipf("%s is missing: .ci/deps installs it", tool)
		}
	}
	out := filepath.Join(tb.TempDir(), "page.wasm")
	compile(tb, "../examples/plugins/c", "clang", "--target=wasm32", "-O2", "-nostdlib", "-Wall", "-Werror", "-Wl,--no-entry", "-Wl,--strip-all", "-o", out, "page.c")
	return out
}

// buildAssemblyScript takes the compiler that .ci/deps installs below the
// user's cache folder, or one in PATH.
func buildAssemblyScript(tb testing.TB) string {
	tb.Helper()
	asc, err := exec.LookPath("asc")
	if err != nil {
		cache, err := os.UserCacheDir()
		if err != nil {
			tb.Fatal(err)
		}
		asc = filepath.Join(cache, "tappet-test", "assemblyscript", "node_modules", ".bin", "asc")
		if _, err := os.Stat(asc); err != nil {
			tb.Skip("asc, the compiler of AssemblyScript, is missing: .ci/deps installs it")
		}
	}
	out := filepath.Join(tb.TempDir(), "page.wasm")
	compile(tb, "../examples/plugins/assemblyscript", asc, "page.ts", "-O3", "--runtime", "incremental", "--use", "abort=tappet/abort", "-o", out)
	return out
}

// buildRust takes the first rustc that has the target: one that a version
// manager put before Debian's may not.
func buildRust(tb testing.TB) string {
	tb.Helper()
	const target = "wasm32-unknown-unknown"
	for _, rustc := range []string{"rustc", "/usr/bin/rustc"} {
		lib, err := exec.CommandContext(tb.Context(), rustc, "--print", "target-libdir", "--target", target).Output()
		if err != nil {
			continue
		}
		if _, err := os.Stat(strings.TrimSpace(string(lib))); err != nil {
			continue
		}
		out := filepath.Join(tb.TempDir(), "page.wasm")
		compile(tb, "../examples/plugins/rust", rustc, "--edition", "2021", "--target", target, "--crate-type", "cdylib",
			"-O", "-C", "panic=abort", "-C", "strip=symbols", "-C", "linker=wasm-ld", "-D", "warnings", "-o", out, "page.rs")
		return out
	}
	tb.Skip("rustc with the target " + target + " is missing: .ci/deps installs it")
	return ""
}

func compile(tb testing.TB, dir, tool string, args ...string) {
	tb.Helper()
	cmd := exec.CommandContext(tb.Context(), tool, args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		tb.Fatalf("%s: %v\n%s", tool, err, out)
	}
}
