// Command release is a plugin of several releases, each of which says in its
// events and results which one it is. Its action waits for an answer from outside.
package main

import (
	"context"

	"github.com/tappet-dev/tappet/sdk"
	"github.com/tappet-dev/tappet/sdk/serve"
)

type config struct {
	Path string `json:"path,omitempty"`
}

type input struct {
	URL string `json:"url"`
}

type output struct {
	By string `json:"by"`
}

func main() {
	serve.Main(sdk.Connector{
		Name: "release", Version: version,
		Needs:    sdk.Needs{HTTP: []string{"{url}"}},
		Triggers: []sdk.Trigger{sdk.Webhook("order", "An order comes in", order)},
		Actions:  []sdk.Action{sdk.Do("ship", "Ships an order", ship)},
	})
}

func order(context.Context, sdk.Host, config, sdk.WebhookRequest) (out sdk.Receipt[event], err error) {
	out.Add("", newEvent())
	return out, nil
}

func ship(ctx context.Context, h sdk.Host, in input) (output, error) {
	r, err := h.HTTP(ctx, &sdk.Request{Method: "POST", URL: in.URL})
	if err != nil {
		return output{}, err
	}
	return output{By: version}, r.Body.Close()
}
