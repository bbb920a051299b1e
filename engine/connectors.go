package engine

import (
	"context"

	"github.com/tappet-dev/tappet/sdk"
)

// A Connector is an opened connector and where it comes from.
type Connector struct {
	*sdk.Connector
	// Origin is "builtin", "wasm" or "native".
	Origin string
	// Digest is of the plugin's artefact, empty for a built-in.
	Digest string
}

// Connectors finds connectors; built-ins and plugins look the same. It is safe
// for concurrent use and cheap: it is asked on each call.
type Connectors interface {
	// Connector gives an opened connector. The error, of kind NotFound or
	// Unavailable, tells what to do.
	Connector(name string) (Connector, error)
	// Connectors lists all that are open, by name.
	Connectors() []Connector
}

// builtin is the Origin of connectors that are part of the binary.
const builtin = "builtin"

// A HostCall is the call for which a host is made.
type HostCall struct {
	Connector Connector
	// Config is the trigger's config or the action's input, a JSON object, from
	// which "{field}" in Needs.HTTP is read; nil when nothing needs it.
	Config func() []byte
	Graph  GraphID
	// Run and Step are empty for a trigger.
	Run  RunID
	Step string
	// Record is given each exchange when it is over.
	Record func(Exchange)
}

// Hosts makes the host of a call; done ends it: later use is refused.
type Hosts interface {
	Host(context.Context, HostCall) (h sdk.Host, done func())
}
