// Package sdktest is the conformance kit of connectors: the promises that the
// engine builds on, tried on a connector that somebody opens, in process or
// through a pipe.
//
// It is no mock of the engine and knows no pipe: it is given an opener. Its one
// rule: each subtest is named by the promise it holds.
package sdktest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/tappet-dev/tappet/sdk"
)

// Options tell Run what it can't know.
type Options struct {
	// Polls are trials of poll triggers by name; without one, only what can be
	// told from the spec is tried.
	Polls map[string]Poll
	// Webhooks and Streams are trials of the other triggers by name.
	Webhooks map[string]Webhook
	Streams  map[string]StreamTrial
	// Actions are trials of actions by name.
	Actions map[string]Trial
	// Check is a trial of the connector's check, Choices of its options by name.
	Check   *CheckTrial
	Choices map[string]Choice
	// Patience is how long a call that was taken back may go on: 1 s.
	Patience time.Duration
}

// A Poll is a trial of a poll trigger.
type Poll struct {
	// Config is one that works.
	Config json.RawMessage
	// Bad are configs that must be refused with kind invalid, beside those that
	// the kit makes from the schema.
	Bad []json.RawMessage
	// HTTP answers what the trigger asks for Config.
	HTTP    Cassette
	Secrets map[string]string
	// Events is the least number of events that Config gives: 1 if it is 0, and
	// none is asked for if it is negative.
	Events int
}

// A Trial is a trial of an action.
type Trial struct {
	// Input is one that works.
	Input sdk.Fields
	// Bad are inputs that must be refused with kind invalid, beside those that
	// the kit makes from the schema.
	Bad     []sdk.Fields
	HTTP    Cassette
	Secrets map[string]string
}

// Run tries the connector that open gives. open is called for each subtest and
// closes what it opened with tb.Cleanup.
func Run(t *testing.T, open func(tb testing.TB) sdk.Connector, o Options) {
	t.Helper()
	if o.Patience <= 0 {
		o.Patience = time.Second
	}
	t.Run("the description is stable and survives JSON", func(t *testing.T) { describes(t, open) })
	t.Run("every member has its function and its schemas", func(t *testing.T) { complete(t, open(t)) })
	for name, p := range o.Polls {
		t.Run("poll "+name, func(t *testing.T) { polls(t, open, name, p, o.Patience) })
	}
	for name, w := range o.Webhooks {
		t.Run("webhook "+name, func(t *testing.T) { receives(t, open, name, w, o.Patience) })
	}
	for name, s := range o.Streams {
		t.Run("stream "+name, func(t *testing.T) { streams(t, open, name, s, o.Patience) })
	}
	if o.Check != nil {
		t.Run("check", func(t *testing.T) { checks(t, open, *o.Check, o.Patience) })
	}
	for name, c := range o.Choices {
		t.Run("options "+name, func(t *testing.T) { chooses(t, open, name, c, o.Patience) })
	}
	for name, a := range o.Actions {
		t.Run("action "+name, func(t *testing.T) { acts(t, open, name, a, o.Patience) })
	}
}

// InProcess opens a connector that lives in the test's own process: the one
// line of an author is
//
//	sdktest.Run(t, sdktest.InProcess(mine.Connector), sdktest.Options{…})
func InProcess(connector func() sdk.Connector) func(testing.TB) sdk.Connector {
	return func(testing.TB) sdk.Connector { return connector() }
}

func describes(t *testing.T, open func(testing.TB) sdk.Connector) {
	t.Helper()
	first, second := mustJSON(t, open(t)), mustJSON(t, open(t))
	if !bytes.Equal(first, second) {
		t.Errorf("two descriptions differ:\n%s\n%s", first, second)
	}
	var back sdk.Connector
	if err := json.Unmarshal(first, &back); err != nil {
		t.Fatalf("the description is not read back: %v", err)
	}
	if again := mustJSON(t, back); !bytes.Equal(first, again) {
		t.Errorf("the description changes on its way through JSON:\n%s\n%s", first, again)
	}
}

func complete(t *testing.T, c sdk.Connector) {
	t.Helper()
	if c.Name == "" || len(c.Triggers)+len(c.Actions) == 0 {
		t.Errorf("connector %q has %d triggers and %d actions", c.Name, len(c.Triggers), len(c.Actions))
	}
	for i := range c.Triggers {
		tr := &c.Triggers[i]
		has := map[sdk.TriggerKind]bool{
			sdk.KindPoll: tr.Poll != nil, sdk.KindWebhook: tr.Webhook != nil, sdk.KindStream: tr.Stream != nil, sdk.KindManual: true,
		}
		if !has[tr.Kind] {
			t.Errorf("trigger %s of kind %q has no function of its kind", tr.Name, tr.Kind)
		}
		wantSchema(t, "trigger "+tr.Name+": config", tr.Config, true)
		wantSchema(t, "trigger "+tr.Name+": event", tr.Event, false)
	}
	for i := range c.Actions {
		a := &c.Actions[i]
		if a.Do == nil {
			t.Errorf("action %s has no function", a.Name)
		}
		wantSchema(t, "action "+a.Name+": input", a.Input, true)
		wantSchema(t, "action "+a.Name+": output", a.Output, false)
	}
}

func wantSchema(t *testing.T, what string, raw json.RawMessage, object bool) {
	t.Helper()
	if len(raw) == 0 {
		return
	}
	var s struct {
		Type any `json:"type"`
	}
	switch err := json.Unmarshal(raw, &s); {
	case err != nil:
		t.Errorf("%s is not a JSON Schema: %v", what, err)
	case object && s.Type != "object":
		t.Errorf("%s is the schema of %v, an object is wanted", what, s.Type)
	}
}

func polls(t *testing.T, open func(testing.TB) sdk.Connector, name string, p Poll, patience time.Duration) {
	t.Helper()
	tr := mustTrigger(t, open(t), name, sdk.KindPoll)
	host := func(t *testing.T, c Cassette) *Host {
		t.Helper()
		return NewHost(t, HostOptions{HTTP: c, Secrets: p.Secrets})
	}
	ask := func(ctx context.Context, h *Host, config json.RawMessage, at sdk.Cursor) (sdk.RawBatch, error) {
		defer h.Over()
		b, err := tr.Poll(ctx, h, sdk.PollCall{Trigger: name, Config: config, Cursor: at})
		h.inspect(err)
		return b, err
	}
	t.Run("events are keyed JSON that fits the schema", func(t *testing.T) {
		b, err := ask(t.Context(), host(t, p.HTTP), p.Config, "")
		if err != nil {
			t.Fatalf("poll: %v", err)
		}
		if want := max(p.Events, 1); p.Events >= 0 && len(b.Events) < want {
			t.Errorf("%d events, at least %d are wanted", len(b.Events), want)
		}
		wantEvents(t, tr, b.Events)
	})
	t.Run("asked again it gives the same bytes", func(t *testing.T) {
		one, err1 := Collect(t.Context(), *tr, host(t, p.HTTP), p.Config, "")
		two, err2 := Collect(t.Context(), *tr, host(t, p.HTTP), p.Config, "")
		if err1 != nil || err2 != nil {
			t.Fatalf("poll: %v, %v", err1, err2)
		}
		if !bytes.Equal(one, two) {
			t.Errorf("two polls differ:\n%s\n%s", one, two)
		}
	})
	t.Run("the clock is the host's", func(t *testing.T) {
		// Far ahead of any clock of this machine.
		now := time.Date(2100, 2, 28, 23, 59, 30, 0, time.UTC)
		clock := func() *Host {
			return NewHost(t, HostOptions{HTTP: p.HTTP, Secrets: p.Secrets, Now: now})
		}
		one, err1 := Collect(t.Context(), *tr, clock(), p.Config, "")
		two, err2 := Collect(t.Context(), *tr, clock(), p.Config, "")
		b, err := ask(t.Context(), clock(), p.Config, "")
		if err := errors.Join(err1, err2, err); err != nil {
			t.Fatalf("poll at %s: %v", now.Format(time.RFC3339), err)
		}
		if !bytes.Equal(one, two) {
			t.Errorf("two polls at the same time differ:\n%s\n%s", one, two)
		}
		if !b.Next.IsZero() && b.Next.Before(now) {
			t.Errorf("it is to be asked again at %s, and the host's clock says %s: Host.Now is the time",
				b.Next.UTC().Format(time.RFC3339), now.Format(time.RFC3339))
		}
	})
	t.Run("a cursor resumes without new keys", func(t *testing.T) {
		b, err := ask(t.Context(), host(t, p.HTTP), p.Config, "")
		if err != nil {
			t.Fatalf("poll: %v", err)
		}
		keys := map[string]bool{}
		for _, e := range b.Events {
			keys[e.Key] = true
		}
		again, err := ask(t.Context(), host(t, p.HTTP), p.Config, b.Cursor)
		if err != nil {
			t.Fatalf("poll from cursor %q: %v", b.Cursor, err)
		}
		for _, e := range again.Events {
			if !keys[e.Key] {
				t.Errorf("nothing has changed, and key %q is new", e.Key)
			}
		}
	})
	t.Run("a config that does not fit is refused as invalid", func(t *testing.T) {
		for _, bad := range append(badConfigs(tr.Config, p.Config), p.Bad...) {
			_, err := ask(t.Context(), host(t, p.HTTP), bad, "")
			wantInvalid(t, bad, err)
		}
	})
	calls(t, patience, func(ctx context.Context, t *testing.T, c Cassette) (size int, err error) {
		t.Helper()
		b, err := ask(ctx, host(t, c), p.Config, "")
		for _, e := range b.Events {
			size = max(size, len(e.Data))
		}
		return size, err
	}, p.HTTP)
}

// wantEvents checks that events have keys of their own and fit the schema.
func wantEvents(t *testing.T, tr *sdk.Trigger, events []sdk.Event) {
	t.Helper()
	seen := map[string]bool{}
	for i, e := range events {
		if e.Key == "" || seen[e.Key] {
			t.Errorf("event %d: key %q is empty or there twice", i, e.Key)
		}
		seen[e.Key] = true
		if err := Fits(tr.Event, e.Data); err != nil {
			t.Errorf("event %d: %v", i, err)
		}
	}
}

func wantInvalid(t *testing.T, config json.RawMessage, err error) {
	t.Helper()
	if sdk.KindOf(err) != sdk.Invalid {
		t.Errorf("config %s: %v, an error of kind invalid is wanted", config, err)
	}
}

// calls tries what any call promises that sends requests: one that sends none
// keeps these promises anyway. call gives the size of the largest event or
// result.
func calls(t *testing.T, patience time.Duration, call func(context.Context, *testing.T, Cassette) (int, error), good Cassette) {
	t.Helper()
	t.Run("a refused request is an error of kind denied", func(t *testing.T) {
		asked := make(chan struct{}, 1)
		_, err := call(t.Context(), t, func(*sdk.Request, []byte) Reply {
			signal(asked)
			return Reply{Err: sdk.Errorf(sdk.Denied, "refused by the test")}
		})
		if len(asked) > 0 && sdk.KindOf(err) != sdk.Denied {
			t.Errorf("%v, an error of kind denied is wanted", err)
		}
	})
	t.Run("a slow host changes nothing", func(t *testing.T) {
		if good == nil {
			return
		}
		fast, err := call(t.Context(), t, good)
		slow, late := call(t.Context(), t, func(r *sdk.Request, body []byte) Reply {
			a := good(r, body)
			a.Slow = true
			return a
		})
		if fast != slow || (err == nil) != (late == nil) {
			t.Errorf("%d bytes, %v; a fast host: %d bytes, %v", slow, late, fast, err)
		}
	})
	t.Run("a response without an end makes no oversized event", func(t *testing.T) {
		n, err := call(t.Context(), t, func(*sdk.Request, []byte) Reply { return Reply{Endless: true} })
		if err == nil && n > maxEvent {
			t.Errorf("%d bytes, %d are allowed", n, maxEvent)
		}
	})
	t.Run("after an oversized response it goes on as before", func(t *testing.T) {
		if good == nil {
			return
		}
		before, _ := call(t.Context(), t, good)
		if _, big := call(t.Context(), t, func(*sdk.Request, []byte) Reply { return Reply{Endless: true} }); big != nil {
			t.Logf("an oversized response gives %v", big)
		}
		after, again := call(t.Context(), t, good)
		if before != after || again != nil {
			t.Errorf("%d bytes, %v; before the oversized response it gave %d bytes", after, again, before)
		}
	})
	t.Run("a call that is taken back ends", func(t *testing.T) {
		takenBack(t, patience, func(ctx context.Context, c Cassette) error {
			_, err := call(ctx, t, c)
			return err
		})
	})
}

// takenBack cancels a call while its request hangs, and wants it to end.
func takenBack(t *testing.T, patience time.Duration, call func(context.Context, Cassette) error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	asked, done := make(chan struct{}, 1), make(chan error, 1)
	go func() {
		done <- call(ctx, func(*sdk.Request, []byte) Reply {
			signal(asked)
			return Reply{Hang: true}
		})
	}()
	select {
	case <-asked:
	case err := <-done:
		t.Logf("it sends no request, and has ended by itself: %v", err)
		return
	}
	cancel()
	select {
	case err := <-done:
		if err == nil {
			t.Error("the call gave no error")
		}
	case <-time.After(patience):
		t.Errorf("the call goes on %s after it was taken back", patience)
		if err := <-done; err == nil {
			t.Error("the call gave no error")
		}
	}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func acts(t *testing.T, open func(testing.TB) sdk.Connector, name string, a Trial, patience time.Duration) {
	t.Helper()
	c := open(t)
	var act *sdk.Action
	for i := range c.Actions {
		if c.Actions[i].Name == name {
			act = &c.Actions[i]
		}
	}
	if act == nil {
		t.Fatalf("connector %s has no action %q", c.Name, name)
	}
	do := func(ctx context.Context, t *testing.T, cassette Cassette, in sdk.Fields) (sdk.Result, error) {
		t.Helper()
		h := NewHost(t, HostOptions{HTTP: cassette, Secrets: a.Secrets})
		defer h.Over()
		r, err := act.Do(ctx, h, sdk.ActionCall{Action: name, Input: in, IdempotencyKey: "key-1"})
		h.inspect(err)
		return r, err
	}
	t.Run("a result fits the schema", func(t *testing.T) {
		r, err := do(t.Context(), t, a.HTTP, a.Input)
		if err != nil {
			t.Fatalf("do: %v", err)
		}
		out := r.Output
		if out == nil {
			out = json.RawMessage("null")
		}
		if err := Fits(act.Output, out); err != nil {
			t.Error(err)
		}
	})
	t.Run("an input that does not fit is refused as invalid", func(t *testing.T) {
		for _, bad := range badConfigs(act.Input, a.Input.JSON()) {
			if bytes.Contains(bad, []byte(stranger)) {
				continue // the engine knows the names when a graph is published
			}
			_, err := do(t.Context(), t, a.HTTP, fieldsOf(t, bad))
			wantInvalid(t, bad, err)
		}
		for _, bad := range a.Bad {
			_, err := do(t.Context(), t, a.HTTP, bad)
			wantInvalid(t, bad.JSON(), err)
		}
	})
	calls(t, patience, func(ctx context.Context, t *testing.T, c Cassette) (int, error) {
		t.Helper()
		r, err := do(ctx, t, c, a.Input)
		return len(r.Output), err
	}, a.HTTP)
}

// fieldsOf gives the members of an object.
func fieldsOf(tb testing.TB, object json.RawMessage) sdk.Fields {
	tb.Helper()
	var m map[string]json.RawMessage
	if err := json.Unmarshal(object, &m); err != nil {
		tb.Fatalf("read %s: %v", object, err)
	}
	var out sdk.Fields
	for _, name := range slices.Sorted(maps.Keys(m)) {
		out = append(out, sdk.Field{Name: name, Value: m[name]})
	}
	return out
}

// Collect polls once and writes what came as lines of JSON, one for each event
// and one for cursor and next, so that two connectors compare byte by byte.
func Collect(ctx context.Context, t sdk.Trigger, h *Host, config json.RawMessage, at sdk.Cursor) ([]byte, error) {
	defer h.Over()
	b, err := t.Poll(ctx, h, sdk.PollCall{Trigger: t.Name, Config: config, Cursor: at})
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	for _, e := range b.Events {
		key, err := json.Marshal(e.Key)
		if err != nil {
			return nil, fmt.Errorf("write the key: %w", err)
		}
		fmt.Fprintf(&out, "{\"key\":%s,\"data\":%s}\n", key, e.Data)
	}
	next := ""
	if !b.Next.IsZero() {
		next = b.Next.UTC().Format(time.RFC3339Nano)
	}
	fmt.Fprintf(&out, "cursor %q next %q\n", b.Cursor, next)
	return out.Bytes(), nil
}

// stranger is a field that no schema has.
const stranger = "no_such_field_here"

// badConfigs makes configs from a schema that it forbids: a required field left
// out, a field of another type, one that isn't there.
func badConfigs(schema, good json.RawMessage) []json.RawMessage {
	var s struct {
		Properties map[string]struct {
			Type any `json:"type"`
		} `json:"properties"`
		Required []string `json:"required"`
		Extra    any      `json:"additionalProperties"`
	}
	var m map[string]json.RawMessage
	if json.Unmarshal(schema, &s) != nil || json.Unmarshal(good, &m) != nil {
		return nil
	}
	var out []json.RawMessage
	with := func(change func(m map[string]json.RawMessage)) {
		c := map[string]json.RawMessage{}
		for k, v := range m {
			c[k] = v
		}
		change(c)
		if b, err := json.Marshal(c); err == nil && !reflect.DeepEqual(c, m) {
			out = append(out, b)
		}
	}
	for _, r := range s.Required {
		with(func(m map[string]json.RawMessage) { delete(m, r) })
	}
	for name, p := range s.Properties {
		if p.Type == "string" {
			with(func(m map[string]json.RawMessage) { m[name] = json.RawMessage("[7]") })
		}
	}
	if s.Extra == false {
		with(func(m map[string]json.RawMessage) { m[stranger] = json.RawMessage("1") })
	}
	return out
}

func mustJSON(tb testing.TB, v any) []byte {
	tb.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		tb.Fatalf("write JSON: %v", err)
	}
	return b
}

func mustTrigger(tb testing.TB, c sdk.Connector, name string, kind sdk.TriggerKind) *sdk.Trigger {
	tb.Helper()
	for i := range c.Triggers {
		if c.Triggers[i].Name == name && c.Triggers[i].Kind == kind {
			return &c.Triggers[i]
		}
	}
	tb.Fatalf("connector %s has no %s trigger %q", c.Name, kind, name)
	return nil
}
