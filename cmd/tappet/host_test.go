package main

import (
	"context"
	"testing"

	"github.com/tappet-dev/tappet/engine"
	"github.com/tappet-dev/tappet/sdk"
)

// shelf keeps a trigger's state in memory.
type shelf map[string][]byte

func (s shelf) Get(_ context.Context, key string) ([]byte, error) { return s[key], nil }

func (s shelf) Set(_ context.Context, key string, value []byte) error {
	s[key] = value
	return nil
}

func TestSec04AHostKeepsToItsCall(t *testing.T) {
	t.Setenv("TAPPET_SECRET_API_KEY", "s3cret")
	t.Setenv("TAPPET_SECRET_OTHER", "hidden")
	conn := engine.Connector{Connector: &sdk.Connector{Name: "c", Needs: sdk.Needs{Secrets: []string{"api-key", "unset"}}}}
	h, end := (&hosts{}).Host(t.Context(), engine.HostCall{Connector: conn, State: shelf{}})
	for name, want := range map[string]sdk.Kind{"api-key": "", "other": sdk.Denied, "unset": sdk.NotFound} {
		if v, err := h.Secret(t.Context(), name); (err == nil) != (want == "") || err != nil && sdk.KindOf(err) != want || err == nil && v != "s3cret" {
			t.Errorf("secret %s: %q, %v; kind %q is wanted", name, v, err, want)
		}
	}
	if err := h.SetState(t.Context(), "k", []byte("v")); err != nil {
		t.Error(err)
	}
	if v, err := h.State(t.Context(), "k"); string(v) != "v" || err != nil {
		t.Errorf("state: %q, %v", v, err)
	}
	end()
	_, secretErr := h.Secret(t.Context(), "api-key")
	_, stateErr := h.State(t.Context(), "k")
	for _, err := range []error{secretErr, stateErr, h.SetState(t.Context(), "k", nil)} {
		if sdk.KindOf(err) != sdk.Cancelled {
			t.Errorf("after the call: %v; kind cancelled is wanted", err)
		}
	}
	action, end := (&hosts{}).Host(t.Context(), engine.HostCall{Connector: conn})
	defer end()
	if err := action.SetState(t.Context(), "k", nil); sdk.KindOf(err) != sdk.Unsupported {
		t.Errorf("an action keeps state: %v", err)
	}
}
