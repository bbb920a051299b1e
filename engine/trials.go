package engine

import (
	"context"
	"slices"
	"sync"
	"time"
)

// A ConnectionTester is a Connections that can try a connection out.
type ConnectionTester interface {
	// TryConnection asks the service of a connection whether it takes its
	// credentials. With nil it does, or it can't be asked; said tells which. Errors
	// are those of Usable, which gives them from then on, and of ctx.
	TryConnection(ctx context.Context, name string) (said string, err error)
}

// trials are the connections of active graphs that are tried out again and again.
// Its zero value is ready.
type trials struct {
	mu sync.Mutex
	m  map[string]*trial
}

type trial struct {
	// said is what came out of the last one, "" before and when it failed.
	said string
	due  time.Time
	// pause is how long it is until the next one while they fail.
	pause time.Duration
}

// said is what the last trial of a connection has said.
func (t *trials) said(name string) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if x := t.m[name]; x != nil {
		return x.said
	}
	return ""
}

// note keeps what came out of a trial. One that failed is repeated soon, and then
// less and less often.
func (t *trials) note(name, said string, failed bool, now time.Time, l Limits) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.m == nil {
		t.m = map[string]*trial{}
	}
	x := t.m[name]
	if x == nil {
		x = &trial{}
		t.m[name] = x
	}
	x.said, x.due = said, now.Add(l.TestEvery)
	if !failed {
		x.pause = 0
		return
	}
	x.pause = min(l.TestEvery, max(2*x.pause, l.ProveEvery))
	x.due = now.Add(x.pause)
}

// next gives the connection whose turn it is, and how long it is until then.
// Connections that are new have their first turn within the time of a round,
// evenly spread.
func (t *trials) next(names []string, now time.Time, every time.Duration) (name string, wait time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.m == nil {
		t.m = map[string]*trial{}
	}
	for name, x := range t.m {
		if now.After(x.due) && !slices.Contains(names, name) {
			delete(t.m, name)
		}
	}
	wait = every
	for i, n := range names {
		x := t.m[n]
		if x == nil {
			x = &trial{due: now.Add(every / time.Duration(len(names)) * time.Duration(i+1))}
			t.m[n] = x
		}
		if left := x.due.Sub(now); name == "" || left < wait {
			name, wait = n, left
		}
	}
	return name, wait
}

// tryConnection tries one connection out, within Limits.ProbeTimeout.
func (e *Engine) tryConnection(ctx context.Context, of ConnectionTester, name string) error {
	limited, cancel := context.WithTimeout(ctx, e.o.Limits.ProbeTimeout)
	defer cancel()
	said, err := of.TryConnection(limited, name)
	if ctx.Err() == nil {
		e.trials.note(name, said, err != nil, e.now(), e.o.Limits)
	}
	return err
}

// atOnce is how many connections of one graph are tried out at a time.
const atOnce = 8

// tryConnections tries connections out. It is never called under mu: a service
// may take its time.
func (e *Engine) tryConnections(ctx context.Context, of ConnectionTester, names []string) []error {
	errs := make([]error, len(names))
	turn := make(chan struct{}, atOnce)
	var all sync.WaitGroup
	for i, name := range names {
		turn <- struct{}{}
		all.Go(func() {
			defer func() { <-turn }()
			errs[i] = e.tryConnection(ctx, of, name)
		})
	}
	all.Wait()
	return errs
}

// tryAgain tries the connections of active graphs out, each once in
// Limits.TestEvery, until ctx ends.
func (e *Engine) tryAgain(ctx context.Context, of ConnectionTester) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	<-timer.C
	for {
		name, wait := e.trials.next(e.boundConnections(), e.now(), e.o.Limits.TestEvery)
		if name != "" && wait <= 0 {
			if err := e.tryConnection(ctx, of, name); err != nil && ctx.Err() == nil {
				e.lookAt(ctx, name)
			}
			continue
		}
		// New graphs are looked for meanwhile.
		timer.Reset(min(wait, e.o.Limits.ProveEvery))
		select {
		case <-timer.C:
		case <-ctx.Done():
			return
		}
	}
}

// boundConnections are those of all active graphs, by name.
func (e *Engine) boundConnections() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	var names []string
	for _, b := range e.bindings {
		names = append(names, b.connections...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// lookAt looks at the graphs that a connection is of.
func (e *Engine) lookAt(ctx context.Context, connection string) {
	e.mu.Lock()
	var of []*binding
	for _, b := range e.bindings {
		if slices.Contains(b.connections, connection) {
			of = append(of, b)
		}
	}
	e.mu.Unlock()
	for _, b := range of {
		e.look(ctx, b)
	}
}
