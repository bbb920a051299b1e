package schedule

import (
	"time"

	"github.com/tappet-dev/tappet/sdk/cron"
)

// cronGrid ticks at the times of a cron expression.
type cronGrid struct{ cron.Times }

// parseCron reads an expression and the name of a zone, "" for UTC.
func parseCron(expr, zone string) (grid, error) {
	t, err := cron.Parse(expr, zone)
	if err != nil {
		return nil, err
	}
	return cronGrid{t}, nil
}

func (g cronGrid) last(after, now time.Time) (time.Time, bool) {
	// An older tick than Lateness is skipped by the caller, so the search for
	// the newest may begin there; only its being there is of interest.
	from := after
	if early := now.Add(-Lateness - time.Minute); early.After(after) {
		from = early
	}
	var tick time.Time
	for t := g.Next(from); !t.IsZero() && !t.After(now); t = g.Next(t) {
		tick = t
	}
	if tick.IsZero() && from.After(after) {
		if t := g.Next(after); !t.IsZero() && !t.After(now) {
			tick = t
		}
	}
	return tick, !tick.IsZero()
}

func (g cronGrid) next(_, now time.Time) time.Time { return g.Next(now) }

func (g cronGrid) resume(_, now time.Time) time.Time { return now }
