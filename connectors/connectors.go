// Package connectors lists the connectors that are built into the binary.
//
// It is not a registry: nothing adds itself, and a program that wants other
// connectors makes another list. Its one rule: every connector below this
// folder is written on package sdk alone, as anyone's would be.
package connectors

import (
	"github.com/tappet-dev/tappet/connectors/http"
	"github.com/tappet-dev/tappet/connectors/manual"
	"github.com/tappet-dev/tappet/connectors/schedule"
	"github.com/tappet-dev/tappet/connectors/webhook"
	"github.com/tappet-dev/tappet/sdk"
)

// Builtin returns the built-in connectors, in order of name. Each call makes
// them anew: two engines in one process share nothing.
func Builtin() []sdk.Connector {
	return []sdk.Connector{http.New(), manual.New(), schedule.New(), webhook.New()}
}
