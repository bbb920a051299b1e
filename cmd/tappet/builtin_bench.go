//go:build tappet_bench

package main

import (
	"github.com/tappet-dev/tappet/connectors"
	"github.com/tappet-dev/tappet/internal/bench/emitter"
	"github.com/tappet-dev/tappet/sdk"
)

// builtin adds to the built-in connectors the one that plugins are measured
// against.
func builtin() []sdk.Connector { return append(connectors.Builtin(), emitter.Connector("emitter")) }
