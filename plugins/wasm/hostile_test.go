package wasm_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tappet-dev/tappet/plugins/internal/guest"
	"github.com/tappet-dev/tappet/plugins/internal/guest/hostile"
	"github.com/tappet-dev/tappet/plugins/pipe"
	"github.com/tappet-dev/tappet/plugins/wasm"
	"github.com/tappet-dev/tappet/sdk"
	"github.com/tappet-dev/tappet/sdk/sdktest"
	"github.com/tappet-dev/tappet/sdk/wire"
)

// TestHostile runs the corpus while others call: each of its modules ends in a
// clear error, no other call fails, and the memory comes back. It isn't parallel
// to other tests, since it weighs the heap.
func TestHostile(t *testing.T) {
	var l log
	e := newEngine(t, wasm.Limits{Grace: 50 * time.Millisecond, Start: 2 * time.Second})
	good := newModule(t, e, guest.WASM(t, guest.Traps), &l)
	c := guest.Connector(t, good)
	h := sdktest.NewHost(t, sdktest.HostOptions{})
	before := heap()

	stop := make(chan struct{})
	var calls sync.WaitGroup
	served := make([]int, 2)
	for n := range served {
		calls.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if r, err := guest.TrapOn(t.Context(), t, c, h, "ok"); err != nil || r != `"ok"` {
					t.Errorf("a call beside them: %s, %v", r, err)
					return
				}
				served[n]++
			}
		})
	}
	for _, h := range hostile.Corpus() {
		t.Run(h.Class+"/"+h.Name, func(t *testing.T) {
			err := attack(t, e, h.Bytes, &l)
			if sdk.KindOf(err) != h.Kind || !strings.Contains(fmt.Sprint(err), h.Text) {
				t.Errorf("kind %s: %.300v; kind %s with %q is wanted", sdk.KindOf(err), err, h.Kind, h.Text)
			}
		})
	}
	close(stop)
	calls.Wait()
	for _, n := range served {
		if n == 0 {
			t.Error("no call was served beside them")
		}
	}
	if after := heap(); after > before+32<<20 {
		t.Errorf("%d MiB of heap before, %d MiB after", before>>20, after>>20)
	}
	if s := l.String(); len(s) > 1<<20 {
		t.Errorf("the log has %d bytes", len(s))
	}
}

func heap() uint64 {
	for range 3 { // pools give back what they hold at the second collection
		debug.FreeOSMemory()
	}
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return s.HeapAlloc
}

// attack loads a module and calls it for a moment.
func attack(t *testing.T, e *wasm.Engine, module []byte, l *log) error {
	t.Helper()
	m, err := e.Load(t.Context(), module, l)
	if err != nil {
		return err
	}
	wait := 50 * time.Millisecond
	if strings.HasPrefix(t.Name(), "TestHostile/loops/before") || strings.HasPrefix(t.Name(), "TestHostile/recursion") {
		wait = time.Minute // these end by themselves
	}
	for {
		ctx, cancel := context.WithTimeout(t.Context(), wait)
		_, err = m.Call(ctx, &wire.Frame{Op: wire.OpDescribe}, answering{l})
		cancel()
		if err == nil || !strings.Contains(err.Error(), "start the plugin: context deadline exceeded") || wait > time.Second {
			return errors.Join(err, m.Close())
		}
		wait *= 4 // a busy machine hadn't started it
	}
}

// answering is a host that answers whatever it is asked, and logs.
type answering struct{ l *log }

func (a answering) Serve(_ context.Context, f *wire.Frame) wire.Frame {
	if f.Op == wire.OpLog {
		_, _ = a.l.Write([]byte(f.Text + "\n"))
	}
	return wire.Frame{}
}

var _ pipe.Server = answering{}
