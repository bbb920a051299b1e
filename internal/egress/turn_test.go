package egress

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tappet-dev/tappet/internal/egress/governor"
	"github.com/tappet-dev/tappet/sdk"
)

// blackhole accepts connections and never answers.
func blackhole(t testing.TB) (url string, accepted *atomic.Int64) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	accepted = &atomic.Int64{}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			accepted.Add(1)
			t.Cleanup(func() { _ = conn.Close() })
		}
	}()
	return "http://" + l.Addr().String() + "/", accepted
}

// 10,000 calls of a graph to a host that hangs keep its 64 places; a live host's
// calls, of the same graph too, never wait behind them.
func TestAHostThatHangsTakesNothingFromOthers(t *testing.T) {
	t.Parallel()
	dead, accepted := blackhole(t)
	live := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") })
	c := New(Options{Allow: mustAllow(t, "127.0.0.0/8")})
	t.Cleanup(c.Close)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	const n = 10_000
	waiting := make(chan governor.Why, n)
	var all sync.WaitGroup
	for range n {
		all.Go(func() {
			_, err := c.Send(ctx, &sdk.Request{URL: dead}, Call{Group: 1, Waiting: func(w governor.Why) { waiting <- w }})
			if sdk.KindOf(err) != sdk.Cancelled {
				t.Error(err)
			}
		})
	}
	for range n - 64 {
		if w := <-waiting; w != governor.Concurrency {
			t.Fatalf("a call waits for %s", w)
		}
	}
	v := c.Hosts()
	if len(v) != 1 || v[0].Active != 64 || v[0].Waiting != n-64 || accepted.Load() > 64 {
		t.Errorf("hosts %+v, %d connections", v, accepted.Load())
	}
	for i := range 500 {
		var x Exchange
		resp, err := c.Send(t.Context(), &sdk.Request{URL: live.URL}, Call{Group: int64(i % 2), Record: func(got Exchange) { x = got }})
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if x.Waited != 0 || x.WaitReason != "" || x.Status != 200 {
			t.Fatalf("call %d: %+v", i, x)
		}
	}
	cancel()
	all.Wait()
	if v := c.Hosts(); len(v) != 0 {
		t.Errorf("places were lost: %+v", v)
	}
}

func TestAWaitIsInTheExchange(t *testing.T) {
	t.Parallel()
	first := make(chan struct{})
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/first" {
			<-first
		}
		_, _ = io.WriteString(w, "ok")
	})
	rules, err := governor.ParseRules([]string{"127.0.0.1=concurrency:1"})
	if err != nil {
		t.Fatal(err)
	}
	c := New(Options{Allow: mustAllow(t, "127.0.0.0/8"), Rules: rules})
	t.Cleanup(c.Close)
	resp := make(chan *sdk.Response)
	go func() {
		r, err := c.Do(t.Context(), &sdk.Request{URL: s.URL + "/first"}, nil)
		if err != nil {
			t.Error(err)
		}
		resp <- r
	}()
	for len(c.Hosts()) == 0 { // it has its place when it is listed
		select {
		case <-t.Context().Done():
			return
		default:
		}
	}
	var x Exchange
	second := make(chan error)
	waits := make(chan governor.Why, 1)
	go func() {
		r, err := c.Send(t.Context(), &sdk.Request{URL: s.URL}, Call{Waiting: func(w governor.Why) { waits <- w }, Record: func(got Exchange) { x = got }})
		if err == nil {
			err = r.Body.Close()
		}
		second <- err
	}()
	if w := <-waits; w != governor.Concurrency {
		t.Errorf("it waits for %s", w)
	}
	close(first)
	r := <-resp
	select {
	case err := <-second:
		t.Error(err, "a place was given away before the body was read")
	default:
	}
	_ = r.Body.Close()
	if err := <-second; err != nil {
		t.Fatal(err)
	}
	if w := <-waits; w != "" {
		t.Errorf("it goes on to wait for %s", w)
	}
	if x.Waited <= 0 || x.WaitReason != "concurrency" || x.Total < x.Waited || x.FirstByte > x.Total-x.Waited {
		t.Errorf("%+v", x)
	}
}

func TestWhatBlamesAHost(t *testing.T) {
	t.Parallel()
	dead, _ := blackhole(t)
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/500":
			w.WriteHeader(500)
		case "/404":
			w.WriteHeader(404)
		}
	})
	impatient, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	t.Cleanup(cancel)
	for _, tt := range []struct {
		name, url string
		ctx       context.Context
		l         Limits
		says      string
	}{
		{"refused", nobody, nil, Limits{}, "connection refused"},
		{"no first byte", dead, nil, Limits{FirstByte: 10 * time.Millisecond}, "timeout"},
		{"5xx", s.URL + "/500", nil, Limits{}, "500 Internal Server Error"},
		{"cut in the body", speak(t, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"), nil, Limits{}, "before the response's body was whole"},
		{"4xx", s.URL + "/404", nil, Limits{}, ""},
		{"fine", s.URL, nil, Limits{}, ""},
		{"its caller's short deadline", dead, impatient, Limits{}, ""},
		{"refused by the guard", "http://10.0.0.1/", nil, Limits{}, ""},
		{"too large", speak(t, "HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n"), nil, Limits{}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := New(Options{Allow: mustAllow(t, "127.0.0.0/8"), Limits: tt.l, Governor: governor.Limits{Failures: 1, Open: time.Hour}})
			defer c.Close()
			ctx := tt.ctx
			if ctx == nil {
				ctx = t.Context()
			}
			_, _, _, _ = fetch(ctx, c, &sdk.Request{URL: tt.url})
			v := c.Hosts()
			if tt.says == "" {
				if len(v) != 0 {
					t.Errorf("it is blamed: %+v", v)
				}
				return
			}
			if len(v) != 1 || v[0].State != governor.Open || !strings.Contains(v[0].Fault, tt.says) {
				t.Fatalf("%+v, want open for %q", v, tt.says)
			}
			_, _, x, err := fetch(t.Context(), c, &sdk.Request{URL: tt.url})
			if sdk.KindOf(err) != sdk.Unavailable || !strings.Contains(err.Error(), tt.says) || len(x) != 1 || x[0].Remote != "" {
				t.Errorf("the next call: %v, %+v", err, x)
			}
		})
	}
}

// A redirect to another host is a call to that host: it takes a place there and
// gives its first one back.
func TestARedirectTakesItsTurnAtTheOtherHost(t *testing.T) {
	t.Parallel()
	var c *Client
	var at []governor.View
	end := serve(t, func(http.ResponseWriter, *http.Request) { at = c.Hosts() })
	begin := httptest.NewServer(http.RedirectHandler(end.URL, http.StatusFound))
	defer begin.Close()
	c = newClientFor(t, Limits{})
	if _, _, _, err := fetch(t.Context(), c, &sdk.Request{URL: begin.URL}); err != nil {
		t.Fatal(err)
	}
	if len(at) != 1 || "http://"+at[0].Key.String() != end.URL || at[0].Active != 1 {
		t.Errorf("under way were %+v", at)
	}
}

// 1,000 calls at once share the connections that the host's places need.
func TestConnectionsAreSharedUnderAThousandCalls(t *testing.T) {
	t.Parallel()
	var dials atomic.Int64
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, `{"ok":true}`)
	}))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			dials.Add(1)
		}
	}
	s.Start()
	defer s.Close()
	c := newClientFor(t, Limits{})
	var all sync.WaitGroup
	const callers, each = 1000, 5
	for i := range callers {
		all.Go(func() {
			for range each {
				r := &sdk.Request{Method: "POST", URL: s.URL}
				r.Body, r.Size, r.Reopen = text("hello")
				resp, err := c.Send(t.Context(), r, Call{Group: int64(i % 7)})
				if err != nil {
					t.Error(err)
					return
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
			}
		})
	}
	all.Wait()
	// A dial may be overtaken by a connection that comes free, so that there are
	// some more than 64; a busy machine drops some.
	if n := dials.Load(); n > 256 {
		t.Errorf("%d connections for %d calls", n, callers*each)
	} else {
		t.Logf("%d connections for %d calls", n, callers*each)
	}
}

// A connection that the service closes while it is unused isn't the next
// call's failure.
func TestKeepAliveRaces(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() { // answers once, says that it goes on, and goes
				defer func() { _ = conn.Close() }()
				req, err := http.ReadRequest(bufio.NewReader(conn))
				if err != nil {
					return
				}
				_, _ = io.Copy(io.Discard, req.Body)
				_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
			}()
		}
	}()
	c := newClientFor(t, Limits{})
	for i := range 200 {
		r := &sdk.Request{Method: "PUT", URL: "http://" + l.Addr().String(), Header: sdk.Header{{Name: "Idempotency-Key", Value: "k"}}}
		r.Body, r.Size, r.Reopen = text("hello")
		if _, got, _, err := fetch(t.Context(), c, r); err != nil || got != "ok" {
			t.Fatalf("call %d: %q, %v", i, got, err)
		}
	}
}

// What a call's turn adds where nobody is before it.
func BenchmarkBlackhole(b *testing.B) {
	live := serve(b, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") })
	for _, hanging := range []int{0, 10_000} {
		name := "alone"
		if hanging > 0 {
			name = "beside10000"
		}
		b.Run(name, func(b *testing.B) {
			c := newClientFor(b, Limits{})
			dead, _ := blackhole(b)
			ctx, cancel := context.WithCancel(b.Context())
			var all sync.WaitGroup
			waiting := make(chan governor.Why, hanging)
			for range hanging {
				all.Go(func() {
					_, _ = c.Send(ctx, &sdk.Request{URL: dead}, Call{Waiting: func(w governor.Why) { waiting <- w }})
				})
			}
			for range hanging - 64 {
				<-waiting
			}
			for b.Loop() {
				resp, err := c.Do(b.Context(), &sdk.Request{URL: live.URL}, nil)
				if err != nil {
					b.Fatal(err)
				}
				_ = resp.Body.Close()
			}
			cancel()
			all.Wait()
		})
	}
}
