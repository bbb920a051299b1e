package api_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tappet-dev/tappet/api"
	"github.com/tappet-dev/tappet/engine"
	"github.com/tappet-dev/tappet/sdk"
)

// streaming makes a fake whose route streams; its trigger reads the stream to
// the end, and fails as that does.
func streaming(read func(sdk.WebhookRequest) error) *fake {
	f := newFake()
	f.route.Streams = true
	f.hookErr = read
	return f
}

func drain(r sdk.WebhookRequest) error {
	if r.Stream == nil {
		return nil
	}
	_, err := io.Copy(io.Discard, r.Stream)
	if err != nil {
		return &engine.Error{Kind: engine.Invalid, Err: fmt.Errorf("the trigger's own words: %w", err)}
	}
	return nil
}

func TestWhatAHookTakesIsKnownBeforeItsBodyIsRead(t *testing.T) {
	t.Parallel()
	f := newFake()
	f.routeErr = &engine.Error{Kind: engine.MethodNotAllowed, Allow: []string{"PUT"}, Err: errors.New("PUT is taken")}
	r := httptest.NewRequest("POST", "/hooks/orders", unread{t})
	wantProblem(t, do(newServer(t, f, nil), r), 405, "method_not_allowed")
	f.routeErr = &engine.Error{Kind: engine.NotFound, Err: errors.New("none")}
	wantProblem(t, do(newServer(t, f, nil), httptest.NewRequest("POST", "/hooks/orders", unread{t})), 404, "not_found")
	if slices.Contains(f.calls, "Hook") {
		t.Errorf("called %v", f.calls)
	}
}

type unread struct{ t *testing.T }

func (u unread) Read([]byte) (int, error) {
	u.t.Error("the body is read")
	return 0, io.EOF
}

func TestWhichBodiesAreStreams(t *testing.T) {
	t.Parallel()
	for contentType, want := range map[string]bool{
		"multipart/form-data; boundary=x": true, "Multipart/Form-Data": true, "image/png": true, "application/octet-stream": true,
		"": false, "application/json": false, "application/json; charset=utf-8": false, "application/cloudevents+json": false,
		"application/x-www-form-urlencoded": false, "text/csv": false, "application/xml": false, "application/atom+xml": false, "image/svg+xml": true,
	} {
		for _, streams := range []bool{true, false} {
			f := newFake()
			f.route.Streams = streams
			var got sdk.WebhookRequest
			f.onHook = func(_ context.Context, _ string, r sdk.WebhookRequest) { got = r }
			r := httptest.NewRequest("POST", "/hooks/orders", strings.NewReader("abc"))
			if contentType != "" {
				r.Header.Set("Content-Type", contentType)
			}
			if w := do(newServer(t, f, nil), r); w.Code != 202 {
				t.Fatalf("%d %s", w.Code, w.Body)
			}
			if (got.Stream != nil) != (want && streams) || (got.Stream == nil) != (string(got.Body) == "abc") {
				t.Errorf("%q on a route with streams=%t: stream %v, body %q", contentType, streams, got.Stream, got.Body)
			}
		}
	}
	f := streaming(drain)
	r := httptest.NewRequest("POST", "/hooks/orders", nil)
	r.Header.Set("Content-Type", "image/png")
	if w := do(newServer(t, f, nil), r); w.Code != 202 || f.got.(sdk.WebhookRequest).Stream != nil {
		t.Errorf("no body: %d, %+v", w.Code, f.got)
	}
}

func TestSec08_StreamsHaveALimit(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		own     int64
		size    int
		chunked bool
		says    string
	}{
		{"declared", 0, 1001, false, "(limits.hook_stream)"},
		{"not declared", 0, 1001, true, "(limits.hook_stream)"},
		{"the graph's, declared", 500, 501, false, "more than 500 bytes, which is the limit (max_body of the graph's trigger)"},
		{"the graph's, not declared", 500, 501, true, "more than 500 bytes, which is the limit (max_body of the graph's trigger)"},
		{"the graph's can't be more", 5000, 1001, false, "(limits.hook_stream)"},
		{"just fits", 0, 1000, true, ""},
		{"just fits the graph's", 500, 500, false, ""},
	} {
		f := streaming(drain)
		f.route.MaxBody = c.own
		r := httptest.NewRequest("POST", "/hooks/orders", strings.NewReader(strings.Repeat("x", c.size)))
		r.Header.Set("Content-Type", "image/png")
		if c.chunked {
			r.ContentLength = -1
		}
		w := do(newServer(t, f, func(o *api.Options) { o.Limits.HookStream = 1000 }), r)
		if c.says == "" {
			if w.Code != 202 {
				t.Errorf("%s: %d %s", c.name, w.Code, w.Body)
			}
			continue
		}
		if p := wantProblem(t, w, 413, "too_large"); !strings.Contains(p.Detail, c.says) {
			t.Errorf("%s: %s; want %q", c.name, p.Detail, c.says)
		}
	}
	f := newFake() // the graph's limit holds for what is read into memory too
	f.route.MaxBody = 5
	p := wantProblem(t, do(newServer(t, f, nil), httptest.NewRequest("POST", "/hooks/orders", strings.NewReader("123456"))), 413, "too_large")
	if !strings.Contains(p.Detail, "max_body") {
		t.Error(p.Detail)
	}
}

const streamHead = "POST /hooks/orders HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\n"

// pipes is a listener whose connections are in memory, so that a test in a
// bubble of synctest has its own time.
type pipes struct {
	conns chan net.Conn
	over  chan struct{}
	once  sync.Once
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.over:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error { p.once.Do(func() { close(p.over) }); return nil }

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

// Time limits of the tests of pace: each second must bring 1000 bytes.
var pace = api.Limits{ReadHeader: time.Second, Read: time.Second, Write: time.Second, HookPace: 1000}

// inBubble serves f in a bubble of its own, gives send the sender's end of one
// connection, and returns the first line of the answer.
func inBubble(t *testing.T, f *fake, send func(io.Writer)) (line string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		l := &pipes{conns: make(chan net.Conn), over: make(chan struct{})}
		hs := newServer(t, f, func(o *api.Options) { o.Limits = pace }).HTTPServer("")
		served := make(chan struct{})
		go func() { defer close(served); _ = hs.Serve(l) }() // http.ErrServerClosed
		c, theirs := net.Pipe()
		l.conns <- theirs
		sent := make(chan struct{})
		go func() { defer close(sent); send(c) }()
		line, _ = bufio.NewReader(c).ReadString('\n') // "" when it was cut without an answer
		_ = c.Close()
		<-sent
		_ = hs.Close()
		<-served
		<-time.After(time.Minute) // net/http lingers on a connection that it closes
	})
	return line
}

func head(size int) string { return fmt.Sprintf("%sContent-Length: %d\r\n\r\n", streamHead, size) }

// dribble sends a chunk again and again, and stops when it can't.
func dribble(w io.Writer, chunk string, every time.Duration, times int) {
	for range times {
		<-time.After(every)
		if _, err := io.WriteString(w, chunk); err != nil {
			return
		}
	}
}

// A sender that keeps sending isn't cut by the time of the whole, a slow one is.
func TestSec08_AStreamMayTakeLongButNotDawdle(t *testing.T) {
	t.Parallel()
	t.Run("long", func(t *testing.T) {
		t.Parallel()
		var got int64
		line := inBubble(t, streaming(func(r sdk.WebhookRequest) (err error) {
			got, err = io.Copy(io.Discard, r.Stream)
			return err
		}), func(w io.Writer) { // an hour, where a whole request may take a second
			_, _ = io.WriteString(w, head(3600*1100))
			dribble(w, strings.Repeat("x", 1100), 990*time.Millisecond, 3600)
		})
		if !strings.Contains(line, "202") || got != 3600*1100 {
			t.Errorf("%q after %d bytes", line, got)
		}
	})
	for name, send := range map[string]func(io.Writer){
		"slow, and never silent": func(w io.Writer) { dribble(w, "x", 10*time.Millisecond, 3600) },
		"fast at first": func(w io.Writer) {
			dribble(w, strings.Repeat("x", 1000), 10*time.Millisecond, 100)
			dribble(w, strings.Repeat("x", 90), 100*time.Millisecond, 100)
		},
		"silent": func(io.Writer) {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			line := inBubble(t, streaming(drain), func(w io.Writer) {
				_, _ = io.WriteString(w, head(1<<20))
				send(w)
			})
			if !strings.Contains(line, "408") {
				t.Errorf("%q", line)
			}
		})
	}
	t.Run("a busy receiver isn't the sender's fault", func(t *testing.T) {
		t.Parallel()
		line := inBubble(t, streaming(func(r sdk.WebhookRequest) error {
			for {
				if _, err := r.Stream.Read(make([]byte, 8)); err != nil {
					return drain(r)
				}
				<-time.After(10 * time.Second) // the disk, say
			}
		}), func(w io.Writer) { _, _ = io.WriteString(w, head(24)+strings.Repeat("x", 24)) })
		if !strings.Contains(line, "202") {
			t.Errorf("%q", line)
		}
	})
	t.Run("a wait for the answer may outlast it", func(t *testing.T) {
		t.Parallel()
		f := streaming(drain)
		inner := f.hookErr
		f.hookErr = func(r sdk.WebhookRequest) error {
			err := inner(r)
			<-time.After(30 * time.Second)
			return err
		}
		line := inBubble(t, f, func(w io.Writer) { _, _ = io.WriteString(w, head(3)+"abc") })
		if !strings.Contains(line, "202") {
			t.Errorf("%q", line)
		}
	})
}

func TestAStreamThatBreaksOff(t *testing.T) {
	t.Parallel()
	failed := make(chan error, 1)
	c := dial(t, serve(t, streaming(func(r sdk.WebhookRequest) error {
		err := drain(r)
		failed <- err
		return err
	}), api.Limits{}), head(20000)+"abc")
	_ = c.Close()
	if err := <-failed; sdk.KindOf(err) != sdk.Invalid {
		t.Errorf("%v; want kind invalid", err)
	}
}

// What a trigger holds of streams counts with the bodies in memory.
func TestSec08_WhatStreamsHoldIsBounded(t *testing.T) {
	t.Parallel()
	hold := func(n int64) func(sdk.WebhookRequest) error {
		return func(r sdk.WebhookRequest) error {
			if err := r.Stream.(interface{ Hold(n int64) error }).Hold(n); err != nil {
				return &engine.Error{Kind: engine.Internal, Err: err}
			}
			return drain(r)
		}
	}
	for n, status := range map[int64]int{800 << 10: 202, 900 << 10: 503} { // beside a stream's own buffers
		r := httptest.NewRequest("POST", "/hooks/orders", strings.NewReader("x"))
		r.Header.Set("Content-Type", "image/png")
		s := newServer(t, streaming(hold(n)), func(o *api.Options) { o.Limits.HookBodies = 1 << 20 })
		w := do(s, r)
		if w.Code != status || (status == 503) != (w.Header().Get("Retry-After") != "") {
			t.Errorf("%d bytes: %d %s", n, w.Code, w.Body)
		}
	}
	// The streams themselves count: there is no room for a fifth.
	in, out := make(chan struct{}), make(chan struct{})
	s := newServer(t, streaming(func(r sdk.WebhookRequest) error {
		in <- struct{}{}
		<-out
		return drain(r)
	}), func(o *api.Options) { o.Limits.HookBodies = 800 << 10 })
	request := func() *http.Request {
		r := httptest.NewRequest("POST", "/hooks/orders", strings.NewReader("x"))
		r.Header.Set("Content-Type", "image/png")
		return r
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if w := do(s, request()); w.Code != 202 {
				t.Errorf("%d %s", w.Code, w.Body)
			}
		})
		<-in
	}
	wantProblem(t, do(s, request()), 503, "unavailable")
	close(out)
	wg.Wait()
}
