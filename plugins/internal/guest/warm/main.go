// Command warm compiles a WASM module into a cache folder, for tests whose own
// binary is too slow to do so.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/tappet-dev/tappet/plugins/wasm"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 2 {
		return fmt.Errorf("the cache folder and the module are wanted")
	}
	b, err := os.ReadFile(args[1])
	if err != nil {
		return err
	}
	e, err := wasm.New(wasm.Options{CacheDir: args[0]})
	if err != nil {
		return err
	}
	m, err := e.Load(context.Background(), b, nil)
	if err != nil {
		return err
	}
	if err := m.Close(); err != nil {
		return err
	}
	return e.Close()
}
