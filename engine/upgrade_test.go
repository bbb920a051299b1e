package engine_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tappet-dev/tappet/engine"
	"github.com/tappet-dev/tappet/engine/graph"
	"github.com/tappet-dev/tappet/sdk"
)

// shop is a connector whose event and input are told by their fields.
func shop(event, input string) sdk.Connector {
	return sdk.Connector{
		Name: "shop",
		Triggers: []sdk.Trigger{{Name: "order", Kind: sdk.KindWebhook, Webhook: hook, Event: json.RawMessage(
			`{"type":"object","properties":{` + event + `},"additionalProperties":false}`)}},
		Actions: []sdk.Action{{
			Name: "ship", Input: json.RawMessage(`{"type":"object","properties":{` + input + `}}`),
			Do: func(context.Context, sdk.Host, sdk.ActionCall) (sdk.Result, error) { return sdk.Result{}, nil },
		}},
	}
}

const shopGraph = `name: orders
trigger: {use: shop.order, with: {path: orders}}
steps:
  - id: ship
    use: shop.ship
    with: {to: "${{ trigger.city ?? '' }}"}
`

func TestImpactAndUpgrade(t *testing.T) {
	t.Parallel()
	const city, to = `"city":{"type":"string"}`, `"to":{"type":"string"}`
	for _, tt := range []struct {
		name   string
		next   sdk.Connector
		effect engine.Effect
		change engine.FieldChange
		adopts bool
	}{
		{"the same", shop(city, to), engine.Same, engine.FieldChange{}, true}, // another digest
		{
			"a field more", shop(city+`,"zip":{"type":"string"}`, to), engine.Gains,
			engine.FieldChange{Part: "triggers.order", Field: "event.zip", Change: "added", To: "string"},
			true,
		},
		{
			"a field less", shop(`"town":{"type":"string"}`, to), engine.Breaks,
			engine.FieldChange{Part: "triggers.order", Field: "event.city", Change: "removed", From: "string"},
			false,
		},
		{
			"another type", shop(`"city":{"type":["string","null"]}`, to), engine.Changes,
			engine.FieldChange{Part: "triggers.order", Field: "event.city", Change: "changed", From: "string", To: "string or null"},
			true,
		},
		{
			"an input that was required", shop(city, to+`,"weight":{"type":"number"}`), engine.Gains,
			engine.FieldChange{Part: "actions.ship", Field: "input.weight", Change: "added", To: "number"},
			true,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, t.TempDir())
			b.shelf.put(shop(city, to), "d1")
			ctx := t.Context()
			b.on(shopGraph)
			uses, err := b.Uses(ctx, "shop")
			if d := cmp.Diff([]engine.GraphUse{{Graph: "orders", Version: 1, Active: true}}, uses); d != "" || err != nil {
				t.Errorf("uses: %s, %v", d, err)
			}
			if none, err := b.Uses(ctx, "sho"); len(none) != 0 || err != nil {
				t.Errorf("uses of another: %v, %v", none, err)
			}
			got, err := b.Impact(ctx, engine.Connector{Connector: &tt.next, Digest: "d2"})
			if err != nil {
				t.Fatal(err)
			}
			if len(got.Graphs) != 1 || got.Graphs[0].Effect != tt.effect || (len(got.Breaking()) == 1) != (tt.effect == engine.Breaks) {
				t.Errorf("graphs: %+v; effect %s is wanted", got.Graphs, tt.effect)
			}
			if tt.effect == engine.Breaks && len(got.Graphs[0].Problems) == 0 {
				t.Error("a graph breaks without a problem")
			}
			found := tt.change == engine.FieldChange{}
			for _, c := range got.Changes {
				found = found || c == tt.change
			}
			if !found {
				t.Errorf("changes: %+v; %+v is wanted", got.Changes, tt.change)
			}
			names, err := b.upgrade(tt.next, "d2")
			if err != nil || (len(names) == 1) != tt.adopts {
				t.Errorf("published anew: %v, %v", names, err)
			}
			vs, err := b.Versions(ctx, "orders")
			if err != nil || (len(vs) == 2) != tt.adopts {
				t.Errorf("versions: %d, %v", len(vs), err)
			}
			if again, err := b.upgrade(tt.next, "d2"); len(again) != 0 || err != nil {
				t.Errorf("published twice: %v, %v", again, err)
			}
		})
	}
}

// upgrade makes a connector the one of now.
func (b *bench) upgrade(c sdk.Connector, digest string) ([]string, error) {
	b.t.Helper()
	return b.Upgrade(b.t.Context(), engine.Connector{Connector: &c, Digest: digest}, func(publish func() error) error {
		if err := publish(); err != nil {
			return err
		}
		b.shelf.put(c, digest)
		return nil
	})
}

// releases are those of the connector shop: each says in its events and outputs
// which one it is. An order for "slow" waits for go.
type releases struct{ begun, release chan struct{} }

func newReleases() releases { return releases{make(chan struct{}, 16), make(chan struct{})} }

func (r releases) of(digest, field string) sdk.Connector {
	c := shop(`"`+field+`":{"type":"string"},"by":{"type":"string"}`, `"to":{"type":"string"}`)
	c.Actions[0].Idempotent = true
	c.Actions[0].Do = func(ctx context.Context, _ sdk.Host, call sdk.ActionCall) (sdk.Result, error) {
		if string(call.Input[0].Value) == `"slow"` {
			r.begun <- struct{}{}
			select {
			case <-r.release:
			case <-ctx.Done():
				return sdk.Result{}, ctx.Err()
			}
		}
		return sdk.Result{Output: json.RawMessage(`{"by":"` + digest + `"}`)}, nil
	}
	c.Triggers[0].Webhook = func(_ context.Context, _ sdk.Host, call sdk.WebhookCall) (sdk.RawWebhook, error) {
		data := json.RawMessage(`{"` + field + `":"` + string(call.Request.Body) + `","by":"` + digest + `"}`)
		return sdk.RawWebhook{Events: []sdk.Event{{Data: data}}}, nil
	}
	return c
}

const releaseGraph = `name: %[1]s
trigger: {use: shop.order, with: {path: %[1]s}}
steps:
  - {id: one, use: shop.ship, with: {to: "${{ trigger.%[2]s ?? '' }}"}}
  - {id: two, use: shop.ship, with: {to: "again"}}
  - {id: sum, set: {event: "${{ trigger.by ?? '' }}", one: "${{ steps.one.by }}", two: "${{ steps.two.by }}"}}
`

// wantBy checks which releases a run's event and its two calls came from.
func (b *bench) wantBy(id engine.RunID, digest string) {
	b.t.Helper()
	v := b.ended(id)
	if want := `{"event":"` + digest + `","one":"` + digest + `","two":"` + digest + `"}`; string(v.Result) != want {
		b.t.Errorf("run of version %d: %s, %s; %s is wanted (%+v)", v.Version, v.State, v.Result, want, v.Err)
	}
}

func TestRunsKeepTheReleaseThatTheyBeganWith(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := newReleases()
	b := newBench(t, dir)
	b.shelf.put(r.of("d1", "city"), "d1")
	b.on(fmt.Sprintf(releaseGraph, "orders", "city"))
	slow := b.mustPost("orders", "", "slow")
	<-r.begun
	if names, err := b.upgrade(r.of("d2", "city"), "d2"); err != nil || len(names) != 1 {
		t.Fatalf("upgrade: %v, %v", names, err)
	}
	b.wantBy(b.mustPost("orders", "", "fast").Run, "d2")

	// A restart in the middle: the run that was begun with the old release goes on
	// with it.
	b.close()
	b = newBench(t, dir, func(s *shelf) {
		s.put(r.of("d1", "city"), "d1")
		s.put(r.of("d2", "city"), "d2")
	})
	close(r.release)
	b.wantBy(slow.Run, "d1")
	b.wantBy(b.mustPost("orders", "", "fast").Run, "d2")

	// Back again is the same way.
	if names, err := b.upgrade(r.of("d1", "city"), "d1"); err != nil || len(names) != 1 {
		t.Fatalf("roll back: %v, %v", names, err)
	}
	b.wantBy(b.mustPost("orders", "", "fast").Run, "d1")
	if vs, err := b.Versions(t.Context(), "orders"); err != nil || len(vs) != 3 {
		t.Errorf("versions: %v, %v", vs, err)
	}
}

// A release that is gone fails the call, and not with another release.
func TestAReleaseThatIsGoneIsUnavailable(t *testing.T) {
	t.Parallel()
	r := newReleases()
	b := newBench(t, t.TempDir())
	b.shelf.put(r.of("d1", "city"), "d1")
	b.on(fmt.Sprintf(releaseGraph, "orders", "city"))
	slow := b.mustPost("orders", "", "slow")
	<-r.begun
	if _, err := b.upgrade(r.of("d2", "city"), "d2"); err != nil {
		t.Fatal(err)
	}
	b.shelf.forget()
	close(r.release)
	v := b.ended(slow.Run)
	if v.Err == nil || v.Err.Kind != string(sdk.Unavailable) || v.Err.Step != "two" || !strings.Contains(v.Err.Message, "the release d1 is gone") {
		t.Errorf("%+v", v.Err)
	}
}

func TestABrokenGraphKeepsItsRelease(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := newReleases()
	b := newBench(t, dir)
	b.shelf.put(r.of("d1", "city"), "d1")
	b.on(fmt.Sprintf(releaseGraph, "orders", "city"))
	b.on("name: other\ntrigger: {use: shop.order, with: {path: other}}\nsteps:\n  - {id: by, set: \"${{ trigger.by ?? '' }}\"}\n")
	check := func(digest, other string) {
		t.Helper()
		b.wantBy(b.mustPost("orders", "", "fast").Run, digest)
		if v := b.ended(b.mustPost("other", "", "fast").Run); string(v.Result) != `"`+other+`"` {
			t.Errorf("other: %s, %q is wanted", v.Result, other)
		}
		for _, name := range []string{"orders", "other"} {
			if g, err := b.Graph(t.Context(), name); err != nil || !g.Readiness.Ready {
				t.Errorf("%s: %+v, %v", name, g.Readiness, err)
			}
		}
	}
	check("d1", "d1")
	if names, err := b.upgrade(r.of("d2", "town"), "d2"); err != nil || !slices.Equal(names, []string{"other"}) {
		t.Fatalf("upgrade: %v, %v", names, err)
	}
	check("d1", "d2")
	b.close()
	b = newBench(t, dir, func(s *shelf) {
		s.put(r.of("d1", "city"), "d1")
		s.put(r.of("d2", "town"), "d2")
	})
	check("d1", "d2")

	// Mended and published, it is of now; an upgrade that suits both moves both.
	if _, err := b.PutDraft(t.Context(), "orders", fmt.Appendf(nil, releaseGraph, "orders", "town"), graph.YAML); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Publish(t.Context(), "orders"); err != nil {
		t.Fatal(err)
	}
	check("d2", "d2")
	if names, err := b.upgrade(r.of("d3", "town"), "d3"); err != nil || len(names) != 2 {
		t.Fatalf("upgrade: %v, %v", names, err)
	}
	check("d3", "d3")
}

// A graph uses two plugins; that one of them has moved on without it doesn't
// make the upgrade of the other move it.
func TestAnUpgradeMovesItsOwnPluginAlone(t *testing.T) {
	t.Parallel()
	r := newReleases()
	b := newBench(t, t.TempDir())
	b.shelf.put(r.of("d1", "city"), "d1")
	b.on(strings.Replace(fmt.Sprintf(releaseGraph, "orders", "city"), "two, use: shop.ship", "two, use: test.act", 1))
	if names, err := b.upgrade(r.of("d2", "town"), "d2"); err != nil || len(names) != 0 {
		t.Fatalf("upgrade: %v, %v", names, err)
	}
	if names, err := b.upgrade(b.connector(), "t2"); err != nil || len(names) != 1 {
		t.Fatalf("upgrade of the other: %v, %v", names, err)
	}
	v, err := b.Version(t.Context(), "orders", 2)
	if d := cmp.Diff(map[string]string{"shop": "d1", "test": "t2"}, v.Specs.Digests); err != nil || d != "" {
		t.Errorf("digests: %s, %v", d, err)
	}
}

func TestAnUpgradeThatFailsPublishesNothing(t *testing.T) {
	t.Parallel()
	r := newReleases()
	b := newBench(t, t.TempDir())
	b.shelf.put(r.of("d1", "city"), "d1")
	b.on(fmt.Sprintf(releaseGraph, "orders", "city"))
	next := r.of("d2", "city")
	lost := errors.New("the disk is full")
	names, err := b.Upgrade(t.Context(), engine.Connector{Connector: &next, Digest: "d2"}, func(func() error) error { return lost })
	if !errors.Is(err, lost) || len(names) != 0 {
		t.Errorf("before publish: %v, %v", names, err)
	}
	b.wantBy(b.mustPost("orders", "", "fast").Run, "d1")

	// Behind publish the versions are there, and call the new one by its digest.
	b.shelf.put(next, "d2")
	b.shelf.put(r.of("d1", "city"), "d1")
	names, err = b.Upgrade(t.Context(), engine.Connector{Connector: &next, Digest: "d2"}, func(publish func() error) error {
		return errors.Join(publish(), lost)
	})
	if !errors.Is(err, lost) || len(names) != 1 {
		t.Errorf("behind publish: %v, %v", names, err)
	}
	b.wantBy(b.mustPost("orders", "", "fast").Run, "d2")
	if names, err := b.upgrade(next, "d2"); err != nil || len(names) != 0 {
		t.Errorf("done again: %v, %v", names, err)
	}
	if vs, err := b.Versions(t.Context(), "orders"); err != nil || len(vs) != 2 {
		t.Errorf("versions: %v, %v", vs, err)
	}
}
