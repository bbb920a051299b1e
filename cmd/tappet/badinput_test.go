package main_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tappet-dev/tappet/api/client"
)

// goodGraph starts with a line that a broken one shares.
const goodGraph = `name: good
trigger: {use: webhook, with: {path: good}}
steps:
  - id: send
    use: http.post
    with:
      url: %s/good
      headers: {X-Text: "${{ trigger.body.text }}"}
      body: {n: "${{ trigger.body.n }}"}
`

// TestBadInput gives one server all kinds of bad input while a good graph runs.
// Each gets an answer that says what is wrong, and no run of the good graph
// fails.
func TestBadInput(t *testing.T) {
	t.Parallel()
	sink := newSlow(t)
	s := start(t, "", "--egress-allow", hostport(sink.URL))
	s.deploy(t, "good", fmt.Sprintf(goodGraph, sink.URL))
	stop := s.keepRunning(t)
	t.Run("documents", s.badDocuments)
	t.Run("requests", s.badRequests)
	t.Run("header", func(t *testing.T) { s.badHeader(t, sink) })
	t.Run("plugins", s.badPlugins)
	if runs := stop(); runs < 5 {
		t.Errorf("only %d runs of the good graph while bad input came", runs)
	}
	s.wantReady(t)
}

// keepRunning runs the graph good again and again, each run of which must
// succeed, until stop is called, which gives their number.
func (s *server) keepRunning(t *testing.T) (stop func() int64) {
	t.Helper()
	var n atomic.Int64
	ctx, cancel := contextWithin(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			r, _, err := s.StartRun(ctx, "good", client.Start{
				Event: fmt.Appendf(nil, `{"body":{"n":%d,"text":"plain"},"headers":{},"query":{},"method":"POST","path":"good","params":{},"files":[]}`, n.Load()),
				Wait:  patience,
			})
			switch {
			case ctx.Err() != nil:
			case err != nil || r.State != "succeeded":
				t.Errorf("a run of the good graph has %q: %v %+v", r.State, err, r.Error)
				return
			default:
				n.Add(1)
			}
		}
	}()
	return func() int64 {
		eventually(t, "five runs of the good graph", func() (bool, any) {
			select {
			case <-done:
				return true, nil
			default:
				return n.Load() >= 5, n.Load()
			}
		})
		cancel()
		<-done
		return n.Load()
	}
}

// badDocuments are refused with all that is wrong, each with its place.
func (s *server) badDocuments(t *testing.T) {
	const step = "name: bad\ntrigger: {use: webhook, with: {path: bad}}\nsteps:\n  - id: a\n"
	for name, c := range map[string]struct {
		doc    string
		status int // of POST /graphs
		want   client.ProblemError
	}{
		"broken YAML": {"name: bad\nsteps: [\n", 422, client.ProblemError{Line: 2, Message: "did not find expected node content"}},
		"a duplicate key": {
			"name: bad\nname: worse\n", 422, client.ProblemError{Pointer: "/name", Line: 2, Message: "name"},
		},
		"an unknown connector": {
			step + "    use: htpp.post\n    with: {url: http://x.example}\n", 201,
			client.ProblemError{Pointer: "/steps/0/use", Line: 5, Message: "htpp", Suggestion: `did you mean "http`},
		},
		"an unknown action": {
			step + "    use: http.pots\n    with: {url: http://x.example}\n", 201,
			client.ProblemError{Pointer: "/steps/0/use", Line: 5, Message: "pots", Suggestion: `did you mean "http.post"?`},
		},
		"an unknown field": {
			step + "    use: http.post\n    with: {url: http://x.example, qeury: {a: 1}}\n", 201,
			client.ProblemError{Pointer: "/steps/0/with/qeury", Line: 6, Message: "qeury", Suggestion: `did you mean "query"?`},
		},
		"an unknown modifier": {
			step + "    use: http.post\n    with: {url: http://x.example}\n    retyr: {max_attempts: 2}\n", 201,
			client.ProblemError{Pointer: "/steps/0/retyr", Line: 7, Message: "retyr", Suggestion: `did you mean "retry"?`},
		},
		"an unknown name in an expression": {
			step + "    use: http.post\n    with: {url: \"${{ trigger.bdoy.url }}\"}\n", 201,
			client.ProblemError{Pointer: "/steps/0/with/url", Line: 6, Message: "bdoy", Suggestion: `did you mean "body"?`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			v, err := s.Validate(t.Context(), []byte(c.doc), client.YAML)
			if err != nil || v.Valid {
				t.Fatalf("validate: valid %t, %v", v.Valid, err)
			}
			wantProblem(t, v.Problems, c.want)
			res, body := s.send(t, http.MethodPost, "/api/v1/graphs", token, []byte(c.doc), "application/yaml")
			if res.StatusCode != c.status {
				t.Fatalf("create: %s, %d is wanted: %s", res.Status, c.status, body)
			}
			if c.status != http.StatusCreated {
				wantProblem(t, problem(t, res, body).Errors, c.want)
				return
			}
			// A draft may be saved with problems; publishing needs none.
			defer func() {
				if err := s.DeleteGraph(t.Context(), "bad", false); err != nil {
					t.Error(err)
				}
			}()
			res, body = s.send(t, http.MethodPost, "/api/v1/graphs/bad/publish", token, nil, "")
			if res.StatusCode != http.StatusUnprocessableEntity {
				t.Fatalf("publish: %s: %s", res.Status, body)
			}
			// The line is the one of the document as it was sent.
			wantProblem(t, problem(t, res, body).Errors, c.want)
		})
	}
}

// wantProblem looks for a problem at a place; Message and Suggestion need only
// be held.
func wantProblem(t *testing.T, got []client.ProblemError, want client.ProblemError) {
	t.Helper()
	for _, g := range got {
		if g.Pointer == want.Pointer && g.Line == want.Line && strings.Contains(g.Message, want.Message) && strings.Contains(g.Suggestion, want.Suggestion) {
			return
		}
	}
	t.Errorf("no problem like %+v among %+v", want, got)
}

// problem reads an answer of RFC 9457.
func problem(t *testing.T, res *http.Response, body []byte) client.Problem {
	t.Helper()
	var p client.Problem
	if err := json.Unmarshal(body, &p); err != nil || res.Header.Get("Content-Type") != "application/problem+json" || p.Status != res.StatusCode {
		t.Fatalf("%s, %s: no problem: %s (%v)", res.Status, res.Header.Get("Content-Type"), body, err)
	}
	return p
}

// badRequests are refused before anything is done.
func (s *server) badRequests(t *testing.T) {
	big := bytes.Repeat([]byte("x"), 20<<20)
	for name, c := range map[string]struct {
		method, path, token string
		body                []byte
		chunked             bool
		status              int
		header, value       string
		detail              string
	}{
		"20 MB to a webhook": {
			method: "POST", path: "/hooks/good", body: big,
			status: 413, detail: "more than 10485760 bytes, which is the limit (",
		},
		"20 MB to a webhook, of a length that isn't told": {
			method: "POST", path: "/hooks/good", body: big, chunked: true,
			status: 413, detail: "more than 10485760 bytes, which is the limit (",
		},
		"20 MB as a document": {
			method: "POST", path: "/api/v1/graphs", token: token, body: big,
			status: 413, detail: "more than 2097152 bytes, which is the limit (",
		},
		"20 MB without a token": {
			method: "POST", path: "/api/v1/graphs", body: big,
			status: 401, header: "Www-Authenticate", value: `Bearer realm="tappet"`, detail: "the header Authorization is missing",
		},
		"no token": {
			method: "GET", path: "/api/v1/graphs",
			status: 401, header: "Www-Authenticate", value: `Bearer realm="tappet"`, detail: "the header Authorization is missing",
		},
		"a wrong token": {
			method: "GET", path: "/api/v1/graphs", token: token + "x",
			status: 401, header: "Www-Authenticate", value: `Bearer realm="tappet", error="invalid_token"`, detail: "the token is not known",
		},
		"a wrong method on a webhook": {
			method: "DELETE", path: "/hooks/good", status: 405, header: "Allow", value: "POST", detail: "what is taken here is POST",
		},
		"a wrong method on the API": {
			method: "PATCH", path: "/api/v1/graphs", token: token,
			status: 405, header: "Allow", value: "HEAD, OPTIONS, GET, POST", detail: "PATCH is not allowed at this path",
		},
		"broken JSON to a webhook": {
			method: "POST", path: "/hooks/good", body: []byte(`{"n":`), status: 422, detail: "body: ",
		},
		"no such webhook": {method: "POST", path: "/hooks/none", status: 404, detail: "no active graph takes requests at this path"},
	} {
		t.Run(name, func(t *testing.T) {
			res, body := s.raw(t, c.method, c.path, c.token, c.body, c.chunked)
			p := problem(t, res, body)
			if res.StatusCode != c.status || !strings.Contains(p.Detail, c.detail) {
				t.Errorf("%s: %q; %d and %q are wanted", res.Status, p.Detail, c.status, c.detail)
			}
			if got := res.Header.Get(c.header); got != c.value {
				t.Errorf("%s: %q, %q is wanted", c.header, got, c.value)
			}
		})
	}
}

// raw sends a request by hand: a client that is refused in the midst of a long
// body must still be able to read why.
func (s *server) raw(t *testing.T, method, path, token string, body []byte, chunked bool) (*http.Response, []byte) {
	t.Helper()
	conn, err := net.Dial("tcp", hostport(s.URL))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var head bytes.Buffer
	fmt.Fprintf(&head, "%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n", method, path, hostport(s.URL))
	if token != "" {
		fmt.Fprintf(&head, "Authorization: Bearer %s\r\n", token)
	}
	kind := "application/json"
	if strings.HasPrefix(path, "/api/") {
		kind = "application/yaml"
	}
	switch {
	case chunked:
		fmt.Fprintf(&head, "Content-Type: %s\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n", kind, len(body))
	case body != nil:
		fmt.Fprintf(&head, "Content-Type: %s\r\nContent-Length: %d\r\n\r\n", kind, len(body))
	default:
		head.WriteString("\r\n")
	}
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		// It may be cut short: the answer says why.
		_, _ = conn.Write(head.Bytes())
		_, _ = conn.Write(body)
		if chunked {
			_, _ = conn.Write([]byte("\r\n0\r\n\r\n"))
		}
	}()
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
	<-sent
	return res, b
}

// badHeader gives a mapped header what would end it: nothing is sent
// (security.md 10).
func (s *server) badHeader(t *testing.T, sink *slow) {
	for _, text := range []string{`a\r\nX-Injected: 1`, `a\nb`, `a\u0000b`} {
		before := sink.matching("injected")
		id := s.hook(t, "good", `{"n":"injected","text":"`+text+`"}`)
		r := s.ended(t, id)
		if r.State != "failed" || r.Error == nil || r.Error.Kind != "invalid" || r.Error.Step != "send" ||
			!strings.Contains(r.Error.Message, `headers["X-Text"]: a value can't hold CR, LF or NUL`) {
			t.Errorf("%s: the run has %s: %+v", text, r.State, r.Error)
		}
		if len(r.Steps) != 1 || len(r.Steps[0].Attempts) != 1 || len(r.Steps[0].Attempts[0].Exchanges) != 0 || sink.matching("injected") != before {
			t.Errorf("%s: something was sent: %+v", text, r.Steps)
		}
	}
}

// matching counts what came that holds a text.
func (s *slow) matching(text string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, c := range s.came {
		if strings.Contains(c, text) {
			n++
		}
	}
	return n
}

// badPlugins are listed with what is wrong with them.
func (s *server) badPlugins(t *testing.T) {
	const traps = "plugins/internal/guest/traps"
	s.drop(t, "none.wasm", []byte("this is no module"))
	s.drop(t, "none", []byte("this is no program"))
	s.drop(t, "crashes", content(t, build(t, traps, "", "crash")))
	s.drop(t, "prints", content(t, build(t, traps, "", "chatty")))
	want := map[string]string{
		"none.wasm": "none.wasm wasm failed",
		"none":      "none native failed",
		"crashes":   "crashes native failed",
		"prints":    "prints native failed",
	}
	reasons := map[string]string{
		"none.wasm": "it doesn't begin with \\0asm",
		"none":      "not a program of this machine: its format is unknown",
		"crashes":   "the plugin ended before it served: exit status 7; it printed: no licence found",
		"prints":    `the plugin printed "hello from init"`,
	}
	got, why := map[string]string{}, map[string]string{}
	eventually(t, "four failed plugins", func() (bool, any) {
		list, err := s.Plugins(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range list {
			got[p.File] = strings.Join([]string{p.Name, p.Kind, p.Health.State}, " ")
			if p.File == "none.wasm" {
				got[p.File] = strings.Join([]string{p.File, p.Kind, p.Health.State}, " ")
			}
			why[p.File] = p.Health.Reason
			if p.Health.State == "loading" {
				return false, list
			}
		}
		return len(list) == len(want), list
	})
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	for file, text := range reasons {
		if !strings.Contains(why[file], text) {
			t.Errorf("%s: the reason is %q, which doesn't hold %q", file, why[file], text)
		}
	}
	// A graph can't be published on one of them.
	doc := "name: on-plugin\ntrigger: {use: prints.ticks}\nsteps:\n  - {id: a, set: {x: 1}}\n"
	if _, err := s.Deploy(t.Context(), "on-plugin", []byte(doc), client.YAML); !client.Is(err, "invalid") {
		t.Errorf("a graph on a failed plugin: %v", err)
	}
}

// drop puts an executable file into the plugins folder at once.
func (s *server) drop(t *testing.T, name string, b []byte) {
	t.Helper()
	dir := filepath.Join(s.data, "plugins")
	hidden := filepath.Join(dir, "."+name)
	if err := os.WriteFile(hidden, b, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(hidden, filepath.Join(dir, name)); err != nil {
		t.Fatal(err)
	}
}

func content(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
