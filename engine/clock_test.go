package engine_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tappet-dev/tappet/connectors/schedule"
	"github.com/tappet-dev/tappet/engine"
	"github.com/tappet-dev/tappet/engine/graph"
	"github.com/tappet-dev/tappet/engine/local"
	"github.com/tappet-dev/tappet/engine/sqlite"
	"github.com/tappet-dev/tappet/sdk"
)

// A settable clock is the bubble's, set ahead or back.
type settable struct{ ahead atomic.Int64 }

func (c *settable) Now() time.Time {
	return time.Now().UTC().Round(0).Add(time.Duration(c.ahead.Load()))
}

func (c *settable) set(t time.Time) { c.ahead.Add(int64(t.Sub(c.Now()))) }

func (c *settable) jump(d time.Duration) { c.ahead.Add(int64(d)) }

// clockHosts gives hosts that have the clock and nothing else.
type clockHosts struct{ *settable }

type clockHost struct {
	sdk.Host
	engine.Clock
}

func (h clockHost) Now() time.Time { return h.Clock.Now() }

func (clockHost) Log(context.Context, sdk.Level, string, ...any) {}

func (h clockHosts) Host(context.Context, engine.HostCall) (sdk.Host, func()) {
	return clockHost{Clock: h.settable}, func() {}
}

// A clockwork is an engine on a clock that can be set, with the schedule and the
// connector test, whose poll notes when it is asked.
type clockwork struct {
	*engine.Engine
	*settable
	t     testing.TB
	close func()

	mu    sync.Mutex
	asked []string
}

func newClockwork(t testing.TB, dir, now string) *clockwork {
	t.Helper()
	at, err := time.Parse(time.RFC3339, now)
	if err != nil {
		t.Fatal(err)
	}
	w := &clockwork{settable: &settable{}, t: t}
	w.set(at)
	store, err := sqlite.Open(context.Background(), dir, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	runner := local.New(store, local.Options{Log: log, Clock: w.settable, Drain: time.Millisecond})
	clock := schedule.New()
	shelf := &shelf{m: map[string]engine.Connector{"schedule": {Connector: &clock, Origin: "builtin"}}}
	shelf.put(sdk.Connector{Name: "test", Triggers: []sdk.Trigger{{Name: "poll", Kind: sdk.KindPoll, Poll: w.poll}}}, "d1")
	w.Engine, err = engine.New(engine.Options{
		Graphs: store, Versions: store, Runner: runner, History: runner,
		Connectors: shelf, Hosts: clockHosts{w.settable}, Clock: w.settable, Log: log,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	w.close = sync.OnceFunc(func() {
		if err := errors.Join(w.Stop(context.Background()), store.Close()); err != nil {
			t.Error(err)
		}
	})
	return w
}

func (w *clockwork) poll(context.Context, sdk.Host, sdk.PollCall) (sdk.RawBatch, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked = append(w.asked, w.Now().Format("02 15:04"))
	return sdk.RawBatch{}, nil
}

// on turns a graph with a trigger ON.
func (w *clockwork) on(trigger string) {
	w.t.Helper()
	doc := "name: g\ntrigger: " + trigger + "\nsteps:\n  - {id: a, set: 1}\n"
	if _, err := w.CreateGraph(context.Background(), []byte(doc), graph.YAML); err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.Publish(context.Background(), "g"); err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.Activate(context.Background(), "g"); err != nil {
		w.t.Fatal(err)
	}
}

// passes lets time go by.
func (*clockwork) passes(d time.Duration) {
	time.Sleep(d) // the bubble's
	synctest.Wait()
}

// fired gives the moments that have become runs, oldest first.
func (w *clockwork) fired() (out []string) {
	w.t.Helper()
	page, err := w.Runs(context.Background(), "g", engine.RunQuery{Limit: 200})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, r := range page.Runs {
		_, at, _ := strings.Cut(r.Key, "/")
		moment, err := time.Parse(time.RFC3339Nano, at)
		if err != nil {
			w.t.Fatal(err)
		}
		out = append(out, moment.Format("02 15:04"))
	}
	slices.Reverse(out)
	return out
}

func (w *clockwork) wantFired(want ...string) {
	w.t.Helper()
	if d := cmp.Diff(want, w.fired()); d != "" {
		w.t.Errorf("at %s: what has fired differs:\n%s", w.Now(), d)
	}
}

const everyQuarter = `{use: schedule, with: {every: 15m}}`

func TestAClockSetAheadSkipsTicksAndDoublesNone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		w := newClockwork(t, dir, "2026-11-24T10:00:00Z")
		defer w.close()
		w.on(everyQuarter)
		w.passes(20 * time.Minute)
		w.wantFired("24 10:15")
		w.jump(time.Hour) // 11:20: four ticks are passed over, the newest is five minutes old
		w.passes(9 * time.Minute)
		w.wantFired("24 10:15")
		w.passes(17 * time.Minute)
		w.wantFired("24 10:15", "24 11:30", "24 11:45")
		w.jump(time.Hour - 90*time.Second) // 12:44:30: 12:45 is still to come
		w.passes(2 * time.Minute)
		w.wantFired("24 10:15", "24 11:30", "24 11:45", "24 12:45")
	})
}

func TestAClockSetBackFiresNothingAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		w := newClockwork(t, dir, "2026-11-24T10:00:00Z")
		defer w.close()
		w.on(everyQuarter)
		w.passes(80 * time.Minute)
		before := []string{"24 10:15", "24 10:30", "24 10:45", "24 11:00", "24 11:15"}
		w.wantFired(before...)
		w.jump(-time.Hour) // 10:20
		w.passes(59 * time.Minute)
		w.wantFired(before...)
		w.passes(20 * time.Minute)
		w.wantFired(append(before, "24 11:30")...)
	})
}

// A clock that was a year ahead isn't waited for.
func TestAClockSetBackByAYearGoesOn(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		w := newClockwork(t, dir, "2027-11-24T10:00:00Z")
		defer w.close()
		w.on(everyQuarter)
		w.passes(16 * time.Minute)
		w.wantFired("24 10:15")
		w.jump(-365 * 24 * time.Hour)
		w.passes(30 * time.Minute)
		w.wantFired("24 10:15", "24 10:30", "24 10:45")
	})
}

func TestScheduleWhereClocksChange(t *testing.T) {
	t.Parallel()
	for name, x := range map[string]struct {
		now, cron string
		hours     int
		want      []string // UTC
	}{
		// 02:00 to 03:00 isn't there on the 28th: what belongs there fires once, at 03:00.
		"forward, daily":  {"2027-03-27T12:00:00Z", "30 2 * * *", 48, []string{"28 01:00", "29 00:30"}},
		"forward, often":  {"2027-03-28T00:10:00Z", "*/30 2-3 * * *", 3, []string{"28 01:00", "28 01:30"}},
		"forward, hourly": {"2027-03-28T00:10:00Z", "0 * * * *", 3, []string{"28 01:00", "28 02:00", "28 03:00"}},
		// 02:00 to 03:00 comes twice on the 25th: a daily tick fires in the first.
		"back, daily":  {"2026-10-24T12:00:00Z", "30 2 * * *", 48, []string{"25 00:30", "26 01:30"}},
		"back, hourly": {"2026-10-24T23:10:00Z", "0 * * * *", 4, []string{"25 00:00", "25 01:00", "25 02:00", "25 03:00"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				w := newClockwork(t, dir, x.now)
				defer w.close()
				w.on(`{use: schedule, with: {cron: "` + x.cron + `", time_zone: Europe/Berlin}}`)
				w.passes(time.Duration(x.hours) * time.Hour)
				w.wantFired(x.want...)
			})
		})
	}
}

func TestAPollWhoseClockIsSet(t *testing.T) {
	t.Parallel()
	for name, x := range map[string]struct {
		times string
		jump  time.Duration
		want  []string
	}{
		// An interval, here spread to 32.5 minutes, is of no clock.
		"every, ahead": {"every: 30m", time.Hour, []string{"24 10:00", "24 10:32", "24 12:04", "24 12:37"}},
		"every, back":  {"every: 30m", -time.Hour, []string{"24 10:00", "24 10:32", "24 10:04", "24 10:37"}},
		// Times that are passed over are asked for once, within a minute.
		"cron, ahead": {`cron: "*/30 * * * *"`, time.Hour, []string{"24 10:30", "24 11:46", "24 12:00", "24 12:30"}},
		"cron, back":  {`cron: "*/30 * * * *"`, -time.Hour, []string{"24 10:30", "24 10:00", "24 10:30"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				w := newClockwork(t, dir, "2026-11-24T10:00:00Z")
				defer w.close()
				w.on(`{use: test.poll, ` + x.times + `}`)
				w.passes(45 * time.Minute)
				w.jump(x.jump)
				w.passes(55 * time.Minute)
				w.mu.Lock()
				defer w.mu.Unlock()
				if d := cmp.Diff(x.want, w.asked); d != "" {
					t.Errorf("when it was asked differs:\n%s", d)
				}
			})
		})
	}
}
