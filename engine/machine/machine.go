// Package machine is one run of a graph as a pure state machine: facts go in,
// commands come out (semantics.md).
//
// It is not a runner: it does no I/O, calls no clock and no randomness, starts
// no goroutine and keeps no journal. Whoever drives it makes each fact durable,
// then obeys the commands that the fact gave.
//
// Its one rule: the same program, run and facts give the same commands and the
// same state, byte for byte. So recovery is a replay, and what is still open
// after it is what has to be sent again.
package machine

import (
	"encoding/json"

	"github.com/tappet-dev/tappet/engine/expr"
	"github.com/tappet-dev/tappet/engine/program"
)

// Limits bound a run. The zero value means the defaults. They are part of what
// decides a run: a replay needs the ones that the run was begun with.
type Limits struct {
	// Visits is how many attempts of steps a run may begin, and its on_failure as
	// many again: 1,000,000. Past it the run is aborted and fails with kind limit.
	Visits int
	// Expr bounds each evaluation of an expression: the program's limits.
	Expr expr.Limits
}

const defaultVisits = 1_000_000

// A Machine is one run. It isn't safe for concurrent use. What its methods give
// is shared with it and must not be changed.
type Machine struct {
	p      *program.Program
	run    Run
	limits Limits

	now     Millis
	started Millis
	slots   []slot
	root    scope
	// list is the one that runs: root, and then on_failure's.
	list *scope
	// open holds what was sent and hasn't settled, but for the run's own limit.
	open map[Key]*visit
	// limit is when the run's own timer is due; it counts while armed.
	limit Millis
	armed bool
	// ending is how the run ends; the first cause stays (G10).
	ending *End
	ended  bool
	// cancelled: somebody wished that the run ends (G13).
	cancelled bool
	// cause is why the run failed, once on_failure has begun (G15).
	cause *Error
	// answered is the respond that was reached first (G25).
	answered *program.Step
	visits   int

	queue []ready
	head  int
	cmds  []Command

	env    expr.Env
	values [program.NumVars]any
	// scratch is where values are written before their size is known.
	scratch []byte
}

// mode says how a list ends; a higher one outranks a lower (G11).
type mode uint8

const (
	// open: its steps start as they become ready.
	open mode = iota
	// drain: nothing starts, what waits is cancelled, what was sent may finish.
	drain
	// abort: what was sent is cut short too.
	abort
)

// A slot holds what a step has come to.
type slot struct {
	status   Status
	handled  bool
	attempts int
	output   json.RawMessage
	// value is output as expressions see it, made when it is first read.
	value          any
	read           bool
	err            *Error
	started, ended Millis
}

// A scope is a list of steps being run.
type scope struct {
	list *program.List
	// prefix is what the paths of its visits begin with.
	prefix string
	// waits counts, for each step, the predecessors that haven't settled.
	waits []int
	// left counts the steps that haven't settled.
	left int
	// open are the visits under way, in the order in which they began.
	open []*visit
	mode mode
}

// ready is a step all of whose predecessors have settled.
type ready struct {
	scope *scope
	step  *program.Step
}

// New makes the machine of a run that hasn't been accepted yet, with the
// default limits.
func New(p *program.Program, r Run) *Machine { return NewLimited(p, r, Limits{}) }

// NewLimited is New with limits.
func NewLimited(p *program.Program, r Run, l Limits) *Machine {
	if l.Visits <= 0 {
		l.Visits = defaultVisits
	}
	if l.Expr == (expr.Limits{}) {
		l.Expr = p.Limits
	}
	return &Machine{p: p, run: r, limits: l}
}

// Apply takes a fact and gives what has to be done now, in order. A fact whose
// key isn't open for its kind changes nothing, not even the time, and gives
// nil; one that was taken gives a slice, empty when nothing follows from it. So
// duplicates and latecomers are harmless. The key of Accepted and
// Cancel is empty. Time never runs backwards: an earlier At counts as the
// latest one taken.
func (m *Machine) Apply(f Fact) []Command {
	if !m.take(f) {
		return nil
	}
	m.work()
	cmds := m.cmds
	m.cmds = nil
	if cmds == nil {
		return []Command{} // taken, with nothing to do
	}
	return cmds
}

// take does what a fact says of itself; work does what follows from it.
func (m *Machine) take(f Fact) bool {
	if m.ended {
		return false
	}
	switch of := f.Of.(type) {
	case *Accepted:
		if of == nil || f.Key != "" || m.slots != nil {
			return false
		}
		m.tick(f.At)
		m.accept(of.Event)
	case *Settled:
		v := m.open[f.Key]
		if of == nil || v == nil || v.leaf != effect {
			return false
		}
		m.tick(f.At)
		m.settled(v, of)
	case *Fired:
		if of == nil {
			return false
		}
		if f.Key == m.limitKey() && m.armed {
			m.tick(f.At)
			m.expire()
			return true
		}
		v := m.open[f.Key]
		if v == nil || v.leaf != backoff {
			return false
		}
		m.tick(f.At)
		m.again(v)
	case *Cancel:
		if of == nil || f.Key != "" || m.slots == nil || m.cancelled || m.list.mode == abort && !m.fails() {
			return false
		}
		m.tick(f.At)
		m.cancelled = true
		m.decide(&End{State: Cancelled})
		m.shut(m.list, abort)
	default:
		return false
	}
	return true
}

func (m *Machine) tick(at Millis) { m.now = max(m.now, at) }

func (m *Machine) emit(c Command) {
	if m.cmds == nil {
		// Most facts give one command or two.
		m.cmds = make([]Command, 0, 2)
	}
	m.cmds = append(m.cmds, c)
}

func (m *Machine) accept(event json.RawMessage) {
	m.started = m.now
	m.slots = make([]slot, m.p.Slots)
	for i := range m.slots {
		m.slots[i].status = StepPending
	}
	m.bind(event)
	m.list = &m.root
	m.arm()
	m.start(m.list, m.p.Top)
}

// start begins a list: its first steps are ready.
func (m *Machine) start(sc *scope, l *program.List) {
	sc.list, sc.left = l, len(l.Steps)
	sc.waits = make([]int, len(l.Steps))
	for i, s := range l.Steps {
		sc.waits[i] = len(s.Preds)
	}
	for _, i := range l.First {
		m.queue = append(m.queue, ready{sc, l.Steps[i]})
	}
	m.check(sc)
}

// work starts the steps that are ready, first come first served. It is a loop
// and not a recursion, so a long list needs no deep stack.
func (m *Machine) work() {
	for m.head < len(m.queue) && !m.ended {
		r := m.queue[m.head]
		if m.head++; m.head == len(m.queue) {
			m.queue, m.head = m.queue[:0], 0
		}
		if r.scope.mode == open {
			m.begin(r.scope, r.step)
		}
	}
	m.queue, m.head = m.queue[:0], 0
}
