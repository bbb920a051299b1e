package plugins_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/tappet-dev/tappet/plugins"
	"github.com/tappet-dev/tappet/plugins/internal/guest"
)

// TestUsageIsCounted counts calls, failures and restarts of a module and of a
// program, and sees the processor time of a call that goes on.
func TestUsageIsCounted(t *testing.T) {
	t.Parallel()
	for file, path := range map[string]string{"traps.wasm": guest.WASM(t, guest.Traps), "traps": guest.Native(t, guest.Traps)} {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			install(t, dir, file, path)
			c := open(t, dir, plugins.Options{})
			conn, ok := c.Connector("traps")
			if !ok {
				t.Fatalf("traps are not there: %v", states(c))
			}
			usage := func() plugins.Usage {
				i, _ := c.Info("traps")
				return i.Usage
			}
			if u := usage(); u.Calls != 0 || u.Failures != 0 || u.Restarts != 0 || u.Memory < 1<<20 {
				t.Errorf("at first: %+v", u)
			}
			for _, do := range []string{"now", "fail", "exit", "now"} {
				_, err := guest.Trap(t.Context(), t, conn, do)
				if (err != nil) != (do != "now") {
					t.Fatalf("%s: %v", do, err)
				}
			}
			u := usage()
			if u.Calls != 4 || u.Failures != 2 || u.Restarts != 1 || u.Memory < 1<<20 {
				t.Errorf("after four calls: %+v", u)
			}
			ctx, stop := context.WithCancel(t.Context())
			var wg sync.WaitGroup
			wg.Go(func() {
				if _, err := guest.Trap(ctx, t, conn, "spin"); err == nil {
					t.Error("a call that never ends did")
				}
			})
			tick := time.NewTicker(5 * time.Millisecond)
			defer tick.Stop()
			for usage().CPU < u.CPU+50*time.Millisecond && t.Context().Err() == nil {
				<-tick.C
			}
			if n := usage().Calls; n != 4 {
				t.Errorf("%d calls have ended while one goes on", n)
			}
			stop()
			wg.Wait()
			if after := usage(); after.Calls != 5 || after.Failures != 3 || after.CPU < u.CPU+50*time.Millisecond {
				t.Errorf("after all: %+v", after)
			}
		})
	}
}
