// Package local drives runs inside this process, durably.
//
// It decides nothing about a run (engine/machine does) and knows no SQL
// (engine.JournalStore does). Its one rule, persist before effect: a command
// leaves only after the fact that caused it is on disk.
package local

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tappet-dev/tappet/engine"
	"github.com/tappet-dev/tappet/engine/machine"
	"github.com/tappet-dev/tappet/engine/program"
)

var (
	_ engine.Runner    = (*Runner)(nil)
	_ engine.Historian = (*Runner)(nil)
	_ engine.Waker     = (*Runner)(nil)
)

// Options are optional; the zero value means the defaults.
type Options struct {
	// MaxOpen is how many runs may be open at once before Accept refuses;
	// 0 means 20,000.
	MaxOpen int
	// MaxGraph is how many of them may be of one graph, so that one whose calls
	// hang leaves room for the others; 0 means 10,000.
	MaxGraph int
	// Drain is how long effects under way may take when Serve ends, before they
	// are left to the next process; 0 means 10 s.
	Drain time.Duration
	// Grace is how long an effect that was withdrawn may take to say what has
	// become of it; 0 means 2 s.
	Grace time.Duration
	// Page is how many unfinished runs are taken up at a time; 0 means 256.
	Page int
	// Clock tells the time; nil means the system's.
	Clock engine.Clock
	// Log is for what nobody asked for; nil means slog.Default.
	Log *slog.Logger
}

// A Runner is the embedded runner. Make one with New.
type Runner struct {
	store  engine.JournalStore
	o      Options
	commit *committer

	mu     sync.Mutex
	runs   map[engine.RunID]*run
	shares map[engine.GraphID]int // how many of runs a graph has
	worker engine.Worker
	// serving is closed when Serve has begun, over when its ctx has ended.
	serving chan struct{}
	over    bool
	active  sync.WaitGroup // goroutines that drive runs
	open    atomic.Int64
	crew    *crew
	// wakes are the last ones, the newest last.
	wakes []wake
	// parked: calls under way are left to the next process.
	parked atomic.Bool
}

// horizon is how far off a timer may be to be armed at once. Most runs end long
// before their own limit: what is farther off costs no timer until a sweep
// finds it near.
const horizon = 2 * time.Minute

var (
	errStopped = errors.New("the engine is stopping")
	// errParked is why an effect's context ends at shutdown: its outcome isn't
	// recorded, the next process finds it in doubt.
	errParked = errors.New("the engine has stopped")
	// errTimedOut is why it ends when the step's timeout has passed.
	errTimedOut = errors.New("the attempt's timeout has passed")
	// errWithdrawn is why it ends when the run takes it back.
	errWithdrawn = errors.New("the run has withdrawn it")
)

// New makes a runner over a store. It does nothing before Serve.
func New(store engine.JournalStore, o Options) *Runner {
	if o.MaxOpen == 0 {
		o.MaxOpen = 20_000
	}
	if o.MaxGraph == 0 {
		o.MaxGraph = 10_000
	}
	if o.Drain == 0 {
		o.Drain = 10 * time.Second
	}
	if o.Grace == 0 {
		o.Grace = 2 * time.Second
	}
	if o.Page == 0 {
		o.Page = 256
	}
	if o.Clock == nil {
		o.Clock = engine.SystemClock{}
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	return &Runner{
		store: store, o: o, commit: newCommitter(store, o.Log),
		runs: map[engine.RunID]*run{}, shares: map[engine.GraphID]int{}, serving: make(chan struct{}), crew: newCrew(),
	}
}

// Serve implements engine.Runner. It may be called once.
func (r *Runner) Serve(ctx context.Context, w engine.Worker) error {
	r.mu.Lock()
	if r.worker != nil {
		r.mu.Unlock()
		return errors.New("serve: the runner was started before")
	}
	r.worker = w
	close(r.serving)
	r.mu.Unlock()

	commits, stopCommits := context.WithCancel(context.Background())
	var committing sync.WaitGroup
	committing.Go(func() { r.commit.run(commits) })

	r.recover(ctx)
	r.sweep(ctx)

	r.mu.Lock()
	r.over = true
	r.mu.Unlock()
	r.each((*run).stopTimers)

	drained := make(chan struct{})
	go func() { r.active.Wait(); close(drained) }()
	timer := time.NewTimer(r.o.Drain)
	defer timer.Stop()
	select {
	case <-drained:
	case <-timer.C:
	}
	r.parked.Store(true)
	r.each((*run).park)
	stopCommits()
	committing.Wait()
	r.crew.dismiss()
	timer.Reset(r.o.Grace)
	select {
	case <-drained:
	case <-timer.C:
		r.o.Log.Warn("connectors don't end their calls; they are left behind", "runs", r.OpenRuns())
	}
	return nil
}

// sweep arms the timers that come near, until ctx ends.
func (r *Runner) sweep(ctx context.Context) {
	tick := time.NewTicker(horizon / 2)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			until := time.Now().Add(horizon)
			r.each(func(x *run) { x.approach(until) })
		case <-ctx.Done():
			return
		}
	}
}

// each calls f with the runs of the moment, outside mu.
func (r *Runner) each(f func(*run)) {
	r.mu.Lock()
	all := slices.Collect(maps.Values(r.runs))
	r.mu.Unlock()
	for _, x := range all {
		f(x)
	}
}

// stopping says that Serve's context has ended.
func (r *Runner) stopping() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.over
}

// enter counts a goroutine that drives runs; false: the runner is stopping.
func (r *Runner) enter() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over || r.worker == nil {
		return false
	}
	r.active.Add(1)
	return true
}

// Failing gives the store's last failure while it lasts, for readiness.
func (r *Runner) Failing() error { return r.commit.failing() }

// OpenRuns is how many runs are open in this process.
func (r *Runner) OpenRuns() int { return int(r.open.Load()) }

// begun waits until Serve has begun.
func (r *Runner) begun(ctx context.Context, op string) error {
	select {
	case <-r.serving:
		return nil
	case <-ctx.Done():
		return &engine.Error{Kind: engine.Unavailable, Op: op, RetryAfter: 5 * time.Second, Err: ctx.Err()}
	}
}

// Accept implements engine.Runner. Before Serve has begun it waits.
func (r *Runner) Accept(ctx context.Context, as []engine.Acceptance) ([]engine.Accepted, error) {
	const op = "accept"
	if err := r.begun(ctx, op); err != nil {
		return nil, err
	}
	if !r.enter() {
		return nil, &engine.Error{Kind: engine.Unavailable, Op: op, RetryAfter: 5 * time.Second, Err: errStopped}
	}
	defer r.active.Done()
	if err := r.room(as); err != nil {
		return nil, err
	}
	entries := make([]engine.Entry, 0, len(as))
	begins := make([]*engine.Begin, len(as))
	runs := make([]*run, len(as))
	for i, a := range as {
		if a.Mark != nil {
			entries = append(entries, &engine.Move{Mark: *a.Mark})
		}
		if a.Run.IsZero() {
			if a.Arrival != nil {
				entries = append(entries, &engine.Receive{Arrival: a.Arrival})
			}
			continue
		}
		begins[i] = &engine.Begin{Run: engine.Run{
			ID: a.Run, Graph: a.Graph, Version: a.Version, State: machine.Running, Attempt: 1,
			Key: a.Key, AcceptedAt: a.At.Truncate(time.Millisecond), Event: a.Event,
		}, KeyUntil: a.KeyUntil}
		entries = append(entries, begins[i])
		if len(a.Files) > 0 {
			entries = append(entries, &engine.Keep{Run: a.Run, Files: a.Files})
		}
		if a.Arrival != nil {
			entries = append(entries, &engine.Receive{Arrival: a.Arrival, Begin: begins[i]})
		}
		// Known before it can be read from the store: who takes up unfinished
		// runs must not take this one for an earlier process's.
		if runs[i] = r.add(a.Run, a.Graph); runs[i] == nil {
			r.drop(runs)
			return nil, &engine.Error{Kind: engine.Internal, Op: op, Err: fmt.Errorf("the run id %s was given twice", a.Run)}
		}
		runs[i].unawaited = a.Unawaited
	}
	t := r.commit.submit(false, entries...)
	if ackBeforeCommit {
		go func() {
			<-t.done
			r.begin(begins, runs, t.err)
		}()
		return accepted(begins), nil
	}
	// The records may reach the disk whether or not the caller still waits, so
	// the wait isn't cut short by ctx: a commit takes milliseconds or fails.
	<-t.done
	r.begin(begins, runs, t.err)
	if t.err != nil {
		return nil, &engine.Error{Kind: engine.Unavailable, Op: op, RetryAfter: 5 * time.Second, Err: t.err}
	}
	return accepted(begins), nil
}

// room refuses when too many runs are open, in all or of a graph. Acceptances
// that come together count for each of their graphs.
func (r *Runner) room(as []engine.Acceptance) error {
	if err := r.commit.failing(); err != nil {
		// The committer tries again by itself: the sender is told at once.
		return &engine.Error{Kind: engine.Unavailable, Op: "accept", RetryAfter: 5 * time.Second, Err: fmt.Errorf("the store can't be written: %w", err)}
	}
	n, open := 0, 0
	r.mu.Lock()
	for i := range as {
		if !as[i].Run.IsZero() {
			n++
			open = max(open, r.shares[as[i].Graph])
		}
	}
	r.mu.Unlock()
	var err error
	switch {
	case n == 0:
		return nil
	case int(r.open.Load())+n > r.o.MaxOpen:
		err = fmt.Errorf("%d runs are open, the limit is %d (limits.open_runs)", r.open.Load(), r.o.MaxOpen)
	case open+n > r.o.MaxGraph:
		err = fmt.Errorf("%d runs of the graph are open, the limit is %d (limits.open_runs_graph)", open, r.o.MaxGraph)
	default:
		return nil
	}
	return &engine.Error{Kind: engine.Overloaded, Op: "accept", RetryAfter: time.Second, Err: err}
}

func accepted(begins []*engine.Begin) []engine.Accepted {
	out := make([]engine.Accepted, len(begins))
	for i, b := range begins {
		switch {
		case b == nil:
		case b.Existing.IsZero():
			out[i] = engine.Accepted{Run: b.Run.ID}
		default:
			out[i] = engine.Accepted{Run: b.Existing, Duplicate: true}
		}
	}
	return out
}

// begin drives the runs that have just become durable, and forgets those that
// were known or couldn't be written.
func (r *Runner) begin(begins []*engine.Begin, runs []*run, err error) {
	if err != nil {
		r.drop(runs)
		return
	}
	for i, b := range begins {
		switch {
		case b == nil:
		case !b.Existing.IsZero() || !r.enter():
			r.drop(runs[i : i+1])
		default:
			x := runs[i]
			r.crew.do(func() {
				defer r.active.Done()
				x.start(b.Run, nil)
			})
		}
	}
}

// drop forgets runs that were never started.
func (r *Runner) drop(runs []*run) {
	for _, x := range runs {
		if x != nil {
			close(x.ready)
			r.remove(x.id)
		}
	}
}

// add registers a run; nil when it is there already. The graph is 0 while it
// isn't known.
func (r *Runner) add(id engine.RunID, g engine.GraphID) *run {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.runs[id] != nil {
		return nil
	}
	x := &run{r: r, id: id, ready: make(chan struct{})}
	r.runs[id] = x
	r.open.Add(1)
	r.countLocked(x, g)
	return x
}

// countLocked counts a run for its graph.
func (r *Runner) countLocked(x *run, g engine.GraphID) {
	if g != 0 && x.graph == 0 {
		x.graph = g
		r.shares[g]++
	}
}

func (r *Runner) remove(id engine.RunID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	x := r.runs[id]
	if x == nil {
		return
	}
	delete(r.runs, id)
	r.open.Add(-1)
	if x.graph == 0 {
		return
	}
	if r.shares[x.graph]--; r.shares[x.graph] == 0 {
		delete(r.shares, x.graph)
	}
}

// recover takes up what an earlier process has left, in pages, oldest first. A
// store that can't be read is asked again until it can: each of these runs was
// promised to somebody.
func (r *Runner) recover(ctx context.Context) {
	var after engine.RunID
	n := 0
	delay := firstRetry
	for ctx.Err() == nil {
		ids, err := r.store.Open(ctx, after, r.o.Page)
		if err != nil && ctx.Err() == nil {
			r.o.Log.Error("unfinished runs can't be listed; it is tried again", "error", err, "again_in", delay)
			select {
			case <-time.After(delay):
			case <-ctx.Done():
			}
			delay = min(2*delay, lastRetry)
			continue
		}
		if len(ids) == 0 {
			break
		}
		for _, id := range ids {
			after = id
			if x := r.add(id, 0); x != nil && r.load(ctx, x) {
				n++
			}
		}
	}
	if n > 0 {
		r.o.Log.Info("took up unfinished runs", "runs", n)
	}
}

// load reads a registered run's journal and drives on from there.
func (r *Runner) load(ctx context.Context, x *run) bool {
	head, recs, err := r.store.Journal(ctx, x.id)
	if err != nil || head.State.Ended() || !r.enter() {
		if err != nil && ctx.Err() == nil {
			r.o.Log.Error("a run can't be read; it stays as it is", "run", x.id, "error", err)
		}
		close(x.ready)
		r.remove(x.id)
		return false
	}
	r.mu.Lock()
	r.countLocked(x, head.Graph)
	r.mu.Unlock()
	if recs == nil {
		recs = []engine.Record{} // taken up again, though nothing was recorded
	}
	r.crew.do(func() {
		defer r.active.Done()
		x.start(head, recs)
	})
	return true
}

// A wake is kept for attempts that were under way: they fail after it, for what
// was before it.
type wake struct {
	at   time.Time
	pick func(*program.Step, *machine.Error) bool
}

// maxWakes is how many are kept.
const maxWakes = 64

// Wake implements engine.Waker: the timers that are picked fire now. One that
// fires by itself meanwhile is the same fact, of which the machine takes one.
func (r *Runner) Wake(pick func(*program.Step, *machine.Error) bool) {
	r.mu.Lock()
	if len(r.wakes) == maxWakes {
		r.wakes = slices.Delete(r.wakes, 0, 1)
	}
	r.wakes = append(r.wakes, wake{r.o.Clock.Now(), pick})
	r.mu.Unlock()
	r.each(func(x *run) { x.wake(pick) })
}

// missed wakes a run as it would have been had its attempt not been under way.
func (r *Runner) missed(x *run, began time.Time) {
	r.mu.Lock()
	var late []wake
	for _, w := range r.wakes {
		if !w.at.Before(began) {
			late = append(late, w)
		}
	}
	r.mu.Unlock()
	for _, w := range late {
		x.wake(w.pick)
	}
}

// Signal implements engine.Runner.
func (r *Runner) Signal(ctx context.Context, id engine.RunID, f machine.Fact) error {
	if err := r.begun(ctx, "signal run"); err != nil {
		return err
	}
	if !r.enter() {
		return &engine.Error{Kind: engine.Unavailable, Op: "signal run", RetryAfter: 5 * time.Second, Err: errStopped}
	}
	defer r.active.Done()
	r.mu.Lock()
	x := r.runs[id]
	r.mu.Unlock()
	if x == nil {
		// Not in memory: it has ended, isn't taken up yet, or doesn't exist.
		head, _, err := r.store.Journal(ctx, id)
		if err != nil || head.State.Ended() {
			return err
		}
		if x = r.add(id, 0); x != nil {
			r.load(ctx, x)
		} else {
			r.mu.Lock()
			x = r.runs[id]
			r.mu.Unlock()
		}
		if x == nil {
			return nil
		}
	}
	select {
	case <-x.ready:
	case <-ctx.Done():
		return ctx.Err()
	}
	if x.lost != nil {
		return &engine.Error{Kind: engine.Conflict, Op: "signal run", Err: fmt.Errorf("the run %s can't go on: %w", id, x.lost)}
	}
	rec := engine.Record{Path: f.Key, At: time.UnixMilli(int64(f.At)).UTC()}
	switch f.Of.(type) {
	case *machine.Cancel:
		rec.Kind = engine.RecordCancel
	default:
		return fmt.Errorf("signal run %s: a %T can't be given from outside", id, f.Of)
	}
	return x.apply(f, rec)
}

// Runs implements engine.Runner.
func (r *Runner) Runs(ctx context.Context, q engine.RunQuery) (engine.RunPage, error) {
	return r.store.Runs(ctx, q)
}

// Journal implements engine.Historian.
func (r *Runner) Journal(ctx context.Context, id engine.RunID) (engine.Run, []engine.Record, error) {
	return r.store.Journal(ctx, id)
}
