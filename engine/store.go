package engine

import (
	"context"
	"encoding/json"
	"time"

	"github.com/tappet-dev/tappet/engine/graph"
	"github.com/tappet-dev/tappet/engine/machine"
)

// An Entry is one thing to be written: *Begin, *Append, *Finish, *Keep,
// *Receive or *Move.
type Entry interface{ entry() }

// Begin creates a run with its event.
type Begin struct {
	Run Run
	// KeyUntil is when the run's key is forgotten; zero: never.
	KeyUntil time.Time
	// Existing is set by the store when the graph has seen the run's key, and hadn't
	// to forget it by Run.AcceptedAt: then nothing is written for this entry.
	Existing RunID
}

// Append adds a record to a run's journal. A record whose run, path and kind
// are there already changes nothing.
type Append struct {
	Run RunID
	// Seq counts the run's records from 1: their order.
	Seq    int
	Record Record
}

// Finish ends a run.
type Finish struct {
	Run   RunID
	State machine.State
	At    time.Time
	Err   *machine.Error
}

// Keep gives a run files. It writes nothing for a run that isn't there: an event
// that was a duplicate.
type Keep struct {
	Run   RunID
	Files []File
}

// Receive keeps what came in.
type Receive struct {
	Arrival *Arrival
	// Begin, if set, is the entry before it that says what became of it: a run, or a
	// duplicate.
	Begin *Begin
}

// Move sets a source's mark.
type Move struct{ Mark Mark }

func (*Begin) entry()   {}
func (*Append) entry()  {}
func (*Finish) entry()  {}
func (*Keep) entry()    {}
func (*Receive) entry() {}
func (*Move) entry()    {}

// A JournalStore keeps runs. It is safe for concurrent use.
type JournalStore interface {
	// Commit writes the entries in their order, in one transaction, and returns
	// when they are on disk. On an error nothing was written.
	Commit(context.Context, []Entry) error
	// Journal gives a run and its records, in the order of their writing.
	Journal(context.Context, RunID) (Run, []Record, error)
	// Open lists runs that have not ended, oldest first, after a given one.
	Open(ctx context.Context, after RunID, limit int) ([]RunID, error)
	// Runs lists runs, newest first.
	Runs(context.Context, RunQuery) (RunPage, error)
}

// A KeyStore forgets the keys of events whose time is over.
type KeyStore interface {
	// ForgetKeys forgets up to limit keys whose time was over before a moment, and
	// gives how many it has forgotten.
	ForgetKeys(ctx context.Context, before time.Time, limit int) (int, error)
}

// A StoredGraph is a graph as the store keeps it.
type StoredGraph struct {
	ID          GraphID
	Name        string
	Description string
	Labels      map[string]string
	// Draft is the document as it was given.
	Draft       []byte
	DraftFormat graph.Format
	// Version is the newest published one, 0 when there is none.
	Version int
	// Active is whether the graph is ON: that it is meant to be.
	Active               bool
	CreatedAt, UpdatedAt time.Time
}

// A Version is a published graph, immutable.
type Version struct {
	Graph  GraphID
	Number int
	// Document is canonical JSON.
	Document json.RawMessage
	// Digest is of the document (graph.Document.Digest), hex.
	Digest string
	// Evaluator is expr.Version when it was published.
	Evaluator int
	// Specs are the specs it was built with, so that it can be built again
	// when a plugin has gone or changed.
	Specs       Specs
	PublishedAt time.Time
}

// A GraphQuery selects graphs.
type GraphQuery struct {
	// Text is looked for in name and description, without case.
	Text string
	// Active selects by ON or OFF; nil: both.
	Active *bool
	Limit  int
	Cursor string
}

// A GraphPage is one page of graphs by name, without their drafts.
type GraphPage struct {
	Graphs []StoredGraph
	Next   string
}

// A GraphStore keeps graphs and versions. Errors are of kind NotFound or
// Conflict where a name is missing or taken.
type GraphStore interface {
	CreateGraph(context.Context, StoredGraph) (GraphID, error)
	// UpdateGraph replaces name, description, labels and draft.
	UpdateGraph(context.Context, StoredGraph) error
	GraphByName(ctx context.Context, name string) (StoredGraph, error)
	GraphByID(context.Context, GraphID) (StoredGraph, error)
	Graphs(context.Context, GraphQuery) (GraphPage, error)
	// DeleteGraph hides the graph and frees its name; its runs stay.
	DeleteGraph(context.Context, GraphID, time.Time) error
	// SetActive turns a graph on or off.
	SetActive(ctx context.Context, id GraphID, active bool) error
}

// A VersionStore keeps what was published, and where sources stand.
type VersionStore interface {
	// AddVersion appends the next version; Version.Number is the store's to
	// give and must follow the newest one.
	AddVersion(context.Context, Version) (int, error)
	// AddVersions appends the next version of each graph, in one transaction: all
	// or, on an error, none. A graph that was deleted is left out.
	AddVersions(context.Context, []Version) error
	Version(context.Context, GraphID, int) (Version, error)
	// Versions lists numbers, digests and times, newest first, no documents.
	Versions(context.Context, GraphID) ([]Version, error)
	// Mark gives a source's place, "" when it has none.
	Mark(ctx context.Context, g GraphID, trigger string) (string, error)
	// State gives what a trigger keeps under key for a graph, nil if there is none.
	State(ctx context.Context, g GraphID, trigger, key string) ([]byte, error)
	// SetState keeps value under key, on disk when it returns; an empty value
	// forgets the key. If keys and values of the trigger and graph would have
	// more than limit bytes together, it changes nothing: an Error of kind
	// TooLarge.
	SetState(ctx context.Context, g GraphID, trigger, key string, value []byte, limit int) error
}

// A DigestStore tells which plugins stored versions call.
type DigestStore interface {
	// Digests gives the digests of the plugins that open runs may call, whatever
	// their version, and those of each graph's newest version. One that is only
	// called by graphs that are OFF is false, the others are true.
	Digests(context.Context) (map[string]bool, error)
}

// Specs are the specs of the trigger and actions that a version uses, by the
// name that its document gives.
type Specs struct {
	Trigger TriggerSpec           `json:"trigger"`
	Actions map[string]ActionSpec `json:"actions,omitempty"`
	// Digests are of the plugins' artefacts, by connector; built-ins have none.
	Digests map[string]string `json:"digests,omitempty"`
}

// TriggerSpec is what a version remembers of its trigger.
type TriggerSpec struct {
	Use    string          `json:"use"`
	Kind   string          `json:"kind"`
	Config json.RawMessage `json:"config,omitempty"`
	Event  json.RawMessage `json:"event,omitempty"`
}

// ActionSpec is what a version remembers of an action.
type ActionSpec struct {
	Use        string          `json:"use"`
	Input      json.RawMessage `json:"input,omitempty"`
	Output     json.RawMessage `json:"output,omitempty"`
	Literal    []string        `json:"literal,omitempty"`
	Idempotent bool            `json:"idempotent,omitempty"`
	Keyed      bool            `json:"keyed,omitempty"`
	KeyField   string          `json:"key_field,omitempty"`
}
