package engine_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tappet-dev/tappet/engine"
	"github.com/tappet-dev/tappet/engine/graph"
	"github.com/tappet-dev/tappet/sdk"
)

// polling is a graph that polls, with more keys of its trigger.
func polling(name, more string) string {
	return "name: " + name + "\ntrigger: {use: test.poll, with: {graph: " + name + "}" + more + "}\nsteps:\n  - {id: a, use: test.act}\n"
}

// polled notes when each graph was asked, by the fake clock.
func polled(b *bench) func() map[string][]time.Time {
	var mu sync.Mutex
	at := map[string][]time.Time{}
	b.polls(func(c sdk.PollCall) (sdk.RawBatch, error) {
		var with struct{ Graph string }
		if err := json.Unmarshal(c.Config, &with); err != nil {
			return sdk.RawBatch{}, err
		}
		mu.Lock()
		defer mu.Unlock()
		at[with.Graph] = append(at[with.Graph], time.Now().UTC())
		return sdk.RawBatch{}, nil
	})
	return func() map[string][]time.Time {
		mu.Lock()
		defer mu.Unlock()
		return at
	}
}

func TestPollsOfGraphsSpreadByATenth(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, dir)
		defer b.close()
		got := polled(b)
		for i := range 4 {
			b.on(polling(fmt.Sprintf("g%d", i), ", every: 100s"))
		}
		time.Sleep(10 * time.Minute) // the bubble's
		synctest.Wait()
		all := map[time.Duration]bool{}
		for name, at := range got() {
			first := at[1].Sub(at[0])
			all[first] = true
			for i := range at[1:] {
				if d := at[i+1].Sub(at[i]); d < 90*time.Second || d > 110*time.Second || (d-first).Abs() > time.Second {
					t.Errorf("%s: %s between two polls, 100s ± 10 %% is wanted, always the same", name, d)
				}
			}
		}
		if len(all) != 4 {
			t.Errorf("the intervals of four graphs are %v", all)
		}
	})
}

func TestAPollByCronWaitsForItsTimes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) { // the bubble's clock begins at midnight, UTC
		b := newBench(t, dir)
		defer b.close()
		got := polled(b)
		b.on(polling("g", `, cron: "30 8,20 * * *", time_zone: Asia/Tokyo`))
		time.Sleep(36 * time.Hour)
		synctest.Wait()
		var at []string
		for _, x := range got()["g"] {
			at = append(at, x.Format("02 15:04:05"))
		}
		if want := []string{"01 11:30:00", "01 23:30:00", "02 11:30:00"}; !slices.Equal(at, want) {
			t.Errorf("polled at %v; want %v", at, want)
		}
	})
}

func TestTimesAreCheckedWhenAGraphIsPublished(t *testing.T) {
	t.Parallel()
	b := newBench(t, t.TempDir())
	for i, x := range []struct{ more, says string }{
		{`, cron: "61 * * * *"`, "cron: "},
		{`, cron: "0 0 30 2 *"`, "no such day"},
		{`, cron: "@daily", time_zone: Berlin`, "IANA name such as Europe/Berlin"},
		{`, cron: "@daily", every: 1m`, "exclude each other"},
		{`, time_zone: UTC`, `there is no "cron"`},
	} {
		name := fmt.Sprintf("g%d", i)
		if _, err := b.CreateGraph(t.Context(), []byte(polling(name, x.more)), graph.YAML); err != nil {
			t.Fatal(err)
		}
		_, err := b.Publish(t.Context(), name)
		if e := wantKind(t, err, engine.Invalid); len(e.Problems) != 1 || !strings.Contains(e.Problems[0].Message, x.says) {
			t.Errorf("%s: %+v; want one that says %q", x.more, e.Problems, x.says)
		}
	}
}

func TestAFailingPollComesLessAndLessOften(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, dir)
		defer b.close()
		var at []time.Time
		b.polls(func(sdk.PollCall) (sdk.RawBatch, error) {
			at = append(at, time.Now())
			return sdk.RawBatch{}, sdk.Errorf(sdk.Unavailable, "down")
		})
		b.on(polling("g", ", every: 1s"))
		time.Sleep(time.Hour)
		synctest.Wait()
		want := time.Second
		for i := range at[1:] {
			if d := at[i+1].Sub(at[i]); d < want-want/10 || d > want+want/10 {
				t.Errorf("pause %d is %s; want %s ± 10 %%", i, d, want)
			}
			want = min(2*want, 5*time.Minute)
		}
		if len(at) < 15 {
			t.Errorf("polled %d times in an hour", len(at))
		}
	})
}

// streams lets a test be the stream trigger of connector test.
func (b *bench) streams(f func(context.Context, sdk.StreamCall, sdk.EmitFunc) error) {
	c := b.connector()
	for i := range c.Triggers {
		if c.Triggers[i].Kind == sdk.KindStream {
			c.Triggers[i].Stream = func(ctx context.Context, _ sdk.Host, call sdk.StreamCall, emit sdk.EmitFunc) error {
				return f(ctx, call, emit)
			}
		}
	}
	b.shelf.put(c, "d1")
}

const streamed = "name: streamed\ntrigger: {use: test.stream}\nsteps:\n  - {id: a, set: %d}\n"

func TestAGraphHasOneStreamAtATime(t *testing.T) {
	t.Parallel()
	b := newBench(t, t.TempDir())
	var mu sync.Mutex
	now, most := 0, 0
	began, end := make(chan struct{}, 8), make(chan struct{})
	b.streams(func(ctx context.Context, _ sdk.StreamCall, _ sdk.EmitFunc) error {
		mu.Lock()
		now++
		most = max(most, now)
		mu.Unlock()
		began <- struct{}{}
		<-ctx.Done()
		<-end // slow to go
		mu.Lock()
		now--
		mu.Unlock()
		return ctx.Err()
	})
	b.on(fmt.Sprintf(streamed, 1))
	<-began
	for i := range 3 {
		if _, err := b.PutDraft(t.Context(), "streamed", []byte(fmt.Sprintf(streamed, 2+i)), graph.YAML); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Publish(t.Context(), "streamed"); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Deactivate(t.Context(), "streamed"); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Activate(t.Context(), "streamed"); err != nil {
		t.Fatal(err)
	}
	close(end)
	<-began
	mu.Lock()
	defer mu.Unlock()
	if most != 1 {
		t.Errorf("%d streams ran at a time", most)
	}
}

func TestAStreamResumesAfterItsLastDurableEvent(t *testing.T) {
	t.Parallel()
	b := newBench(t, t.TempDir())
	from := make(chan sdk.Cursor, 8)
	b.streams(func(ctx context.Context, c sdk.StreamCall, emit sdk.EmitFunc) error {
		from <- c.Cursor
		if c.Cursor == "4" {
			<-ctx.Done()
			return ctx.Err()
		}
		var wg sync.WaitGroup
		for range 2 { // a stream may emit from several goroutines
			wg.Go(func() {
				if err := emit(ctx, c.Cursor+"2", sdk.Event{Data: json.RawMessage(`{}`)}); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if c.Cursor == "" {
			panic("in mid-stream")
		}
		return emit(ctx, "4", sdk.Event{Data: json.RawMessage(`{}`)})
	})
	b.on(fmt.Sprintf(streamed, 1))
	for _, want := range []sdk.Cursor{"", "2", "4"} {
		if got := <-from; got != want {
			t.Errorf("resumed from %q; want %q", got, want)
		}
	}
	page, err := b.Runs(t.Context(), "streamed", engine.RunQuery{Limit: 10})
	if err != nil || len(page.Runs) != 5 {
		t.Errorf("%d runs, %v; want 5", len(page.Runs), err)
	}
}
