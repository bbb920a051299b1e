package schedule

import (
	"fmt"
	"time"
)

// The bounds of an interval.
const (
	minEvery = time.Second
	maxEvery = 8760 * time.Hour
)

// every ticks at cursor + k × every, so a late answer moves no later tick.
type every time.Duration

// parseEvery reads an interval.
func parseEvery(s string) (grid, error) {
	d, err := time.ParseDuration(s)
	switch {
	case err != nil:
		return nil, fmt.Errorf("every: %q is not a duration such as 30s, 15m or 24h", s)
	case d < minEvery || d > maxEvery:
		return nil, fmt.Errorf("every: %s is not between %s and %s", s, minEvery, maxEvery)
	}
	return every(d), nil
}

func (e every) last(after, now time.Time) (time.Time, bool) {
	tick := e.floor(after, now)
	return tick, tick.After(after)
}

func (e every) next(cursor, now time.Time) time.Time {
	return e.floor(cursor, now).Add(time.Duration(e))
}

func (e every) resume(cursor, now time.Time) time.Time { return e.floor(cursor, now) }

// floor gives the newest moment of the grid through cursor that isn't after
// now; cursor may be.
func (e every) floor(cursor, now time.Time) time.Time {
	d := time.Duration(e)
	gone := now.Sub(cursor) // at most ±292 years
	past := gone % d
	if past < 0 {
		past += d
	}
	return now.Add(-past)
}
