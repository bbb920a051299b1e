package main_test

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tappet-dev/tappet/internal/bench"
)

// TestSec14_DataFolderIsTheOwnersAlone also holds while the server runs: the
// files that SQLite makes beside its own are among them.
func TestSec14_DataFolderIsTheOwnersAlone(t *testing.T) {
	t.Parallel()
	parent := t.TempDir()
	sink := newSink(t, nil)
	s := start(t, filepath.Join(parent, "data"), "--egress-allow", hostport(sink.URL))
	s.deploy(t, "w1", string(bench.Graph(sink.URL)))
	s.ended(t, s.hook(t, "w1", string(bench.Event(1))))
	n := 0
	walk(t, s.data, func(path string, mode os.FileMode) {
		want := os.FileMode(0o600)
		if mode.IsDir() {
			want = 0o700
		}
		if n++; mode.Perm() != want {
			t.Errorf("%s has mode %#o, %#o is wanted", path, mode.Perm(), want)
		}
	})
	if n < 4 { // the folder, the lock, the store and its log
		t.Errorf("only %d files in the data folder", n)
	}
}

// TestSec01_EgressIsRefusedByDefault: neither a graph nor a redirect reaches an
// address of this machine that the operator hasn't named.
func TestSec01_EgressIsRefusedByDefault(t *testing.T) {
	t.Parallel()
	inside := newSlow(t)
	door := httptest.NewServer(http.RedirectHandler(inside.URL+"/load", http.StatusTemporaryRedirect))
	t.Cleanup(door.Close)
	s := start(t, "", "--egress-allow", hostport(door.URL))
	for name, target := range map[string]string{
		"direct":   inside.URL,
		"name":     strings.Replace(inside.URL, "127.0.0.1", "localhost", 1),
		"mapped":   strings.Replace(inside.URL, "127.0.0.1", "[::ffff:127.0.0.1]", 1),
		"redirect": door.URL,
	} {
		s.deploy(t, name, (&slow{Sink: &bench.Sink{URL: target}}).relay(name))
		r := s.ended(t, s.hook(t, name, `{"n":1}`))
		if r.State != "failed" || r.Error == nil || r.Error.Kind != "denied" || len(r.Steps[0].Attempts) != 1 {
			t.Errorf("%s: the run has %s: %+v", name, r.State, r.Error)
		}
	}
	if n := inside.Count(); n != 0 {
		t.Errorf("%d requests came through", n)
	}
}

func TestSecondProcessIsRefused(t *testing.T) {
	t.Parallel()
	s := start(t, "")
	out := refused(t, 1, "serve", "--data", s.data, "--addr", "127.0.0.1:0")
	if !strings.Contains(out, "the data folder "+s.data+" is in use by another tappet process") {
		t.Errorf("it says: %s", out)
	}
	s.wantReady(t)
}

func TestUsageErrors(t *testing.T) {
	t.Parallel()
	for want, args := range map[string][]string{
		"unknown flag: --dtaa":                   {"serve", "--dtaa", "x"},
		"--drain must be more than 0":            {"serve", "--drain", "0s"},
		"--limits-connect must be more than 0":   {"serve", "--limits-connect", "0s"},
		"--limits-redirects must be 0 or more":   {"serve", "--limits-redirects", "-1"},
		"--log-level \"loud\": use debug":        {"serve", "--log-level", "loud"},
		"--log-format \"xml\": use text or json": {"serve", "--log-format", "xml"},
	} {
		args = append(args, "--data", filepath.Join(t.TempDir(), "data"))
		if out := refused(t, 2, args...); !strings.Contains(out, want) {
			t.Errorf("%v: it says %q, %q is wanted", args, out, want)
		}
	}
}

// slow is a sink whose answers to /slow wait until they are let go.
type slow struct {
	*bench.Sink
	mu   sync.Mutex
	came []string // what came to /slow and elsewhere, in order
	hold chan struct{}
	free func()
}

func newSlow(t *testing.T) *slow {
	t.Helper()
	s := &slow{hold: make(chan struct{})}
	s.free = sync.OnceFunc(func() { close(s.hold) })
	t.Cleanup(s.free)
	s.Sink = newSink(t, func(r *http.Request, body []byte) {
		s.mu.Lock()
		s.came = append(s.came, r.URL.Path+" "+string(body))
		s.mu.Unlock()
		if r.URL.Path == "/slow" {
			select {
			case <-s.hold:
			case <-r.Context().Done():
			}
		}
	})
	return s
}

// count is how often a path was asked for.
func (s *slow) count(path string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, c := range s.came {
		if strings.HasPrefix(c, path+" ") {
			n++
		}
	}
	return n
}

// relay is a graph that posts an event's body to a path of the sink.
func (s *slow) relay(name string) string {
	return fmt.Sprintf(`name: %[1]s
trigger: {use: webhook, with: {path: %[1]s}}
steps:
  - id: send
    use: http.post
    with: {url: "%[2]s/%[1]s", body: "${{ trigger.body }}"}
    on_unknown: retry
    retry: {max_attempts: 5, initial_interval: 100ms}
`, name, s.URL)
}

// TestStopUnderLoad stops the program while events come in: what it has
// acknowledged is done by it or by its successor, once.
func TestStopUnderLoad(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	sent := map[string]int{}
	sink := newSink(t, func(_ *http.Request, body []byte) {
		mu.Lock()
		defer mu.Unlock()
		sent[string(body)]++
	})
	relay := (&slow{Sink: sink}).relay("load")
	s := start(t, "", "--egress-allow", hostport(sink.URL))
	if err := s.Ready(t.Context()); err != nil {
		t.Errorf("before: %v", err)
	}
	s.deploy(t, "load", relay)
	acked := map[string]bool{}
	enough := make(chan struct{})
	load := &bench.Load{
		URL: s.URL + "/hooks/load", Clients: 64, Count: 1 << 30,
		Body: func(n int) []byte { return fmt.Appendf(nil, `{"n":%d}`, n) },
		Done: func(n, status int, _ error) {
			mu.Lock()
			defer mu.Unlock()
			if status/100 == 2 {
				acked[fmt.Sprintf(`{"n":%d}`, n)] = true
				if len(acked) == 500 {
					close(enough)
				}
			}
		},
	}
	ctx, cancel := contextWithin(t)
	loaded := make(chan error, 1)
	go func() { _, err := load.Run(ctx); loaded <- err }()
	select {
	case <-enough:
	case <-ctx.Done():
		t.Fatal("500 events weren't acknowledged")
	}
	s.signal(t, syscall.SIGTERM)
	s.wantExit(t, 0)
	cancel()
	if err := <-loaded; err != nil {
		t.Fatal(err)
	}
	s = start(t, s.data, "--egress-allow", hostport(sink.URL))
	s.wantReady(t)
	s.idle(t)
	mu.Lock()
	defer mu.Unlock()
	lost, twice := 0, 0
	for body := range acked {
		if sent[body] == 0 {
			lost++
		}
	}
	for _, n := range sent {
		if n > 1 {
			twice++
		}
	}
	if lost != 0 || twice != 0 {
		t.Errorf("of %d acknowledged events %d were lost and %d sent twice", len(acked), lost, twice)
	}
}

// TestStopWhileStarting: a signal that comes before the program is ready is
// obeyed all the same, is no failure, and harms nothing.
func TestStopWhileStarting(t *testing.T) {
	t.Parallel()
	for range 10 {
		data := filepath.Join(t.TempDir(), "data")
		cmd := command(t, binary(t), "serve", "--data", data, "--addr", "127.0.0.1:0")
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the data folder to be taken", func() (bool, any) {
			_, err := os.Stat(filepath.Join(data, "tappet.lock"))
			return err == nil, err
		})
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Fatalf("%v: %s", err, &out)
		}
		start(t, data).wantReady(t) // what was half made is made whole
	}
}

// TestStopWaitsForCalls: a call under way may end, and its run with it.
func TestStopWaitsForCalls(t *testing.T) {
	t.Parallel()
	sink := newSlow(t)
	s := start(t, "", "--egress-allow", hostport(sink.URL), "--drain", patience.String())
	s.deploy(t, "slow", sink.relay("slow"))
	id := s.hook(t, "slow", `{"n":1}`)
	eventually(t, "the call", func() (bool, any) { return sink.count("/slow") == 1, nil })
	s.signal(t, syscall.SIGTERM)
	s.wantClosed(t)
	sink.free()
	s.wantExit(t, 0)
	s = start(t, s.data, "--egress-allow", hostport(sink.URL))
	if r := s.ended(t, id); r.State != "succeeded" || len(r.Steps[0].Attempts) != 1 || sink.count("/slow") != 1 {
		t.Errorf("the run has %s after %d calls: %+v", r.State, sink.count("/slow"), r.Steps)
	}
}

// TestStopParksCalls: one that takes longer than --drain is left to the next
// process, which sends it again and says so.
func TestStopParksCalls(t *testing.T) {
	t.Parallel()
	sink := newSlow(t)
	s := start(t, "", "--egress-allow", hostport(sink.URL), "--drain", "100ms")
	s.deploy(t, "slow", sink.relay("slow"))
	id := s.hook(t, "slow", `{"n":1}`)
	eventually(t, "the call", func() (bool, any) { return sink.count("/slow") == 1, nil })
	s.signal(t, syscall.SIGTERM)
	s.wantExit(t, 0)
	sink.free()
	s = start(t, s.data, "--egress-allow", hostport(sink.URL))
	r := s.ended(t, id)
	if r.State != "succeeded" || sink.count("/slow") != 2 {
		t.Errorf("the run has %s after %d calls", r.State, sink.count("/slow"))
	}
	if a := r.Steps[0].Attempts; len(a) != 2 || a[0].State != "in_doubt" || a[1].State != "succeeded" {
		t.Errorf("attempts %+v, in_doubt and succeeded are wanted", a)
	}
}

// TestSecondSignalEndsAtOnce: with a call that never ends and a long drain, only
// the second signal can end it.
func TestSecondSignalEndsAtOnce(t *testing.T) {
	t.Parallel()
	sink := newSlow(t)
	s := start(t, "", "--egress-allow", hostport(sink.URL), "--drain", "1h")
	s.deploy(t, "slow", sink.relay("slow"))
	id := s.hook(t, "slow", `{"n":1}`)
	eventually(t, "the call", func() (bool, any) { return sink.count("/slow") == 1, nil })
	s.signal(t, syscall.SIGTERM)
	s.wantClosed(t)
	s.signal(t, syscall.SIGTERM)
	s.wantExit(t, -1)
	sink.free()
	s = start(t, s.data, "--egress-allow", hostport(sink.URL))
	if r := s.ended(t, id); r.State != "succeeded" {
		t.Errorf("the run has %s: %+v", r.State, r.Error)
	}
}

// wantClosed waits until no connection is taken any more.
func (s *server) wantClosed(t *testing.T) {
	t.Helper()
	eventually(t, "the listener to close", func() (bool, any) {
		c, err := net.DialTimeout("tcp", hostport(s.URL), time.Second)
		if err == nil {
			_ = c.Close()
		}
		return err != nil, nil
	})
}

func TestProbes(t *testing.T) {
	t.Parallel()
	s := start(t, "")
	for _, path := range []string{"/healthz", "/readyz"} {
		if res, body := s.send(t, http.MethodGet, path, "", nil, ""); res.StatusCode != http.StatusOK {
			t.Errorf("GET %s: %s: %s", path, res.Status, body)
		}
	}
}
