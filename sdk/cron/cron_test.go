package cron_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tappet-dev/tappet/sdk/cron"
)

func ExampleParse() {
	times, err := cron.Parse("30 8 * * MON-FRI", "Europe/Berlin")
	if err != nil {
		fmt.Println(err)
		return
	}
	t := time.Date(2026, 10, 23, 12, 0, 0, 0, time.UTC) // a Friday; clocks go back on Sunday
	for range 2 {
		t = times.Next(t)
		fmt.Println(t.UTC().Format(time.RFC1123))
	}
	// Output:
	// Mon, 26 Oct 2026 07:30:00 UTC
	// Tue, 27 Oct 2026 07:30:00 UTC
}

func TestParseSaysWhatWouldBeRight(t *testing.T) {
	t.Parallel()
	for _, x := range []struct{ expr, zone, says string }{
		{"", "", "five are wanted"},
		{"* * *", "", "five are wanted"},
		{"@every 1h", "", "is given by every"},
		{"TZ=UTC * * * *", "", "is given by time_zone"},
		{"@daily", "Berlin", "Europe/Berlin"},
		{strings.Repeat("1,", 200) + "1 * * * *", "", "longer than 256"},
	} {
		if _, err := cron.Parse(x.expr, x.zone); err == nil || !strings.Contains(err.Error(), x.says) {
			t.Errorf("%q in %q: %v; want %q", x.expr, x.zone, err, x.says)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("*/5 0-3,7 1 JAN-MAR MON", "Europe/Berlin", int64(1_793_000_000))
	f.Add("0 0 31 2 *", "", int64(0))
	f.Fuzz(func(t *testing.T, expr, zone string, unix int64) {
		times, err := cron.Parse(expr, zone)
		if err != nil {
			return
		}
		now := time.Unix(unix%4_000_000_000, 0)
		if next := times.Next(now); !next.IsZero() && !next.After(now) {
			t.Fatalf("%q in %q: the time after %v is %v", expr, zone, now, next)
		}
	})
}
