package main

import (
	"context"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/tappet-dev/tappet/engine"
	"github.com/tappet-dev/tappet/internal/egress"
	"github.com/tappet-dev/tappet/sdk"
)

// hosts makes the host of each call over the one guarded transport.
type hosts struct {
	egress *egress.Client
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
	return h.egress.Do(ctx, r, func(x egress.Exchange) { h.call.Record(exchange(x)) })
}

func exchange(x egress.Exchange) engine.Exchange {
	return engine.Exchange{
		Method: x.Method, URL: x.URL, Status: x.Status, Started: x.Started.Truncate(time.Millisecond).UTC(),
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
	case sdk.Fault:
		lv = slog.LevelError
	}
	log := h.log.With("connector", h.call.Connector.Name)
	if !h.call.Run.IsZero() {
		log = log.With("run", h.call.Run, "step", h.call.Step)
	}
	log.Log(ctx, lv, msg, args...)
}

// Secret implements sdk.Host: it reads TAPPET_SECRET_<NAME>.
func (h *host) Secret(_ context.Context, name string) (string, error) {
	if err := h.ended(); err != nil {
		return "", err
	}
	if !slices.Contains(h.call.Connector.Needs.Secrets, name) {
		return "", sdk.Errorf(sdk.Denied, "the connector %s doesn't declare the secret %q", h.call.Connector.Name, name)
	}
	env := "TAPPET_SECRET_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
	v, ok := os.LookupEnv(env)
	if !ok {
		return "", sdk.Errorf(sdk.NotFound, "the secret %q isn't set: give it in the environment variable %s", name, env)
	}
	return v, nil
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
