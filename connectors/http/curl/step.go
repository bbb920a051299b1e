package curl

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	neturl "net/url"
	"slices"
	"strings"

	"github.com/tappet-dev/tappet/connectors/internal/httpjson"
	"github.com/tappet-dev/tappet/connectors/internal/rawjson"
)

// maxHeaders is how many header fields a step may have.
const maxHeaders = 1000

// A builder makes a step of what a reader has read.
type builder struct {
	*reader
	files int
	out   []byte
}

// step makes the step; it has a meaning when there are no problems.
func (b *builder) step() Step {
	if b.urls == 0 {
		b.fail(0, "there is no URL")
		return Step{}
	}
	url := b.address()
	method := b.methodName()
	s := Step{Timeout: b.timeout}
	if b.hasUser && !b.has("Authorization") {
		b.set("Authorization", "Basic "+b.user)
	}
	c := b.content(method)
	if len(b.headers) > maxHeaders {
		b.fail(0, "there are %d headers, a step may have %d", len(b.headers), maxHeaders)
	}
	if len(b.problems) > 0 {
		return s
	}
	plain := c.kind == "" || c.kind == kindJSON || c.kind == kindForm
	switch {
	case method == "GET" && c.kind == "":
		s.Use = "http.get"
	case method == "POST" && plain:
		s.Use = "http.post"
	case method == "PUT" && plain:
		s.Use = "http.put"
	default:
		s.Use = "http.custom"
		b.member("method", quoted(method))
	}
	b.member("url", b.text(url))
	if s.Use != "http.custom" && c.kind != "" && c.contentType != c.usual {
		b.set("Content-Type", c.contentType)
	}
	if v := b.headerValues(); v != nil {
		b.member("headers", v)
	}
	if b.redirects != "" {
		b.member("redirects", []byte(b.redirects))
	}
	if s.Use == "http.custom" && c.kind != "" {
		b.member("body_type", quoted(c.kind))
		if c.contentType != c.usual {
			b.member("content_type", b.text(c.contentType))
		}
	}
	if c.value != nil {
		b.member(c.field, c.value)
	}
	s.With = append(append([]byte{'{'}, b.out...), '}')
	return s
}

// member adds a member of `with`.
func (b *builder) member(name string, value []byte) {
	if len(b.out) > 0 {
		b.out = append(b.out, ',')
	}
	b.out = append(rawjson.AppendString(b.out, name), ':')
	b.out = append(b.out, value...)
}

func quoted(s string) []byte { return rawjson.AppendString(nil, s) }

// escaped keeps an expression from beginning in a text.
func escaped(s string) string { return strings.ReplaceAll(s, "${{", "$${{") }

// text gives a text of a field that takes no secret.
func (b *builder) text(s string) []byte {
	if strings.Contains(s, mark) {
		s = shown(s)
		b.warn("the values of shell variables aren't known here: put them, or mappings, in the place of %.100q", s)
	}
	return quoted(escaped(s))
}

func (b *builder) methodName() string {
	method := shown(b.method)
	switch {
	case method != "":
	case b.head:
		method = "HEAD"
	case b.upload != "":
		method = "PUT"
	case b.get:
		method = "GET"
	case b.hasData, len(b.parts) > 0:
		method = "POST"
	default:
		method = "GET"
	}
	if !isToken(method) || len(method) > 64 {
		b.fail(0, "%.60q is no method such as PATCH or DELETE", method)
	}
	return method
}

// address makes the URL absolute and plain ASCII, as curl sends it; credentials
// in it become a header.
func (b *builder) address() string {
	url := b.url
	scheme, rest, ok := strings.Cut(url, "://")
	switch {
	case !ok:
		url, rest = "http://"+url, url
		scheme = "http"
	case !strings.EqualFold(scheme, "http") && !strings.EqualFold(scheme, "https"):
		b.fail(b.urlAt, "%.40q is no URL of http or https", shown(url))
		return ""
	}
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	if at := strings.LastIndexByte(rest[:end], '@'); at >= 0 {
		if user := rest[:at]; !b.hasUser {
			b.user, b.hasUser = user, true
		}
		rest = rest[at+1:]
		end -= at + 1
		url = scheme + "://" + rest
	}
	if end == 0 {
		b.fail(b.urlAt, "the URL %.60q has no host", shown(url))
	}
	if strings.ContainsAny(rest[end:], "{}[]") {
		b.warn("curl takes { } and [ ] in a URL for a list of URLs, unless -g is given; the step has them as they are")
	}
	url, _, _ = strings.Cut(url, "#")
	if b.get && b.hasData {
		if b.file != "" {
			b.fail(b.urlAt, "a file can't become a query; write its text into the command")
		}
		url += map[bool]string{true: "&", false: "?"}[strings.Contains(url, "?")] + b.body()
		b.data, b.hasData = nil, false
		if b.json {
			b.json = false
		}
	}
	url = shownWarn(b, url)
	var out []byte
	for i := range len(url) {
		if c := url[i]; c <= ' ' || c >= 0x7f {
			out = fmt.Appendf(out, "%%%02X", c)
		} else {
			out = append(out, c)
		}
	}
	if _, err := neturl.Parse(string(out)); err != nil {
		b.fail(b.urlAt, "the URL can't be read: %v", errors.Unwrap(err))
	}
	return string(out)
}

// shownWarn gives a text with the names of its variables.
func shownWarn(b *builder, s string) string {
	if !strings.Contains(s, mark) {
		return s
	}
	s = shown(s)
	b.warn("the values of shell variables aren't known here: put them, or mappings, in the place of %.100q", s)
	return s
}

// The kinds of bodies, as body_type has them.
const (
	kindJSON = "json"
	kindRaw  = "raw"
	kindForm = "urlencoded"
	kindPart = "form-data"
	kindFile = "file"
)

// A content is a body as a field.
type content struct {
	kind, field string
	value       []byte
	// contentType is the body's, and usual the one that the action sends of itself.
	contentType, usual string
}

// content makes the body.
func (b *builder) content(method string) content {
	sources := 0
	for _, is := range []bool{b.hasData, len(b.parts) > 0, b.upload != ""} {
		if is {
			sources++
		}
	}
	switch {
	case sources == 0:
		if i := slices.IndexFunc(b.headers, func(f field) bool { return strings.EqualFold(f.name, "Content-Type") }); i >= 0 &&
			strings.HasPrefix(strings.ToLower(strings.TrimSpace(b.headers[i].value)), "multipart/") {
			b.take("Content-Type")
			b.warn("the header Content-Type is left out: there is no body that it could describe")
		}
		return content{}
	case sources > 1:
		b.fail(0, "there are several bodies: of -d, -F and -T only one can be sent")
		return content{}
	case method == "GET" || method == "HEAD":
		b.fail(0, "a step sends no body with %s; put the data into the query with -G, or use POST", method)
		return content{}
	}
	declared := b.take("Content-Type")
	switch {
	case len(b.parts) > 0:
		if declared != "" && !strings.HasPrefix(strings.ToLower(declared), "multipart/form-data") {
			b.warn("the header Content-Type is left out: form-data has its own")
		}
		return content{kind: kindPart, field: "form_data", value: b.form()}
	case b.upload != "" || b.file != "":
		c := content{kind: kindFile, field: "body", value: b.mapped(cmp.Or(b.upload, b.file)), contentType: shown(declared)}
		if c.contentType == "" && b.upload == "" {
			c.contentType = httpjson.Form
		}
		return c
	}
	contentType := cmp.Or(shown(declared), httpjson.Form)
	media, _ := httpjson.MediaType(contentType)
	text := b.body()
	c := content{field: "body", contentType: contentType}
	switch {
	case httpjson.IsJSON(media):
		if v, ok := b.document(text); ok {
			c.kind, c.value, c.usual = kindJSON, v, "application/json"
		}
	case media == httpjson.Form:
		if strings.HasPrefix(text, "{") && rawjson.Check([]byte(shown(text)), 0) == nil {
			b.warn("the data look like JSON, but curl sends them as %s; add -H 'Content-Type: application/json' if that isn't meant", httpjson.Form)
		}
		c.kind, c.usual = kindForm, ""
		if method != "POST" && method != "PUT" {
			c.usual = httpjson.Form
		}
		if c.value = b.pairs(text); c.value == nil {
			c.value = b.text(text)
		}
	}
	if c.kind == "" {
		c.kind, c.value = kindRaw, b.text(text)
	}
	if (c.kind == kindJSON || c.kind == kindForm) && method != "POST" && method != "PUT" && c.contentType != c.usual {
		// content_type is for the others; here the header says it.
		b.set("Content-Type", c.contentType)
		c.contentType = c.usual
	}
	return c
}

// take removes a header and gives its value.
func (b *builder) take(name string) string {
	for i, f := range b.headers {
		if strings.EqualFold(f.name, name) {
			b.headers = append(b.headers[:i:i], b.headers[i+1:]...)
			return f.value
		}
	}
	return ""
}

// mapped stands for a file of the command: the one of the event in its order.
func (b *builder) mapped(name string) []byte {
	b.warn("the file %s isn't there when a graph runs: trigger.files[%d] stands in its place", shown(name), b.files)
	v := quoted(fmt.Sprintf("${{ trigger.files[%d] }}", b.files))
	b.files++
	return v
}

// form writes form_data: an object, or a list where that can't say it.
func (b *builder) form() []byte {
	names := map[string]bool{}
	simple := true
	for _, p := range b.parts {
		if p.contentType != "" || p.named || names[p.name] || strings.Contains(p.name, mark) {
			simple = false
		}
		names[p.name] = true
		if p.name == "" {
			b.fail(0, "a part of the form has no name")
		}
	}
	if simple {
		out := []byte{'{'}
		for i, p := range b.parts {
			if i > 0 {
				out = append(out, ',')
			}
			out = append(rawjson.AppendString(out, p.name), ':')
			out = append(out, b.partValue(p)...)
		}
		return append(out, '}')
	}
	out := []byte{'['}
	for i, p := range b.parts {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(append(out, `{"name":`...), b.text(p.name)...)
		out = append(append(out, `,"value":`...), b.partValue(p)...)
		if p.named {
			out = append(append(out, `,"filename":`...), b.text(p.filename)...)
		}
		if p.contentType != "" {
			out = append(append(out, `,"content_type":`...), b.text(p.contentType)...)
		}
		out = append(out, '}')
	}
	return append(out, ']')
}

func (b *builder) partValue(p part) []byte {
	if p.file {
		return b.mapped(p.value)
	}
	return b.text(p.value)
}

// pairs gives the object whose urlencoded form is text, nil if there is none.
func (b *builder) pairs(text string) []byte {
	if text == "" || strings.Contains(text, mark) {
		return nil
	}
	var names []string
	values := map[string][]string{}
	last := ""
	for pair := range strings.SplitSeq(text, "&") {
		name, value, ok := strings.Cut(pair, "=")
		k, ok1 := decoded(name)
		v, ok2 := decoded(value)
		if !ok || !ok1 || !ok2 || k == "" || values[k] != nil && k != last {
			return nil
		}
		if values[k] == nil {
			names = append(names, k)
		}
		values[k], last = append(values[k], v), k
	}
	out := []byte{'{'}
	for i, k := range names {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(rawjson.AppendString(out, k), ':')
		if len(values[k]) == 1 {
			out = append(out, b.text(values[k][0])...)
			continue
		}
		for j, v := range values[k] {
			out = append(append(out, "[,"[min(j, 1)]), b.text(v)...)
		}
		out = append(out, ']')
	}
	return append(out, '}')
}

// decoded is the text of which s is the one urlencoded form.
func decoded(s string) (string, bool) {
	doc, err := httpjson.AppendForm(nil, "x="+s)
	if err != nil || strings.ContainsAny(s, "&=") {
		return "", false
	}
	var v struct {
		X *string `json:"x"`
	}
	if json.Unmarshal(doc, &v) != nil || v.X == nil {
		return "", false
	}
	return *v.X, string(httpjson.AppendFormEscaped(nil, *v.X)) == s
}

// errNotOne is why a document is sent as the text that it is.
var errNotOne = errors.New("a name is there twice, or it is no text")

// document gives JSON as a value, its texts free of expressions.
func (b *builder) document(text string) ([]byte, bool) {
	doc := []byte(shown(text))
	if rawjson.Check(doc, 0) != nil {
		return nil, false
	}
	out, err := appendDocument(nil, doc)
	if err != nil {
		return nil, false
	}
	b.text(text) // tells of variables
	return out, true
}

func appendDocument(out, doc []byte) ([]byte, error) {
	switch rawjson.Of(doc) {
	case rawjson.Object:
		out = append(out, '{')
		seen := map[string]bool{}
		err := rawjson.Members(doc, func(name, value []byte) (err error) {
			key, ok := rawjson.Unquote(name)
			if !ok || seen[key] {
				return errNotOne
			}
			if len(seen) > 0 {
				out = append(out, ',')
			}
			seen[key] = true
			out, err = appendDocument(append(rawjson.AppendString(out, key), ':'), value)
			return err
		})
		return append(out, '}'), err
	case rawjson.Array:
		out = append(out, '[')
		n := 0
		err := rawjson.Elements(doc, func(value []byte) (err error) {
			if n++; n > 1 {
				out = append(out, ',')
			}
			out, err = appendDocument(out, value)
			return err
		})
		return append(out, ']'), err
	case rawjson.String:
		s, ok := rawjson.Unquote(doc)
		if !ok {
			return nil, errNotOne
		}
		return rawjson.AppendString(out, escaped(s)), nil
	case rawjson.None, rawjson.Null, rawjson.Bool, rawjson.Number:
	}
	return append(out, strings.TrimSpace(string(doc))...), nil
}
