package enginetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tappet-dev/tappet/engine"
	"github.com/tappet-dev/tappet/engine/graph"
	"github.com/tappet-dev/tappet/engine/machine"
	"github.com/tappet-dev/tappet/engine/program"
)

// A Life is a runner in one process.
type Life struct {
	engine.Runner
	engine.Historian
	// Files tells what the runner has written of files.
	Files engine.FileStore
	// Crash ends it as kill -9 would: nothing more reaches the disk, and it
	// returns when nothing of it runs. It is idempotent.
	Crash func()
	// Fault makes the disk fail with an error, or work again with nil.
	Fault func(error)
}

// RunnerOptions are what the tests set of a runner.
type RunnerOptions struct {
	// MaxOpen is 0 for the runner's default.
	MaxOpen int
	// MaxGraph is 0 for the runner's default.
	MaxGraph int
	// Grace is 0 for the runner's default.
	Grace time.Duration
}

// RunRunner checks a runner. open starts a life on a folder: a first one, or
// the next after a crash. The worker is served at once.
func RunRunner(t *testing.T, open func(t testing.TB, dir string, w engine.Worker, o RunnerOptions) Life) {
	tests := map[string]func(*testing.T, *bench){
		"an acknowledged event survives a crash":                          survives,
		"a settled step isn't performed again after a crash":              settledOnce,
		"a call in flight at a crash is sent again, with its key":         inDoubt,
		"a call that must not be repeated ends as unknown after a crash":  unknownAfterCrash,
		"a call that must not be repeated and wasn't begun is sent":       notBegun,
		"what a step says of unknown outcomes outranks its action":        policyWins,
		"the same key is the same run":                                    sameRun,
		"a mark moves with its events or not at all":                      markMoves,
		"a failed run is recorded with its error":                         failedRun,
		"a retry waits and repeats with the same key and input":           retries,
		"a retry's wait survives a crash":                                 waitSurvives,
		"a wait that is woken ends at once":                               waitWoken,
		"a wake counts for the calls that are under way":                  wokenUnderWay,
		"a cancel ends a run and cuts its call short":                     cancels,
		"a cancel is idempotent and an ended run ignores it":              cancelAgain,
		"a call that ignores its cancel is given up":                      givenUp,
		"a call that was cancelled isn't sent again after a crash":        cancelledOnce,
		"a step's timeout ends its attempt":                               timesOut,
		"a run keeps the version that it was accepted with":               keepsVersion,
		"too many open runs are refused":                                  tooMany,
		"too many open runs of a graph leave room for others":             tooManyOfOne,
		"when the disk fails accepting is refused and runs go on later":   diskFails,
		"a changed program stops the run":                                 changedProgram,
		"on_failure runs once, after all else, and changes no state":      onFailure,
		"on_failure survives a crash":                                     onFailureSurvives,
		"a cancel cuts on_failure short":                                  onFailureCancelled,
		"a cancelled run has no on_failure":                               onFailureSkipped,
		"a run that can't be driven says so and goes on when it can":      undriven,
		"independent steps run side by side":                              sideBySide,
		"outputs reach later steps and the result":                        outputs,
		"the answer is given once and the end is told":                    answers,
		"many runs at once all end, none twice":                           manyRuns,
		"files of an event come with its run, and survive a crash":        filesOfEvent,
		"files of an outcome come with its record, and survive a crash":   filesOfOutcome,
		"what an outcome holds is let go of once, whatever becomes of it": outcomeReleased,
	}
	for name, run := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := &bench{t: t, dir: t.TempDir(), open: open, programs: map[int]*program.Program{}, ended: make(chan ending, 4096)}
			t.Cleanup(func() {
				if b.Crash != nil {
					b.Crash()
				}
			})
			run(t, b)
		})
	}
}

// A bench is a runner under test with its worker.
type bench struct {
	t    *testing.T
	dir  string
	open func(testing.TB, string, engine.Worker, RunnerOptions) Life
	o    RunnerOptions
	Life

	programs map[int]*program.Program
	ended    chan ending

	mu      sync.Mutex
	perform func(context.Context, engine.Job) engine.Outcome
	jobs    []engine.Job
	answers []*machine.Answer
}

type ending struct {
	run engine.RunID
	end *machine.End
}

func (b *bench) Program(_ context.Context, _ engine.GraphID, v int) (*program.Program, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.programs[v]
	if p == nil {
		return nil, fmt.Errorf("no version %d", v)
	}
	return p, nil
}

func (b *bench) Perform(ctx context.Context, j engine.Job) engine.Outcome {
	b.mu.Lock()
	b.jobs = append(b.jobs, j)
	perform := b.perform
	b.mu.Unlock()
	return perform(ctx, j)
}

func (b *bench) Answer(_ engine.RunID, a *machine.Answer) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.answers = append(b.answers, a)
}

func (b *bench) Ended(id engine.RunID, e *machine.End) { b.ended <- ending{id, e} }

// does sets what actions do.
func (b *bench) does(f func(context.Context, engine.Job) engine.Outcome) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.perform = f
}

// sent gives the keys of the effects that were performed, in order.
func (b *bench) sent() []machine.Key {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []machine.Key
	for _, j := range b.jobs {
		out = append(out, j.Effect.Key)
	}
	return out
}

func (b *bench) job(i int) engine.Job {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.jobs[i]
}

// version makes a program of the steps of a document.
func (b *bench) version(n int, steps string) {
	b.t.Helper()
	p := Program(b.t, steps)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.programs[n] = p
}

// Program builds a program of steps in YAML. Its action test.act takes and
// gives anything and is idempotent; test.once is neither idempotent nor keyed.
func Program(t testing.TB, steps string) *program.Program {
	t.Helper()
	src := "name: test\ntrigger: {use: manual}\nsteps:\n" + steps
	doc, problems := graph.Parse([]byte(src), graph.YAML, graph.Limits{})
	if doc == nil {
		t.Fatalf("parse: %v", problems)
	}
	p, more := program.Build(doc, catalogue{})
	for _, pr := range append(problems, more...) {
		if !pr.Warning {
			t.Fatalf("build: %v", pr)
		}
	}
	return p
}

type catalogue struct{}

func (catalogue) Trigger(string) (program.TriggerSpec, error) {
	return program.TriggerSpec{Use: "manual.manual", Kind: "manual"}, nil
}

func (catalogue) Action(use string) (program.ActionSpec, error) {
	return program.ActionSpec{Use: use, Idempotent: strings.HasSuffix(use, "act")}, nil
}

func (b *bench) start() {
	b.t.Helper()
	b.Life = b.open(b.t, b.dir, b, b.o)
}

// again is a crash and the next life.
func (b *bench) again() {
	b.t.Helper()
	b.Crash()
	b.start()
}

func (b *bench) accept(n int, key string) (engine.Accepted, error) {
	r := NewRun(n)
	got, err := b.Accept(b.t.Context(), []engine.Acceptance{{Run: r.ID, Graph: 1, Version: 1, Key: key, Event: r.Event, At: r.AcceptedAt}})
	if err != nil {
		return engine.Accepted{}, err
	}
	return got[0], nil
}

func (b *bench) mustAccept(n int) {
	b.t.Helper()
	if _, err := b.accept(n, ""); err != nil {
		b.t.Fatal(err)
	}
}

// patience bounds how long a test waits for what must come.
const patience = 20 * time.Second

func (b *bench) wait() ending {
	b.t.Helper()
	return await(b.t, b.ended, "the end of a run")
}

func await[T any](t testing.TB, c <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatalf("%s didn't come", what)
		panic("unreachable")
	}
}

func (b *bench) wantEnd(state machine.State, kind string) ending {
	b.t.Helper()
	e := b.wait()
	got := ""
	if e.end.Err != nil {
		got = e.end.Err.Kind
	}
	if e.end.State != state || got != kind {
		b.t.Fatalf("run ended %s %q (%v); want %s %q", e.end.State, got, e.end.Err, state, kind)
	}
	return e
}

func (b *bench) wantSent(keys ...machine.Key) {
	b.t.Helper()
	if diff := cmp.Diff(keys, b.sent()); diff != "" {
		b.t.Fatalf("performed (-want +got):\n%s", diff)
	}
}

func ok(context.Context, engine.Job) engine.Outcome {
	return engine.Outcome{Output: json.RawMessage(`{"ok":true}`)}
}

// hold blocks an action until the runner takes it back; begun tells that it
// has begun.
func hold(begun chan<- machine.Key) func(context.Context, engine.Job) engine.Outcome {
	return func(ctx context.Context, j engine.Job) engine.Outcome {
		begun <- j.Effect.Key
		<-ctx.Done()
		return engine.Outcome{Err: &machine.Error{Kind: "cancelled", Message: ctx.Err().Error()}}
	}
}

const oneStep = "- {id: a, use: test.act}\n"

func survives(t *testing.T, b *bench) {
	b.version(1, oneStep)
	begun := make(chan machine.Key, 1)
	b.does(hold(begun))
	b.start()
	b.mustAccept(1)
	b.Crash()
	b.does(ok)
	b.start()
	if e := b.wantEnd(machine.Succeeded, ""); e.run != RunID(1) {
		t.Errorf("run = %s; want %s", e.run, RunID(1))
	}
}

func settledOnce(t *testing.T, b *bench) {
	b.version(1, "- {id: a, use: test.act}\n- {id: b, use: test.act}\n")
	begun := make(chan machine.Key, 2)
	stuck := hold(begun)
	b.does(func(ctx context.Context, j engine.Job) engine.Outcome {
		if j.Effect.Step == "b" {
			return stuck(ctx, j)
		}
		return ok(ctx, j)
	})
	b.start()
	b.mustAccept(1)
	await(t, begun, "step b")
	b.Crash()
	b.does(ok)
	b.start()
	b.wantEnd(machine.Succeeded, "")
	b.wantSent("a", "b", "b")
}

func inDoubt(t *testing.T, b *bench) {
	b.version(1, oneStep)
	begun := make(chan machine.Key, 2)
	b.does(hold(begun))
	b.start()
	b.mustAccept(1)
	await(t, begun, "the call")
	b.again()
	await(t, begun, "the call again")
	b.Crash()
	b.does(ok)
	b.start()
	b.wantEnd(machine.Succeeded, "")
	b.wantSent("a", "a", "a")
	if b.job(0).Effect.Idempotency == "" || b.job(0).Effect.Idempotency != b.job(2).Effect.Idempotency {
		t.Errorf("idempotency keys %q and %q; want the same", b.job(0).Effect.Idempotency, b.job(2).Effect.Idempotency)
	}
	_, recs, err := b.Journal(t.Context(), RunID(1))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range recs {
		got = append(got, fmt.Sprint(r.Kind, " ", r.Path))
	}
	want := []string{
		fmt.Sprint(engine.RecordInDoubt, " a?1"), fmt.Sprint(engine.RecordInDoubt, " a?2"), fmt.Sprint(engine.RecordSettled, " a"),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
}

func unknownAfterCrash(t *testing.T, b *bench) {
	b.version(1, "- {id: a, use: test.once}\n")
	begun := make(chan machine.Key, 1)
	b.does(hold(begun))
	b.start()
	b.mustAccept(1)
	await(t, begun, "the call")
	b.again()
	b.wantEnd(machine.Failed, machine.KindUnknown)
	b.wantSent("a")
}

func notBegun(t *testing.T, b *bench) {
	b.version(1, "- {id: a, use: test.act}\n- {id: b, use: test.once}\n")
	begun := make(chan machine.Key, 1)
	b.does(hold(begun))
	b.start()
	b.mustAccept(1)
	await(t, begun, "the call")
	b.Crash()
	b.does(ok)
	b.start()
	b.wantEnd(machine.Succeeded, "")
	b.wantSent("a", "a", "b")
}

func sameRun(t *testing.T, b *bench) {
	b.version(1, oneStep)
	b.does(ok)
	b.start()
	first, err := b.accept(1, "k")
	if err != nil {
		t.Fatal(err)
	}
	b.wantEnd(machine.Succeeded, "")
	b.again()
	second, err := b.accept(2, "k")
	if err != nil {
		t.Fatal(err)
	}
	if first.Run != second.Run || first.Duplicate || !second.Duplicate {
		t.Errorf("accepted %+v, then %+v; want the same run, the second as a duplicate", first, second)
	}
	b.wantSent("a")
}

func markMoves(t *testing.T, b *bench) {
	b.version(1, oneStep)
	b.does(ok)
	b.start()
	r := NewRun(1)
	as := []engine.Acceptance{
		{Run: r.ID, Graph: 1, Version: 1, Event: r.Event, At: r.AcceptedAt},
		{Mark: &engine.Mark{Graph: 1, Trigger: "a.b", Cursor: "7"}},
	}
	b.Fault(errors.New("no space left"))
	if _, err := b.Accept(t.Context(), as); !errors.Is(err, &engine.Error{Kind: engine.Unavailable}) {
		t.Fatalf("accept with a failing disk: %v; want unavailable", err)
	}
	b.Fault(nil)
	b.eventually(func() error { _, err := b.Accept(t.Context(), as); return err })
	b.wantEnd(machine.Succeeded, "")
	page, err := b.Runs(t.Context(), engine.RunQuery{})
	if err != nil || len(page.Runs) != 1 {
		t.Errorf("runs = %v, %v; want one", page.Runs, err)
	}
}

// eventually tries again what is refused while a fault is being mended.
func (b *bench) eventually(try func() error) {
	b.t.Helper()
	deadline := time.After(patience)
	for {
		err := try()
		if err == nil {
			return
		}
		if !errors.Is(err, &engine.Error{Kind: engine.Unavailable}) && !errors.Is(err, &engine.Error{Kind: engine.Overloaded}) {
			b.t.Fatal(err)
		}
		select {
		case <-deadline:
			b.t.Fatalf("it never recovered: %v", err)
		case <-time.After(time.Millisecond):
		}
	}
}

func failWith(kind string, retryable bool) engine.Outcome {
	return engine.Outcome{Err: &machine.Error{Kind: kind, Message: "it is down", Retryable: retryable, Data: json.RawMessage(`{"status":503}`)}}
}

func failedRun(t *testing.T, b *bench) {
	b.version(1, "- {id: a, use: test.act}\n- {id: b, use: test.act}\n")
	b.does(func(context.Context, engine.Job) engine.Outcome { return failWith("unavailable", true) })
	b.start()
	b.mustAccept(1)
	b.wantEnd(machine.Failed, "unavailable")
	b.wantSent("a")
	b.again()
	run, recs, err := b.Journal(t.Context(), RunID(1))
	if err != nil {
		t.Fatal(err)
	}
	if run.State != machine.Failed || run.Err == nil || run.Err.Kind != "unavailable" || run.Err.Step != "a" || run.EndedAt.IsZero() {
		t.Errorf("run = %+v; want failed, unavailable at a", run)
	}
	if len(recs) != 1 || !strings.Contains(string(recs[0].Body), `"status":503`) {
		t.Errorf("records = %v; want the failure with its data", recs)
	}
}

func retries(t *testing.T, b *bench) {
	b.version(1, "- {id: a, use: test.act, with: {n: '${{ trigger.n }}'}, retry: {max_attempts: 3, initial_interval: 1ms}}\n")
	n := 0
	b.does(func(context.Context, engine.Job) engine.Outcome {
		if n++; n < 3 {
			return failWith("unavailable", true)
		}
		return engine.Outcome{}
	})
	b.start()
	b.mustAccept(1)
	b.wantEnd(machine.Succeeded, "")
	b.wantSent("a", "a#2", "a#3")
	first, last := b.job(0).Effect, b.job(2).Effect
	if first.Idempotency != last.Idempotency || first.Digest != last.Digest || last.Attempt != 3 {
		t.Errorf("attempts differ: %+v, %+v", first, last)
	}
	if diff := cmp.Diff([]machine.Field{{Name: "n", Value: json.RawMessage("1")}}, last.Input); diff != "" {
		t.Errorf("input (-want +got):\n%s", diff)
	}
}

func waitSurvives(t *testing.T, b *bench) {
	b.version(1, "- {id: a, use: test.act, retry: {max_attempts: 2, initial_interval: 10ms}}\n")
	failed := make(chan machine.Key, 1)
	b.does(func(_ context.Context, j engine.Job) engine.Outcome {
		failed <- j.Effect.Key
		return failWith("unavailable", true)
	})
	b.start()
	b.mustAccept(1)
	await(t, failed, "the first attempt")
	b.does(ok)
	b.again()
	e := b.wait()
	if e.end.State != machine.Succeeded {
		t.Fatalf("run ended %s, %v", e.end.State, e.end.Err)
	}
}

func (b *bench) cancel() {
	b.t.Helper()
	f := machine.Fact{At: machine.Millis(at.UnixMilli()), Of: &machine.Cancel{}}
	if err := b.Signal(b.t.Context(), RunID(1), f); err != nil {
		b.t.Fatal(err)
	}
}

func cancels(t *testing.T, b *bench) {
	b.version(1, "- {id: a, use: test.act}\n- {id: b, use: test.act}\n")
	begun := make(chan machine.Key, 1)
	b.does(hold(begun))
	b.start()
	b.mustAccept(1)
	await(t, begun, "the call")
	b.cancel()
	b.wantEnd(machine.Cancelled, "")
	b.wantSent("a")
}

func cancelAgain(t *testing.T, b *bench) {
	b.version(1, oneStep)
	begun := make(chan machine.Key, 1)
	b.does(hold(begun))
	b.start()
	b.mustAccept(1)
	await(t, begun, "the call")
	b.cancel()
	b.cancel()
	b.wantEnd(machine.Cancelled, "")
	b.cancel()
	b.again()
	b.cancel()
	run, recs, err := b.Journal(t.Context(), RunID(1))
	if err != nil || run.State != machine.Cancelled {
		t.Fatalf("run = %s, %v; want cancelled", run.State, err)
	}
	n := 0
	for _, r := range recs {
		if r.Kind == engine.RecordCancel {
			n++
		}
	}
	if n != 1 {
		t.Errorf("%d cancels are recorded; want 1", n)
	}
	if err := b.Signal(t.Context(), RunID(7), machine.Fact{Of: &machine.Cancel{}}); !errors.Is(err, &engine.Error{Kind: engine.NotFound}) {
		t.Errorf("cancel of no run: %v; want not_found", err)
	}
}

func givenUp(t *testing.T, b *bench) {
	b.o.Grace = time.Millisecond
	b.version(1, oneStep)
	begun, release := make(chan machine.Key, 1), make(chan struct{})
	b.does(func(_ context.Context, j engine.Job) engine.Outcome {
		begun <- j.Effect.Key
		<-release
		return engine.Outcome{}
	})
	t.Cleanup(sync.OnceFunc(func() { close(release) }))
	b.start()
	b.mustAccept(1)
	await(t, begun, "the call")
	b.cancel()
	b.wantEnd(machine.Cancelled, "")
}

func cancelledOnce(t *testing.T, b *bench) {
	b.version(1, oneStep)
	begun, release := make(chan machine.Key, 1), make(chan struct{})
	b.does(func(_ context.Context, j engine.Job) engine.Outcome {
		begun <- j.Effect.Key
		<-release
		return engine.Outcome{}
	})
	b.start()
	b.mustAccept(1)
	await(t, begun, "the call")
	b.cancel()
	b.Fault(errors.New("gone")) // its outcome isn't written before the crash
	close(release)
	b.again()
	b.wantEnd(machine.Cancelled, "")
	b.wantSent("a")
}

func timesOut(t *testing.T, b *bench) {
	b.version(1, "- {id: a, use: test.act, timeout: 1ms}\n")
	b.does(hold(make(chan machine.Key, 9)))
	b.start()
	b.mustAccept(1)
	e := b.wantEnd(machine.Failed, machine.KindTimeout)
	if !strings.Contains(e.end.Err.Message, "1ms") {
		t.Errorf("message = %q; want the limit named", e.end.Err.Message)
	}
}

func keepsVersion(t *testing.T, b *bench) {
	b.version(1, "- {id: a, use: test.act}\n- {id: old, use: test.act}\n")
	b.version(2, "- {id: a, use: test.act}\n- {id: new, use: test.act}\n")
	begun := make(chan machine.Key, 1)
	b.does(hold(begun))
	b.start()
	b.mustAccept(1)
	await(t, begun, "the call")
	b.Crash()
	b.does(ok)
	b.start()
	b.wantEnd(machine.Succeeded, "")
	b.wantSent("a", "a", "old")
}

func tooMany(t *testing.T, b *bench) {
	b.o.MaxOpen = 2
	b.version(1, oneStep)
	begun := make(chan machine.Key, 4)
	b.does(hold(begun))
	b.start()
	b.mustAccept(1)
	b.mustAccept(2)
	await(t, begun, "a call")
	await(t, begun, "a call")
	_, err := b.accept(3, "")
	var e *engine.Error
	if !errors.As(err, &e) || e.Kind != engine.Overloaded || e.RetryAfter <= 0 {
		t.Fatalf("third run: %v; want overloaded with a time to come again", err)
	}
	b.cancel()
	b.wantEnd(machine.Cancelled, "")
	b.eventually(func() error { _, err := b.accept(3, ""); return err })
}

// tooManyOfOne leaves room for other graphs, also after a restart.
func tooManyOfOne(t *testing.T, b *bench) {
	b.o.MaxGraph = 2
	b.version(1, oneStep)
	begun := make(chan machine.Key, 8)
	b.does(hold(begun))
	b.start()
	b.mustAccept(1)
	b.mustAccept(2)
	for life := range 2 {
		if life > 0 {
			b.again()
		}
		await(t, begun, "a call")
		await(t, begun, "a call")
		_, err := b.accept(3, "")
		var e *engine.Error
		if !errors.As(err, &e) || e.Kind != engine.Overloaded || e.RetryAfter <= 0 {
			t.Fatalf("third run in life %d: %v; want overloaded with a time to come again", life, err)
		}
	}
	r := NewRun(4)
	if _, err := b.Accept(t.Context(), []engine.Acceptance{{Run: r.ID, Graph: 2, Version: 1, Event: r.Event, At: r.AcceptedAt}}); err != nil {
		t.Fatalf("a run of another graph: %v", err)
	}
}

func diskFails(t *testing.T, b *bench) {
	b.version(1, oneStep)
	begun, release := make(chan machine.Key, 1), make(chan struct{})
	b.does(func(ctx context.Context, j engine.Job) engine.Outcome {
		begun <- j.Effect.Key
		select {
		case <-release:
		case <-ctx.Done():
		}
		return engine.Outcome{Output: json.RawMessage("1")}
	})
	b.start()
	b.mustAccept(1)
	await(t, begun, "the call")
	b.Fault(errors.New("no space left on device"))
	var e *engine.Error
	if _, err := b.accept(2, ""); !errors.As(err, &e) || e.Kind != engine.Unavailable || e.RetryAfter <= 0 {
		t.Fatalf("accept with a failing disk: %v; want unavailable with a time to come again", err)
	}
	close(release) // the outcome comes while nothing can be written
	b.Fault(nil)
	b.wantEnd(machine.Succeeded, "")
	b.eventually(func() error { _, err := b.accept(3, ""); return err })
	b.wantEnd(machine.Succeeded, "")
	b.wantSent("a", "a")
}

func changedProgram(t *testing.T, b *bench) {
	b.version(1, "- {id: a, use: test.act, with: {n: 1}}\n- {id: b, use: test.act}\n")
	begun := make(chan machine.Key, 2)
	stuck := hold(begun)
	b.does(func(ctx context.Context, j engine.Job) engine.Outcome {
		if j.Effect.Step == "b" {
			return stuck(ctx, j)
		}
		return ok(ctx, j)
	})
	b.start()
	b.mustAccept(1)
	await(t, begun, "step b")
	b.Crash()
	b.version(1, "- {id: a, use: test.act, with: {n: 2}}\n- {id: b, use: test.act}\n")
	b.does(ok)
	b.start()
	b.wantEnd(machine.Failed, machine.KindChangedProgram)
	b.wantSent("a", "b")
}

func undriven(t *testing.T, b *bench) {
	b.does(ok)
	b.start() // there is no version 1
	b.mustAccept(1)
	err := b.Signal(t.Context(), RunID(1), machine.Fact{At: machine.Millis(at.UnixMilli()), Of: &machine.Cancel{}})
	if !errors.Is(err, &engine.Error{Kind: engine.Conflict}) {
		t.Errorf("cancel: %v; want a conflict", err)
	}
	b.version(1, oneStep)
	b.again()
	b.wantEnd(machine.Succeeded, "")
}

func sideBySide(t *testing.T, b *bench) {
	b.version(1, "- {id: a, use: test.act}\n- {id: b, use: test.act, after: []}\n- {id: c, use: test.act, after: [a, b]}\n")
	var both sync.WaitGroup
	both.Add(2)
	b.does(func(ctx context.Context, j engine.Job) engine.Outcome {
		if j.Effect.Step != "c" {
			both.Done()
			both.Wait() // neither returns before the other has begun
		}
		return ok(ctx, j)
	})
	b.start()
	b.mustAccept(1)
	b.wantEnd(machine.Succeeded, "")
	if got := b.sent(); len(got) != 3 || got[2] != "c" {
		t.Errorf("performed %v; want c last", got)
	}
}

func outputs(t *testing.T, b *bench) {
	b.version(1, `
- {id: a, use: test.act, with: {n: "${{ trigger.n }}"}}
- {id: b, set: {sum: "${{ steps.a.n + 1 }}"}}
- {id: c, use: test.act, with: {sum: "${{ steps.b.sum }}", text: "n is ${{ trigger.n }}"}}
`)
	b.does(func(_ context.Context, j engine.Job) engine.Outcome {
		if j.Effect.Step == "a" {
			return engine.Outcome{Output: json.RawMessage(`{"n":41}`)}
		}
		return engine.Outcome{Output: json.RawMessage(`"done"`)}
	})
	b.start()
	b.mustAccept(5)
	e := b.wantEnd(machine.Succeeded, "")
	if string(e.end.Result) != `"done"` {
		t.Errorf("result = %s; want done", e.end.Result)
	}
	want := []machine.Field{{Name: "sum", Value: json.RawMessage("42")}, {Name: "text", Value: json.RawMessage(`"n is 5"`)}}
	if diff := cmp.Diff(want, b.job(1).Effect.Input); diff != "" {
		t.Errorf("input of c (-want +got):\n%s", diff)
	}
}

func answers(t *testing.T, b *bench) {
	b.version(1, `
- {id: a, respond: {status: 201, body: "${{ trigger.n }}"}}
- {id: b, respond: {status: 500}}
`)
	b.does(ok)
	b.start()
	b.mustAccept(3)
	b.wantEnd(machine.Succeeded, "")
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.answers) != 1 || b.answers[0].Status != 201 || string(b.answers[0].Body) != "3" {
		t.Errorf("answers = %+v; want one of 201 with 3", b.answers)
	}
}

func manyRuns(t *testing.T, b *bench) {
	const n = 300
	b.version(1, "- {id: a, use: test.act}\n- {id: b, use: test.act}\n")
	b.does(ok)
	b.start()
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			b.eventually(func() error { _, err := b.accept(i, ""); return err })
		})
	}
	wg.Wait()
	seen := map[engine.RunID]bool{}
	for range n {
		e := b.wantEnd(machine.Succeeded, "")
		if seen[e.run] {
			t.Fatalf("run %s ended twice", e.run)
		}
		seen[e.run] = true
	}
	if got := len(b.sent()); got != 2*n {
		t.Errorf("%d calls; want %d", got, 2*n)
	}
}
