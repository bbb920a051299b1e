package http_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"mime/multipart"
	nethttp "net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tappet-dev/tappet/connectors/http"
	"github.com/tappet-dev/tappet/sdk"
)

// host records what is sent and gives one answer.
type host struct {
	sdk.Host
	sent   []string
	logs   []string
	status int
	header sdk.Header
	body   io.Reader
	err    error
	most   int64
}

func (h *host) HTTP(_ context.Context, r *sdk.Request) (*sdk.Response, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s\n", r.Method, r.URL)
	for _, p := range r.Header {
		fmt.Fprintf(&b, "%s: %s\n", p.Name, p.Value)
	}
	if r.Body != nil {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		again, err := r.Reopen()
		if err != nil {
			return nil, err
		}
		twice, err := io.ReadAll(again)
		if err != nil || string(twice) != string(body) || r.Size != int64(len(body)) {
			return nil, fmt.Errorf("the body of size %d is %q, and %q when it is opened again: %w", r.Size, body, twice, err)
		}
		fmt.Fprintf(&b, "\n%s", body)
	}
	h.sent, h.most = append(h.sent, b.String()), r.MaxResponse
	if h.err != nil {
		return nil, h.err
	}
	body := h.body
	if body == nil {
		body = strings.NewReader("")
	}
	status := h.status
	if status == 0 {
		status = 204
	}
	return &sdk.Response{Status: status, Header: h.header, Body: io.NopCloser(body), Size: -1}, nil
}

func (h *host) Log(_ context.Context, _ sdk.Level, msg string, _ ...any) {
	h.logs = append(h.logs, msg)
}

func (h *host) Now() time.Time { return time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC) }

func action(t testing.TB, name string) sdk.Action {
	t.Helper()
	for _, a := range http.New().Actions {
		if a.Name == name {
			return a
		}
	}
	t.Fatalf("there is no action %s", name)
	return sdk.Action{}
}

// with turns a JSON object into mapped fields.
func with(t testing.TB, object string) sdk.Fields {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(object))
	if _, err := d.Token(); err != nil {
		t.Fatal(err)
	}
	var f sdk.Fields
	for d.More() {
		name, err := d.Token()
		if err != nil {
			t.Fatal(err)
		}
		var v json.RawMessage
		if err := d.Decode(&v); err != nil {
			t.Fatal(err)
		}
		f = append(f, sdk.Field{Name: name.(string), Value: v})
	}
	return f
}

func call(t testing.TB, h *host, name, object string) (string, error) {
	t.Helper()
	r, err := action(t, name).Do(t.Context(), h, sdk.ActionCall{Action: name, Input: with(t, object), IdempotencyKey: "key-1"})
	return string(r.Output), err
}

// sends runs cases of what goes out: one request for each.
type sends struct{ name, action, with, want string }

func (c sends) run(t *testing.T) {
	t.Helper()
	h := &host{}
	if _, err := call(t, h, c.action, c.with); err != nil {
		t.Fatalf("%s: %v", c.name, err)
	}
	if diff := cmp.Diff([]string{c.want}, plainBoundaries(h.sent)); diff != "" {
		t.Errorf("%s: %s", c.name, diff)
	}
	c.arrives(t)
}

var origin = regexp.MustCompile(`(?i)https://x\.test`)

// arrives sends the same request through the real transport to a server.
func (c sends) arrives(t *testing.T) {
	t.Helper()
	want := strings.Replace(origin.ReplaceAllString(c.want, ""), " ?", " /?", 1)
	head, body, _ := strings.Cut(want, "\n\n")
	lines := strings.Split(strings.TrimSuffix(head, "\n"), "\n")
	method, target, _ := strings.Cut(lines[0], " ")
	target, _, _ = strings.Cut(target, "#")
	if target == "" {
		target = "/"
	}
	fields := nethttp.Header{}
	for _, l := range lines[1:] {
		name, value, _ := strings.Cut(l, ": ")
		fields.Add(name, value)
	}
	var got []string
	s := httptest.NewServer(nethttp.HandlerFunc(func(_ nethttp.ResponseWriter, r *nethttp.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Errorf("%s: read the body: %v", c.name, err)
		}
		if r.ContentLength != int64(len(b)) {
			t.Errorf("%s: Content-Length %d of %d bytes", c.name, r.ContentLength, len(b))
		}
		text := r.Method + " " + r.RequestURI + "\n"
		for _, name := range slices.Sorted(maps.Keys(r.Header)) {
			if name != "User-Agent" && name != "Accept-Encoding" && name != "Content-Length" {
				text += name + ": " + strings.Join(r.Header[name], ", ") + "\n"
			}
		}
		got = append(got, text+"\n"+string(b))
	}))
	defer s.Close()
	h := newWired(t, s.Listener.Addr().String())
	in := with(t, origin.ReplaceAllString(c.with, s.URL))
	if _, err := action(t, c.action).Do(t.Context(), h, sdk.ActionCall{Action: c.action, Input: in, IdempotencyKey: "key-1"}); err != nil {
		t.Fatalf("%s, through the transport: %v", c.name, err)
	}
	want = method + " " + target + "\n"
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		want += name + ": " + strings.Join(fields[name], ", ") + "\n"
	}
	if diff := cmp.Diff([]string{want + "\n" + body}, plainBoundaries(got)); diff != "" {
		t.Errorf("%s, through the transport: %s", c.name, diff)
	}
}

const (
	u    = `"url":"https://x.test/hook"`
	line = " https://x.test/hook\n"
	key  = "Idempotency-Key: key-1\n"
	asJS = "Content-Type: application/json\n"
	asUE = "Content-Type: application/x-www-form-urlencoded\n"
)

// part and end are those of a form-data body whose boundary is B.
func part(params, text string) string {
	return "--B\r\nContent-Disposition: form-data; " + params + "\r\n\r\n" + text + "\r\n"
}

const end = "--B--\r\n"

var boundary = regexp.MustCompile(`boundary=(tappet-[0-9a-f]{32})`)

// plainBoundaries puts B for the boundary of each request.
func plainBoundaries(sent []string) []string {
	var out []string
	for _, s := range sent {
		if m := boundary.FindStringSubmatch(s); m != nil {
			s = strings.ReplaceAll(s, m[1], "B")
		}
		out = append(out, s)
	}
	return out
}

func TestS4_OneRequestPerAttempt(t *testing.T) {
	t.Parallel()
	sends{"post", "post", `{` + u + `,"body":{"title":"done"}}`, "POST" + line + asJS + key + "\n" + `{"title":"done"}`}.run(t)
}

func TestS5_FourActions(t *testing.T) {
	t.Parallel()
	c := http.New()
	var got []string
	for _, a := range c.Actions {
		got = append(got, c.Name+"."+a.Name)
		for _, schema := range []json.RawMessage{a.Input, a.Output} {
			if !json.Valid(schema) {
				t.Errorf("%s: a schema is not JSON", a.Name)
			}
		}
	}
	if diff := cmp.Diff([]string{"http.post", "http.get", "http.put", "http.custom"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestS6_ParametersOfEachAction(t *testing.T) {
	t.Parallel()
	const hq = `,"headers":{"X-A":"1"},"query":{"q":"2"}`
	for _, c := range []sends{
		{"post", "post", `{` + u + hq + `,"body":[1]}`, "POST https://x.test/hook?q=2\nX-A: 1\n" + asJS + key + "\n[1]"},
		{"put", "put", `{` + u + hq + `,"body":"text"}`, "PUT https://x.test/hook?q=2\nX-A: 1\n" + asJS + key + "\n\"text\""},
		{"get", "get", `{` + u + hq + `}`, "GET https://x.test/hook?q=2\nX-A: 1\n"},
		{"post without body", "post", `{` + u + `}`, "POST" + line + key},
	} {
		c.run(t)
	}
}

func TestS7_CustomTakesAnyMethod(t *testing.T) {
	t.Parallel()
	for _, m := range []string{"PATCH", "delete", "PROPFIND", "X-!#$%&'*+.^_|~9"} {
		sends{m, "custom", `{"method":` + string(quote(m)) + `,` + u + `}`, m + line + key}.run(t)
	}
	sends{"safe", "custom", `{"method":"HEAD",` + u + `}`, "HEAD" + line}.run(t)
}

func quote(s string) []byte {
	b, _ := json.Marshal(s) // a string always marshals
	return b
}

func TestS8_BodyTypesOfCustom(t *testing.T) {
	t.Parallel()
	const m = `{"method":"PATCH",` + u
	for _, c := range []sends{
		{"json", "custom", m + `,"body_type":"json","body":{"a":1}}`, "PATCH" + line + asJS + key + "\n" + `{"a":1}`},
		{"left out", "custom", m + `,"body":{"a":1}}`, "PATCH" + line + asJS + key + "\n" + `{"a":1}`},
		{
			"urlencoded", "custom", m + `,"body_type":"urlencoded","body":{"a b":"c&d","n":1.50,"t":true,"l":["x","ü"]}}`,
			"PATCH" + line + asUE + key + "\na+b=c%26d&n=1.50&t=true&l=x&l=%C3%BC",
		},
		{"raw", "custom", m + `,"body_type":"raw","body":"a\nb"}`, "PATCH" + line + "Content-Type: text/plain; charset=utf-8\n" + key + "\na\nb"},
		{
			"raw with type", "custom", m + `,"body_type":"raw","content_type":"application/xml","body":"<a/>"}`,
			"PATCH" + line + "Content-Type: application/xml\n" + key + "\n<a/>",
		},
		{"none", "custom", m + `,"body_type":"none"}`, "PATCH" + line + key},
		{
			"form-data", "custom", m + `,"body_type":"form-data","form_data":{"b":1.50,"a":"x\ny","t":true,"é\"":""}}`,
			"PATCH" + line + "Content-Type: multipart/form-data; boundary=B\n" + key + "\n" +
				part(`name="b"`, "1.50") + part(`name="a"`, "x\ny") + part(`name="t"`, "true") + part(`name="é%22"`, "") + end,
		},
		{
			"form-data by its field", "custom", m + `,"form_data":[{"name":"a","value":1},{"name":"f","value":"x","filename":"a.txt"},{"name":"a","value":"{}","content_type":"application/json"}]}`,
			"PATCH" + line + "Content-Type: multipart/form-data; boundary=B\n" + key + "\n" + part(`name="a"`, "1") +
				part("name=\"f\"; filename=\"a.txt\"\r\nContent-Type: application/octet-stream", "x") + part("name=\"a\"\r\nContent-Type: application/json", "{}") + end,
		},
		{"form-data without parts", "custom", m + `,"form_data":{}}`, "PATCH" + line + "Content-Type: multipart/form-data; boundary=B\n" + key + "\n" + end},
	} {
		c.run(t)
	}
}

func TestS10_NoAuthorizationHeader(t *testing.T) {
	t.Parallel()
	h := &host{}
	if _, err := call(t, h, "post", `{`+u+`,"body":{}}`); err != nil || strings.Contains(strings.ToLower(h.sent[0]), "authorization") {
		t.Errorf("%q, %v", h.sent, err)
	}
}

func TestS19_PastedURLIsUsedUnaltered(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]string{
		"https://x.test":                     "https://x.test?k=v%20w",
		"https://x.test/T00/B%2F0?tok=a%20b": "https://x.test/T00/B%2F0?tok=a%20b&k=v%20w",
		"https://x.test/?":                   "https://x.test/?k=v%20w",
		"https://x.test/?a&":                 "https://x.test/?a&k=v%20w",
		"HTTPS://X.test/?a={b}|c#frag?x":     "HTTPS://X.test/?a={b}|c&k=v%20w#frag?x",
	} {
		for _, c := range []sends{
			{url, "get", `{"url":` + string(quote(url)) + `}`, "GET " + url + "\n"},
			{url, "get", `{"url":` + string(quote(url)) + `,"query":{}}`, "GET " + url + "\n"},
			{url, "get", `{"url":` + string(quote(url)) + `,"query":{"k":"v w"}}`, "GET " + want + "\n"},
		} {
			c.run(t)
		}
	}
}

func TestS20_BodyParametersMayNest(t *testing.T) {
	t.Parallel()
	const body = `{"a":{"b":[{"c":null}]},  "n":12345678901234567890,"s":"\u00e9"}`
	sends{"verbatim", "post", `{` + u + `,"body":` + body + `}`, "POST" + line + asJS + key + "\n" + body}.run(t)
}

func TestS21_HeadersSelectTheEncoding(t *testing.T) {
	t.Parallel()
	in := func(contentType, body string) string {
		return `{` + u + `,"headers":{"content-type":"` + contentType + `"},"body":` + body + `}`
	}
	for _, c := range []sends{
		{
			"urlencoded", "post", in("Application/x-www-form-urlencoded; charset=utf-8", `{"a":"b c"}`),
			"POST" + line + "content-type: Application/x-www-form-urlencoded; charset=utf-8\n" + key + "\na=b+c",
		},
		{
			"urlencoded by its writer", "post", in("application/x-www-form-urlencoded", `"a=b%20c"`),
			"POST" + line + "content-type: application/x-www-form-urlencoded\n" + key + "\na=b%20c",
		},
		{"json", "put", in("application/vnd.api+json", `"x"`), "PUT" + line + "content-type: application/vnd.api+json\n" + key + "\n\"x\""},
		{
			"multipart", "post", in("multipart/form-data", `{"a":"b c","n":[1,2]}`),
			"POST" + line + "content-type: multipart/form-data; boundary=B\n" + key + "\n" +
				part(`name="a"`, "b c") + part(`name="n"`, "1") + part(`name="n"`, "2") + end,
		},
		{"text", "post", in("application/xml", `"<a/>"`), "POST" + line + "content-type: application/xml\n" + key + "\n<a/>"},
		{
			"values", "get", `{` + u + `,"headers":{"A":"x","B":1.50,"C":false,"D":null}}`,
			"GET" + line + "A: x\nB: 1.50\nC: false\nD: \n",
		},
	} {
		c.run(t)
	}
	for in, says := range map[string]string{
		`"headers":{"A":"x\r\nB: y"}`: `headers["A"]: a value can't hold CR, LF or NUL`,
		`"headers":{"A":"x\ny"}`:      "can't hold CR",
		`"headers":{"A":"\u0000"}`:    "can't hold CR",
		`"headers":{"A\r\nB":"x"}`:    "is no header name",
		`"headers":{"A B":"x"}`:       "is no header name",
		`"headers":{"":"x"}`:          "is no header name",
		`"headers":{"A":{"b":1}}`:     `headers["A"]: it is an object`,
		`"headers":{"A":["b"]}`:       `make one text of its values, with join(", ")`,
		`"headers":["A"]`:             "an object of key-value pairs is wanted, not a list",
		`"headers":{"Content-Type":"application/xml"},"body":{"a":1}`:                 "an object can't be written by the Content-Type",
		`"headers":{"Content-Type":"a/b","content-type":"c/d"},"body":1`:              "2 Content-Type fields",
		`"headers":{"Content-Type":"application/x-www-form-urlencoded"},"body":[1]`:   "an object of key-value pairs is wanted",
		`"headers":{"Content-Type":"multipart/form-data"},"body":"a"`:                 "an object of parts is wanted",
		`"headers":{"Content-Type":"multipart/form-data"},"body":{"a":{"b":1}}`:       `body["a"]: it is an object`,
		`"headers":{"Content-Type":"multipart/form-data; boundary=x"},"body":{"a":1}`: "has no parameters",
		`"headers":{"Content-Type":"multipart/mixed"},"body":{"a":1}`:                 "multipart/form-data can",
	} {
		h := &host{}
		_, err := call(t, h, "post", `{`+u+`,`+in+`}`)
		if kindOf(err) != sdk.Invalid || !strings.Contains(fmt.Sprint(err), says) || len(h.sent) != 0 {
			t.Errorf("%s: %v, sent %q, want kind invalid saying %q", in, err, h.sent, says)
		}
	}
}

func TestS22_QueryParameters(t *testing.T) {
	t.Parallel()
	sends{
		"query", "get", `{` + u + `,"query":{"a b":"c&d=e+f/ü","l":[1,"x",null],"e":[],"t":true,"k":""}}`,
		"GET https://x.test/hook?a%20b=c%26d%3De%2Bf%2F%C3%BC&l=1&l=x&l=&t=true&k=\n",
	}.run(t)
	for arrays, want := range map[string]string{
		"repeat":   "a=1&a=x%2Cy&a=&b%5B%5D=1&b%5B%5D=2&c=3",
		"brackets": "a%5B%5D=1&a%5B%5D=x%2Cy&a%5B%5D=&b%5B%5D=1&b%5B%5D=2&c=3",
		"indices":  "a%5B0%5D=1&a%5B1%5D=x%2Cy&a%5B2%5D=&b%5B0%5D=1&b%5B1%5D=2&c=3",
		"comma":    "a=1,x%2Cy,&b%5B%5D=1,2&c=3",
	} {
		sends{
			arrays, "get", `{` + u + `,"query_arrays":"` + arrays + `","query":{"a":[1,"x,y",null],"b[]":[1,2],"c":3,"d":[]}}`,
			"GET https://x.test/hook?" + want + "\n",
		}.run(t)
	}
}

func TestS24_NullsAreSent(t *testing.T) {
	t.Parallel()
	const nulls = `"headers":{"A":null},"query":{"q":null},`
	for _, c := range []sends{
		{
			"json", "post", `{` + u + `,` + nulls + `"body":{"a":null,"b":[null]}}`,
			"POST https://x.test/hook?q=\nA: \n" + asJS + key + "\n" + `{"a":null,"b":[null]}`,
		},
		{"null itself", "post", `{` + u + `,"body":null}`, "POST" + line + asJS + key + "\nnull"},
		{
			"urlencoded", "custom", `{"method":"POST",` + u + `,"body_type":"urlencoded","body":{"a":null,"b":1}}`,
			"POST" + line + asUE + key + "\na=&b=1",
		},
		{"whole objects", "get", `{` + u + `,"headers":null,"query":null}`, "GET" + line},
		{
			"form-data", "custom", `{"method":"POST",` + u + `,"form_data":{"a":null,"b":[null,1]}}`,
			"POST" + line + "Content-Type: multipart/form-data; boundary=B\n" + key + "\n" + part(`name="a"`, "") + part(`name="b"`, "") + part(`name="b"`, "1") + end,
		},
	} {
		c.run(t)
	}
}

func TestS25_NullsAreLeftOut(t *testing.T) {
	t.Parallel()
	const off = `,"send_nulls":false`
	for _, c := range []sends{
		{
			"json", "post", `{` + u + off + `,"headers":{"A":null,"B":""},"query":{"q":null,"r":0},"body":{"a":null,"b":{"c":null,"d":[null,{"e":null}]},"f":"","g":0,"h":false}}`,
			"POST https://x.test/hook?r=0\nB: \n" + asJS + key + "\n" + `{"b":{"d":[null,{}]},"f":"","g":0,"h":false}`,
		},
		{"null itself", "post", `{` + u + off + `,"body":null}`, "POST" + line + key},
		{
			"urlencoded", "custom", `{"method":"POST",` + u + off + `,"body_type":"urlencoded","body":{"a":null,"b":[null,1]}}`,
			"POST" + line + asUE + key + "\nb=&b=1",
		},
		{
			"form-data", "custom", `{"method":"POST",` + u + off + `,"form_data":{"a":null,"b":[null,1],"c":"","d":0,"e":false}}`,
			"POST" + line + "Content-Type: multipart/form-data; boundary=B\n" + key + "\n" + part(`name="b"`, "") + part(`name="b"`, "1") +
				part(`name="c"`, "") + part(`name="d"`, "0") + part(`name="e"`, "false") + end,
		},
	} {
		c.run(t)
	}
}

func TestIdempotencyKey(t *testing.T) {
	t.Parallel()
	for _, c := range []sends{
		{"off", "post", `{` + u + `,"idempotency_key":false}`, "POST" + line},
		{"named", "put", `{` + u + `,"idempotency_key":"X-Request-Id"}`, "PUT" + line + "X-Request-Id: key-1\n"},
		{"the graph's own", "post", `{` + u + `,"headers":{"idempotency-key":"mine"}}`, "POST" + line + "idempotency-key: mine\n"},
	} {
		c.run(t)
	}
}

func FuzzInput(f *testing.F) {
	f.Add(`"https://x.test/?a#b"`, `{"A":"x"}`, `{"q":[null,"\u00e9"]}`, `{"a":null}`, `null`, "urlencoded")
	f.Add(`"http://`, `{"A":`, `[`, `{`, `[`, "json")
	f.Add(`"https://x.test"`, `{}`, `{}`, ``, `{"a[]":[1,`+looksLikeFile+`]}`, "form-data")
	f.Add(`"https://x.test"`, `{}`, `{}`, ``, `[{"name":"a","value":[1],"filename":"\r\n"}]`, "")
	f.Add(`"https://x.test"`, `{"Content-Type":"multipart/form-data"}`, `{}`, `{"a":1}`, ``, "")
	f.Add(`"https://x.test"`, `{}`, `{}`, looksLikeFile, ``, "file")
	f.Fuzz(func(t *testing.T, url, headers, query, body, form, kind string) {
		h := newKeeper()
		h.put("00000000000000000000000000000000", "a", "b", "c")
		_, err := action(t, "custom").Do(t.Context(), h, sdk.ActionCall{IdempotencyKey: "k", Input: sdk.Fields{
			{Name: "method", Value: json.RawMessage(`"POST"`)},
			{Name: "url", Value: json.RawMessage(url)},
			{Name: "headers", Value: json.RawMessage(headers)},
			{Name: "query", Value: json.RawMessage(query)},
			{Name: "body", Value: json.RawMessage(body)},
			{Name: "form_data", Value: json.RawMessage(form)},
			{Name: "body_type", Value: quote(kind)},
			{Name: "send_nulls", Value: json.RawMessage(`false`)},
		}})
		if err == nil && len(h.sent) != 1 || h.open != 0 {
			t.Fatalf("%d requests, %d open files", len(h.sent), h.open)
		}
		if err != nil || form == "" || !strings.Contains(h.sent[0], "boundary=tappet-") {
			return
		}
		head, content, _ := strings.Cut(h.sent[0], "\n\n")
		m := boundary.FindStringSubmatch(head)
		if m == nil {
			return // the boundary is of another header
		}
		r := multipart.NewReader(strings.NewReader(content), m[1])
		for {
			p, err := r.NextRawPart()
			if err == io.EOF {
				return
			}
			if err != nil || p.FormName() == "" {
				t.Fatalf("%v in %q", err, content)
			}
		}
	})
}
