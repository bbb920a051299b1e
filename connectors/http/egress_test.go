package http_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	nethttp "net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/tappet-dev/tappet/internal/egress"
	"github.com/tappet-dev/tappet/sdk"
)

// wired is a host whose requests go out through the real transport.
type wired struct {
	sdk.Host
	client    *egress.Client
	exchanges []egress.Exchange
}

func (h *wired) HTTP(ctx context.Context, r *sdk.Request) (*sdk.Response, error) {
	return h.client.Do(ctx, r, func(x egress.Exchange) { h.exchanges = append(h.exchanges, x) })
}

func (h *wired) Now() time.Time { return time.Now() }

func (h *wired) Log(context.Context, sdk.Level, string, ...any) {}

func newWired(t testing.TB, allow ...string) *wired {
	t.Helper()
	a, err := egress.ParseAllow(allow)
	if err != nil {
		t.Fatal(err)
	}
	h := &wired{client: egress.New(egress.Options{Allow: a})}
	t.Cleanup(h.client.Close)
	return h
}

func TestS4_S26_ThroughTheTransport(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(nethttp.HandlerFunc(func(w nethttp.ResponseWriter, r *nethttp.Request) {
		b, _ := io.ReadAll(r.Body)
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Date", "Tue, 24 Nov 2026 10:00:00 GMT")
		if r.URL.Path == "/busy" {
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(nethttp.StatusServiceUnavailable)
		}
		fmt.Fprintf(w, `{"line":%q,"type":%q,"key":%q,"auth":%q,"body":%s}`, r.Method+" "+r.RequestURI,
			r.Header.Get("Content-Type"), r.Header.Get("Idempotency-Key"), r.Header.Get("Authorization"), b)
	}))
	defer s.Close()
	h := newWired(t, s.Listener.Addr().String())
	do := func(path string) (string, error) {
		r, err := action(t, "post").Do(t.Context(), h, sdk.ActionCall{IdempotencyKey: "key-1", Input: with(t,
			`{"url":"`+s.URL+path+`","query":{"b":[1,null]},"body":{"title":"done","due":null}}`)})
		return string(r.Output), err
	}
	want := func(status int, more, path string) string {
		return fmt.Sprintf(`{"status":%d,"headers":{"content-length":"%%d","content-type":"application/json",`+
			`"date":"Tue, 24 Nov 2026 10:00:00 GMT"%s},"body":{"line":"POST %s","type":"application/json","key":"key-1","auth":"","body":{"title":"done","due":null}}}`,
			status, more, path)
	}
	got, err := do("/hook?a=%20|x")
	if w := fmt.Sprintf(want(200, "", "/hook?a=%%20|x&b=1&b="), 123); err != nil || anyLength(got) != anyLength(w) {
		t.Errorf("%s, %v, want %s", got, err, w)
	}
	got, err = do("/busy")
	if w := fmt.Sprintf(want(503, `,"retry-after":"7"`, "/busy?b=1&b="), 123); anyLength(got) != anyLength(w) {
		t.Errorf("%s, want %s", got, w)
	}
	if e, ok := err.(*sdk.Error); !ok || e.Kind != sdk.Unavailable || e.RetryAfter != 7*time.Second { //nolint:errorlint // it is the connector's own
		t.Errorf("%v, want kind unavailable in 7s", err)
	}
	if len(h.exchanges) != 2 || h.exchanges[1].Status != 503 || h.exchanges[1].Sent != 27 {
		t.Errorf("exchanges %+v", h.exchanges)
	}
}

// anyLength blanks the value of content-length.
func anyLength(s string) string {
	const field = `"content-length":"`
	i := strings.Index(s, field)
	if i < 0 {
		return s
	}
	i += len(field)
	return s[:i] + s[i+strings.IndexByte(s[i:], '"'):]
}

func TestSec01_ConnectorIsGuarded(t *testing.T) {
	t.Parallel()
	h := newWired(t)
	_, err := action(t, "get").Do(t.Context(), h, sdk.ActionCall{Input: with(t, `{"url":"http://169.254.169.254/latest/meta-data"}`)})
	if kindOf(err) != sdk.Denied || !strings.Contains(err.Error(), "http.get: ") || !strings.Contains(err.Error(), "egress.allow") {
		t.Errorf("%v, want kind denied", err)
	}
}

// sink takes a request without looking at it.
type sink struct{ host }

func (s *sink) HTTP(_ context.Context, r *sdk.Request) (*sdk.Response, error) {
	return &sdk.Response{Status: 200, Header: ok, Body: io.NopCloser(strings.NewReader(`{"ok":true}`)), Size: 11}, nil
}

var ok = sdk.Header{{Name: "Content-Type", Value: "application/json"}, {Name: "Date", Value: "Tue, 24 Nov 2026 10:00:00 GMT"}}

func BenchmarkPost(b *testing.B) {
	for _, size := range []int{300, 1 << 20} {
		for _, nulls := range []bool{true, false} {
			body := `{"title":"Task is done","due":null,"tags":["a","b"],"text":"` + strings.Repeat("x", size-80) + `"}`
			fields := sdk.Fields{
				{Name: "url", Value: json.RawMessage(`"https://forms.example.com/entries"`)},
				{Name: "headers", Value: json.RawMessage(`{"X-Source":"tappet"}`)},
				{Name: "query", Value: json.RawMessage(`{"form":"feedback"}`)},
				{Name: "body", Value: json.RawMessage(body)},
				{Name: "send_nulls", Value: json.RawMessage(fmt.Sprint(nulls))},
			}
			do := action(b, "post").Do
			b.Run(fmt.Sprintf("size=%d/nulls=%v", size, nulls), func(b *testing.B) {
				h := &sink{}
				b.SetBytes(int64(len(body)))
				b.ReportAllocs()
				for b.Loop() {
					if _, err := do(b.Context(), h, sdk.ActionCall{Input: fields, IdempotencyKey: "key-1"}); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
