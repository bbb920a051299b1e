package schedule

import (
	"fmt"
	"strings"
	"time"

	"github.com/netresearch/go-cron"
)

// maxCron is the length of a cron expression in bytes.
const maxCron = 256

// cronGrid ticks where a cron expression matches the wall clock of its zone.
//
// Where a day of month and a day of week are both given, either is enough, as
// POSIX has it. When clocks go forward, a tick in the hour that isn't there
// fires right after the gap, once. When they go back, an expression whose hour
// is a "*" ticks in both turns of the repeated hour, any other in the first.
type cronGrid struct {
	spec *cron.SpecSchedule
	// anyHour: the field of hours has a star.
	anyHour bool
}

// parseCron reads an expression and the name of a zone, "" for UTC.
func parseCron(expr, zone string) (grid, error) {
	if len(expr) > maxCron {
		return nil, fmt.Errorf("cron: longer than %d bytes", maxCron)
	}
	fields := strings.Fields(expr)
	switch {
	case strings.Contains(expr, "TZ="):
		return nil, fmt.Errorf("cron: a zone is given by time_zone, such as time_zone: Europe/Berlin")
	case strings.HasPrefix(expr, "@every"):
		return nil, fmt.Errorf("cron: @every is given by every, such as every: 15m")
	case strings.HasPrefix(expr, "@"):
	case len(fields) != 5:
		return nil, fmt.Errorf("cron: %q has %d fields; five are wanted: minute, hour, day of month, month, day of week",
			expr, len(fields))
	}
	loc, err := parseZone(zone)
	if err != nil {
		return nil, err
	}
	p, err := cron.TryNewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow |
		cron.DowOrDom | cron.Descriptor)
	if err != nil {
		return nil, fmt.Errorf("cron: %w", err)
	}
	s, err := p.Parse(expr)
	if err != nil {
		return nil, fmt.Errorf("cron: %w", err)
	}
	spec, ok := s.(*cron.SpecSchedule)
	if !ok {
		return nil, fmt.Errorf("cron: %q is no expression of five fields, nor one of @hourly, @daily, @weekly, @monthly, @yearly", expr)
	}
	spec.Location = loc
	return cronGrid{spec, expr == "@hourly" || len(fields) == 5 && strings.Contains(fields[1], "*")}, nil
}

// parseZone loads a zone by its IANA name; never the host's own.
func parseZone(name string) (*time.Location, error) {
	if name == "" {
		return time.UTC, nil
	}
	loc, err := time.LoadLocation(name)
	if err != nil || name == "Local" {
		return nil, fmt.Errorf("time_zone: %q is not an IANA name such as Europe/Berlin or UTC", name)
	}
	return loc, nil
}

func (g cronGrid) last(after, now time.Time) (time.Time, bool) {
	// An older tick than Lateness is skipped by the caller, so the search for
	// the newest may begin there; only its being there is of interest.
	from := after
	if early := now.Add(-Lateness - time.Minute); early.After(after) {
		from = early
	}
	var tick time.Time
	for t := g.step(from); !t.IsZero() && !t.After(now); t = g.step(t) {
		tick = t
	}
	if tick.IsZero() && from.After(after) {
		if t := g.step(after); !t.IsZero() && !t.After(now) {
			tick = t
		}
	}
	return tick, !tick.IsZero()
}

func (g cronGrid) next(_, now time.Time) time.Time { return g.step(now) }

func (g cronGrid) resume(_, now time.Time) time.Time { return now }

// step gives the first tick after t, zero if none comes.
func (g cronGrid) step(t time.Time) time.Time {
	for {
		t = g.spec.Next(t.UTC())
		if t.IsZero() || g.anyHour || !repeats(t.In(g.spec.Location)) {
			return t
		}
	}
}

// repeats says whether the wall clock has shown t's time before, within the
// hour or so by which it was set back.
func repeats(t time.Time) bool {
	start, _ := t.ZoneBounds()
	if start.IsZero() {
		return false
	}
	_, before := start.Add(-time.Second).Zone()
	_, now := t.Zone()
	back := time.Duration(before-now) * time.Second
	return t.Sub(start) < back
}
