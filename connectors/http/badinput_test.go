package http_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/tappet-dev/tappet/engine/graph"
	"github.com/tappet-dev/tappet/sdk"
)

// problems are those of a literal `with`, as saving a graph tells them.
func problems(t testing.TB, name, with string) []graph.Problem {
	t.Helper()
	steps := `[{"id":"x","use":"http.` + name + `","with":` + with + `}]`
	doc, found := graph.Parse([]byte(`{"format":1,"name":"x","trigger":{"use":"manual"},"steps":`+steps+`}`), graph.JSON, graph.Limits{})
	if len(found) > 0 {
		return found
	}
	c, err := graph.NewInputChecker(action(t, name).Input)
	if err != nil {
		t.Fatal(err)
	}
	return c.Check(doc.Steps[0].With, "/with", func(v *graph.Value) bool { return strings.Contains(v.Text, "${{") })
}

// Each bad input is told when the graph is saved, if it is literal there, and
// otherwise fails the step before anything is sent. Both name the field.
func TestBadInput(t *testing.T) {
	t.Parallel()
	headers := &strings.Builder{}
	for i := range 100_000 {
		fmt.Fprintf(headers, `,"%x":1`, i)
	}
	for name, tt := range map[string]struct {
		action, with string
		at           string // where saving tells it; "" if only the call can
		says         string // what the call says
	}{
		"URL without scheme":           {"get", `{"url":"x.test/hook"}`, "/with/url", "url: \"x.test/hook\" does not begin with http:// or https://"},
		"file URL":                     {"get", `{"url":"file:///etc/passwd"}`, "/with/url", "url: \"file:///etc/passwd\" does not begin with http"},
		"no URL":                       {"get", `{}`, "/with", "url: an absolute http or https URL is wanted, not no value"},
		"null URL":                     {"get", `{"url":null}`, "/with/url", "url: an absolute http or https URL is wanted, not null"},
		"URL list":                     {"get", `{"url":["https://x.test"]}`, "/with/url", "url: an absolute http or https URL is wanted, not a list"},
		"CR LF in the URL":             {"get", `{"url":"https://x.test/\r\nA: b"}`, "/with/url", "url: byte 15 is 0x0d; write it percent-encoded, as %0D"},
		"space in the URL":             {"get", `{"url":"https://x.test/a b"}`, "/with/url", "as %20"},
		"CR LF in a header's value":    {"get", `{` + u + `,"headers":{"A":"x\r\nB: y"}}`, "/with/headers/A", `headers["A"]: a value can't hold CR, LF or NUL`},
		"CR LF in a header's name":     {"get", `{` + u + `,"headers":{"A\r\nB":"x"}}`, "/with/headers/A\r\nB", `headers: "A\r\nB" is no header name`},
		"header name with a space":     {"get", `{` + u + `,"headers":{"A B":"x"}}`, "/with/headers/A B", `headers: "A B" is no header name`},
		"empty header name":            {"get", `{` + u + `,"headers":{"":"x"}}`, "/with/headers/", `headers: "" is no header name`},
		"list as a header":             {"get", `{` + u + `,"headers":{"A":["x","y"]}}`, "/with/headers/A", `headers["A"]: it is a list, where a string`},
		"list as the headers":          {"get", `{` + u + `,"headers":["A"]}`, "/with/headers", "headers: an object of key-value pairs is wanted, not a list"},
		"object as a header":           {"get", `{` + u + `,"headers":{"A":{}}}`, "/with/headers/A", `headers["A"]: it is an object`},
		"100,000 headers":              {"get", `{` + u + `,"headers":{"A":1` + headers.String() + `}}`, "/with/headers", "headers: there are more than 1000 fields"},
		"method with a path":           {"custom", `{"method":"GET /",` + u + `}`, "/with/method", `method: "GET /" is no method`},
		"CR LF in the method":          {"custom", `{"method":"GET\r\n",` + u + `}`, "/with/method", `method: "GET\r\n" is no method`},
		"no method":                    {"custom", `{` + u + `}`, "/with", "method: "},
		"body on GET":                  {"custom", `{"method":"GET",` + u + `,"body":{"a":1}}`, "/with/body", "body: a GET request has no body; give query, or another method"},
		"form-data on HEAD":            {"custom", `{"method":"HEAD",` + u + `,"form_data":{"a":1}}`, "/with/form_data", "form_data: a HEAD request has no body"},
		"query of an object":           {"get", `{` + u + `,"query":{"a":{"b":1}}}`, "/with/query/a", `query["a"]: it is an object`},
		"query as text":                {"get", `{` + u + `,"query":"a=1"}`, "/with/query", "query: an object of key-value pairs is wanted, not a string"},
		"query arrays":                 {"get", `{` + u + `,"query":{"a":[1]},"query_arrays":"php"}`, "/with/query_arrays", `query_arrays: "php" is not one of repeat, brackets, indices, comma`},
		"send_nulls as text":           {"get", `{` + u + `,"send_nulls":"no"}`, "/with/send_nulls", "send_nulls: true or false is wanted, not a string"},
		"too many redirects":           {"get", `{` + u + `,"redirects":11}`, "/with/redirects", "redirects: a whole number from 0 to 10 is wanted, not 11"},
		"a part of a redirect":         {"post", `{` + u + `,"redirects":1.5}`, "/with/redirects", "not 1.5"},
		"redirects below 0":            {"put", `{` + u + `,"redirects":-1}`, "/with/redirects", "not -1"},
		"redirects as text":            {"custom", `{"method":"POST",` + u + `,"redirects":"2"}`, "/with/redirects", `not "2"`},
		"response type":                {"get", `{` + u + `,"response_type":"yaml"}`, "/with/response_type", `"yaml" is not one of auto, json, xml, form, csv, text, file, none`},
		"key name":                     {"post", `{` + u + `,"idempotency_key":"a b"}`, "/with/idempotency_key", `idempotency_key: "a b" is no header name`},
		"key":                          {"post", `{` + u + `,"idempotency_key":1}`, "/with/idempotency_key", "idempotency_key: true or false is wanted"},
		"object by an XML header":      {"post", `{` + u + `,"headers":{"content-type":"application/xml"},"body":{"a":1}}`, "/with/body", "an object can't be written by the Content-Type"},
		"list by an XML header":        {"custom", `{"method":"POST",` + u + `,"headers":{"content-type":"application/xml"},"body":[1]}`, "/with/body", "a list can't be written by the Content-Type"},
		"list as urlencoded":           {"put", `{` + u + `,"headers":{"Content-Type":"application/x-www-form-urlencoded"},"body":[1]}`, "/with/body", "body: an object of key-value pairs is wanted, not a list"},
		"number as form-data":          {"put", `{` + u + `,"headers":{"Content-Type":"multipart/form-data"},"body":7}`, "/with/body", "body: an object of parts is wanted"},
		"body type":                    {"custom", `{"method":"POST",` + u + `,"body_type":"xml","body":{}}`, "/with/body_type", `body_type: "xml" is not one of json, raw, urlencoded, form-data, file, none`},
		"body of none":                 {"custom", `{"method":"POST",` + u + `,"body_type":"none","body":{}}`, "/with/body", "body: there is one, but body_type is none"},
		"raw object":                   {"custom", `{"method":"POST",` + u + `,"body_type":"raw","body":{}}`, "/with/body", "body: an object can't be written"},
		"file that is text":            {"custom", `{"method":"POST",` + u + `,"body_type":"file","body":"x"}`, "/with/body", "body: a file is wanted, not a string"},
		"type of a JSON body":          {"custom", `{"method":"POST",` + u + `,"body_type":"json","content_type":"a/b","body":{}}`, "/with/content_type", "content_type: it belongs to body_type raw or file, not json"},
		"CR LF in the type":            {"custom", `{"method":"POST",` + u + `,"content_type":"a/b\r\nX: y","body":"x"}`, "/with/content_type", "content_type: it can't hold CR, LF"},
		"two types":                    {"custom", `{"method":"POST",` + u + `,"content_type":"a/b","headers":{"Content-Type":"c/d"},"body":"x"}`, "/with/content_type", "content_type: headers has a Content-Type too"},
		"type of another body":         {"custom", `{"method":"POST",` + u + `,"body_type":"urlencoded","headers":{"Content-Type":"application/json"},"body":{}}`, "/with/headers/Content-Type", "doesn't describe a body of body_type urlencoded"},
		"form-data with another type":  {"custom", `{"method":"POST",` + u + `,"body_type":"json","form_data":{"a":1}}`, "/with/form_data", "form_data: it belongs to body_type form-data, not json"},
		"none and form-data":           {"custom", `{"method":"POST",` + u + `,"body_type":"none","form_data":{"a":1}}`, "/with/form_data", "form_data: it belongs to body_type form-data, not none"},
		"form-data of a type":          {"custom", `{"method":"POST",` + u + `,"content_type":"a/b","form_data":{"a":1}}`, "/with/content_type", "content_type: it belongs to body_type raw or file, not form-data"},
		"no file":                      {"custom", `{"method":"POST",` + u + `,"body_type":"file"}`, "/with", "body: a file is wanted, not no value"},
		"raw list":                     {"custom", `{"method":"POST",` + u + `,"body_type":"raw","body":[1]}`, "/with/body", "body: a list can't be written"},
		"raw that looks like a file":   {"custom", `{"method":"POST",` + u + `,"body_type":"raw","body":` + looksLikeFile + `}`, "/with/body", "body: this run has no file"},
		"list of pairs":                {"custom", `{"method":"POST",` + u + `,"body_type":"urlencoded","body":[1]}`, "/with/body", "body: an object of key-value pairs is wanted, not a list"},
		"pair that has parts":          {"custom", `{"method":"POST",` + u + `,"body_type":"urlencoded","body":{"a":{"b":1}}}`, "/with/body/a", `body["a"]: it is an object`},
		"pair of lists":                {"put", `{` + u + `,"headers":{"Content-Type":"application/x-www-form-urlencoded"},"body":{"a":[[1]]}}`, "/with/body/a", `body["a"]: an element is a list`},
		"empty key by the header":      {"post", `{` + u + `,"headers":{"Content-Type":"application/x-www-form-urlencoded"},"body":{"":1}}`, "/with/body/", "body: a key is empty"},
		"empty key of form-data":       {"post", `{` + u + `,"headers":{"Content-Type":"multipart/form-data"},"body":{"":1}}`, "/with/body/", "the key is empty"},
		"empty name in form_data":      {"custom", `{"method":"POST",` + u + `,"form_data":{"":1}}`, "/with/form_data/", "the key is empty"},
		"boundary":                     {"put", `{` + u + `,"headers":{"content-type":"Multipart/Form-Data; boundary=x"},"body":{"a":1}}`, "/with/headers/content-type", "has no parameters here: its boundary is made for each request"},
		"another multipart":            {"post", `{` + u + `,"headers":{"Content-Type":"multipart/mixed"},"body":"x"}`, "/with/headers/Content-Type", "can't be written from parameters"},
		"another multipart of custom":  {"custom", `{"method":"POST",` + u + `,"headers":{"Content-Type":"multipart/related; type=a"},"body":"x"}`, "/with/headers/Content-Type", "can't be written from parameters"},
		"JSON of another type":         {"custom", `{"method":"POST",` + u + `,"body_type":"json","headers":{"Content-Type":"text/plain"},"body":"x"}`, "/with/headers/Content-Type", "doesn't describe a body of body_type json"},
		"two Content-Types":            {"custom", `{"method":"POST",` + u + `,"headers":{"Content-Type":"text/plain","content-type":"text/csv"},"body":"x"}`, "/with/headers", "headers: there are 2 Content-Type fields; one is wanted"},
		"form-data and body":           {"custom", `{"method":"POST",` + u + `,"body":1,"form_data":{"a":1}}`, "/with/body", "form_data: there is a body too"},
		"form-data by another header":  {"custom", `{"method":"POST",` + u + `,"headers":{"Content-Type":"application/json"},"form_data":{"a":1}}`, "/with/headers/Content-Type", "doesn't describe a body of body_type form-data"},
		"empty form key":               {"custom", `{"method":"POST",` + u + `,"form_data":{"":1}}`, "/with/form_data/", `form_data[""]: the key is empty; each part needs a name`},
		"empty urlencoded key":         {"custom", `{"method":"POST",` + u + `,"body_type":"urlencoded","body":{"":1}}`, "/with/body/", "body: a key is empty"},
		"empty name of a part":         {"custom", `{"method":"POST",` + u + `,"form_data":[{"name":"","value":1}]}`, "/with/form_data/0/name", "form_data[0]: the key is empty"},
		"part without a name":          {"custom", `{"method":"POST",` + u + `,"form_data":[{"value":1}]}`, "/with/form_data/0", "form_data[0]: the key is empty"},
		"part that is text":            {"custom", `{"method":"POST",` + u + `,"form_data":["a"]}`, "/with/form_data/0", "form_data[0]: an object {name, value} is wanted, not a string"},
		"unknown member of a part":     {"custom", `{"method":"POST",` + u + `,"form_data":[{"name":"a","file":"x"}]}`, "/with/form_data/0/file", `form_data[0]: there is no member "file"`},
		"CR LF in a part's type":       {"custom", `{"method":"POST",` + u + `,"form_data":[{"name":"a","value":1,"content_type":"a/b\r\nX: y"}]}`, "/with/form_data/0/content_type", "form_data[0]: content_type: it can't hold CR, LF"},
		"form-data as text":            {"custom", `{"method":"POST",` + u + `,"form_data":"a=1"}`, "/with/form_data", "form_data: an object of parts is wanted"},
		"object as a part":             {"custom", `{"method":"POST",` + u + `,"form_data":{"a":{"b":1}}}`, "/with/form_data/a", `form_data["a"]: it is an object, where text, a number, a boolean, null, a file or a list of these is wanted`},
		"nested list as a part":        {"custom", `{"method":"POST",` + u + `,"form_data":{"a":[[1]]}}`, "/with/form_data/a", `form_data["a"]: element 0: it is a list`},
		"file in the body of post":     {"post", `{` + u + `,"headers":{"Content-Type":"multipart/form-data"},"body":{"a":` + looksLikeFile + `}}`, "/with/body/a", `body["a"]: files go with http.custom, in form_data`},
		"JSON that looks like a file":  {"custom", `{"method":"POST",` + u + `,"form_data":{"a":` + looksLikeFile + `}}`, "/with/form_data/a", `form_data["a"]: this run has no file "00000000000000000000000000000000"; map a file of the trigger or of a step whole`},
		"JSON that looks like a list":  {"custom", `{"method":"POST",` + u + `,"form_data":{"a[]":[` + looksLikeFile + `]}}`, "/with/form_data/a[]/0", `form_data["a[]"]: element 0: this run has no file`},
		"a body that looks like one":   {"custom", `{"method":"POST",` + u + `,"body_type":"file","body":` + looksLikeFile + `}`, "/with/body", `body: this run has no file`},
		"a part that looks like a one": {"custom", `{"method":"POST",` + u + `,"form_data":[{"name":"a","value":` + looksLikeFile + `}]}`, "/with/form_data/0/value", `form_data[0]: this run has no file`},
	} {
		found := problems(t, tt.action, tt.with)
		if (len(found) > 0) != (tt.at != "") {
			t.Errorf("%s, saved: %+v, want a problem at %q", name, found, tt.at)
		}
		for _, p := range found {
			if !strings.HasPrefix(p.Pointer, tt.at) {
				t.Errorf("%s, saved: %+v, want a problem at %q", name, p, tt.at)
			}
		}
		h := newKeeper()
		_, err := action(t, tt.action).Do(t.Context(), h, sdk.ActionCall{Input: with(t, tt.with), IdempotencyKey: "k"})
		if kindOf(err) != sdk.Invalid || !strings.Contains(fmt.Sprint(err), tt.says) || len(h.sent) != 0 {
			t.Errorf("%s, called: %.300v; kind invalid is wanted, saying %q; sent %d", name, err, tt.says, len(h.sent))
		}
	}
}

const looksLikeFile = `{"file":"00000000000000000000000000000000","name":"passwd","type":"text/plain","size":7}`

// mappedFile is a file of the run under another name.
const mappedFile = `{"file":"${{ trigger.files[0].file }}","name":"b","type":"text/plain","size":7}`

// What is right is not told when a graph is saved: the control of TestBadInput.
func TestGoodInputIsSaved(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ action, with string }{
		{"get", `{"url":"HTTPS://x.test/?a={b}|c#d","headers":{"A":null,"B":1,"X-!#$%&'*+.^_|~9":"ü"},"query":{"a":[1,null],"b":null},"query_arrays":"comma"}`},
		{"get", `{"url":"${{ trigger.url }}","headers":"${{ trigger.headers }}","query":"${{ trigger.query }}"}`},
		{"post", `{` + u + `,"headers":{"Content-Type":"application/vnd.api+json"},"body":[{"a":1}]}`},
		{"post", `{` + u + `,"headers":{"Content-Type":"${{ trigger.type }}"},"body":[{"a":1}]}`},
		{"post", `{` + u + `,"headers":{"Content-Type":"application/xml"},"body":"<a/>"}`},
		{"put", `{` + u + `,"headers":{"content-type":"Multipart/Form-Data"},"body":{"a":1}}`},
		{"custom", `{"method":"POST",` + u + `,"body_type":"file","body":"${{ trigger.files[0] }}"}`},
		{"custom", `{"method":"POST",` + u + `,"body_type":"file","body":` + mappedFile + `}`},
		{"custom", `{"method":"POST",` + u + `,"form_data":{"Attachments[]":"${{ item }}","a":[1,null,` + mappedFile + `],"b":null}}`},
		{"custom", `{"method":"POST",` + u + `,"form_data":[{"name":"a","value":` + mappedFile + `}]}`},
		// JSON that looks like a file is JSON where no file can be.
		{"post", `{` + u + `,"body":` + looksLikeFile + `}`},
		{"custom", `{"method":"POST",` + u + `,"body":` + looksLikeFile + `}`},
		{"custom", `{"method":"POST",` + u + `,"body_type":"json","body":{"a":[` + looksLikeFile + `]}}`},
		{"custom", `{"method":"POST",` + u + `,"body_type":"raw","body":"x","content_type":"a/b"}`},
		{"custom", `{"method":"POST",` + u + `,"body_type":"raw","body":` + mappedFile + `}`},
		{"custom", `{"method":"POST",` + u + `,"body_type":"raw","headers":{"Content-Type":"multipart/mixed; boundary=x"},"body":"x"}`},
		{"custom", `{"method":"POST",` + u + `,"body_type":"none","body":null,"form_data":null}`},
		{"custom", `{"method":"POST",` + u + `,"body_type":"none","body":"${{ trigger.body }}"}`},
		{"custom", `{"method":"POST",` + u + `,"body_type":"urlencoded","body":{"a":[1,null],"b":"x"}}`},
		{"custom", `{"method":"POST",` + u + `,"body_type":"urlencoded","body":"a=1"}`},
		{"custom", `{"method":"POST",` + u + `,"body_type":"urlencoded","headers":{"Content-Type":"application/X-WWW-Form-URLEncoded; charset=utf-8"},"body":{"a":1}}`},
		{"custom", `{"method":"POST",` + u + `,"body_type":"json","headers":{"content-type":"application/problem+JSON"},"body":{"":1}}`},
		{"custom", `{"method":"POST",` + u + `,"body_type":"form-data","headers":{"Content-Type":"multipart/form-data"},"form_data":{"a":1}}`},
		{"custom", `{"method":"POST",` + u + `,"body_type":"form-data","body":{"a":` + mappedFile + `}}`},
		{"custom", `{"method":"POST",` + u + `,"body":{"a":1},"form_data":"${{ trigger.parts }}"}`},
		{"custom", `{"method":"POST",` + u + `,"body":"${{ trigger.body }}","form_data":{"a":1}}`},
		{"custom", `{"method":"POST",` + u + `,"body_type":"${{ trigger.kind }}","content_type":"a/b","form_data":{"a":1}}`},
		{"custom", `{"method":"POST",` + u + `,"content_type":"${{ trigger.type }}","form_data":{"a":1}}`},
		{"put", `{` + u + `,"headers":{"Content-Type":"application/x-www-form-urlencoded"},"body":{"a":[1,null],"b":"x"}}`},
		{"post", `{` + u + `,"headers":{"Content-Type":"${{ trigger.type }}","X-A":"1","x-a":"2"},"idempotency_key":"X-Request-Id"}`},
		{"post", `{` + u + `,"idempotency_key":false}`},
		{"get", `{` + u + `,"headers":{"Content-Type":"multipart/mixed"}}`},
		{"custom", `{"method":"POST",` + u + `,"form_data":[{"name":"a","value":"${{ item }}","filename":"x","content_type":null}]}`},
		{"custom", `{"method":"GET",` + u + `,"body":null}`},
		{"get", `{` + u + `,"redirects":0}`},
		{"post", `{` + u + `,"redirects":10}`},
		{"put", `{` + u + `,"redirects":"${{ trigger.n }}"}`},
		{"custom", `{"method":"DELETE",` + u + `,"body":{"a":1}}`},
	} {
		if found := problems(t, tt.action, tt.with); len(found) > 0 {
			t.Errorf("%s: %+v", tt.with, found)
		}
	}
}

func TestFileSchemaIsThatOfTheSDK(t *testing.T) {
	t.Parallel()
	if schema := string(action(t, "custom").Input); !strings.Contains(schema, string(sdk.FileSchema())) {
		t.Errorf("form_data takes another file than sdk.FileSchema says")
	}
	for _, a := range []string{"get", "post", "put"} {
		if strings.Contains(string(action(t, a).Input), `"format":"file"`) {
			t.Errorf("%s takes files", a)
		}
	}
	if !json.Valid(action(t, "custom").Input) {
		t.Error("no JSON")
	}
}
