package local

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/tappet-dev/tappet/engine"
	"github.com/tappet-dev/tappet/engine/machine"
	"github.com/tappet-dev/tappet/engine/program"
)

// A run is one run in memory: its machine, and what was sent for it.
//
// Facts are applied and their records submitted under mu, so that the journal
// has the order of application; the commands are carried out after the commit
// and outside mu. The machine may so be ahead of the disk by what is being
// written, but nothing of that can be seen from outside.
type run struct {
	r     *Runner
	id    engine.RunID
	ready chan struct{} // closed when the machine is there, or the run is given up
	// lost is why the run was given up; it is set before ready is closed.
	lost error

	// unawaited is what its acceptance said; it is set before the run starts.
	unawaited bool

	// graph is 0 until the run is counted for its graph; Runner.mu holds it.
	graph engine.GraphID

	mu   sync.Mutex
	m    *machine.Machine
	head engine.Run
	seq  int
	// timers and effects are few at a time.
	timers  []timer
	effects []*attempt
	cut     map[machine.Key]bool // withdrawn before they were sent
	// doubts are open effects that a former process may have sent, and how often.
	doubts map[machine.Key]int
	ended  bool
}

// A timer is armed, or far off: then the runner's sweep arms it in time.
type timer struct {
	key machine.Key
	due time.Time
	t   *time.Timer // nil: far off
}

// start makes the machine, brings it up to the last record, and carries out
// what is open. recs is nil for a run that has just been accepted, and not nil
// for one that is taken up again, whose open effects may have been sent. It
// runs in a goroutine that the runner counts.
func (x *run) start(head engine.Run, recs []engine.Record) {
	p, err := x.r.worker.Program(context.Background(), head.Graph, head.Version)
	if err != nil {
		x.giveUp(fmt.Errorf("load version %d of its graph: %w", head.Version, err))
		return
	}
	x.mu.Lock()
	x.head = head
	x.m = machine.New(p, machine.Run{ID: head.ID.String(), Version: head.Version, Attempt: head.Attempt})
	cmds := x.m.Apply(machine.Fact{At: machine.Millis(head.AcceptedAt.UnixMilli()), Of: &machine.Accepted{Event: head.Event}})
	if recs == nil { // a new run: its first commands are all there is
		var tail *ticket
		if end, ok := only(cmds); ok {
			// No call is behind it whose outcome would be in doubt for longer: an end
			// that nobody waits for may wait for others.
			x.r.active.Add(1) // until it is durable; the caller's own count holds it above 0
			x.endLocked(x.unawaited, end, nil, func(err error) {
				defer x.r.active.Done()
				x.report(err)
			})
			cmds = nil
		} else {
			tail = x.settleLocked(cmds)
		}
		close(x.ready)
		x.mu.Unlock()
		x.carryOut(cmds, tail)
		return
	}
	end, started, err := x.replay(cmds, recs)
	if err != nil {
		x.m = nil // half a replay: no fact may reach it
		x.mu.Unlock()
		x.giveUp(err)
		return
	}
	todo, outcomes := x.reopen(started)
	if end != nil {
		todo = append(todo, end)
	}
	tail := x.settleLocked(todo)
	close(x.ready)
	x.mu.Unlock()
	for _, o := range outcomes {
		x.settle(o.eff, o.at, o.out)
	}
	x.carryOut(todo, tail)
}

// replay applies a journal. It gives the end that the facts have led to though
// it wasn't recorded (a program that has changed), and the effects that were
// begun under on_unknown: fail.
func (x *run) replay(cmds []machine.Command, recs []engine.Record) (end *machine.End, started map[machine.Key]bool, err error) {
	end = endOf(cmds)
	started, x.doubts = map[machine.Key]bool{}, map[machine.Key]int{}
	for _, rec := range recs {
		x.seq++
		f, ok, err := rec.Fact()
		switch {
		case err != nil:
			return nil, nil, err
		case ok:
			if e := endOf(x.m.Apply(f)); e != nil {
				end = e
			}
		case rec.Kind == engine.RecordInDoubt:
			x.doubt(rec.Path)
		case rec.Kind == engine.RecordStarted:
			started[rec.Path] = true
		}
	}
	return end, started, nil
}

// doubt counts the resends of an effect: the path of a note is the effect's
// key, "?" and a number.
func (x *run) doubt(path machine.Key) {
	for i := len(path) - 1; i > 0; i-- {
		if path[i] == '?' {
			x.doubts[path[:i]]++
			return
		}
	}
}

type lostOutcome struct {
	eff *machine.Effect
	at  time.Time
	out engine.Outcome
}

// reopen gives the commands that stand for what is open after a replay, and
// the outcomes that can be told without asking anyone: an effect that must not
// be repeated and was begun is unknown (D3, G21).
func (x *run) reopen(started map[machine.Key]bool) (todo []machine.Command, lost []lostOutcome) {
	now := x.r.o.Clock.Now()
	for _, k := range x.m.Open() {
		if due, ok := x.m.Timer(k); ok {
			d := time.UnixMilli(int64(due)).Sub(now)
			todo = append(todo, &machine.Timer{Key: k, Delay: max(0, d)})
			continue
		}
		eff := x.m.Effect(k)
		if eff == nil {
			continue
		}
		if x.m.Withdrawn(k) { // cut short before the crash: it isn't sent again (G11)
			lost = append(lost, lostOutcome{eff, now, engine.Outcome{Err: &machine.Error{
				Kind: machine.KindUnknown, Message: "the process ended before the call that the run took back had; whether it took effect is not known", Step: eff.Step,
			}}})
			continue
		}
		if eff.FailUnknown {
			if started[k] {
				lost = append(lost, lostOutcome{eff, now, engine.Outcome{Err: &machine.Error{
					Kind: machine.KindUnknown, Message: "the process ended while the call was under way; whether it took effect is not known", Step: eff.Step,
				}}})
				continue
			}
		} else {
			x.doubts[k] += 0 // in doubt, even when nothing was ever sent again
		}
		todo = append(todo, eff)
	}
	return todo, lost
}

// apply gives one fact to the machine and carries out what follows from it. It
// returns when the fact is durable; a fact that isn't awaited changes nothing.
func (x *run) apply(f machine.Fact, rec engine.Record) error { return x.applyThen(f, rec, nil, nil) }

// applyThen is apply for those who don't wait for the last fact of a run: then
// is called when the fact is durable, or can't be made so, or wasn't awaited.
// The run gets the files with the fact, or not at all.
func (x *run) applyThen(f machine.Fact, rec engine.Record, files []engine.File, then func(error)) error {
	x.mu.Lock()
	var cmds []machine.Command
	if x.m != nil && !x.ended {
		cmds = x.m.Apply(f)
	}
	if cmds == nil { // not awaited
		x.mu.Unlock()
		if then != nil {
			then(nil)
		}
		return nil
	}
	x.seq++
	var entries []engine.Entry
	if len(files) > 0 { // before the record, which stands next to the end that it may lead to
		entries = append(entries, &engine.Keep{Run: x.id, Files: files})
	}
	entries = append(entries, &engine.Append{Run: x.id, Seq: x.seq, Record: rec})
	if end, ok := only(cmds); ok && then != nil {
		x.endLocked(false, end, entries, then)
		x.mu.Unlock()
		return nil
	}
	t := x.submitLocked(entries, cmds)
	x.mu.Unlock()
	<-t.done
	if t.err == nil {
		x.carryOut(cmds, nil)
	}
	if then != nil {
		then(t.err)
		return nil
	}
	return t.err
}

// endOf gives the end of a run that commands hold, nil if they don't.
func endOf(cmds []machine.Command) *machine.End {
	for _, c := range cmds {
		if end, ok := c.(*machine.End); ok {
			return end
		}
	}
	return nil
}

// only gives the end of a run when nothing else is to be done.
func only(cmds []machine.Command) (end *machine.End, ok bool) {
	for _, c := range cmds {
		switch c := c.(type) {
		case *machine.End:
			end = c
		case *machine.Withdraw: // of a timer: the end stops them all
		default:
			return nil, false
		}
	}
	return end, end != nil
}

func (x *run) end(e *machine.End) *engine.Finish {
	return &engine.Finish{Run: x.id, State: e.State, At: x.r.o.Clock.Now(), Err: e.Err}
}

// submitLocked hands entries to the committer, with the run's end if the
// commands hold it, so that both are one transaction.
func (x *run) submitLocked(entries []engine.Entry, cmds []machine.Command) *ticket {
	if end := endOf(cmds); end != nil {
		x.ended = true
		entries = append(entries, x.end(end))
	}
	return x.r.commit.submit(true, entries...)
}

// settleLocked submits the end of a run that a replay or its very first fact
// has brought; nil when there is none.
func (x *run) settleLocked(cmds []machine.Command) *ticket {
	if endOf(cmds) == nil {
		return nil
	}
	return x.submitLocked(nil, cmds)
}

// endLocked submits the end of a run that leaves nothing else to be done, behind
// its last entries, for those who don't wait; then is called when it is written,
// or can't be.
func (x *run) endLocked(patient bool, end *machine.End, entries []engine.Entry, then func(error)) {
	x.ended = true
	x.r.commit.submitThen(patient, func(err error) {
		if err == nil {
			x.finish(end)
		}
		then(err)
	}, append(entries, x.end(end))...)
}

// carryOut does what durable facts have led to. The last effect is performed
// by the calling goroutine, so that a plain sequence of steps needs no other.
func (x *run) carryOut(cmds []machine.Command, wait *ticket) {
	if wait != nil {
		<-wait.done
		if wait.err != nil {
			return
		}
	}
	var last *machine.Effect
	for _, c := range cmds {
		switch c := c.(type) {
		case *machine.Effect:
			if last != nil {
				x.spawn(last)
			}
			last = c
		case *machine.Timer:
			x.arm(c)
		case *machine.Withdraw:
			x.withdraw(c.Key)
		case *machine.Answer:
			x.r.worker.Answer(x.id, c)
		case *machine.End:
			x.finish(c)
		}
	}
	if last != nil {
		x.perform(last)
	}
}

func (x *run) spawn(e *machine.Effect) {
	if !x.r.enter() {
		return // stopping: it is open, the next process sends it
	}
	x.r.crew.do(func() {
		defer x.r.active.Done()
		x.perform(e)
	})
}

func (x *run) finish(end *machine.End) {
	x.stopTimers()
	x.r.remove(x.id)
	x.r.worker.Ended(x.id, end)
}

func (x *run) arm(c *machine.Timer) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.ended || x.r.stopping() {
		return
	}
	t := timer{key: c.Key, due: time.Now().Add(c.Delay)}
	if c.Delay <= horizon {
		t.t = time.AfterFunc(c.Delay, func() { x.fire(c.Key) })
	}
	x.timers = append(x.timers, t)
}

// approach arms the timers that are due before a time.
func (x *run) approach(until time.Time) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for i := range x.timers {
		if t := &x.timers[i]; t.t == nil && t.due.Before(until) {
			key := t.key
			t.t = time.AfterFunc(time.Until(t.due), func() { x.fire(key) })
		}
	}
}

// wake ends those waits between attempts that pick says yes to.
func (x *run) wake(pick func(*program.Step, *machine.Error) bool) {
	for _, key := range x.backoffs(pick) {
		if !x.r.enter() {
			return
		}
		x.r.crew.do(func() {
			defer x.r.active.Done()
			x.fire(key)
		})
	}
}

// backoffs gives the timers of those waits, armed or about to be.
func (x *run) backoffs(pick func(*program.Step, *machine.Error) bool) []machine.Key {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.m == nil || x.ended {
		return nil
	}
	var keys []machine.Key
	for _, key := range x.m.Open() {
		if step, why := x.m.Backoff(key); step != nil && pick(step, why) {
			keys = append(keys, key)
		}
	}
	return keys
}

func (x *run) fire(key machine.Key) {
	if !x.r.enter() {
		return
	}
	defer x.r.active.Done()
	x.mu.Lock()
	x.forget(key)
	x.mu.Unlock()
	at := x.r.o.Clock.Now()
	x.report(x.apply(machine.Fact{Key: key, At: machine.Millis(at.UnixMilli()), Of: &machine.Fired{}},
		engine.Record{Kind: engine.RecordFired, Path: key, At: at}))
}

// forget stops a timer; false when there is none of the key.
func (x *run) forget(key machine.Key) bool {
	for i, t := range x.timers {
		if t.key == key {
			if t.t != nil {
				t.t.Stop()
			}
			x.timers = slices.Delete(x.timers, i, i+1)
			return true
		}
	}
	return false
}

func (x *run) stopTimers() {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, t := range x.timers {
		if t.t != nil {
			t.t.Stop()
		}
	}
	x.timers = nil
}

// park ends the calls under way: their outcomes aren't recorded.
func (x *run) park() {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, c := range x.effects {
		c.cancel(errParked)
	}
}

// withdraw forgets a timer, or cuts an effect short, which then still settles.
func (x *run) withdraw(k machine.Key) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.forget(k) {
		return
	}
	if i := slices.IndexFunc(x.effects, func(c *attempt) bool { return c.effect.Key == k }); i >= 0 {
		x.effects[i].end(errWithdrawn)
	} else if x.m.Effect(k) != nil { // not sent yet
		if x.cut == nil {
			x.cut = map[machine.Key]bool{}
		}
		x.cut[k] = true
	}
}

// settle records an outcome and goes on from there.
func (x *run) settle(e *machine.Effect, began time.Time, out engine.Outcome) {
	at := x.r.o.Clock.Now()
	rec := engine.NewSettled(e.Key, at, began, e.Digest, out)
	f := machine.Fact{
		Key: e.Key, At: machine.Millis(at.UnixMilli()), Of: &machine.Settled{Output: out.Output, Err: out.Err, Input: e.Digest},
	}
	x.r.active.Add(1) // until it is durable; the caller's own count holds it above 0
	_ = x.applyThen(f, rec, out.Files, func(err error) {
		defer x.r.active.Done()
		drop(out)
		x.report(err)
	})
	if out.Err != nil {
		x.r.missed(x, began)
	}
}

// report logs what nobody waits for. A failure here means that the process is
// stopping: the record is made anew by the next one.
func (x *run) report(err error) {
	if err != nil {
		x.r.o.Log.Warn("a run's progress wasn't written; it goes on from its last record at the next start", "run", x.id, "error", err)
	}
}

// giveUp leaves a run that can't be driven as it is, open, and says so.
func (x *run) giveUp(err error) {
	x.r.o.Log.Error("a run can't go on; it stays open until the cause is mended and tappet is started again", "run", x.id, "error", err)
	x.lost = err
	close(x.ready)
	x.r.remove(x.id)
}
