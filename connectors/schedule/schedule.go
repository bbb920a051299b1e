// Package schedule is the trigger of time: every so often, or by cron.
//
// It is not a timer: the engine asks when Batch.Next says so, like any poll.
// Its one rule: a tick is a moment on a grid that config and cursor fix, so
// that it doesn't drift, and its key is that moment, so that it fires once.
//
// Ticks that were missed (the server was down, the graph was OFF) are not made
// up: a tick fires when it is asked for within [Lateness], and is skipped, with
// a warning in the log, when it is older.
package schedule

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/tappet-dev/tappet/sdk"
)

// Lateness is how long after its moment a tick still fires.
const Lateness = time.Minute

// op names what was done in errors.
const op = "schedule"

// New returns the connector schedule with its one trigger.
func New() sdk.Connector {
	return sdk.Connector{
		Name:        "schedule",
		Title:       "Schedule",
		Description: "Starts a run at fixed intervals or at the times of a cron expression.",
		Version:     "1.0.0",
		Triggers: []sdk.Trigger{{
			Name:        "schedule",
			Title:       "It is time",
			Description: "Every so often, or at the times of a cron expression in a time zone.",
			Kind:        sdk.KindPoll,
			Config:      json.RawMessage(configSchema),
			Event:       json.RawMessage(eventSchema),
			Poll:        poll,
			Validate: func(config json.RawMessage) error {
				_, err := open(config)
				return err
			},
		}},
	}
}

const configSchema = `{
  "type": "object",
  "additionalProperties": false,
  "oneOf": [{"required": ["every"]}, {"required": ["cron"]}],
  "dependentRequired": {"time_zone": ["cron"]},
  "properties": {
    "every": {
      "type": "string",
      "title": "Every",
      "description": "A duration from 1s to 8760h, counted from when the graph was switched ON.",
      "examples": ["30s", "15m", "24h"]
    },
    "cron": {
      "type": "string",
      "title": "Cron expression",
      "description": "Minute, hour, day of month, month, day of week; or @hourly, @daily, @weekly, @monthly, @yearly.",
      "maxLength": 256,
      "examples": ["0 8 * * MON-FRI"]
    },
    "time_zone": {
      "type": "string",
      "title": "Time zone",
      "description": "An IANA name; what the cron expression's times mean.",
      "default": "UTC",
      "examples": ["Europe/Berlin"]
    }
  }
}`

const eventSchema = `{
  "type": "object",
  "additionalProperties": false,
  "required": ["scheduled_at"],
  "properties": {
    "scheduled_at": {
      "type": "string",
      "format": "date-time",
      "title": "Scheduled at",
      "description": "The moment of the tick, in UTC; the run may begin a little later."
    }
  }
}`

// config is the trigger's `with`.
type config struct {
	Every    string `json:"every"`
	Cron     string `json:"cron"`
	TimeZone string `json:"time_zone"`
}

// A grid is the set of moments at which a schedule ticks.
type grid interface {
	// last gives the newest tick in (after, now], false if there is none.
	last(after, now time.Time) (time.Time, bool)
	// next gives the first tick after now, given the cursor; the zero time if
	// there is none.
	next(cursor, now time.Time) time.Time
	// resume gives a cursor that isn't after now, from which the grid goes on
	// as from the given one.
	resume(cursor, now time.Time) time.Time
}

// open reads the config; its errors say what would be right.
func open(raw json.RawMessage) (grid, error) {
	var c config
	if err := json.Unmarshal(raw, &c); err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	switch {
	case c.Every != "" && c.Cron != "":
		return nil, fmt.Errorf("every and cron exclude each other: give one of them")
	case c.Every != "":
		if c.TimeZone != "" {
			return nil, fmt.Errorf("time_zone belongs to cron; every has none")
		}
		return parseEvery(c.Every)
	case c.Cron != "":
		return parseCron(c.Cron, c.TimeZone)
	}
	return nil, fmt.Errorf("every or cron is wanted, such as every: 15m or cron: \"0 8 * * MON-FRI\"")
}

// poll gives the newest tick since the cursor, if it isn't too late, and when to
// ask again. The cursor is the last tick, or the moment from which ticks count.
func poll(ctx context.Context, h sdk.Host, call sdk.PollCall) (sdk.RawBatch, error) {
	g, err := open(call.Config)
	if err != nil {
		return sdk.RawBatch{}, &sdk.Error{Kind: sdk.Invalid, Op: op, Err: err}
	}
	now := h.Now().UTC().Round(0)
	if call.Cursor == "" {
		return batch(g, now.Truncate(time.Second), now)
	}
	cursor, err := time.Parse(time.RFC3339Nano, string(call.Cursor))
	if err != nil {
		return sdk.RawBatch{}, &sdk.Error{Kind: sdk.Invalid, Op: op, Err: fmt.Errorf("cursor: %w", err)}
	}
	if cursor.After(now) { // the clock was set back; keys still tell ticks apart
		cursor = g.resume(cursor, now)
	}
	tick, ok := g.last(cursor, now)
	if !ok {
		return batch(g, cursor, now)
	}
	if now.Sub(tick) > Lateness {
		h.Log(ctx, sdk.Warn, "ticks were missed and are skipped", "after", cursor.Format(time.RFC3339),
			"newest", tick.Format(time.RFC3339), "now", now.Format(time.RFC3339))
		return batch(g, g.resume(tick, now), now)
	}
	b, err := batch(g, tick, now)
	if err != nil {
		return sdk.RawBatch{}, err
	}
	at := tick.UTC().Format(time.RFC3339Nano)
	b.Events = []sdk.Event{{Key: at, Data: json.RawMessage(`{"scheduled_at":"` + at + `"}`)}}
	return b, nil
}

// batch is an answer without events.
func batch(g grid, cursor, now time.Time) (sdk.RawBatch, error) {
	next := g.next(cursor, now)
	if next.IsZero() {
		return sdk.RawBatch{}, &sdk.Error{
			Kind: sdk.Invalid, Op: op,
			Err: fmt.Errorf("cron never ticks: no such day comes within five years"),
		}
	}
	return sdk.RawBatch{Cursor: sdk.Cursor(cursor.UTC().Format(time.RFC3339Nano)), Next: next.UTC()}, nil
}
