package main_test

import (
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"

	"github.com/tappet-dev/tappet/api/client"
)

// shippedGraph reads a field that release 3 of the plugin doesn't have.
const shippedGraph = `name: shipped
trigger: {use: release.order, with: {path: shipped}}
steps:
  - {id: one, use: release.ship, on_unknown: retry, with: {url: "%[1]s/slow"}}
  - {id: two, use: release.ship, on_unknown: retry, with: {url: "%[1]s/fast"}}
  - {id: sum, set: "${{ trigger.by }} ${{ steps.one.by }} ${{ steps.two.by }}"}
`

// countedGraph does with any release.
const countedGraph = `name: counted
trigger: {use: release.order, with: {path: counted}}
steps:
  - {id: one, use: release.ship, with: {url: "%[1]s/fast"}}
  - {id: sum, set: "${{ steps.one.by }}"}
`

// order sends an order and gives the run that it began.
func (s *server) order(t *testing.T, graph string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/hooks/"+graph, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	if err := resp.Body.Close(); err != nil || resp.StatusCode >= 300 {
		t.Fatalf("%s: %s, %v", graph, resp.Status, err)
	}
	page, err := s.Runs(t.Context(), client.RunQuery{Graph: graph, Limit: 1})
	if err != nil || len(page.Items) != 1 {
		t.Fatalf("%s: %+v, %v", graph, page.Items, err)
	}
	return page.Items[0].ID
}

// wantResult waits for a run's end.
func (s *server) wantResult(t *testing.T, id, want string) {
	t.Helper()
	if r := s.ended(t, id); string(r.Result) != `"`+want+`"` {
		t.Errorf("run of version %d: %s %s, %q is wanted (%+v)", r.Version, r.State, r.Result, want, r.Error)
	}
}

// TestUpgrade upgrades a plugin while a run waits in the middle, drops a file that
// breaks a graph, forces it, and goes back; the program is killed on the way.
func TestUpgrade(t *testing.T) {
	t.Parallel()
	sink := newSlow(t)
	s := start(t, "", "--egress-allow", hostport(sink.URL))
	release := func(tags string) []byte {
		t.Helper()
		return content(t, build(t, "cmd/tappet/testdata/release", "GOOS=wasip1 GOARCH=wasm", tags))
	}
	install := func(tags string, o client.InstallOptions) client.PluginInstall {
		t.Helper()
		o.Grant = true
		done, err := s.InstallPlugin(t.Context(), release(tags), o)
		if err != nil {
			t.Fatal(err)
		}
		return done
	}
	republished := func(done client.PluginInstall, want string) {
		t.Helper()
		if got := strings.Join(done.Republished, " "); got != want {
			t.Errorf("published anew: %q, %q is wanted", got, want)
		}
	}
	install("", client.InstallOptions{})
	s.deploy(t, "shipped", fmt.Sprintf(shippedGraph, sink.URL))
	s.deploy(t, "counted", fmt.Sprintf(countedGraph, sink.URL))
	old := s.order(t, "shipped")
	eventually(t, "the run to wait", func() (bool, any) { return sink.count("/slow") > 0, nil })

	republished(install("two", client.InstallOptions{}), "counted shipped")
	s.wantResult(t, s.order(t, "counted"), "2.0.0")

	// Killed in mid-run: what has begun with the first release ends with it.
	s.signal(t, syscall.SIGKILL)
	s.wantExit(t, -1)
	s = start(t, s.data, "--egress-allow", hostport(sink.URL))
	sink.free()
	s.wantResult(t, old, "1.0.0 1.0.0 1.0.0")
	s.wantResult(t, s.order(t, "shipped"), "2.0.0 2.0.0 2.0.0")

	// A file that breaks a graph isn't taken, and says why and what to do.
	s.drop(t, "release.wasm", release("three"))
	eventually(t, "the reason why it is held", func() (bool, any) {
		p, err := s.Plugin(t.Context(), "release")
		h := p.Health
		return err == nil && p.Version == "2.0.0" && h.State == "held" && strings.Contains(h.Reason, "breaks graphs that are ON: shipped (") &&
			strings.Contains(h.Reason, "tappet plugin accept release --force"), fmt.Sprintf("%+v, %v", p, err)
	})
	s.wantResult(t, s.order(t, "shipped"), "2.0.0 2.0.0 2.0.0")

	// Forced, it serves the other graph alone.
	if _, err := s.AcceptPlugin(t.Context(), "release", client.InstallOptions{}); !client.Is(err, "conflict") {
		t.Errorf("not forced: %v", err)
	}
	done, err := s.AcceptPlugin(t.Context(), "release", client.InstallOptions{Force: true})
	if err != nil {
		t.Fatal(err)
	}
	republished(done, "counted")
	check := func(shipped, counted string) {
		t.Helper()
		s.wantResult(t, s.order(t, "shipped"), strings.Join([]string{shipped, shipped, shipped}, " "))
		s.wantResult(t, s.order(t, "counted"), counted)
		for _, name := range []string{"shipped", "counted"} {
			if g, err := s.Graph(t.Context(), name); err != nil || !g.Ready {
				t.Errorf("%s: %+v, %v", name, g.Checks, err)
			}
		}
	}
	check("2.0.0", "3.0.0")
	s.signal(t, syscall.SIGKILL)
	s.wantExit(t, -1)
	s = start(t, s.data, "--egress-allow", hostport(sink.URL))
	check("2.0.0", "3.0.0")

	if done, err = s.RollbackPlugin(t.Context(), "release", client.InstallOptions{}); err != nil {
		t.Fatal(err)
	}
	republished(done, "counted")
	check("2.0.0", "2.0.0")
	// A file that breaks nothing is taken as it comes, and then the graphs are
	// published anew.
	version := func(name string) int { return s.ended(t, s.order(t, name)).Version }
	shipped, counted := version("shipped"), version("counted")
	s.drop(t, "release.wasm", release(""))
	eventually(t, "the first release to be taken", func() (bool, any) {
		p, err := s.Plugin(t.Context(), "release")
		taken := err == nil && p.Version == "1.0.0" && p.Health.State == "ready"
		return taken && version("shipped") > shipped && version("counted") > counted, fmt.Sprintf("%+v, %v", p, err)
	})
	check("1.0.0", "1.0.0")
}
