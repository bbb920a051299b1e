package engine_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tappet-dev/tappet/engine"
	"github.com/tappet-dev/tappet/engine/graph"
	"github.com/tappet-dev/tappet/sdk"
)

const sifted = `name: sifted
trigger:
  use: test.hook
  filter: trigger.body.kind == "order" && trigger.body.n > 1
dedupe: {key: trigger.body.id}
steps:
  - {id: a, set: "${{ trigger.body }}"}
`

func TestTheFilterSaysWhichEventsStartARun(t *testing.T) {
	t.Parallel()
	b := newBench(t, t.TempDir())
	b.on(sifted)
	for _, tt := range []struct {
		body string
		runs bool
		kind engine.Kind
	}{
		{`{"kind":"order","n":2}`, true, ""},
		{`{"kind":"order","n":1}`, false, ""},
		{`{"kind":"refund","n":2}`, false, ""},
		{`{}`, false, ""},
		// It fails closed.
		{`{"kind":"order","n":"two"}`, false, engine.Invalid},
		{`{"kind":"order","n":[]}`, false, engine.Invalid},
		{`{"kind":"order","n":2,"id":[1]}`, false, engine.Invalid},
		{`{"kind":"order","n":2,"id":{}}`, false, engine.Invalid},
	} {
		res, err := b.post("sifted", "", tt.body)
		if tt.kind != "" {
			if !errors.Is(err, &engine.Error{Kind: tt.kind}) || strings.Contains(err.Error(), "order") {
				t.Errorf("%s: %v, want %s, and nothing of the filter's text", tt.body, err, tt.kind)
			}
			continue
		}
		if err != nil || res.Run.IsZero() == tt.runs || res.Filtered == tt.runs {
			t.Errorf("%s: %+v, %v; want a run %t", tt.body, res, err, tt.runs)
		}
	}
	page, err := b.Runs(t.Context(), "sifted", engine.RunQuery{})
	if err != nil || len(page.Runs) != 1 {
		t.Errorf("%d runs, %v; want 1", len(page.Runs), err)
	}
}

func TestAKeyTellsEventsApart(t *testing.T) {
	t.Parallel()
	b := newBench(t, t.TempDir())
	b.on(sifted)
	post := func(query, id string) engine.HookResult {
		t.Helper()
		return b.mustPost("sifted", query, `{"kind":"order","n":2,"id":`+id+`}`)
	}
	long := `"` + strings.Repeat("x", 300)
	for _, tt := range []struct {
		name, id, again string
		duplicate       bool
	}{
		{"the same text", `"a"`, `"a"`, true},
		{"another", `"b"`, `"c"`, false},
		{"a number and its text", `7`, `"7"`, true},
		{"a boolean", `true`, `true`, true},
		{"long ones", long + `"`, long + `"`, true},
		{"long ones that differ at the end", long + `1"`, long + `2"`, false},
		{"null: each is new", `null`, `null`, false},
		{"empty: each is new", `""`, `""`, false},
	} {
		first, second := post("", tt.id), post("", tt.again)
		if first.Duplicate || second.Duplicate != tt.duplicate || tt.duplicate != (first.Run == second.Run) {
			t.Errorf("%s: %+v, %+v", tt.name, first, second)
		}
	}
	// Where the graph's key is null, the trigger's counts.
	if first, second := post("key=t", "null"), post("key=t", "null"); first.Duplicate || !second.Duplicate {
		t.Errorf("the trigger's key: %+v, %+v", first, second)
	}
	// A run that is started by hand has passed no gate.
	acc, err := b.StartRun(t.Context(), "sifted", json.RawMessage(`{"body":{"id":"a"}}`), "")
	if err != nil || acc.Duplicate {
		t.Errorf("by hand: %+v, %v", acc, err)
	}
}

// A noted runner notes what it is asked for.
type notedRunner struct {
	engine.Runner
	asked chan engine.Acceptance
}

func (r *notedRunner) Accept(_ context.Context, as []engine.Acceptance) ([]engine.Accepted, error) {
	out := make([]engine.Accepted, len(as))
	for i, a := range as {
		r.asked <- a
		out[i].Run = a.Run
	}
	return out, nil
}

func TestHowLongAKeyIsKnown(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, with string
		key        string
		window     time.Duration
	}{
		{"the trigger's", "", "test.hook/1", graph.DefaultWindow},
		{"with a window", "dedupe: {window: 90m}\n", "test.hook/1", 90 * time.Minute},
		{"with a key", "dedupe: {key: trigger.body}\n", "dedupe/x", graph.DefaultWindow},
		{"with both", "dedupe: {key: trigger.body, window: 720h}\n", "dedupe/x", 720 * time.Hour},
	} {
		r := &notedRunner{asked: make(chan engine.Acceptance, 1)}
		b := newBenchWith(t, t.TempDir(), func(o *engine.Options) { r.Runner, o.Runner = o.Runner, r })
		b.on("name: g\ntrigger: {use: test.hook}\n" + tt.with + "steps:\n  - {id: a, set: 1}\n")
		b.mustPost("g", "key=1", `"x"`)
		a := <-r.asked
		if a.Key != tt.key || a.KeyUntil.Sub(a.At) != tt.window {
			t.Errorf("%s: key %q for %s, want %q for %s", tt.name, a.Key, a.KeyUntil.Sub(a.At), tt.key, tt.window)
		}
	}
}

func TestAPollGoesOnBehindWhatTheFilterStops(t *testing.T) {
	t.Parallel()
	b := newBench(t, t.TempDir())
	ran := make(chan string, 16)
	b.does(func(_ context.Context, c sdk.ActionCall) (sdk.Result, error) {
		ran <- string(c.Input.Get("n"))
		return sdk.Result{}, nil
	})
	asked := make(chan sdk.Cursor, 64)
	b.polls(func(c sdk.PollCall) (sdk.RawBatch, error) {
		select {
		case asked <- c.Cursor:
		default:
		}
		if c.Cursor != "" {
			return sdk.RawBatch{Cursor: c.Cursor}, nil
		}
		// More than one batch is stopped, one event can't be judged, and one passes.
		events := slices.Repeat([]sdk.Event{{Data: json.RawMessage(`{"n":0}`)}}, 600)
		events = append(events, sdk.Event{Data: json.RawMessage(`{"n":"x"}`)}, sdk.Event{Data: json.RawMessage(`{"n":5}`)})
		return sdk.RawBatch{Cursor: "end", Events: append(events, slices.Repeat(events[:1], 600)...)}, nil
	})
	b.on("name: g\ntrigger: {use: test.poll, filter: trigger.n > 1}\nsteps:\n  - {id: a, use: test.act, with: {n: \"${{ trigger.n }}\"}}\n")
	if n := <-ran; n != "5" {
		t.Errorf("ran %s, want 5", n)
	}
	if first, second := <-asked, <-asked; first != "" || second != "end" {
		t.Errorf("cursors %q, %q; want none, end", first, second)
	}
}
