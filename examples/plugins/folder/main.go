// Command folder is the folder connector as a native plugin, which is trusted:
// a WASM module has no files to look at.
package main

import (
	"github.com/tappet-dev/tappet/examples/plugins/folder/folder"
	"github.com/tappet-dev/tappet/sdk/serve"
)

func main() { serve.Main(folder.Connector()) }
