// Command w1 prints what a run of W1 costs in Tappet, durable, and in bare,
// non-durable Go, measured side by side in one go: runs a second, CPU seconds
// of the server's process per 1,000 runs, and their ratio. Every run is
// counted at the sink.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/tappet-dev/tappet/api/client"
	"github.com/tappet-dev/tappet/internal/bench"
)

func main() {
	runs := flag.Int("runs", 10_000, "runs in each round")
	rounds := flag.Int("rounds", 3, "rounds of each; the median counts")
	clients := flag.Int("c", 64, "clients that send at once")
	tappet := flag.String("tappet", "", "path of the tappet binary")
	bare := flag.String("bare", "", "path of the bare binary")
	flag.Parse()
	if err := compare(*runs, *rounds, *clients, *tappet, *bare); err != nil {
		log.Fatal(err)
	}
}

// A subject is a server that does W1.
type subject struct {
	name string
	proc *bench.Process
	url  string
	got  []figures
}

type figures struct {
	perSecond float64
	cpu       time.Duration // per 1,000 runs
	p50       time.Duration
	rss       int64
}

func compare(runs, rounds, clients int, tappet, bare string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	dir, err := os.MkdirTemp("", "tappet-bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	sink, err := bench.NewSink("")
	if err != nil {
		return err
	}
	defer sink.Close()
	b, err := startBare(ctx, bare, sink)
	if err != nil {
		return err
	}
	defer func() { _ = b.proc.Kill() }()
	t, err := startTappet(ctx, tappet, filepath.Join(dir, "data"), sink)
	if err != nil {
		return err
	}
	defer func() { _ = t.proc.Kill() }()
	for _, s := range []*subject{b, t} { // warm
		if _, err := s.round(ctx, sink, runs/10+1, clients); err != nil {
			return err
		}
	}
	for range rounds {
		for _, s := range []*subject{b, t} {
			f, err := s.round(ctx, sink, runs, clients)
			if err != nil {
				return err
			}
			s.got = append(s.got, f)
		}
	}
	return report(b, t, runs, rounds, clients)
}

func startBare(ctx context.Context, path string, sink *bench.Sink) (*subject, error) {
	p, err := bench.Start(ctx, exec.Command(path, "-sink", sink.URL))
	if err != nil {
		return nil, err
	}
	return &subject{name: "bare net/http, not durable", proc: p, url: p.URL + "/"}, nil
}

func startTappet(ctx context.Context, path, data string, sink *bench.Sink) (*subject, error) {
	const token = "bench-token-of-a-temporary-folder"
	cmd := exec.Command(path, "serve", "--data", data, "--addr", "127.0.0.1:0", "--egress-allow", sink.URL[len("http://"):])
	cmd.Env = append(os.Environ(), "TAPPET_ADMIN_TOKEN="+token)
	p, err := bench.Start(ctx, cmd)
	if err != nil {
		return nil, err
	}
	c, err := client.New(p.URL, token, client.Options{})
	if err != nil {
		return nil, err
	}
	if _, err := c.Deploy(ctx, "w1", bench.Graph(sink.URL), client.YAML); err != nil {
		return nil, err
	}
	return &subject{name: "tappet, durable", proc: p, url: p.URL + "/hooks/w1"}, nil
}

func (s *subject) round(ctx context.Context, sink *bench.Sink, runs, clients int) (figures, error) {
	before := sink.Count()
	cpu, err := bench.CPU(s.proc.Pid())
	if err != nil {
		return figures{}, err
	}
	start := time.Now()
	load := &bench.Load{URL: s.url, Clients: clients, Count: runs, Body: bench.Event}
	res, err := load.Run(ctx)
	if err != nil {
		return figures{}, err
	}
	if res.OK != runs {
		return figures{}, fmt.Errorf("%s took %d of %d events", s.name, res.OK, runs)
	}
	for sink.Count() < before+int64(runs) {
		if ctx.Err() != nil {
			return figures{}, fmt.Errorf("%s: the sink has %d of %d runs", s.name, sink.Count()-before, runs)
		}
		time.Sleep(time.Millisecond)
	}
	took := time.Since(start)
	after, err := bench.CPU(s.proc.Pid())
	if err != nil {
		return figures{}, err
	}
	rss, err := bench.RSS(s.proc.Pid())
	if err != nil {
		return figures{}, err
	}
	return figures{
		perSecond: float64(runs) / took.Seconds(),
		cpu:       time.Duration(float64(after-cpu) * 1000 / float64(runs)),
		p50:       res.P50, rss: rss,
	}, nil
}

func median[T int64 | float64 | time.Duration](fs []figures, of func(figures) T) T {
	v := make([]T, len(fs))
	for i, f := range fs {
		v[i] = of(f)
	}
	slices.Sort(v)
	return v[len(v)/2]
}

func report(b, t *subject, runs, rounds, clients int) error {
	fmt.Printf("W1: webhook, four mapped fields, POST. Median of %d rounds of %d runs, %d clients, one machine, side by side.\n\n", rounds, runs, clients)
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\truns/s\tCPU s per 1,000 runs\tp50 of the answer\tRSS MB")
	cpu := func(f figures) time.Duration { return f.cpu }
	for _, s := range []*subject{b, t} {
		fmt.Fprintf(w, "%s\t%.0f\t%.3f\t%s\t%d\n", s.name,
			median(s.got, func(f figures) float64 { return f.perSecond }), median(s.got, cpu).Seconds(),
			median(s.got, func(f figures) time.Duration { return f.p50 }).Round(10*time.Microsecond),
			median(s.got, func(f figures) int64 { return f.rss })>>20)
	}
	ratio := float64(median(t.got, cpu)) / float64(median(b.got, cpu))
	fmt.Fprintf(w, "ratio of CPU\t\t%.2f\t(first target 2.0, goal 1.35)\t\n", ratio)
	return w.Flush()
}
