package http_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
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
	h.sent = append(h.sent, b.String())
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
	if diff := cmp.Diff([]string{c.want}, h.sent); diff != "" {
		t.Errorf("%s: %s", c.name, diff)
	}
}

const (
	u    = `"url":"https://x.test/hook"`
	line = " https://x.test/hook\n"
	key  = "Idempotency-Key: key-1\n"
	asJS = "Content-Type: application/json\n"
	asUE = "Content-Type: application/x-www-form-urlencoded\n"
)

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
	} {
		c.run(t)
	}
}

func TestS9_ResponseIsParsedByItsContentType(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, contentType, body, parse, want string
		kind                                 sdk.Kind
		logs                                 int
	}{
		{"json, verbatim", "application/json; charset=utf-8", ` {"b":1.0,"a":12345678901234567890}`, "", ` {"b":1.0,"a":12345678901234567890}`, "", 0},
		{"problem", "application/problem+json", `{"a":1}`, "", `{"a":1}`, "", 0},
		{"byte order mark", "application/json", "\xef\xbb\xbf[]", "", `[]`, "", 0},
		{"form", "application/x-www-form-urlencoded", "a=1&a=2&b=", "", `{"a":["1","2"],"b":""}`, "", 0},
		{"text", "text/html", "<p>\"ü\"", "", `"<p>\"ü\""`, "", 0},
		{"xml is text", "application/xml", "<a/>", "", `"<a/>"`, "", 0},
		{"no type, json", "", `{"a":1}`, "", `{"a":1}`, "", 0},
		{"no type, text", "", `{"a":1`, "", `"{\"a\":1"`, "", 0},
		{"empty", "application/json", "", "", `null`, "", 0},
		{"binary", "image/png", "\x89PNG\xff", "", `null`, "", 1},
		{"told json", "text/plain", `[1]`, "json", `[1]`, "", 0},
		{"told text", "application/json", `[1]`, "text", `"[1]"`, "", 0},
		{"not json", "application/json", `<p>oops`, "", `"<p>oops"`, sdk.Failed, 0},
		{"not json, told so", "text/plain", `oops`, "json", `"oops"`, sdk.Failed, 0},
		{"not utf-8", "application/json", "\"\xff\"", "", `null`, sdk.Failed, 1},
		{"broken form", "application/x-www-form-urlencoded", "a=%zz", "", `"a=%zz"`, sdk.Failed, 0},
		{"not text, told so", "image/png", "\xff", "text", `null`, sdk.Failed, 0},
	} {
		h := &host{status: 200, body: strings.NewReader(tt.body)}
		headers := `{}`
		if tt.contentType != "" {
			h.header = sdk.Header{{Name: "Content-Type", Value: tt.contentType}}
			headers = `{"content-type":` + string(quote(tt.contentType)) + `}`
		}
		in := `{` + u + `}`
		if tt.parse != "" {
			in = `{` + u + `,"response_type":"` + tt.parse + `"}`
		}
		got, err := call(t, h, "get", in)
		if diff := cmp.Diff(`{"status":200,"headers":`+headers+`,"body":`+tt.want+`}`, got); diff != "" {
			t.Errorf("%s: %s", tt.name, diff)
		}
		if !json.Valid([]byte(got)) {
			t.Errorf("%s: the output is not JSON", tt.name)
		}
		if kindOf(err) != tt.kind || len(h.logs) != tt.logs {
			t.Errorf("%s: %v, logged %q, want kind %q", tt.name, err, h.logs, tt.kind)
		}
	}
}

// kindOf is "" for no error.
func kindOf(err error) sdk.Kind {
	if err == nil {
		return ""
	}
	return sdk.KindOf(err)
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
		{"text", "post", in("application/xml", `"<a/>"`), "POST" + line + "content-type: application/xml\n" + key + "\n<a/>"},
		{
			"values", "get", `{` + u + `,"headers":{"A":["x",1,true,null],"B":1.50,"C":false}}`,
			"GET" + line + "A: x\nA: 1\nA: true\nA: \nB: 1.50\nC: false\n",
		},
	} {
		c.run(t)
	}
	for in, says := range map[string]string{
		`"headers":{"A":"x\r\nB: y"}`:                                 `headers["A"]: a value can't hold CR, LF or NUL`,
		`"headers":{"A":"x\ny"}`:                                      "can't hold CR",
		`"headers":{"A":["ok","\u0000"]}`:                             "can't hold CR",
		`"headers":{"A\r\nB":"x"}`:                                    "is no header name",
		`"headers":{"A B":"x"}`:                                       "is no header name",
		`"headers":{"":"x"}`:                                          "is no header name",
		`"headers":{"A":{"b":1}}`:                                     `headers["A"]: it is an object`,
		`"headers":{"A":[["b"]]}`:                                     `headers["A"]: an element is a list`,
		`"headers":["A"]`:                                             "an object of key-value pairs is wanted, not a list",
		`"headers":{"Content-Type":"application/xml"},"body":{"a":1}`: "an object can't be written by the Content-Type",
		`"headers":{"Content-Type":["a/b","c/d"]},"body":1`:           "2 Content-Type fields",
		`"headers":{"Content-Type":"application/x-www-form-urlencoded"},"body":[1]`: "an object of key-value pairs is wanted",
	} {
		h := &host{}
		_, err := call(t, h, "post", `{`+u+`,`+in+`}`)
		if kindOf(err) != sdk.Invalid || !strings.Contains(fmt.Sprint(err), says) || len(h.sent) != 0 {
			t.Errorf("%s: %v, sent %q, want kind invalid saying %q", in, err, h.sent, says)
		}
	}
	h := &host{}
	if _, err := call(t, h, "post", in("multipart/form-data", `{"a":1}`)); kindOf(err) != sdk.Unsupported || len(h.sent) != 0 {
		t.Errorf("multipart: %v, sent %q, want kind unsupported", err, h.sent)
	}
}

func TestS22_QueryParameters(t *testing.T) {
	t.Parallel()
	sends{
		"query", "get", `{` + u + `,"query":{"a b":"c&d=e+f/ü","l":[1,"x",null],"e":[],"t":true,"k":""}}`,
		"GET https://x.test/hook?a%20b=c%26d%3De%2Bf%2F%C3%BC&l=1&l=x&l=&t=true&k=\n",
	}.run(t)
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
	} {
		c.run(t)
	}
}

func TestS26_StatusTellsSuccessOrFailure(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		status     int
		retryAfter string
		kind       sdk.Kind
		wait       time.Duration
	}{
		{200, "", "", 0},
		{201, "", "", 0},
		{299, "", "", 0},
		{302, "", sdk.Failed, 0},
		{400, "", sdk.Failed, 0},
		{401, "", sdk.Unauthorized, 0},
		{403, "", sdk.Denied, 0},
		{404, "", sdk.NotFound, 0},
		{408, "", sdk.Timeout, 0},
		{409, "", sdk.Failed, 0},
		{410, "", sdk.NotFound, 0},
		{413, "", sdk.TooLarge, 0},
		{422, "", sdk.Failed, 0},
		{425, "1", sdk.Unavailable, time.Second},
		{429, "120", sdk.RateLimited, 2 * time.Minute},
		{429, "Tue, 24 Nov 2026 10:00:30 GMT", sdk.RateLimited, 30 * time.Second},
		{500, "", sdk.Unavailable, 0},
		{503, "Tuesday, 24-Nov-26 10:01:00 UTC", sdk.Unavailable, time.Minute},
		{504, "", sdk.Timeout, 0},
	} {
		h := &host{status: tt.status, body: strings.NewReader(`{"why":1}`), header: sdk.Header{
			{Name: "Content-Type", Value: "application/json"}, {Name: "X-A", Value: "1"}, {Name: "x-a", Value: "2"},
		}}
		want := fmt.Sprintf(`{"status":%d,"headers":{"content-type":"application/json","x-a":"1, 2"},"body":{"why":1}}`, tt.status)
		if tt.retryAfter != "" {
			h.header.Add("retry-after", tt.retryAfter)
			want = strings.Replace(want, `"1, 2"`, `"1, 2","retry-after":"`+tt.retryAfter+`"`, 1)
		}
		got, err := call(t, h, "get", `{`+u+`}`)
		if got != want {
			t.Errorf("%d: output %s, want %s", tt.status, got, want)
		}
		var e *sdk.Error
		errors.As(err, &e)
		if kindOf(err) != tt.kind || e != nil && (e.RetryAfter != tt.wait || e.Op != "http.get") {
			t.Errorf("%d: %+v, want kind %q after %v", tt.status, e, tt.kind, tt.wait)
		}
	}
}

func TestHostFailuresKeepTheirKind(t *testing.T) {
	t.Parallel()
	h := &host{err: &sdk.Error{Kind: sdk.Unavailable, RetryAfter: time.Second, Err: errors.New("refused")}}
	_, err := call(t, h, "put", `{`+u+`}`)
	var e *sdk.Error
	if !errors.As(err, &e) || e.Kind != sdk.Unavailable || e.RetryAfter != time.Second || e.Error() != "http.put: refused" {
		t.Errorf("%+v", e)
	}
	cut := &host{status: 200, body: io.MultiReader(strings.NewReader("{"), failing{})}
	out, err := call(t, cut, "get", `{`+u+`}`)
	if kindOf(err) != sdk.TooLarge || out != `{"status":200,"headers":{},"body":null}` {
		t.Errorf("a body that fails: %s, %v", out, err)
	}
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, sdk.Errorf(sdk.TooLarge, "too large") }

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

func TestRefusedInputs(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ action, with, says string }{
		{"get", `{}`, "url: an absolute http or https URL is wanted, not no value"},
		{"get", `{"url":null}`, "not null"},
		{"get", `{"url":["https://x.test"]}`, "not a list"},
		{"get", `{"url":"x.test/hook"}`, "does not begin with http:// or https://"},
		{"get", `{"url":"file:///etc/passwd"}`, "does not begin"},
		{"get", `{` + u + `,"query":{"a":{"b":1}}}`, `query["a"]: it is an object`},
		{"get", `{` + u + `,"query":"a=1"}`, "query: an object"},
		{"get", `{` + u + `,"send_nulls":"no"}`, "send_nulls: true or false is wanted, not a string"},
		{"get", `{` + u + `,"response_type":"xml"}`, "is not one of auto, json, text"},
		{"post", `{` + u + `,"idempotency_key":"a b"}`, "is no header name"},
		{"post", `{` + u + `,"idempotency_key":1}`, "idempotency_key: true or false"},
		{"custom", `{` + u + `}`, "method: "},
		{"custom", `{"method":"GET /",` + u + `}`, "is no method"},
		{"custom", `{"method":"POST",` + u + `,"body_type":"form-data","body":{}}`, `body_type: "form-data" is not one of json, urlencoded, raw, none`},
		{"custom", `{"method":"POST",` + u + `,"body_type":"none","body":{}}`, "body_type is none"},
		{"custom", `{"method":"POST",` + u + `,"body_type":"raw","body":{}}`, "an object can't be written"},
		{"custom", `{"method":"POST",` + u + `,"body_type":"json","content_type":"a/b","body":{}}`, "belongs to body_type raw"},
		{"custom", `{"method":"POST",` + u + `,"content_type":"a/b\r\nX: y","body":"x"}`, "can't hold CR"},
		{"custom", `{"method":"POST",` + u + `,"body_type":"urlencoded","headers":{"Content-Type":"application/json"},"body":{}}`, "doesn't describe a body of body_type urlencoded"},
	} {
		h := &host{}
		_, err := call(t, h, tt.action, tt.with)
		if kindOf(err) != sdk.Invalid || !strings.Contains(fmt.Sprint(err), tt.says) || len(h.sent) != 0 {
			t.Errorf("%s %s: %v, want kind invalid saying %q", tt.action, tt.with, err, tt.says)
		}
	}
}

func FuzzInput(f *testing.F) {
	f.Add(`"https://x.test/?a#b"`, `{"A":["x"]}`, `{"q":[null,"\u00e9"]}`, `{"a":null}`, "urlencoded")
	f.Add(`"http://`, `{"A":`, `[`, `{`, "json")
	f.Fuzz(func(t *testing.T, url, headers, query, body, kind string) {
		h := &host{}
		_, err := action(t, "custom").Do(t.Context(), h, sdk.ActionCall{IdempotencyKey: "k", Input: sdk.Fields{
			{Name: "method", Value: json.RawMessage(`"POST"`)},
			{Name: "url", Value: json.RawMessage(url)},
			{Name: "headers", Value: json.RawMessage(headers)},
			{Name: "query", Value: json.RawMessage(query)},
			{Name: "body", Value: json.RawMessage(body)},
			{Name: "body_type", Value: quote(kind)},
			{Name: "send_nulls", Value: json.RawMessage(`false`)},
		}})
		if err == nil && len(h.sent) != 1 {
			t.Fatalf("%d requests", len(h.sent))
		}
	})
}

func FuzzResponse(f *testing.F) {
	f.Add("application/json", "120", `{"a":1}`)
	f.Add("application/x-www-form-urlencoded", "Tue, 24 Nov 2026 10:00:30 GMT", "a=%zz")
	f.Add("text/plain; charset=x", "-1", "\xff")
	f.Fuzz(func(t *testing.T, contentType, retryAfter, body string) {
		h := &host{status: 503, body: strings.NewReader(body), header: sdk.Header{
			{Name: "Content-Type", Value: contentType}, {Name: "Retry-After", Value: retryAfter},
		}}
		out, err := call(t, h, "get", `{`+u+`}`)
		var e *sdk.Error
		if !errors.As(err, &e) || e.RetryAfter < 0 || !json.Valid([]byte(out)) {
			t.Fatalf("%q, %+v", out, e)
		}
	})
}
