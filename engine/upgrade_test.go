package engine_test

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tappet-dev/tappet/engine"
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

func TestImpactAndAdopt(t *testing.T) {
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
			b.shelf.put(tt.next, "d2")
			names, err := b.Adopt(ctx, "shop")
			if err != nil || (len(names) == 1) != tt.adopts {
				t.Errorf("adopted: %v, %v", names, err)
			}
			vs, err := b.Versions(ctx, "orders")
			if err != nil || (len(vs) == 2) != tt.adopts {
				t.Errorf("versions: %d, %v", len(vs), err)
			}
			if again, err := b.Adopt(ctx, "shop"); len(again) != 0 || err != nil {
				t.Errorf("adopted twice: %v, %v", again, err)
			}
		})
	}
}
