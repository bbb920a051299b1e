package wasm_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tappet-dev/tappet/plugins/internal/guest"
	"github.com/tappet-dev/tappet/plugins/wasm"
	"github.com/tappet-dev/tappet/sdk"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == wasm.CompileCommand {
		os.Exit(wasm.CompileMain(os.Args[2:], os.Stdin, os.Stderr))
	}
	goleak.VerifyTestMain(m)
}

// log is a plugin's log in memory.
type log struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func newEngine(tb testing.TB, l wasm.Limits) *wasm.Engine {
	tb.Helper()
	e, err := wasm.New(wasm.Options{Limits: l, CacheDir: guest.CacheDir(tb)})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := e.Close(); err != nil {
			tb.Errorf("close the engine: %v", err)
		}
	})
	return e
}

func newModule(tb testing.TB, e *wasm.Engine, path string, l *log) *wasm.Module {
	tb.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	m, err := e.Load(tb.Context(), b, l)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := m.Close(); err != nil {
			tb.Errorf("close the module: %v", err)
		}
	})
	return m
}

// open gives the traps plugin's connector.
func open(tb testing.TB, limits wasm.Limits, l *log, tags ...string) sdk.Connector {
	tb.Helper()
	m := newModule(tb, newEngine(tb, limits), guest.WASM(tb, guest.Traps, tags...), l)
	return guest.Connector(tb, m)
}

func TestTraps(t *testing.T) {
	t.Parallel()
	var l log
	c := open(t, wasm.Limits{Grace: 400 * time.Millisecond}, &l)
	for _, tt := range []struct {
		do   string
		kind sdk.Kind
		text string
	}{
		{"panic", sdk.Panicked, "panic: boom"},
		{"panic elsewhere", sdk.Broken, "boom elsewhere"},
		{"exit", sdk.Broken, "exit code 3; it printed: about to exit"},
		{"spin", sdk.Timeout, "its instance was thrown away"},
		{"sleep", sdk.Timeout, "its instance was thrown away"},
		{"wait", sdk.Timeout, "time had passed"},
		{"memory", sdk.Broken, "out of memory"},
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
			r, err := guest.Trap(ctx, t, c, tt.do)
			if sdk.KindOf(err) != tt.kind || !strings.Contains(fmt.Sprint(err), tt.text) {
				t.Errorf("kind %s: %v; kind %s with %q is wanted", sdk.KindOf(err), err, tt.kind, tt.text)
			}
			if tt.do == "fail" && (r != `"partial"` || retryAfter(err) != 3*time.Second) {
				t.Errorf("result %s, retry after %s", r, retryAfter(err))
			}
			if r, err := guest.Trap(t.Context(), t, c, "ok"); err != nil || r != `"ok"` {
				t.Errorf("the next call: %s, %v", r, err)
			}
		})
	}
}

func retryAfter(err error) time.Duration {
	var e *sdk.Error
	if !errors.As(err, &e) {
		return 0
	}
	return e.RetryAfter
}

func TestSec03_SandboxHasNoFilesAndNoEnvironment(t *testing.T) {
	t.Parallel()
	var l log
	c := open(t, wasm.Limits{}, &l)
	r, err := guest.Trap(t.Context(), t, c, "files")
	if err != nil || !strings.Contains(r, "Bad file number") || !strings.HasSuffix(r, `[]"`) {
		t.Errorf("%s, %v", r, err)
	}
}

func TestPipe(t *testing.T) {
	t.Parallel()
	guest.RunPipe(t, func(tb testing.TB) sdk.Connector {
		tb.Helper()
		var l log
		return open(tb, wasm.Limits{}, &l)
	})
}

func TestPrintingHarmsNobodyAndIsCapped(t *testing.T) {
	t.Parallel()
	var l log
	c := open(t, wasm.Limits{}, &l, "chatty")
	if _, err := guest.Trap(t.Context(), t, c, "print"); err != nil {
		t.Fatal(err)
	}
	s := l.String()
	if !strings.HasPrefix(s, "hello from init\n") || !strings.Contains(s, "was dropped") || len(s) > 5<<10 {
		t.Errorf("the log has %d bytes: %.200s", len(s), s)
	}
}

func TestInstancesAreBounded(t *testing.T) {
	t.Parallel()
	var l log
	c := open(t, wasm.Limits{Instances: 1, Grace: 50 * time.Millisecond}, &l)
	ctx, cancel := context.WithCancel(t.Context())
	begun, done := make(chan struct{}, 1), make(chan error, 1)
	go func() {
		emit := func(context.Context, sdk.Cursor, ...sdk.Event) error {
			begun <- struct{}{}
			return nil
		}
		done <- guest.Trigger(t, c, "waits").Stream(ctx, nil, sdk.StreamCall{Trigger: "waits"}, emit)
	}()
	<-begun
	short, stop := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer stop()
	if _, err := guest.Trap(short, t, c, "ok"); sdk.KindOf(err) != sdk.Unavailable {
		t.Errorf("%v, kind unavailable is wanted", err)
	}
	cancel()
	if err := <-done; sdk.KindOf(err) != sdk.Cancelled {
		t.Errorf("the stream: %v", err)
	}
	if _, err := guest.Trap(t.Context(), t, c, "ok"); err != nil {
		t.Errorf("once it is free: %v", err)
	}
}

func TestCloseEndsCalls(t *testing.T) {
	t.Parallel()
	var l log
	m := newModule(t, newEngine(t, wasm.Limits{}), guest.WASM(t, guest.Traps), &l)
	c := guest.Connector(t, m)
	begun, done := make(chan struct{}, 1), make(chan error, 1)
	go func() {
		emit := func(context.Context, sdk.Cursor, ...sdk.Event) error {
			begun <- struct{}{}
			return nil
		}
		done <- guest.Trigger(t, c, "waits").Stream(t.Context(), nil, sdk.StreamCall{Trigger: "waits"}, emit)
	}()
	<-begun
	if err := m.Close(); err != nil {
		t.Error(err)
	}
	if err := <-done; sdk.KindOf(err) != sdk.Unavailable {
		t.Errorf("%v, kind unavailable is wanted", err)
	}
	if _, err := guest.Trap(t.Context(), t, c, "ok"); sdk.KindOf(err) != sdk.Unavailable {
		t.Errorf("after Close: %v, kind unavailable is wanted", err)
	}
}
