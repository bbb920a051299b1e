package main_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tappet-dev/tappet/api/client"
)

const feedPlugin = "examples/plugins/feed"

const feedGraph = `name: feed
trigger:
  use: feed.new_item
  with: {url: %[1]s/feed.xml}
  every: 1s
steps:
  - id: send
    use: http.post
    with: {url: %[2]s/items, body: {title: "${{ trigger.title }}", item: "${{ trigger }}"}}
`

// newFeeds serves a feed with three items.
func newFeeds(t *testing.T) string {
	t.Helper()
	rss := content(t, filepath.Join("..", "..", feedPlugin, "feed", "testdata", "rss.xml"))
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"v1"`)
		if r.Header.Get("If-None-Match") == `"v1"` {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		_, _ = w.Write(rss)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// TestPlugin drops one source, built as a module and as a program, into the
// plugins folder of a running server each: the same graph gets the same events,
// byte for byte.
func TestPlugin(t *testing.T) {
	t.Parallel()
	feeds := newFeeds(t)
	got := map[string][]string{}
	for file, env := range map[string]string{"feed.wasm": "GOOS=wasip1 GOARCH=wasm", "feed": ""} {
		sink := newSlow(t)
		s := start(t, "", "--egress-allow", hostport(feeds), "--egress-allow", hostport(sink.URL))
		doc := fmt.Sprintf(feedGraph, feeds, sink.URL)
		if _, err := s.Deploy(t.Context(), "feed", []byte(doc), client.YAML); !client.Is(err, "invalid") {
			t.Errorf("%s: before the plugin is there, the graph is published: %v", file, err)
		}
		b := content(t, build(t, feedPlugin, env, ""))
		s.drop(t, file, b)
		s.plugin(t, "feed", "ready")
		s.deploy(t, "feed", doc)
		got[file] = s.events(t, "feed", 3)
		eventually(t, "three posts", func() (bool, any) { return sink.count("/items") == 3, sink.count("/items") })
		s.withoutPlugin(t, file, b)
		s.idle(t)
		if n := sink.count("/items"); n != 3 {
			t.Errorf("%s: %d posts, the 3 items are wanted once each", file, n)
		}
	}
	if d := cmp.Diff(got["feed.wasm"], got["feed"]); d != "" {
		t.Errorf("the module's events and the program's differ:\n%s", d)
	}
	const first = `feed.new_item/tag:1 {"id":"tag:1","title":"First item – with <markup>",`
	if !strings.HasPrefix(got["feed"][0], first) {
		t.Errorf("the first event is %s, which doesn't begin with %s", got["feed"][0], first)
	}
}

// plugin waits until a plugin is in a state.
func (s *server) plugin(t *testing.T, name, state string) {
	t.Helper()
	eventually(t, "the plugin "+name+" to be "+state, func() (bool, any) {
		p, err := s.Plugin(t.Context(), name)
		return err == nil && p.Health.State == state, fmt.Sprintf("%+v, %v", p, err)
	})
}

// events waits until a graph has n runs, which must have succeeded, and gives
// their events, each as its key and its bytes, oldest first.
func (s *server) events(t *testing.T, graph string, n int) []string {
	t.Helper()
	var page client.Page[client.Run]
	eventually(t, fmt.Sprintf("%d runs", n), func() (bool, any) {
		var err error
		if page, err = s.Runs(t.Context(), client.RunQuery{Graph: graph}); err != nil {
			t.Fatal(err)
		}
		return len(page.Items) == n, page.Items
	})
	out := make([]string, n)
	for i, r := range page.Items {
		r = s.ended(t, r.ID)
		if r.State != "succeeded" {
			t.Errorf("run %s has %s: %+v", r.ID, r.State, r.Error)
		}
		out[n-1-i] = r.Key + " " + string(r.Event)
	}
	return out
}

// withoutPlugin removes the plugin's file, and brings it back.
func (s *server) withoutPlugin(t *testing.T, file string, b []byte) {
	t.Helper()
	if err := os.Remove(filepath.Join(s.data, "plugins", file)); err != nil {
		t.Fatal(err)
	}
	const reason = `there is no connector "feed": no built-in one, and no plugin in the plugins folder`
	eventually(t, "the graph not to be ready", func() (bool, any) {
		g, err := s.Graph(t.Context(), "feed")
		if err != nil {
			t.Fatal(err)
		}
		saw, _ := json.Marshal(g.Checks)
		for _, c := range g.Checks {
			if g.Active && !g.Ready && !c.OK && strings.Contains(c.Detail, reason) {
				return true, nil
			}
		}
		return false, string(saw)
	})
	s.wantReady(t) // the others go on
	s.drop(t, file, b)
	eventually(t, "the graph to be ready again", func() (bool, any) {
		g, err := s.Graph(t.Context(), "feed")
		if err != nil {
			t.Fatal(err)
		}
		return g.Active && g.Ready, g.Checks
	})
}
