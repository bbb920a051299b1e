package pipe_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tappet-dev/tappet/plugins/pipe"
	"github.com/tappet-dev/tappet/sdk"
	"github.com/tappet-dev/tappet/sdk/sdktest"
	"github.com/tappet-dev/tappet/sdk/wire"
)

// A plugin is a caller whose other end is a function.
type plugin func(ctx context.Context, f *wire.Frame, s pipe.Server) (wire.Frame, error)

func (p plugin) Call(ctx context.Context, f *wire.Frame, s pipe.Server) (wire.Frame, error) {
	return p(ctx, f, s)
}

func connector(p plugin, l pipe.Limits) sdk.Connector {
	return pipe.Connector(sdk.Connector{
		Name:     "c",
		Triggers: []sdk.Trigger{{Name: "p", Kind: sdk.KindPoll}, {Name: "s", Kind: sdk.KindStream}},
		Actions:  []sdk.Action{{Name: "a"}},
	}, p, l)
}

func returning(f wire.Frame) plugin {
	return func(context.Context, *wire.Frame, pipe.Server) (wire.Frame, error) { return f, nil }
}

func TestWhatAPluginReturnsIsChecked(t *testing.T) {
	t.Parallel()
	event := func(key, data string) wire.Frame {
		return wire.Frame{Op: wire.OpReturn, Events: []wire.Event{{Key: key, Data: []byte(data)}}}
	}
	for name, tt := range map[string]struct {
		frame wire.Frame
		kind  sdk.Kind
		text  string
	}{
		"no JSON":          {event("k", "{"), sdk.Failed, "event 0 is not valid JSON"},
		"two documents":    {event("k", "{}{}"), sdk.Failed, "event 0 is not valid JSON"},
		"no UTF-8":         {event("k", "\"\xff\""), sdk.Failed, "event 0 is not valid JSON"},
		"no UTF-8 in key":  {event("\xff", "{}"), sdk.Failed, "key of the plugin's event 0"},
		"a long key":       {event(strings.Repeat("k", 1025), "{}"), sdk.TooLarge, "1024 are allowed"},
		"a long cursor":    {wire.Frame{Op: wire.OpReturn, Cursor: strings.Repeat("c", 64<<10+1)}, sdk.TooLarge, "65536 are allowed"},
		"no UTF-8 there":   {wire.Frame{Op: wire.OpReturn, Cursor: "\xff"}, sdk.Failed, "cursor is not valid UTF-8"},
		"another op":       {wire.Frame{Op: wire.OpReady}, sdk.Broken, "op 64 instead of a return"},
		"an unknown kind":  {wire.Frame{Op: wire.OpReturn, Kind: "odd", Text: "x"}, sdk.Failed, "x"},
		"the host's kind":  {wire.Frame{Op: wire.OpReturn, Kind: "broken", Text: "x"}, sdk.Failed, "x"},
		"no reason":        {wire.Frame{Op: wire.OpReturn, Kind: "denied"}, sdk.Denied, "gives no reason"},
		"an endless pause": {wire.Frame{Op: wire.OpReturn, Kind: "rate_limited", Text: "x", Millis: 1 << 63}, sdk.RateLimited, "x"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := connector(returning(tt.frame), pipe.Limits{})
			_, err := c.Triggers[0].Poll(t.Context(), nil, sdk.PollCall{Trigger: "p"})
			if sdk.KindOf(err) != tt.kind || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("%v; kind %s with %q is wanted", err, tt.kind, tt.text)
			}
			var e *sdk.Error
			if errors.As(err, &e) && (e.RetryAfter < 0 || e.RetryAfter > 24*time.Hour) {
				t.Errorf("retry after %s", e.RetryAfter)
			}
		})
	}
	r, err := connector(returning(wire.Frame{Op: wire.OpReturn, Body: []byte("{")}), pipe.Limits{}).Actions[0].Do(t.Context(), nil, sdk.ActionCall{Action: "a"})
	if sdk.KindOf(err) != sdk.Failed || r.Output != nil {
		t.Errorf("a result that is no JSON: %s, %v", r.Output, err)
	}
}

func TestACallHasADeadline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		waits := plugin(func(ctx context.Context, f *wire.Frame, _ pipe.Server) (wire.Frame, error) {
			<-ctx.Done()
			return wire.Frame{Op: wire.OpReturn, Kind: "cancelled", Text: "taken back", Millis: f.Millis}, nil
		})
		began := time.Now()
		_, err := connector(waits, pipe.Limits{}).Triggers[0].Poll(t.Context(), nil, sdk.PollCall{})
		if sdk.KindOf(err) != sdk.Timeout || time.Since(began) != 5*time.Minute {
			t.Errorf("after %s: %v", time.Since(began), err)
		}
		began = time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err = connector(waits, pipe.Limits{}).Triggers[0].Poll(ctx, nil, sdk.PollCall{})
		if sdk.KindOf(err) != sdk.Timeout || time.Since(began) != time.Minute {
			t.Errorf("with a deadline of its own, after %s: %v", time.Since(began), err)
		}
	})
}

func TestStateCheckAndOptionsCrossThePipe(t *testing.T) {
	t.Parallel()
	ask := func(ctx context.Context, s pipe.Server, f wire.Frame) error {
		if r := s.Serve(ctx, &f); r.Kind != "" {
			return &sdk.Error{Kind: sdk.Kind(r.Kind), Err: errors.New(r.Text)}
		}
		return nil
	}
	keeps := plugin(func(ctx context.Context, f *wire.Frame, s pipe.Server) (wire.Frame, error) {
		switch f.Part {
		case wire.PartCheck:
			return wire.Frame{Op: wire.OpReturn, Kind: "unauthorized", Text: "for " + string(f.Config)}, nil
		case wire.PartOptions:
			return wire.Frame{Op: wire.OpReturn, Body: []byte(`[{"value":1,"title":"` + f.Name + `"}]`)}, nil
		case wire.PartPoll, wire.PartWebhook, wire.PartStream, wire.PartAction:
		}
		for _, x := range []struct {
			op   wire.Op
			key  string
			n    int
			kind sdk.Kind
		}{
			{wire.OpSetState, "k", 5, ""},
			{wire.OpSetState, "k", sdk.MaxState, sdk.TooLarge},
			{wire.OpSetState, "", 5, sdk.Invalid},
			{wire.OpState, "\xff", 0, sdk.Invalid},
			{wire.OpState, strings.Repeat("k", 1025), 0, sdk.TooLarge},
			{wire.OpSetState, "l", 5, ""},
			{wire.OpSetState, "l", 0, ""},
		} {
			if err := ask(ctx, s, wire.Frame{Op: x.op, Name: x.key, Body: bytes.Repeat([]byte("v"), x.n)}); err != nil && sdk.KindOf(err) != x.kind || err == nil && x.kind != "" {
				t.Errorf("op %d, key %.10q, %d bytes: %v; kind %q is wanted", x.op, x.key, x.n, err, x.kind)
			}
		}
		return wire.Frame{Op: wire.OpReturn, Cursor: string(s.Serve(ctx, &wire.Frame{Op: wire.OpState, Name: "k"}).Body)}, nil
	})
	c := pipe.Connector(sdk.Connector{
		Name: "c", Triggers: []sdk.Trigger{{Name: "p", Kind: sdk.KindPoll}}, Check: &sdk.Checker{}, Options: []sdk.Chooser{{Name: "o"}},
	}, keeps, pipe.Limits{})
	h := sdktest.NewHost(t, sdktest.HostOptions{})
	b, err := c.Triggers[0].Poll(t.Context(), h, sdk.PollCall{Trigger: "p"})
	if v, _ := h.State(t.Context(), "l"); err != nil || b.Cursor != "vvvvv" || v != nil {
		t.Errorf("kept %q and %q, %v", b.Cursor, v, err)
	}
	if err := c.Check.Do(t.Context(), h, json.RawMessage(`{}`)); sdk.KindOf(err) != sdk.Unauthorized || err.Error() != "for {}" {
		t.Errorf("check: %v", err)
	}
	o, err := c.Options[0].List(t.Context(), h, sdk.ChooseCall{Options: "o"})
	if err != nil || len(o) != 1 || o[0].Title != "o" || string(o[0].Value) != "1" {
		t.Errorf("options: %+v, %v", o, err)
	}
	bad := pipe.Connector(sdk.Connector{Options: []sdk.Chooser{{Name: "o"}}}, returning(wire.Frame{Op: wire.OpReturn, Body: []byte("{")}), pipe.Limits{})
	if _, err := bad.Options[0].List(t.Context(), h, sdk.ChooseCall{}); sdk.KindOf(err) != sdk.Failed {
		t.Errorf("options that are no list: %v", err)
	}
}

// closing tells when a body is closed.
type closing struct {
	io.Reader
	once   sync.Once
	closed chan struct{}
}

func (c *closing) Close() error {
	c.once.Do(func() { close(c.closed) })
	return nil
}

// endless is a host whose responses have no declared end.
type endless struct {
	sdk.Host
	bodies []*closing
}

func (e *endless) HTTP(context.Context, *sdk.Request) (*sdk.Response, error) {
	b := &closing{Reader: bytes.NewReader(make([]byte, 3*wire.Chunk)), closed: make(chan struct{})}
	e.bodies = append(e.bodies, b)
	return &sdk.Response{Status: 200, Size: -1, Body: b}, nil
}

func TestBodiesThatAPluginLeavesOpenAreClosed(t *testing.T) {
	t.Parallel()
	h := &endless{Host: sdktest.NewHost(t, sdktest.HostOptions{})}
	leaves := plugin(func(ctx context.Context, _ *wire.Frame, s pipe.Server) (wire.Frame, error) {
		a := s.Serve(ctx, &wire.Frame{Op: wire.OpHTTP, URL: "http://x/"})
		b := s.Serve(ctx, &wire.Frame{Op: wire.OpHTTP, URL: "http://x/"})
		if r := s.Serve(ctx, &wire.Frame{Op: wire.OpRead, Stream: a.Stream}); len(r.Body) != wire.Chunk || !r.More {
			t.Errorf("read %d bytes, more %v", len(r.Body), r.More)
		}
		s.Serve(ctx, &wire.Frame{Op: wire.OpDone, Stream: b.Stream})
		<-h.bodies[1].closed
		if r := s.Serve(ctx, &wire.Frame{Op: wire.OpHTTP, URL: "http://x/"}); r.Kind != "" {
			t.Errorf("%s", r.Text)
		}
		if r := s.Serve(ctx, &wire.Frame{Op: wire.OpHTTP, URL: "http://x/"}); r.Kind != string(sdk.TooLarge) {
			t.Errorf("a third open exchange: kind %q", r.Kind)
		}
		return wire.Frame{Op: wire.OpReturn}, nil
	})
	if _, err := connector(leaves, pipe.Limits{Exchanges: 2}).Actions[0].Do(t.Context(), h, sdk.ActionCall{}); err != nil {
		t.Fatal(err)
	}
	for _, b := range h.bodies {
		<-b.closed
	}
}

func TestMisuseIsAnswered(t *testing.T) {
	t.Parallel()
	var kept pipe.Server
	misuses := plugin(func(ctx context.Context, _ *wire.Frame, s pipe.Server) (wire.Frame, error) {
		kept = s
		for _, tt := range []struct {
			frame wire.Frame
			kind  sdk.Kind
		}{
			{wire.Frame{Op: 1000}, sdk.Unsupported},
			{wire.Frame{Op: wire.OpReturn}, sdk.Unsupported},
			{wire.Frame{Op: wire.OpEmit}, sdk.Unsupported},
			{wire.Frame{Op: wire.OpRead, Stream: 7}, sdk.Invalid},
			{wire.Frame{Op: wire.OpChunk, Stream: 7}, sdk.Invalid},
			{wire.Frame{Op: wire.OpSecret, Name: "x"}, sdk.Denied},
			{wire.Frame{Op: wire.OpDone, Stream: 7}, ""},
			{wire.Frame{Op: wire.OpPing}, ""},
			{wire.Frame{Op: wire.OpLog, Name: "shout", Text: "x"}, ""},
		} {
			if r := s.Serve(ctx, &tt.frame); r.Op != wire.OpReply || r.Kind != string(tt.kind) || r.Stop {
				t.Errorf("op %d: %+v; kind %q is wanted", tt.frame.Op, r, tt.kind)
			}
		}
		// A request that is being sent is not read, and given up it ends.
		r := s.Serve(ctx, &wire.Frame{Op: wire.OpHTTP, URL: "http://x/", Body: []byte("a"), More: true})
		if r := s.Serve(ctx, &wire.Frame{Op: wire.OpRead, Stream: r.Stream}); r.Kind != string(sdk.Invalid) {
			t.Errorf("reading while sending: %+v", r)
		}
		return wire.Frame{Op: wire.OpReturn}, nil
	})
	h := sdktest.NewHost(t, sdktest.HostOptions{HTTP: func(*sdk.Request, []byte) sdktest.Reply { return sdktest.Reply{} }})
	if _, err := connector(misuses, pipe.Limits{}).Actions[0].Do(t.Context(), h, sdk.ActionCall{}); err != nil {
		t.Fatal(err)
	}
	if l := h.Logs(); len(l) != 1 || l[0].Level != sdk.Info {
		t.Errorf("logged %v", l)
	}
	if r := kept.Serve(t.Context(), &wire.Frame{Op: wire.OpSecret}); r.Kind != string(sdk.Cancelled) {
		t.Errorf("after the call: %+v", r)
	}
}

func TestAStreamsEventsAreCheckedAndHandedOn(t *testing.T) {
	t.Parallel()
	emits := plugin(func(ctx context.Context, _ *wire.Frame, s pipe.Server) (wire.Frame, error) {
		ev := []wire.Event{{Key: "k", Data: []byte(`{}`)}}
		if r := s.Serve(ctx, &wire.Frame{Op: wire.OpEmit, Cursor: "c", Events: ev}); r.Kind != "unavailable" || r.Millis != 2000 {
			t.Errorf("%+v", r)
		}
		if r := s.Serve(ctx, &wire.Frame{Op: wire.OpEmit, Events: []wire.Event{{Data: []byte("{")}}}); r.Kind != "failed" {
			t.Errorf("%+v", r)
		}
		return wire.Frame{Op: wire.OpReturn}, nil
	})
	var got []string
	err := connector(emits, pipe.Limits{}).Triggers[1].Stream(t.Context(), nil, sdk.StreamCall{}, func(_ context.Context, c sdk.Cursor, ev ...sdk.Event) error {
		got = append(got, string(c)+ev[0].Key+string(ev[0].Data))
		return &sdk.Error{Kind: sdk.Unavailable, RetryAfter: 2 * time.Second}
	})
	if err != nil || len(got) != 1 || got[0] != "ck{}" {
		t.Errorf("%v, %v", got, err)
	}
}

func TestDescribe(t *testing.T) {
	t.Parallel()
	b, err := pipe.Describe(t.Context(), returning(wire.Frame{Op: wire.OpReturn, Body: []byte(`{"name":"c"}`)}))
	if !json.Valid(b) || err != nil {
		t.Errorf("%s, %v", b, err)
	}
	if _, err := pipe.Describe(t.Context(), returning(wire.Frame{Kind: "unsupported", Text: "x"})); sdk.KindOf(err) != sdk.Unsupported {
		t.Error(err)
	}
}
