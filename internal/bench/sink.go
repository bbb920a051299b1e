package bench

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// A Sink is an HTTP server that answers each POST with 200 and a small JSON
// document, and remembers what came.
type Sink struct {
	// URL is http://127.0.0.1:port.
	URL string
	// Record, if set before traffic, is called for each request with its body.
	Record func(r *http.Request, body []byte)

	srv   *http.Server
	count atomic.Int64
	mu    sync.Mutex
	conns map[net.Conn]struct{}
}

// NewSink starts a sink on a loopback port; addr "" means any free one.
func NewSink(addr string) (*Sink, error) {
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("start sink: %w", err)
	}
	s := &Sink{URL: "http://" + l.Addr().String(), conns: map[net.Conn]struct{}{}}
	s.srv = &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second, ConnState: s.state}
	go func() { _ = s.srv.Serve(l) }() // ends with Close
	return s, nil
}

// Count is how many requests were answered.
func (s *Sink) Count() int64 { return s.count.Load() }

// Close ends the sink.
func (s *Sink) Close() error { return s.srv.Close() }

// Quiet waits until no connection is open: what a process that has died had
// sent has then been read to its end.
func (s *Sink) Quiet(ctx context.Context) error {
	if err := s.overtake(ctx); err != nil {
		return fmt.Errorf("wait for the sink's connections: %w", err)
	}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		s.mu.Lock()
		n := len(s.conns)
		s.mu.Unlock()
		if n == 0 {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("wait for the sink's %d connections: %w", n, ctx.Err())
		}
	}
}

// overtake returns when every connection that was made before is known to the
// server: they are accepted in order, so that one of its own comes last. OPTIONS *
// is answered by net/http itself and isn't recorded.
func (s *Sink) overtake(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodOptions, s.URL, nil)
	if err != nil {
		return err
	}
	req.URL.Opaque = "*"
	res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		return err
	}
	return res.Body.Close()
}

func (s *Sink) state(c net.Conn, st http.ConnState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch st {
	case http.StateNew:
		s.conns[c] = struct{}{}
	case http.StateClosed, http.StateHijacked:
		delete(s.conns, c)
	case http.StateActive, http.StateIdle:
	}
}

// ServeHTTP answers.
func (s *Sink) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 64<<20))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if s.Record != nil {
		s.Record(r, body)
	}
	s.count.Add(1)
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, `{"id":"e1","ok":true}`) // the sender may have died
}
