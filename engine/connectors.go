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
	// State is what the trigger keeps; nil for an action, which keeps nothing.
	State State
	// Record is given each exchange when it is over.
	Record func(Exchange)
}

// State is what one trigger of one graph keeps beside its cursor. Its errors
// are *sdk.Error.
type State interface {
	// Get gives the value of a key, nil if there is none.
	Get(ctx context.Context, key string) ([]byte, error)
	// Set keeps a value, on disk when it returns; an empty one is forgotten.
	Set(ctx context.Context, key string, value []byte) error
}

// triggerState keeps a trigger's state in the store.
type triggerState struct {
	store   VersionStore
	graph   GraphID
	trigger string
}

var _ State = triggerState{}

func (s triggerState) Get(ctx context.Context, key string) ([]byte, error) {
	v, err := s.store.State(ctx, s.graph, s.trigger, key)
	return v, stateError(err)
}

func (s triggerState) Set(ctx context.Context, key string, value []byte) error {
	return stateError(s.store.SetState(ctx, s.graph, s.trigger, key, value, sdk.MaxState))
}

func stateError(err error) error {
	switch {
	case err == nil:
		return nil
	case KindOf(err) == TooLarge:
		return &sdk.Error{Kind: sdk.TooLarge, Err: err}
	}
	return &sdk.Error{Kind: sdk.Unavailable, Err: err}
}

// Hosts makes the host of a call; done ends it: later use is refused.
type Hosts interface {
	Host(context.Context, HostCall) (h sdk.Host, done func())
}
