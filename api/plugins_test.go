package api_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tappet-dev/tappet/api"
	"github.com/tappet-dev/tappet/engine"
	"github.com/tappet-dev/tappet/sdk"
)

func (f *fake) Uses(_ context.Context, name string) ([]engine.GraphUse, error) {
	return []engine.GraphUse{{Graph: "orders", Version: 2, Active: true}}, f.called("Uses", name)
}

func (f *fake) Impact(_ context.Context, c engine.Connector) (engine.Impact, error) {
	effect := engine.Gains
	if c.Name == "breaker" {
		effect = engine.Breaks
	}
	return engine.Impact{
		Changes: []engine.FieldChange{{Part: "triggers.new_item", Field: "event.title", Change: "added", To: "string"}},
		Graphs:  []engine.GraphImpact{{GraphUse: engine.GraphUse{Graph: "orders", Version: 2, Active: true}, Effect: effect}},
	}, f.called("Impact", c.Name)
}

func (f *fake) Upgrade(_ context.Context, c engine.Connector, commit func(publish func() error) error) ([]string, error) {
	return []string{"orders"}, errors.Join(commit(func() error { return nil }), f.called("Upgrade", c.Name))
}

var errNoPlugin = &engine.Error{Kind: engine.NotFound, Err: errors.New("there is no such plugin")}

func (fakePlugins) PluginLogs(name string, after uint64) ([]api.PluginLine, error) {
	if name != "feed" {
		return nil, errNoPlugin
	}
	return []api.PluginLine{{Number: after + 1, At: when, Level: "info", Text: "3 new items"}}, nil
}

// FetchPlugin has images whose repositories are named as the plugins that
// StagePlugin takes.
func (fakePlugins) FetchPlugin(_ context.Context, reference string, most int64) ([]byte, string, error) {
	name, ok := strings.CutPrefix(reference, "registry.example.com/")
	if !ok {
		return nil, "", &engine.Error{Kind: engine.Unavailable, Err: errors.New("there is no such registry")}
	}
	name, _, _ = strings.Cut(name, ":")
	if int64(len(name)) > most {
		return nil, "", &engine.Error{Kind: engine.TooLarge, Err: errors.New("the plugin is too large")}
	}
	return []byte(name), "registry.example.com/" + name + "@sha256:01", nil
}

func (fakePlugins) UnpackPlugin(_ context.Context, layout []byte, tag string, _ int64) ([]byte, error) {
	if tag == "" {
		return nil, &engine.Error{Kind: engine.Invalid, Err: errors.New("it has 2 tagged images")}
	}
	return layout, nil
}

// StagePlugin takes "feed", "greedy" (which needs more), "breaker" (which breaks
// a graph) and nothing else.
func (fakePlugins) StagePlugin(_ context.Context, b []byte, digest string) (api.PluginCandidate, error) {
	switch name := string(b); name {
	case "feed", "greedy", "breaker":
		return fakeCandidate{name, digest}, nil
	}
	return nil, &engine.Error{Kind: engine.Invalid, Err: errors.New("it is no plugin")}
}

func (p fakePlugins) StagePluginFile(ctx context.Context, name string) (api.PluginCandidate, error) {
	return p.StagePlugin(ctx, []byte(name), "")
}

func (p fakePlugins) StagePluginBefore(ctx context.Context, name string) (api.PluginCandidate, error) {
	return p.StagePlugin(ctx, []byte(name), "")
}

func (fakePlugins) EnablePlugin(string) error { return nil }

func (fakePlugins) DisablePlugin(name string) error {
	if name != "feed" {
		return errNoPlugin
	}
	return nil
}

func (fakePlugins) RemovePlugin(string) error { return nil }

type fakeCandidate struct{ name, digest string }

func (k fakeCandidate) Info() api.PluginInfo {
	return api.PluginInfo{Name: k.name, File: k.name + ".wasm", Kind: "wasm", Digest: k.digest, State: "loading"}
}

func (k fakeCandidate) Connector() engine.Connector {
	return engine.Connector{Connector: &sdk.Connector{Name: k.name}, Origin: "wasm"}
}

func (k fakeCandidate) Ungranted() sdk.Needs {
	if k.name == "greedy" {
		return sdk.Needs{HTTP: []string{"evil.example.com"}, Secrets: []string{"bank"}}
	}
	return sdk.Needs{}
}

func (k fakeCandidate) Commit(publish func() error) error { return publish() }

func (k fakeCandidate) Close() error { return nil }

func TestPluginAnswers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		file, method, target, body string
		status                     int
		calls                      []string
	}{
		{"plugin_install.json", "POST", "/api/v1/plugins", "feed", 200, []string{"Impact", "Upgrade"}},
		{"plugin_dry_run.json", "POST", "/api/v1/plugins?dry_run=true", "greedy", 200, []string{"Impact"}},
		{"plugin_install.json", "POST", "/api/v1/plugins/feed/accept", "", 200, []string{"Impact", "Upgrade"}},
		{"plugin_install.json", "POST", "/api/v1/plugins/feed/rollback", "", 200, []string{"Impact", "Upgrade"}},
		{"plugin.json", "POST", "/api/v1/plugins/feed/enable", "", 200, nil},
		{"plugin.json", "POST", "/api/v1/plugins/feed/disable", "", 200, nil},
		{"plugin_uses.json", "GET", "/api/v1/plugins/feed/uses", "", 200, []string{"Uses"}},
		{"plugin_logs.json", "GET", "/api/v1/plugins/feed/logs?after=16", "", 200, nil},
		{"plugin_fetched.json", "POST", "/api/v1/plugins", `{"reference":"registry.example.com/feed:1.0.0"}`, 200, []string{"Impact", "Upgrade"}},
		{"plugin_install.json", "POST", "/api/v1/plugins?tag=1.0.0", "feed", 200, []string{"Impact", "Upgrade"}},
	} {
		f := newFake()
		kind := "application/wasm"
		switch {
		case strings.HasPrefix(c.body, "{"):
			kind = "application/json"
		case strings.Contains(c.target, "tag="):
			kind = "application/x-tar"
		}
		w := do(newServer(t, f, nil), request(c.method, c.target, c.body, "Content-Type", kind))
		if w.Code != c.status {
			t.Errorf("%s %s: status %d, %s", c.method, c.target, w.Code, w.Body)
			continue
		}
		if d := cmp.Diff(c.calls, f.calls); d != "" {
			t.Errorf("%s %s: calls %s", c.method, c.target, d)
		}
		golden(t, c.file, indent(t, w.Body.Bytes()))
	}
	if w := do(newServer(t, newFake(), nil), request("DELETE", "/api/v1/plugins/feed?force=true", "")); w.Code != http.StatusNoContent {
		t.Errorf("remove: status %d, %s", w.Code, w.Body)
	}
}

func TestPluginRefusals(t *testing.T) {
	t.Parallel()
	small := func(o *api.Options) { o.Limits.Plugin = 8 }
	for _, c := range []struct {
		method, target, contentType, body string
		status                            int
		kind, text                        string
	}{
		{"POST", "/api/v1/plugins", "application/wasm", "greedy", 409, "conflict", "asks for HTTP to evil.example.com and the secrets bank"},
		{"POST", "/api/v1/plugins", "application/wasm", "breaker", 409, "conflict", "it breaks graphs that are ON: orders"},
		{"POST", "/api/v1/plugins", "application/wasm", "hello", 422, "invalid", "it is no plugin"},
		{"POST", "/api/v1/plugins", "application/wasm", "", 422, "invalid", "the body is empty"},
		{"POST", "/api/v1/plugins", "text/plain", "feed", 415, "unsupported_media_type", "application/wasm or application/octet-stream"},
		{"POST", "/api/v1/plugins", "application/wasm", "123456789", 413, "too_large", "limits.plugin"},
		{"POST", "/api/v1/plugins?digest=12", "application/wasm", "feed", 422, "invalid", "digest"},
		{"POST", "/api/v1/plugins", "application/json", `{"reference":"registry.example.com/feed:1","tag":"1"}`, 422, "invalid", "unknown"},
		{"POST", "/api/v1/plugins", "application/json", `{"reference":"registry.example.com/breaker:1"}`, 409, "conflict", "it breaks graphs"},
		{"POST", "/api/v1/plugins", "application/json", `{"reference":"registry.example.com/far_too_large:1"}`, 413, "too_large", "too large"},
		{"POST", "/api/v1/plugins", "application/json", `{"reference":"elsewhere.example.com/feed:1"}`, 503, "unavailable", "no such registry"},
		{"POST", "/api/v1/plugins", "application/json", `{`, 422, "invalid", ""},
		{"POST", "/api/v1/plugins", "application/x-tar", "feed", 422, "invalid", "2 tagged images"},
		{"POST", "/api/v1/plugins?tag=1", "application/wasm", "feed", 422, "invalid", "only a layout"},
		{"GET", "/api/v1/plugins/feed/logs?after=x", "", "", 422, "invalid", "after"},
		{"POST", "/api/v1/plugins?overwrite=true", "application/wasm", "feed", 422, "invalid", "overwrite"},
		{"DELETE", "/api/v1/plugins/feed", "", "", 409, "conflict", "graphs use it: orders"},
		{"DELETE", "/api/v1/plugins/nobody", "", "", 404, "not_found", "there is no such plugin"},
		{"GET", "/api/v1/plugins/nobody/logs", "", "", 404, "not_found", "there is no such plugin"},
		{"GET", "/api/v1/plugins/nobody/uses", "", "", 404, "not_found", "there is no such plugin"},
		{"POST", "/api/v1/plugins/nobody/disable", "", "", 404, "not_found", "there is no such plugin"},
		{"POST", "/api/v1/plugins/feed/enable", "application/json", `{"a":1}`, 422, "invalid", "takes no body"},
	} {
		w := do(newServer(t, newFake(), small), request(c.method, c.target, c.body, "Content-Type", c.contentType))
		if p := wantProblem(t, w, c.status, c.kind); !strings.Contains(p.Detail, c.text) {
			t.Errorf("%s %s %q: %s; %q is wanted", c.method, c.target, c.body, p.Detail, c.text)
		}
	}
	for _, name := range []string{"greedy", "breaker"} {
		w := do(newServer(t, newFake(), nil), request("POST", "/api/v1/plugins?grant=true&force=true", name, "Content-Type", "application/wasm"))
		if w.Code != 200 {
			t.Errorf("%s, asked for: %d %s", name, w.Code, w.Body)
		}
	}
}

func TestServerWithoutPlugins(t *testing.T) {
	t.Parallel()
	none := func(o *api.Options) { o.Plugins = nil }
	wantProblem(t, do(newServer(t, newFake(), none), request("POST", "/api/v1/plugins", "feed", "Content-Type", "application/wasm")), 503, "unavailable")
	wantProblem(t, do(newServer(t, newFake(), none), request("POST", "/api/v1/plugins/feed/rollback", "")), 404, "not_found")
}
