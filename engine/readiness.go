package engine

import (
	"context"
	"maps"
	"slices"
	"time"
)

// look tells how a binding stands now, and logs when that isn't what it was. A
// nil one, of an engine that is stopped, isn't ready.
func (e *Engine) look(ctx context.Context, b *binding) Readiness {
	if b == nil {
		return Readiness{}
	}
	connections := e.proveConnections(ctx, b.connections)
	now := e.now()
	b.mu.Lock()
	defer b.mu.Unlock()
	r := Readiness{Checks: append(slices.Clone(b.fixed), connections...)}
	if b.fault != "" {
		r.Checks = append(r.Checks, Check{Part: "source", Detail: b.fault})
	}
	bad := slices.IndexFunc(r.Checks, func(c Check) bool { return !c.OK })
	r.Ready = bad < 0
	switch {
	case !b.since.IsZero() && b.ready == r.Ready:
		r.Since = b.since
		return r
	case !r.Ready:
		e.o.Log.Warn("an active graph isn't ready", "graph", b.graph.Name, "part", r.Checks[bad].Part, "detail", r.Checks[bad].Detail)
	case !b.since.IsZero():
		e.o.Log.Info("an active graph is ready again", "graph", b.graph.Name, "after", now.Sub(b.since))
	}
	b.ready, b.since = r.Ready, now
	r.Since = now
	return r
}

// watch proves active graphs again and again, until ctx ends: each once in
// Limits.ProveEvery, evenly spread.
func (e *Engine) watch(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	wait := func(d time.Duration) bool {
		timer.Reset(d)
		select {
		case <-timer.C:
			return true
		case <-ctx.Done():
			return false
		}
	}
	for {
		e.mu.Lock()
		ids := slices.Sorted(maps.Keys(e.bindings))
		e.mu.Unlock()
		secret := e.askedOnce(ctx)
		pause := e.o.Limits.ProveEvery / time.Duration(max(1, len(ids)))
		for _, id := range ids {
			if !wait(pause) {
				return
			}
			e.proveAgain(ctx, id, secret)
		}
		if len(ids) == 0 && !wait(pause) {
			return
		}
	}
}

// askedOnce is known, which asks for each secret once.
func (e *Engine) askedOnce(ctx context.Context) func(name string) error {
	said := map[string]error{}
	return func(name string) error {
		err, ok := said[name]
		if !ok {
			err = e.known(ctx, name)
			said[name] = err
		}
		return err
	}
}

// proveAgain proves an active graph again, without reading the store. What is
// bound stays bound: a request that can't be served is told so by its trigger,
// not that nobody is there. What isn't is bound as soon as each check holds.
func (e *Engine) proveAgain(ctx context.Context, id GraphID, secret func(name string) error) {
	if e.stillBound(ctx, id, secret) {
		return
	}
	e.rebind(ctx, id)
}

// stillBound is false when the graph has to be bound anew.
func (e *Engine) stillBound(ctx context.Context, id GraphID, secret func(name string) error) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	b := e.bindings[id]
	switch {
	case b == nil:
		return true // turned OFF since
	case b.at == nil:
		return false
	}
	p := &plan{version: b.at}
	e.proveParts(p, b.graph, secret)
	b.mu.Lock()
	healed := p.ready() && slices.ContainsFunc(b.fixed, func(c Check) bool { return !c.OK })
	bound := b.route != nil || b.cancel != nil
	if !healed || bound {
		b.fixed = p.checks
	}
	b.mu.Unlock()
	if healed && !bound {
		return false
	}
	e.look(ctx, b)
	return true
}
