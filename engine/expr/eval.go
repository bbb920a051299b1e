package expr

import (
	"fmt"
	"sync"
	"time"
)

// Env is what one evaluation sees.
type Env struct {
	// Values belong to the scope's names, by index. A value is nil, bool, int,
	// float64, json.Number, *apd.Decimal, string, []any, map[string]any,
	// time.Time, time.Duration, *Raw, Secret or Members, and none of them is
	// changed while it is here. A missing one is null.
	Values []any
	// Now is what now() gives.
	Now time.Time
	// Seed is what ids are derived from: uuid() and the like give the same for
	// the same seed, and another one for each call within one evaluation. It must
	// be the same when a step is evaluated again on replay, and differ between
	// runs and between the visits of steps. Without one, these functions fail.
	Seed []byte
	// Show: the JSON is shown to somebody and sent nowhere, and a secret that is a
	// value of its own in it is a reference, {"$secret":"name"}.
	Show bool
	// Limits of the evaluation; zero fields mean the defaults.
	Limits Limits
	// Usage, if set, is told what the evaluation has used; one that needs no
	// evaluation, such as of a constant, tells nothing.
	Usage *Usage
}

// Members is an object whose members are computed when they are asked for. It
// can be written out as a whole only when it is a [Lister], too.
type Members interface {
	// Member gives one member, and false when there is none of that name,
	// which reads as null.
	Member(name string) (value any, ok bool)
}

// A Lister is a Members that can name its members.
type Lister interface {
	Members
	// Names gives each name once, in any order.
	Names() []string
}

// Program is a compiled expression.
type Program struct {
	run fn
	typ *Type
	src string
	// vars and loops are how many let slots and nested predicates it has.
	vars, loops int
	// reads are the paths of the scope that it may read, sorted.
	reads []string
	// fixed is the JSON of the value when it needs no data; nil otherwise.
	fixed []byte
}

// Type is that of the value.
func (p *Program) Type() *Type { return p.typ }

// Eval gives the value, or an *Error.
func (p *Program) Eval(env *Env) (value any, err error) {
	f := newFrame(env, p.vars, p.loops)
	defer func() {
		if r := recover(); r != nil {
			value, err = nil, f.caught(r, p.src)
		}
		f.release()
	}()
	return p.run(f), nil
}

// fn evaluates one node.
type fn func(f *frame) any

// loop is the state of one predicate that is running.
type loop struct {
	item, acc any
	index     int
}

// frame is the state of one evaluation.
type frame struct {
	values []any
	vars   []any
	loops  []loop
	now    time.Time
	limits Limits
	usage  *Usage
	show   bool
	seed   []byte
	ids    uint64         // how many ids were made of the seed
	place  *time.Location // the zone that was found last
	re     *pattern       // the pattern that was compiled last
	// left, bytes and copies are what remains of the budget.
	left, bytes, copies int
	// at is the place of the running operation, in runes of its source, and -1
	// while none is running.
	at int
	// trail is the place in the value tree that is evaluated.
	trail []int

	memo    []memo
	memoMap map[*Raw]any

	varBuf   [8]any
	loopBuf  [4]loop
	trailBuf [8]int
	memoBuf  [8]memo
}

// failure is what the evaluation panics with; caught makes an *Error of it.
type failure struct {
	msg   string
	limit bool
}

var frames = sync.Pool{New: func() any { return new(frame) }}

func newFrame(env *Env, vars, loops int) *frame {
	f, _ := frames.Get().(*frame)
	l := env.Limits.withDefaults()
	f.values, f.now, f.seed, f.limits, f.usage, f.show = env.Values, env.Now, env.Seed, l, env.Usage, env.Show
	f.left, f.bytes, f.copies, f.at = l.Steps, l.Bytes, l.Copies, -1
	f.vars, f.loops, f.trail, f.memo = f.varBuf[:], f.loopBuf[:], f.trailBuf[:0], f.memoBuf[:0]
	if vars > len(f.vars) {
		f.vars = make([]any, vars)
	}
	if loops > len(f.loops) {
		f.loops = make([]loop, loops)
	}
	return f
}

func (f *frame) release() {
	if u := f.usage; u != nil {
		*u = Usage{Steps: f.limits.Steps - f.left, Bytes: f.limits.Bytes - f.bytes, Copies: f.limits.Copies - f.copies}
	}
	*f = frame{}
	frames.Put(f)
}

// caught makes the error of a recovered panic. Anything but a failure is a
// defect of this package; it ends the evaluation and nothing else.
func (f *frame) caught(r any, src string) *Error {
	e := &Error{}
	if f.at >= 0 {
		e.Line, e.Column = position(src, f.at)
	}
	if x, ok := r.(failure); ok {
		e.Message, e.Limit = x.msg, x.limit
		return e
	}
	e.Message = fmt.Sprintf("internal error: %v", r)
	return e
}

func (f *frame) fail(format string, a ...any) {
	if len(a) > 0 {
		format = fmt.Sprintf(format, a...)
	}
	panic(failure{msg: format})
}

func (f *frame) exceeded(what string) {
	panic(failure{msg: what, limit: true})
}

// step charges work; a unit is about 10 ns.
func (f *frame) step(n int) {
	f.left -= n
	if f.left < 0 || n < 0 {
		f.left = 0
		f.exceeded(fmt.Sprintf("the expression takes more than %d steps (limits.expr_steps)", f.limits.Steps))
	}
}

// alloc charges memory, in bytes, and the work of filling it.
func (f *frame) alloc(n int) {
	f.bytes -= n
	if f.bytes < 0 || n < 0 {
		f.bytes = 0
		f.exceeded(fmt.Sprintf("the expression takes more than %d bytes of memory (limits.expr_bytes)", f.limits.Bytes))
	}
	f.step(n >> 6)
}

// copied charges bytes of a document that are copied as they are.
func (f *frame) copied(n int) {
	f.copies -= n
	if f.copies < 0 {
		f.copies = 0
		f.exceeded(fmt.Sprintf("the expression copies more than %d bytes (limits.expr_copies)", f.limits.Copies))
	}
	f.step(n >> 10)
}

func (f *frame) value(slot int) any {
	if slot < len(f.values) {
		return f.values[slot]
	}
	return nil
}
