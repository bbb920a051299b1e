// Command release is a plugin of several releases, each of which says in its
// events and results which one it is. Its action waits for an answer from outside,
// and its stream counts.
package main

import (
	"context"
	"strconv"
	"time"

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
		Triggers: []sdk.Trigger{sdk.Webhook("order", "An order comes in", order), sdk.Stream("count", "Counts", count)},
		Actions:  []sdk.Action{sdk.Do("ship", "Ships an order", ship)},
	})
}

func order(context.Context, sdk.Host, config, sdk.WebhookRequest) (out sdk.Receipt[event], err error) {
	out.Add("", newEvent())
	return out, nil
}

type number struct {
	N int `json:"n"`
}

// count emits the numbers behind its cursor, one every now and then.
func count(ctx context.Context, _ sdk.Host, _ struct{}, c sdk.Cursor, emit sdk.Emit[number]) error {
	n := 0
	if c != "" {
		var err error
		if n, err = strconv.Atoi(string(c)); err != nil {
			return err
		}
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		n++
		s := strconv.Itoa(n)
		if err := emit(ctx, sdk.Cursor(s), sdk.EventOf[number]{Key: s, Data: number{N: n}}); err != nil {
			return err
		}
	}
}

func ship(ctx context.Context, h sdk.Host, in input) (output, error) {
	r, err := h.HTTP(ctx, &sdk.Request{Method: "POST", URL: in.URL})
	if err != nil {
		return output{}, err
	}
	return output{By: version}, r.Body.Close()
}
