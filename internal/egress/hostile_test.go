package egress

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tappet-dev/tappet/sdk"
)

// misbehave starts a server that does as it is told to with each connection, once
// a request's header was read.
func misbehave(t testing.TB, do func(ctx context.Context, conn net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(func() {
		cancel()
		_ = l.Close()
	})
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = conn.Close() }()
				if _, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
					do(ctx, conn)
				}
			}()
		}
	}()
	return "http://" + l.Addr().String()
}

// endless repeats a text until the other side has gone.
func endless(head, text string) func(context.Context, net.Conn) {
	return func(_ context.Context, conn net.Conn) {
		block := bytes.Repeat([]byte(text), 1+16<<10/len(text))
		if _, err := io.WriteString(conn, head); err != nil {
			return
		}
		for {
			if _, err := conn.Write(block); err != nil {
				return
			}
		}
	}
}

// drip writes head, and then a byte now and then.
func drip(head string) func(context.Context, net.Conn) {
	return func(ctx context.Context, conn net.Conn) {
		_, _ = io.WriteString(conn, head)
		tick := time.NewTicker(2 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				if _, err := io.WriteString(conn, "x"); err != nil {
					return
				}
			}
		}
	}
}

// say writes a text and waits; say then hangs up after it.
func say(text string) func(context.Context, net.Conn) {
	return func(ctx context.Context, conn net.Conn) {
		_, _ = io.WriteString(conn, text)
		<-ctx.Done()
	}
}

func sayAndGo(text string) func(context.Context, net.Conn) {
	return func(_ context.Context, conn net.Conn) { _, _ = io.WriteString(conn, text) }
}

// reset writes a text and resets the connection.
func reset(text string) func(context.Context, net.Conn) {
	return func(_ context.Context, conn net.Conn) {
		_, _ = io.WriteString(conn, text)
		_ = conn.(*net.TCPConn).SetLinger(0)
	}
}

// Whatever a service does, the call ends within its limits, with the right kind
// and in bounded memory.
func TestMisbehavingServers(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\n"
	const soon = 30 * time.Millisecond
	chunked := ok + "Transfer-Encoding: chunked\r\n\r\n"
	bomb := func(coding string) func(context.Context, net.Conn) {
		packed := pack(t, coding, strings.Repeat("\x00", 64<<20))
		name := map[string]string{"zlib": "deflate"}[coding]
		if name == "" {
			name = coding
		}
		return say(fmt.Sprintf("%sContent-Encoding: %s\r\nContent-Length: %d\r\n\r\n%s", ok, name, len(packed), packed))
	}
	for _, tt := range []struct {
		name string
		do   func(context.Context, net.Conn)
		l    Limits
		want sdk.Kind // "": it is a response
		says string
	}{
		{"a slow first byte", say(""), Limits{FirstByte: soon}, sdk.Timeout, "(limits.first_byte)"},
		{"a header that drips", drip(ok + "A: "), Limits{FirstByte: soon}, sdk.Timeout, "(limits.first_byte)"},
		{"a body that drips", drip(ok + "Content-Length: 99999\r\n\r\n"), Limits{Whole: soon}, sdk.Timeout, "(limits.exchange)"},
		{"a body that stands still", say(ok + "Content-Length: 10\r\n\r\nabc"), Limits{IdleRead: soon}, sdk.Timeout, "(limits.idle_read)"},
		{"a reset before the answer", reset(""), Limits{}, sdk.Unavailable, ""},
		{"a reset in the header", reset(ok + "A: b"), Limits{}, sdk.Unavailable, ""},
		{"a reset in the body", reset(ok + "Content-Length: 10\r\n\r\nabc"), Limits{}, sdk.Unavailable, ""},
		{"an end in the header", sayAndGo(ok + "A: b"), Limits{}, sdk.Unavailable, "EOF"},
		{"an end in the body", sayAndGo(ok + "Content-Length: 10\r\n\r\nabc"), Limits{}, sdk.Unavailable, "before the response's body was whole"},
		{"an end in a chunk", sayAndGo(chunked + "a\r\nabc"), Limits{}, sdk.Unavailable, "before the response's body was whole"},
		{"an end without the last chunk", sayAndGo(chunked + "3\r\nabc\r\n"), Limits{}, sdk.Unavailable, "before the response's body was whole"},
		{"a length that is too short", sayAndGo(ok + "Content-Length: 1\r\n\r\nabc"), Limits{}, "", ""},
		{"two lengths", say(ok + "Content-Length: 1\r\nContent-Length: 2\r\n\r\nab"), Limits{}, sdk.Failed, "Content-Length"},
		{"a negative length", say(ok + "Content-Length: -1\r\n\r\nab"), Limits{}, sdk.Failed, "Content-Length"},
		{"a length over the limit", say(ok + "Content-Length: 99999999999\r\n\r\n"), Limits{}, sdk.TooLarge, "limit of 16777216 bytes (limits.response_body)"},
		{"a chunk's size that is no number", say(chunked + "xyz\r\n"), Limits{}, sdk.Failed, "chunk"},
		{"a chunk's size without end", endless(chunked, "0"), Limits{}, sdk.Failed, "too long"},
		{"chunks without end", endless(chunked, "4\r\nabcd\r\n"), Limits{ResponseBody: 1 << 20}, sdk.TooLarge, "limit of 1048576 bytes"},
		{"a body without end", endless(ok+"\r\n", "abcd"), Limits{ResponseBody: 1 << 20}, sdk.TooLarge, "limit of 1048576 bytes"},
		{"fields without end", endless(ok, "A: b\r\n"), Limits{}, sdk.TooLarge, "(limits.response_header)"},
		{"a field without end", endless(ok+"A: ", "b"), Limits{}, sdk.TooLarge, "(limits.response_header)"},
		{"a status line without end", endless("HTTP/1.1 200 ", "b"), Limits{}, sdk.TooLarge, "(limits.response_header)"},
		{"trailers without end", endless(chunked+"0\r\n", "A: b\r\n"), Limits{}, sdk.Failed, ""},
		{"1xx without end", endless("", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"), Limits{}, sdk.TooLarge, "(limits.response_header)"},
		{"100 without end", endless("", "HTTP/1.1 100 Continue\r\n\r\n"), Limits{}, sdk.TooLarge, "(limits.response_header)"},
		{"a redirect to itself", sayAndGo("HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n"), Limits{}, sdk.Failed, "more than 10 redirects (limits.redirects)"},
		{"a redirect whose body has no end", endless("HTTP/1.1 302 Found\r\nLocation: /\r\nTransfer-Encoding: chunked\r\n\r\n", "4\r\nabcd\r\n"), Limits{}, sdk.Failed, "more than 10 redirects (limits.redirects)"},
		{"another protocol", say("220 mail.example.com ESMTP\r\n"), Limits{}, sdk.Failed, "malformed"},
		{"HTTP/0.9", sayAndGo("<html>hello</html>"), Limits{}, sdk.Failed, "malformed"},
		{"101 that nobody has asked for", say("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n"), Limits{}, sdk.Failed, "another protocol"},
		{"a gzip bomb", bomb("gzip"), Limits{ResponseBody: 1 << 20}, sdk.TooLarge, "limit of 1048576 bytes"},
		{"a deflate bomb", bomb("zlib"), Limits{ResponseBody: 1 << 20}, sdk.TooLarge, "limit of 1048576 bytes"},
		{"a br bomb", bomb("br"), Limits{ResponseBody: 1 << 20}, sdk.TooLarge, "limit of 1048576 bytes"},
		{"a zstd bomb", bomb("zstd"), Limits{ResponseBody: 1 << 20}, sdk.TooLarge, "limit of 1048576 bytes"},
	} {
		t.Run(tt.name, func(t *testing.T) { // one by one: memory is measured
			wantEnd(t, newClientFor(t, tt.l), misbehave(t, tt.do), tt.l, tt.want, tt.says)
		})
	}
}

// wantEnd calls a server that misbehaves: the call ends by itself, long before
// its own deadline, as a response or with a kind, and in bounded memory.
func wantEnd(t *testing.T, c *Client, url string, l Limits, want sdk.Kind, says string) {
	t.Helper()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var x Exchange
	read := int64(0)
	ctx, cancel := context.WithTimeout(t.Context(), generous)
	defer cancel()
	resp, err := c.Do(ctx, &sdk.Request{URL: url}, func(got Exchange) { x = got })
	if err == nil {
		read, err = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
	}
	runtime.ReadMemStats(&after)
	if ctx.Err() != nil {
		t.Fatalf("it has not ended by itself: %v", err)
	}
	// zstd's window is 8 MiB, and a stream's history is kept twice.
	if took := after.TotalAlloc - before.TotalAlloc; took > 24<<20 {
		t.Errorf("it took %d bytes of memory", took)
	}
	if most := l.withDefaults().ResponseBody; read > most || x.Received > most+64<<10 {
		t.Errorf("%d bytes came through, %d were read; the limit is %d", read, x.Received, most)
	}
	if want == "" {
		if err != nil || x.Kind != "" {
			t.Errorf("%v, recorded as %s, want a response", err, x.Kind)
		}
		return
	}
	if err == nil || sdk.KindOf(err) != want || !strings.Contains(err.Error(), says) || x.Kind != want {
		t.Errorf("%v, recorded as %s, want kind %s saying %q", err, x.Kind, want, says)
	}
}

// A service may close a connection that it has kept just when the next request
// comes. The transport sends that request again within the call if nothing can
// come of it twice; a POST without a key fails instead, for its step to decide.
func TestS4_ARequestOnADeadConnection(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, method string
		header       sdk.Header
		once         bool // the body can't be sent again
		arrives      int64
		want         sdk.Kind
	}{
		{"GET", "GET", nil, false, 2, ""},
		{"POST with a key", "POST", sdk.Header{{Name: "Idempotency-Key", Value: "k"}}, false, 2, ""},
		{"POST with a key and a body that is gone", "POST", sdk.Header{{Name: "Idempotency-Key", Value: "k"}}, true, 1, sdk.Unavailable},
		{"POST without a key", "POST", nil, false, 1, sdk.Unavailable},
		{"PUT without a key", "PUT", nil, false, 1, sdk.Unavailable},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var arrived atomic.Int64
			s := serve(t, func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				if r.URL.Path == "/first" {
					return
				}
				if arrived.Add(1) == 1 {
					conn, _, err := w.(http.Hijacker).Hijack()
					if err != nil {
						t.Error(err)
						return
					}
					_ = conn.Close()
				}
			})
			c := newClientFor(t, Limits{})
			if _, _, _, err := fetch(t.Context(), c, &sdk.Request{URL: s.URL + "/first"}); err != nil {
				t.Fatal(err)
			}
			r := &sdk.Request{Method: tt.method, URL: s.URL + "/next", Header: tt.header}
			if tt.method != "GET" {
				r.Body, r.Size, r.Reopen = text("hello")
			}
			if tt.once {
				r.Reopen = nil
			}
			status, _, x, err := fetch(t.Context(), c, r)
			if tt.want == "" && (err != nil || status != 200) || tt.want != "" && sdk.KindOf(err) != tt.want || len(x) != 1 {
				t.Errorf("%d, %v, %d exchanges; want one of kind %q", status, err, len(x), tt.want)
			}
			if arrived.Load() != tt.arrives {
				t.Errorf("it has arrived %d times, want %d", arrived.Load(), tt.arrives)
			}
		})
	}
}
