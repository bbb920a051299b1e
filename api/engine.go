package api

import (
	"context"
	"encoding/json"
	"io"

	"github.com/tappet-dev/tappet/engine"
	"github.com/tappet-dev/tappet/engine/expr"
	"github.com/tappet-dev/tappet/engine/graph"
	"github.com/tappet-dev/tappet/sdk"
)

var _ Engine = (*engine.Engine)(nil)

// Engine is all that the API asks of *engine.Engine; each part is a small
// interface of its own. Errors carry an engine.Kind; one without is Internal.
// Everything is safe for concurrent use.
type Engine interface {
	Graphs
	Drafts
	Versions
	Switch
	Starter
	History
	Records
	Hooks
	Inbox
	Catalogue
	Probes
	Expressions
	Upgrades
	StepTests
	CredentialUses
}

// CredentialUses tells which graphs use connections and secrets.
type CredentialUses interface {
	CredentialUses(ctx context.Context) (engine.Credentials, error)
}

// Graphs keeps graphs by name.
type Graphs interface {
	CreateGraph(ctx context.Context, src []byte, f graph.Format) (engine.Graph, error)
	Graph(ctx context.Context, name string) (engine.Graph, error)
	// Graphs gives one page by name, and the cursor of the next, "" at the end.
	Graphs(ctx context.Context, q engine.GraphQuery) ([]engine.Graph, string, error)
	DeleteGraph(ctx context.Context, name string, force bool) error
}

// Drafts replaces and checks documents that aren't published.
type Drafts interface {
	PutDraft(ctx context.Context, name string, src []byte, f graph.Format) (engine.Graph, error)
	Validate(ctx context.Context, src []byte, f graph.Format) engine.Validation
	ValidateDraft(ctx context.Context, name string, sample engine.SampleEvent) (engine.Validation, error)
}

// Expressions tries expressions for editors.
type Expressions interface {
	Evaluate(ctx context.Context, q engine.Evaluation) (engine.Evaluated, error)
	Complete(ctx context.Context, q engine.Completing) (expr.Completion, error)
}

// Versions publishes drafts and gives what was published.
type Versions interface {
	Publish(ctx context.Context, name string) (engine.Version, error)
	Versions(ctx context.Context, name string) ([]engine.Version, error)
	Version(ctx context.Context, name string, number int) (engine.Version, error)
}

// Switch turns graphs ON and OFF.
type Switch interface {
	Activate(ctx context.Context, name string) (engine.Readiness, error)
	Deactivate(ctx context.Context, name string) error
}

// Starter starts, awaits and cancels runs.
type Starter interface {
	StartRun(ctx context.Context, name string, event json.RawMessage, key string) (engine.Accepted, error)
	// WaitRun returns when the run has ended or ctx ends, which is no error.
	WaitRun(ctx context.Context, id engine.RunID) (ended bool, err error)
	CancelRun(ctx context.Context, id engine.RunID) error
}

// History tells what runs did.
type History interface {
	Run(ctx context.Context, id engine.RunID) (engine.RunView, error)
	// Runs lists the runs of a graph, of all graphs when graphName is empty.
	Runs(ctx context.Context, graphName string, q engine.RunQuery) (engine.RunPage, error)
	GraphNames(ctx context.Context, ids []engine.GraphID) map[engine.GraphID]string
}

// Records keeps what runs leave: their files, and themselves.
type Records interface {
	// OpenFile gives a file of a run and its bytes, which the caller closes.
	OpenFile(ctx context.Context, run engine.RunID, id string) (engine.File, io.ReadSeekCloser, error)
	// DeleteRun removes a run that has ended, with its files.
	DeleteRun(ctx context.Context, id engine.RunID) error
}

// Upgrades tells what connectors are used for, and what other versions do.
type Upgrades interface {
	Uses(ctx context.Context, connector string) ([]engine.GraphUse, error)
	Impact(ctx context.Context, c engine.Connector) (engine.Impact, error)
	// Upgrade puts a new version into service by commit, together with the active
	// graphs that it serves, which are published anew; it gives their names.
	Upgrade(ctx context.Context, c engine.Connector, commit func(publish func() error) error) ([]string, error)
}

// Hooks takes the requests of webhooks.
type Hooks interface {
	// HookRoute tells how a request is to be taken, before its body is read.
	HookRoute(path, method string) (engine.HookRoute, error)
	// Hook is given the escaped path below /hooks/. When ctx ends, what was
	// accepted stays accepted.
	Hook(ctx context.Context, path string, r sdk.WebhookRequest) (engine.HookResult, error)
}

// Inbox tells what came in and what became of it.
type Inbox interface {
	// Arrivals lists what came in for a graph, for all graphs when graphName is empty.
	Arrivals(ctx context.Context, graphName string, q engine.ArrivalQuery) (engine.ArrivalPage, error)
	Arrival(ctx context.Context, id engine.RunID) (engine.Arrival, error)
	// Reinject starts a run of what came in, by the graph's newest version.
	Reinject(ctx context.Context, id engine.RunID) (engine.Accepted, error)
	// HookRefused keeps a request that was refused before its body was read, if it is
	// for a graph's path; reason is the type of the problem that its sender was told.
	HookRefused(ctx context.Context, path string, r sdk.WebhookRequest, reason, detail string)
}

// Catalogue lists the connectors that graphs can use.
type Catalogue interface {
	Connectors(q string) []engine.Connector
	Connector(name string) (engine.Connector, error)
}

// Probes ask connectors while somebody fills a form.
type Probes interface {
	// CheckConfig tries a config; that it doesn't work is no error.
	CheckConfig(ctx context.Context, connector string, config json.RawMessage) (engine.Checked, error)
	// ChooseOptions gives the values that a field may have.
	ChooseOptions(ctx context.Context, connector string, q engine.Choosing) ([]sdk.Option, error)
}

// StepTests tries single steps.
type StepTests interface {
	// TestStep carries a step out once; that it fails is no error.
	TestStep(ctx context.Context, q engine.StepTest) (engine.StepTested, error)
	// PreviewStep shows the request that a step would send.
	PreviewStep(ctx context.Context, q engine.StepTest, show func(engine.Preview) error) error
}

// An Authenticator knows tokens. It compares in constant time.
type Authenticator interface {
	Authenticate(token string) bool
}
