// Command counter is a plugin whose events count from 1: one that is lost is a
// gap. Its cursor is the last number. Whatever was acknowledged to it, it tells
// a journal outside, which may answer that it is to die.
package main

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"os"
	"strconv"

	"github.com/tappet-dev/tappet/sdk"
	"github.com/tappet-dev/tappet/sdk/serve"
)

type number struct {
	N int `json:"n"`
	// Die ends the instance or process in mid-call.
	Die bool `json:"die,omitempty"`
}

type config struct {
	Journal string `json:"journal"`
}

func main() {
	serve.Main(sdk.Connector{
		Name: name, Version: "1.0.0",
		Needs: sdk.Needs{HTTP: []string{"{journal}"}},
		Triggers: []sdk.Trigger{
			sdk.Stream("stream", "Counts", stream),
			sdk.Poll("poll", "Counts by the hundred", poll),
			sdk.Webhook("hook", "Gives the number that it is sent", hook),
		},
	})
}

// tell writes to the journal that every number up to n was acknowledged.
func tell(ctx context.Context, h sdk.Host, c config, trigger string, n int) error {
	r, err := h.HTTP(ctx, &sdk.Request{Method: "POST", URL: c.Journal + "/" + name + "/" + trigger + "/" + strconv.Itoa(n)})
	if err != nil {
		return err
	}
	if r.Status == 410 {
		os.Exit(7)
	}
	return r.Body.Close()
}

func last(c sdk.Cursor) (int, error) {
	if c == "" {
		return 0, nil
	}
	return strconv.Atoi(string(c))
}

// stream emits numbers as fast as they become durable. A key names the stream's
// life too, so that a number which another one emits again is seen.
func stream(ctx context.Context, h sdk.Host, cfg config, c sdk.Cursor, emit sdk.Emit[number]) error {
	n, err := last(c)
	if err == nil {
		err = tell(ctx, h, cfg, "stream", n)
	}
	life := "/" + strconv.FormatUint(rand.Uint64(), 36)
	for err == nil {
		n++
		s := strconv.Itoa(n)
		if err = emit(ctx, sdk.Cursor(s), sdk.EventOf[number]{Key: s + life, Data: number{N: n}}); err == nil {
			err = tell(ctx, h, cfg, "stream", n)
		}
	}
	return err
}

// poll gives more events than one commit takes.
func poll(ctx context.Context, h sdk.Host, cfg config, c sdk.Cursor) (b sdk.Batch[number], err error) {
	n, err := last(c)
	if err == nil {
		err = tell(ctx, h, cfg, "poll", n)
	}
	for range 600 {
		n++
		b.Add(strconv.Itoa(n), number{N: n})
	}
	b.Cursor = sdk.Cursor(strconv.Itoa(n))
	return b, err
}

func hook(_ context.Context, _ sdk.Host, _ config, r sdk.WebhookRequest) (out sdk.Receipt[number], err error) {
	var n number
	if err := json.Unmarshal(r.Body, &n); err != nil {
		return out, sdk.Errorf(sdk.Invalid, "a number is wanted: %w", err)
	}
	if n.Die {
		os.Exit(7)
	}
	out.Add(strconv.Itoa(n.N), n)
	return out, nil
}
