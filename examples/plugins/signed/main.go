// Command signed is the signed connector as a plugin: a WASM module when built with
// GOOS=wasip1 GOARCH=wasm, else a native process.
package main

import (
	"github.com/tappet-dev/tappet/examples/plugins/signed/signed"
	"github.com/tappet-dev/tappet/sdk/serve"
)

func main() { serve.Main(signed.Connector()) }
