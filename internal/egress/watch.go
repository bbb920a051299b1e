package egress

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// The reasons for which a watch ends a call.
var (
	errWhole = errors.New("the call took longer than")
	errIdle  = errors.New("the response's body stood still for longer than")
	errDrain = errors.New("the rest of the response's body didn't come in time")
)

// A watch ends a call when its time is over. It has one timer for the whole
// call and for all the waits for the body: a wait only notes when it began, and
// the timer, when it fires, looks whether anything is due. Arming a timer for
// each wait would cost more than the wait.
type watch struct {
	limits  *Limits
	ctx     context.Context
	cancel  context.CancelCauseFunc
	mu      sync.Mutex // holds timer and its settings
	timer   *time.Timer
	begun   time.Time
	whole   span
	idle    span
	waiting atomic.Int64 // since begun, when the wait for the body began; 0: none has
	closing bool
}

// newWatch starts the time of a call.
func newWatch(ctx context.Context, l *Limits, whole span) (context.Context, *watch) {
	w := &watch{limits: l, begun: time.Now(), whole: whole, idle: l.idleRead()}
	w.ctx, w.cancel = context.WithCancelCause(ctx)
	w.mu.Lock() // the timer may fire before it is stored
	w.timer = time.AfterFunc(min(w.whole.Duration, w.idle.Duration), w.expire)
	w.mu.Unlock()
	return w.ctx, w
}

// expire ends the call if a limit is passed, and otherwise sleeps on until one
// could be.
func (w *watch) expire() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ctx.Err() != nil {
		return
	}
	now := time.Since(w.begun)
	if w.closing {
		w.cancel(errDrain)
		return
	}
	if now >= w.whole.Duration {
		w.cancel(fmt.Errorf("%w %s", errWhole, w.whole))
		return
	}
	next := w.whole.Duration - now
	if since := time.Duration(w.waiting.Load()); since > 0 {
		if now-since >= w.idle.Duration {
			w.cancel(fmt.Errorf("%w %s", errIdle, w.idle))
			return
		}
		next = min(next, w.idle.Duration-(now-since))
	} else {
		next = min(next, w.idle.Duration)
	}
	w.timer.Reset(next)
}

// wait notes that a wait for the body begins.
func (w *watch) wait() { w.waiting.Store(int64(max(time.Since(w.begun), 1))) }

// rest notes that it is over: what the caller does meanwhile isn't the service's.
func (w *watch) rest() { w.waiting.Store(0) }

// extend gives the whole call more time.
func (w *watch) extend(whole span) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if whole.Duration > w.whole.Duration {
		w.whole = whole
	}
}

// drain bounds the time in which the rest of a body may come.
func (w *watch) drain(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closing = true
	w.timer.Reset(d)
}

// stop frees what the watch holds.
func (w *watch) stop() {
	w.cancel(nil)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.timer.Stop()
}
