package sdktest

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tappet-dev/tappet/sdk"
)

// A Webhook is a trial of a webhook trigger.
type Webhook struct {
	// Config is one that works.
	Config json.RawMessage
	// Bad are configs that must be refused with kind invalid, beside those that
	// the kit makes from the schema.
	Bad     []json.RawMessage
	HTTP    Cassette
	Secrets map[string]string
	// Request is one that gives at least one event.
	Request sdk.WebhookRequest
	// Refused are requests that must be refused, each with its kind.
	Refused []RefusedRequest
}

// A RefusedRequest is a request that a webhook trigger must not take.
type RefusedRequest struct {
	Request sdk.WebhookRequest
	Kind    sdk.Kind
}

func receives(t *testing.T, open func(testing.TB) sdk.Connector, name string, w Webhook, patience time.Duration) {
	t.Helper()
	tr := mustTrigger(t, open(t), name, sdk.KindWebhook)
	from := func(ctx context.Context, t *testing.T, c Cassette, config json.RawMessage, r sdk.WebhookRequest) (sdk.RawWebhook, error) {
		t.Helper()
		h := NewHost(t, HostOptions{HTTP: c, Secrets: w.Secrets})
		defer h.Over()
		out, err := tr.Webhook(ctx, h, sdk.WebhookCall{Trigger: name, Config: config, Request: r})
		h.inspect(err)
		return out, err
	}
	receive := func(t *testing.T, config json.RawMessage, r sdk.WebhookRequest) (sdk.RawWebhook, error) {
		t.Helper()
		return from(t.Context(), t, w.HTTP, config, r)
	}
	t.Run("events are JSON that fits the schema", func(t *testing.T) {
		r, err := receive(t, w.Config, w.Request)
		if err != nil || len(r.Events) == 0 {
			t.Fatalf("%d events, %v", len(r.Events), err)
		}
		for i, e := range r.Events {
			if err := Fits(tr.Event, e.Data); err != nil {
				t.Errorf("event %d: %v", i, err)
			}
		}
		if a := r.Answer; a != nil && a.Status != 0 && (a.Status < 200 || a.Status > 599) {
			t.Errorf("the answer has status %d", a.Status)
		}
	})
	t.Run("the same request gives the same keys and bytes", func(t *testing.T) {
		one, err1 := receive(t, w.Config, w.Request)
		two, err2 := receive(t, w.Config, w.Request)
		if diff := cmp.Diff(one.Events, two.Events); diff != "" || err1 != nil || err2 != nil {
			t.Errorf("%v, %v\n%s", err1, err2, diff)
		}
	})
	t.Run("a config that does not fit is refused as invalid", func(t *testing.T) {
		for _, bad := range append(badConfigs(tr.Config, w.Config), w.Bad...) {
			_, err := receive(t, bad, w.Request)
			wantInvalid(t, bad, err)
		}
	})
	t.Run("a request that must not be taken gives no event", func(t *testing.T) {
		for i, x := range w.Refused {
			if r, err := receive(t, w.Config, x.Request); sdk.KindOf(err) != x.Kind || err == nil || len(r.Events) > 0 {
				t.Errorf("request %d: %d events, %v; an error of kind %s is wanted", i, len(r.Events), err, x.Kind)
			}
		}
	})
	calls(t, patience, func(ctx context.Context, t *testing.T, c Cassette) (size int, err error) {
		t.Helper()
		r, err := from(ctx, t, c, w.Config, w.Request)
		for _, e := range r.Events {
			size = max(size, len(e.Data))
		}
		return size, err
	}, w.HTTP)
}
