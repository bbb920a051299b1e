package engine_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tappet-dev/tappet/engine"
	"github.com/tappet-dev/tappet/engine/graph"
	"github.com/tappet-dev/tappet/sdk"
)

// A frozen clock stands still.
type frozen time.Time

func (f frozen) Now() time.Time { return time.Time(f) }

// newInbox is a bench with an inbox.
func newInbox(t testing.TB) *bench {
	t.Helper()
	return newBenchWith(t, t.TempDir(), func(o *engine.Options) { o.Inbox = o.Keys.(engine.Inbox) })
}

// arrivals are those of a graph, oldest first.
func (b *bench) arrivals(name string) []engine.Arrival {
	b.t.Helper()
	page, err := b.Arrivals(b.t.Context(), name, engine.ArrivalQuery{Limit: 200})
	if err != nil {
		b.t.Fatal(err)
	}
	slices.Reverse(page.Arrivals)
	return page.Arrivals
}

func TestTheInboxTellsWhatBecameOfEachRequest(t *testing.T) {
	t.Parallel()
	b := newInbox(t)
	b.on(sifted)
	var want []string
	for _, tt := range []struct{ query, body, became string }{
		{"", `{"kind":"order","n":2,"id":"a"}`, "run "},
		{"", `{"kind":"order","n":3,"id":"a"}`, "duplicate "},
		{"", `{"kind":"refund"}`, "filtered filter"},
		{"", `{"kind":"order","n":"x"}`, "failed filter"},
		{"refuse", `{}`, "refused invalid"},
		{"panic", `{}`, "failed unavailable"},
		{"garbage", `{}`, "failed unavailable"},
	} {
		_, _ = b.Hook(t.Context(), "sifted", sdk.WebhookRequest{
			Method: "POST", Path: "sifted", Query: tt.query, Body: []byte(tt.body), Remote: "192.0.2.1:1",
			Header: sdk.Header{{Name: "X-Api-Key", Value: "k3y"}, {Name: "Accept", Value: "*/*"}},
		})
		want = append(want, tt.became)
	}
	b.HookRefused(t.Context(), "sifted", sdk.WebhookRequest{Method: "POST", Path: "sifted"}, "the body is too long")
	want = append(want, "refused refused")
	b.HookRefused(t.Context(), "nowhere", sdk.WebhookRequest{Method: "POST", Path: "nowhere"}, "the body is too long")
	all := b.arrivals("sifted")
	got := make([]string, len(all))
	for i, a := range all {
		got[i] = a.Outcome.String() + " " + a.Reason
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Fatal(d)
	}
	if all[0].Run.IsZero() || all[0].Run != all[1].Run {
		t.Errorf("the runs of the first and its duplicate are %s and %s", all[0].Run, all[1].Run)
	}
	whole, err := b.Arrival(t.Context(), all[3].ID)
	if err != nil {
		t.Fatal(err)
	}
	if string(whole.Body) != `{"kind":"order","n":"x"}` || whole.Remote != "192.0.2.1:1" || !strings.Contains(whole.Detail, "trigger.filter") ||
		!cmp.Equal(whole.Header, sdk.Header{{Name: "X-Api-Key", Value: "***"}, {Name: "Accept", Value: "*/*"}}) {
		t.Errorf("kept %+v", whole)
	}
	page, err := b.Arrivals(t.Context(), "", engine.ArrivalQuery{Outcomes: []engine.ArrivalOutcome{engine.ArrivalRefused, engine.ArrivalFailed}, Limit: 2})
	if err != nil || len(page.Arrivals) != 2 || page.Next == "" {
		t.Errorf("page %+v, %v", page, err)
	}
	for _, outcomes := range [][]engine.ArrivalOutcome{{engine.ArrivalRun}, {engine.ArrivalFiltered}} {
		if page, err := b.Arrivals(t.Context(), "sifted", engine.ArrivalQuery{Outcomes: outcomes}); err != nil || len(page.Arrivals) != 1 {
			t.Errorf("%v: %+v, %v; want one", outcomes, page, err)
		}
	}
}

func TestReinjectedEventsRunByTheNewestVersion(t *testing.T) {
	t.Parallel()
	b := newInbox(t)
	b.on(sifted)
	_, _ = b.post("sifted", "", `{"kind":"refund","n":7}`)
	_, _ = b.post("sifted", "", `{"kind":"order","n":"x"}`)
	doc := strings.Replace(sifted, `"${{ trigger.body }}"`, `"${{ [trigger.body] }}"`, 1)
	if _, err := b.PutDraft(t.Context(), "sifted", []byte(doc), graph.YAML); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Publish(t.Context(), "sifted"); err != nil {
		t.Fatal(err)
	}
	if err := b.Deactivate(t.Context(), "sifted"); err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{`[{"kind":"refund","n":7}]`, `[{"kind":"order","n":"x"}]`} {
		for range 2 { // each time is a run of its own
			acc, err := b.Reinject(t.Context(), b.arrivals("sifted")[i].ID)
			if err != nil || acc.Duplicate {
				t.Fatalf("%+v, %v", acc, err)
			}
			if v := b.ended(acc.Run); string(v.Result) != want || v.Version != 2 {
				t.Errorf("result %s of version %d, want %s of 2", v.Result, v.Version, want)
			}
		}
	}
	all := b.arrivals("sifted")
	if last := all[len(all)-1]; len(all) != 6 || last.Outcome != engine.ArrivalRun || last.Reason != "reinjected" || last.Detail != all[1].ID.String() {
		t.Errorf("%d arrivals, the last is %+v", len(all), last)
	}
	if _, err := b.Reinject(t.Context(), all[0].Run); !errors.Is(err, &engine.Error{Kind: engine.NotFound}) {
		t.Errorf("no event: %v", err)
	}
}

func TestWhatIsTooLongIsNotKeptAndNotReinjected(t *testing.T) {
	t.Parallel()
	b := newInbox(t)
	b.on(sifted)
	_, _ = b.post("sifted", "", `{"x":"`+strings.Repeat("x", 64<<10)+`"}`)
	_, _ = b.post("sifted", "refuse", `{"x":"`+strings.Repeat("x", 8<<10)+`"}`)
	for _, a := range b.arrivals("sifted") {
		a, err := b.Arrival(t.Context(), a.ID)
		if err != nil || a.Body != nil || a.Size < 8<<10 {
			t.Errorf("%d bytes of %d, %v; want none", len(a.Body), a.Size, err)
		}
		if _, err := b.Reinject(t.Context(), a.ID); !errors.Is(err, &engine.Error{Kind: engine.Conflict}) {
			t.Errorf("reinject: %v, want a conflict", err)
		}
	}
}

// Strangers can't fill the disk: beyond a rate refused requests are counted.
func TestAFloodOfRefusedRequestsIsCounted(t *testing.T) {
	t.Parallel()
	r := &notedRunner{asked: make(chan engine.Acceptance, 1000)}
	b := newBenchWith(t, t.TempDir(), func(o *engine.Options) {
		o.Inbox, o.Clock, r.Runner, o.Runner = o.Keys.(engine.Inbox), frozen(time.Now()), o.Runner, r
	})
	b.on(sifted)
	for range 500 {
		_, _ = b.post("sifted", "refuse", "{}")
	}
	if n := len(r.asked); n != 50 {
		t.Errorf("%d of 500 refused requests of a moment were written, want 50", n)
	}
	b.mustPost("sifted", "", `{"kind":"order","n":2}`) // what is taken is never only counted
	if n := len(r.asked); n != 51 {
		t.Errorf("%d written, want 51", n)
	}
}

// A poll's events that start no run are in the inbox, too.
func TestTheInboxHasWhatAFilterStopsOfAPoll(t *testing.T) {
	t.Parallel()
	b := newInbox(t)
	b.does(func(context.Context, sdk.ActionCall) (sdk.Result, error) { return sdk.Result{}, nil })
	asked := make(chan sdk.Cursor, 64)
	b.polls(func(c sdk.PollCall) (sdk.RawBatch, error) {
		select {
		case asked <- c.Cursor:
		default:
		}
		if c.Cursor != "" {
			return sdk.RawBatch{Cursor: c.Cursor}, nil
		}
		var events []sdk.Event
		for _, n := range []string{"0", `"x"`, "5"} {
			events = append(events, sdk.Event{Data: json.RawMessage(fmt.Sprintf(`{"n":%s}`, n))})
		}
		return sdk.RawBatch{Cursor: "end", Events: events}, nil
	})
	b.on("name: g\ntrigger: {use: test.poll, filter: trigger.n > 1}\nsteps:\n  - {id: a, set: \"${{ trigger.n }}\"}\n")
	<-asked
	<-asked
	all := b.arrivals("g")
	if len(all) != 2 || all[0].Outcome != engine.ArrivalFiltered || all[1].Outcome != engine.ArrivalFailed {
		t.Fatalf("%+v; want one that was filtered and one that failed", all)
	}
	acc, err := b.Reinject(t.Context(), all[1].ID)
	if err != nil {
		t.Fatal(err)
	}
	if v := b.ended(acc.Run); string(v.Result) != `"x"` {
		t.Errorf("result %s", v.Result)
	}
}
