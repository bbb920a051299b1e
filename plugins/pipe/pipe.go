// Package pipe is the host's end of a plugin's conversation, whichever pipe
// carries it: it turns a plugin's spec into an sdk.Connector whose functions
// speak frames, and answers the frames with which a call asks its host.
//
// It moves no bytes: a [Caller] does (plugins/wasm, plugins/native). Its one
// rule: what comes from a plugin is checked here, before the engine sees it.
package pipe

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tappet-dev/tappet/sdk"
	"github.com/tappet-dev/tappet/sdk/wire"
)

// A Server answers what a plugin asks during one call. It is safe for
// concurrent use.
type Server interface {
	// Serve answers one frame with a reply; ctx is that of the call.
	Serve(ctx context.Context, f *wire.Frame) wire.Frame
}

// A Caller carries calls to a plugin. It is safe for concurrent use.
type Caller interface {
	// Call carries f and gives the frame that ended the call. When ctx ends the
	// plugin is told, and after a grace cut off. An error is the pipe's and an
	// *sdk.Error of kind timeout, cancelled, broken, unavailable or too_large;
	// a failure that the plugin tells of is in the frame.
	Call(ctx context.Context, f *wire.Frame, s Server) (wire.Frame, error)
}

// Limits bound what a plugin may take and give. A zero field means its
// default.
type Limits struct {
	// Call is how long a poll, a webhook or an action may take when its context
	// has no deadline of its own: 5 min. A stream runs until its context ends.
	Call time.Duration
	// Key is the most bytes of an event's key, and of a key of the state: 1024.
	Key int
	// Cursor is the most bytes of a cursor: 64 KiB.
	Cursor int
	// Exchanges is the most HTTP exchanges that a call may have open: 64.
	Exchanges int
}

func (l Limits) orDefaults() Limits {
	if l.Call <= 0 {
		l.Call = 5 * time.Minute
	}
	if l.Key <= 0 {
		l.Key = 1 << 10
	}
	if l.Cursor <= 0 {
		l.Cursor = 64 << 10
	}
	if l.Exchanges <= 0 {
		l.Exchanges = 64
	}
	return l
}

// Describe asks the plugin for its spec: JSON, not yet validated.
func Describe(ctx context.Context, c Caller) ([]byte, error) {
	r, err := c.Call(ctx, &wire.Frame{Op: wire.OpDescribe}, deaf{})
	if err != nil {
		return nil, err
	}
	if err := problem(&r); err != nil {
		return nil, err
	}
	return r.Body, nil
}

// deaf is the host of a call that may ask nothing.
type deaf struct{}

func (deaf) Serve(context.Context, *wire.Frame) wire.Frame {
	return refusal(sdk.Errorf(sdk.Unsupported, "a description asks its host nothing"))
}

// Connector gives spec with functions that call through c.
func Connector(spec sdk.Connector, c Caller, l Limits) sdk.Connector {
	b := &bound{caller: c, limits: l.orDefaults()}
	triggers := make([]sdk.Trigger, len(spec.Triggers))
	for i, t := range spec.Triggers {
		t.Poll, t.Webhook, t.Stream = nil, nil, nil
		switch t.Kind {
		case sdk.KindPoll:
			t.Poll = b.poll
		case sdk.KindWebhook:
			t.Webhook = b.webhook
		case sdk.KindStream:
			t.Stream = b.stream
		case sdk.KindManual:
		}
		triggers[i] = t
	}
	actions := make([]sdk.Action, len(spec.Actions))
	for i, a := range spec.Actions {
		a.Do = b.do
		actions[i] = a
	}
	spec.Triggers, spec.Actions = triggers, actions
	if spec.Check != nil {
		spec.Check = &sdk.Checker{Config: spec.Check.Config, Do: b.check}
	}
	choosers := make([]sdk.Chooser, len(spec.Options))
	for i, o := range spec.Options {
		o.List = b.options
		choosers[i] = o
	}
	spec.Options = choosers
	return spec
}

// bound is a caller with its limits.
type bound struct {
	caller Caller
	limits Limits
}

func (b *bound) poll(ctx context.Context, h sdk.Host, c sdk.PollCall) (sdk.RawBatch, error) {
	f := wire.Frame{Part: wire.PartPoll, Name: c.Trigger, Config: c.Config, Cursor: string(c.Cursor)}
	r, err := b.call(ctx, h, &f, nil)
	if err != nil {
		return sdk.RawBatch{}, err
	}
	ev, err := b.events(&r)
	if err != nil {
		return sdk.RawBatch{}, err
	}
	out := sdk.RawBatch{Events: ev, Cursor: sdk.Cursor(r.Cursor)}
	if r.Time != 0 {
		out.Next = time.Unix(0, r.Time).UTC()
	}
	return out, nil
}

func (b *bound) webhook(ctx context.Context, h sdk.Host, c sdk.WebhookCall) (sdk.RawWebhook, error) {
	q := &c.Request
	f := wire.Frame{
		Part: wire.PartWebhook, Name: c.Trigger, Config: c.Config,
		Method: q.Method, URL: q.Path, Query: q.Query, Headers: pairs(q.Header), Body: q.Body,
	}
	r, err := b.call(ctx, h, &f, nil)
	if err != nil {
		return sdk.RawWebhook{}, err
	}
	ev, err := b.events(&r)
	if err != nil {
		return sdk.RawWebhook{}, err
	}
	out := sdk.RawWebhook{Events: ev, Wait: r.Wait}
	if a := r.Answer; a != nil {
		out.Answer = &sdk.Answer{Status: int(a.Status), Header: header(a.Headers), Body: a.Body}
	}
	return out, nil
}

func (b *bound) stream(ctx context.Context, h sdk.Host, c sdk.StreamCall, emit sdk.EmitFunc) error {
	f := wire.Frame{Part: wire.PartStream, Name: c.Trigger, Config: c.Config, Cursor: string(c.Cursor)}
	_, err := b.call(ctx, h, &f, emit)
	return err
}

func (b *bound) do(ctx context.Context, h sdk.Host, c sdk.ActionCall) (sdk.Result, error) {
	f := wire.Frame{Part: wire.PartAction, Name: c.Action, Fields: fields(c.Input), Key: c.IdempotencyKey}
	r, err := b.call(ctx, h, &f, nil)
	if len(r.Body) > 0 && !validJSON(r.Body) {
		if err == nil {
			err = sdk.Errorf(sdk.Failed, "the plugin's result is not valid JSON")
		}
		r.Body = nil
	}
	return sdk.Result{Output: r.Body}, err
}

func (b *bound) check(ctx context.Context, h sdk.Host, config json.RawMessage) error {
	_, err := b.call(ctx, h, &wire.Frame{Part: wire.PartCheck, Config: config}, nil)
	return err
}

func (b *bound) options(ctx context.Context, h sdk.Host, c sdk.ChooseCall) ([]sdk.Option, error) {
	r, err := b.call(ctx, h, &wire.Frame{Part: wire.PartOptions, Name: c.Options, Config: c.Config}, nil)
	if err != nil {
		return nil, err
	}
	var out []sdk.Option
	if !utf8.Valid(r.Body) || json.Unmarshal(r.Body, &out) != nil {
		return nil, sdk.Errorf(sdk.Failed, "the plugin's options are not a JSON list of values and titles")
	}
	return out, nil
}

// call carries one call and reads the plugin's own failure off the frame.
func (b *bound) call(ctx context.Context, h sdk.Host, f *wire.Frame, emit sdk.EmitFunc) (wire.Frame, error) {
	f.Op = wire.OpCall
	// Whatever the call began at its host ends with it.
	ctx, end := context.WithCancel(ctx)
	defer end()
	if f.Part != wire.PartStream {
		var cancel context.CancelFunc
		at, ok := ctx.Deadline()
		if !ok {
			ctx, cancel = context.WithTimeout(ctx, b.limits.Call)
			defer cancel()
			at, _ = ctx.Deadline()
		}
		f.Millis = millis(time.Until(at))
	} else if at, ok := ctx.Deadline(); ok {
		f.Millis = millis(time.Until(at))
	}
	s := newSession(h, b, emit)
	defer s.close()
	r, err := b.caller.Call(ctx, f, s)
	if err != nil {
		return wire.Frame{}, err
	}
	if r.Op != wire.OpReturn {
		return wire.Frame{}, sdk.Errorf(sdk.Broken, "the plugin ended its call with op %d instead of a return", r.Op)
	}
	err = problem(&r)
	if sdk.KindOf(err) == sdk.Cancelled && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		// The plugin only knows that the call was taken back.
		err = &sdk.Error{Kind: sdk.Timeout, Err: fmt.Errorf("the call's time had passed: %w", err)}
	}
	return r, err
}

// events checks and takes the events of f. Their bytes are f's.
func (b *bound) events(f *wire.Frame) ([]sdk.Event, error) {
	if len(f.Cursor) > b.limits.Cursor {
		return nil, sdk.Errorf(sdk.TooLarge, "the plugin's cursor has %d bytes, %d are allowed", len(f.Cursor), b.limits.Cursor)
	}
	if !utf8.ValidString(f.Cursor) {
		return nil, sdk.Errorf(sdk.Failed, "the plugin's cursor is not valid UTF-8")
	}
	if len(f.Events) == 0 {
		return nil, nil
	}
	out := make([]sdk.Event, len(f.Events))
	for i := range f.Events {
		e := &f.Events[i]
		switch {
		case len(e.Key) > b.limits.Key:
			return nil, sdk.Errorf(sdk.TooLarge, "the key of the plugin's event %d has %d bytes, %d are allowed", i, len(e.Key), b.limits.Key)
		case !utf8.ValidString(e.Key):
			return nil, sdk.Errorf(sdk.Failed, "the key of the plugin's event %d is not valid UTF-8", i)
		case !validJSON(e.Data):
			return nil, sdk.Errorf(sdk.Failed, "the data of the plugin's event %d is not valid JSON", i)
		}
		out[i] = sdk.Event{Key: e.Key, Data: e.Data}
	}
	return out, nil
}

func validJSON(b []byte) bool { return utf8.Valid(b) && json.Valid(b) }

// millis rounds up, so that a limit never becomes none.
func millis(d time.Duration) uint64 {
	return uint64(max(1, (d+time.Millisecond-1)/time.Millisecond))
}

// problem reads a plugin's failure off f. A kind that only the host may use, or
// that nobody knows, is Failed.
func problem(f *wire.Frame) error {
	if f.Kind == "" {
		return nil
	}
	kind := sdk.Failed
	for _, k := range sdk.Kinds() {
		if string(k) == f.Kind && k != sdk.Broken {
			kind = k
		}
	}
	text := strings.ToValidUTF8(f.Text, "\uFFFD")
	if text == "" {
		text = "the plugin gives no reason"
	}
	return &sdk.Error{Kind: kind, RetryAfter: wait(f.Millis), Err: errors.New(text)}
}

// wait reads a time to wait; more than a day is a day.
func wait(millis uint64) time.Duration {
	const day = 24 * time.Hour
	if millis > uint64(day/time.Millisecond) {
		return day
	}
	return time.Duration(millis) * time.Millisecond
}

// refusal is a reply that tells of err.
func refusal(err error) wire.Frame {
	f := wire.Frame{Op: wire.OpReply, Kind: string(sdk.KindOf(err)), Text: strings.ToValidUTF8(err.Error(), "\uFFFD")}
	var e *sdk.Error
	if errors.As(err, &e) && e.RetryAfter > 0 {
		f.Millis = millis(e.RetryAfter)
	}
	return f
}

func pairs(in sdk.Header) []wire.Pair {
	out := make([]wire.Pair, len(in))
	for i := range in {
		out[i] = wire.Pair(in[i])
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

func fields(in sdk.Fields) []wire.Field {
	out := make([]wire.Field, len(in))
	for i := range in {
		out[i] = wire.Field{Name: in[i].Name, Value: in[i].Value}
	}
	return out
}
