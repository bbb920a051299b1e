// Command courier is a plugin that does honest work under fire: its hook makes
// an event of each request, its action posts to an address, whose answer 410
// ends the instance or process in mid-call.
package main

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"strings"

	"github.com/tappet-dev/tappet/sdk"
	"github.com/tappet-dev/tappet/sdk/serve"
)

type parcel struct {
	URL string `json:"url"`
	ID  string `json:"id"`
}

type receipt struct {
	Status int `json:"status"`
}

type letter struct {
	ID string `json:"id"`
}

func main() {
	serve.Main(sdk.Connector{
		Name: name, Version: "1.0.0",
		Needs:    sdk.Needs{HTTP: []string{"{url}"}},
		Triggers: []sdk.Trigger{sdk.Webhook("hook", "A letter came", hook)},
		Actions:  []sdk.Action{sdk.DoKeyed("post", "Carry a parcel", post)},
	})
}

func hook(_ context.Context, _ sdk.Host, _ struct{}, r sdk.WebhookRequest) (sdk.Receipt[letter], error) {
	var l letter
	if err := json.Unmarshal(r.Body, &l); err != nil {
		return sdk.Receipt[letter]{}, sdk.Errorf(sdk.Invalid, "a letter has an id: %w", err)
	}
	var out sdk.Receipt[letter]
	out.Add(l.ID, l)
	return out, nil
}

func post(ctx context.Context, h sdk.Host, p parcel, key string) (receipt, error) {
	body := strings.NewReader(p.ID)
	res, err := h.HTTP(ctx, &sdk.Request{
		Method: "POST", URL: p.URL, Header: sdk.Header{{Name: "Idempotency-Key", Value: key}}, Body: body, Size: body.Size(),
	})
	if err != nil {
		return receipt{}, err
	}
	defer res.Body.Close()
	if res.Status == 410 {
		os.Exit(7)
	}
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		return receipt{}, err
	}
	return receipt{res.Status}, nil
}
