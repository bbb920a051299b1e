package sdktest_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"regexp"
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

// A breach is a connector that breaks a promise, and its trial.
type breach struct {
	connector func() sdk.Connector
	trial     sdktest.Options
}

// breaches are connectors that break one promise each, by what breaks it and the
// promise; of each kind there is one that breaks none.
func breaches() map[string]breach {
	out := map[string]breach{}
	http := func(*sdk.Request, []byte) sdktest.Reply { return sdktest.Reply{Body: []byte("hi")} }
	config, secrets := json.RawMessage(`{"url":"http://x/"}`), map[string]string{"token": "s3cret-of-this-test"}
	one := func(c sdk.Connector, o sdktest.Options) breach {
		c.Name = "c"
		return breach{func() sdk.Connector { return c }, o}
	}
	for promise, tr := range triggerBreaches() {
		o := sdktest.Options{Polls: map[string]sdktest.Poll{"p": {Config: config, HTTP: http, Secrets: secrets}}}
		if tr.Kind == sdk.KindStream {
			o = sdktest.Options{Streams: map[string]sdktest.StreamTrial{"s": {Config: config, HTTP: http, Secrets: secrets}}}
		}
		out[string(tr.Kind)+": "+promise] = one(sdk.Connector{Triggers: []sdk.Trigger{tr}}, o)
	}
	for promise, tr := range webhookBreaches() {
		out["webhook: "+promise] = one(sdk.Connector{Triggers: []sdk.Trigger{tr}}, sdktest.Options{Webhooks: map[string]sdktest.Webhook{"w": {
			Config: config, HTTP: http, Secrets: secrets, Request: sdk.WebhookRequest{Method: "POST", Body: []byte("1")},
			Refused: []sdktest.RefusedRequest{{Request: sdk.WebhookRequest{Method: "POST", Body: []byte("x")}, Kind: sdk.Invalid}},
		}}})
	}
	for promise, a := range actionBreaches() {
		out["action: "+promise] = one(sdk.Connector{Actions: []sdk.Action{a}}, sdktest.Options{Actions: map[string]sdktest.Trial{"a": {
			Input: sdk.Fields{{Name: "url", Value: json.RawMessage(`"http://x/"`)}}, HTTP: http, Secrets: secrets,
		}}})
	}
	refusal := func(*sdk.Request, []byte) sdktest.Reply { return sdktest.Reply{Body: []byte("no")} }
	for promise, check := range checkBreaches() {
		out["check: "+promise] = one(sdk.Connector{Check: check, Triggers: []sdk.Trigger{poll(nil)}},
			sdktest.Options{Check: &sdktest.CheckTrial{Config: config, HTTP: http, Secrets: secrets, Refusal: refusal}})
	}
	for promise, c := range choiceBreaches() {
		out["options: "+promise] = one(sdk.Connector{Options: []sdk.Chooser{c}, Triggers: []sdk.Trigger{poll(nil)}},
			sdktest.Options{Choices: map[string]sdktest.Choice{"o": {Config: config, HTTP: http, Secrets: secrets}}})
	}
	out["description: the description is stable and survives JSON"] = breach{connector: func() sdk.Connector {
		return sdk.Connector{Name: "c", Title: strconv.FormatInt(asked.Add(1), 10), Triggers: []sdk.Trigger{poll(nil)}}
	}}
	out["description: every member has its function and its schemas"] = one(sdk.Connector{Triggers: []sdk.Trigger{{Name: "p", Kind: sdk.KindPoll}}}, sdktest.Options{})
	return out
}

// answered gives what get does, and fails unless that is what is there.
func answered(ctx context.Context, h sdk.Host, url string) error {
	b, err := get(ctx, h, url)
	if err == nil && string(b) == "no" {
		err = sdk.Errorf(sdk.Unauthorized, "refused")
	}
	return err
}

// lost hides the kind of an error.
func lost(err error) error {
	if err != nil {
		return sdk.Errorf(sdk.Failed, "lost: %v", err)
	}
	return nil
}

func webhookBreaches() map[string]sdk.Trigger {
	hook := func(bad func(ctx context.Context, out *sdk.Receipt[thing], err error) error) sdk.Trigger {
		return sdk.Webhook("w", "W", func(ctx context.Context, h sdk.Host, p place, r sdk.WebhookRequest) (out sdk.Receipt[thing], err error) {
			n, err := strconv.Atoi(string(r.Body))
			if err != nil {
				err = sdk.Errorf(sdk.Invalid, "no number: %w", err)
			} else if _, err = get(ctx, h, p.URL); err == nil {
				out.Add("1", thing{n})
			}
			return out, bad(ctx, &out, err)
		})
	}
	raw := func(config json.RawMessage, data string) sdk.Trigger {
		return sdk.Trigger{Name: "w", Kind: sdk.KindWebhook, Config: config, Event: hook(nil).Event, Webhook: func(_ context.Context, _ sdk.Host, w sdk.WebhookCall) (out sdk.RawWebhook, err error) {
			if string(w.Request.Body) != "1" {
				return out, sdk.Errorf(sdk.Invalid, "no number")
			}
			out.Events = []sdk.Event{{Key: "1", Data: json.RawMessage(data)}}
			return out, nil
		}}
	}
	type receipt = sdk.Receipt[thing]
	return map[string]sdk.Trigger{
		"none":                                 hook(func(_ context.Context, _ *receipt, err error) error { return err }),
		"events are JSON that fits the schema": raw(nil, `{"n":"1"}`),
		"the same request gives the same keys and bytes": hook(func(_ context.Context, out *receipt, err error) error {
			out.Add(strconv.FormatInt(asked.Add(1), 10), thing{})
			return err
		}),
		"a config that does not fit is refused as invalid": raw(hook(nil).Config, `{"n":1}`),
		"a request that must not be taken gives no event":  hook(func(_ context.Context, _ *receipt, err error) error { return lost(err) }),
		"a refused request is an error of kind denied": hook(func(_ context.Context, _ *receipt, err error) error {
			if sdk.KindOf(err) == sdk.Denied {
				return lost(err)
			}
			return err
		}),
		"a slow host changes nothing": hook(func(_ context.Context, out *receipt, err error) error {
			if asked.Add(1)%2 == 0 {
				*out = receipt{}
			}
			return err
		}),
		"a call that is taken back ends": hook(func(ctx context.Context, _ *receipt, err error) error {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}),
	}
}

func actionBreaches() map[string]sdk.Action {
	do := func(bad func(ctx context.Context, err error) error) sdk.Action {
		return sdk.Do("a", "A", func(ctx context.Context, h sdk.Host, p place) (thing, error) {
			_, err := get(ctx, h, p.URL)
			return thing{1}, bad(ctx, err)
		})
	}
	raw := func(output string) sdk.Action {
		a := do(nil)
		a.Do = func(context.Context, sdk.Host, sdk.ActionCall) (sdk.Result, error) {
			return sdk.Result{Output: json.RawMessage(output)}, nil
		}
		return a
	}
	return map[string]sdk.Action{
		"none":                     do(func(_ context.Context, err error) error { return err }),
		"a result fits the schema": raw(`{"n":1,"more":2}`),
		"an input that does not fit is refused as invalid": raw(`{"n":1}`),
		"a refused request is an error of kind denied":     do(func(_ context.Context, err error) error { return lost(err) }),
		"a call that is taken back ends": do(func(ctx context.Context, err error) error {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}),
	}
}

func checkBreaches() map[string]*sdk.Checker {
	return map[string]*sdk.Checker{
		"none": sdk.Check(func(ctx context.Context, h sdk.Host, p place) error { return answered(ctx, h, p.URL) }),
		"a config that works passes, any other doesn't": sdk.Check(func(ctx context.Context, h sdk.Host, p place) error {
			_, err := get(ctx, h, p.URL)
			return err
		}),
		"a refused request is an error of kind denied": sdk.Check(func(ctx context.Context, h sdk.Host, p place) error {
			return lost(answered(ctx, h, p.URL))
		}),
	}
}

func choiceBreaches() map[string]sdk.Chooser {
	list := func(names ...string) sdk.Chooser {
		return sdk.Options("o", "O", func(ctx context.Context, h sdk.Host, p place) (out []sdk.Option, err error) {
			for _, n := range names {
				out = append(out, sdk.OptionOf(n, ""))
			}
			return out, answered(ctx, h, p.URL)
		})
	}
	return map[string]sdk.Chooser{
		"none": list("a", "b"),
		"options are JSON values, each there once": list("a", "a"),
	}
}

func triggerBreaches() map[string]sdk.Trigger {
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
		"none ": stream(kept),
		"a cursor resumes after its event": func() sdk.Trigger {
			t := stream(kept)
			run := t.Stream
			t.Stream = func(ctx context.Context, h sdk.Host, s sdk.StreamCall, emit sdk.EmitFunc) error {
				s.Cursor = ""
				return run(ctx, h, s, emit)
			}
			return t
		}(),
		"a slow journal is waited for, and can be left": sdk.Stream("s", "S", func(ctx context.Context, h sdk.Host, p place, c sdk.Cursor, emit sdk.Emit[thing]) error {
			if _, err := get(ctx, h, p.URL); err != nil {
				return err
			}
			// Many at once, none of which waits for another.
			all := make(chan error, 100)
			for n := range 100 {
				go func() {
					at := strconv.Itoa(len(c) + n)
					all <- emit(ctx, c+"|", sdk.EventOf[thing]{Key: at, Data: thing{n}})
				}()
			}
			var err error
			for range 100 {
				err = errors.Join(err, <-all)
			}
			return err
		}),
		"a config that does not fit is refused as invalid ": func() sdk.Trigger {
			t := stream(kept)
			run := t.Stream
			t.Stream = func(ctx context.Context, h sdk.Host, s sdk.StreamCall, emit sdk.EmitFunc) error {
				s.Config = json.RawMessage(`{"url":"http://x/"}`)
				return run(ctx, h, s, emit)
			}
			return t
		}(),
		"a refused request is an error of kind denied ": func() sdk.Trigger {
			t := stream(kept)
			run := t.Stream
			t.Stream = func(ctx context.Context, h sdk.Host, s sdk.StreamCall, emit sdk.EmitFunc) error {
				err := run(ctx, h, s, emit)
				if sdk.KindOf(err) == sdk.Denied {
					return lost(err)
				}
				return err
			}
			return t
		}(),
		"an event that was not taken comes again after a crash": stream(func(error) error { return nil }),
	}
}

// TestTheKitFindsEachBreach runs the kit on connectors that break a promise, in
// a child process whose tests fail: the kit must say which.
func TestTheKitFindsEachBreach(t *testing.T) {
	t.Parallel()
	const mark = "TAPPET_SDKTEST_BREACH"
	if name := os.Getenv(mark); name != "" {
		b := breaches()[name]
		sdktest.Run(t, sdktest.InProcess(b.connector), b.trial)
		return
	}
	for name := range breaches() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			kind, promise, _ := strings.Cut(strings.TrimSpace(name), ": ")
			clean := promise == "none"
			// The trials of a stream's cursor build on each other, and one that doesn't
			// end is waited for long; a secret may be found anywhere.
			only, secret := "", strings.HasPrefix(promise, "the secret")
			alone := kind != "stream" || strings.HasPrefix(promise, "a slow") || strings.HasPrefix(promise, "a config") || strings.HasPrefix(promise, "a refused")
			switch {
			case kind == "description":
				only = "/^" + regexp.QuoteMeta(promise) + "$"
			case alone && !clean && !secret:
				only = "/^" + kind + "/^" + regexp.QuoteMeta(promise) + "$"
			}
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestTheKitFindsEachBreach$"+strings.ReplaceAll(only, " ", "_"), "-test.v",
				"-test.failfast="+strconv.FormatBool(kind == "stream"))
			cmd.Env = append(os.Environ(), mark+"="+name)
			out, err := cmd.CombinedOutput()
			found := secret && strings.Contains(string(out), promise)
			for line := range strings.Lines(string(out)) {
				found = found || strings.Contains(line, "--- FAIL: ") && strings.Contains(line, "/"+strings.ReplaceAll(promise, " ", "_")+" (")
			}
			if clean && err != nil || !clean && (err == nil || !found) {
				t.Errorf("%v\n%.4000s", err, out)
			}
		})
	}
}
