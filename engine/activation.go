package engine

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tappet-dev/tappet/engine/program"
	"github.com/tappet-dev/tappet/sdk"
)

// A binding is an active graph in this process: the version that events start,
// and the route or source that they come by.
type binding struct {
	graph   StoredGraph
	version int
	// at is the version, nil when it couldn't be loaded.
	at *compiled
	// digest is of the trigger's connector.
	digest string
	route  *route
	// connections are those that it names, and asks is the one of its source.
	connections []string
	asks        string
	// cancel ends a source; nil when there is none.
	cancel context.CancelFunc

	mu sync.Mutex
	// fixed are the checks that were made when it was last proved.
	fixed []Check
	// fault is the source's last failure, "" while it works.
	fault string
	// ready is how it stood when it was last looked at, and since is when that
	// began; zero: nobody has looked.
	ready bool
	since time.Time
}

func (b *binding) setFault(s string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fault = s
}

// unbind stops a source at once: an event that comes in later is dropped
// before it is accepted.
func (b *binding) unbind() {
	if b.cancel != nil {
		b.cancel()
	}
}

// plan is what has to hold before a graph may be bound.
type plan struct {
	version *compiled
	prog    *program.Program
	conn    Connector
	trigger *sdk.Trigger
	route   *route
	checks  []Check
	// connections are those that the graph names. They are no part of checks: an
	// event is taken though its run may have to wait for somebody to authorise one.
	connections []string
}

func (p *plan) ok(part, format string, args ...any) {
	p.checks = append(p.checks, Check{Part: part, OK: true, Detail: fmt.Sprintf(format, args...)})
}

func (p *plan) bad(part, format string, args ...any) {
	p.checks = append(p.checks, Check{Part: part, Detail: fmt.Sprintf(format, args...)})
}

func (p *plan) ready() bool {
	return !slices.ContainsFunc(p.checks, func(c Check) bool { return !c.OK })
}

// prove checks all that an active graph needs. It is called under mu.
func (e *Engine) prove(ctx context.Context, g StoredGraph) *plan {
	p := &plan{}
	var err error
	if p.version, err = e.compiled(ctx, g.ID, g.Version); err != nil {
		p.bad("version", "version %d can't be loaded: %v", g.Version, err)
		return p
	}
	e.proveParts(p, g, func(name string) error { return e.known(ctx, name) })
	return p
}

// proveParts checks what a version needs; secret says why a secret isn't there.
// It is called under mu.
func (e *Engine) proveParts(p *plan, g StoredGraph, secret func(name string) error) {
	p.prog = p.version.program
	p.ok("version", "version %d", g.Version)
	p.connections = p.prog.Connections()
	e.proveActions(p)
	proveSecrets(p, p.prog.Secrets(), secret)
	var member string
	var err error
	if p.conn, member, err = p.version.at(e.o.Connectors, p.prog.Trigger.Use); err != nil {
		p.bad("trigger", "%v", err)
		return
	}
	if p.trigger, err = findTrigger(p.conn, p.prog.Trigger.Use, member); err != nil {
		p.bad("trigger", "%v; publish the graph again after mending it", err)
		return
	}
	p.ok("trigger", "%s is there", p.prog.Trigger.Use)
	proveSecrets(p, secretsOf(p.trigger, p.prog.Trigger.Config), secret)
	if p.trigger.Kind == sdk.KindWebhook {
		e.proveRoute(p, g)
	}
}

// proveActions checks that each action's connector is there.
func (e *Engine) proveActions(p *plan) {
	uses := map[string]bool{}
	for _, s := range p.prog.ByID {
		if s.Verb == program.Use {
			uses[s.Action] = true
		}
	}
	for _, use := range slices.Sorted(maps.Keys(uses)) {
		c, member, err := p.version.at(e.o.Connectors, use)
		if err == nil {
			_, err = findAction(c, use, member)
		}
		if err != nil {
			p.bad("connector", "%v", err)
			continue
		}
		p.ok("connector", "%s is there", use)
	}
}

// proveSecrets checks that each secret is there.
func proveSecrets(p *plan, names []string, secret func(name string) error) {
	for _, name := range names {
		if err := secret(name); err != nil {
			p.bad("secret", "%v", err)
			continue
		}
		p.ok("secret", "%s is there", name)
	}
}

func (e *Engine) proveRoute(p *plan, g StoredGraph) {
	r, err := newRoute(g, p)
	if err != nil {
		p.bad("route", "%v", err)
		return
	}
	routes := e.routes.Load()
	if e.starting != nil {
		routes = e.starting
	}
	if other := routes.rival(r); other != nil {
		p.bad("route", "%s", contested(r, other))
		return
	}
	p.route = r
	p.ok("route", "%s /hooks/%s", strings.Join(r.methods, ", "), r.path)
}

// Activate turns a graph ON, or proves it again when it is. Nothing is changed
// unless all checks hold; the Conflict names those that don't. Its connections
// are tried out at their services, where they can be.
func (e *Engine) Activate(ctx context.Context, name string) (Readiness, error) {
	of, _ := e.o.Connections.(ConnectionTester)
	tried := map[string]error{}
	for {
		r, untried, err := e.activate(ctx, name, of != nil, tried)
		if untried == nil {
			return r, err
		}
		for i, err := range e.tryConnections(ctx, of, untried) {
			tried[untried[i]] = err
		}
	}
}

// activate is Activate with what came out of the trials of connections; it gives
// back the connections that have to be tried first.
func (e *Engine) activate(ctx context.Context, name string, try bool, tried map[string]error) (r Readiness, untried []string, err error) {
	op := "activate " + name
	e.mu.Lock()
	defer e.mu.Unlock()
	// Read under mu: of two who activate and publish at once, the later binds
	// the newer version.
	g, err := e.published(ctx, op, name)
	if err != nil {
		return Readiness{}, nil, err
	}
	p := e.prove(ctx, g)
	for _, name := range p.connections {
		if _, ok := tried[name]; try && !ok {
			untried = append(untried, name)
		}
	}
	if untried != nil {
		return Readiness{}, untried, nil
	}
	fixed := p.checks
	p.checks = append(slices.Clone(fixed), e.proveConnections(ctx, p.connections)...)
	for i, name := range p.connections {
		if err := tried[name]; err != nil {
			p.checks[len(fixed)+i] = Check{Part: "connection", Detail: err.Error()}
		}
	}
	if !p.ready() {
		err := &Error{Kind: Conflict, Op: op}
		for _, c := range p.checks {
			if !c.OK {
				err.Problems = append(err.Problems, Problem{Code: "not_ready", Message: c.Part + ": " + c.Detail})
			}
		}
		return Readiness{Checks: p.checks}, nil, err
	}
	if err := e.o.Graphs.SetActive(ctx, g.ID, true); err != nil {
		return Readiness{}, nil, err
	}
	g.Active = true
	all := p.checks
	p.checks = fixed
	e.bind(g, p)
	since := e.look(ctx, e.bindings[g.ID]).Since
	return Readiness{Ready: true, Checks: all, Since: since}, nil, nil
}

// Deactivate turns a graph OFF: no event starts a run any more when it
// returns. Running runs finish.
func (e *Engine) Deactivate(ctx context.Context, name string) error {
	g, err := e.o.Graphs.GraphByName(ctx, name)
	if err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.o.Graphs.SetActive(ctx, g.ID, false); err != nil {
		return err
	}
	if b := e.bindings[g.ID]; b != nil {
		b.unbind()
		delete(e.bindings, g.ID)
		if b.route != nil {
			e.closed.add(b.route, e.now())
		}
		e.publishRoutes()
	}
	return nil
}

// Rebind proves active graphs anew, after a plugin has come, changed or gone.
func (e *Engine) Rebind(ctx context.Context) {
	e.scopes.forget()
	e.mu.Lock()
	ids := slices.Collect(maps.Keys(e.bindings))
	e.mu.Unlock()
	for _, id := range ids {
		e.rebind(ctx, id)
	}
}

// rebind binds a graph as far as it goes, if it is ON: as the store has it
// under mu, whatever the caller has read before.
func (e *Engine) rebind(ctx context.Context, id GraphID) {
	e.mu.Lock()
	defer e.mu.Unlock()
	g, err := e.o.Graphs.GraphByID(ctx, id)
	if err != nil {
		e.o.Log.Error("an active graph can't be read; it stays as it is", "graph", id, "error", err)
		return
	}
	if !g.Active {
		return
	}
	p := e.prove(ctx, g)
	// A source that runs, of the same version and the same plugin, runs on: the
	// change is another's.
	if b := e.bindings[id]; b != nil && b.cancel != nil && p.ready() && b.version == g.Version &&
		b.digest == p.conn.Digest && (b.digest != "" || p.conn.Origin == builtin) {
		b.mu.Lock()
		b.fixed = p.checks
		b.mu.Unlock()
		e.look(ctx, b)
		return
	}
	e.bind(g, p)
	e.look(ctx, e.bindings[id])
}

// bind replaces a graph's binding. It is called under mu. A plan that isn't
// ready binds nothing but is shown.
func (e *Engine) bind(g StoredGraph, p *plan) {
	if e.stopped {
		return
	}
	old := e.bindings[g.ID]
	b := &binding{graph: g, version: g.Version, at: p.version, fixed: p.checks, digest: p.conn.Digest, connections: p.connections}
	if old != nil {
		old.mu.Lock()
		b.ready, b.since = old.ready, old.since
		old.mu.Unlock()
	}
	e.bindings[g.ID] = b
	if p.ready() {
		switch p.trigger.Kind {
		case sdk.KindWebhook:
			b.route = p.route
		case sdk.KindPoll, sdk.KindStream:
			ctx, cancel := context.WithCancel(context.Background())
			b.cancel, b.asks = cancel, p.prog.Trigger.Connection
			s := &source{e: e, b: b, prog: p.prog, conn: p.conn, trigger: p.trigger}
			before, done := e.latest[g.ID], make(chan struct{})
			e.latest[g.ID] = done
			e.sources.Go(func() {
				defer close(done)
				if before != nil {
					<-before // a graph has one source at a time
				}
				s.run(ctx)
			})
		case sdk.KindManual:
		}
	}
	// The new route takes over before the old source ends: no event finds none.
	switch {
	case e.starting == nil:
		e.publishRoutes()
	case b.route != nil:
		e.starting.add(b.route)
	}
	if old != nil {
		old.unbind()
	}
}

// publishRoutes makes the table of routes anew. It is called under mu.
func (e *Engine) publishRoutes() {
	e.routes.Store(newRouteTable(e.bindings))
}

// readiness tells how an active graph stands now; nil when it is OFF.
func (e *Engine) readiness(ctx context.Context, g StoredGraph) *Readiness {
	if !g.Active {
		return nil
	}
	e.mu.Lock()
	b := e.bindings[g.ID]
	e.mu.Unlock()
	if b == nil {
		return &Readiness{Checks: []Check{{Part: "version", Detail: "the engine isn't started"}}}
	}
	r := e.look(ctx, b)
	return &r
}
