package guest

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/tappet-dev/tappet/plugins/pipe"
	"github.com/tappet-dev/tappet/sdk"
	"github.com/tappet-dev/tappet/sdk/sdktest"
)

// Connector describes the plugin that c carries calls to.
func Connector(tb testing.TB, c pipe.Caller) sdk.Connector {
	tb.Helper()
	b, err := pipe.Describe(tb.Context(), c)
	if err != nil {
		tb.Fatalf("describe: %v", err)
	}
	var spec sdk.Connector
	if err := json.Unmarshal(b, &spec); err != nil {
		tb.Fatalf("describe: %v", err)
	}
	return pipe.Connector(spec, c, pipe.Limits{})
}

// Action gives an action of c.
func Action(tb testing.TB, c sdk.Connector, name string) sdk.Action {
	tb.Helper()
	for _, a := range c.Actions {
		if a.Name == name {
			return a
		}
	}
	tb.Fatalf("connector %s has no action %q", c.Name, name)
	return sdk.Action{}
}

// Trigger gives a trigger of c.
func Trigger(tb testing.TB, c sdk.Connector, name string) sdk.Trigger {
	tb.Helper()
	for _, t := range c.Triggers {
		if t.Name == name {
			return t
		}
	}
	tb.Fatalf("connector %s has no trigger %q", c.Name, name)
	return sdk.Trigger{}
}

// Trap has the traps plugin do something on a host of its own, which knows the
// secret token, and gives its output.
func Trap(ctx context.Context, tb testing.TB, c sdk.Connector, do string) (string, error) {
	tb.Helper()
	h := sdktest.NewHost(tb, sdktest.HostOptions{Secrets: map[string]string{"token": "s3cret"}})
	defer h.Over()
	return TrapOn(ctx, tb, c, h, do)
}

// TrapOn is Trap on a given host.
func TrapOn(ctx context.Context, tb testing.TB, c sdk.Connector, h sdk.Host, do string) (string, error) {
	tb.Helper()
	word, err := json.Marshal(do)
	if err != nil {
		tb.Fatal(err)
	}
	r, err := Action(tb, c, "trap").Do(ctx, h, sdk.ActionCall{Action: "trap", Input: sdk.Fields{{Name: "do", Value: word}}})
	return string(r.Output), err
}
