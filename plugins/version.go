package plugins

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/tappet-dev/tappet/plugins/contract"
	"github.com/tappet-dev/tappet/plugins/pipe"
	"github.com/tappet-dev/tappet/sdk"
	"github.com/tappet-dev/tappet/sdk/wire"
)

// A version is one artefact that was loaded and described.
type version struct {
	file      string
	kind      Kind
	digest    string
	spec      sdk.Connector // as the plugin tells it
	connector sdk.Connector // what Connector gives: it calls the version of the time
	pinned    sdk.Connector // what At gives: it calls this one
	caller    pipe.Caller
	closer    io.Closer
	journal   *journal
	contracts map[string]*contract.Contract // by eventOf and resultOf
	account   account
	tally     tally

	ctx  context.Context // ends when the version is retired
	end  context.CancelCauseFunc
	once sync.Once
	err  error

	mu      sync.Mutex
	retired bool
	calls   sync.WaitGroup
}

// errReplaced is the cause by which the streams of a retired version end.
var errReplaced = errors.New("the plugin was replaced or removed")

// enter begins a call; leave ends it. It refuses once the version is retired.
func (v *version) enter() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.retired {
		return false
	}
	v.calls.Add(1)
	return true
}

func (v *version) leave() { v.calls.Done() }

// shut refuses calls from now on.
func (v *version) shut() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.retired = true
}

// retire lets the calls that run come to their ends, streams excepted, which
// are told to end, and then closes the version.
func (v *version) retire(drain time.Duration) error {
	v.shut()
	v.end(errReplaced)
	over := make(chan struct{})
	go func() {
		v.calls.Wait()
		close(over)
	}()
	t := time.NewTimer(drain)
	defer t.Stop()
	select {
	case <-over:
	case <-t.C:
	}
	err := v.close()
	<-over
	return err
}

// close ends the version at once, calls included.
func (v *version) close() error {
	v.once.Do(func() {
		v.shut()
		v.end(errReplaced)
		v.err = v.closer.Close()
	})
	return v.err
}

var _ pipe.Caller = (*route)(nil)

// A route leads the calls of one connector name to the version that is loaded
// at the time, or to one release.
type route struct {
	catalogue *Catalogue
	name      string
	release   *version // nil: that of the time
}

// next finds a version to call, the i-th time; nil if there is none.
func (r *route) next(i int) (*version, error) {
	switch {
	case r.release == nil:
		r.catalogue.mu.RLock()
		defer r.catalogue.mu.RUnlock()
		return r.catalogue.named[r.name], nil
	case i == 0:
		return r.release, nil
	}
	return r.catalogue.at(r.name, r.release.digest) // it was closed, and is opened again
}

// Call finds the version, again if it is replaced or closed just now.
func (r *route) Call(ctx context.Context, f *wire.Frame, s pipe.Server) (wire.Frame, error) {
	for i := range 3 {
		v, err := r.next(i)
		if err != nil {
			return wire.Frame{}, sdk.Errorf(sdk.Unavailable, "%w", err)
		}
		if v == nil {
			break
		}
		if v.enter() {
			defer v.leave()
			if wait := v.account.held(); wait > 0 {
				return wire.Frame{}, &sdk.Error{
					Kind: sdk.Unavailable, RetryAfter: wait,
					Err: fmt.Errorf("plugin %q keeps crashing; it is called again in %s", r.name, wait.Round(time.Millisecond)),
				}
			}
			began := time.Now()
			reply, err := v.call(ctx, f, s)
			v.tally.count(&reply, err)
			r.catalogue.settle(v, began, err)
			return reply, err
		}
	}
	if i, ok := r.catalogue.Info(r.name); ok && i.Health.Reason != "" {
		return wire.Frame{}, sdk.Errorf(sdk.Unavailable, "plugin %q is %s: %s", r.name, i.Health.State, i.Health.Reason)
	}
	return wire.Frame{}, sdk.Errorf(sdk.Unavailable, "plugin %q is not there or failed to load; see its health", r.name)
}

// info is what a version tells of itself.
func (v *version) info() Info {
	return Info{
		Name: v.spec.Name, File: v.file, Kind: v.kind, Digest: v.digest,
		Title: v.spec.Title, Description: v.spec.Description, Version: v.spec.Version,
		Needs: v.spec.Needs, Triggers: v.spec.Triggers, Actions: v.spec.Actions,
	}
}

// release is the version as the lock keeps it.
func (v *version) release() Release {
	return Release{Digest: v.digest, Version: v.spec.Version, Needs: v.spec.Needs, At: time.Now().UTC().Truncate(time.Second)}
}

func (v *version) call(ctx context.Context, f *wire.Frame, s pipe.Server) (wire.Frame, error) {
	if f.Part != wire.PartStream {
		return v.caller.Call(ctx, f, s)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(v.ctx, func() { cancel(errReplaced) })()
	r, err := v.caller.Call(ctx, f, s)
	if errors.Is(context.Cause(ctx), errReplaced) {
		return wire.Frame{}, &sdk.Error{Kind: sdk.Unavailable, Err: errReplaced}
	}
	return r, err
}

// finish makes what Connector and At give of a version.
func (c *Catalogue) finish(v *version) {
	v.connector, v.pinned = c.connect(v, nil), c.connect(v, v)
}

// connect makes a connector of a version: the spec, functions that lead to one
// release or else to the version of the time, and a host that keeps to what the
// plugin declares.
func (c *Catalogue) connect(v, release *version) sdk.Connector {
	out := pipe.Connector(v.spec, &route{c, v.spec.Name, release}, c.limits.Pipe)
	host := func(h sdk.Host, config func() []byte) sdk.Host {
		hider, _ := h.(Hider)
		return &tapped{Host: grant(h, v.spec.Needs, config), journal: v.journal, hider: hider}
	}
	for i := range out.Triggers {
		t := &out.Triggers[i]
		if call := t.Poll; call != nil {
			t.Poll = func(ctx context.Context, h sdk.Host, p sdk.PollCall) (sdk.RawBatch, error) {
				b, err := call(ctx, host(h, func() []byte { return p.Config }), p)
				// The others go on: a poll that fails would come to the same event
				// again and again.
				b.Events = slices.DeleteFunc(b.Events, func(e sdk.Event) bool { return v.refused(eventOf(t.Name), e.Data) != nil })
				return b, err
			}
		}
		if call := t.Webhook; call != nil {
			t.Webhook = func(ctx context.Context, h sdk.Host, w sdk.WebhookCall) (sdk.RawWebhook, error) {
				r, err := call(ctx, host(h, func() []byte { return w.Config }), w)
				for i := range r.Events {
					if misfit := v.refused(eventOf(t.Name), r.Events[i].Data); misfit != nil {
						return sdk.RawWebhook{}, misfit
					}
				}
				return r, err
			}
		}
		if call := t.Stream; call != nil {
			t.Stream = func(ctx context.Context, h sdk.Host, s sdk.StreamCall, emit sdk.EmitFunc) error {
				checked := func(ctx context.Context, at sdk.Cursor, events ...sdk.Event) error {
					for i := range events {
						if misfit := v.refused(eventOf(t.Name), events[i].Data); misfit != nil {
							return misfit
						}
					}
					err := emit(ctx, at, events...)
					if err == nil {
						v.account.settle(time.Now(), nil) // it works
					}
					return err
				}
				return call(ctx, host(h, func() []byte { return s.Config }), s, checked)
			}
		}
	}
	for i := range out.Actions {
		a := &out.Actions[i]
		call := a.Do
		a.Do = func(ctx context.Context, h sdk.Host, in sdk.ActionCall) (sdk.Result, error) {
			r, err := call(ctx, host(h, func() []byte { return in.Input.JSON() }), in)
			if err == nil {
				// What was done is done; the result is kept as the failure's data.
				err = v.refused(resultOf(a.Name), orNull(r.Output))
			}
			return r, err
		}
	}
	guard(&out, host)
	return out
}

// orNull gives the JSON of a result that may be left out.
func orNull(output json.RawMessage) json.RawMessage {
	if len(output) == 0 {
		return json.RawMessage("null")
	}
	return output
}

// guard has the connector's check and options use the host that host makes.
func guard(out *sdk.Connector, host func(h sdk.Host, config func() []byte) sdk.Host) {
	if out.Check != nil {
		call := out.Check.Do
		out.Check.Do = func(ctx context.Context, h sdk.Host, config json.RawMessage) error {
			return call(ctx, host(h, func() []byte { return config }), config)
		}
	}
	for i := range out.Options {
		o := &out.Options[i]
		call := o.List
		o.List = func(ctx context.Context, h sdk.Host, c sdk.ChooseCall) ([]sdk.Option, error) {
			return call(ctx, host(h, func() []byte { return c.Config }), c)
		}
	}
}

// A Hider is a host that hides what nobody may read, the secrets that it has
// given, in a text or another value that is kept.
type Hider interface{ Hide(v any) any }

// tapped keeps what the plugin logs beside what it prints.
type tapped struct {
	sdk.Host
	journal *journal
	hider   Hider // nil: the host hides nothing
}

func (t *tapped) Log(ctx context.Context, level sdk.Level, msg string, args ...any) {
	shown, hidden := msg, args
	if t.hider != nil {
		shown, hidden = fmt.Sprint(t.hider.Hide(msg)), make([]any, len(args))
		for i, a := range args {
			hidden[i] = t.hider.Hide(a)
		}
	}
	t.journal.add(level, shown, hidden)
	t.Host.Log(ctx, level, msg, args...)
}
