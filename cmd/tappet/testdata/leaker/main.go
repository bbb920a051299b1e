// Command leaker is a plugin that is careless with its secret: it puts it
// wherever it can.
package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/tappet-dev/tappet/sdk"
	"github.com/tappet-dev/tappet/sdk/serve"
)

const secret = "plugin-key"

func main() {
	serve.Main(sdk.Connector{
		Name: name, Version: "1.0.0",
		Needs:    sdk.Needs{HTTP: []string{"{url}"}, Secrets: []string{secret}},
		Actions:  []sdk.Action{sdk.Do("leak", "Leaks its secret", leak)},
		Triggers: []sdk.Trigger{sdk.Poll("poll", "Finds its secret", poll), sdk.Webhook("hook", "Tells its secret", hook)},
	})
}

type input struct {
	// How is output, error, log, post or panic.
	How string `json:"how"`
	URL string `json:"url,omitempty"`
}

type output struct {
	Text string `json:"text"`
	List []any  `json:"list"`
}

func leak(ctx context.Context, h sdk.Host, in input) (output, error) {
	v, err := h.Secret(ctx, secret)
	if err != nil {
		return output{}, err
	}
	out := output{Text: "it is " + v, List: []any{v, map[string]string{v: v}}}
	switch in.How {
	case "error":
		return out, sdk.Errorf(sdk.Unavailable, "not with %s", v)
	case "log":
		h.Log(ctx, sdk.Warn, "the secret is "+v, "secret", v, "all", []string{v})
		h.Log(ctx, sdk.Debug, "again", "secret", out)
	case "post":
		r, err := h.HTTP(ctx, &sdk.Request{
			Method: "POST", URL: in.URL + "?k=" + strings.NewReplacer("/", "%2F", " ", "+").Replace(v),
			Header: sdk.Header{{Name: "X-Key", Value: v}}, Body: strings.NewReader(v), Size: int64(len(v)),
		})
		if err != nil {
			return out, err
		}
		defer r.Body.Close()
		return out, fmt.Errorf("it answered %d %v", r.Status, r.Header)
	case "panic":
		panic("with " + v)
	case "exit":
		fmt.Fprintln(os.Stderr, "I end")
		os.Exit(7)
	}
	return out, nil
}

type found struct {
	Text string `json:"text"`
}

func poll(ctx context.Context, h sdk.Host, _ struct{}, c sdk.Cursor) (b sdk.Batch[found], err error) {
	v, err := h.Secret(ctx, secret)
	if err != nil {
		return b, err
	}
	if c != "" {
		return b, sdk.Errorf(sdk.Unavailable, "no more of %s", v)
	}
	b.Add("one", found{"found " + v})
	b.Cursor = "1"
	return b, h.SetState(ctx, "n", []byte("1"))
}

func hook(ctx context.Context, h sdk.Host, _ struct{}, r sdk.WebhookRequest) (sdk.Receipt[found], error) {
	var out sdk.Receipt[found]
	v, err := h.Secret(ctx, secret)
	if err != nil {
		return out, err
	}
	h.Log(ctx, sdk.Info, "a request, and "+v)
	if string(r.Body) == `"refuse"` {
		return out, sdk.Errorf(sdk.Unauthorized, "it isn't signed with %s", v)
	}
	out.Add("", found{"came with " + v})
	return out, nil
}
