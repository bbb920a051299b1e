package plugins

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/tappet-dev/tappet/sdk"
)

func TestAccountCountsCrashesInARow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		crash := sdk.Errorf(sdk.Broken, "it is gone")
		var a account
		settle := func(ran time.Duration, err error, want int) {
			t.Helper()
			began := time.Now()
			<-time.After(ran)
			if got := a.settle(began, err); got != want {
				t.Errorf("%d crashes in a row, %d are wanted", got, want)
			}
		}
		together := time.Now()
		settle(time.Second, crash, 1)
		if n := a.settle(together, crash); n != 0 {
			t.Errorf("a call that was under way at the crash is counted: %d", n)
		}
		settle(time.Second, crash, 2)
		settle(time.Second, sdk.Errorf(sdk.Timeout, "too late"), 0)
		if d := a.held(); d != 0 {
			t.Errorf("held back for %s after two", d)
		}
		settle(time.Second, crash, 3)
		if d := a.held(); d != 100*time.Millisecond {
			t.Errorf("held back for %s after three", d)
		}
		settle(time.Second, crash, 4)
		if d := a.held(); d != 200*time.Millisecond {
			t.Errorf("held back for %s after four", d)
		}
		settle(2*time.Minute, crash, 1) // it had worked for long
		settle(time.Second, crash, 2)
		settle(time.Second, nil, 0)
		settle(time.Second, crash, 1)
		var h Health
		if a.show(&h); h.Crashes != 7 {
			t.Errorf("%d crashes in all, 7 are wanted", h.Crashes)
		}
	})
}
