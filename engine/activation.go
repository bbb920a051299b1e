package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
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
	// fixed are the checks that were made when it was bound.
	fixed []Check
	route *route
	// cancel ends a source; nil when there is none.
	cancel context.CancelFunc

	mu sync.Mutex
	// fault is the source's last failure, "" while it works.
	fault string
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
	prog    *program.Program
	conn    Connector
	trigger *sdk.Trigger
	route   *route
	checks  []Check
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
	if p.prog, err = e.Program(ctx, g.ID, g.Version); err != nil {
		p.bad("version", "version %d can't be loaded: %v", g.Version, err)
		return p
	}
	p.ok("version", "version %d", g.Version)
	e.proveActions(p)
	name, member, _ := strings.Cut(p.prog.Trigger.Use, ".")
	if p.conn, err = e.o.Connectors.Connector(name); err != nil {
		p.bad("trigger", "%v", err)
		return p
	}
	if p.trigger, err = findTrigger(p.conn, p.prog.Trigger.Use, member); err != nil {
		p.bad("trigger", "%v; publish the graph again after mending it", err)
		return p
	}
	p.ok("trigger", "%s is there", p.prog.Trigger.Use)
	if p.trigger.Kind == sdk.KindWebhook {
		e.proveRoute(p, g)
	}
	return p
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
		name, member, _ := strings.Cut(use, ".")
		c, err := e.o.Connectors.Connector(name)
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

func (e *Engine) proveRoute(p *plan, g StoredGraph) {
	r, err := newRoute(g, p)
	if err != nil {
		p.bad("route", "%v", err)
		return
	}
	if other := (*e.routes.Load())[r.path]; other != nil && other.graph != g.ID {
		p.bad("route", "the path /hooks/%s belongs to the graph %q, which is ON: give this one another trigger.with.path", r.path, other.name)
		return
	}
	p.route = r
	p.ok("route", "%s /hooks/%s", strings.Join(r.methods, ", "), r.path)
}

// Activate turns a graph ON, or proves it again when it is. Nothing is changed
// unless all checks hold; the Conflict names those that don't.
func (e *Engine) Activate(ctx context.Context, name string) (Readiness, error) {
	op := "activate " + name
	e.mu.Lock()
	defer e.mu.Unlock()
	// Read under mu: of two who activate and publish at once, the later binds
	// the newer version.
	g, err := e.published(ctx, op, name)
	if err != nil {
		return Readiness{}, err
	}
	p := e.prove(ctx, g)
	if !p.ready() {
		err := &Error{Kind: Conflict, Op: op}
		for _, c := range p.checks {
			if !c.OK {
				err.Problems = append(err.Problems, Problem{Code: "not_ready", Message: c.Part + ": " + c.Detail})
			}
		}
		return Readiness{Checks: p.checks}, err
	}
	if err := e.o.Graphs.SetActive(ctx, g.ID, true); err != nil {
		return Readiness{}, err
	}
	g.Active = true
	e.bind(g, p)
	return Readiness{Ready: true, Checks: p.checks}, nil
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
		e.publishRoutes()
	}
	return nil
}

// Rebind proves active graphs anew, after a plugin has come, changed or gone.
func (e *Engine) Rebind(ctx context.Context) {
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
	if !p.ready() {
		e.o.Log.Warn("an active graph isn't ready", "graph", g.Name, "checks", p.checks)
	}
	e.bind(g, p)
}

// bind replaces a graph's binding. It is called under mu. A plan that isn't
// ready binds nothing but is shown.
func (e *Engine) bind(g StoredGraph, p *plan) {
	if e.stopped {
		return
	}
	old := e.bindings[g.ID]
	b := &binding{graph: g, version: g.Version, fixed: p.checks}
	e.bindings[g.ID] = b
	if p.ready() {
		switch p.trigger.Kind {
		case sdk.KindWebhook:
			b.route = p.route
		case sdk.KindPoll, sdk.KindStream:
			ctx, cancel := context.WithCancel(context.Background())
			b.cancel = cancel
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
	e.publishRoutes()
	if old != nil {
		old.unbind()
	}
}

// publishRoutes makes the table of routes anew. It is called under mu.
func (e *Engine) publishRoutes() {
	m := make(map[string]*route, len(e.bindings))
	for _, b := range e.bindings {
		if b.route != nil {
			m[b.route.path] = b.route
		}
	}
	e.routes.Store(&m)
}

// readiness tells how an active graph stands now; nil when it is OFF.
func (e *Engine) readiness(g StoredGraph) *Readiness {
	if !g.Active {
		return nil
	}
	e.mu.Lock()
	b := e.bindings[g.ID]
	e.mu.Unlock()
	if b == nil {
		return &Readiness{Checks: []Check{{Part: "version", Detail: "the engine isn't started"}}}
	}
	r := &Readiness{Ready: true, Checks: slices.Clone(b.fixed)}
	b.mu.Lock()
	if b.fault != "" {
		r.Checks = append(r.Checks, Check{Part: "source", Detail: b.fault})
	}
	b.mu.Unlock()
	for _, c := range r.Checks {
		r.Ready = r.Ready && c.OK
	}
	return r
}

// A route is where the requests of a webhook trigger come in.
type route struct {
	path    string
	methods []string
	graph   GraphID
	name    string
	version int
	config  json.RawMessage
	conn    Connector
	trigger *sdk.Trigger
}

// newRoute reads path and methods, which any webhook trigger's config may
// have: path is the graph's name unless set, methods POST.
func newRoute(g StoredGraph, p *plan) (*route, error) {
	var c struct {
		Path    *string  `json:"path"`
		Methods []string `json:"methods"`
	}
	if err := json.Unmarshal(p.prog.Trigger.Config, &c); err != nil {
		return nil, fmt.Errorf("read the trigger's path: %w", err)
	}
	r := &route{
		path: g.Name, methods: c.Methods, graph: g.ID, name: g.Name, version: g.Version,
		config: p.prog.Trigger.Config, conn: p.conn, trigger: p.trigger,
	}
	if c.Path != nil {
		r.path = strings.Trim(*c.Path, "/")
	}
	if r.path == "" || strings.ContainsAny(r.path, "{}?#") {
		return nil, fmt.Errorf("%q is no path: use letters, digits, dashes and slashes", r.path)
	}
	if len(r.methods) == 0 {
		r.methods = []string{http.MethodPost}
	}
	return r, nil
}

// Hook gives a request to the webhook trigger whose path it is. Errors are of
// kind NotFound, MethodNotAllowed, Refused (by the trigger; the cause is an
// *sdk.Error) and its like, Overloaded or Unavailable. It may wait for the run's answer, up
// to Limits.HookWait or the end of ctx; the run goes on without.
func (e *Engine) Hook(ctx context.Context, path string, req sdk.WebhookRequest) (HookResult, error) {
	op := "receive /hooks/" + path
	r := (*e.routes.Load())[strings.Trim(path, "/")]
	if r == nil {
		return HookResult{}, &Error{Kind: NotFound, Op: op, Err: errors.New("no active graph has this path; is it ON?")}
	}
	if !slices.Contains(r.methods, req.Method) {
		return HookResult{}, &Error{Kind: MethodNotAllowed, Op: op, Allow: r.methods, Err: fmt.Errorf("the graph %q takes %s here", r.name, strings.Join(r.methods, ", "))}
	}
	res, err := e.receive(ctx, r, req)
	if err != nil {
		return HookResult{}, refusal(op, err)
	}
	as := make([]Acceptance, len(res.Events))
	now := e.now()
	for i, ev := range res.Events {
		if err := e.checkEvent(r.conn, ev.Data); err != nil {
			return HookResult{}, refusal(op, err)
		}
		as[i] = Acceptance{Run: e.o.IDs.NewRun(), Graph: r.graph, Version: r.version, Key: eventKey(r.trigger, r.conn, ev.Key), Event: ev.Data, At: now}
	}
	if len(as) == 0 {
		return HookResult{Answer: orEmpty(res.Answer)}, nil
	}
	var w *waiter
	if res.Wait && res.Answer == nil {
		w = e.waiters.add(as[0].Run)
		defer e.waiters.remove(as[0].Run, w)
	}
	acc, err := e.o.Runner.Accept(ctx, as)
	if err != nil {
		return HookResult{}, err
	}
	out := HookResult{Run: acc[0].Run, Duplicate: acc[0].Duplicate, Answer: res.Answer}
	if w != nil && !acc[0].Duplicate {
		out.Answer = e.awaitAnswer(ctx, w)
	}
	return out, nil
}

func orEmpty(a *sdk.Answer) *sdk.Answer {
	if a == nil {
		return &sdk.Answer{Status: http.StatusNoContent}
	}
	return a
}

// receive calls the trigger's function.
func (e *Engine) receive(ctx context.Context, r *route, req sdk.WebhookRequest) (res sdk.RawWebhook, err error) {
	if r.conn.Origin != builtin { // what is built in waits for nothing here
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, e.o.Limits.CallTimeout)
		defer cancel()
	}
	host, done := e.o.Hosts.Host(ctx, HostCall{
		Connector: r.conn, Config: func() []byte { return r.config }, Graph: r.graph, Record: func(Exchange) {},
		State: triggerState{e.o.Versions, r.graph, r.conn.Name + "." + r.trigger.Name},
	})
	defer done()
	defer func() {
		if p := recover(); p != nil {
			e.o.Log.Error("a connector panicked", "trigger", r.trigger.Name, "panic", p)
			res, err = sdk.RawWebhook{}, sdk.Errorf(sdk.Panicked, "the connector panicked")
		}
	}()
	if r.trigger.Webhook == nil {
		return res, sdk.Errorf(sdk.Unsupported, "the trigger %q has no function", r.trigger.Name)
	}
	return r.trigger.Webhook(ctx, host, sdk.WebhookCall{Trigger: r.trigger.Name, Config: r.config, Request: req})
}

// awaitAnswer waits for a run's answer (G25); nil when it takes too long.
func (e *Engine) awaitAnswer(ctx context.Context, w *waiter) *sdk.Answer {
	timer := time.NewTimer(e.o.Limits.HookWait)
	defer timer.Stop()
	select {
	case a := <-w.answer:
		return answer(a)
	case end := <-w.end:
		select {
		case a := <-w.answer: // came before the end
			return answer(a)
		default:
			return ending(end)
		}
	case <-timer.C:
	case <-ctx.Done():
	}
	return nil
}
