package engine_test

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tappet-dev/tappet/engine"
	"github.com/tappet-dev/tappet/sdk"
)

// asking is a connector whose check and options do what fn says.
func asking(fn func(ctx context.Context, config json.RawMessage) ([]sdk.Option, error)) sdk.Connector {
	closed := json.RawMessage(`{"type":"object","properties":{"url":{"type":"string"}},"additionalProperties":false}`)
	return sdk.Connector{
		Name: "asking",
		Actions: []sdk.Action{{Name: "write", Input: json.RawMessage(`{"type":"object","properties":{
			"url":{"type":"string"},"list":{"type":"string","options":"lists"},"to":{"type":"object","properties":{"list":{"type":"string","options":"lists"}}}}}`)}},
		Triggers: []sdk.Trigger{{Name: "read", Config: json.RawMessage(`{"type":"object","properties":{"list":{"type":"string","options":"open"}}}`)}},
		Check: &sdk.Checker{Config: closed, Do: func(ctx context.Context, _ sdk.Host, config json.RawMessage) error {
			_, err := fn(ctx, config)
			return err
		}},
		Options: []sdk.Chooser{
			{Name: "lists", Config: closed, List: func(ctx context.Context, _ sdk.Host, c sdk.ChooseCall) ([]sdk.Option, error) {
				return fn(ctx, c.Config)
			}},
			{Name: "open", List: func(ctx context.Context, _ sdk.Host, c sdk.ChooseCall) ([]sdk.Option, error) {
				return fn(ctx, c.Config)
			}},
		},
	}
}

func TestConfigsAreChecked(t *testing.T) {
	t.Parallel()
	b := newBench(t, t.TempDir())
	var got string
	var fails error
	b.shelf.put(asking(func(ctx context.Context, config json.RawMessage) ([]sdk.Option, error) {
		at, ok := ctx.Deadline()
		if left := time.Until(at); !ok || left > 10*time.Second || left < time.Second {
			t.Errorf("a check has %s", left)
		}
		got = string(config)
		return nil, fails
	}), "d1")
	for given, want := range map[string]string{"": "{}", "null": "{}", ` {"url":"x"} `: `{"url":"x"}`} {
		c, err := b.CheckConfig(t.Context(), "asking", json.RawMessage(given))
		if err != nil || !c.OK || got != want {
			t.Errorf("%q: %+v, %v; the connector was given %s", given, c, err, got)
		}
	}
	for _, kind := range sdk.Kinds() {
		if kind == sdk.Timeout {
			continue // has words of its own
		}
		fails = sdk.Errorf(kind, "because")
		c, err := b.CheckConfig(t.Context(), "asking", nil)
		if d := cmp.Diff(engine.Checked{Kind: kind, Message: fails.Error()}, c); err != nil || d != "" {
			t.Errorf("%v %s", err, d)
		}
	}
	for _, bad := range []string{"[]", "{", `"x"`, "{}{}"} {
		_, err := b.CheckConfig(t.Context(), "asking", json.RawMessage(bad))
		wantKind(t, err, engine.Invalid)
	}
	_, err := b.CheckConfig(t.Context(), "test", nil)
	wantKind(t, err, engine.NotFound)
	_, err = b.CheckConfig(t.Context(), "nobody", nil)
	wantKind(t, err, engine.NotFound)
}

func TestAProbeThatHangsOrPanicsEnds(t *testing.T) {
	t.Parallel()
	b := newBench(t, t.TempDir())
	b.shelf.put(asking(func(ctx context.Context, config json.RawMessage) ([]sdk.Option, error) {
		if string(config) == `{"url":"panic"}` {
			panic("oh")
		}
		<-ctx.Done()
		return nil, ctx.Err()
	}), "d1")
	c, err := b.CheckConfig(t.Context(), "asking", json.RawMessage(`{"url":"panic"}`))
	if err != nil || c.OK || c.Kind != sdk.Panicked || strings.Contains(c.Message, "oh") {
		t.Errorf("%+v, %v", c, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
	defer cancel()
	c, err = b.CheckConfig(ctx, "asking", nil)
	if err != nil || c.OK || c.Kind != sdk.Timeout || !strings.Contains(c.Message, "limits.probe_timeout") {
		t.Errorf("%+v, %v", c, err)
	}
	_, err = b.ChooseOptions(ctx, "asking", engine.Choosing{Options: "lists"})
	wantKind(t, err, engine.Unavailable)
}

func TestOptionsAreChosen(t *testing.T) {
	t.Parallel()
	b := newBench(t, t.TempDir())
	var got string
	b.shelf.put(asking(func(_ context.Context, config json.RawMessage) ([]sdk.Option, error) {
		got = string(config)
		return []sdk.Option{sdk.OptionOf("a", "A")}, nil
	}), "d1")
	config := json.RawMessage(`{"url":"x","list":"half"}`)
	for _, tt := range []struct {
		q    engine.Choosing
		want string
	}{
		{engine.Choosing{Options: "lists", Config: config}, string(config)},
		{engine.Choosing{Part: "write", Field: "list", Config: config}, `{"url":"x"}`},
		{engine.Choosing{Part: "write", Field: "to.list"}, `{}`},
		{engine.Choosing{Part: "read", Field: "list", Config: config}, string(config)},
	} {
		out, err := b.ChooseOptions(t.Context(), "asking", tt.q)
		if err != nil || len(out) != 1 || out[0].Title != "A" || got != tt.want {
			t.Errorf("%+v: %v, %v; the connector was given %s, %s is wanted", tt.q, out, err, got, tt.want)
		}
	}
	for _, q := range []engine.Choosing{
		{Options: "none"},
		{Part: "none", Field: "list"},
		{Part: "write", Field: "url"},
		{Part: "write", Field: "url.list"},
		{Part: "write"},
	} {
		_, err := b.ChooseOptions(t.Context(), "asking", q)
		wantKind(t, err, engine.NotFound)
	}
	_, err := b.ChooseOptions(t.Context(), "asking", engine.Choosing{Options: "lists", Config: json.RawMessage("7")})
	wantKind(t, err, engine.Invalid)
}

func TestOptionsFailByTheConnectorsKind(t *testing.T) {
	t.Parallel()
	b := newBench(t, t.TempDir())
	var fails error
	b.shelf.put(asking(func(context.Context, json.RawMessage) ([]sdk.Option, error) {
		many := make([]sdk.Option, 1500)
		for i := range many {
			many[i] = sdk.OptionOf(strconv.Itoa(i), "")
		}
		return many, fails
	}), "d1")
	if out, err := b.ChooseOptions(t.Context(), "asking", engine.Choosing{Options: "lists"}); err != nil || len(out) != 1000 {
		t.Errorf("%d, %v", len(out), err)
	}
	for kind, want := range map[sdk.Kind]engine.Kind{
		sdk.Invalid: engine.Invalid, sdk.Unauthorized: engine.Invalid, sdk.Denied: engine.Invalid, sdk.Failed: engine.Invalid,
		sdk.Unavailable: engine.Unavailable, sdk.RateLimited: engine.Unavailable, sdk.Broken: engine.Unavailable,
	} {
		fails = &sdk.Error{Kind: kind, RetryAfter: time.Minute, Err: context.Canceled}
		_, err := b.ChooseOptions(t.Context(), "asking", engine.Choosing{Options: "lists"})
		e := wantKind(t, err, want)
		if len(e.Problems) != 1 || e.Problems[0].Code != string(kind) || want == engine.Unavailable && e.RetryAfter != time.Minute {
			t.Errorf("%s: %+v", kind, e)
		}
	}
}
