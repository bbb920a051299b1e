package machine

import (
	"math"
	"slices"
	"time"

	"github.com/tappet-dev/tappet/engine/program"
)

// delay says how long v waits before its next attempt after err, and whether it
// has one (G7).
func (m *Machine) delay(v *visit, err *Error) (time.Duration, bool) {
	r := v.step.Retry
	if r == nil || v.effect.Attempt >= r.MaxAttempts || !repeats(r, err) {
		return 0, false
	}
	d := backoffOf(r, v.effect.Attempt, m.draw(string(v.next())))
	if after := millis(err.RetryAfter); after > d {
		d = after
	}
	if r.MaxElapsed > 0 {
		gone := millis(int64(m.now - v.since))
		if gone > r.MaxElapsed || d > r.MaxElapsed-gone {
			return 0, false
		}
	}
	return d, true
}

// repeats says whether r repeats after err. An expression gives the same again,
// so its errors are never repeated.
func repeats(r *program.Retry, err *Error) bool {
	if err.Kind == KindExpression {
		return false
	}
	if len(r.On) > 0 {
		return slices.Contains(r.On, err.Kind)
	}
	return err.Retryable
}

// backoffOf is the delay after the given attempt, in whole milliseconds like a
// fact's time; draw is from 0 up to 1. Each product is converted by itself, which forbids fused operations: every
// processor computes the same delay.
func backoffOf(r *program.Retry, attempt int, draw float64) time.Duration {
	most := float64(math.MaxInt64 / 2)
	if r.MaxInterval > 0 {
		most = float64(r.MaxInterval)
	}
	d := max(0, float64(r.InitialInterval))
	if r.Multiplier > 0 {
		for n := 1; n < attempt && d < most && r.Multiplier != 1; n++ {
			d = float64(d * r.Multiplier)
		}
	}
	d = min(d, most)
	share := float64(d * min(1, max(0, r.Jitter)))
	ms := math.Ceil((d - share + float64(share*draw)) / float64(time.Millisecond))
	return millis(int64(ms))
}

// millis makes a duration of milliseconds, between none and the longest there
// is.
func millis(ms int64) time.Duration {
	const most = math.MaxInt64 / int64(time.Millisecond)
	return time.Duration(min(max(ms, 0), most)) * time.Millisecond
}

// later is now and d, rounded up to the millisecond.
func later(now Millis, d time.Duration) Millis {
	ms := Millis(d / time.Millisecond)
	if d%time.Millisecond > 0 {
		ms++
	}
	if now > math.MaxInt64-ms {
		return math.MaxInt64
	}
	return now + ms
}
