//go:build renamed

package main

import "github.com/tappet-dev/tappet/sdk"

// change takes another name.
func change(c *sdk.Connector) { c.Name = "other" }
