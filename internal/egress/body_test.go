package egress

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/tappet-dev/tappet/sdk"
)

func pack(t testing.TB, coding, s string) string {
	t.Helper()
	var b bytes.Buffer
	var w io.WriteCloser
	switch coding {
	case "gzip":
		w = gzip.NewWriter(&b)
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
		{"other coding stays", "br", "\x0b\x02", "\x0b\x02", ""},
		{"up to the limit", "", strings.Repeat("x", limit), strings.Repeat("x", limit), ""},
		{"over the limit", "", strings.Repeat("x", limit+1), "", sdk.TooLarge},
		{"bomb", "gzip", pack(t, "gzip", strings.Repeat("\x00", 10<<20)), "", sdk.TooLarge},
		{"deflate bomb", "deflate", pack(t, "flate", strings.Repeat("\x00", 10<<20)), "", sdk.TooLarge},
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
