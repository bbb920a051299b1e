package engine

import (
	"encoding/json"
	"time"

	"github.com/tappet-dev/tappet/engine/machine"
	"github.com/tappet-dev/tappet/sdk"
)

// A Graph is a graph as its users see it.
type Graph struct {
	StoredGraph
	// Problems are those of the draft, warnings too.
	Problems []Problem
	// Readiness is of an active graph; nil when it is OFF.
	Readiness *Readiness
}

// Readiness tells whether an active graph really is: ON is shown only while
// each check holds.
type Readiness struct {
	Ready  bool
	Checks []Check
	// Since is when Ready became what it is, as far as this process knows; zero
	// while the graph is OFF.
	Since time.Time
}

// A Check is one part of readiness that was proved or wasn't.
type Check struct {
	// Part is "version", "connector", "secret", "connection", "trigger", "route" or
	// "source".
	Part string
	OK   bool
	// Detail says what was found, and what to do when it isn't OK.
	Detail string
}

// A RunView is one run with its steps.
type RunView struct {
	Run
	// GraphName is empty when the graph is gone.
	GraphName string
	// Result is the output of the last step, when it has succeeded.
	Result json.RawMessage
	Steps  []StepView
}

// A StepView is a step of a run with its attempts.
type StepView struct {
	machine.StepView
	Use      string
	Attempts []Attempt
	// Mapping tells what the fields of the action's input were made from; it is
	// empty until the step has begun.
	Mapping []Mapped
}

// An Attempt is one try of an action.
type Attempt struct {
	// Number counts from 1; an attempt in doubt bears the number of the one
	// that followed it.
	Number int
	// State is "running", "succeeded", "failed" or "in_doubt".
	State     string
	StartedAt time.Time
	// EndedAt is zero while it runs or when it isn't known.
	EndedAt   time.Time
	Err       *machine.Error
	Exchanges []Exchange
	// Warnings are what the connector said at level warn.
	Warnings []string
	// Waiting is why a running one waits for its turn, "" if it doesn't.
	Waiting string
}

// A HookResult is the answer to a webhook's caller.
type HookResult struct {
	// Run is zero when the request became no event.
	Run       RunID
	Duplicate bool
	// Filtered: the graph's filter let none of its events start a run.
	Filtered bool
	// Answer is what the trigger, the run's `respond` or its end gives; nil: the
	// run goes on, and the caller is told where.
	Answer *sdk.Answer
}

// A Validation is what is known of a document.
type Validation struct {
	// Problems includes warnings; OK says that none is more than that.
	Problems []Problem
	OK       bool
	// Trigger is the type of the event, and Steps are the types of the steps, by
	// id, all of them JSON Schemas; only for what could be compiled.
	Trigger json.RawMessage
	Steps   map[string]StepTypes
	// Inferred: what the trigger's schema leaves open is inferred from a sample
	// event. It counts for the types; what it makes a problem is a warning.
	Inferred bool
}

// StepTypes are what goes into a step and what comes out of it.
type StepTypes struct{ Input, Output json.RawMessage }

// A Mapped is one place of what a step computes, and what it is made from.
type Mapped struct {
	// Pointer leads to the place in the step's input, from the name of the field.
	Pointer string
	// Expression is the source of the place, a text with ${{ }} in it perhaps.
	Expression string
	// Reads are the paths that it may read, such as trigger.body.task.title.
	Reads []string
}
