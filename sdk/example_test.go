package sdk_test

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/tappet-dev/tappet/sdk"
)

// A poll gives what is there now, each with a key; the engine remembers keys.
func ExamplePoll() {
	type config struct {
		City string `json:"city" title:"City"`
	}
	type alert struct {
		Title string
	}
	trigger := sdk.Poll("new_alert", "An alert is given", func(_ context.Context, _ sdk.Host, c config, _ sdk.Cursor) (sdk.Batch[alert], error) {
		var b sdk.Batch[alert]
		b.Add("2026-11-24/"+c.City, alert{Title: "Storm over " + c.City})
		return b, nil
	})
	batch, err := trigger.Poll(context.Background(), nil, sdk.PollCall{Config: json.RawMessage(`{"city":"Kiel"}`)})
	fmt.Println(batch.Events[0].Key, string(batch.Events[0].Data), err)
	fmt.Println(string(trigger.Event))
	// Output:
	// 2026-11-24/Kiel {"title":"Storm over Kiel"} <nil>
	// {"type":"object","properties":{"title":{"type":"string"}},"required":["title"],"additionalProperties":false}
}

// A webhook trigger makes events of a request, and may answer it.
func ExampleWebhook() {
	type order struct {
		Number string
	}
	trigger := sdk.Webhook("ordered", "An order comes", func(_ context.Context, _ sdk.Host, _ struct{}, r sdk.WebhookRequest) (sdk.Receipt[order], error) {
		var out sdk.Receipt[order]
		number := r.Header.Get("X-Order")
		if number == "" {
			return out, sdk.Errorf(sdk.Invalid, "the header X-Order is missing")
		}
		out.Add(number, order{Number: number})
		out.Answer = &sdk.Answer{Status: 202}
		return out, nil
	})
	for _, h := range []sdk.Header{{{Name: "x-order", Value: "17"}}, nil} {
		r, err := trigger.Webhook(context.Background(), nil, sdk.WebhookCall{Request: sdk.WebhookRequest{Header: h}})
		fmt.Println(len(r.Events), sdk.KindOf(err), err)
	}
	// Output:
	// 1 failed <nil>
	// 0 invalid the header X-Order is missing
}

// A stream runs until its context ends. Emit returns when the event is durable;
// its cursor is where the next life of the stream begins.
func ExampleStream() {
	type tick struct{ N int }
	trigger := sdk.Stream("tick", "It ticks", func(ctx context.Context, _ sdk.Host, _ struct{}, c sdk.Cursor, emit sdk.Emit[tick]) error {
		n := len(c)
		for {
			n++
			c += "|"
			if err := emit(ctx, c, sdk.EventOf[tick]{Key: string(c), Data: tick{n}}); err != nil {
				return err
			}
		}
	})
	ctx, cancel := context.WithCancel(context.Background())
	err := trigger.Stream(ctx, nil, sdk.StreamCall{Cursor: "||"}, func(ctx context.Context, c sdk.Cursor, ev ...sdk.Event) error {
		fmt.Println(c, string(ev[0].Data))
		if len(c) == 4 {
			cancel()
		}
		return ctx.Err()
	})
	fmt.Println(err)
	// Output:
	// ||| {"n":3}
	// |||| {"n":4}
	// context canceled
}

// An action does one thing; its input and its result are structs.
func ExampleDo() {
	type input struct {
		Name  string `json:"name"`
		Times int    `json:"times" default:"1"`
	}
	action := sdk.Do("greet", "Greet", func(_ context.Context, _ sdk.Host, in input) (string, error) {
		return fmt.Sprintf("hello %s × %d", in.Name, in.Times), nil
	})
	r, err := action.Do(context.Background(), nil, sdk.ActionCall{Input: sdk.Fields{{Name: "name", Value: json.RawMessage(`"Ada"`)}}})
	fmt.Println(string(r.Output), err)
	_, err = action.Do(context.Background(), nil, sdk.ActionCall{Input: sdk.Fields{{Name: "nmae", Value: json.RawMessage(`"Ada"`)}}})
	fmt.Println(sdk.KindOf(err))
	// Output:
	// "hello Ada × 1" <nil>
	// invalid
}

// Options fill the choices of a field that names them by its tag.
func ExampleOptions() {
	type server struct {
		URL string `json:"url"`
	}
	type input struct {
		server
		Channel string `json:"channel" options:"channels"`
	}
	channels := sdk.Options("channels", "Channels", func(_ context.Context, _ sdk.Host, s server) ([]sdk.Option, error) {
		return []sdk.Option{sdk.OptionOf("c1", "General"), sdk.OptionOf("c2", "Alerts")}, nil
	})
	list, err := channels.List(context.Background(), nil, sdk.ChooseCall{Config: json.RawMessage(`{"url":"https://chat.example.com"}`)})
	fmt.Println(len(list), list[1].Title, string(list[1].Value), err)
	fmt.Println(string(sdk.Schema[input]()))
	// Output:
	// 2 Alerts "c2" <nil>
	// {"type":"object","properties":{"url":{"type":"string"},"channel":{"type":"string","options":"channels"}},"required":["url","channel"],"additionalProperties":false}
}

// Errors have a kind: what the engine does about them follows from it.
func ExampleErrorf() {
	err := fmt.Errorf("fetch: %w", sdk.Errorf(sdk.RateLimited, "come again later"))
	fmt.Println(sdk.KindOf(err), sdk.KindOf(err).Retryable(), err)
	// Output: rate_limited true fetch: come again later
}
