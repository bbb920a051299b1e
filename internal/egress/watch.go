package egress

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
)

// The reasons for which a watch ends a call.
var (
	errWhole = errors.New("the call took longer than its limit")
	errIdle  = errors.New("the response's body stood still for longer than its limit")
	errDrain = errors.New("the rest of the response's body didn't come in time")
)

// A watch ends a call when its time is over. It is one timer for the whole call
// and for each wait for the body.
type watch struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	timer  *time.Timer
	end    time.Time
	idle   time.Duration
	// reading: the timer now bounds a wait for the body.
	reading atomic.Bool
	closing atomic.Bool
}

// newWatch starts the time of a call.
func newWatch(ctx context.Context, l Limits) (context.Context, *watch) {
	w := &watch{end: time.Now().Add(l.Whole), idle: l.IdleRead}
	w.ctx, w.cancel = context.WithCancelCause(ctx)
	w.timer = time.AfterFunc(l.Whole, w.expire)
	return w.ctx, w
}

func (w *watch) expire() {
	switch {
	case w.closing.Load():
		w.cancel(errDrain)
	case w.reading.Load() && time.Now().Before(w.end):
		w.cancel(errIdle)
	default:
		w.cancel(errWhole)
	}
}

// read starts the time of one wait for the body.
func (w *watch) read() {
	w.reading.Store(true)
	w.timer.Reset(min(w.idle, time.Until(w.end)))
}

// drain bounds the time in which the rest of a body may come.
func (w *watch) drain(d time.Duration) {
	w.closing.Store(true)
	w.timer.Reset(min(d, time.Until(w.end)))
}

// stop frees what the watch holds.
func (w *watch) stop() {
	w.timer.Stop()
	w.cancel(nil)
}
