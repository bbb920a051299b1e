package sdktest_test

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tappet-dev/tappet/sdk"
	"github.com/tappet-dev/tappet/sdk/sdktest"
)

type place struct {
	URL string `json:"url"`
}

type thing struct {
	N int `json:"n"`
}

func get(ctx context.Context, h sdk.Host, url string) ([]byte, error) {
	r, err := h.HTTP(ctx, &sdk.Request{URL: url})
	if err != nil {
		return nil, err
	}
	defer r.Body.Close()
	return io.ReadAll(r.Body)
}

// poll makes a poll that keeps its promises; bad, if it isn't nil, breaks one.
func poll(bad func(ctx context.Context, h sdk.Host, b *sdk.Batch[thing], err *error)) sdk.Trigger {
	return sdk.Poll("p", "P", func(ctx context.Context, h sdk.Host, p place, c sdk.Cursor) (sdk.Batch[thing], error) {
		var b sdk.Batch[thing]
		_, err := get(ctx, h, p.URL)
		if err == nil {
			b.Add("1", thing{1})
			b.Cursor = "1"
		}
		if bad != nil {
			bad(ctx, h, &b, &err)
		}
		return b, err
	})
}

// stream counts on behind its cursor; emitted may change what emit gives.
func stream(emitted func(error) error) sdk.Trigger {
	return sdk.Stream("s", "S", func(ctx context.Context, h sdk.Host, p place, c sdk.Cursor, emit sdk.Emit[thing]) error {
		if _, err := get(ctx, h, p.URL); err != nil {
			return err
		}
		for n := len(c) + 1; ; n++ {
			at := strings.Repeat("|", n)
			if err := emitted(emit(ctx, sdk.Cursor(at), sdk.EventOf[thing]{Key: at, Data: thing{n}})); err != nil {
				return err
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
		}
	})
}

func kept(err error) error { return err }

var (
	asked  atomic.Int64
	broken atomic.Bool
)

// breaches are connectors that break one promise each, by the promise.
func breaches() map[string]sdk.Trigger {
	type batch = sdk.Batch[thing]
	raw := func(t sdk.Trigger, data string) sdk.Trigger {
		call := t.Poll
		t.Poll = func(ctx context.Context, h sdk.Host, c sdk.PollCall) (sdk.RawBatch, error) {
			b, err := call(ctx, h, c)
			for i := range b.Events {
				b.Events[i].Data = json.RawMessage(data)
			}
			return b, err
		}
		return t
	}
	loose := poll(nil)
	loose.Poll = func(context.Context, sdk.Host, sdk.PollCall) (sdk.RawBatch, error) {
		return sdk.RawBatch{Events: []sdk.Event{{Key: "1", Data: json.RawMessage(`{"n":1}`)}}}, nil
	}
	return map[string]sdk.Trigger{
		"none": poll(nil),
		"events are keyed JSON that fits the schema": poll(func(_ context.Context, _ sdk.Host, b *batch, _ *error) {
			b.Add("1", thing{2})
		}),
		"events are keyed JSON that fits the schema ": raw(poll(nil), `{"n":"one"}`),
		"asked again it gives the same bytes": poll(func(_ context.Context, _ sdk.Host, b *batch, _ *error) {
			b.Add("x", thing{int(asked.Add(1))})
		}),
		"a cursor resumes without new keys": poll(func(_ context.Context, _ sdk.Host, b *batch, _ *error) {
			b.Add(strings.Repeat("x", int(asked.Add(1))), thing{})
		}),
		"a config that does not fit is refused as invalid": loose,
		"a refused request is an error of kind denied": poll(func(_ context.Context, _ sdk.Host, _ *batch, err *error) {
			if *err != nil {
				*err = sdk.Errorf(sdk.Failed, "lost: %v", *err)
			}
		}),
		"a slow host changes nothing": poll(func(ctx context.Context, h sdk.Host, b *batch, err *error) {
			if asked.Add(1)%2 == 0 {
				b.Add("y", thing{1 << 40})
			}
		}),
		"a response without an end makes no oversized event": raw(poll(func(_ context.Context, _ sdk.Host, b *batch, err *error) {
			*err = nil
			b.Add("2", thing{})
		}), `{"n":`+strings.Repeat("1", 17<<20)+`}`),
		"a call that is taken back ends": poll(func(ctx context.Context, _ sdk.Host, _ *batch, err *error) {
			if ctx.Err() != nil {
				*err = nil
			}
		}),
		"the secret token stands in a log line": poll(func(ctx context.Context, h sdk.Host, _ *batch, _ *error) {
			v, _ := h.Secret(ctx, "token")
			h.Log(ctx, sdk.Info, "using it", "token", v)
		}),
		"the secret token stands in an error": poll(func(ctx context.Context, h sdk.Host, _ *batch, err *error) {
			v, _ := h.Secret(ctx, "token")
			*err = sdk.Errorf(sdk.Unauthorized, "the token %s is wrong", v)
		}),
		"the clock is the host's": poll(func(_ context.Context, _ sdk.Host, b *batch, _ *error) {
			b.Next = time.Now().Truncate(time.Hour).Add(2 * time.Hour)
		}),
		"after an oversized response it goes on as before": poll(func(_ context.Context, _ sdk.Host, b *batch, err *error) {
			if *err != nil {
				broken.Store(true)
			} else if broken.Load() {
				*err = sdk.Errorf(sdk.Failed, "it has broken")
			}
		}),
		"an oversized event is an error of kind too_large, and the stream goes on anew": stream(func(err error) error {
			if err != nil && sdk.KindOf(err) == sdk.TooLarge {
				return sdk.Errorf(sdk.Failed, "lost: %v", err)
			}
			return err
		}),
		"good stream": stream(kept),
		"an event that was not taken comes again after a crash": stream(func(error) error { return nil }),
	}
}

// TestTheKitFindsEachBreach runs the kit on connectors that break a promise, in
// a child process whose tests fail: the kit must say which.
func TestTheKitFindsEachBreach(t *testing.T) {
	t.Parallel()
	const mark = "TAPPET_SDKTEST_BREACH"
	if breach := os.Getenv(mark); breach != "" {
		tr := breaches()[breach]
		http := func(*sdk.Request, []byte) sdktest.Reply { return sdktest.Reply{Body: []byte("hi")} }
		config, secrets := json.RawMessage(`{"url":"http://x/"}`), map[string]string{"token": "s3cret-of-this-test"}
		o := sdktest.Options{Polls: map[string]sdktest.Poll{"p": {Config: config, HTTP: http, Secrets: secrets}}}
		if tr.Kind == sdk.KindStream {
			o = sdktest.Options{Streams: map[string]sdktest.StreamTrial{"s": {Config: config, HTTP: http, Secrets: secrets}}}
		}
		sdktest.Run(t, sdktest.InProcess(func() sdk.Connector { return sdk.Connector{Name: "c", Triggers: []sdk.Trigger{tr}} }), o)
		return
	}
	for breach, tr := range breaches() {
		t.Run(breach, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestTheKitFindsEachBreach$", "-test.v",
				"-test.failfast="+strconv.FormatBool(tr.Kind == sdk.KindStream)) // a stream that doesn't end is waited for long
			cmd.Env = append(os.Environ(), mark+"="+breach)
			out, err := cmd.CombinedOutput()
			clean := breach == "none" || breach == "good stream"
			promise := "/" + strings.ReplaceAll(strings.TrimSpace(breach), " ", "_") + " ("
			found := strings.HasPrefix(breach, "the secret") && strings.Contains(string(out), breach)
			for line := range strings.Lines(string(out)) {
				found = found || strings.Contains(line, "--- FAIL: ") && strings.Contains(line, promise)
			}
			if clean && err != nil || !clean && (err == nil || !found) {
				t.Errorf("%v\n%.4000s", err, out)
			}
		})
	}
}
