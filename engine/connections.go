package engine

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tappet-dev/tappet/engine/machine"
	"github.com/tappet-dev/tappet/engine/program"
	"github.com/tappet-dev/tappet/sdk"
)

// Connections tells how the connections stand that steps and triggers name. What
// they add to a request is the host's to add (HostCall.Connection): the engine
// never sees a credential. It is safe for concurrent use and cheap.
type Connections interface {
	// Usable is nil when there is a connection of this name that can be used now.
	// Errors are *sdk.Error: of kind NotFound, Unauthorized when somebody has to
	// authorise it, or Unavailable when that may pass by itself.
	Usable(ctx context.Context, name string) error
}

// A StoredConnection is a connection as the store keeps it.
type StoredConnection struct {
	// ID is a UUIDv7 as text.
	ID string
	// Name is unique and never changes.
	Name  string
	Kind  string
	Title string
	// Config is a JSON object without anything secret.
	Config json.RawMessage
	// Hosts are what its credentials may be sent to.
	Hosts []string
	// Sealed holds the credentials; the store can't read it.
	Sealed []byte
	// State and Message say whether it can be used, and why not.
	State, Message       string
	CreatedAt, UpdatedAt time.Time
}

// A ConnectionStore keeps connections. It is safe for concurrent use; what has
// returned without an error is on disk. Errors are of kind NotFound or Conflict
// where a connection is missing or its name is taken.
type ConnectionStore interface {
	// Connections lists all by name.
	Connections(context.Context) ([]StoredConnection, error)
	Connection(ctx context.Context, name string) (StoredConnection, error)
	CreateConnection(context.Context, StoredConnection) error
	// SaveConnection replaces all but ID, Name and CreatedAt.
	SaveConnection(context.Context, StoredConnection) error
	DeleteConnection(ctx context.Context, id string) error
}

// A StoredTicket is one step of an authorization that is under way.
type StoredTicket struct {
	Key       string
	Sealed    []byte
	ExpiresAt time.Time
}

// A TicketStore keeps tickets until they expire. It is safe for concurrent use.
type TicketStore interface {
	// PutTicket adds a ticket, and drops those that had expired at now.
	PutTicket(ctx context.Context, t StoredTicket, now time.Time) error
	// TakeTicket removes a ticket and gives it, to one caller only; the others get
	// an error of kind NotFound.
	TakeTicket(ctx context.Context, key string) (StoredTicket, error)
}

// A StoredSecret is a secret as the store keeps it.
type StoredSecret struct {
	Name string
	// Sealed is the value; the store can't read it.
	Sealed               []byte
	CreatedAt, UpdatedAt time.Time
}

// A SecretStore keeps secrets. It is safe for concurrent use; what has returned
// without an error is on disk. Errors are of kind NotFound where one is missing.
type SecretStore interface {
	// StoredSecrets lists all by name.
	StoredSecrets(context.Context) ([]StoredSecret, error)
	StoredSecret(ctx context.Context, name string) (StoredSecret, error)
	// PutSecret adds a secret, or replaces its value and UpdatedAt.
	PutSecret(context.Context, StoredSecret) error
	DeleteSecret(ctx context.Context, name string) error
}

// usable is Connections.Usable of an engine that may have none.
func (e *Engine) usable(ctx context.Context, name string) error {
	if e.o.Connections == nil {
		return sdk.Errorf(sdk.NotFound, "there is no connection %q: this server keeps none", name)
	}
	return e.o.Connections.Usable(ctx, name)
}

// proveConnections tells how connections stand now.
func (e *Engine) proveConnections(ctx context.Context, names []string) []Check {
	out := make([]Check, len(names))
	for i, name := range names {
		out[i] = Check{Part: "connection", OK: true, Detail: name + " can be used"}
		if said := e.trials.said(name); said != "" {
			out[i].Detail += ": " + said
		}
		if err := e.usable(ctx, name); err != nil {
			out[i] = Check{Part: "connection", Detail: err.Error()}
		}
	}
	return out
}

// A Waker is a Runner that can end the wait between two attempts early.
type Waker interface {
	// Wake begins the next attempt at once of each step that waits for it and that
	// pick says yes to; why is the failure that it waits after. The runner's own
	// locks are held while pick is called.
	Wake(pick func(s *program.Step, why *machine.Error) bool)
}

// ConnectionChanged tells that a connection has been created, authorised or given
// other credentials: what waits because it couldn't be used goes on at once, runs
// between two attempts and triggers that ask with it.
func (e *Engine) ConnectionChanged(ctx context.Context, name string) {
	e.scopes.forget()
	e.mu.Lock()
	var failing []GraphID
	for id, b := range e.bindings {
		b.mu.Lock()
		if b.asks == name && b.fault != "" {
			failing = append(failing, id)
			b.unbind()
			b.cancel = nil // so that rebind begins anew
		}
		b.mu.Unlock()
	}
	e.mu.Unlock()
	for _, id := range failing {
		e.rebind(ctx, id)
	}
	w, ok := e.o.Runner.(Waker)
	if !ok {
		return
	}
	w.Wake(func(s *program.Step, why *machine.Error) bool {
		return s.Connection == name && (why.Kind == string(sdk.Unauthorized) || why.Kind == string(sdk.NotFound))
	})
}

// Credentials tells which graphs use what, by its name, in the order of their
// names: in their newest versions, ON or OFF.
type Credentials struct{ Connections, Secrets map[string][]GraphUse }

// CredentialUses lists the connections and secrets that graphs use; secrets also
// where a plugin declares them that a graph uses.
func (e *Engine) CredentialUses(ctx context.Context) (Credentials, error) {
	out := Credentials{map[string][]GraphUse{}, map[string][]GraphUse{}}
	err := e.eachVersion(ctx, func(g StoredGraph, _ Version) error {
		v, err := e.compiled(ctx, g.ID, g.Version)
		if err != nil {
			return nil //nolint:nilerr // a version that doesn't compile can't run, so it uses nothing
		}
		use := GraphUse{Graph: g.Name, Version: g.Version, Active: g.Active}
		for _, name := range v.program.Connections() {
			out.Connections[name] = append(out.Connections[name], use)
		}
		secrets := map[string]bool{}
		for _, name := range v.program.Secrets() {
			secrets[name] = true
		}
		for _, name := range e.declared(v) {
			secrets[name] = true
		}
		for _, name := range slices.Sorted(maps.Keys(secrets)) {
			out.Secrets[name] = append(out.Secrets[name], use)
		}
		return nil
	})
	return out, err
}

// declared gives the secrets that the connectors of a version may ask for, and
// those that its trigger's config refers to; a dash
// in a declared name counts as an underscore.
func (e *Engine) declared(v *compiled) []string {
	uses := []string{v.program.Trigger.Use}
	for _, s := range v.program.ByID {
		if s.Verb == program.Use {
			uses = append(uses, s.Action)
		}
	}
	var out []string
	t := &v.program.Trigger
	if c, member, err := v.at(e.o.Connectors, t.Use); err == nil {
		if trigger, err := findTrigger(c, t.Use, member); err == nil {
			out = append(out, secretsOf(trigger, t.Config)...)
		}
	}
	for _, use := range uses {
		if c, _, err := v.at(e.o.Connectors, use); err == nil {
			for _, name := range c.Needs.Secrets {
				out = append(out, strings.ReplaceAll(name, "-", "_"))
			}
		}
	}
	return out
}
