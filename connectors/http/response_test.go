package http_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tappet-dev/tappet/sdk"
)

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
		{"xml", "application/xml", `<a b="1">t<c/><c>2</c></a>`, "", `{"a":{"@b":"1","c":["","2"],"#text":"t"}}`, "", 0},
		{"xml by suffix", "application/rss+xml", `<a/>`, "", `{"a":""}`, "", 0},
		{"xml says its charset", "text/xml", "<?xml version='1.0' encoding='iso-8859-1'?><a>\xfc</a>", "", `{"a":"ü"}`, "", 0},
		{"the header's charset counts more", "text/xml; charset=utf-8", "<?xml version='1.0' encoding='iso-8859-1'?><a>ü</a>", "", `{"a":"ü"}`, "", 0},
		{"xhtml is text", "application/xhtml+xml", `<p/>`, "", `"<p/>"`, "", 0},
		{"csv", "text/csv; charset=utf-8", "id,name\r\n1,\"Doe, J\"\r\n", "", `[{"id":"1","name":"Doe, J"}]`, "", 0},
		{"tab-separated", "text/tab-separated-values", "id\tname\n1\tJ\n", "", `[{"id":"1","name":"J"}]`, "", 0},
		{"latin-1", "text/plain; charset=iso-8859-1", "gr\xfc\xdfe", "", `"grüße"`, "", 0},
		{"windows-1252", "text/csv; charset=\"Windows-1252\"", "a\n\x80\n", "", `[{"a":"€"}]`, "", 0},
		{"utf-16", "text/plain; charset=utf-16le", "h\x00i\x00", "", `"hi"`, "", 0},
		{"utf-16 by its mark", "text/plain", "\xfe\xff\x00h\x00i", "", `"hi"`, "", 0},
		{"json in latin-1", "application/json; charset=latin1", "[\"\xfc\"]", "", `["ü"]`, "", 0},
		{"no charset, not utf-8", "text/html", "\xfc", "", `"ü"`, "", 1},
		{"unknown charset", "text/plain; charset=klingon", "a", "", `null`, sdk.Failed, 0},
		{"lies about its charset", "text/plain; charset=utf-8", "\xfc", "", `null`, sdk.Failed, 0},
		{"NUL", "text/plain", "a\x00", "", `null`, sdk.Failed, 0},
		{"not xml", "application/xml", "<a>", "", `"<a>"`, sdk.Failed, 0},
		{"not csv", "text/csv", "a,b\n1\n", "", `"a,b\n1\n"`, sdk.Failed, 0},
		{"told xml", "text/plain", "<a/>", "xml", `{"a":""}`, "", 0},
		{"told csv", "text/plain", "a\n1", "csv", `[{"a":"1"}]`, "", 0},
		{"told form", "text/plain", "a=1", "form", `{"a":"1"}`, "", 0},
		{"told none", "application/json", "{", "none", `null`, "", 0},
		{"no type, json", "", `{"a":1}`, "", `{"a":1}`, "", 0},
		{"no type, text", "", `{"a":1`, "", `"{\"a\":1"`, "", 0},
		{"empty", "application/json", "", "", `null`, "", 0},
		{"binary", "image/png", "\x89PNG\xff", "", `null`, "", 1},
		{"told json", "text/plain", `[1]`, "json", `[1]`, "", 0},
		{"told text", "application/json", `[1]`, "text", `"[1]"`, "", 0},
		{"not json", "application/json", `<p>oops`, "", `"<p>oops"`, sdk.Failed, 0},
		{"not json, told so", "text/plain", `oops`, "json", `"oops"`, sdk.Failed, 0},
		{"not utf-8", "application/json", "\"\xff\"", "", `null`, sdk.Failed, 0},
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
	if kindOf(err) != sdk.TooLarge || out != "" {
		t.Errorf("a body that fails: %s, %v", out, err)
	}
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, sdk.Errorf(sdk.TooLarge, "too large") }

func FuzzResponse(f *testing.F) {
	f.Add("application/json", "120", `{"a":1}`)
	f.Add("application/x-www-form-urlencoded", "Tue, 24 Nov 2026 10:00:30 GMT", "a=%zz")
	f.Add("text/plain; charset=x", "-1", "\xff")
	f.Add("text/csv; charset=utf-16", "", "\xff\xfea\x00")
	f.Add("application/xml", "", "<a><b/><b c='d'>x</b></a>")
	f.Add("", "", "\xff")
	f.Add("image/png", "attachment; filename*=UTF-8''%C3%BC", "x")
	f.Fuzz(func(t *testing.T, contentType, retryAfter, body string) {
		for _, status := range []int{200, 503} {
			k := newKeeper()
			k.status, k.body = status, strings.NewReader(body)
			k.header = sdk.Header{{Name: "Content-Type", Value: contentType}, {Name: "Content-Disposition", Value: retryAfter}}
			if out, _ := k.do(t, "get", `{`+u+`}`); !json.Valid([]byte(out)) {
				t.Fatalf("%d: %q", status, out)
			}
		}
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
