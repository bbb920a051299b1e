package native_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tappet-dev/tappet/plugins/internal/guest"
	"github.com/tappet-dev/tappet/plugins/native"
	"github.com/tappet-dev/tappet/plugins/pipe"
	"github.com/tappet-dev/tappet/sdk"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// log is a plugin's log that waits for a text.
type log struct {
	want string
	seen chan struct{}

	mu sync.Mutex
	b  bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	had := strings.Contains(l.b.String(), l.want)
	l.b.Write(p)
	if !had && strings.Contains(l.b.String(), l.want) {
		close(l.seen)
	}
	return len(p), nil
}

func load(tb testing.TB, path string, o native.Options) *native.Plugin {
	tb.Helper()
	p, err := native.Load(tb.Context(), path, filepath.Join(tb.TempDir(), "copies"), o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := p.Close(); err != nil {
			tb.Errorf("close: %v", err)
		}
	})
	return p
}

// open gives the traps plugin's connector.
func open(tb testing.TB, o native.Options) sdk.Connector {
	tb.Helper()
	return guest.Connector(tb, load(tb, guest.Native(tb, guest.Traps), o))
}

func TestPipe(t *testing.T) {
	t.Parallel()
	guest.RunPipe(t, func(tb testing.TB) sdk.Connector {
		tb.Helper()
		return open(tb, native.Options{})
	})
}

func TestTraps(t *testing.T) {
	t.Parallel()
	c := open(t, native.Options{Limits: native.Limits{Grace: 50 * time.Millisecond, Backoff: time.Millisecond}})
	for _, tt := range []struct {
		do   string
		kind sdk.Kind
		text string
	}{
		{"panic", sdk.Panicked, "panic: boom"},
		{"panic elsewhere", sdk.Broken, "boom elsewhere"},
		{"exit", sdk.Broken, "exit status 3"},
		{"spin", sdk.Timeout, "its process was killed"},
		{"sleep", sdk.Timeout, "its process was killed"},
		{"wait", sdk.Timeout, "context "},
		{"fail", sdk.RateLimited, "slow down"},
		{"other secret", sdk.Denied, "no secret"},
	} {
		t.Run(tt.do, func(t *testing.T) {
			ctx := t.Context()
			if tt.kind == sdk.Timeout {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, 300*time.Millisecond)
				defer cancel()
			}
			_, err := guest.Trap(ctx, t, c, tt.do)
			if sdk.KindOf(err) != tt.kind || !strings.Contains(fmt.Sprint(err), tt.text) {
				t.Errorf("kind %s: %v; kind %s with %q is wanted", sdk.KindOf(err), err, tt.kind, tt.text)
			}
			if r, err := guest.Trap(t.Context(), t, c, "ok"); err != nil || r != `"ok"` {
				t.Errorf("the next call: %s, %v", r, err)
			}
		})
	}
}

func TestDyingProcessIsStartedAgainWithBackoff(t *testing.T) {
	t.Parallel()
	c := open(t, native.Options{Limits: native.Limits{Backoff: time.Hour}})
	for range 2 {
		if _, err := guest.Trap(t.Context(), t, c, "exit"); sdk.KindOf(err) != sdk.Broken {
			t.Fatalf("%v, kind broken is wanted", err)
		}
	}
	_, err := guest.Trap(t.Context(), t, c, "ok")
	if sdk.KindOf(err) != sdk.Unavailable || !strings.Contains(err.Error(), "keeps dying") {
		t.Errorf("%v, kind unavailable is wanted", err)
	}
}

func TestSec04_NativeGetsNoEnvironment(t *testing.T) {
	t.Setenv("TAPPET_CANARY", "tweet")
	r, err := guest.Trap(t.Context(), t, open(t, native.Options{}), "files")
	if err != nil || strings.Contains(r, "tweet") || strings.Contains(r, "HOME=") {
		t.Errorf("%s, %v", r, err)
	}
}

func TestSec04_NativeIsPinnedAndRunsFromACopy(t *testing.T) {
	t.Parallel()
	path := guest.Native(t, guest.Traps)
	_, err := native.Load(t.Context(), path, t.TempDir(), native.Options{Digest: strings.Repeat("0", 64)})
	if sdk.KindOf(err) != sdk.Denied {
		t.Errorf("%v, kind denied is wanted", err)
	}
	own := filepath.Join(t.TempDir(), "own")
	b, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(own, b, 0o700)
	}
	if err != nil {
		t.Fatal(err)
	}
	c := guest.Connector(t, load(t, own, native.Options{Limits: native.Limits{Backoff: time.Millisecond}}))
	if err := os.WriteFile(own, []byte("#!/bin/false\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := guest.Trap(t.Context(), t, c, "exit"); sdk.KindOf(err) != sdk.Broken {
		t.Fatal(err)
	}
	if r, err := guest.Trap(t.Context(), t, c, "ok"); err != nil {
		t.Errorf("started again from the copy: %s, %v", r, err)
	}
}

func TestSec04_NativePrintsGoToItsLog(t *testing.T) {
	t.Parallel()
	l := &log{want: "1|1|tcp|127.0.0.1:1|grpc", seen: make(chan struct{})}
	c := open(t, native.Options{Log: l})
	if _, err := guest.Trap(t.Context(), t, c, "print"); err != nil {
		t.Fatal(err)
	}
	select {
	case <-l.seen:
	case <-time.After(5 * time.Second):
		t.Errorf("%q is not in the log", l.want)
	}
}

// foreign is the package of programs that this engine can't talk to.
const foreign = "plugins/native/testdata/foreign"

func TestAPluginWithoutTheServiceSaysSo(t *testing.T) {
	t.Parallel()
	p := load(t, guest.Native(t, foreign, "service"), native.Options{})
	_, err := pipe.Describe(t.Context(), p)
	if sdk.KindOf(err) != sdk.Invalid || !strings.Contains(err.Error(), "does not serve /tappet.v1.Plugin/Call; build it with") {
		t.Errorf("%v; kind invalid is wanted", err)
	}
}

func TestLoadRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	put := func(name, content string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	elf := "\x7fELF\x02\x01\x01" + strings.Repeat("\x00", 9) + "\x02\x00"
	for _, tt := range []struct{ about, path, text string }{
		{"not executable", put("plain", "hello", 0o600), "chmod +x"},
		{"empty", put("empty", "", 0o700), "the file is empty"},
		{"no program", put("text", "hello there", 0o700), "format is unknown"},
		{"another machine", put("s390x", elf+"\x16\x00", 0o700), "a program for s390x"},
		{"another system", put("exe", "MZ\x90\x00", 0o700), "a program for Windows"},
		{"no interpreter", put("script", "#!/no/such/thing\n", 0o700), "interpreter or loader is missing"},
		{"no plugin", put("true", "#!/bin/sh\nexit 0\n", 0o700), "ended before it served: exit status 0"},
		{"a failing script", put("fails", "#!/bin/sh\necho bad luck >&2\nexit 4\n", 0o700), "exit status 4; it printed: bad luck"},
		{"a hanging script", put("hangs", "#!/bin/sh\nsleep 3600\n", 0o700), "did not serve within"},
		{"prints in init", guest.Native(t, guest.Traps, "chatty"), `printed "hello from init" to standard output`},
		{"crashes in init", guest.Native(t, guest.Traps, "crash"), "exit status 7; it printed: no licence found"},
		{"another version", guest.Native(t, foreign, "abi2"), `speaks version 2 of the conversation, this engine speaks 1; build it with a matching sdk`},
		{"another host's", guest.Native(t, foreign), "of another host: it doesn't know the cookie TAPPET_PLUGIN; build it with this sdk's serve.Main"},
	} {
		t.Run(tt.about, func(t *testing.T) {
			t.Parallel()
			l := native.Limits{}
			if tt.about == "a hanging script" {
				l.Start = 300 * time.Millisecond
			}
			copies := t.TempDir()
			_, err := native.Load(t.Context(), tt.path, copies, native.Options{Limits: l})
			if err == nil || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("%v; %q is wanted", err, tt.text)
			}
			if left, _ := os.ReadDir(copies); len(left) > 0 {
				t.Errorf("%d copies are left", len(left))
			}
		})
	}
}

// TestSec04_NativeEndsWithItsParent runs this test binary as an engine that is
// killed while its plugin is in a call.
func TestSec04_NativeEndsWithItsParent(t *testing.T) {
	if os.Getenv("TAPPET_TEST_ENGINE") != "" {
		engine(t)
		return
	}
	t.Parallel()
	guest.Native(t, guest.Traps)
	cmd := exec.Command(os.Args[0], "-test.run=^TestSec04_NativeEndsWithItsParent$")
	cmd.Env = append(os.Environ(), "TAPPET_TEST_ENGINE=1")
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cmd.Stdout = w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	line := make([]byte, 64)
	n, err := r.Read(line)
	if err != nil || !strings.HasPrefix(string(line[:n]), "pid ") {
		t.Fatalf("%q, %v", line[:n], err)
	}
	var pid int
	if _, err := fmt.Sscanf(string(line[:n]), "pid %d", &pid); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	for deadline := time.Now().Add(5 * time.Second); alive(pid); {
		if time.Now().After(deadline) {
			t.Fatalf("the plugin %d outlives its parent", pid)
		}
		<-time.After(10 * time.Millisecond)
	}
}

// engine loads the plugin, prints its process id and waits in a call.
func engine(t *testing.T) {
	t.Helper()
	p := load(t, guest.Native(t, guest.Traps), native.Options{})
	fmt.Printf("pid %d\n", p.PID())
	_, _ = guest.Trap(t.Context(), t, guest.Connector(t, p), "sleep")
}

func alive(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(b), ") Z ")
}

func BenchmarkCall(b *testing.B) { guest.BenchmarkCalls(b, open(b, native.Options{})) }
