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
	"github.com/tappet-dev/tappet/engine/local"
	"github.com/tappet-dev/tappet/engine/sqlite"
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
	b.HookRefused(t.Context(), "sifted", sdk.WebhookRequest{Method: "POST", Path: "sifted"}, "too_large", "the body is too long")
	want = append(want, "refused too_large")
	b.HookRefused(t.Context(), "nowhere", sdk.WebhookRequest{Method: "POST", Path: "nowhere"}, "too_large", "the body is too long")
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

// locked is the connector locked, whose hook wants a secret in a field of its
// own. The query says what is in its way: "network" before the secret is asked
// for, "wrong" after that.
func locked() sdk.Connector {
	return sdk.Connector{Name: "locked", Triggers: []sdk.Trigger{{
		Name: "hook", Kind: sdk.KindWebhook,
		Secrets:     func(json.RawMessage) []string { return []string{"pin"} },
		Credentials: func(json.RawMessage) []string { return []string{"X-Pin"} },
		Webhook: func(ctx context.Context, h sdk.Host, c sdk.WebhookCall) (sdk.RawWebhook, error) {
			if c.Request.Query == "network" {
				return sdk.RawWebhook{}, &sdk.Error{Kind: sdk.Denied, Reason: "network", Err: errors.New("not from there")}
			}
			pin, err := h.Secret(ctx, "pin")
			if err != nil {
				return sdk.RawWebhook{}, err
			}
			if c.Request.Query == "wrong" {
				return sdk.RawWebhook{}, &sdk.Error{Kind: sdk.Unauthorized, Reason: "credential", Err: errors.New("it isn't " + pin)}
			}
			return sdk.RawWebhook{Events: []sdk.Event{{Data: json.RawMessage(`{}`)}}}, nil
		},
	}}}
}

// Whatever is in a request's way, the inbox has no credentials: neither the
// secret, wherever it stands, nor what came in the field that is for it.
func TestSec05_TheInboxHidesCredentialsThatNobodyAskedFor(t *testing.T) {
	t.Parallel()
	vault := &countedVault{} // its secret is "a secret"
	b := newBenchWith(t, t.TempDir(), func(o *engine.Options) {
		o.Inbox, o.Secrets, o.Hosts = o.Keys.(engine.Inbox), vault, loud{}
	}, func(s *shelf) { s.put(locked(), "d1") })
	b.on("name: door\ntrigger: {use: locked.hook, with: {path: 'door/{id}', methods: [PUT]}}\nsteps:\n  - {id: a, set: 1}\n")
	// A client that is gone is no reason to show its secret.
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	request := func(method, path, query string) sdk.WebhookRequest {
		return sdk.WebhookRequest{Method: method, Path: path, Query: query, Header: sdk.Header{
			{Name: "x-pin", Value: "a secreT"}, {Name: "X-Other", Value: "it is a secret"}, {Name: "Accept", Value: "*/*"},
		}}
	}
	for _, tt := range []struct {
		became string
		send   func(*sdk.WebhookRequest) error
	}{
		{"refused too_large", func(r *sdk.WebhookRequest) error {
			*r = request("PUT", "door/1", "k=a+secret")
			b.HookRefused(gone, r.Path, *r, "too_large", "it is too long")
			return nil
		}},
		{"refused method_not_allowed", func(r *sdk.WebhookRequest) error {
			*r = request("POST", "door/1", "")
			b.HookRefused(t.Context(), r.Path, *r, "method_not_allowed", "PUT is taken")
			return nil
		}},
		{"refused invalid", func(r *sdk.WebhookRequest) error {
			*r = request("PUT", "door/%zz", "k=a%20secret")
			_, err := b.Hook(t.Context(), r.Path, *r)
			return err
		}},
		{"refused network", func(r *sdk.WebhookRequest) error {
			*r = request("PUT", "door/1", "network")
			_, err := b.Hook(gone, r.Path, *r)
			return err
		}},
		{"refused credential", func(r *sdk.WebhookRequest) error {
			*r = request("PUT", "door/1", "wrong")
			_, err := b.Hook(t.Context(), r.Path, *r)
			return err
		}},
		{"run ", func(r *sdk.WebhookRequest) error {
			*r = request("PUT", "door/1", "")
			_, err := b.Hook(t.Context(), r.Path, *r)
			return err
		}},
	} {
		vault.asked()
		var r sdk.WebhookRequest
		err := tt.send(&r)
		if n := vault.asked(); n != 1 {
			t.Errorf("%s: the secret was read %d times, want once", tt.became, n)
		}
		all := b.arrivals("door")
		a, found := b.Arrival(t.Context(), all[len(all)-1].ID)
		if found != nil || a.Outcome.String()+" "+a.Reason != tt.became {
			t.Fatalf("%s %s (%v), %v; want %s", a.Outcome, a.Reason, err, found, tt.became)
		}
		want := sdk.Header{{Name: "x-pin", Value: "***"}, {Name: "X-Other", Value: "it is ***"}, {Name: "Accept", Value: "*/*"}}
		if d := cmp.Diff(want, a.Header); d != "" {
			t.Errorf("%s: %s", tt.became, d)
		}
		if strings.HasPrefix(a.Query, "k=") && a.Query != "k=***" || strings.Contains(a.Detail, "a secret") {
			t.Errorf("%s: query %q, detail %q", tt.became, a.Query, a.Detail)
		}
	}
}

// A path that a graph has is the graph's, though it isn't taken there: by
// another method, or since it was turned OFF a moment ago.
func TestWhatIsNotTakenAtAGraphsPathIsInTheInbox(t *testing.T) {
	t.Parallel()
	b := newInbox(t)
	b.on(sifted)
	request := func(method string) sdk.WebhookRequest {
		return sdk.WebhookRequest{Method: method, Path: "sifted", Body: []byte(`{"kind":"order","n":2}`)}
	}
	if _, err := b.Hook(t.Context(), "sifted", request("GET")); engine.KindOf(err) != engine.MethodNotAllowed {
		t.Errorf("GET: %v", err)
	}
	b.HookRefused(t.Context(), "sifted", request("GET"), "method_not_allowed", "POST is taken")
	if err := b.Deactivate(t.Context(), "sifted"); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Hook(t.Context(), "sifted", request("POST")); engine.KindOf(err) != engine.Unavailable {
		t.Errorf("while it is OFF: %v", err)
	}
	b.HookRefused(t.Context(), "sifted", request("POST"), "unavailable", "come again")
	var got []string
	all := b.arrivals("sifted")
	for _, a := range all {
		got = append(got, a.Outcome.String()+" "+a.Reason+" "+a.Method)
	}
	want := []string{"refused method_not_allowed GET", "refused method_not_allowed GET", "refused off POST", "refused off POST"}
	if d := cmp.Diff(want, got); d != "" {
		t.Fatal(d)
	}
	// What had come whole can be given in again; of what hadn't there is no body.
	acc, err := b.Reinject(t.Context(), all[2].ID)
	if err != nil {
		t.Fatal(err)
	}
	b.ended(acc.Run)
	if _, err := b.Reinject(t.Context(), all[3].ID); !errors.Is(err, &engine.Error{Kind: engine.Conflict}) {
		t.Errorf("without its body: %v, want a conflict", err)
	}
}

// What comes while too many runs are open is kept with that reason.
func TestWhatIsOverTheLimitOfOpenRunsIsInTheInbox(t *testing.T) {
	t.Parallel()
	b := newBenchWith(t, t.TempDir(), func(o *engine.Options) {
		store := o.Keys.(*sqlite.Store)
		runner := local.New(store, local.Options{Log: o.Log, Drain: time.Millisecond, MaxOpen: 1})
		o.Inbox, o.Runner, o.History = store, runner, runner
	})
	release := make(chan struct{})
	b.does(func(context.Context, sdk.ActionCall) (sdk.Result, error) {
		<-release
		return sdk.Result{Output: json.RawMessage(`{}`)}, nil
	})
	b.on(hooked)
	first := b.mustPost("in/here", "", `{"n":1}`)
	if _, err := b.post("in/here", "", `{"n":2}`); engine.KindOf(err) != engine.Overloaded {
		t.Errorf("the second: %v", err)
	}
	close(release)
	b.ended(first.Run)
	all := b.arrivals("hooked")
	if len(all) != 2 || all[0].Outcome != engine.ArrivalRun || all[1].Outcome != engine.ArrivalRefused || all[1].Reason != "overloaded" {
		t.Fatalf("%+v", all)
	}
	acc, err := b.Reinject(t.Context(), all[1].ID)
	if err != nil {
		t.Fatal(err)
	}
	if v := b.ended(acc.Run); string(v.Result) != `{"twice":4}` {
		t.Errorf("result %s", v.Result)
	}
}
