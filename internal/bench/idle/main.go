// Command idle prints what plugins cost that have nothing to do: memory and CPU
// of the server and its plugins' processes, with a number of plugins of which
// each has one active poll, as WASM modules and as native programs.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/tappet-dev/tappet/api/client"
	"github.com/tappet-dev/tappet/internal/bench"
	"github.com/tappet-dev/tappet/internal/bench/emitter"
)

func main() {
	var m measure
	flag.IntVar(&m.plugins, "plugins", 100, "plugins of each kind")
	flag.DurationVar(&m.watch, "watch", 20*time.Second, "how long is measured")
	flag.DurationVar(&m.every, "every", 10*time.Second, "how often each is asked")
	flag.StringVar(&m.tappet, "tappet", "", "path of the tappet binary")
	wasm := flag.String("wasm", "", "path of internal/bench/emitter/plugin, built for wasip1")
	native := flag.String("native", "", "path of internal/bench/emitter/plugin, built for this machine")
	flag.Parse()
	if err := m.run(map[string]string{"none": "", "WASM": *wasm, "native": *native}); err != nil {
		log.Fatal(err)
	}
}

type measure struct {
	plugins      int
	watch, every time.Duration
	tappet       string
}

type figures struct {
	start time.Duration // until all plugins were ready
	rss   int64
	cpu   float64 // part of one processor
}

func (m *measure) run(files map[string]string) error {
	fmt.Printf("Idle: %d plugins, each with an active poll every %s that finds nothing, over %s. Server and plugins' processes together.\n\n", m.plugins, m.every, m.watch)
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "plugins\tready after\tRSS MB\tMB per plugin\tCPU of one core")
	var none figures
	for _, kind := range []string{"none", "WASM", "native"} {
		f, err := m.one(files[kind])
		if err != nil {
			return fmt.Errorf("%s: %w", kind, err)
		}
		if kind == "none" {
			none = f
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%.1f\t%.2f %%\n", kind, f.start.Round(100*time.Millisecond), f.rss>>20,
			float64(f.rss-none.rss)/(1<<20)/float64(m.plugins), 100*f.cpu)
	}
	return w.Flush()
}

// one measures a server with plugins of one file, or without any.
func (m *measure) one(file string) (f figures, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Minute)
	defer cancel()
	dir, err := os.MkdirTemp("", "tappet-bench")
	if err != nil {
		return f, err
	}
	defer os.RemoveAll(dir)
	var names []string
	for i := range m.plugins {
		if file == "" {
			break
		}
		name := fmt.Sprintf("emitter_%03d", i)
		name += strings.Repeat("_", len(emitter.Placeholder)-len(name))
		if err := bench.InstallAs(dir, file, emitter.Placeholder, name); err != nil {
			return f, err
		}
		names = append(names, name)
	}
	began := time.Now()
	s, err := bench.StartTappet(ctx, m.tappet, dir, "--log-level", "warn")
	if err != nil {
		return f, err
	}
	defer func() { _ = s.Kill() }()
	for _, name := range names {
		if err := s.AwaitPlugin(ctx, name); err != nil {
			return f, err
		}
	}
	f.start = time.Since(began)
	for i, name := range names {
		graph := fmt.Sprintf("g%d", i)
		doc := fmt.Sprintf("name: %s\ntrigger: {use: %s.poll, with: {events: 0}, every: %s}\nsteps:\n  - {id: a, set: 1}\n", graph, name, m.every)
		if _, err := s.Deploy(ctx, graph, []byte(doc), client.YAML); err != nil {
			return f, err
		}
	}
	if err := m.rest(ctx, m.every); err != nil { // each was asked, and has its instance
		return f, err
	}
	before, _, err := s.Usage()
	if err != nil {
		return f, err
	}
	if err := m.rest(ctx, m.watch); err != nil {
		return f, err
	}
	after, rss, err := s.Usage()
	f.rss, f.cpu = rss, float64(after-before)/float64(m.watch)
	return f, err
}

// rest waits.
func (*measure) rest(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
