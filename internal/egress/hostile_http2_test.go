package egress

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"net"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/tappet-dev/tappet/sdk"
)

// A stream is what a server of HTTP/2 does as it is told to: with one request.
type stream struct {
	*http2.Framer
	id   uint32
	conn net.Conn
}

// fields writes a block of header fields, names and values in turn.
func (s *stream) fields(pairs ...string) []byte {
	var b bytes.Buffer
	e := hpack.NewEncoder(&b)
	for i := 0; i+1 < len(pairs); i += 2 {
		_ = e.WriteField(hpack.HeaderField{Name: pairs[i], Value: pairs[i+1]}) // the buffer takes it
	}
	return b.Bytes()
}

// answer begins a response with 200.
func (s *stream) answer(more ...string) {
	_ = s.WriteHeaders(http2.HeadersFrameParam{StreamID: s.id, EndHeaders: true, BlockFragment: s.fields(append([]string{":status", "200"}, more...)...)})
}

// misbehave2 starts a server that does as it is told to with each stream, once
// its header was read. What the client sends after that isn't looked at.
func misbehave2(t testing.TB, do func(ctx context.Context, s *stream)) (string, *x509.CertPool) {
	t.Helper()
	lent := httptest.NewTLSServer(nil) // its certificate
	lent.Close()
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: lent.TLS.Certificates, NextProtos: []string{"h2"}, MinVersion: tls.VersionTLS12})
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
				preface := make([]byte, len(http2.ClientPreface))
				if _, err := io.ReadFull(conn, preface); err != nil {
					return
				}
				s := &stream{Framer: http2.NewFramer(conn, conn), conn: conn}
				s.AllowIllegalWrites = true
				for s.id == 0 {
					f, err := s.ReadFrame()
					if err != nil {
						return
					}
					if _, ok := f.(*http2.HeadersFrame); ok {
						s.id = f.Header().StreamID
					}
				}
				go func() { _, _ = io.Copy(io.Discard, conn) }()
				do(ctx, s)
			}()
		}
	}()
	pool := x509.NewCertPool()
	pool.AddCert(lent.Certificate())
	return "https://" + l.Addr().String(), pool
}

// wait keeps the connection.
func wait(ctx context.Context) { <-ctx.Done() }

// flood repeats what write does until the other side has gone.
func flood(write func() error) {
	for write() == nil {
	}
}

// Whatever a service does over HTTP/2, the call ends within its limits, with the
// right kind and in bounded memory.
func TestMisbehavingServersOfHTTP2(t *testing.T) {
	const soon = 30 * time.Millisecond
	settled := func(do func(ctx context.Context, s *stream)) func(ctx context.Context, s *stream) {
		return func(ctx context.Context, s *stream) {
			_ = s.WriteSettings()
			do(ctx, s)
		}
	}
	block := make([]byte, 16<<10)
	log.SetOutput(io.Discard) // net/http tells of each frame that it doesn't know
	t.Cleanup(func() { log.SetOutput(os.Stderr) })
	for _, tt := range []struct {
		name string
		do   func(ctx context.Context, s *stream)
		l    Limits
		want sdk.Kind
		says string
	}{
		{"a slow first byte", settled(func(ctx context.Context, _ *stream) { wait(ctx) }), Limits{FirstByte: soon}, sdk.Timeout, "(limits.first_byte)"},
		{"a body that stands still", settled(func(ctx context.Context, s *stream) {
			s.answer()
			_ = s.WriteData(s.id, false, []byte("abc"))
			wait(ctx)
		}), Limits{IdleRead: soon}, sdk.Timeout, "(limits.idle_read)"},
		{"a body that drips", settled(func(ctx context.Context, s *stream) {
			s.answer()
			tick := time.NewTicker(2 * time.Millisecond)
			defer tick.Stop()
			for ctx.Err() == nil && s.WriteData(s.id, false, []byte("x")) == nil {
				<-tick.C
			}
		}), Limits{Whole: soon}, sdk.Timeout, "(limits.exchange)"},
		{"a stream that is reset", settled(func(ctx context.Context, s *stream) {
			_ = s.WriteRSTStream(s.id, http2.ErrCodeInternal)
			wait(ctx)
		}), Limits{}, sdk.Unavailable, "INTERNAL_ERROR"},
		{"a stream that is reset in the body", settled(func(ctx context.Context, s *stream) {
			s.answer()
			_ = s.WriteData(s.id, false, []byte("abc"))
			_ = s.WriteRSTStream(s.id, http2.ErrCodeEnhanceYourCalm)
			wait(ctx)
		}), Limits{}, sdk.Unavailable, "ENHANCE_YOUR_CALM"},
		{"a stream that is cancelled in the body", settled(func(ctx context.Context, s *stream) {
			s.answer()
			_ = s.WriteRSTStream(s.id, http2.ErrCodeCancel)
			wait(ctx)
		}), Limits{}, sdk.Unavailable, "CANCEL"},
		// The transport repeats these, since nothing was begun, and waits longer each time.
		{"streams that are refused", settled(func(ctx context.Context, s *stream) {
			_ = s.WriteRSTStream(s.id, http2.ErrCodeRefusedStream)
			wait(ctx)
		}), Limits{Whole: 10 * soon}, sdk.Timeout, "(limits.exchange)"},
		{"GOAWAY and an end", settled(func(_ context.Context, s *stream) {
			_ = s.WriteGoAway(s.id, http2.ErrCodeNo, nil)
		}), Limits{}, sdk.Unavailable, "GOAWAY"},
		{"GOAWAY with an error", settled(func(ctx context.Context, s *stream) {
			_ = s.WriteGoAway(0, http2.ErrCodeEnhanceYourCalm, []byte("too many"))
			wait(ctx)
		}), Limits{}, sdk.Unavailable, "GOAWAY"},
		{"GOAWAY in the body, and an end", settled(func(_ context.Context, s *stream) {
			s.answer()
			_ = s.WriteData(s.id, false, []byte("abc"))
			_ = s.WriteGoAway(s.id, http2.ErrCodeInternal, nil)
		}), Limits{}, sdk.Unavailable, "GOAWAY"},
		{"an end before the answer", settled(func(context.Context, *stream) {}), Limits{}, sdk.Unavailable, "EOF"},
		{"an end in the body", settled(func(_ context.Context, s *stream) {
			s.answer()
			_ = s.WriteData(s.id, false, []byte("abc"))
		}), Limits{}, sdk.Unavailable, "before the response's body was whole"},
		{"fewer bytes than the length", settled(func(ctx context.Context, s *stream) {
			s.answer("content-length", "10")
			_ = s.WriteData(s.id, true, []byte("abc"))
			wait(ctx)
		}), Limits{}, sdk.Unavailable, "before the response's body was whole"},
		{"more bytes than the length", settled(func(ctx context.Context, s *stream) {
			s.answer("content-length", "1")
			_ = s.WriteData(s.id, true, []byte("abc"))
			wait(ctx)
		}), Limits{}, sdk.Failed, "more than declared"},
		{"DATA without end", settled(func(_ context.Context, s *stream) {
			s.answer()
			flood(func() error { return s.WriteData(s.id, false, block) })
		}), Limits{ResponseBody: 1 << 20}, sdk.TooLarge, "limit of 1048576 bytes"},
		{"empty DATA without end", settled(func(_ context.Context, s *stream) {
			s.answer()
			flood(func() error { return s.WriteData(s.id, false, nil) })
		}), Limits{IdleRead: soon}, sdk.Timeout, "(limits.idle_read)"},
		{"a header that unpacks to too much", settled(func(ctx context.Context, s *stream) {
			s.answer(slices.Repeat([]string{"a", strings.Repeat("b", 1000)}, 10_000)...) // a byte for each but the first
			wait(ctx)
		}), Limits{}, sdk.TooLarge, "(limits.response_header)"},
		{"a field that is too large", settled(func(ctx context.Context, s *stream) {
			b := s.fields(":status", "200", "a", strings.Repeat("b", 900<<10))
			_ = s.WriteHeaders(http2.HeadersFrameParam{StreamID: s.id, BlockFragment: b[:1000]})
			for b = b[1000:]; len(b) > 0; b = b[min(len(b), 16000):] {
				_ = s.WriteContinuation(s.id, len(b) <= 16000, b[:min(len(b), 16000)])
			}
			wait(ctx)
		}), Limits{}, sdk.Failed, "COMPRESSION_ERROR"},
		{"fields without end", settled(func(_ context.Context, s *stream) {
			_ = s.WriteHeaders(http2.HeadersFrameParam{StreamID: s.id, BlockFragment: s.fields(":status", "200")})
			n := 0
			flood(func() error {
				n++
				return s.WriteContinuation(s.id, false, s.fields("a"+strconv.Itoa(n), strings.Repeat("b", 1000)))
			})
		}), Limits{}, sdk.Failed, "PROTOCOL_ERROR"},
		{"empty CONTINUATION without end", settled(func(_ context.Context, s *stream) {
			_ = s.WriteHeaders(http2.HeadersFrameParam{StreamID: s.id, BlockFragment: s.fields(":status", "200")})
			flood(func() error { return s.WriteContinuation(s.id, false, nil) })
		}), Limits{FirstByte: soon}, sdk.Timeout, "(limits.first_byte)"},
		{"1xx without end", settled(func(_ context.Context, s *stream) {
			e := s.fields(":status", "103", "link", "</a>")
			flood(func() error {
				return s.WriteHeaders(http2.HeadersFrameParam{StreamID: s.id, EndHeaders: true, BlockFragment: e})
			})
		}), Limits{}, sdk.TooLarge, "(limits.response_header)"},
		{"PING without end", settled(func(_ context.Context, s *stream) {
			flood(func() error { return s.WritePing(false, [8]byte{}) })
		}), Limits{FirstByte: soon}, sdk.Timeout, "(limits.first_byte)"},
		{"SETTINGS without end", settled(func(_ context.Context, s *stream) {
			flood(func() error { return s.WriteSettings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 10}) })
		}), Limits{FirstByte: soon}, sdk.Timeout, "(limits.first_byte)"},
		{"WINDOW_UPDATE without end", settled(func(_ context.Context, s *stream) {
			flood(func() error { return s.WriteWindowUpdate(0, 1) })
		}), Limits{FirstByte: soon}, sdk.Timeout, "(limits.first_byte)"},
		{"frames of no known type without end", settled(func(_ context.Context, s *stream) {
			flood(func() error { return s.WriteRawFrame(0xee, 0, s.id, block[:100]) })
		}), Limits{FirstByte: soon}, sdk.Timeout, "(limits.first_byte)"},
		{"no SETTINGS first", func(ctx context.Context, s *stream) {
			s.answer()
			wait(ctx)
		}, Limits{}, sdk.Failed, "PROTOCOL_ERROR"},
		{"an answer without a status", settled(func(ctx context.Context, s *stream) {
			_ = s.WriteHeaders(http2.HeadersFrameParam{StreamID: s.id, EndHeaders: true, BlockFragment: s.fields("a", "b")})
			wait(ctx)
		}), Limits{}, sdk.Failed, "status"},
		{"a header that can't be decoded", settled(func(ctx context.Context, s *stream) {
			_ = s.WriteHeaders(http2.HeadersFrameParam{StreamID: s.id, EndHeaders: true, BlockFragment: []byte{0xff, 0xff, 0xff}})
			wait(ctx)
		}), Limits{}, sdk.Failed, "COMPRESSION_ERROR"},
		{"a frame that is too large", settled(func(ctx context.Context, s *stream) {
			_, _ = s.conn.Write([]byte{0xff, 0xff, 0xff, 0, 0, 0, 0, 0, byte(s.id)})
			wait(ctx)
		}), Limits{}, sdk.Failed, "frame too large"},
		{"a promise that nobody wants", settled(func(ctx context.Context, s *stream) {
			_ = s.WritePushPromise(http2.PushPromiseParam{StreamID: s.id, PromiseID: 2, EndHeaders: true, BlockFragment: s.fields(":method", "GET")})
			wait(ctx)
		}), Limits{}, sdk.Failed, "PROTOCOL_ERROR"},
		{"HTTP/1.1 after all", func(ctx context.Context, s *stream) {
			_, _ = io.WriteString(s.conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
			wait(ctx)
		}, Limits{}, sdk.Failed, "HTTP/1.1"},
	} {
		t.Run(tt.name, func(t *testing.T) { // one by one: memory is measured
			url, pool := misbehave2(t, tt.do)
			c := New(Options{Allow: mustAllow(t, "127.0.0.0/8"), Limits: tt.l, RootCAs: pool})
			defer c.Close()
			wantEnd(t, c, url, tt.l, tt.want, tt.says)
		})
	}
}
