package main

import (
	"context"
	"crypto/tls"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/tappet-dev/tappet/engine"
	"github.com/tappet-dev/tappet/internal/egress"
	"github.com/tappet-dev/tappet/internal/egress/governor"
	"github.com/tappet-dev/tappet/plugins"
	"github.com/tappet-dev/tappet/sdk"
)

// hosts makes the host of each call over the one guarded transport.
type hosts struct {
	egress *egress.Client
	files  *cabinet // nil: no call keeps files
	links  *links   // nil: there are no connections
	log    *slog.Logger
}

var _ engine.Hosts = (*hosts)(nil)

// Host implements engine.Hosts. What a plugin's manifest doesn't name is
// refused before it comes here (package plugins); the egress guard holds for all.
func (h *hosts) Host(_ context.Context, c engine.HostCall) (sdk.Host, func()) {
	x := &host{hosts: h, call: c}
	return x, x.end
}

// A host serves one call.
type host struct {
	*hosts
	call engine.HostCall
	over atomic.Bool
}

var _ plugins.Hider = (*host)(nil)

func (h *host) end() { h.over.Store(true) }

func (h *host) ended() error {
	if h.over.Load() {
		return sdk.Errorf(sdk.Cancelled, "the host was used after its call had returned")
	}
	return nil
}

// HTTP implements sdk.Host.
func (h *host) HTTP(ctx context.Context, r *sdk.Request) (*sdk.Response, error) {
	if err := h.ended(); err != nil {
		return nil, err
	}
	name := h.call.Connection
	switch {
	case name == "":
		return h.send(ctx, nil, r)
	case h.links == nil: // nothing goes out without what it should be sent with
		return nil, sdk.Errorf(sdk.Unsupported, "this host has no connections, so the request isn't sent without %q", name)
	}
	config, err := h.links.manager.TLS(ctx, name)
	if err != nil {
		return nil, err
	}
	return h.links.manager.Do(ctx, name, r, func(ctx context.Context, r *sdk.Request) (*sdk.Response, error) {
		if err := h.conceal(ctx, name); err != nil {
			return nil, err
		}
		return h.send(ctx, config, r)
	})
}

// conceal has the call's records hide the credentials that go out next.
func (h *host) conceal(ctx context.Context, name string) error {
	texts, err := h.links.manager.Hidden(ctx, name)
	for _, text := range texts {
		h.call.Conceal(text)
	}
	return err
}

// send sends a request; config, if it isn't nil, is the TLS of a connection.
func (h *host) send(ctx context.Context, config *tls.Config, r *sdk.Request) (*sdk.Response, error) {
	return h.egress.Send(ctx, r, egress.Call{
		TLS:   config,
		Group: int64(h.call.Graph), Record: func(x egress.Exchange) { h.call.Record(exchange(x)) },
		Capture: h.capture(),
		Waiting: func(why governor.Why) {
			if h.call.Waiting != nil {
				h.call.Waiting(string(why))
			}
		},
	})
}

// capture hands on what crossed the wire, if somebody asks.
func (h *host) capture() func(egress.Capture) {
	if h.call.Capture == nil {
		return nil
	}
	return func(c egress.Capture) {
		list := make([]engine.Capture, len(c.Hops))
		for i, x := range c.Hops {
			list[i] = engine.Capture(x)
		}
		h.call.Capture(list)
	}
}

func exchange(x egress.Exchange) engine.Exchange {
	return engine.Exchange{
		Method: x.Method, URL: x.URL, Status: x.Status, Started: x.Started.Truncate(time.Millisecond).UTC(),
		Waited: x.Waited.Microseconds(), WaitReason: x.WaitReason,
		DNS: x.DNS.Microseconds(), Connect: x.Connect.Microseconds(), TLS: x.TLS.Microseconds(),
		FirstByte: x.FirstByte.Microseconds(), Total: x.Total.Microseconds(),
		Reused: x.Reused, Sent: x.Sent, Received: x.Received, Redirects: x.Redirects, Error: x.Error,
	}
}

// Log implements sdk.Host.
func (h *host) Log(ctx context.Context, level sdk.Level, msg string, args ...any) {
	if h.ended() != nil {
		return
	}
	lv := slog.LevelInfo
	switch level {
	case sdk.Debug:
		lv = slog.LevelDebug
	case sdk.Info:
	case sdk.Warn:
		lv = slog.LevelWarn
		if h.call.Warn != nil {
			h.call.Warn(msg, args...)
		}
	case sdk.Fault:
		lv = slog.LevelError
	}
	log := h.log.With("connector", h.call.Connector.Name)
	if !h.call.Run.IsZero() {
		log = log.With("run", h.call.Run, "step", h.call.Step)
	}
	hidden := make([]any, len(args))
	for i, a := range args {
		hidden[i] = h.call.Hide(a)
	}
	if s, ok := h.call.Hide(msg).(string); ok {
		log.Log(ctx, lv, s, hidden...)
	}
}

// Hide implements plugins.Hider.
func (h *host) Hide(v any) any { return h.call.Hide(v) }

// Secret implements sdk.Host. A name that a plugin declares may have a dash,
// which counts as an underscore.
func (h *host) Secret(ctx context.Context, name string) (string, error) {
	if err := h.ended(); err != nil {
		return "", err
	}
	if !slices.Contains(h.call.Connector.Needs.Secrets, name) && !slices.Contains(h.call.Secrets, name) {
		return "", sdk.Errorf(sdk.Denied, "the connector %s doesn't declare the secret %q", h.call.Connector.Name, name)
	}
	return h.call.Secret(ctx, strings.ReplaceAll(name, "-", "_"))
}

// environmentSecrets reads the secret forms from TAPPET_SECRET_FORMS.
type environmentSecrets struct{}

var _ engine.Secrets = environmentSecrets{}

// Secret implements engine.Secrets.
func (environmentSecrets) Secret(_ context.Context, name string) ([]byte, error) {
	env := "TAPPET_SECRET_" + strings.ToUpper(name)
	v := os.Getenv(env)
	if v == "" {
		return nil, sdk.Errorf(sdk.NotFound, "the secret %q isn't set: give it in the environment variable %s of the server", name, env)
	}
	return []byte(v), nil
}

// State implements sdk.Host.
func (h *host) State(ctx context.Context, key string) ([]byte, error) {
	if err := h.keeps(); err != nil {
		return nil, err
	}
	return h.call.State.Get(ctx, key)
}

// SetState implements sdk.Host.
func (h *host) SetState(ctx context.Context, key string, value []byte) error {
	if err := h.keeps(); err != nil {
		return err
	}
	return h.call.State.Set(ctx, key, value)
}

func (h *host) keeps() error {
	if err := h.ended(); err != nil {
		return err
	}
	if h.call.State == nil {
		return sdk.Errorf(sdk.Unsupported, "only a trigger keeps state; an action has its input")
	}
	return nil
}

// Now implements sdk.Host.
func (h *host) Now() time.Time { return time.Now().UTC() }
