package http_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/mccutchen/go-httpbin/v2/httpbin"

	"github.com/tappet-dev/tappet/sdk"
)

// bin is the connector before the server of others that tells what it got.
type bin struct {
	filed
	url string
}

func newBin(t testing.TB) *bin {
	t.Helper()
	s := httptest.NewServer(httpbin.New())
	t.Cleanup(s.Close)
	return &bin{filed: filed{wired: newWired(t, s.Listener.Addr().String())}, url: s.URL}
}

// seen is what httpbin has seen of a request.
type seen struct {
	Method  string
	Args    map[string][]string
	Headers map[string][]string
	Data    string
	Form    map[string][]string
	Files   map[string][]string
	JSON    any
}

// answer is what a step gives.
type answer struct {
	Status  int
	Headers map[string]string
	Body    json.RawMessage
}

// do calls an action; more is what stands beside the URL of the path.
func (b *bin) do(t testing.TB, name, path, more string) (answer, error) {
	t.Helper()
	if more != "" {
		more = "," + more
	}
	r, err := action(t, name).Do(t.Context(), b, sdk.ActionCall{Action: name, IdempotencyKey: "key-1", Input: with(t, `{"url":"`+b.url+path+`"`+more+`}`)})
	var a answer
	if r.Output != nil {
		if err := json.Unmarshal(r.Output, &a); err != nil {
			t.Fatalf("%v in %s", err, r.Output)
		}
	}
	if b.open != 0 {
		t.Errorf("%s %s: %d files are left open", name, more, b.open)
	}
	return a, err
}

// sees is what httpbin has seen of a call that succeeds.
func (b *bin) sees(t testing.TB, name, path, more string) seen {
	t.Helper()
	a, err := b.do(t, name, path, more)
	var s seen
	if err != nil || json.Unmarshal(a.Body, &s) != nil {
		t.Fatalf("%s %s: %v, %s", name, more, err, a.Body)
	}
	return s
}

// Each type of body arrives at a server of others as what was given, by each
// action that has it.
func TestHTTPBin_EachTypeOfBody(t *testing.T) {
	t.Parallel()
	b := newBin(t)
	text := b.put("1", "Äpfel 林檎.txt", "text/plain", "one\r\n--two")
	image := b.put("2", "b.png", "image/png", "\x89PNG\x00\xff")
	const params = `{"title":"Ä & b=c","n":10.50,"due":null,"tags":["x","y"],"deep":{"a":null}}`
	const flat = `{"title":"Ä & b=c","n":10.50,"due":null,"tags":["x",null,"y"]}`
	document := map[string]any{"title": "Ä & b=c", "n": 10.5, "due": nil, "tags": []any{"x", "y"}, "deep": map[string]any{"a": nil}}
	pairs := map[string][]string{"title": {"Ä & b=c"}, "n": {"10.50"}, "due": {""}, "tags": {"x", "", "y"}}
	fewer := map[string][]string{"title": {"Ä & b=c"}, "n": {"10.50"}, "tags": {"x", "", "y"}}
	const urlencoded, multipart = `"headers":{"Content-Type":"application/x-www-form-urlencoded"}`, `"headers":{"Content-Type":"multipart/form-data"}`
	dataURL := func(mediaType, content string) string {
		return "data:" + mediaType + ";base64," + base64.URLEncoding.EncodeToString([]byte(content))
	}
	for _, tt := range []struct {
		name, action, with string
		want               seen   // Data is compared where it is given
		contentType        string // up to its parameters
	}{
		{"post", "post", `"body":` + params, seen{JSON: document}, "application/json"},
		{"put", "put", `"body":` + params, seen{JSON: document}, "application/json"},
		{"a list", "post", `"body":[1,null]`, seen{JSON: []any{1.0, nil}}, "application/json"},
		{"post without nulls", "post", `"send_nulls":false,"body":` + params, seen{JSON: map[string]any{"title": "Ä & b=c", "n": 10.5, "tags": []any{"x", "y"}, "deep": map[string]any{}}}, "application/json"},
		{"post as pairs", "post", urlencoded + `,"body":` + flat, seen{Form: pairs}, "application/x-www-form-urlencoded"},
		{"put as pairs without nulls", "put", urlencoded + `,"send_nulls":false,"body":` + flat, seen{Form: fewer}, "application/x-www-form-urlencoded"},
		{"post as form-data", "post", multipart + `,"body":` + flat, seen{Form: pairs}, "multipart/form-data"},
		{"put as form-data without nulls", "put", multipart + `,"send_nulls":false,"body":{"a":null,"b":"x"}`, seen{Form: map[string][]string{"b": {"x"}}}, "multipart/form-data"},
		{"custom json", "custom", `"method":"PATCH","body_type":"json","body":` + params, seen{JSON: document}, "application/json"},
		{"custom raw", "custom", `"method":"POST","body_type":"raw","body":"hé"`, seen{Data: "hé"}, "text/plain"},
		{"custom raw of a type", "custom", `"method":"POST","body_type":"raw","content_type":"application/xml","body":"<a/>"`, seen{Data: dataURL("application/xml", "<a/>")}, "application/xml"},
		{"custom urlencoded", "custom", `"method":"DELETE","body_type":"urlencoded","body":` + flat, seen{Form: pairs}, "application/x-www-form-urlencoded"},
		{"custom file", "custom", `"method":"PUT","body_type":"file","body":` + image, seen{Data: dataURL("image/png", "\x89PNG\x00\xff")}, "image/png"},
		{"custom file of another type", "custom", `"method":"PUT","body_type":"file","content_type":"a/b","body":` + text, seen{Data: dataURL("a/b", "one\r\n--two")}, "a/b"},
		{"custom none", "custom", `"method":"POST","body_type":"none"`, seen{}, ""},
		{
			"custom form-data", "custom",
			`"method":"POST","form_data":{"note":"Ä","due":null,"plan":` + text + `,"Attachments[]":[` + text + `,` + image + `],"tags":["x","y"]}`,
			seen{
				Form:  map[string][]string{"note": {"Ä"}, "due": {""}, "tags": {"x", "y"}},
				Files: map[string][]string{"plan": {"one\r\n--two"}, "Attachments[]": {"one\r\n--two", "\ufffdPNG\x00\ufffd"}},
			},
			"multipart/form-data",
		},
		{
			"custom form-data in order, without nulls", "custom",
			`"method":"POST","send_nulls":false,"form_data":[{"name":"a","value":"1"},{"name":"f","value":"hi","filename":"ü.txt"},{"name":"a","value":null},{"name":"a","value":"2"}]`,
			seen{Form: map[string][]string{"a": {"1", "2"}}, Files: map[string][]string{"f": {"hi"}}},
			"multipart/form-data",
		},
	} {
		got := b.sees(t, tt.action, "/anything?own=1", tt.with)
		method := map[string]string{"post": "POST", "put": "PUT"}[tt.action]
		if tt.action == "custom" {
			method, _, _ = strings.Cut(strings.TrimPrefix(tt.with, `"method":"`), `"`)
		}
		contentType, _, _ := strings.Cut(strings.Join(got.Headers["Content-Type"], "|"), ";")
		if got.Method != method || contentType != tt.contentType || strings.Join(got.Headers["Idempotency-Key"], "|") != "key-1" || !slices.Equal(got.Args["own"], []string{"1"}) {
			t.Errorf("%s: %s %v with %v", tt.name, got.Method, got.Args, got.Headers)
		}
		if tt.name == "custom form-data" && !strings.Contains(got.Data, `name="plan"; filename="Äpfel 林檎.txt"`) {
			t.Errorf("%s: the file's name is not in %q", tt.name, got.Data)
		}
		got.Method, got.Args, got.Headers = "", nil, nil
		if tt.want.Data == "" && tt.contentType != "" {
			got.Data = ""
		}
		for _, m := range []*map[string][]string{&got.Form, &got.Files} {
			if len(*m) == 0 {
				*m = nil
			}
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

// Each way of a list in the query, its nulls, and headers.
func TestHTTPBin_QueryAndHeaders(t *testing.T) {
	t.Parallel()
	b := newBin(t)
	const query = `"query":{"a":["1","ä b",null],"b":null,"c":true}`
	for with, want := range map[string]map[string][]string{
		query:                                {"own": {"a b"}, "a": {"1", "ä b", ""}, "b": {""}, "c": {"true"}},
		query + `,"query_arrays":"brackets"`: {"own": {"a b"}, "a[]": {"1", "ä b", ""}, "b": {""}, "c": {"true"}},
		query + `,"query_arrays":"indices"`:  {"own": {"a b"}, "a[0]": {"1"}, "a[1]": {"ä b"}, "a[2]": {""}, "b": {""}, "c": {"true"}},
		query + `,"query_arrays":"comma"`:    {"own": {"a b"}, "a": {"1,ä b,"}, "b": {""}, "c": {"true"}},
		query + `,"send_nulls":false`:        {"own": {"a b"}, "a": {"1", "ä b", ""}, "c": {"true"}},
	} {
		for _, name := range []string{"get", "post", "put"} {
			if diff := cmp.Diff(want, b.sees(t, name, "/anything?own=a%20b", with).Args); diff != "" {
				t.Errorf("%s %s (-want +got):\n%s", name, with, diff)
			}
		}
	}
	got := b.sees(t, "get", "/headers", `"headers":{"X-A":"ü \"q\"","X-B":7,"X-C":null}`).Headers
	for name, want := range map[string]string{"X-A": `ü "q"`, "X-B": "7", "X-C": ""} {
		if values := got[name]; !slices.Equal(values, []string{want}) {
			t.Errorf("%s arrived as %q, want %q", name, values, want)
		}
	}
	if got := b.sees(t, "get", "/headers", `"send_nulls":false,"headers":{"X-C":null}`).Headers; got["X-C"] != nil {
		t.Errorf("a null that isn't sent arrived: %v", got)
	}
}

// Each class of status is a success or a failure of its kind, and the answer is
// there in any case.
func TestHTTPBin_StatusesAreKinds(t *testing.T) {
	t.Parallel()
	b := newBin(t)
	for status, want := range map[int]sdk.Kind{
		200: "", 201: "", 202: "", 204: "", 206: "",
		304: sdk.Failed, 400: sdk.Failed, 401: sdk.Unauthorized, 403: sdk.Denied, 404: sdk.NotFound, 408: sdk.Timeout, 409: sdk.Failed, 410: sdk.NotFound,
		413: sdk.TooLarge, 418: sdk.Failed, 422: sdk.Failed, 425: sdk.Unavailable, 429: sdk.RateLimited, 451: sdk.Failed,
		500: sdk.Unavailable, 501: sdk.Unavailable, 502: sdk.Unavailable, 503: sdk.Unavailable, 504: sdk.Timeout,
	} {
		a, err := b.do(t, "get", fmt.Sprintf("/status/%d", status), "")
		if kindOf(err) != want || a.Status != status {
			t.Errorf("%d: %v, status %d, want kind %q", status, err, a.Status, want)
		}
	}
	for path, want := range map[string]sdk.Kind{"/basic-auth/u/p": sdk.Unauthorized, "/bearer": sdk.Unauthorized, "/hidden-basic-auth/u/p": sdk.NotFound} {
		if _, err := b.do(t, "get", path, ""); kindOf(err) != want {
			t.Errorf("%s: %v, want kind %s", path, err, want)
		}
	}
	if a, err := b.do(t, "get", "/basic-auth/u/p", `"headers":{"Authorization":"Basic dTpw"}`); err != nil || a.Status != 200 {
		t.Errorf("with its credentials: %d, %v", a.Status, err)
	}
}

func TestHTTPBin_RedirectsOfSteps(t *testing.T) {
	t.Parallel()
	b := newBin(t)
	for _, kind := range []string{"redirect", "relative-redirect", "absolute-redirect"} {
		if a, err := b.do(t, "get", "/"+kind+"/3", ""); err != nil || a.Status != 200 {
			t.Errorf("%s: %d, %v", kind, a.Status, err)
		}
		if _, err := b.do(t, "get", "/"+kind+"/3", `"redirects":2`); kindOf(err) != sdk.Failed {
			t.Errorf("%s, at most 2: %v", kind, err)
		}
		a, err := b.do(t, "get", "/"+kind+"/3", `"redirects":0`)
		if err != nil || a.Status != 302 || !strings.HasSuffix(a.Headers["location"], "/2") {
			t.Errorf("%s, none: %d to %q, %v", kind, a.Status, a.Headers["location"], err)
		}
	}
	file := b.put("1", "a.txt", "text/plain", "hello")
	for status, want := range map[int]string{301: "GET ", 302: "GET ", 303: "GET ", 307: "POST hello", 308: "POST hello"} {
		got := b.sees(t, "custom", fmt.Sprintf("/redirect-to?status_code=%d&url=/anything", status), `"method":"POST","body_type":"file","body":`+file)
		if line := got.Method + " " + got.Data; line != want {
			t.Errorf("POST after %d: %q, want %q", status, line, want)
		}
	}
}

// What is compressed, and what is of another type than JSON, is read as it says.
func TestHTTPBin_Answers(t *testing.T) {
	t.Parallel()
	b := newBin(t)
	for path, want := range map[string]string{
		"/gzip":                                  `"gzipped":true`,
		"/deflate":                               `"deflated":true`,
		"/json":                                  `"title":"Sample Slide Show"`,
		"/xml":                                   `"@title":"Sample Slide Show"`,
		"/html":                                  `Herman Melville`,
		"/encoding/utf8":                         `∮ E⋅da`,
		"/image/png":                             `"name":"png","type":"image/png"`,
		"/image/svg":                             `"type":"image/svg+xml"`,
		"/bytes/10?seed=1":                       `"name":"10","type":"application/octet-stream","size":10}`,
		"/stream-bytes/1000?seed=1":              `"size":1000}`,
		"/drip?numbytes=5&duration=0.01&delay=0": `"*****"`,
		"/stream/3":                              `3 JSON`,
		"/response-headers?Content-Type=text/plain&a=b": `"{`,
		"/status/204":      `null`,
		"/cookies/set?a=1": `{"cookies":{}}`,
	} {
		a, err := b.do(t, "get", path, map[string]string{"/stream/3": `"response_type":"text"`}[path])
		var flat any
		if uerr := json.Unmarshal(a.Body, &flat); err != nil || uerr != nil {
			t.Errorf("%s: %v, %v", path, err, uerr)
			continue
		}
		body := compact(t, a.Body)
		if path == "/stream/3" {
			lines, _ := flat.(string)
			body = fmt.Sprint(strings.Count(lines, "\n"), " JSON")
		}
		if !strings.Contains(body, want) {
			t.Errorf("%s: %.200s, want %s in it", path, body, want)
		}
	}
	if _, err := b.do(t, "get", "/html", `"response_type":"json"`); kindOf(err) != sdk.Failed {
		t.Errorf("HTML that should be JSON: %v", err)
	}
	a, err := b.do(t, "custom", "/head", `"method":"HEAD"`)
	if err != nil || a.Status != 200 || string(a.Body) != "null" {
		t.Errorf("HEAD: %+v, %v", a, err)
	}
}

// compact takes the space out of JSON.
func compact(t testing.TB, v json.RawMessage) string {
	t.Helper()
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(b.String())
}
