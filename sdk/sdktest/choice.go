package sdktest

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/tappet-dev/tappet/sdk"
)

// A CheckTrial is a trial of a connector's check.
type CheckTrial struct {
	// Config is one that works with HTTP.
	Config  json.RawMessage
	HTTP    Cassette
	Secrets map[string]string
	// Refusal answers so that the config doesn't work; nil: it isn't tried.
	Refusal Cassette
}

// A Choice is a trial of a connector's options.
type Choice struct {
	// Config is one that works.
	Config  json.RawMessage
	HTTP    Cassette
	Secrets map[string]string
}

func checks(t *testing.T, open func(testing.TB) sdk.Connector, k CheckTrial, patience time.Duration) {
	t.Helper()
	c := open(t)
	if c.Check == nil {
		t.Fatalf("connector %s has no check", c.Name)
	}
	try := func(ctx context.Context, t *testing.T, cassette Cassette, config json.RawMessage) error {
		t.Helper()
		h := NewHost(t, HostOptions{HTTP: cassette, Secrets: k.Secrets})
		defer h.Over()
		err := c.Check.Do(ctx, h, config)
		h.inspect(err)
		return err
	}
	t.Run("a config that works passes, any other doesn't", func(t *testing.T) {
		if err := try(t.Context(), t, k.HTTP, k.Config); err != nil {
			t.Errorf("check: %v", err)
		}
		if k.Refusal != nil && try(t.Context(), t, k.Refusal, k.Config) == nil {
			t.Error("a config that is refused passes")
		}
		for _, bad := range badConfigs(c.Check.Config, k.Config) {
			wantInvalid(t, bad, try(t.Context(), t, k.HTTP, bad))
		}
	})
	calls(t, patience, func(ctx context.Context, t *testing.T, cassette Cassette) (int, error) {
		t.Helper()
		return 0, try(ctx, t, cassette, k.Config)
	}, k.HTTP)
}

func chooses(t *testing.T, open func(testing.TB) sdk.Connector, name string, k Choice, patience time.Duration) {
	t.Helper()
	c := open(t)
	var chooser *sdk.Chooser
	for i := range c.Options {
		if c.Options[i].Name == name {
			chooser = &c.Options[i]
		}
	}
	if chooser == nil {
		t.Fatalf("connector %s has no options %q", c.Name, name)
	}
	list := func(ctx context.Context, t *testing.T, cassette Cassette, config json.RawMessage) ([]sdk.Option, error) {
		t.Helper()
		h := NewHost(t, HostOptions{HTTP: cassette, Secrets: k.Secrets})
		defer h.Over()
		out, err := chooser.List(ctx, h, sdk.ChooseCall{Options: name, Config: config})
		h.inspect(err)
		return out, err
	}
	t.Run("options are JSON values, each there once", func(t *testing.T) {
		out, err := list(t.Context(), t, k.HTTP, k.Config)
		if err != nil || len(out) == 0 {
			t.Fatalf("%d options, %v", len(out), err)
		}
		seen := map[string]bool{}
		for i, o := range out {
			if !json.Valid(o.Value) || seen[string(o.Value)] {
				t.Errorf("option %d: the value %s is no JSON or there twice", i, o.Value)
			}
			seen[string(o.Value)] = true
		}
		for _, bad := range badConfigs(chooser.Config, k.Config) {
			_, err := list(t.Context(), t, k.HTTP, bad)
			wantInvalid(t, bad, err)
		}
	})
	calls(t, patience, func(ctx context.Context, t *testing.T, cassette Cassette) (int, error) {
		t.Helper()
		out, err := list(ctx, t, cassette, k.Config)
		return len(out), err
	}, k.HTTP)
}
