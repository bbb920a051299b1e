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
	// Connector gives an opened connector as it is now. The error, of kind NotFound
	// or Unavailable, tells what to do.
	Connector(name string) (Connector, error)
	// At gives the connector whose artefact has the digest, also one that another
	// has replaced since; "" is the one of now, and what is built in has no other.
	// Errors are as of Connector.
	At(name, digest string) (Connector, error)
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
	// Capture, if set, is given the requests and responses of each exchange as they
	// crossed the wire, before Record is.
	Capture func([]Capture)
	// Waiting is told why the call waits for its turn at a host, and "" when it
	// does no longer. Nil: nobody asks.
	Waiting func(why string)
	// Keep is told of each new file, whose bytes the host holds until release is
	// called: when the file's run has it durably, or won't have it. Nil: the call
	// keeps no files.
	Keep func(f File, release func())
	// Connection names what the call's requests are sent with; "": nothing is added
	// to them.
	Connection string
	// Conceal is told each text that nothing which is kept of the call may show.
	// Nil where Connection is empty.
	Conceal func(text string)
	// Secrets names those that the trigger's config refers to, beside what the
	// connector declares.
	Secrets []string
	// Secret gives the value of a secret that the connector declares or the config
	// refers to. Errors are those of Secrets.
	Secret func(ctx context.Context, name string) (string, error)
	// Warn is told what the connector logs at level warn, as it was given. Nil:
	// the call records no warnings.
	Warn func(msg string, args ...any)
	// Hide gives a text or a value of a log line without the secrets that the
	// call has got.
	Hide func(any) any
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
