package engine

import (
	"context"
	"encoding/json"
	"time"

	"github.com/tappet-dev/tappet/engine/machine"
	"github.com/tappet-dev/tappet/engine/program"
)

// An Acceptance asks for one run, or only moves a source's mark.
type Acceptance struct {
	// Run is the id of the run to be; zero: no run, only Mark and Arrival.
	Run     RunID
	Graph   GraphID
	Version int
	// Key tells events of a graph apart; empty: every event is new.
	Key string
	// KeyUntil is when Key is forgotten; zero: never.
	KeyUntil time.Time
	// Event is a valid JSON document.
	Event json.RawMessage
	At    time.Time
	// Files are committed with the run; a duplicate gets none.
	Files []File
	// Arrival, if set, is committed in the same transaction; whether it became a
	// run or was a duplicate is the store's to say.
	Arrival *Arrival
	// Mark, if set, is committed in the same transaction.
	Mark *Mark
	// Unawaited: nobody waits for the run's end. A runner may write the end of such
	// a run that has nothing to do a moment later, together with others.
	Unawaited bool
}

// A Mark is the place that a source of events has reached.
type Mark struct {
	Graph GraphID
	// Trigger is the trigger's full name: another trigger starts anew.
	Trigger string
	Cursor  string
}

// Accepted tells which run an event has become.
type Accepted struct {
	Run RunID
	// Duplicate: the key was known, and Run is the one that had it first.
	Duplicate bool
}

// A Runner makes events into durable runs and drives them.
type Runner interface {
	// Accept returns when the runs are durable. Errors are of kind Overloaded
	// or Unavailable; then none of them was accepted.
	Accept(context.Context, []Acceptance) ([]Accepted, error)
	// Serve drives runs until ctx ends, then drains; it returns when nothing of
	// it runs any more. Unfinished runs of an earlier process are taken up first
	// to last.
	Serve(ctx context.Context, w Worker) error
	// Signal gives a fact to a run: a cancel, a callback. It returns when the
	// fact is durable and is idempotent. A run that has ended ignores it.
	Signal(context.Context, RunID, machine.Fact) error
	// Runs lists runs, newest first.
	Runs(context.Context, RunQuery) (RunPage, error)
}

// A Historian tells all that is recorded of one run.
type Historian interface {
	Journal(context.Context, RunID) (Run, []Record, error)
}

// A Worker does for a runner what isn't its business. It is safe for
// concurrent use.
type Worker interface {
	// Program gives a version of a graph.
	Program(context.Context, GraphID, int) (*program.Program, error)
	// Perform carries out one attempt of an action and returns its outcome; it
	// ends soon after ctx does.
	Perform(context.Context, Job) Outcome
	// Answer hands on what a `respond` step gives.
	Answer(RunID, *machine.Answer)
	// Ended tells that a run is over, durably.
	Ended(RunID, *machine.End)
}

// A Job is one attempt of an effect of a run.
type Job struct {
	Run     RunID
	Graph   GraphID
	Version int
	Effect  *machine.Effect
}

// An Outcome is what became of a Job.
type Outcome struct {
	// Output is a valid JSON value; nil means null. With an error it is nil,
	// the failed call's result is in Err.Data.
	Output    json.RawMessage
	Err       *machine.Error
	Exchanges []Exchange
	// Warnings are what the connector has said at level warn, the first ones of
	// the attempt, without secrets.
	Warnings []string
	// Files are what the call has kept; nil with an error.
	Files []File
	// Release, if set, is called once, when the outcome is durable or was dropped:
	// until then the bytes of Files are held.
	Release func()
}

// An Exchange is one HTTP request that a connector made, as its host saw it.
type Exchange struct {
	Method string `json:"method"`
	// URL is without user info.
	URL    string `json:"url"`
	Status int    `json:"status,omitempty"`
	// Started is when the request began.
	Started time.Time `json:"started_at"`
	// The durations are in microseconds, 0 when there was no such part. Waited
	// is how long it waited for its turn at the host, and WaitReason why: a word.
	Waited     int64  `json:"waited_us,omitempty"`
	WaitReason string `json:"wait_reason,omitempty"`
	DNS        int64  `json:"dns_us,omitempty"`
	Connect    int64  `json:"connect_us,omitempty"`
	TLS        int64  `json:"tls_us,omitempty"`
	FirstByte  int64  `json:"first_byte_us,omitempty"`
	Total      int64  `json:"total_us"`
	// Reused: the connection was there already.
	Reused bool `json:"reused,omitempty"`
	// Sent and Received are bytes of the bodies.
	Sent     int64 `json:"sent,omitempty"`
	Received int64 `json:"received,omitempty"`
	// Redirects are the URLs that were followed, in order.
	Redirects []string `json:"redirects,omitempty"`
	// Error is why there is no status, or why the body broke off.
	Error string `json:"error,omitempty"`
}

// A Run is one run of a graph, as lists show it.
type Run struct {
	ID      RunID
	Graph   GraphID
	Version int
	State   machine.State
	// Key is the de-duplication key, if the event had one.
	Key        string
	Attempt    int
	AcceptedAt time.Time
	// EndedAt is zero while the run is open.
	EndedAt time.Time
	// Err is set when it failed.
	Err *machine.Error
	// Event is only there when the run was asked for by id.
	Event json.RawMessage
}

// A RunQuery selects runs; zero fields select all.
type RunQuery struct {
	Graph  GraphID
	States []machine.State
	// From and To bound AcceptedAt: From ≤ t < To.
	From, To time.Time
	// Limit is from 1 to 200; 0 means 50.
	Limit int
	// Cursor is RunPage.Next of the page before.
	Cursor string
}

// A RunPage is one page of a list, newest first.
type RunPage struct {
	Runs []Run
	// Next is empty on the last page.
	Next string
}
