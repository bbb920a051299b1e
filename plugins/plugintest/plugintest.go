// Package plugintest runs the conformance kit on what is built of a plugin: a
// connector in the test's own process, and the module and the program that a
// server would be given, each loaded as a server loads it.
//
// It is for the tests of plugins alone, and knows no trial. Its one rule: what the
// kit tries in process, it tries on each artefact.
package plugintest

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tappet-dev/tappet/plugins"
	"github.com/tappet-dev/tappet/sdk"
	"github.com/tappet-dev/tappet/sdk/sdktest"
)

// Built is the environment variable with the paths of what was built, as a list
// like PATH. tappet plugin test builds, and sets it.
const Built = "TAPPET_PLUGIN_BUILT"

// Run runs the kit on the connector in process and on each artefact that Built
// names: the one line of an author is
//
//	plugintest.Run(t, mine.Connector, sdktest.Options{…})
func Run(t *testing.T, connector func() sdk.Connector, o sdktest.Options) {
	t.Helper()
	t.Run("in process", func(t *testing.T) { sdktest.Run(t, sdktest.InProcess(connector), o) })
	for _, path := range filepath.SplitList(os.Getenv(Built)) {
		t.Run(filepath.Base(path), func(t *testing.T) {
			c := Open(t, path)
			sdktest.Run(t, func(testing.TB) sdk.Connector { return c }, o)
		})
	}
}

// Open loads a module, whose name ends in .wasm, or a program, in a folder of its
// own, and gives its connector with what it declares granted.
func Open(tb testing.TB, path string) sdk.Connector {
	tb.Helper()
	dir := tb.TempDir()
	if err := copyTo(filepath.Join(dir, filepath.Base(path)), path); err != nil {
		tb.Fatalf("copy the plugin: %v", err)
	}
	all, err := plugins.Open(dir, plugins.Options{})
	if err != nil {
		tb.Fatalf("open %s: %v", path, err)
	}
	tb.Cleanup(func() {
		if err := all.Close(); err != nil {
			tb.Errorf("close %s: %v", path, err)
		}
	})
	list := all.List()
	if len(list) != 1 {
		tb.Fatalf("%s gives %d plugins, one is wanted", path, len(list))
	}
	c, ok := all.Connector(list[0].Name)
	if !ok {
		tb.Fatalf("%s is %s: %s", path, list[0].Health.State, strings.TrimSpace(list[0].Health.Reason))
	}
	return c
}

func copyTo(to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o700)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	if e := out.Close(); err == nil && e != nil {
		err = fmt.Errorf("close: %w", e)
	}
	return err
}
