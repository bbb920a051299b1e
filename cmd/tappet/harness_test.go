package main_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tappet-dev/tappet/api/client"
	"github.com/tappet-dev/tappet/internal/bench"
)

// patience bounds each wait for something that must happen. It is long because
// a busy machine is no defect; nothing is measured with it.
const patience = time.Minute

// token is the admin token of the servers that start makes.
const token = "end-to-end-token-of-a-temporary-folder"

// built is what this test process has built, below dir, each once.
var built struct {
	dir   string
	mu    sync.Mutex
	files map[string]func() (string, error)
}

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "tappet-e2e")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	built.dir, built.files = dir, map[string]func() (string, error){}
	return m.Run()
}

// build builds a package of the module as the release does, without cgo and
// without the race detector, and gives the file's path.
func build(tb testing.TB, pkg, env, tags string) string {
	tb.Helper()
	name := strings.NewReplacer("/", "-", "=", "-", " ", "-").Replace(strings.Join([]string{pkg, env, tags}, "_"))
	built.mu.Lock()
	if built.files[name] == nil {
		built.files[name] = sync.OnceValues(func() (string, error) {
			path := filepath.Join(built.dir, name)
			// Not the context of a test: others wait for the file too.
			cmd := exec.CommandContext(context.Background(), "go", "build", "-ldflags=-s -w", "-tags="+tags, "-o", path,
				"github.com/tappet-dev/tappet/"+pkg)
			cmd.Env = append(append(os.Environ(), "CGO_ENABLED=0"), strings.Fields(env)...)
			if out, err := cmd.CombinedOutput(); err != nil {
				return "", fmt.Errorf("build %s: %w\n%s", pkg, err, out)
			}
			return path, nil
		})
	}
	get := built.files[name]
	built.mu.Unlock()
	path, err := get()
	if err != nil {
		tb.Fatal(err)
	}
	return path
}

// binary is the program under test.
func binary(tb testing.TB) string { return build(tb, "cmd/tappet", "", "") }

// A server is the program, running.
type server struct {
	*bench.Process
	*client.Client
	cmd  *exec.Cmd
	data string
}

// command is the program with arguments, and an environment that says nothing
// to it.
func command(tb testing.TB, bin string, args ...string) *exec.Cmd {
	tb.Helper()
	cmd := exec.CommandContext(context.WithoutCancel(tb.Context()), bin, args...)
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "TAPPET_") })
	return cmd
}

// start starts the program on a data folder, "" for a new one, and a free port.
// It is killed at the end of the test if it still runs.
func start(tb testing.TB, data string, args ...string) *server {
	tb.Helper()
	return startBinary(tb, binary(tb), data, args...)
}

func startBinary(tb testing.TB, bin, data string, args ...string) *server {
	tb.Helper()
	if data == "" {
		data = filepath.Join(tb.TempDir(), "data")
	}
	cmd := command(tb, bin, append([]string{"serve", "--data", data, "--addr", "127.0.0.1:0"}, args...)...)
	cmd.Env = append(cmd.Env, "TAPPET_ADMIN_TOKEN="+token)
	s := launch(tb, cmd, token)
	s.data = data
	return s
}

// launch starts a command that prints where it listens.
func launch(tb testing.TB, cmd *exec.Cmd, token string) *server {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), patience)
	defer cancel()
	p, err := bench.Start(ctx, cmd)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		_ = p.Kill() // it may have ended
		if tb.Failed() {
			out := p.Output()
			tb.Logf("the end of what pid %d printed:\n%s", p.Pid(), out[max(0, len(out)-4096):])
		}
	})
	c, err := client.New(p.URL, token, client.Options{HTTP: &http.Client{Timeout: patience, Transport: transport(tb)}})
	if err != nil {
		tb.Fatal(err)
	}
	return &server{Process: p, Client: c, cmd: cmd}
}

// transport gives connections that end with the test.
func transport(tb testing.TB) *http.Transport {
	tb.Helper()
	t := &http.Transport{}
	tb.Cleanup(t.CloseIdleConnections)
	return t
}

// signal sends a signal.
func (s *server) signal(tb testing.TB, sig os.Signal) {
	tb.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		tb.Fatal(err)
	}
}

// wantExit waits for the end of the process and checks its exit code; -1 means
// that a signal ended it.
func (s *server) wantExit(tb testing.TB, code int) {
	tb.Helper()
	select {
	case <-s.Dead():
	case <-time.After(patience):
		tb.Fatalf("it still runs after %s", patience)
	}
	if got := s.cmd.ProcessState.ExitCode(); got != code {
		tb.Errorf("it ended with %s, exit code %d is wanted", s.cmd.ProcessState, code)
	}
}

// deploy creates, publishes and activates a graph.
func (s *server) deploy(tb testing.TB, name, doc string) {
	tb.Helper()
	if _, err := s.Deploy(tb.Context(), name, []byte(doc), client.YAML); err != nil {
		tb.Fatalf("deploy %s: %v", name, err)
	}
}

// wantReady waits until GET /readyz says what is wanted.
func (s *server) wantReady(tb testing.TB) {
	tb.Helper()
	eventually(tb, "readiness", func() (bool, any) {
		err := s.Ready(tb.Context())
		return err == nil, err
	})
}

// idle waits until no run is open.
func (s *server) idle(tb testing.TB) {
	tb.Helper()
	eventually(tb, "the end of all runs", func() (bool, any) {
		p, err := s.Runs(tb.Context(), client.RunQuery{States: []string{"queued", "running", "waiting"}, Limit: 1})
		if err != nil {
			tb.Fatal(err)
		}
		return len(p.Items) == 0, p.Items
	})
}

// ended waits until a run is over and gives it.
func (s *server) ended(tb testing.TB, id string) (r client.Run) {
	tb.Helper()
	eventually(tb, "the end of run "+id, func() (bool, any) {
		var err error
		if r, err = s.Run(tb.Context(), id); err != nil {
			tb.Fatal(err)
		}
		return r.Ended(), r.State
	})
	return r
}

// contextWithin ends with the test, or when patience does.
func contextWithin(tb testing.TB) (context.Context, context.CancelFunc) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), patience)
	tb.Cleanup(cancel)
	return ctx, cancel
}

// eventually asks again and again until ok; what it last saw is shown when
// patience ends.
func eventually(tb testing.TB, what string, ask func() (ok bool, saw any)) {
	tb.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	end := time.NewTimer(patience)
	defer end.Stop()
	for {
		ok, saw := ask()
		if ok {
			return
		}
		select {
		case <-tick.C:
		case <-end.C:
			tb.Fatalf("waited %s for %s; the last that was seen: %+v", patience, what, saw)
		}
	}
}

// newSink starts a sink that records requests.
func newSink(tb testing.TB, record func(r *http.Request, body []byte)) *bench.Sink {
	tb.Helper()
	s, err := bench.NewSink("")
	if err != nil {
		tb.Fatal(err)
	}
	s.Record = record
	tb.Cleanup(func() { _ = s.Close() })
	return s
}

// hostport is the address of a URL without a path, as --egress-allow takes it.
func hostport(url string) string { return strings.TrimPrefix(url, "http://") }
