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
	for _, x := range []struct {
		expr, zone string
		unix       int64
	}{
		{"*/5 0-3,7 1 JAN-MAR MON", "Europe/Berlin", 1_793_000_000},
		{"0 0 31 2 *", "", 0},                                // never
		{"30 2 * * *", "Europe/Berlin", 1_806_192_000},       // into the gap of 2027-03-28
		{"*/20 2 * * *", "Europe/Berlin", 1_806_195_000},     // several ticks in it
		{"30 * * * *", "Europe/Berlin", 1_792_886_400},       // the hour that comes twice
		{"30 2 * * *", "Europe/Berlin", 1_792_888_200},       // in its second turn
		{"45 1 * * *", "Australia/Lord_Howe", 1_806_760_000}, // back by half an hour
		{"0 0 * * *", "America/Havana", 1_804_990_000},       // a midnight that isn't there
		{"0 0 29 2 *", "", 1_767_225_600},
		{"0 0 13 * FRI", "", 1_793_000_000}, // either day
		{"@hourly", "Asia/Kathmandu", 1_793_000_000},
		{"@yearly", "Pacific/Apia", 1_325_000_000}, // a day that isn't there
		{"@every 1h", "", 0},
		{"TZ=UTC * * * *", "", 0},
		{"* * * * *", "Local", 0},
		{"* * * * *", "../../etc/passwd", 0},
		{"60 24 0 13 8", "", 0},
		{"59 23 31 12 7", "", -1},
	} {
		f.Add(x.expr, x.zone, x.unix)
	}
	f.Fuzz(func(t *testing.T, expr, zone string, unix int64) {
		times, err := cron.Parse(expr, zone)
		if err != nil {
			return
		}
		now := time.Unix(unix%4_000_000_000, 0)
		for range 3 {
			next := times.Next(now)
			if next.IsZero() {
				return
			}
			if !next.After(now) {
				t.Fatalf("%q in %q: the time after %v is %v", expr, zone, now, next)
			}
			now = next
		}
	})
}
