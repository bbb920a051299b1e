package bench

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// A Load is a bounded number of POSTs from a fixed number of clients, each
// with one request under way at a time.
type Load struct {
	// URL is on the loopback.
	URL string
	// Clients is how many send at once; 0 means 1.
	Clients int
	// Count bounds the requests; it must be more than 0.
	Count int
	// Body makes the body of the n-th request.
	Body func(n int) []byte
	// Done, if set, is told the status of the n-th request, 0 with an error.
	Done func(n, status int, err error)

	flying atomic.Int64
}

// A Result is what a load has measured.
type Result struct {
	// OK counts answers of class 2xx.
	OK int
	// Elapsed is from the first request to the last answer.
	Elapsed time.Duration
	// P50 and P99 are of the answered requests.
	P50, P99 time.Duration
}

// Flying is how many requests wait for their answer now.
func (l *Load) Flying() int { return int(l.flying.Load()) }

// Run sends until Count is reached or ctx ends.
func (l *Load) Run(ctx context.Context) (Result, error) {
	u, err := url.Parse(l.URL)
	if err != nil || u.Hostname() != "127.0.0.1" && u.Hostname() != "::1" && u.Hostname() != "localhost" {
		return Result{}, fmt.Errorf("load %q: only loopback addresses are loaded", l.URL)
	}
	if l.Count <= 0 {
		return Result{}, fmt.Errorf("load %q: the count of requests must be set", l.URL)
	}
	clients := max(1, l.Clients)
	tr := &http.Transport{MaxIdleConnsPerHost: clients, MaxConnsPerHost: clients}
	defer tr.CloseIdleConnections()
	client := &http.Client{Transport: tr}
	var next atomic.Int64
	took := make([][]time.Duration, clients)
	var wg sync.WaitGroup
	start := time.Now()
	for i := range clients {
		wg.Go(func() {
			for ctx.Err() == nil {
				n := int(next.Add(1)) - 1
				if n >= l.Count {
					return
				}
				began := time.Now()
				status, err := l.send(ctx, client, n)
				if status/100 == 2 {
					took[i] = append(took[i], time.Since(began))
				}
				if l.Done != nil {
					l.Done(n, status, err)
				}
			}
		})
	}
	wg.Wait()
	all := slices.Concat(took...)
	r := Result{OK: len(all), Elapsed: time.Since(start)}
	if len(all) > 0 {
		slices.Sort(all)
		r.P50, r.P99 = all[len(all)/2], all[len(all)*99/100]
	}
	return r, nil
}

func (l *Load) send(ctx context.Context, c *http.Client, n int) (status int, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, l.URL, bytes.NewReader(l.Body(n)))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", "application/json")
	l.flying.Add(1)
	defer l.flying.Add(-1)
	res, err := c.Do(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	_, err = io.Copy(io.Discard, res.Body)
	return res.StatusCode, err
}
