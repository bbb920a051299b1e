package sdktest

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	"github.com/tappet-dev/tappet/sdk"
)

// RecordEnv is the environment variable that makes Recorded record: any value
// but "" and "0".
const RecordEnv = "TAPPET_RECORD"

// cassetteFormat is the version of the file that Recorded writes.
const cassetteFormat = 1

// RecordOptions are what Recorded can do without.
type RecordOptions struct {
	// Secrets are those of the trial, by name. While recording they must be the
	// real ones; in the file a mark with the name stands for each, in a replay
	// the value that is then given. A secret shorter than 4 bytes can't be told
	// from other text and fails the test while recording.
	Secrets map[string]string
	// Send sends a request while recording; nil: net/http does.
	Send Cassette
}

// Recorded is a cassette on a file, such as "testdata/feed.cassette.json".
//
// It replays what the file holds: a request is known by method, URL and body;
// one that was sent several times is answered in that order, and with the last
// answer from then on. What isn't in the file is answered with status 404.
//
// With TAPPET_RECORD=1 in the environment it sends the requests instead, and
// writes the file anew when the test has passed: each request with each of its
// different answers, secrets masked. Neither a request's header nor cookies are
// written. Keep one file for each trial.
func Recorded(tb testing.TB, path string, o RecordOptions) Cassette {
	tb.Helper()
	if v := os.Getenv(RecordEnv); v != "" && v != "0" {
		return record(tb, path, o)
	}
	f, err := readCassette(path)
	if err != nil {
		tb.Fatalf("%v (record it with %s=1)", err, RecordEnv)
	}
	p := &player{mask: masks(o.Secrets), known: map[string][]*recordedResponse{}}
	for i := range f.Exchanges {
		x := &f.Exchanges[i]
		body, err := x.Request.Body.bytes()
		if err == nil {
			_, err = x.Response.Body.bytes()
		}
		if err != nil {
			tb.Fatalf("cassette %s: exchange %d: %v", path, i+1, err)
		}
		id := identity(x.Request.Method, x.Request.URL, body)
		p.known[id] = append(p.known[id], &x.Response)
	}
	return p.play
}

// A cassetteFile is what a cassette's file holds.
type cassetteFile struct {
	Format    int                `json:"format"`
	Exchanges []recordedExchange `json:"exchanges"`
}

type recordedExchange struct {
	Request  recordedRequest  `json:"request"`
	Response recordedResponse `json:"response"`
}

type recordedRequest struct {
	Method string        `json:"method"`
	URL    string        `json:"url"`
	Body   *recordedBody `json:"body,omitempty"`
}

type recordedResponse struct {
	Status int           `json:"status"`
	Header [][2]string   `json:"header,omitempty"`
	Body   *recordedBody `json:"body,omitempty"`
}

// A recordedBody is text where it can be, so that people can read it.
type recordedBody struct {
	Text   string `json:"text,omitempty"`
	Base64 string `json:"base64,omitempty"`
}

func bodyOf(b []byte) *recordedBody {
	switch {
	case len(b) == 0:
		return nil
	case utf8.Valid(b):
		return &recordedBody{Text: string(b)}
	}
	return &recordedBody{Base64: base64.StdEncoding.EncodeToString(b)}
}

func (b *recordedBody) bytes() ([]byte, error) {
	if b == nil {
		return nil, nil
	}
	if b.Base64 == "" {
		return []byte(b.Text), nil
	}
	out, err := base64.StdEncoding.DecodeString(b.Base64)
	if err != nil {
		return nil, fmt.Errorf("body: %w", err)
	}
	return out, nil
}

func readCassette(path string) (f cassetteFile, err error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return f, fmt.Errorf("read cassette: %w", err)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		return f, fmt.Errorf("read cassette %s: %w", path, err)
	}
	if f.Format != cassetteFormat {
		return f, fmt.Errorf("cassette %s has format %d, %d is wanted", path, f.Format, cassetteFormat)
	}
	return f, nil
}

// identity is what a request is known by; method may be "".
func identity(method, url string, body []byte) string {
	if method == "" {
		method = "GET"
	}
	return method + " " + url + "\x00" + string(body)
}

// A masking swaps secrets for marks, and back.
type masking struct{ hide, show *strings.Replacer }

// masks makes the masking of secrets in each form in which a request or an
// answer may hold them.
func masks(secrets map[string]string) masking {
	var hide, show []string
	// Longer values first: one secret may begin with another.
	names := slices.SortedFunc(maps.Keys(secrets), func(a, b string) int {
		if d := len(secrets[b]) - len(secrets[a]); d != 0 {
			return d
		}
		return strings.Compare(a, b)
	})
	for _, name := range names {
		v := secrets[name]
		if v == "" {
			continue
		}
		mark := "{{secret:" + name + "}}"
		quoted, _ := json.Marshal(v) // text always marshals
		forms := map[string]string{
			"": v, "query:": url.QueryEscape(v), "path:": url.PathEscape(v),
			"base64:": base64.StdEncoding.EncodeToString([]byte(v)), "json:": string(quoted[1 : len(quoted)-1]),
		}
		for _, form := range slices.Sorted(maps.Keys(forms)) {
			m := strings.Replace(mark, "secret:", "secret:"+form, 1)
			show = append(show, m, forms[form])
			if form == "" || forms[form] != v {
				hide = append(hide, forms[form], m)
			}
		}
	}
	return masking{strings.NewReplacer(hide...), strings.NewReplacer(show...)}
}

// A player answers out of a file.
type player struct {
	mask masking

	mu    sync.Mutex
	known map[string][]*recordedResponse
}

func (p *player) play(r *sdk.Request, body []byte) Reply {
	id := identity(p.mask.hide.Replace(r.Method), p.mask.hide.Replace(r.URL), []byte(p.mask.hide.Replace(string(body))))
	p.mu.Lock()
	defer p.mu.Unlock()
	list := p.known[id]
	if len(list) == 0 {
		return Reply{Status: 404, Body: []byte("the cassette holds no " + strings.SplitN(id, "\x00", 2)[0] + " with this body")}
	}
	if len(list) > 1 {
		p.known[id] = list[1:]
	}
	a := list[0]
	b, _ := a.Body.bytes() // Recorded has read it
	out := Reply{Status: a.Status, Body: []byte(p.mask.show.Replace(string(b)))}
	for _, h := range a.Header {
		out.Header = append(out.Header, sdk.Pair{Name: h[0], Value: p.mask.show.Replace(h[1])})
	}
	return out
}

// record sends what it is asked and writes the file at the end of the test.
func record(tb testing.TB, path string, o RecordOptions) Cassette {
	tb.Helper()
	for name, v := range o.Secrets {
		if v != "" && len(v) < 4 {
			tb.Fatalf("the secret %s has %d bytes: it can't be masked in a cassette", name, len(v))
		}
	}
	send := o.Send
	if send == nil {
		send = sendHTTP
	}
	mask := masks(o.Secrets)
	var mu sync.Mutex
	f := cassetteFile{Format: cassetteFormat}
	seen := map[string]bool{}
	tb.Cleanup(func() {
		mu.Lock()
		defer mu.Unlock()
		if tb.Failed() {
			tb.Logf("the cassette %s isn't written, since the test has failed", path)
			return
		}
		if err := f.write(path); err != nil {
			tb.Errorf("write cassette: %v", err)
		}
	})
	return func(r *sdk.Request, body []byte) Reply {
		a := send(r, body)
		if a.Err != nil {
			return a
		}
		x := recordedExchange{
			Request: recordedRequest{
				Method: r.Method, URL: mask.hide.Replace(r.URL), Body: bodyOf([]byte(mask.hide.Replace(string(body)))),
			},
			Response: recordedResponse{Status: a.Status, Body: bodyOf([]byte(mask.hide.Replace(string(a.Body))))},
		}
		if x.Request.Method == "" {
			x.Request.Method = "GET"
		}
		if x.Response.Status == 0 {
			x.Response.Status = 200
		}
		for _, h := range a.Header {
			if !strings.EqualFold(h.Name, "Set-Cookie") && !strings.EqualFold(h.Name, "Date") {
				x.Response.Header = append(x.Response.Header, [2]string{h.Name, mask.hide.Replace(h.Value)})
			}
		}
		mu.Lock()
		defer mu.Unlock()
		// The kit asks the same again and again; an answer that changes is kept.
		id, err := json.Marshal(x)
		if err != nil {
			tb.Errorf("record %s: %v", r.URL, err)
		} else if !seen[string(id)] {
			seen[string(id)] = true
			f.Exchanges = append(f.Exchanges, x)
		}
		return a
	}
}

func (f *cassetteFile) write(path string) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(f); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return err
	}
	return os.WriteFile(path, b.Bytes(), 0o600)
}
