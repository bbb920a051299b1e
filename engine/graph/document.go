// Package graph is the document in which a graph is written: read strictly
// from YAML or JSON, checked in its structure, written back without loss.
//
// It is not the meaning of a graph: it knows no connector and compiles no
// expression (package program does). Its one rule: it is pure, and what it
// refuses it refuses by name, with all problems at once, each with its place.
package graph

import "time"

// Version is the document format that this package reads and writes.
const Version = 1

// DefaultTimeout limits a run whose graph sets no timeout (semantics.md G14).
const DefaultTimeout = 30 * 24 * time.Hour

// MaxDuration is the longest duration that a document may hold.
const MaxDuration = 366 * 24 * time.Hour

// A Document is one graph as it was written: no default is filled in. It is
// not changed after Parse and may be shared.
type Document struct {
	// Format is the document's format, 1 also when it was left out.
	Format int
	// Name is [a-z0-9-], not starting with a dash.
	Name string
	// Description is plain text for people.
	Description string
	// Labels are for finding graphs; nil when there are none.
	Labels map[string]string
	// Trigger says what starts a run.
	Trigger Trigger
	// Steps are in written order.
	Steps []Step
	// OnFailure are the steps that run when the run has failed, in written order
	// (semantics.md G15); nil when there are none.
	OnFailure []Step
	// Dedupe tells events apart; nil: as the trigger does.
	Dedupe *Dedupe
	// Timeout limits a run from its start; 0: DefaultTimeout.
	Timeout time.Duration
	// Layout holds the positions of an editor's boxes, any value; nil when there
	// is none. It never changes what the graph means.
	Layout *Value

	source source
	broken bool
}

// Broken says whether Parse found problems, so that parts may be missing.
func (d *Document) Broken() bool { return d.broken }

// Pos is a place in the source; both count from 1, columns in characters.
// 0 means unknown.
type Pos struct{ Line, Column int }

// A Trigger says where events come from.
type Trigger struct {
	// Use is the connector, or the connector and its trigger with a dot between.
	Use string
	// With is the trigger's config, an object, or nil.
	With *Value
	// Connection names what its requests are sent with; "": nothing is added.
	Connection string
	// Filter is a text or a boolean: which events start a run; nil: all do.
	Filter *Value
	// Every is how often a poll is asked; 0 leaves it to the connector.
	Every time.Duration
	// Cron is when a poll is asked, in place of Every: a cron expression in
	// TimeZone, an IANA name, UTC if it is empty. Both are as they were given.
	Cron, TimeZone string
	// Pos is where the trigger stands; the others are where the values of its
	// keys do.
	Pos, UsePos, ConnectionPos, EveryPos, CronPos, TimeZonePos Pos
}

// DefaultWindow is how long the key of an event is known when the graph doesn't
// say so.
const DefaultWindow = 24 * time.Hour

// Dedupe tells events apart by a key: of those that have the same within a
// window, the first one starts a run.
type Dedupe struct {
	// Key is a text, an expression; nil: the key that the trigger gives.
	Key *Value
	// Window is counted from the first of them; 0: DefaultWindow.
	Window time.Duration
}

// Verb is what a step does.
type Verb uint8

// The verbs.
const (
	// NoVerb is of a step that has none or more than one, which is a problem.
	NoVerb Verb = iota
	VerbUse
	VerbSet
	VerbRespond
)

// String gives the key under which the verb is written.
func (v Verb) String() string {
	switch v {
	case VerbUse:
		return "use"
	case VerbSet:
		return "set"
	case VerbRespond:
		return "respond"
	case NoVerb:
	}
	return ""
}

// A Step is one step: its verb, and its modifiers.
type Step struct {
	// ID is [a-z][a-z0-9_]*, unique in the graph.
	ID string
	// After are the ids of the predecessors, steps of the same list; it counts
	// only if AfterSet. Left out, the step follows the one above (G1).
	After    []string
	AfterSet bool
	// If is a text or a boolean; nil: the step always runs.
	If *Value

	Verb Verb
	// Use is the connector and its action, as Trigger.Use (verb use).
	Use string
	// Connection names what its requests are sent with (verb use); "": nothing is
	// added.
	Connection string
	// With is the action's input, an object, or nil (verb use).
	With *Value
	// OnUnknown is "", "retry" or "fail" (verb use, G21).
	OnUnknown string
	// SuccessWhen is a text or a boolean: whether a result is a success (verb
	// use); nil: as the action says.
	SuccessWhen *Value
	// Paginate is nil when one call is all (verb use).
	Paginate *Paginate
	// Set is the value (verb set).
	Set *Value
	// Respond is the answer (verb respond).
	Respond *Respond

	// OnError is "", "fail" or "continue" (G9).
	OnError string
	// Retry is nil when a failure is final.
	Retry *Retry
	// Timeout limits one attempt; 0: none.
	Timeout time.Duration

	// Pointer is the step's JSON pointer, such as "/steps/0" or "/on_failure/0".
	Pointer string
	// Pos, UsePos and ConnectionPos are where the step and the values of its keys
	// stand.
	Pos, UsePos, ConnectionPos Pos
}

// Respond is the answer to the waiting caller; nil parts were left out.
type Respond struct {
	// Status is an integer or a text; left out: 200.
	Status *Value
	// Headers is an object or a text.
	Headers *Value
	// Body is any value; left out: null.
	Body *Value
}

// The defaults of Retry's fields.
const (
	DefaultMaxAttempts     = 3
	DefaultInitialInterval = time.Second
	DefaultMultiplier      = 2.0
	DefaultMaxInterval     = 5 * time.Minute
	DefaultJitter          = 0.1
)

// The limits of Retry's fields.
const (
	MaxAttempts   = 1000
	MaxMultiplier = 100.0
)

// Retry is a step's policy of repeating (G7). A field that is zero, or nil, was
// left out and has its default.
type Retry struct {
	// MaxAttempts counts the first one: 1 to MaxAttempts; DefaultMaxAttempts.
	MaxAttempts int
	// InitialInterval is the delay before the second attempt;
	// DefaultInitialInterval.
	InitialInterval time.Duration
	// Multiplier makes the next delay from the last: 1 to MaxMultiplier;
	// DefaultMultiplier.
	Multiplier *float64
	// MaxInterval is the longest delay; DefaultMaxInterval.
	MaxInterval time.Duration
	// Jitter is the share of a delay that is drawn: 0 to 1; DefaultJitter.
	Jitter *float64
	// MaxElapsed is counted from the first attempt's beginning; no limit.
	MaxElapsed time.Duration
	// On lists the kinds of errors that are repeated; those that are retryable.
	On []string
}
