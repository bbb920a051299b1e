package program

import "github.com/tappet-dev/tappet/engine/expr"

// A Catalogue says what a `use` names. The short form, a connector alone, is
// its one trigger or its one action.
type Catalogue interface {
	// Trigger finds a trigger; the error is *UnknownUse when there is none.
	Trigger(use string) (TriggerSpec, error)
	// Action finds an action; the error is *UnknownUse when there is none.
	Action(use string) (ActionSpec, error)
}

// Secrets is a Catalogue that knows which secrets there are.
type Secrets interface {
	// Secret is nil when there is a secret of this name; else the error says what
	// to do.
	Secret(name string) error
}

// Connections is a Catalogue that knows which connections there are.
type Connections interface {
	// Connection is nil when there is a connection of this name; else the error
	// says what to do.
	Connection(name string) error
}

// Taken is a Catalogue of a document that was taken before, maybe by an earlier
// version of this program: what its own schemas don't refuse, isn't.
type Taken interface{ Taken() }

// Limited is a Catalogue that says what bounds the expressions; without it, the
// defaults do.
type Limited interface {
	Limits() expr.Limits
}

func limitsOf(cat Catalogue) expr.Limits {
	if l, ok := cat.(Limited); ok {
		return l.Limits()
	}
	return expr.Limits{}
}

// A TriggerSpec is what a graph must know of a trigger.
type TriggerSpec struct {
	// Use is the full name, connector and trigger.
	Use string
	// Kind is poll, webhook, stream or manual.
	Kind string
	// Config and Event are JSON Schemas; empty takes everything.
	Config, Event []byte
	// Validate says what is wrong with a config beyond its schema; it may be nil.
	Validate func(config []byte) error
	// Times says what is wrong with a cron expression and its zone; nil: they
	// were checked before.
	Times func(expression, zone string) error
}

// An ActionSpec is what a graph must know of an action.
type ActionSpec struct {
	// Use is the full name, connector and action.
	Use string
	// Input and Output are JSON Schemas; empty takes everything.
	Input, Output []byte
	// Literal names the input fields in which ${{ }} is left alone.
	Literal []string
	// Idempotent or Keyed calls may be repeated when their outcome is unknown.
	Idempotent, Keyed bool
	// KeyField is the input field that switches the key off when it is false.
	KeyField string
}

// UnknownUse is the error of a Catalogue that has no such trigger or action.
type UnknownUse struct {
	// Name is the `use` as it was written.
	Name string
	// Suggestion says what would be right; it may be empty.
	Suggestion string
	// Message says what there isn't: the connector, its plugin, or the member.
	Message string
}

// Error gives message and suggestion.
func (e *UnknownUse) Error() string {
	if e.Suggestion != "" {
		return e.Message + "; " + e.Suggestion
	}
	return e.Message
}
