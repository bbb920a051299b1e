package egress

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/mccutchen/go-httpbin/v2/httpbin"

	"github.com/tappet-dev/tappet/sdk"
)

// newHTTPBin starts the server of others that tells what it got.
func newHTTPBin(t testing.TB) string {
	t.Helper()
	s := httptest.NewServer(httpbin.New())
	t.Cleanup(s.Close)
	return s.URL
}

// seen is what httpbin saw of a request.
type seen struct {
	Method  string              `json:"method"`
	Args    map[string][]string `json:"args"`
	Headers map[string][]string `json:"headers"`
	Data    string              `json:"data"`
	Form    map[string][]string `json:"form"`
	JSON    any                 `json:"json"`
	Cookies map[string]string   `json:"cookies"`
	URL     string              `json:"url"`
	Gzipped bool                `json:"gzipped"`
	Deflate bool                `json:"deflated"`
}

func mustSee(t testing.TB, body string) seen {
	t.Helper()
	var s seen
	if err := json.Unmarshal([]byte(body), &s); err != nil {
		t.Fatalf("%v in %q", err, body)
	}
	return s
}

func TestHTTPBin_MethodsAndBodies(t *testing.T) {
	t.Parallel()
	base, c := newHTTPBin(t), newClientFor(t, Limits{})
	for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE"} {
		for contentType, payload := range map[string]string{
			"": "", "application/json": `{"a":[1,null,"é"]}`, "application/x-www-form-urlencoded": "a=1&a=2&b=%C3%A9", "text/plain": "hello",
		} {
			if (method == "GET" || method == "DELETE") && payload != "" {
				continue
			}
			r := &sdk.Request{Method: method, URL: base + "/" + strings.ToLower(method) + "?q=a%20b&q=2&empty="}
			if payload != "" {
				r.Body, r.Size, r.Reopen = text(payload)
				r.Header = sdk.Header{{Name: "Content-Type", Value: contentType}}
			}
			status, body, x, err := fetch(t.Context(), c, r)
			if err != nil || status != 200 {
				t.Errorf("%s %s: %d, %v", method, contentType, status, err)
				continue
			}
			got := mustSee(t, body)
			if diff := cmp.Diff(map[string][]string{"q": {"a b", "2"}, "empty": {""}}, got.Args); diff != "" {
				t.Errorf("%s: %s", method, diff)
			}
			if got.Method != method {
				t.Errorf("%s arrived as %s", method, got.Method)
			}
			switch contentType {
			case "application/json":
				if diff := cmp.Diff(map[string]any{"a": []any{1.0, nil, "é"}}, got.JSON); diff != "" {
					t.Errorf("%s: %s", method, diff)
				}
			case "application/x-www-form-urlencoded":
				if diff := cmp.Diff(map[string][]string{"a": {"1", "2"}, "b": {"é"}}, got.Form); diff != "" {
					t.Errorf("%s: %s", method, diff)
				}
			case "text/plain":
				if got.Data != "hello" {
					t.Errorf("%s: data %q", method, got.Data)
				}
			}
			if x[0].Sent != int64(len(payload)) {
				t.Errorf("%s: %d bytes sent, want %d", method, x[0].Sent, len(payload))
			}
		}
	}
	if status, body, _, err := fetch(t.Context(), c, &sdk.Request{Method: "HEAD", URL: base + "/head"}); status != 200 || body != "" || err != nil {
		t.Errorf("HEAD: %d %q, %v", status, body, err)
	}
	// A body of unknown size goes chunked.
	payload := strings.Repeat("x", 100_000)
	_, body, _, err := fetch(t.Context(), c, &sdk.Request{Method: "POST", URL: base + "/post", Size: -1, Body: io.MultiReader(strings.NewReader(payload))})
	if err != nil {
		t.Fatal(err)
	}
	got := mustSee(t, body)
	if want := "data:application/octet-stream;base64," + base64.URLEncoding.EncodeToString([]byte(payload)); got.Data != want {
		t.Errorf("a chunked body arrived as %.60q, %d bytes", got.Data, len(got.Data))
	}
	if !slices.Equal(got.Headers["Transfer-Encoding"], []string{"chunked"}) || got.Headers["Content-Length"] != nil {
		t.Errorf("a body of unknown size went with %v", got.Headers)
	}
}

func TestHTTPBin_StatusClasses(t *testing.T) {
	t.Parallel()
	base, c := newHTTPBin(t), newClientFor(t, Limits{Redirects: -1})
	for _, want := range []int{200, 201, 202, 204, 206, 304, 400, 401, 403, 404, 409, 418, 422, 429, 451, 500, 501, 502, 503, 504} {
		status, _, x, err := fetch(t.Context(), c, &sdk.Request{URL: base + "/status/" + strconv.Itoa(want)})
		if status != want || err != nil || x[0].Status != want || x[0].Kind != "" {
			t.Errorf("%d: %d, %v, %+v", want, status, err, x)
		}
	}
}

func TestHTTPBin_Redirects(t *testing.T) {
	t.Parallel()
	base, c := newHTTPBin(t), newClientFor(t, Limits{Redirects: 5})
	for _, kind := range []string{"redirect", "relative-redirect", "absolute-redirect"} {
		for n, want := range map[int]sdk.Kind{1: "", 5: "", 6: sdk.Failed} {
			status, _, x, err := fetch(t.Context(), c, &sdk.Request{URL: fmt.Sprintf("%s/%s/%d", base, kind, n)})
			if want == "" && (status != 200 || err != nil || len(x[0].Redirects) != n) || want != "" && sdk.KindOf(err) != want {
				t.Errorf("%s %d: %d, %v, %d followed", kind, n, status, err, len(x[0].Redirects))
			}
		}
	}
	for status, method := range map[int]string{301: "GET", 302: "GET", 303: "GET", 307: "POST", 308: "POST"} {
		r := &sdk.Request{Method: "POST", URL: fmt.Sprintf("%s/redirect-to?status_code=%d&url=%s", base, status, "/anything")}
		r.Body, r.Size, r.Reopen = text("hello")
		_, body, _, err := fetch(t.Context(), c, r)
		if err != nil || mustSee(t, body).Method != method {
			t.Errorf("POST after %d: %.300s, %v", status, body, err)
		}
	}
}

func TestHTTPBin_Compression(t *testing.T) {
	t.Parallel()
	base, c := newHTTPBin(t), newClientFor(t, Limits{})
	for _, coding := range []string{"gzip", "deflate"} {
		status, body, x, err := fetch(t.Context(), c, &sdk.Request{URL: base + "/" + coding})
		if status != 200 || err != nil {
			t.Fatalf("%s: %d, %v", coding, status, err)
		}
		got := mustSee(t, body)
		if got.Gzipped != (coding == "gzip") || got.Deflate != (coding == "deflate") || x[0].Received == 0 || x[0].Received >= int64(len(body)) {
			t.Errorf("%s: %+v, %d bytes received of %d", coding, got, x[0].Received, len(body))
		}
		if got.Headers["Accept-Encoding"] == nil || got.Headers["Accept-Encoding"][0] != "gzip, deflate, br, zstd" {
			t.Errorf("%s: headers %v", coding, got.Headers)
		}
	}
}

func TestHTTPBin_StreamsAndDrips(t *testing.T) {
	t.Parallel()
	base, c := newHTTPBin(t), newClientFor(t, Limits{})
	status, body, _, err := fetch(t.Context(), c, &sdk.Request{URL: base + "/stream/20"})
	if lines := strings.Count(body, "\n"); status != 200 || err != nil || lines != 20 {
		t.Errorf("stream: %d, %d lines, %v", status, lines, err)
	}
	status, body, _, err = fetch(t.Context(), c, &sdk.Request{URL: base + "/stream-bytes/100000?chunk_size=777&seed=1"})
	if status != 200 || err != nil || len(body) != 100_000 {
		t.Errorf("stream-bytes: %d, %d bytes, %v", status, len(body), err)
	}
	status, body, x, err := fetch(t.Context(), c, &sdk.Request{URL: base + "/drip?numbytes=10&duration=0.2&delay=0.05"})
	if status != 200 || err != nil || len(body) != 10 || x[0].Received != 10 {
		t.Errorf("drip: %d, %q, %v", status, body, err)
	}
	short := newClientFor(t, Limits{Whole: 100 * time.Millisecond})
	if _, _, _, err := fetch(t.Context(), short, &sdk.Request{URL: base + "/drip?numbytes=10&duration=5&delay=0"}); sdk.KindOf(err) != sdk.Timeout {
		t.Errorf("a drip past the limit: %v", err)
	}
	if _, _, _, err := fetch(t.Context(), newClientFor(t, Limits{FirstByte: 50 * time.Millisecond}), &sdk.Request{URL: base + "/delay/9"}); sdk.KindOf(err) != sdk.Timeout {
		t.Errorf("a delay past the limit: %v", err)
	}
	part := &sdk.Request{URL: base + "/range/100", Header: sdk.Header{{Name: "Range", Value: "bytes=10-19"}}}
	if status, body, _, err := fetch(t.Context(), c, part); status != 206 || len(body) != 10 || err != nil {
		t.Errorf("range: %d, %q, %v", status, body, err)
	}
	if _, body, _, err := fetch(t.Context(), c, &sdk.Request{URL: base + "/bytes/1000?seed=7"}); len(body) != 1000 || err != nil {
		t.Errorf("bytes: %d, %v", len(body), err)
	}
}

// Cookies are the graph's to send: none is kept, and none is invented.
func TestHTTPBin_CookiesAndCredentials(t *testing.T) {
	t.Parallel()
	base, c := newHTTPBin(t), newClientFor(t, Limits{})
	get := func(path string, h ...sdk.Pair) (int, string) {
		status, body, _, err := fetch(t.Context(), c, &sdk.Request{URL: base + path, Header: h})
		if err != nil {
			t.Errorf("%s: %v", path, err)
		}
		return status, body
	}
	status, body := get("/cookies/set?a=1") // and a redirect to /cookies
	if got := mustSee(t, body).Cookies; status != 200 || got == nil || len(got) != 0 {
		t.Errorf("a cookie was kept: %d, %s", status, body)
	}
	_, body = get("/cookies", sdk.Pair{Name: "Cookie", Value: "a=1; b=2"})
	if diff := cmp.Diff(map[string]string{"a": "1", "b": "2"}, mustSee(t, body).Cookies); diff != "" {
		t.Errorf("cookies (-want +got):\n%s", diff)
	}
	if status, _ := get("/bearer", sdk.Pair{Name: "Authorization", Value: "Bearer x"}); status != 200 {
		t.Errorf("bearer: %d", status)
	}
	if status, _ := get("/basic-auth/u/p", sdk.Pair{Name: "Authorization", Value: "Basic dTpw"}); status != 200 {
		t.Errorf("basic: %d", status)
	}
	if status, _ := get("/basic-auth/u/p"); status != 401 {
		t.Errorf("basic without: %d", status)
	}
	const odd = `üa,b"q"`
	if _, body := get("/headers", sdk.Pair{Name: "X-Odd", Value: odd}); !slices.Equal(mustSee(t, body).Headers["X-Odd"], []string{odd}) {
		t.Errorf("headers arrived as %s", body)
	}
}
