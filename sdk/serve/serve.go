// Package serve runs one connector as a plugin, on whichever pipe the program
// was built for: a WASM guest with GOOS=wasip1 GOARCH=wasm, else a native
// process under go-plugin.
//
// An author calls [Main] from main and knows no more of it. The package is not
// a server of its own: the engine starts the program and ends it. Its one rule:
// built for wasip1 it links neither net/http nor crypto/tls.
package serve

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"

	"github.com/tappet-dev/tappet/sdk"
	"github.com/tappet-dev/tappet/sdk/wire"
)

// maxText bounds an error's text on the pipe.
const maxText = 4 << 10

// A swapper is one pipe as one call sees it: a frame out, its reply back. It
// is safe for concurrent use and refuses when open says no, under the lock that
// orders its frames.
type swapper interface {
	swap(ctx context.Context, f *wire.Frame, open func() bool) (wire.Frame, error)
}

// errOver is what a host gives once its call has returned.
func errOver() error {
	return sdk.Errorf(sdk.Cancelled, "the host was used after its call had returned")
}

// answer runs one frame of the engine to its end. A panic of the call's own
// goroutine becomes an error; its stack goes to the log.
func answer(ctx context.Context, c *sdk.Connector, p swapper, f *wire.Frame) (out wire.Frame) {
	switch f.Op {
	case wire.OpDescribe:
		b, err := json.Marshal(c)
		if err != nil {
			return failure(fmt.Errorf("describe: %w", err))
		}
		return wire.Frame{Op: wire.OpReturn, Body: b, ABI: wire.ABI}
	case wire.OpCall:
	default:
		return failure(sdk.Errorf(sdk.Unsupported, "this plugin knows no op %d; build it with a newer sdk", f.Op))
	}
	h := &host{pipe: p}
	defer h.over.Store(true)
	if f.Millis > 0 {
		var cancel context.CancelFunc
		ctx, cancel = limit(ctx, time.Duration(f.Millis)*time.Millisecond)
		defer cancel()
	}
	defer func() {
		if r := recover(); r != nil {
			h.Log(context.Background(), sdk.Fault, "panic", "value", fmt.Sprint(r), "stack", string(debug.Stack()))
			out = failure(sdk.Errorf(sdk.Panicked, "panic: %v", r))
		}
	}()
	out, err := call(ctx, c, h, f)
	if err != nil {
		return failed(out, err)
	}
	return out
}

// call finds the function that f is for and calls it.
func call(ctx context.Context, c *sdk.Connector, h *host, f *wire.Frame) (wire.Frame, error) {
	out := wire.Frame{Op: wire.OpReturn}
	if f.Part == wire.PartAction {
		for i := range c.Actions {
			if a := &c.Actions[i]; a.Name == f.Name && a.Do != nil {
				r, err := a.Do(ctx, h, sdk.ActionCall{Action: f.Name, Input: fields(f.Fields), IdempotencyKey: f.Key})
				out.Body = r.Output
				return out, err
			}
		}
		return out, sdk.Errorf(sdk.Unsupported, "connector %s has no action %q", c.Name, f.Name)
	}
	if f.Part == wire.PartCheck || f.Part == wire.PartOptions {
		return choose(ctx, c, h, f)
	}
	for i := range c.Triggers {
		t := &c.Triggers[i]
		if t.Name != f.Name {
			continue
		}
		switch {
		case f.Part == wire.PartPoll && t.Poll != nil:
			b, err := t.Poll(ctx, h, sdk.PollCall{Trigger: f.Name, Config: f.Config, Cursor: sdk.Cursor(f.Cursor)})
			out.Events, out.Cursor = events(b.Events), string(b.Cursor)
			if !b.Next.IsZero() {
				out.Time = b.Next.UnixNano()
			}
			return out, err
		case f.Part == wire.PartWebhook && t.Webhook != nil:
			r, err := t.Webhook(ctx, h, sdk.WebhookCall{Trigger: f.Name, Config: f.Config, Request: sdk.WebhookRequest{
				Method: f.Method, Path: f.URL, Query: f.Query, Header: header(f.Headers), Body: f.Body,
			}})
			out.Events, out.Wait = events(r.Events), r.Wait
			if a := r.Answer; a != nil {
				out.Answer = &wire.Answer{Status: uint32(a.Status), Headers: pairs(a.Header), Body: a.Body}
			}
			return out, err
		case f.Part == wire.PartStream && t.Stream != nil:
			call := sdk.StreamCall{Trigger: f.Name, Config: f.Config, Cursor: sdk.Cursor(f.Cursor)}
			return out, t.Stream(ctx, h, call, h.emit)
		}
	}
	return out, sdk.Errorf(sdk.Unsupported, "connector %s has no %s trigger %q", c.Name, f.Part, f.Name)
}

// choose tries a config, or lists options.
func choose(ctx context.Context, c *sdk.Connector, h *host, f *wire.Frame) (wire.Frame, error) {
	out := wire.Frame{Op: wire.OpReturn}
	if f.Part == wire.PartCheck {
		if c.Check == nil || c.Check.Do == nil {
			return out, sdk.Errorf(sdk.Unsupported, "connector %s has nothing to check", c.Name)
		}
		return out, c.Check.Do(ctx, h, f.Config)
	}
	for i := range c.Options {
		if o := &c.Options[i]; o.Name == f.Name && o.List != nil {
			list, err := o.List(ctx, h, sdk.ChooseCall{Options: f.Name, Config: f.Config})
			if err == nil {
				if list == nil {
					list = []sdk.Option{}
				}
				out.Body, err = json.Marshal(list)
			}
			return out, err
		}
	}
	return out, sdk.Errorf(sdk.Unsupported, "connector %s has no options %q", c.Name, f.Name)
}

func failure(err error) wire.Frame { return failed(wire.Frame{Op: wire.OpReturn}, err) }

// failed puts err on f.
func failed(f wire.Frame, err error) wire.Frame {
	f.Kind, f.Text = string(sdk.KindOf(err)), err.Error()
	if len(f.Text) > maxText {
		f.Text = f.Text[:maxText]
	}
	f.Text = strings.ToValidUTF8(f.Text, "\uFFFD")
	var e *sdk.Error
	if errors.As(err, &e) {
		f.Millis = uint64(max(0, e.RetryAfter.Milliseconds()))
	}
	return f
}

// problem reads an error off a reply, nil if it tells of none.
func problem(f *wire.Frame) error {
	if f.Kind == "" {
		return nil
	}
	return &sdk.Error{
		Kind: sdk.Kind(f.Kind), RetryAfter: time.Duration(f.Millis) * time.Millisecond, Err: errors.New(f.Text),
	}
}

// A host is the engine as one call sees it over the pipe.
type host struct {
	pipe swapper
	over atomic.Bool
}

var _ sdk.Host = (*host)(nil)

func (h *host) open() bool { return !h.over.Load() }

// ask sends f and gives the reply, or the error that it tells of.
func (h *host) ask(ctx context.Context, f *wire.Frame) (wire.Frame, error) {
	if err := ctx.Err(); err != nil {
		return wire.Frame{}, err
	}
	r, err := h.pipe.swap(ctx, f, h.open)
	if err == nil {
		err = problem(&r)
	}
	return r, err
}

// Log writes a line; that it was refused has no one to be told.
func (h *host) Log(ctx context.Context, level sdk.Level, msg string, args ...any) {
	f := wire.Frame{Op: wire.OpLog, Name: string(level), Text: msg, Headers: attributes(args)}
	_, _ = h.ask(context.WithoutCancel(ctx), &f)
}

func (h *host) Secret(ctx context.Context, name string) (string, error) {
	r, err := h.ask(ctx, &wire.Frame{Op: wire.OpSecret, Name: name})
	return string(r.Body), err
}

func (h *host) State(ctx context.Context, key string) ([]byte, error) {
	r, err := h.ask(ctx, &wire.Frame{Op: wire.OpState, Name: key})
	if err != nil || len(r.Body) == 0 {
		return nil, err
	}
	return bytes.Clone(r.Body), nil
}

func (h *host) SetState(ctx context.Context, key string, value []byte) error {
	_, err := h.ask(ctx, &wire.Frame{Op: wire.OpSetState, Name: key, Body: value})
	return err
}

// Now is the engine's time, the local one once the call is over.
func (h *host) Now() time.Time {
	r, err := h.ask(context.Background(), &wire.Frame{Op: wire.OpNow})
	if err != nil {
		return time.Now()
	}
	return time.Unix(0, r.Time).UTC()
}

func (h *host) emit(ctx context.Context, c sdk.Cursor, ev ...sdk.Event) error {
	_, err := h.ask(ctx, &wire.Frame{Op: wire.OpEmit, Cursor: string(c), Events: events(ev)})
	return err
}

// attributes writes slog-like arguments as text.
func attributes(args []any) []wire.Pair {
	var out []wire.Pair
	for i := 0; i < len(args); i += 2 {
		if i+1 == len(args) {
			return append(out, wire.Pair{Name: "!extra", Value: fmt.Sprint(args[i])})
		}
		out = append(out, wire.Pair{Name: fmt.Sprint(args[i]), Value: fmt.Sprint(args[i+1])})
	}
	return out
}

func events(in []sdk.Event) []wire.Event {
	out := make([]wire.Event, len(in))
	for i := range in {
		out[i] = wire.Event{Key: in[i].Key, Data: in[i].Data}
	}
	return out
}

func fields(in []wire.Field) sdk.Fields {
	out := make(sdk.Fields, len(in))
	for i := range in {
		out[i] = sdk.Field{Name: in[i].Name, Value: in[i].Value}
	}
	return out
}

func header(in []wire.Pair) sdk.Header {
	out := make(sdk.Header, len(in))
	for i := range in {
		out[i] = sdk.Pair(in[i])
	}
	return out
}

func pairs(in sdk.Header) []wire.Pair {
	out := make([]wire.Pair, len(in))
	for i := range in {
		out[i] = wire.Pair(in[i])
	}
	return out
}
