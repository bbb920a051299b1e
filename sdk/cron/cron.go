// Package cron tells the times of cron expressions in a time zone.
//
// It is not a timer and reads no clock. Its one rule: a time is told once, also
// where clocks go back.
package cron

import (
	"fmt"
	"strings"
	"time"

	"github.com/netresearch/go-cron"
)

// maxCron is the length of a cron expression in bytes.
const maxCron = 256

// Times are the moments at which a cron expression matches the wall clock of
// its zone. Make them with Parse.
//
// Where a day of month and a day of week are both given, either is enough, as
// POSIX has it. When clocks go forward, the ticks of the time that isn't there
// fire as one, right after the gap. When they go back, an expression whose hour
// is "*" ticks in both turns of the repeated hour, any other in the first.
type Times struct {
	spec *cron.SpecSchedule
	// zone is nil where the spec walks through its zone by itself, hour by
	// hour; else the spec sees wall clocks as if they were UTC.
	zone *time.Location
}

// Parse reads an expression of five fields, or a descriptor such as @daily, and
// the IANA name of a zone, "" for UTC. Its errors say what would be right.
func Parse(expr, zone string) (Times, error) {
	if len(expr) > maxCron {
		return Times{}, fmt.Errorf("cron: longer than %d bytes", maxCron)
	}
	fields := strings.Fields(expr)
	switch {
	case strings.Contains(expr, "TZ="):
		return Times{}, fmt.Errorf("cron: a zone is given by time_zone, such as time_zone: Europe/Berlin")
	case strings.HasPrefix(expr, "@every"):
		return Times{}, fmt.Errorf("cron: @every is given by every, such as every: 15m")
	case strings.HasPrefix(expr, "@"):
	case len(fields) != 5:
		return Times{}, fmt.Errorf("cron: %q has %d fields; five are wanted: minute, hour, day of month, month, day of week",
			expr, len(fields))
	}
	loc, err := parseZone(zone)
	if err != nil {
		return Times{}, err
	}
	p, err := cron.TryNewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow |
		cron.DowOrDom | cron.Descriptor)
	if err != nil {
		return Times{}, fmt.Errorf("cron: %w", err)
	}
	s, err := p.Parse(expr)
	if err != nil {
		return Times{}, fmt.Errorf("cron: %w", err)
	}
	spec, ok := s.(*cron.SpecSchedule)
	if !ok {
		return Times{}, fmt.Errorf("cron: %q is no expression of five fields, nor one of @hourly, @daily, @weekly, @monthly, @yearly", expr)
	}
	if expr == "@hourly" || len(fields) == 5 && fields[1] == "*" {
		spec.Location = loc
		return Times{spec, nil}, nil
	}
	spec.Location = time.UTC
	return Times{spec, loc}, nil
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

// Next gives the first tick after t, zero if none comes.
func (g Times) Next(t time.Time) time.Time {
	if g.zone == nil {
		return g.spec.Next(t.UTC())
	}
	w := wall(t.In(g.zone))
	for {
		w = g.spec.Next(w)
		if w.IsZero() {
			return w
		}
		// A wall time in a gap, or one that was shown before, may stand for a
		// moment that isn't after t.
		if tick := moment(w, g.zone); tick.After(t) {
			return tick
		}
	}
}

// wall gives what the clock shows at t, as if it were UTC.
func wall(t time.Time) time.Time {
	_, offset := t.Zone()
	return t.UTC().Add(time.Duration(offset) * time.Second)
}

// moment gives the first time at which clocks in loc show w; when they never
// do, the end of the gap that w is in.
func moment(w time.Time, loc *time.Location) time.Time {
	t := time.Date(w.Year(), w.Month(), w.Day(), w.Hour(), w.Minute(), w.Second(), 0, loc)
	start, end := t.ZoneBounds()
	switch shown := wall(t); {
	case shown.After(w):
		return start
	case shown.Before(w):
		return end
	case start.IsZero():
		return t
	}
	_, before := start.Add(-time.Second).Zone()
	_, now := t.Zone()
	if back := time.Duration(before-now) * time.Second; t.Sub(start) < back {
		return t.Add(-back)
	}
	return t
}
