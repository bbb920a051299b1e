package main_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/tappet-dev/tappet/api/client"
)

// kept is an event of testdata/keeper: what it found in its state.
type kept struct {
	Before int    `json:"before"`
	Large  string `json:"large"`
	Key    string `json:"key"`
}

// TestState: what a plugin keeps through either pipe survives a kill of the
// server, is bounded, and belongs to one trigger of one graph.
func TestState(t *testing.T) {
	t.Parallel()
	const source = "cmd/tappet/testdata/keeper"
	for file, env := range map[string]string{"keeper": "", "keeper.wasm": "GOOS=wasip1 GOARCH=wasm"} {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			s := start(t, "", "--log-level", "error")
			s.drop(t, file, content(t, build(t, source, env, "")))
			s.plugin(t, "keeper", "ready")
			// The triggers keep under one key; so do two graphs of one trigger.
			for graph, trigger := range map[string]string{"a": "one", "b": "one", "c": "two"} {
				s.deploy(t, graph, fmt.Sprintf("name: %s\ntrigger: {use: keeper.%s, every: 1s}\nsteps:\n  - {id: a, set: 1}\n", graph, trigger))
			}
			last := map[string]int{}
			for kills := range 2 {
				for _, graph := range []string{"a", "b", "c"} {
					last[graph] = s.counted(t, graph, last[graph]+2, kills)
				}
				if err := s.Kill(); err != nil {
					t.Fatal(err)
				}
				s = start(t, s.data, "--log-level", "error")
			}
		})
	}
}

// counted waits until a graph's trigger has counted to n at least, and checks
// that it never began anew or found what another keeps. It gives how far it got.
func (s *server) counted(t *testing.T, graph string, n, kills int) int {
	t.Helper()
	var page client.Page[client.Run]
	eventually(t, fmt.Sprintf("graph %s to count to %d", graph, n), func() (bool, any) {
		var err error
		if page, err = s.Runs(t.Context(), client.RunQuery{Graph: graph, Limit: 200}); err != nil {
			t.Fatal(err)
		}
		return len(page.Items) >= n, len(page.Items)
	})
	newest := len(page.Items)
	for i, r := range page.Items {
		run, err := s.Run(t.Context(), r.ID)
		if err != nil {
			t.Fatal(err)
		}
		var k kept
		if err := json.Unmarshal(run.Event, &k); err != nil {
			t.Fatal(err)
		}
		// State isn't committed with the event: each kill between them may have
		// counted once more, never less.
		if least := newest - i - 1; k.Before < least || k.Before > least+kills {
			t.Errorf("graph %s: run %d found %d kept", graph, newest-i, k.Before)
		}
		if k.Large != "too_large" || k.Key != "too_large" {
			t.Errorf("graph %s: 64 KiB + 1 was answered with %q, a key of 1 KiB + 1 with %q; too_large is wanted", graph, k.Large, k.Key)
		}
	}
	return newest
}
