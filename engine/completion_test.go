package engine_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/tappet-dev/tappet/engine"
	"github.com/tappet-dev/tappet/engine/graph"
	"github.com/tappet-dev/tappet/sdk"
)

// wide makes a connector whose action gives 200 fields, and stores a draft of
// 50 steps that map some of them.
func wide(b *bench) {
	var props []string
	for i := range 200 {
		props = append(props, fmt.Sprintf(`"field_%d":{"type":"string","description":"The field %d."}`, i, i))
	}
	c := sdk.Connector{Name: "wide", Title: "Wide", Actions: []sdk.Action{{
		Name: "act", Output: json.RawMessage(`{"type":"object","additionalProperties":false,"properties":{` + strings.Join(props, ",") + `}}`),
	}}}
	b.shelf.put(c, "d1")
	var doc strings.Builder
	doc.WriteString("name: wide\ntrigger: {use: test.hand}\nsteps:\n")
	for i := range 50 {
		fmt.Fprintf(&doc, "  - id: s%d\n    use: wide.act\n    with: {n: '${{ trigger.body.n }}'", i)
		if i > 0 {
			fmt.Fprintf(&doc, ", a: '${{ upper(steps.s%d.field_%d ?? \"\") }}', b: 'x ${{ steps.s0.field_1 ?? \"\" }}'", i-1, i)
		}
		doc.WriteString("}\n")
	}
	if _, err := b.CreateGraph(b.t.Context(), []byte(doc.String()), graph.YAML); err != nil {
		b.t.Fatal(err)
	}
}

var completing = engine.Completing{Source: "steps.s20.field_1", Cursor: 17, Sample: engine.Sample{Graph: "wide", Step: "s49"}}

// A draft that is saved and a connector that changes are seen at once.
func TestCompletionSeesWhatHasChanged(t *testing.T) {
	t.Parallel()
	b := newBench(t, t.TempDir())
	wide(b)
	items := func(q engine.Completing) (labels []string) {
		t.Helper()
		c, err := b.Complete(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range c.Items {
			labels = append(labels, x.Label)
		}
		return labels
	}
	for range 2 {
		if got := items(completing); len(got) != 111 || got[0] != "field_1" {
			t.Fatalf("%d items: %v", len(got), got)
		}
	}
	b.shelf.put(sdk.Connector{Name: "wide", Title: "Wide", Actions: []sdk.Action{{
		Name: "act", Output: json.RawMessage(`{"type":"object","properties":{"field_1x":{}}}`),
	}}}, "d2")
	b.Rebind(t.Context())
	if got := items(completing); len(got) != 1 || got[0] != "field_1x" {
		t.Errorf("with another connector: %v", got)
	}
	if _, err := b.PutDraft(t.Context(), "wide", []byte("name: wide\ntrigger: {use: test.hand}\nsteps: [{id: s20, set: {field_1y: 1}}, {id: s49, set: 1}]"), graph.YAML); err != nil {
		t.Fatal(err)
	}
	if got := items(completing); len(got) != 1 || got[0] != "field_1y" {
		t.Errorf("with another draft: %v", got)
	}
	other := completing
	other.Sample.Step, other.Source, other.Cursor = "s20", "steps.s", 7
	if got := items(other); len(got) != 0 {
		t.Errorf("in another step: %v", got)
	}
	// More places than are kept.
	for i := range 40 {
		q := completing
		q.Sample.Event = json.RawMessage(fmt.Sprintf(`{"body":{"n":%d,"x%d":1}}`, i, i))
		if got := items(q); len(got) != 1 {
			t.Errorf("%d: %v", i, got)
		}
	}
}

// BenchmarkComplete is one completion in the last of 50 steps whose outputs have
// 200 fields each: the stored draft is read, and its step's scope is found.
func BenchmarkComplete(b *testing.B) {
	e := newBench(b, b.TempDir())
	wide(e)
	b.ReportAllocs()
	for b.Loop() {
		c, err := e.Complete(b.Context(), completing)
		if err != nil || len(c.Items) != 111 {
			b.Fatalf("%d items, %v", len(c.Items), err)
		}
	}
}
