package schedule

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tappet-dev/tappet/sdk"
)

// host is a clock and a log.
type host struct {
	sdk.Host
	now  time.Time
	logs []string
}

func (h *host) Now() time.Time { return h.now }

func (h *host) Log(_ context.Context, l sdk.Level, msg string, _ ...any) {
	h.logs = append(h.logs, string(l)+": "+msg)
}

func at(t testing.TB, s string) time.Time {
	t.Helper()
	v, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// polled is one answer in short.
type polled struct{ Events, Cursor, Next string }

func ask(t testing.TB, h *host, config string, cursor sdk.Cursor) (polled, error) {
	t.Helper()
	b, err := New().Triggers[0].Poll(context.Background(), h, sdk.PollCall{Config: json.RawMessage(config), Cursor: cursor})
	if err != nil {
		return polled{}, err
	}
	p := polled{Cursor: string(b.Cursor), Next: b.Next.Format(time.RFC3339Nano)}
	for _, e := range b.Events {
		if want := fmt.Sprintf(`{"scheduled_at":%q}`, e.Key); string(e.Data) != want {
			t.Errorf("event is %s, want %s", e.Data, want)
		}
		p.Events += e.Key
	}
	return p, nil
}

func TestPoll(t *testing.T) {
	t.Parallel()
	const quarter, morning = `{"every":"15m"}`, `{"cron":"0 8 * * *","time_zone":"Europe/Berlin"}`
	for _, tt := range []struct {
		name, config, now string
		cursor            sdk.Cursor
		want              polled
		logged            bool
	}{
		{
			"every: the first poll sets the grid", quarter, "2026-11-24T10:00:07.9Z", "",
			polled{"", "2026-11-24T10:00:07Z", "2026-11-24T10:15:07Z"},
			false,
		},
		{
			"every: asked early", quarter, "2026-11-24T10:15:06Z", "2026-11-24T10:00:07Z",
			polled{"", "2026-11-24T10:00:07Z", "2026-11-24T10:15:07Z"},
			false,
		},
		{
			"every: on time", quarter, "2026-11-24T10:15:07Z", "2026-11-24T10:00:07Z",
			polled{"2026-11-24T10:15:07Z", "2026-11-24T10:15:07Z", "2026-11-24T10:30:07Z"},
			false,
		},
		{
			"every: late, and the grid holds", quarter, "2026-11-24T10:15:40.5Z", "2026-11-24T10:00:07Z",
			polled{"2026-11-24T10:15:07Z", "2026-11-24T10:15:07Z", "2026-11-24T10:30:07Z"},
			false,
		},
		{
			"every: missed ticks are skipped, and the grid holds", quarter, "2026-11-24T13:20:00Z", "2026-11-24T10:00:07Z",
			polled{"", "2026-11-24T13:15:07Z", "2026-11-24T13:30:07Z"},
			true,
		},
		{
			"every: of missed ones the newest fires when it is fresh", quarter, "2026-11-24T13:15:30Z", "2026-11-24T10:00:07Z",
			polled{"2026-11-24T13:15:07Z", "2026-11-24T13:15:07Z", "2026-11-24T13:30:07Z"},
			false,
		},
		{
			"every: the clock was set back by a year", quarter, "2025-11-24T10:20:00Z", "2026-11-24T10:00:07Z",
			polled{"", "2025-11-24T10:15:07Z", "2025-11-24T10:30:07Z"},
			false,
		},
		{
			"cron: the first poll", morning, "2026-11-24T06:59:00Z", "",
			polled{"", "2026-11-24T06:59:00Z", "2026-11-24T07:00:00Z"},
			false,
		},
		{
			"cron: on time", morning, "2026-11-24T07:00:00.2Z", "2026-11-24T06:59:00Z",
			polled{"2026-11-24T07:00:00Z", "2026-11-24T07:00:00Z", "2026-11-25T07:00:00Z"},
			false,
		},
		{
			"cron: asked again", morning, "2026-11-24T07:00:01Z", "2026-11-24T07:00:00Z",
			polled{"", "2026-11-24T07:00:00Z", "2026-11-25T07:00:00Z"},
			false,
		},
		{
			"cron: missed", morning, "2026-11-24T09:00:00Z", "2026-11-21T07:00:00Z",
			polled{"", "2026-11-24T09:00:00Z", "2026-11-25T07:00:00Z"},
			true,
		},
		{
			"cron: the clock was set back", morning, "2026-11-24T06:00:00Z", "2026-11-24T07:00:00Z",
			polled{"", "2026-11-24T06:00:00Z", "2026-11-24T07:00:00Z"},
			false,
		},
		{
			"cron: either day is enough", `{"cron":"0 0 13 * FRI"}`, "2026-11-08T00:00:00Z", "",
			polled{"", "2026-11-08T00:00:00Z", "2026-11-13T00:00:00Z"},
			false,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := &host{now: at(t, tt.now)}
			got, err := ask(t, h, tt.config, tt.cursor)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
			if logged := len(h.logs) > 0; logged != tt.logged {
				t.Errorf("logged %q, want a warning: %v", h.logs, tt.logged)
			}
		})
	}
}

func TestNewestTickAfterYears(t *testing.T) {
	t.Parallel()
	g, err := parseCron("* * * * *", "")
	if err != nil {
		t.Fatal(err)
	}
	now := at(t, "2026-11-24T10:00:30Z")
	if tick, ok := g.last(now.AddDate(-4, 0, 0), now); !ok || !tick.Equal(at(t, "2026-11-24T10:00:00Z")) {
		t.Errorf("newest tick is %v, %v", tick, ok)
	}
}

func TestDaylightSaving(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		cron, zone, from string
		want             []string
	}{
		// Forward: 2027-03-28 has no 02:00–03:00 in Berlin.
		{"30 2 * * *", "Europe/Berlin", "2027-03-27T12:00:00Z", []string{"2027-03-28T03:00:00+02:00", "2027-03-29T02:30:00+02:00"}},
		{"*/20 2 * * *", "Europe/Berlin", "2027-03-27T12:00:00Z", []string{"2027-03-28T03:00:00+02:00", "2027-03-29T02:00:00+02:00"}},
		{"0 * * * *", "Europe/Berlin", "2027-03-28T00:30:00Z", []string{"2027-03-28T03:00:00+02:00", "2027-03-28T04:00:00+02:00"}},
		// Back: 2026-10-25 has 02:00–03:00 twice.
		{"30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", []string{"2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"}},
		{"30 * * * *", "Europe/Berlin", "2026-10-25T00:00:00Z", []string{"2026-10-25T02:30:00+02:00", "2026-10-25T02:30:00+01:00", "2026-10-25T03:30:00+01:00"}},
		{"0 3 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", []string{"2026-10-25T03:00:00+01:00", "2026-10-26T03:00:00+01:00"}},
		// Half an hour, in the south.
		{"45 1 * * *", "Australia/Lord_Howe", "2027-04-03T12:00:00Z", []string{"2027-04-04T01:45:00+11:00", "2027-04-05T01:45:00+10:30"}},
		// A midnight that isn't there: 2027-03-14 in Havana.
		{"0 0 * * *", "America/Havana", "2027-03-13T12:00:00Z", []string{"2027-03-14T01:00:00-04:00", "2027-03-15T00:00:00-04:00"}},
		{"0 0 29 2 *", "", "2026-01-01T00:00:00Z", []string{"2028-02-29T00:00:00Z"}},
	} {
		g, err := parseCron(tt.cron, tt.zone)
		if err != nil {
			t.Fatal(err)
		}
		loc, err := time.LoadLocation(tt.zone)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for now := at(t, tt.from); len(got) < len(tt.want); {
			now = g.next(time.Time{}, now)
			got = append(got, now.In(loc).Format(time.RFC3339))
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s in %s: %s", tt.cron, tt.zone, diff)
		}
	}
}

func TestRefusedConfigs(t *testing.T) {
	t.Parallel()
	for config, says := range map[string]string{
		`{}`:                                               "every or cron is wanted",
		`{"every":"1m","cron":"@daily"}`:                   "exclude each other",
		`{"every":"1m","time_zone":"UTC"}`:                 "time_zone belongs to cron",
		`{"every":"soon"}`:                                 "is not a duration such as 30s",
		`{"every":"10ms"}`:                                 "is not between 1s and 8760h",
		`{"every":"-1h"}`:                                  "is not between",
		`{"every":"9000h"}`:                                "is not between",
		`{"every":3}`:                                      "config",
		`{"cron":"* * * *"}`:                               "has 4 fields; five are wanted",
		`{"cron":"* * * * * *"}`:                           "has 6 fields",
		`{"cron":"61 * * * *"}`:                            "cron: ",
		`{"cron":"*/0 * * * *"}`:                           "cron: ",
		`{"cron":"a b c d e"}`:                             "cron: ",
		`{"cron":"@every 1h"}`:                             "is given by every",
		`{"cron":"@reboot"}`:                               "cron: ",
		`{"cron":"TZ=UTC * * * *"}`:                        "is given by time_zone",
		`{"cron":"0 0 30 2 *"}`:                            "never ticks",
		`{"cron":"@daily","time_zone":"Berlin"}`:           "not an IANA name such as Europe/Berlin",
		`{"cron":"@daily","time_zone":"Local"}`:            "not an IANA name",
		`{"cron":"@daily","time_zone":"../../etc/passwd"}`: "not an IANA name",
	} {
		_, err := ask(t, &host{now: at(t, "2026-11-24T10:00:00Z")}, config, "")
		if sdk.KindOf(err) != sdk.Invalid || !strings.Contains(fmt.Sprint(err), says) {
			t.Errorf("%s: %v, want kind invalid saying %q", config, err, says)
		}
	}
	if _, err := ask(t, &host{}, `{"every":"1m"}`, "yesterday"); sdk.KindOf(err) != sdk.Invalid {
		t.Errorf("a broken cursor gives %v", err)
	}
}

func FuzzCron(f *testing.F) {
	for _, s := range []string{"*/5 0-3,7 1 JAN-MAR MON", "@daily", "0 0 31 2 *", "0 22-2/2 * * *", "TZ=UTC * * * *", "59 23 31 12 7"} {
		f.Add(s, "Europe/Berlin", int64(1_793_000_000))
	}
	f.Fuzz(func(t *testing.T, expr, zone string, unix int64) {
		g, err := parseCron(expr, zone)
		if err != nil {
			return
		}
		now := time.Unix(unix%4_000_000_000, 0)
		if next := g.next(now, now); !next.IsZero() && !next.After(now) {
			t.Fatalf("%q in %q: the tick after %v is %v", expr, zone, now, next)
		}
		if tick, ok := g.last(now.Add(-time.Hour), now); ok && (tick.After(now) || !tick.After(now.Add(-time.Hour))) {
			t.Fatalf("%q in %q: the last tick up to %v is %v", expr, zone, now, tick)
		}
	})
}
