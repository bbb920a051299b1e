package main_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tappet-dev/tappet/api/client"
)

// SecurityRule 05 with plugins. A plugin gets the secret that it declares, and
// whatever it does with it, on both pipes: it isn't in what Tappet keeps and
// tells. The build that hides nothing shows that the plugin did all that.
func TestSec05_APluginsSecretStaysHidden(t *testing.T) {
	t.Parallel()
	if found := leakRun(t, binary(t)); len(found) > 0 {
		t.Errorf("credentials are in %v", found)
	}
	wantPlaces(t, leakRun(t, build(t, "cmd/tappet", "", "tappet_control_mask")), "data", "run", "step test", "log", "graph", "plugin")
}

const leakGraph = `name: %[1]s
trigger: {use: webhook, with: {path: %[1]s, respond: result}}
steps:
  - {id: output, use: %[2]s.leak, with: {how: output}}
  - {id: error, use: %[2]s.leak, on_error: continue, retry: {max_attempts: 2, initial_interval: 1ms}, with: {how: error}}
  - {id: log, use: %[2]s.leak, with: {how: log}}
  - {id: post, use: %[2]s.leak, on_error: continue, with: {how: post, url: %[3]s/leak}}
  - {id: panic, use: %[2]s.leak, on_error: continue, with: {how: panic}}
  - {id: all, respond: {body: '${{ [steps.output, step("error").error, steps.log, step("post").error, step("panic").error] }}'}}
`

func leakRun(t *testing.T, bin string) []string {
	t.Helper()
	const secret = "canary-plugin/1 of two"
	service := httptest.NewServer(http.HandlerFunc(echo))
	defer service.Close()
	s := startBinary(t, bin, filepath.Join(t.TempDir(), "data"), "--log-level", "debug", "--egress-allow", hostport(service.URL))
	if _, err := s.PutSecret(t.Context(), "plugin_key", secret); err != nil {
		t.Fatal(err)
	}
	const source = "cmd/tappet/testdata/leaker"
	s.drop(t, "leaker", content(t, build(t, source, "", "")))
	s.drop(t, "renamed.wasm", content(t, build(t, source, "GOOS=wasip1 GOARCH=wasm", "renamed")))
	p := places{}
	get := func(place, method, path, body string) {
		t.Helper()
		p.get(t, s, place, method, path, body)
	}
	for plugin, graph := range map[string]string{"leaker": "leaker", "leaker_renamed": "leaker-renamed"} {
		s.plugin(t, plugin, "ready")
		s.deploy(t, graph, fmt.Sprintf(leakGraph, graph, plugin, service.URL))
		get("answer", http.MethodPost, "/hooks/"+graph, `{}`)
		for _, step := range []string{"output", "error", "log", "post", "panic"} {
			get("step test", http.MethodPost, "/api/v1/graphs/"+graph+"/steps/"+step+"/test", `{"event": {"body": {}}}`)
		}
		for kind, trigger := range map[string]string{"hook": "{use: " + plugin + ".hook}", "poll": "{use: " + plugin + ".poll, every: 1s}"} {
			s.deploy(t, graph+"-"+kind, "name: "+graph+"-"+kind+"\ntrigger: "+trigger+"\nsteps:\n  - {id: a, set: \"${{ trigger }}\"}\n")
		}
		s.hook(t, graph+"-hook", `"take"`)
		res, answer := s.send(t, http.MethodPost, "/hooks/"+graph+"-hook", "", []byte(`"refuse"`), "application/json")
		if res.StatusCode != http.StatusUnauthorized {
			t.Fatalf("%s: %s", res.Status, answer)
		}
		p["answer"] = append(p["answer"], answer...)
		eventually(t, "a poll that fails", func() (bool, any) {
			g, err := s.Graph(t.Context(), graph+"-poll")
			if err != nil {
				t.Fatal(err)
			}
			return strings.Contains(fmt.Sprint(g.Checks), "no more of"), g.Checks
		})
		get("graph", http.MethodGet, "/api/v1/graphs/"+graph+"-poll", "")
		for _, path := range []string{"/api/v1/plugins/" + plugin, "/api/v1/plugins/" + plugin + "/logs"} {
			get("plugin", http.MethodGet, path, "")
		}
	}
	s.idle(t)
	page, err := s.Runs(t.Context(), client.RunQuery{})
	if err != nil || len(page.Items) != 6 {
		t.Fatalf("%d runs, want 6; %v", len(page.Items), err)
	}
	for _, r := range page.Items {
		if r.State != "succeeded" {
			t.Errorf("run %s of %s: %s", r.ID, r.Graph, r.State)
		}
		get("run", http.MethodGet, "/api/v1/runs/"+r.ID, "")
	}
	p.inbox(t, s, 4)
	keys, marks := p.end(t, s), map[string]string{"plugin_key": secret}
	sealedHold(t, s.data, keys, marks)
	return p.find(t, marks)
}
