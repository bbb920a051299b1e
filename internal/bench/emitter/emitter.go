// Package emitter is a connector whose triggers give a number of events as fast
// as they are taken, and then nothing: what the way of an event costs.
//
// It is for benchmarks alone, built into the program with the tag tappet_bench
// and as a plugin for both pipes. Its one rule: it does no other work than
// making events.
package emitter

import (
	"context"
	"strconv"

	"github.com/tappet-dev/tappet/sdk"
)

// Placeholder is the name that the plugin is built with. Whoever wants several
// plugins of one build writes names of the same length over it.
const Placeholder = "emitter_placeholder"

// Config says how much comes.
type Config struct {
	// Events is how many there are in all.
	Events int `json:"events"`
	// Batch is how many a stream emits at a time: 1 if it is less. A poll gives
	// all at once.
	Batch int `json:"batch,omitempty"`
}

// Event has about 300 bytes of JSON.
type Event struct {
	N         int      `json:"n"`
	Event     string   `json:"event"`
	Project   string   `json:"project"`
	Title     string   `json:"title"`
	Tags      []string `json:"tags"`
	Due       string   `json:"due"`
	Assignee  string   `json:"assignee"`
	Mail      string   `json:"mail"`
	Text      string   `json:"text"`
	Completed bool     `json:"completed"`
}

// Connector makes the connector under a name.
func Connector(name string) sdk.Connector {
	return sdk.Connector{
		Name: name, Title: "Emitter", Version: "1.0.0",
		Triggers: []sdk.Trigger{
			sdk.Stream("stream", "Emits", stream),
			sdk.Poll("poll", "Gives all at once", poll),
			sdk.Webhook("webhook", "Gives the one whose number it is sent", webhook),
		},
	}
}

func event(n int) Event {
	return Event{
		N: n, Event: "task.completed", Project: "Garden", Title: "Plant the apple tree", Tags: []string{"outdoor", "spring"},
		Due: "2026-11-30", Assignee: "Ada", Mail: "ada@example.com", Completed: true,
		Text: "The tree stands behind the house, where the sun comes first; water it twice a week.",
	}
}

// last reads the number in a cursor, 0 at first.
func last(c sdk.Cursor) (int, error) {
	if c == "" {
		return 0, nil
	}
	return strconv.Atoi(string(c))
}

func stream(ctx context.Context, _ sdk.Host, cfg Config, c sdk.Cursor, emit sdk.Emit[Event]) error {
	n, err := last(c)
	if err != nil {
		return err
	}
	for n < cfg.Events {
		var batch []sdk.EventOf[Event]
		for range min(max(cfg.Batch, 1), cfg.Events-n) {
			n++
			batch = append(batch, sdk.EventOf[Event]{Key: strconv.Itoa(n), Data: event(n)})
		}
		if err := emit(ctx, sdk.Cursor(strconv.Itoa(n)), batch...); err != nil {
			return err
		}
	}
	<-ctx.Done()
	return ctx.Err()
}

func poll(_ context.Context, _ sdk.Host, cfg Config, c sdk.Cursor) (sdk.Batch[Event], error) {
	var b sdk.Batch[Event]
	n, err := last(c)
	for ; err == nil && n < cfg.Events; n++ {
		b.Add(strconv.Itoa(n+1), event(n+1))
	}
	b.Cursor = sdk.Cursor(strconv.Itoa(n))
	return b, err
}

func webhook(_ context.Context, _ sdk.Host, _ Config, r sdk.WebhookRequest) (out sdk.Receipt[Event], err error) {
	n, err := strconv.Atoi(string(r.Body))
	if err != nil {
		return out, sdk.Errorf(sdk.Invalid, "a number is wanted: %w", err)
	}
	out.Add(strconv.Itoa(n), event(n))
	return out, nil
}
