//go:build greedy

package main

import "github.com/tappet-dev/tappet/sdk"

// change asks for more than the plain one.
func change(c *sdk.Connector) {
	c.Version = "2.0.0"
	c.Needs.HTTP = append(c.Needs.HTTP, "evil.example.com")
	c.Needs.Secrets = []string{"bank"}
}
