// Command blackhole prints what 10,000 runs whose service never answers take
// from another graph: the time from an event of the live graph to its request,
// alone and beside them, in one server and one go. It fails past a ratio of 2.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"github.com/tappet-dev/tappet/api/client"
	"github.com/tappet-dev/tappet/internal/bench"
)

func main() {
	hanging := flag.Int("hanging", 10_000, "runs whose service never answers")
	events := flag.Int("events", 2_000, "events of the live graph in each part")
	tappet := flag.String("tappet", "", "path of the tappet binary")
	flag.Parse()
	if err := compare(*hanging, *events, *tappet); err != nil {
		log.Fatal(err)
	}
}

// token is that of a server which lives as long as this program.
const token = "bench-token-of-a-temporary-folder"

func compare(hanging, events int, tappet string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	dir, err := os.MkdirTemp("", "tappet-blackhole")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	hole, err := newHole()
	if err != nil {
		return err
	}
	defer hole.Close()
	sink, err := bench.NewSink("")
	if err != nil {
		return err
	}
	defer sink.Close()
	arrived := make(chan struct{}, 1)
	sink.Record = func(*http.Request, []byte) { arrived <- struct{}{} }
	cmd := exec.Command(tappet, "serve", "--data", filepath.Join(dir, "data"), "--addr", "127.0.0.1:0", "--drain", "100ms", "--egress-allow", "127.0.0.0/8")
	cmd.Env = append(os.Environ(), "TAPPET_ADMIN_TOKEN="+token)
	p, err := bench.Start(ctx, cmd)
	if err != nil {
		return err
	}
	defer func() { _ = p.Kill() }()
	c, err := client.New(p.URL, token, client.Options{})
	if err != nil {
		return err
	}
	if _, err := c.Deploy(ctx, "w1", bench.Graph(sink.URL), client.YAML); err != nil {
		return err
	}
	dead := bytes.ReplaceAll(bench.Graph("http://"+hole.Addr().String()), []byte("w1"), []byte("dead"))
	if _, err := c.Deploy(ctx, "dead", dead, client.YAML); err != nil {
		return err
	}
	live := func() ([]time.Duration, error) { return latencies(ctx, p.URL+"/hooks/w1", events, arrived) }
	if _, err := live(); err != nil { // warm
		return err
	}
	alone, err := live()
	if err != nil {
		return err
	}
	load := &bench.Load{URL: p.URL + "/hooks/dead", Clients: 64, Count: hanging, Body: bench.Event}
	if res, err := load.Run(ctx); err != nil || res.OK != hanging {
		return errors.Join(err, fmt.Errorf("the graph took %d of %d events", res.OK, hanging))
	}
	if err := allHang(ctx, c, hole.Addr().String(), hanging); err != nil {
		return err
	}
	beside, err := live()
	if err != nil {
		return err
	}
	if err := allHang(ctx, c, hole.Addr().String(), hanging); err != nil {
		return fmt.Errorf("at the end: %w", err)
	}
	rss, err := bench.RSS(p.Pid())
	if err != nil {
		return err
	}
	fmt.Printf("Event to request of a live graph, %d events one after another:\n\n", events)
	fmt.Printf("                        p50        p99\n")
	fmt.Printf("alone            %10s %10s\n", at(alone, 50), at(alone, 99))
	fmt.Printf("beside %6d    %10s %10s   RSS %d MB\n", hanging, at(beside, 50), at(beside, 99), rss>>20)
	ratio := float64(at(beside, 99)) / float64(at(alone, 99))
	fmt.Printf("ratio of p99     %21.2f   (at most 2)\n", ratio)
	if ratio > 2 {
		return fmt.Errorf("the live graph's p99 is %.2f times what it is alone", ratio)
	}
	return nil
}

// newHole listens, accepts, and never answers.
func newHole() (net.Listener, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	go func() {
		var kept []net.Conn // or they would be collected, and closed
		for {
			conn, err := l.Accept()
			if err != nil {
				for _, c := range kept {
					_ = c.Close()
				}
				return
			}
			kept = append(kept, conn)
		}
	}()
	return l, nil
}

// allHang waits until as many calls are under way to a host, or wait for it.
func allHang(ctx context.Context, c *client.Client, host string, n int) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		hosts, err := c.Hosts(ctx)
		if err != nil {
			return err
		}
		got := 0
		if i := slices.IndexFunc(hosts, func(h client.Host) bool { return h.Host == host }); i >= 0 {
			got = hosts[i].Active + hosts[i].Waiting
		}
		if got == n {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%d of %d calls hang: %w", got, n, ctx.Err())
		}
	}
}

// latencies sends events one after another, each when the request of the one
// before has arrived, and gives the times in between in order of length.
func latencies(ctx context.Context, url string, n int, arrived <-chan struct{}) ([]time.Duration, error) {
	h := &http.Client{Transport: &http.Transport{}}
	defer h.CloseIdleConnections()
	took := make([]time.Duration, n)
	for i := range n {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(bench.Event(i)))
		if err != nil {
			return nil, err
		}
		req.Header.Set("Content-Type", "application/json")
		begun := time.Now()
		res, err := h.Do(req)
		if err != nil {
			return nil, err
		}
		_, err = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
		if err != nil || res.StatusCode/100 != 2 {
			return nil, errors.Join(err, fmt.Errorf("event %d: %s", i, res.Status))
		}
		select {
		case <-arrived:
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for the request of event %d: %w", i, ctx.Err())
		}
		took[i] = time.Since(begun)
	}
	slices.Sort(took)
	return took, nil
}

func at(sorted []time.Duration, percent int) time.Duration {
	return sorted[len(sorted)*percent/100].Round(10 * time.Microsecond)
}
