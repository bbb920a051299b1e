package machine

import (
	"encoding/json"
	"time"

	"github.com/tappet-dev/tappet/engine/expr"
)

// Millis is a time in milliseconds since 1970 UTC.
type Millis int64

// Key names a visit or a timer of a run (semantics.md, The machine): "entry",
// "entry#2" (second attempt), "entry#2!again" (the wait before it), "!limit"
// (of the run); in on_failure "!failure/notice", "!failure!limit".
type Key string

// A Fact is something that has happened to a run. A fact whose key isn't open
// for its kind changes nothing.
type Fact struct {
	Key Key
	At  Millis
	Of  FactOf
}

// FactOf is what a fact says: *Accepted, *Settled, *Fired or *Cancel.
type FactOf interface{ fact() }

// Accepted starts the run with its event.
type Accepted struct{ Event json.RawMessage }

// Settled is the outcome of an effect.
type Settled struct {
	// Output is a JSON value; nil means null.
	Output json.RawMessage
	// Err is nil when the effect succeeded.
	Err *Error
	// Input is the Effect's digest; 0 isn't checked. Another one than the
	// machine computed ends the run with kind changed_program.
	Input uint64
}

// Fired says that a timer has run out.
type Fired struct{}

// Cancel ends the run.
type Cancel struct{}

func (*Accepted) fact() {}
func (*Settled) fact()  {}
func (*Fired) fact()    {}
func (*Cancel) fact()   {}

// A Command is what the driver has to do: *Effect, *Timer, *Answer, *Withdraw
// or *End. It may leave only after the fact that caused it is durable.
type Command interface{ command() }

// Effect asks for one attempt of an action; a Settled with its key is owed.
type Effect struct {
	Key Key
	// Step is the step's id.
	Step string
	// Action is "connector.action".
	Action string
	// Idempotency is the visit's key, the same for each attempt.
	Idempotency string
	// Attempt counts from 1.
	Attempt int
	Input   []Field
	// Digest is of Action and Input.
	Digest uint64
	// Timeout limits the attempt; 0: none.
	Timeout time.Duration
	// FailUnknown: an unknown outcome isn't repeated (on_unknown: fail).
	FailUnknown bool
	// Scene is for what the step says about its results; nil: it says nothing,
	// and the attempt is one call whose action says whether it succeeded.
	Scene *Scene
}

// A Field is a name and its JSON value.
type Field struct {
	Name  string
	Value json.RawMessage
	// To is the type by which [expr.References] finds the secrets that Value
	// refers to; nil: it refers to none. It is the program's.
	To *expr.Type
}

// Timer asks for a Fired with its key after a delay.
type Timer struct {
	Key   Key
	Delay time.Duration
}

// Answer is for the caller of the webhook who waits; nothing comes back. Only
// the first of a run is given.
type Answer struct {
	Key    Key
	Status int
	// Headers are name and value, in the mapped order.
	Headers [][2]string
	Body    json.RawMessage
}

// Withdraw takes a command back: a timer is forgotten; an effect is cut short,
// and its Settled is still owed within 2 s.
type Withdraw struct{ Key Key }

// End is the last command.
type End struct {
	State  State
	Result json.RawMessage
	Err    *Error
}

func (*Effect) command()   {}
func (*Timer) command()    {}
func (*Answer) command()   {}
func (*Withdraw) command() {}
func (*End) command()      {}

// State is the state of a run.
type State string

// The states of a run.
const (
	Queued    State = "queued"
	Running   State = "running"
	Waiting   State = "waiting"
	Succeeded State = "succeeded"
	Failed    State = "failed"
	Cancelled State = "cancelled"
)

// Ended says whether the run is over.
func (s State) Ended() bool { return s == Succeeded || s == Failed || s == Cancelled }

// Status is the state of a step.
type Status string

// The states of a step.
const (
	StepPending   Status = "pending"
	StepRunning   Status = "running"
	StepRetrying  Status = "retrying"
	StepSucceeded Status = "succeeded"
	StepFailed    Status = "failed"
	StepUnknown   Status = "unknown"
	StepSkipped   Status = "skipped"
	StepCancelled Status = "cancelled"
)

// Kinds of errors that the machine itself makes; all others are the
// connector's (sdk.Kind).
const (
	KindExpression     = "expression"
	KindTimeout        = "timeout"
	KindUnknown        = "unknown"
	KindCancelled      = "cancelled"
	KindLimit          = "limit"
	KindChangedProgram = "changed_program"
)

// An Error is why a step or a run failed.
type Error struct {
	Kind    string `json:"kind"`
	Message string `json:"message"`
	// Step is the id of the step that failed.
	Step string `json:"step,omitempty"`
	// Pointer is the place in the document, for an expression's error.
	Pointer   string `json:"pointer,omitempty"`
	Retryable bool   `json:"retryable"`
	// RetryAfter is in milliseconds.
	RetryAfter int64 `json:"retry_after_ms,omitempty"`
	// Data is the failed call's result, a JSON value.
	Data json.RawMessage `json:"data,omitempty"`
}

func (e *Error) Error() string { return e.Kind + ": " + e.Message }

// Run is what the machine knows of the run it is.
type Run struct {
	// ID is the run's, as text.
	ID string
	// Version is the graph's.
	Version int
	// Attempt is 1, and one more for each retry by hand.
	Attempt int
}

// A StepView is a step as the history shows it.
type StepView struct {
	ID string
	// OnFailure: the step is of on_failure, which starts only if the run fails.
	OnFailure bool
	Status    Status
	Handled   bool
	// Attempts is how many were begun.
	Attempts int
	Output   json.RawMessage
	Err      *Error
	// Warnings tell people what isn't as the author may think.
	Warnings []string
	// Started and Ended are 0 while they haven't happened.
	Started, Ended Millis
}
