package main_test

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tappet-dev/tappet/api/client"
)

// sourceKills is how often the crash test of sources kills the plugin, the
// program, or both.
const sourceKills = 15

const counterGraph = `name: %[1]s
trigger: {use: counter.%[1]s}
steps:
  - {id: a, set: "${{ trigger.n }}"}
`

// TestSourceCrash kills plugin and program while a stream and a poll count:
// between plugin and journal no number is lost, and none comes twice, since
// cursor, keys and events are committed together.
func TestSourceCrash(t *testing.T) { //nolint:paralleltest // it needs the machine for itself
	kills := sourceKills
	if testing.Short() {
		kills = 3
	}
	for graph, numbers := range killSources(t, binary(t), kills, func(map[string][]int) bool { return false }) {
		lost, repeated := gaps(numbers)
		t.Logf("%s: %d numbers", graph, len(numbers))
		if lost != 0 || repeated != 0 || len(numbers) == 0 {
			t.Errorf("%s: of %d numbers %d were lost, %d came twice", graph, len(numbers), lost, repeated)
		}
	}
}

// TestSourceCrashControl is TestSourceCrash of a program that commits a cursor
// before its events: if nothing is lost here, that test finds nothing either.
func TestSourceCrashControl(t *testing.T) { //nolint:paralleltest // it needs the machine for itself
	found := func(got map[string][]int) bool {
		for _, numbers := range got {
			if lost, _ := gaps(numbers); lost > 0 {
				return true
			}
		}
		return false
	}
	if !found(killSources(t, build(t, "cmd/tappet", "", "tappet_control_cursor"), sourceKills, found)) {
		t.Errorf("%d kills of a program that commits the cursor first, and no loss was found", sourceKills)
	}
}

// gaps tells how many numbers from 1 are missing, and how many are there again.
func gaps(numbers []int) (lost, repeated int) {
	slices.Sort(numbers)
	last := 0
	for _, n := range numbers {
		if n == last {
			repeated++
		}
		lost += max(0, n-last-1)
		last = n
	}
	return lost, repeated
}

// killSources gives the numbers that have come by each trigger when enough was
// killed, or enough says so.
func killSources(t *testing.T, bin string, kills int, enough func(map[string][]int) bool) map[string][]int {
	t.Helper()
	seed := rand.Uint64()
	t.Logf("the kills are of seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	data := filepath.Join(t.TempDir(), "data")
	start := func() *server { return startBinary(t, bin, data, "--log-level", "error") }
	graphs := []string{"stream", "poll"}
	s := start()
	s.drop(t, "counter", content(t, build(t, "cmd/tappet/testdata/counter", "", "")))
	s.plugin(t, "counter", "ready")
	for _, g := range graphs {
		s.deploy(t, g, fmt.Sprintf(counterGraph, g))
	}
	var got map[string][]int
	for range kills {
		s.plugin(t, "counter", "ready")
		before := s.newest(t, "stream")
		eventually(t, "the stream to go on", func() (bool, any) {
			now := s.newest(t, "stream")
			return now > before, now
		})
		<-time.After(time.Duration(rnd.Int64N(int64(300 * time.Millisecond))))
		which := rnd.IntN(3)
		if which != 0 {
			for _, pid := range children(t, s.Pid()) {
				_ = syscall.Kill(pid, syscall.SIGKILL) // it may have ended
			}
		}
		if which != 1 {
			if err := s.Kill(); err != nil {
				t.Fatal(err)
			}
			s = start()
		}
		if got = s.numbers(t, graphs); enough(got) {
			break
		}
	}
	// The last look is at a program at rest: what is being written now is no loss.
	for _, g := range graphs {
		if _, err := s.Deactivate(t.Context(), g); err != nil {
			t.Fatal(err)
		}
	}
	return s.numbers(t, graphs)
}

// newest is the newest number of a graph, 0 if there is none.
func (s *server) newest(t *testing.T, graph string) int {
	t.Helper()
	page, err := s.Runs(t.Context(), client.RunQuery{Graph: graph, Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	if len(page.Items) == 0 {
		return 0
	}
	return numberOf(t, page.Items[0])
}

func numberOf(t *testing.T, r client.Run) int {
	t.Helper()
	_, key, _ := strings.Cut(r.Key, "/")
	key, _, _ = strings.Cut(key, "/")
	n, err := strconv.Atoi(key)
	if err != nil {
		t.Fatalf("run %s has the key %q", r.ID, r.Key)
	}
	return n
}

// numbers reads the numbers of all runs.
func (s *server) numbers(t *testing.T, graphs []string) map[string][]int {
	t.Helper()
	out := map[string][]int{}
	for _, g := range graphs {
		for q := (client.RunQuery{Graph: g, Limit: 200}); ; {
			page, err := s.Runs(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range page.Items {
				out[g] = append(out[g], numberOf(t, r))
			}
			if q.Cursor = page.NextCursor; q.Cursor == "" {
				break
			}
		}
	}
	return out
}
