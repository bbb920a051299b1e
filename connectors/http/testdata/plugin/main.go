// Command plugin is the built-in HTTP connector, built as a plugin.
package main

import (
	"github.com/tappet-dev/tappet/connectors/http"
	"github.com/tappet-dev/tappet/sdk/serve"
)

func main() { serve.Main(http.New()) }
