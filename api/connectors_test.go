package api_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tappet-dev/tappet/engine"
)

func TestConnectorProbes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		file, call, body string
		got              any
	}{
		{"connector_check.json", "check", `{"config":{"url":"https://x.example.com"}}`, `http: {"url":"https://x.example.com"}`},
		{"connector_check.json", "check", `{}`, "http: "},
		{"connector_options.json", "options", `{"options":"lists"}`, []any{"http", engine.Choosing{Options: "lists"}}},
		{"connector_options.json", "options", `{"part":"post","field":"list","config":{"a":1}}`, []any{"http", engine.Choosing{
			Part: "post", Field: "list", Config: json.RawMessage(`{"a":1}`),
		}}},
	} {
		f := newFake()
		w := do(newServer(t, f, nil), request("POST", "/api/v1/connectors/http/"+c.call, c.body, "Content-Type", "application/json"))
		if w.Code != 200 {
			t.Errorf("%s %s: status %d, %s", c.call, c.body, w.Code, w.Body)
			continue
		}
		golden(t, c.file, indent(t, w.Body.Bytes()))
		if d := cmp.Diff(c.got, f.got); d != "" {
			t.Errorf("%s %s: the engine was asked\n%s", c.call, c.body, d)
		}
	}
}

func TestConnectorProbesRefuse(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		call, contentType, body string
		status                  int
		kind, text              string
	}{
		{"check", "application/json", "", 422, "invalid", "the body is empty"},
		{"check", "text/plain", "{}", 415, "unsupported_media_type", "application/json"},
		{"check", "application/json", `{"configuration":{}}`, 422, "invalid", "configuration"},
		{"options", "application/json", `{}`, 422, "invalid", "give options, or part and field"},
		{"options", "application/json", `{"part":"post"}`, 422, "invalid", "give options, or part and field"},
		{"options", "application/json", `{"options":"lists","part":"post","field":"list"}`, 422, "invalid", "give options, or part and field"},
		{"options", "application/json", `{"options":"lists","field":"list"}`, 422, "invalid", "give options, or part and field"},
		{"guess", "application/json", `{}`, 404, "not_found", ""},
	} {
		w := do(newServer(t, newFake(), nil), request("POST", "/api/v1/connectors/http/"+c.call, c.body, "Content-Type", c.contentType))
		if p := wantProblem(t, w, c.status, c.kind); !strings.Contains(p.Detail, c.text) {
			t.Errorf("%s %s: %s; %q is wanted", c.call, c.body, p.Detail, c.text)
		}
	}
	f := newFake()
	f.err = &engine.Error{Kind: engine.NotFound, Op: "x"}
	w := do(newServer(t, f, nil), request("POST", "/api/v1/connectors/none/check", "{}", "Content-Type", "application/json"))
	wantProblem(t, w, 404, "not_found")
}
