// Command plugin is package emitter as a plugin.
package main

import (
	"github.com/tappet-dev/tappet/internal/bench/emitter"
	"github.com/tappet-dev/tappet/sdk/serve"
)

func main() { serve.Main(emitter.Connector(emitter.Placeholder)) }
