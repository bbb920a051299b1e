// Command triggers prints what the way of an event costs, from a trigger's
// function into a durable run that has ended: events a second, and CPU seconds
// of the server and its plugins' processes per 1,000 events, for a stream, a poll
// and a webhook, of a connector in the server's process, as a WASM module and as a
// native program, in turn on one server.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"text/tabwriter"
	"time"

	"github.com/tappet-dev/tappet/api/client"
	"github.com/tappet-dev/tappet/internal/bench"
	"github.com/tappet-dev/tappet/internal/bench/emitter"
)

func main() {
	c := comparison{got: map[string]figures{}}
	flag.IntVar(&c.events, "events", 4000, "events in each round of a poll and of a stream that gives 16 at a time; a quarter of it where each comes by itself")
	flag.IntVar(&c.rounds, "rounds", 3, "rounds of each, after one that warms")
	flag.StringVar(&c.tappet, "tappet", "", "path of the tappet binary, built with the tag tappet_bench")
	flag.StringVar(&c.wasm, "wasm", "", "path of internal/bench/emitter/plugin, built for wasip1")
	flag.StringVar(&c.native, "native", "", "path of internal/bench/emitter/plugin, built for this machine")
	flag.StringVar(&c.only, "only", "", "text that a way with its pipe must have, as in \"poll, all at once, WASM\"; for profiles")
	flag.Parse()
	if err := c.run(); err != nil {
		log.Fatal(err)
	}
}

// The connectors, all of one source; the names have one length but for the
// first, which is built in.
const (
	inProcess = "emitter"
	asWASM    = "emitter_as_wasm____"
	asNative  = "emitter_as_native__"
)

// A way is one way of events out of a connector. What commits each event by
// itself takes so long that a part of the events will do.
type way struct {
	title, kind string
	batch, part int
}

var (
	ways = []way{
		{"stream, one event at a time", "stream", 1, 4},
		{"stream, 16 events at a time", "stream", 16, 1},
		{"poll, all at once", "poll", 0, 1},
		{"webhook, 16 requests at a time", "webhook", 0, 4},
	}
	pipes = []struct{ title, name string }{{"in process", inProcess}, {"WASM", asWASM}, {"native", asNative}}
)

// figures are the sums of all rounds.
type figures struct {
	events    int
	took, cpu time.Duration
}

// perThousand is the CPU of 1,000 events.
func (f figures) perThousand() float64 { return f.cpu.Seconds() * 1000 / float64(f.events) }

type comparison struct {
	events, rounds       int
	tappet, wasm, native string
	only                 string
	// got are the figures by way and connector.
	got map[string]figures
	// graphs counts those that were made.
	graphs int
}

func (c *comparison) run() error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	dir, err := os.MkdirTemp("", "tappet-bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	err = errors.Join(bench.InstallAs(dir, c.wasm, emitter.Placeholder, asWASM), bench.InstallAs(dir, c.native, emitter.Placeholder, asNative))
	if err != nil {
		return err
	}
	s, err := bench.StartTappet(ctx, c.tappet, dir, "--log-level", "warn")
	if err != nil {
		return err
	}
	defer func() { _ = s.Kill() }()
	if err := errors.Join(s.AwaitPlugin(ctx, asWASM), s.AwaitPlugin(ctx, asNative)); err != nil {
		return err
	}
	for round := range c.rounds + 1 { // the first warms
		for _, w := range ways {
			for _, p := range pipes {
				if !strings.Contains(w.title+", "+p.title, c.only) {
					continue
				}
				f, err := c.round(ctx, s, w, p.name)
				if err != nil {
					return fmt.Errorf("%s, %s: %w", w.title, p.title, err)
				}
				if round > 0 {
					sum := c.got[w.title+p.name]
					c.got[w.title+p.name] = figures{sum.events + f.events, sum.took + f.took, sum.cpu + f.cpu}
				}
			}
		}
	}
	return c.report()
}

// round has a graph of its own take all events of a connector.
func (c *comparison) round(ctx context.Context, s *bench.Tappet, w way, connector string) (figures, error) {
	c.graphs++
	graph, events := fmt.Sprintf("g%d", c.graphs), c.events/w.part
	doc := fmt.Sprintf("name: %s\ntrigger: {use: %s.%s, with: {events: %d, batch: %d}}\nsteps:\n  - {id: a, set: \"${{ trigger.n }}\"}\n",
		graph, connector, w.kind, events, w.batch)
	before, _, err := s.Usage()
	if err != nil {
		return figures{}, err
	}
	start := time.Now()
	if _, err := s.Deploy(ctx, graph, []byte(doc), client.YAML); err != nil {
		return figures{}, err
	}
	if w.kind == "webhook" {
		if err := post(ctx, s.URL+"/hooks/"+graph, events); err != nil {
			return figures{}, err
		}
	}
	if err := await(ctx, s, graph, events); err != nil {
		return figures{}, err
	}
	took := time.Since(start)
	after, _, err := s.Usage()
	if err != nil {
		return figures{}, err
	}
	if _, err := s.Deactivate(ctx, graph); err != nil {
		return figures{}, err
	}
	return figures{events, took, after - before}, nil
}

// post sends the numbers up to the last one, 16 at a time, and that one alone.
func post(ctx context.Context, url string, events int) error {
	const senders = 16
	hc := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: senders}}
	defer hc.CloseIdleConnections()
	send := func(n int) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(strconv.Itoa(n)))
		if err != nil {
			return err
		}
		res, err := hc.Do(req)
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, res.Body)
		if err = errors.Join(err, res.Body.Close()); err == nil && res.StatusCode != http.StatusAccepted {
			err = fmt.Errorf("the hook answered %s", res.Status)
		}
		return err
	}
	var next atomic.Int64
	errs := make(chan error, senders)
	for range senders {
		go func() {
			var err error
			for n := next.Add(1); err == nil && n < int64(events); n = next.Add(1) {
				err = send(int(n))
			}
			errs <- err
		}()
	}
	var err error
	for range senders {
		err = errors.Join(err, <-errs)
	}
	if err != nil {
		return err
	}
	return send(events)
}

// await waits until the last event's run has ended, and every other.
func await(ctx context.Context, s *bench.Tappet, graph string, events int) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	last := ""
	for {
		page, err := s.Runs(ctx, client.RunQuery{Graph: graph, Limit: 1})
		if err != nil {
			return err
		}
		if len(page.Items) > 0 {
			last = page.Items[0].Key
		}
		if strings.HasSuffix(last, fmt.Sprintf("/%d", events)) {
			open, err := s.Runs(ctx, client.RunQuery{Graph: graph, States: []string{"queued", "running", "waiting"}, Limit: 1})
			if err != nil || len(open.Items) == 0 {
				return err
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("wait for the last event: %w; the newest is %q", ctx.Err(), last)
		}
	}
}

func (c *comparison) report() error {
	fmt.Printf("Triggers: events of 300 B into durable runs of one step. %d rounds of up to %d events, one server, in turn.\n\n", c.rounds, c.events)
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\t\tevents/s\tCPU s per 1,000 events\tto in process")
	for _, x := range ways {
		base := c.got[x.title+inProcess].perThousand()
		for i, p := range pipes {
			title := ""
			if i == 0 {
				title = x.title
			}
			f := c.got[x.title+p.name]
			fmt.Fprintf(w, "%s\t%s\t%.0f\t%.3f\t%.2f\n", title, p.title, float64(f.events)/f.took.Seconds(), f.perThousand(), f.perThousand()/base)
		}
	}
	fmt.Fprintln(w, "(target: WASM 2.0 at most)")
	return w.Flush()
}
