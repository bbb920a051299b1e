// Command liar is a plugin that doesn't keep to what it tells.
package main

import (
	"context"
	"encoding/json"
	"os"
	"strings"

	"github.com/tappet-dev/tappet/sdk"
	"github.com/tappet-dev/tappet/sdk/serve"
)

func main() {
	event := json.RawMessage(`{"type":"object","properties":{"n":{"type":"integer"}},"required":["n"],"additionalProperties":false}`)
	c := sdk.Connector{
		Name: "liar", Title: "Liar", Version: "1.0.0",
		Needs: sdk.Needs{HTTP: []string{"api.example.com"}},
		Triggers: []sdk.Trigger{
			{Name: "poll", Kind: sdk.KindPoll, Event: event, Poll: func(_ context.Context, _ sdk.Host, p sdk.PollCall) (sdk.RawBatch, error) {
				return sdk.RawBatch{Events: told(p.Config)}, nil
			}},
			{Name: "hook", Kind: sdk.KindWebhook, Event: event, Webhook: func(_ context.Context, _ sdk.Host, w sdk.WebhookCall) (sdk.RawWebhook, error) {
				return sdk.RawWebhook{Events: told(w.Config)}, nil
			}},
			{Name: "flow", Kind: sdk.KindStream, Event: event, Stream: func(ctx context.Context, _ sdk.Host, s sdk.StreamCall, emit sdk.EmitFunc) error {
				return emit(ctx, "", told(s.Config)...)
			}},
		},
		Actions: []sdk.Action{{Name: "give", Output: event, Do: func(_ context.Context, _ sdk.Host, a sdk.ActionCall) (sdk.Result, error) {
			return sdk.Result{Output: a.Input.Get("result")}, nil
		}}},
	}
	change(&c)
	serve.Main(c)
}

// told gives the events that a config asks for, each by a word.
func told(config json.RawMessage) []sdk.Event {
	var c struct {
		Events []string `json:"events"`
	}
	if err := json.Unmarshal(config, &c); err != nil {
		return nil
	}
	var out []sdk.Event
	for _, word := range c.Events {
		e := sdk.Event{Key: word, Data: json.RawMessage(`{"n":1}`)}
		switch word {
		case "text":
			e.Data = json.RawMessage(`{"n":"one"}`)
		case "more":
			e.Data = json.RawMessage(`{"n":1,"m":2}`)
		case "not UTF-8":
			e.Data = json.RawMessage("{\"n\":\"\xff\"}")
		case "100 MB":
			e.Data = json.RawMessage(`{"n":"` + strings.Repeat("x", 100<<20) + `"}`)
		case "exit":
			os.Exit(3)
		}
		out = append(out, e)
	}
	return out
}
