package egress

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"

	"github.com/tappet-dev/tappet/sdk"
)

func pack(t testing.TB, coding, s string) string {
	t.Helper()
	var b bytes.Buffer
	var w io.WriteCloser
	switch coding {
	case "gzip":
		w = gzip.NewWriter(&b)
	case "br":
		w = brotli.NewWriter(&b)
	case "zstd":
		w, _ = zstd.NewWriter(&b, zstd.WithZeroFrames(true)) // the options are ones of its own
	case "zlib":
		w = zlib.NewWriter(&b)
	default:
		w, _ = flate.NewWriter(&b, flate.BestCompression) // the level is one of its own
	}
	if _, err := io.WriteString(w, s); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestSec10_BodiesAreDecodedAndLimited(t *testing.T) {
	t.Parallel()
	const limit = 1000
	hello := strings.Repeat("hello ", 100)
	for _, tt := range []struct {
		name, coding, body, want string
		kind                     sdk.Kind
	}{
		{"plain", "", hello, hello, ""},
		{"gzip", "gzip", pack(t, "gzip", hello), hello, ""},
		{"deflate", "deflate", pack(t, "zlib", hello), hello, ""},
		{"bare deflate", "deflate", pack(t, "flate", hello), hello, ""},
		{"empty gzip", "gzip", "", "", ""},
		{"br", "br", pack(t, "br", hello), hello, ""},
		{"zstd", "zstd", pack(t, "zstd", hello), hello, ""},
		{"empty br", "br", "", "", ""},
		{"empty zstd", "zstd", "", "", ""},
		{"zstd of nothing", "zstd", pack(t, "zstd", ""), "", ""},
		{"other coding stays", "compress", "\x0b\x02", "\x0b\x02", ""},
		{"several codings stay", "gzip, br", "\x0b\x02", "\x0b\x02", ""},
		{"up to the limit", "", strings.Repeat("x", limit), strings.Repeat("x", limit), ""},
		{"over the limit", "", strings.Repeat("x", limit+1), "", sdk.TooLarge},
		{"bomb", "gzip", pack(t, "gzip", strings.Repeat("\x00", 10<<20)), "", sdk.TooLarge},
		{"deflate bomb", "deflate", pack(t, "flate", strings.Repeat("\x00", 10<<20)), "", sdk.TooLarge},
		{"br bomb", "br", pack(t, "br", strings.Repeat("\x00", 10<<20)), "", sdk.TooLarge},
		{"zstd bomb", "zstd", pack(t, "zstd", strings.Repeat("\x00", 10<<20)), "", sdk.TooLarge},
		{"a zstd window of 2 GiB", "zstd", "\x28\xb5\x2f\xfd\x00\xa8\x01\x00\x00", "", sdk.Failed},
		{"cut br", "br", pack(t, "br", hello)[:10], "", sdk.Failed},
		{"cut zstd", "zstd", pack(t, "zstd", hello)[:15], "", sdk.Failed},
		{"not zstd", "zstd", "hello", "", sdk.Failed},
		{"members without end", "gzip", strings.Repeat(pack(t, "gzip", ""), 200), "", sdk.TooLarge},
		{"not gzip", "gzip", "hello", "", sdk.Failed},
		{"cut gzip", "gzip", pack(t, "gzip", hello)[:20], "", sdk.Failed},
	} {
		for _, declared := range []bool{true, false} {
			s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				if tt.coding != "" {
					w.Header().Set("Content-Encoding", tt.coding)
				}
				if !declared {
					w.(http.Flusher).Flush()
				}
				_, _ = io.WriteString(w, tt.body)
			})
			c := newClientFor(t, Limits{ResponseBody: limit})
			_, got, x, err := fetch(t.Context(), c, &sdk.Request{URL: s.URL})
			if tt.kind != "" {
				if sdk.KindOf(err) != tt.kind || len(got) > limit {
					t.Errorf("%s: %v after %d bytes, want kind %s", tt.name, err, len(got), tt.kind)
				}
			} else if err != nil || got != tt.want {
				t.Errorf("%s: %.20q, %v", tt.name, got, err)
			}
			if len(x) != 1 || x[0].Kind != tt.kind {
				t.Errorf("%s: exchanges %+v, want one of kind %q", tt.name, x, tt.kind)
			}
		}
	}
}

// A caller that says how much it takes gets that, up to the limit of files.
func TestMaxResponseTakesThePlaceOfTheLimit(t *testing.T) {
	t.Parallel()
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		n, _ := strconv.Atoi(r.URL.Path[1:])
		body := strings.Repeat("x", n)
		if r.URL.RawQuery == "gzip" {
			w.Header().Set("Content-Encoding", "gzip")
			body = pack(t, "gzip", body)
		}
		_, _ = io.WriteString(w, body)
	})
	c := newClientFor(t, Limits{ResponseBody: 1000, ResponseFile: 5000})
	for _, tt := range []struct {
		path string
		most int64
		kind sdk.Kind
	}{
		{"/1000", 0, ""},
		{"/1001", 0, sdk.TooLarge},
		{"/4000", 4000, ""},
		{"/4001", 4000, sdk.TooLarge},
		{"/4001?gzip", 4000, sdk.TooLarge},
		{"/5000?gzip", 9000, ""},
		{"/5001", 9000, sdk.TooLarge},
		{"/11", 10, sdk.TooLarge},
		{"/1", -1, sdk.Invalid},
	} {
		_, got, _, err := fetch(t.Context(), c, &sdk.Request{URL: s.URL + tt.path, MaxResponse: tt.most})
		if err == nil && tt.kind != "" || err != nil && sdk.KindOf(err) != tt.kind {
			t.Errorf("%s of %d: %d bytes, %v, want kind %q", tt.path, tt.most, len(got), err, tt.kind)
		}
	}
}

// What a file is in either direction has more time.
func TestFilesHaveMoreTime(t *testing.T) {
	t.Parallel()
	c := New(Options{})
	for _, tt := range []struct {
		r    sdk.Request
		want time.Duration
	}{
		{sdk.Request{}, 5 * time.Minute},
		{sdk.Request{Size: 16 << 20, MaxResponse: 16 << 20}, 5 * time.Minute},
		{sdk.Request{Size: 16<<20 + 1}, time.Hour},
		{sdk.Request{Size: -1}, time.Hour},
		{sdk.Request{MaxResponse: 2 << 30}, 5 * time.Minute}, // until it turns out to be large
	} {
		if got := c.whole(&tt.r).Duration; got != tt.want {
			t.Errorf("%+v: %s, want %s", tt.r, got, tt.want)
		}
	}
}

// trickle gives a byte a second, for as long as it is read.
type trickle struct{}

func (trickle) Close() error { return nil }

func (trickle) Read(p []byte) (int, error) {
	time.Sleep(time.Second) // of synctest's clock
	p[0] = 'x'
	return 1, nil
}

// A body in memory ends with Whole; one that has grown past what fits there has
// the time of a file.
func TestABodyThatTurnsOutToBeAFileHasMoreTime(t *testing.T) {
	t.Parallel()
	for large, want := range map[int64]time.Duration{100: time.Hour, 1000: 5 * time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			begun := time.Now()
			l := Limits{}.withDefaults()
			ctx, w := newWatch(t.Context(), &l, l.whole())
			defer w.stop()
			r := wire{raw: trickle{}, w: w, limit: bound{bytes: 1 << 20}, large: large}
			for ctx.Err() == nil {
				if _, err := r.Read(make([]byte, 1)); err != nil {
					t.Fatal(err)
				}
			}
			if took := time.Since(begun); took < want || took > want+2*time.Second {
				t.Errorf("it had %s, want %s", took, want)
			}
		})
	}
}
