package wasm_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/tappet-dev/tappet/plugins/internal/guest"
	"github.com/tappet-dev/tappet/plugins/wasm"
	"github.com/tappet-dev/tappet/sdk"
	"github.com/tappet-dev/tappet/sdk/sdktest"
)

func TestLargeInstancesAreRecycled(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		recycle int
		kind    sdk.Kind // of a call that needs what the one before it left behind
	}{{0, ""}, {1, sdk.Panicked}} {
		c := open(t, wasm.Limits{Recycle: tt.recycle}, &log{})
		if _, err := guest.Trap(t.Context(), t, c, "keep host"); err != nil {
			t.Fatal(err)
		}
		if _, err := guest.Trap(t.Context(), t, c, "use kept host"); (err != nil) != (tt.kind != "") || err != nil && sdk.KindOf(err) != tt.kind {
			t.Errorf("above %d bytes: %v", tt.recycle, err)
		}
	}
}

func TestLogLinesAreCapped(t *testing.T) {
	t.Parallel()
	c := open(t, wasm.Limits{Lines: 3}, &log{})
	h := sdktest.NewHost(t, sdktest.HostOptions{})
	for range 5 {
		if _, err := guest.TrapOn(t.Context(), t, c, h, "log"); err != nil {
			t.Fatal(err)
		}
	}
	l := h.Logs()
	if len(l) != 3 || l[1].Message != "a line" || !strings.Contains(l[2].Message, "further lines of this minute are dropped") {
		t.Errorf("logged %v", l)
	}
}

func TestUsageCountsTurns(t *testing.T) {
	t.Parallel()
	m := newModule(t, newEngine(t, wasm.Limits{Grace: 10 * time.Millisecond}), guest.WASM(t, guest.Traps), &log{})
	c := guest.Connector(t, m)
	if _, err := guest.Trap(t.Context(), t, c, "work"); err != nil {
		t.Fatal(err)
	}
	work := m.Usage()
	if work.Calls != 2 || work.Lost != 0 || work.Longest == 0 || work.Turns < work.Longest {
		t.Errorf("after work: %+v", work)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := guest.Trap(ctx, t, c, "spin"); sdk.KindOf(err) != sdk.Timeout {
		t.Fatal(err)
	}
	if u := m.Usage(); u.Calls != 3 || u.Lost != 1 || u.Turns <= work.Turns {
		t.Errorf("after a loop: %+v, %+v before", u, work)
	}
}

// An instance that nobody needs goes, and the next call gets another.
func TestUnusedInstancesGo(t *testing.T) {
	t.Parallel()
	m := newModule(t, newEngine(t, wasm.Limits{Unused: time.Hour}), guest.WASM(t, guest.Traps), &log{})
	c := guest.Connector(t, m)
	for range 2 {
		if _, err := guest.Trap(t.Context(), t, c, "work"); err != nil {
			t.Fatal(err)
		}
		wasm.Reap(m, time.Now().Add(59*time.Minute))
		if m.Cost().Memory == 0 {
			t.Error("the instance is gone before its time")
		}
		wasm.Reap(m, time.Now().Add(time.Hour))
		if n := m.Cost().Memory; n != 0 {
			t.Errorf("an unused instance holds %d bytes", n)
		}
	}
}

// The clock that does it runs by itself, and again for the next instance.
func TestUnusedInstancesGoByThemselves(t *testing.T) {
	t.Parallel()
	m := newModule(t, newEngine(t, wasm.Limits{Unused: time.Millisecond}), guest.WASM(t, guest.Traps), &log{})
	c := guest.Connector(t, m)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for range 2 {
		if _, err := guest.Trap(t.Context(), t, c, "work"); err != nil {
			t.Fatal(err)
		}
		for m.Cost().Memory != 0 {
			<-tick.C
		}
	}
}
