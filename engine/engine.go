package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tappet-dev/tappet/engine/expr"
	"github.com/tappet-dev/tappet/engine/graph"
)

// Limits bound what strangers send and how long is waited for it; zero fields
// mean the defaults.
type Limits struct {
	// Document limits graph documents.
	Document graph.Limits
	// Expr limits expressions. Lower ones hold for what is published and under
	// way, too.
	Expr expr.Limits
	// EventBytes limits one event; 0 means 16 MiB.
	EventBytes int
	// EventDepth limits the nesting of events and outputs; 0 means 160.
	EventDepth int
	// OutputBytes limits what an action gives; 0 means 16 MiB.
	OutputBytes int
	// HookWait is how long a webhook's caller waits for a run's answer; 0 means 30 s.
	HookWait time.Duration
	// CallTimeout limits a poll, a webhook trigger's own work and the test of a
	// step; 0 means 60 s.
	CallTimeout time.Duration
	// ProbeTimeout limits the check of a config, the choice of a field's options
	// and the trial of a connection; 0 means 10 s.
	ProbeTimeout time.Duration
	// InboxBody is how many bytes of a body the inbox keeps; 0 means 64 KiB.
	InboxBody int
	// InboxEvents is how many arrivals the inbox keeps; 0 means 50,000.
	InboxEvents int
	// InboxAge is how long it keeps them; 0 means 7 days.
	InboxAge time.Duration
	// MinEvery is the shortest interval of a poll; 0 means 1 s.
	MinEvery time.Duration
	// ProveEvery is how often each active graph is proved again; 0 means 1 min.
	ProveEvery time.Duration
	// TestEvery is how often each connection of active graphs is tried out at its
	// service; 0 means 15 min.
	TestEvery time.Duration
	// Programs is how many compiled versions are kept in memory; 0 means 1,024.
	Programs int
}

func (l Limits) withDefaults() Limits {
	def := func(p *int, v int) {
		if *p == 0 {
			*p = v
		}
	}
	dur := func(p *time.Duration, v time.Duration) {
		if *p == 0 {
			*p = v
		}
	}
	def(&l.EventBytes, 16<<20)
	def(&l.EventDepth, 160)
	def(&l.OutputBytes, 16<<20)
	def(&l.InboxBody, 64<<10)
	def(&l.InboxEvents, 50_000)
	dur(&l.InboxAge, 7*24*time.Hour)
	def(&l.Programs, 1024)
	dur(&l.HookWait, 30*time.Second)
	dur(&l.CallTimeout, time.Minute)
	dur(&l.ProbeTimeout, 10*time.Second)
	dur(&l.MinEvery, time.Second)
	dur(&l.ProveEvery, time.Minute)
	dur(&l.TestEvery, 15*time.Minute)
	return l
}

// Options are what an Engine is made of. The first block is required.
type Options struct {
	Graphs     GraphStore
	Versions   VersionStore
	Runner     Runner
	History    Historian
	Connectors Connectors
	Hosts      Hosts

	// Secrets gives what secret("name") refers to; nil: there are none.
	Secrets Secrets
	// Connections knows those that steps and triggers name; nil: there are none.
	Connections Connections
	// Files and Blobs keep the files of runs; nil: there are none, and runs can't
	// be deleted.
	Files FileStore
	Blobs Blobs

	// Inbox keeps what came in and what became of it; nil: nothing does.
	Inbox Inbox
	// Keys forgets the keys of events whose time is over; nil: they take room for
	// good.
	Keys KeyStore

	// Clock and IDs default to the system's.
	Clock  Clock
	IDs    IDs
	Log    *slog.Logger
	Limits Limits
}

// An Engine keeps graphs and turns events into runs. Make one with New.
type Engine struct {
	o        Options
	programs programCache
	scopes   scopeCache
	waiters  waiters
	refused  tally
	trials   trials
	waits    waits

	// upgrading is held by who replaces a connector; who publishes a draft reads
	// it, so that a version isn't made of both.
	upgrading sync.RWMutex

	// mu guards bindings, latest and stopped; routes is replaced whole under it and read
	// without.
	mu       sync.Mutex
	stopped  bool
	bindings map[GraphID]*binding
	// latest closes when a graph's newest source has ended.
	latest map[GraphID]chan struct{}
	routes atomic.Pointer[routeTable]
	// starting, guarded by mu, has the routes that Start has bound so far; nil else.
	// They are published together: a table for each would take too long.
	starting *routeTable
	// closed are the routes of graphs that were turned OFF a moment ago.
	closed closings

	stop    context.CancelFunc
	served  chan struct{}
	serveMu sync.Mutex
	serveEr error
	sources sync.WaitGroup
}

var _ Worker = (*Engine)(nil)

// New makes an engine; it does nothing before Start.
func New(o Options) (*Engine, error) {
	if o.Graphs == nil || o.Versions == nil || o.Runner == nil || o.History == nil || o.Connectors == nil || o.Hosts == nil {
		return nil, errors.New("make engine: stores, runner, connectors and hosts are required")
	}
	if o.Files == nil || o.Blobs == nil {
		o.Files, o.Blobs = noFiles{}, noFiles{}
	}
	if o.Clock == nil {
		o.Clock = SystemClock{}
	}
	if o.IDs == nil {
		o.IDs = RandomIDs{}
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	o.Limits = o.Limits.withDefaults()
	e := &Engine{o: o, bindings: map[GraphID]*binding{}, latest: map[GraphID]chan struct{}{}}
	e.programs.limit = o.Limits.Programs
	e.routes.Store(&routeTable{})
	return e, nil
}

// Start takes unfinished runs up again in the background, and returns when
// each active graph is bound, or known not to be ready: that is shown on the
// graph and doesn't keep the others from starting.
func (e *Engine) Start(ctx context.Context) error {
	e.serveMu.Lock()
	if e.stop != nil {
		e.serveMu.Unlock()
		return errors.New("start engine: it was started before")
	}
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	e.stop, e.served = stop, make(chan struct{})
	e.serveMu.Unlock()
	var tidying sync.WaitGroup
	if e.o.Keys != nil || e.o.Inbox != nil {
		tidying.Go(func() { e.tidy(run) })
	}
	tidying.Go(func() { e.watch(run) })
	if of, ok := e.o.Connections.(ConnectionTester); ok {
		tidying.Go(func() { e.tryAgain(run, of) })
	}
	go func() {
		defer close(e.served)
		defer tidying.Wait()
		if err := e.o.Runner.Serve(run, e); err != nil {
			e.o.Log.Error("runs can't be driven", "error", err)
			e.serveMu.Lock()
			e.serveEr = err
			e.serveMu.Unlock()
		}
	}()
	e.mu.Lock()
	e.starting = &routeTable{literal: map[string][]*route{}}
	e.mu.Unlock()
	defer func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.starting = nil
		e.publishRoutes()
	}()
	active := true
	cursor := ""
	for {
		page, err := e.o.Graphs.Graphs(ctx, GraphQuery{Active: &active, Limit: 200, Cursor: cursor})
		if err != nil {
			return fmt.Errorf("start engine: %w", err)
		}
		for _, g := range page.Graphs {
			e.rebind(ctx, g.ID)
		}
		if cursor = page.Next; cursor == "" {
			return nil
		}
	}
}

// Stop unbinds every trigger, lets runs finish or parks them, and returns when
// nothing of the engine runs any more. It is idempotent, and safe before Start.
func (e *Engine) Stop(ctx context.Context) error {
	e.mu.Lock()
	e.stopped = true // nothing is bound any more
	for id, b := range e.bindings {
		b.unbind()
		delete(e.bindings, id)
	}
	e.routes.Store(&routeTable{})
	e.mu.Unlock()
	e.serveMu.Lock()
	stop, served := e.stop, e.served
	e.serveMu.Unlock()
	if stop == nil {
		return nil
	}
	done := make(chan struct{})
	go func() {
		e.sources.Wait()
		stop()
		<-served
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		stop()
		return fmt.Errorf("stop engine: %w", ctx.Err())
	}
}

// Ready is nil when events can be accepted; otherwise it says why not. A graph
// that isn't ready doesn't make the engine so.
func (e *Engine) Ready(context.Context) error {
	e.serveMu.Lock()
	defer e.serveMu.Unlock()
	switch {
	case e.stop == nil:
		return errors.New("the engine isn't started")
	case e.serveEr != nil:
		return e.serveEr
	}
	if f, ok := e.o.Runner.(interface{ Failing() error }); ok {
		if err := f.Failing(); err != nil {
			return fmt.Errorf("the store can't be written: %w", err)
		}
	}
	return nil
}

// Connectors lists the connectors whose name, title, description, triggers or
// actions hold q, without case; all for "".
func (e *Engine) Connectors(q string) []Connector {
	var out []Connector
	for _, c := range e.o.Connectors.Connectors() {
		if matches(c, q) {
			out = append(out, c)
		}
	}
	return out
}

// Connector gives one connector.
func (e *Engine) Connector(name string) (Connector, error) { return e.o.Connectors.Connector(name) }
