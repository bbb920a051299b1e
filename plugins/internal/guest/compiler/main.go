// Command compiler is the process that compiles a WASM module, for tests whose
// own binary can't: the race detector takes more address space than any limit.
package main

import (
	"os"

	"github.com/tappet-dev/tappet/plugins/wasm"
)

func main() {
	if len(os.Args) < 2 || os.Args[1] != wasm.CompileCommand {
		os.Exit(2)
	}
	os.Exit(wasm.CompileMain(os.Args[2:], os.Stdin, os.Stderr))
}
