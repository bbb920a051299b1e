package plugins

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/tappet-dev/tappet/plugins/pipe"
	"github.com/tappet-dev/tappet/sdk"
	"github.com/tappet-dev/tappet/sdk/wire"
)

// A version is one artefact that was loaded and described.
type version struct {
	file      string
	digest    string
	spec      sdk.Connector // as the plugin tells it
	connector sdk.Connector // what Connector gives
	caller    pipe.Caller
	closer    io.Closer
	journal   *journal

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

// retire lets the calls that run come to their ends, streams excepted, which
// are told to end, and then closes the version.
func (v *version) retire(drain time.Duration) error {
	v.mu.Lock()
	v.retired = true
	v.mu.Unlock()
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
		v.mu.Lock()
		v.retired = true
		v.mu.Unlock()
		v.end(errReplaced)
		v.err = v.closer.Close()
	})
	return v.err
}

var _ pipe.Caller = (*route)(nil)

// A route leads the calls of one connector name to the version that is loaded
// at the time.
type route struct {
	catalogue *Catalogue
	name      string
}

// Call finds the version, twice if it is replaced just now.
func (r *route) Call(ctx context.Context, f *wire.Frame, s pipe.Server) (wire.Frame, error) {
	for range 3 {
		r.catalogue.mu.RLock()
		v := r.catalogue.named[r.name]
		r.catalogue.mu.RUnlock()
		if v == nil {
			break
		}
		if v.enter() {
			defer v.leave()
			return v.call(ctx, f, s)
		}
	}
	return wire.Frame{}, sdk.Errorf(sdk.Unavailable, "plugin %q is not there or failed to load; see its health", r.name)
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

// connect makes what Connector gives: the spec, functions that lead to the
// version of the time, and a host that keeps to what the plugin declares.
func (c *Catalogue) connect(v *version) sdk.Connector {
	out := pipe.Connector(v.spec, &route{c, v.spec.Name}, c.limits.Pipe)
	host := func(h sdk.Host, config func() []byte) sdk.Host {
		return &tapped{Host: grant(h, v.spec.Needs, config), journal: v.journal}
	}
	for i := range out.Triggers {
		t := &out.Triggers[i]
		if call := t.Poll; call != nil {
			t.Poll = func(ctx context.Context, h sdk.Host, p sdk.PollCall) (sdk.RawBatch, error) {
				return call(ctx, host(h, func() []byte { return p.Config }), p)
			}
		}
		if call := t.Webhook; call != nil {
			t.Webhook = func(ctx context.Context, h sdk.Host, w sdk.WebhookCall) (sdk.RawWebhook, error) {
				return call(ctx, host(h, func() []byte { return w.Config }), w)
			}
		}
		if call := t.Stream; call != nil {
			t.Stream = func(ctx context.Context, h sdk.Host, s sdk.StreamCall, emit sdk.EmitFunc) error {
				return call(ctx, host(h, func() []byte { return s.Config }), s, emit)
			}
		}
	}
	for i := range out.Actions {
		a := &out.Actions[i]
		call := a.Do
		a.Do = func(ctx context.Context, h sdk.Host, in sdk.ActionCall) (sdk.Result, error) {
			return call(ctx, host(h, func() []byte { return in.Input.JSON() }), in)
		}
	}
	return out
}

// tapped keeps what the plugin logs beside what it prints.
type tapped struct {
	sdk.Host
	journal *journal
}

func (t *tapped) Log(ctx context.Context, level sdk.Level, msg string, args ...any) {
	t.journal.add(level, msg, args)
	t.Host.Log(ctx, level, msg, args...)
}
