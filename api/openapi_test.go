package api_test

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tappet-dev/tappet/api"
)

// go test ./api -run TestOpenAPI -update rewrites openapi.json.
func TestOpenAPIIsTheCommittedOne(t *testing.T) {
	t.Parallel()
	got, err := api.OpenAPI()
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile("openapi.json", got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), string(got)); d != "" {
		t.Errorf("api/openapi.json isn't up to date (-committed +generated):\n%s", d)
	}
	if w := do(newServer(t, newFake(), nil), request("GET", "/openapi.json", "")); w.Body.String() != string(got) {
		t.Error("what is served differs")
	}
}

// A route is one operation of the OpenAPI document.
type route struct {
	method, path string
	op           map[string]any
}

func routes(tb testing.TB) []route {
	tb.Helper()
	b, err := api.OpenAPI()
	if err != nil {
		tb.Fatal(err)
	}
	var doc struct {
		Paths map[string]map[string]map[string]any `json:"paths"`
	}
	if err := json.Unmarshal(b, &doc); err != nil {
		tb.Fatal(err)
	}
	var out []route
	for path, item := range doc.Paths {
		for method, op := range item {
			out = append(out, route{strings.ToUpper(method), path, op})
		}
	}
	if len(out) < 20 {
		tb.Fatalf("only %d operations", len(out))
	}
	return out
}

func TestEachOperationIsDescribed(t *testing.T) {
	t.Parallel()
	for _, r := range routes(t) {
		for _, member := range []string{"operationId", "summary", "description", "tags", "responses"} {
			if r.op[member] == nil {
				t.Errorf("%s %s has no %s", r.method, r.path, member)
			}
		}
		params, _ := r.op["parameters"].([]any)
		for _, p := range params {
			if m := p.(map[string]any); m["description"] == nil {
				t.Errorf("%s %s: the parameter %s has no description", r.method, r.path, m["name"])
			}
		}
		responses := r.op["responses"].(map[string]any)
		codes := ""
		for code := range responses {
			codes += code[:1]
		}
		if !strings.Contains(codes, "2") || !strings.Contains(codes, "4") {
			t.Errorf("%s %s: responses %s", r.method, r.path, codes)
		}
	}
}

func TestEachSchemaIsDescribed(t *testing.T) {
	t.Parallel()
	b, err := api.OpenAPI()
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Components struct {
			Schemas map[string]struct {
				Properties map[string]map[string]any `json:"properties"`
			} `json:"schemas"`
		} `json:"components"`
	}
	if err := json.Unmarshal(b, &doc); err != nil {
		t.Fatal(err)
	}
	for name, s := range doc.Components.Schemas {
		for field, p := range s.Properties {
			if p["description"] == nil && p["$ref"] == nil {
				t.Errorf("%s.%s has no description", name, field)
			}
		}
	}
	for _, huma := range []string{"ErrorModel", "ErrorDetail", "$schema"} {
		if strings.Contains(string(b), `"`+huma+`"`) {
			t.Errorf("the document has huma's %s", huma)
		}
	}
	if names := []string{"Graph", "Run", "Problem", "Connector", "Plugin", "Validation"}; slices.ContainsFunc(names, func(n string) bool {
		return len(doc.Components.Schemas[n].Properties) == 0
	}) {
		t.Error("a schema is missing")
	}
}
