//go:build !tappet_bench

package main

import (
	"github.com/tappet-dev/tappet/connectors"
	"github.com/tappet-dev/tappet/sdk"
)

// builtin gives the connectors that are built in.
func builtin() []sdk.Connector { return connectors.Builtin() }
