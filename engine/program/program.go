// Package program is a graph that can run: document and specs made into one
// typed, compiled, immutable value, or into all the problems that stand in the
// way.
//
// It is not the run: it holds no state and may be shared by any number of
// goroutines. Its one rule: the same document, specs and evaluator give the
// same program, so it calls no clock and no randomness.
package program

import (
	"slices"
	"time"

	"github.com/tappet-dev/tappet/engine/expr"
	"github.com/tappet-dev/tappet/engine/graph"
)

// The roots of a mapping's scope, in the order of expr.Env.Values.
const (
	VarTrigger = iota // the event
	VarSteps          // steps.<id>: outputs
	VarStep           // step("<id>"): status, output, error, attempts
	VarRun            // id, started_at, attempt
	VarGraph          // name, version
	VarError          // kind, message, step, retryable, data: why the run failed; of on_failure alone
	NumVars
)

// A Program is one version of a graph, ready to run.
type Program struct {
	// Name is the graph's.
	Name    string
	Trigger Trigger
	Top     *List
	// Failure runs once when the run has failed; nil without on_failure (G15).
	Failure *List
	// Dedupe is nil when the trigger alone tells events apart.
	Dedupe *Dedupe
	// Timeout limits the run from its start, and Failure from its own.
	Timeout time.Duration
	// Slots is the number of steps; each has a slot for its output: those of Top
	// first, then those of Failure.
	Slots int
	// Limits bound each evaluation; they are those that it was built with.
	Limits expr.Limits
	// ByID finds a step.
	ByID map[string]*Step
}

// A Trigger says where events come from.
type Trigger struct {
	// Use is the connector and the trigger, in full: "webhook.webhook".
	Use string
	// Connection names what its requests are sent with; "": nothing is added.
	Connection string
	// Config is `with`, a JSON object; expressions have no place in it.
	Config []byte
	// Every is how often a poll is asked; 0 leaves it to the connector.
	Every time.Duration
	// Cron and TimeZone are when a poll is asked, in place of Every; empty: they
	// say nothing.
	Cron, TimeZone string
	// Event is the type of what it emits.
	Event *expr.Type
	// Filter gives a boolean: which events start a run; nil: all do. It sees the
	// event alone, as the first of expr.Env.Values, and so does Dedupe.Key.
	Filter *expr.Template
	// Members are the members of the event whose schemas the config holds; each
	// event is held against them.
	Members []Member
}

// Dedupe tells events apart.
type Dedupe struct {
	// Key gives a scalar, or null: then the trigger's own key counts; nil: it always
	// does.
	Key *expr.Template
	// Window is how long a key is known.
	Window time.Duration
}

// A Member is a member of the event, or of a step's output, that the graph's
// author has described.
type Member struct {
	Name   string
	Schema *graph.Checker
}

// A List is a sequence of steps with its order (semantics.md G1, G2).
type List struct {
	Steps []*Step
	// First are the indices of the steps without predecessors.
	First []int
}

// Verb is what a step does.
type Verb uint8

// The verbs.
const (
	Use Verb = iota
	Set
	Respond
)

// OnUnknown says what becomes of a call whose outcome isn't known (G21).
type OnUnknown uint8

// The policies.
const (
	// UnknownRetry sends it again with the same idempotency key.
	UnknownRetry OnUnknown = iota
	// UnknownFail ends the step as unknown.
	UnknownFail
)

// A Step is one step, compiled.
type Step struct {
	ID string
	// Pointer is the step's place in the document, a JSON pointer.
	Pointer string
	// Slot is the index of its output, unique in the program.
	Slot int
	// Preds and Succs are indices in the step's list.
	Preds, Succs []int

	// If is nil when the step always runs.
	If *expr.Template
	// Continue: on_error: continue (G9).
	Continue bool
	// Retry is nil when a failure is final.
	Retry *Retry
	// Timeout limits one attempt; 0: none of its own.
	Timeout time.Duration

	Verb Verb
	// Action is the connector and the action, in full: "http.post".
	Action string
	// Connection names what the action's requests are sent with; "": nothing is
	// added.
	Connection string
	OnUnknown  OnUnknown
	// Success is nil when the action says itself whether it succeeded.
	Success *Success
	// Paginate is nil when one call is all.
	Paginate *Paginate
	// With are the mapped fields of `use`, in written order.
	With []Field
	// Set is the value of `set`.
	Set *expr.Template
	// Answer is what `respond` gives.
	Answer Answer

	// Members are those of a call's output that have schemas of their own.
	Members []Member

	// Output is the type of what the step gives.
	Output *expr.Type
}

// Input is the type of what the step computes before it acts: the mapped
// fields of `use`, the value of `set`, the parts of `respond`.
func (s *Step) Input() *expr.Type {
	var props []expr.Prop
	add := func(name string, t *expr.Template) {
		if t != nil {
			props = append(props, expr.Prop{Name: name, Type: t.Type()})
		}
	}
	switch s.Verb {
	case Use:
		for _, f := range s.With {
			add(f.Name, f.Value)
		}
	case Set:
		if s.Set != nil {
			return s.Set.Type()
		}
	case Respond:
		add("status", s.Answer.Status)
		add("headers", s.Answer.Headers)
		add("body", s.Answer.Body)
	}
	return expr.ObjectOf(props, nil)
}

// A Field is one mapped field of an action's input.
type Field struct {
	Name  string
	Value *expr.Template
	// To is the type of the field in the action's schema when Value has secrets
	// in it, by which [expr.References] finds them; else nil.
	To *expr.Type
}

// Secrets gives the names of the secrets that the steps refer to, sorted.
func (p *Program) Secrets() []string {
	var names []string
	for _, s := range p.ByID {
		for _, f := range s.With {
			if f.To != nil {
				names = append(names, f.Value.Secrets()...)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Connections gives the names of the connections that trigger and steps name,
// sorted.
func (p *Program) Connections() []string {
	var names []string
	if p.Trigger.Connection != "" {
		names = append(names, p.Trigger.Connection)
	}
	for _, s := range p.ByID {
		if s.Connection != "" {
			names = append(names, s.Connection)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Answer is a compiled `respond`; each part may be nil.
type Answer struct {
	Status  *expr.Template // an integer from 200 to 599; nil: 200
	Headers *expr.Template // an object of strings
	Body    *expr.Template // any value; nil: null
}

// Retry is a step's policy of repeating (G7).
type Retry struct {
	// MaxAttempts counts the first one.
	MaxAttempts int
	// InitialInterval is the delay before the second attempt.
	InitialInterval time.Duration
	// Multiplier makes the next delay from the last.
	Multiplier float64
	// MaxInterval is the longest delay.
	MaxInterval time.Duration
	// Jitter is the share of a delay, 0 to 1, that is drawn from run and visit.
	Jitter float64
	// MaxElapsed is counted from the beginning of the first attempt; 0: no limit.
	MaxElapsed time.Duration
	// On lists the kinds that are repeated; empty: those that are retryable.
	On []string
}
