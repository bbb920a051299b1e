package engine_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/tappet-dev/tappet/connectors/webhook"
	"github.com/tappet-dev/tappet/engine"
	"github.com/tappet-dev/tappet/engine/graph"
	"github.com/tappet-dev/tappet/sdk"
)

// builtinWebhook puts the webhook connector on a shelf.
func builtinWebhook(s *shelf) {
	c := webhook.New()
	s.m["webhook"] = engine.Connector{Connector: &c, Origin: "builtin"}
}

func TestPathsHaveParameters(t *testing.T) {
	t.Parallel()
	b := newBench(t, t.TempDir(), builtinWebhook)
	b.on("name: items\ntrigger: {use: webhook, with: {path: 'orders/{id}/items/{item}', respond: result}}\nsteps:\n  - {id: a, set: '${{ trigger.params.id + \"|\" + trigger.params.item }}'}\n")
	b.on("name: latest\ntrigger: {use: webhook, with: {path: orders/latest/items/first, respond: result}}\nsteps:\n  - {id: a, set: '${{ len(keys(trigger.params)) }}'}\n")
	for path, want := range map[string]string{
		"orders/7/items/a-b":              `"7|a-b"`,
		"/orders/7/items/x/":              `"7|x"`,
		"orders/a%2Fb%20c/items/%C3%A9+1": `"a/b c|é+1"`,
		"orders/%252F/items/..":           `"%2F|.."`,
		"orders/latest/items/second":      `"latest|second"`,
		"orders/latest/items/first":       `0`,
	} {
		r := b.mustPost(path, "", "null")
		if r.Answer == nil || string(r.Answer.Body) != want {
			t.Errorf("%s: %+v; want %s", path, r.Answer, want)
		}
	}
	for _, path := range []string{"orders/7/items", "orders//items/1", "orders/7/items/1/2"} {
		_, err := b.post(path, "", "null")
		wantKind(t, err, engine.NotFound)
	}
	_, err := b.post("orders/%FF/items/1", "", "null")
	if e := wantKind(t, err, engine.Invalid); !strings.Contains(e.Error(), "{id}") {
		t.Errorf("%v; want the parameter named", err)
	}
	_, err = b.Hook(t.Context(), "orders/7/items/1", sdk.WebhookRequest{Method: "PUT"})
	wantKind(t, err, engine.MethodNotAllowed)
}

// Parameters are texts, and no others are there.
func TestParametersAreTyped(t *testing.T) {
	t.Parallel()
	b := newBench(t, t.TempDir(), builtinWebhook)
	for _, tt := range []struct{ path, expression, code string }{
		{"orders/{id}", "upper(trigger.params.id)", ""},
		{"orders/{id}", "trigger.params.id * 2", "type"},
		{"orders/{order_id}", "trigger.params.oder_id", "unknown_field"},
		{"orders", "trigger.params.id", "unknown_field"},
		{"orders/{id}/{id}", "1", "path"},
		{"orders/{Id}", "1", "pattern"},
		{"orders/x{id}", "1", "pattern"},
	} {
		v := b.Validate(t.Context(), []byte("name: x\ntrigger: {use: webhook, with: {path: '"+tt.path+"'}}\nsteps:\n  - {id: a, set: '${{ "+tt.expression+" }}'}\n"), graph.YAML)
		if tt.code == "" {
			if !v.OK || !strings.Contains(string(v.Trigger), `"required":["id"]`) {
				t.Errorf("%s: %v, event %s", tt.path, v.Problems, v.Trigger)
			}
			continue
		}
		if len(v.Problems) != 1 || v.Problems[0].Code != tt.code {
			t.Errorf("%s with %s: %v; want %s", tt.path, tt.expression, v.Problems, tt.code)
		}
	}
}

func TestPathsThatAreTakenAreNamed(t *testing.T) {
	t.Parallel()
	b := newBench(t, t.TempDir(), builtinWebhook)
	doc := func(name, path, more string) []byte {
		return []byte("name: " + name + "\ntrigger: {use: webhook, with: {path: '" + path + "'" + more + "}}\nsteps:\n  - {id: a, set: 1}\n")
	}
	b.on(string(doc("first", "orders/{id}", "")))
	g, err := b.CreateGraph(t.Context(), doc("second", "orders/{x}", ""), graph.YAML)
	if err != nil || len(g.Problems) != 1 {
		t.Fatalf("%v, %v; want one problem", g.Problems, err)
	}
	p := g.Problems[0]
	if p.Code != "path_taken" || !p.Warning || p.Pointer != "/trigger/with/path" || p.Line != 2 || !strings.Contains(p.Message, `"first", as /hooks/orders/{id}`) {
		t.Errorf("problem %+v", p)
	}
	if _, err := b.Publish(t.Context(), "second"); err != nil {
		t.Fatal(err)
	}
	r, err := b.Activate(t.Context(), "second")
	if e := wantKind(t, err, engine.Conflict); !strings.Contains(e.Problems[0].Message, `"first"`) || r.Ready {
		t.Errorf("%v; want the other graph named", e.Problems)
	}
	// Nobody else's, another method, or its own: nothing to tell.
	for _, d := range [][]byte{doc("second", "orders/new", ""), doc("second", "orders/{x}", ", methods: [GET]"), doc("second", "{x}/{y}", "")} {
		if g, err := b.PutDraft(t.Context(), "second", d, graph.YAML); err != nil || len(g.Problems) != 0 {
			t.Errorf("%s: %v, %v", d, g.Problems, err)
		}
	}
	if g, err := b.PutDraft(t.Context(), "first", doc("renamed", "orders/{id}", ""), graph.YAML); err != nil || len(g.Problems) != 0 {
		t.Errorf("its own: %v, %v", g.Problems, err)
	}
	if v := b.Validate(t.Context(), doc("renamed", "orders/{id}", ""), graph.YAML); len(v.Problems) != 0 {
		t.Errorf("its own, by its new name: %v", v.Problems)
	}
	if v := b.Validate(t.Context(), doc("third", "orders/{id}", ""), graph.YAML); len(v.Problems) != 1 || !strings.Contains(v.Problems[0].Message, `"renamed"`) {
		t.Errorf("another's: %v", v.Problems)
	}
	// With another method both are ON.
	if _, err := b.PutDraft(t.Context(), "second", doc("second", "orders/{x}", ", methods: [GET], respond: {body: {mine: true}}"), graph.YAML); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Publish(t.Context(), "second"); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Activate(t.Context(), "second"); err != nil {
		t.Fatal(err)
	}
	res, err := b.Hook(t.Context(), "orders/1", sdk.WebhookRequest{Method: "GET"})
	if err != nil || res.Answer == nil || !json.Valid(res.Answer.Body) || res.Run.IsZero() {
		t.Errorf("GET: %+v, %v", res, err)
	}
	if res := b.mustPost("orders/1", "", "null"); res.Answer != nil {
		t.Errorf("POST: %+v; want the other graph's", res)
	}
}
