//go:build wrong

package main

import (
	"encoding/json"

	"github.com/tappet-dev/tappet/sdk"
)

// change makes a description that nobody can use.
func change(c *sdk.Connector) {
	c.Triggers[1].Name = c.Triggers[0].Name
	c.Triggers[2].Event = json.RawMessage(`{"type":"text"}`)
}
