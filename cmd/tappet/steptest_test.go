package main_test

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tappet-dev/tappet/api/client"
)

// triedGraph has steps to test; the receiver repeats what it gets.
const triedGraph = `
name: tried
trigger: {use: webhook, with: {path: tried}}
steps:
  - {id: first, use: http.get, with: {url: ADDRESS/first}}
  - id: send
    use: http.post
    retry: {max_attempts: 5, initial_interval: 1ms}
    with:
      url: ADDRESS/echo
      headers: {Authorization: '${{ secret("canary_forms") }}', Cookie: 'sid=literal-cookie-77'}
      query: {key: '${{ secret("canary_query") }}'}
      body: {title: 'Task ${{ trigger.body.title }}', first: '${{ steps.first.body.n }}'}
  - id: moved
    use: http.get
    with: {url: ADDRESS/moved, query: {key: '${{ secret("canary_query") }}'}}
  - {id: packed, use: http.get, with: {url: ADDRESS/packed, headers: {X-Key: '${{ secret("canary_forms") }}'}}}
  - {id: broken, use: http.get, retry: {max_attempts: 5, initial_interval: 1ms}, with: {url: ADDRESS/broken}}
  - {id: denied, use: http.get, with: {url: 'http://127.0.0.2:9/x'}}
  - {id: bytes, use: http.get, with: {url: ADDRESS/bytes}}
  - id: judged
    use: http.get
    success_when: output.status == 503
    paginate: {items: '${{ [output] }}', next: '${{ null }}'}
    with: {url: ADDRESS/broken}
  - {id: wrong, set: '${{ trigger.body.title * 2 }}'}
  - {id: value, if: '${{ trigger.body.title == "x" }}', set: {a: '${{ trigger.body.title }}', v: '${{ graph.version }}'}}
  - {id: answer, respond: {status: 201, body: {a: '${{ trigger.body.title }}'}}}
`

// echoServer counts requests by path and repeats them.
type echoServer struct {
	*httptest.Server
	mu   sync.Mutex
	last map[string]string
	came map[string]int
}

func newEchoServer(t *testing.T) *echoServer {
	t.Helper()
	e := &echoServer{came: map[string]int{}}
	e.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		e.mu.Lock()
		e.came[r.URL.Path]++
		e.last = map[string]string{
			"method": r.Method, "key": r.URL.Query().Get("key"), "auth": r.Header.Get("Authorization"),
			"cookie": r.Header.Get("Cookie"), "type": r.Header.Get("Content-Type"), "body": string(body),
		}
		e.mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		switch r.URL.Path {
		case "/first":
			fmt.Fprint(w, `{"n":41}`)
			return
		case "/moved":
			http.Redirect(w, r, "/echo?"+r.URL.RawQuery, http.StatusFound)
			return
		case "/broken":
			w.WriteHeader(http.StatusServiceUnavailable)
		case "/bytes":
			w.Header().Set("Content-Type", "application/octet-stream")
			_, _ = w.Write([]byte{0, 1, 2, 0xff})
			return
		case "/packed":
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			_ = json.NewEncoder(z).Encode(r.Header)
			_ = z.Close()
			return
		}
		w.Header().Set("Set-Cookie", "session=cookie-canary-4455; Path=/")
		w.Header().Set("X-Repeat", "cookie-canary-4455")
		_ = json.NewEncoder(w).Encode(map[string]any{"headers": r.Header, "url": r.URL.String(), "key": r.URL.Query().Get("key")})
		w.(http.Flusher).Flush() // chunked
	}))
	t.Cleanup(e.Close)
	return e
}

// latest is what the last request had.
func (e *echoServer) latest() map[string]string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.last
}

func (e *echoServer) count(path string) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.came[path]
}

// launchTried starts a server with triedGraph as a draft.
func launchTried(t *testing.T, bin string) (*server, *echoServer) {
	t.Helper()
	e := newEchoServer(t)
	cmd := command(t, bin, "serve", "--data", filepath.Join(t.TempDir(), "data"), "--addr", "127.0.0.1:0", "--log-level", "debug",
		"--egress-allow", strings.TrimPrefix(e.URL, "http://"))
	cmd.Env = append(cmd.Env, "TAPPET_ADMIN_TOKEN="+token)
	for name, v := range canaries {
		cmd.Env = append(cmd.Env, "TAPPET_SECRET_"+strings.ToUpper(name)+"="+v)
	}
	s := launch(t, cmd, token)
	s.data = cmd.Args[3]
	if _, err := s.CreateGraph(t.Context(), []byte(strings.ReplaceAll(triedGraph, "ADDRESS", e.URL)), client.YAML); err != nil {
		t.Fatal(err)
	}
	return s, e
}

const triedEvent = `{"body":{"title":"Plant"},"headers":{},"query":{},"method":"POST","path":"tried","params":{},"files":[]}`

func TestS27_AStepIsTested(t *testing.T) {
	t.Parallel()
	s, e := launchTried(t, binary(t))
	test := func(step string, q client.StepTest) client.StepTestResult {
		t.Helper()
		got, err := s.TestStep(t.Context(), "tried", step, q)
		if err != nil {
			t.Fatalf("%s: %v", step, err)
		}
		return got
	}
	given := client.StepTest{Event: json.RawMessage(triedEvent), Steps: map[string]json.RawMessage{"first": json.RawMessage(`{"status":200,"headers":{},"body":{"n":7.50}}`)}}

	got := test("send", given)
	if got.Error != nil || e.count("/echo") != 1 || e.count("/first") != 0 {
		t.Fatalf("%+v; the receiver got %v", got.Error, e.came)
	}
	last := e.latest()
	if want := `{"title":"Task Plant","first":7.50}`; last["body"] != want || last["key"] != canaries["canary_query"] {
		t.Errorf("the receiver got %q", last)
	}
	host := strings.TrimPrefix(e.URL, "http://")
	for _, line := range []string{
		"POST /echo?key=*** HTTP/1.1\r\n", "\r\nHost: " + host + "\r\n", "\r\nAuthorization: ***\r\n", "\r\nCookie: ***\r\n",
		"\r\nIdempotency-Key: test-", "\r\nContent-Type: application/json\r\n", "\r\n\r\n" + `{"title":"Task Plant","first":7.50}`,
	} {
		if !strings.Contains(got.Request.Bytes, line) {
			t.Errorf("%q isn't in the request:\n%s", line, got.Request.Bytes)
		}
	}
	for _, line := range []string{"HTTP/1.1 200 OK\r\n", "\r\nSet-Cookie: ***\r\n", "\r\nX-Repeat: ***\r\n", `"key":"***"`} {
		if !strings.Contains(got.Response.Bytes, line) {
			t.Errorf("%q isn't in the response:\n%s", line, got.Response.Bytes)
		}
	}
	if d := cmp.Diff(map[string]string{"first": "given"}, got.Sources.Steps); d != "" || got.Sources.Event != "given" {
		t.Errorf("sources %+v", got.Sources)
	}
	if len(got.Exchanges) != 1 || got.Exchanges[0].Status != 200 || !strings.Contains(string(got.Input), `"title":"Task Plant"`) ||
		!strings.HasPrefix(got.Curl, "curl -X POST ") || !strings.Contains(string(got.Output), `"status":200`) {
		t.Errorf("%+v", got)
	}

	if got := test("moved", given); len(got.Hops) != 1 || !strings.Contains(got.Hops[0].Response.Bytes, "302 Found") || !strings.HasPrefix(got.Request.Bytes, "GET /echo?key=*** ") {
		t.Errorf("moved: %+v", got)
	}
	if got := test("packed", given); got.Response.LeftOut != "gzip" || !strings.Contains(string(got.Output), `"X-Key":["***"]`) {
		t.Errorf("packed: %+v %s", got.Response, got.Output)
	}
	if got := test("bytes", given); got.Response.Encoding != "base64" || len(got.Warnings) == 0 || got.Error != nil {
		t.Errorf("bytes: %+v %q", got.Response, got.Warnings)
	}
	if got := test("broken", given); got.Error == nil || got.Error.Kind != "unavailable" || e.count("/broken") != 1 || !strings.Contains(string(got.Output), "503") {
		t.Errorf("broken: %+v, called %d times", got.Error, e.count("/broken"))
	}
	if got := test("judged", given); got.Error != nil || e.count("/broken") != 2 || !strings.Contains(strings.Join(got.Warnings, ""), "first page") {
		t.Errorf("judged: %+v %q", got.Error, got.Warnings)
	}
	if got := test("denied", given); got.Error == nil || got.Error.Kind != "denied" || got.Request != nil {
		t.Errorf("denied: %+v", got.Error)
	}
	if got := test("wrong", given); got.Error == nil || got.Error.Kind != "expression" || got.Error.Pointer != "/steps/8/set" {
		t.Errorf("wrong: %+v", got.Error)
	}
	if got := test("value", given); string(got.Output) != `{"a":"Plant","v":1}` || len(got.Warnings) != 1 || !strings.Contains(got.Warnings[0], "would skip") {
		t.Errorf("value: %s %q", got.Output, got.Warnings)
	}
	if got := test("answer", given); string(got.Output) != `{"status":201,"headers":null,"body":{"a":"Plant"}}` {
		t.Errorf("answer: %s", got.Output)
	}

	// Nothing of all that is a run. With none, the event is an example.
	page, err := s.Runs(t.Context(), client.RunQuery{})
	if err != nil || len(page.Items) != 0 {
		t.Errorf("there are runs: %+v, %v", page.Items, err)
	}
	if got := test("first", client.StepTest{}); got.Sources.Event != "example" || got.Error != nil {
		t.Errorf("%+v %+v", got.Sources, got.Error)
	}
	if _, err := s.Publish(t.Context(), "tried"); err != nil {
		t.Fatal(err)
	}
	run, _, err := s.StartRun(t.Context(), "tried", client.Start{Event: json.RawMessage(strings.Replace(triedEvent, "Plant", "Water", 1)), Wait: 30 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range []client.StepTest{{}, {Run: run.ID}, {Version: 1}} {
		got := test("send", q)
		if d := cmp.Diff(client.StepTestSources{Event: "run", Run: run.ID, Steps: map[string]string{"first": "run"}}, got.Sources); d != "" {
			t.Errorf("%+v: %s", q, d)
		}
		if !strings.HasSuffix(got.Request.Bytes, `{"title":"Task Water","first":41}`) {
			t.Errorf("%+v: %s", q, got.Request.Bytes)
		}
	}
}

// A secret isn't in what a test shows, nor in what is printed; the build that
// doesn't hide shows that it would be found.
func TestS27_SecretsAreMasked(t *testing.T) {
	t.Parallel()
	shown := func(bin string) (all string) {
		s, _ := launchTried(t, bin)
		given := client.StepTest{Event: json.RawMessage(triedEvent)}
		for _, step := range []string{"send", "moved", "packed"} {
			got, err := s.TestStep(t.Context(), "tried", step, given)
			if err != nil || got.Error != nil {
				t.Fatalf("%s: %v %+v", step, err, got.Error)
			}
			printed, err := s.PrintStep(t.Context(), "tried", step, given)
			if err != nil {
				t.Fatal(err)
			}
			b, err := json.Marshal([]any{got, printed})
			if err != nil {
				t.Fatal(err)
			}
			all += string(b)
		}
		s.signal(t, syscall.SIGTERM)
		s.wantExit(t, 0)
		return all + s.Output()
	}
	extra := func(all string) bool {
		return strings.Contains(all, "cookie-canary-4455") || strings.Contains(all, "literal-cookie-77")
	}
	if all := shown(binary(t)); showsCanary([]byte(all)) || extra(all) {
		t.Errorf("a secret is in %s", all)
	}
	if all := shown(build(t, "cmd/tappet", "", "tappet_control_mask")); !showsCanary([]byte(all)) || !extra(all) {
		t.Error("the build that hides nothing shows no secret: the search doesn't find any")
	}
}

// What a step has given types the mappings after it: the schema that a test
// infers goes into the document.
func TestAStepsAnswerIsTheSampleOfItsSchema(t *testing.T) {
	t.Parallel()
	s, e := launchTried(t, binary(t))
	got, err := s.TestStep(t.Context(), "tried", "first", client.StepTest{Event: json.RawMessage(triedEvent)})
	if err != nil || got.Error != nil {
		t.Fatalf("%v, %+v", err, got.Error)
	}
	const schema = `{"properties":{"n":{"type":"integer"}},"required":["n"],"type":"object"}`
	if d := cmp.Diff(schema, string(got.Schemas["response_schema"])); d != "" {
		t.Fatal(d)
	}
	for with, problems := range map[string]int{"response_schema: " + schema: 1, "send_nulls: true": 0} {
		v, err := s.Validate(t.Context(), []byte("name: x\ntrigger: {use: webhook, with: {path: x}}\nsteps:\n  - {id: first, use: http.get, with: {url: '"+
			e.URL+"', "+with+"}}\n  - {id: b, set: '${{ upper(steps.first.body.n) }}'}\n"), client.YAML)
		if err != nil || len(v.Problems) != problems {
			t.Errorf("%s: %+v, %v; %d are wanted", with, v.Problems, err, problems)
		}
	}
}

// What a step prints as curl sends the same request as the step does.
func TestAStepPrintsItselfAsCurl(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("curl isn't installed")
	}
	s, e := launchTried(t, binary(t))
	given := client.StepTest{Event: json.RawMessage(triedEvent)}
	printed, err := s.PrintStep(t.Context(), "tried", "send", given)
	if err != nil || e.count("/echo") != 0 {
		t.Fatalf("%v; it was sent %d times", err, e.count("/echo"))
	}
	if _, err := s.TestStep(t.Context(), "tried", "send", given); err != nil {
		t.Fatal(err)
	}
	want := e.latest()
	cmd := exec.CommandContext(t.Context(), "sh", "-c", printed.Command)
	cmd.Env = append(os.Environ(), "TAPPET_SECRET_CANARY_FORMS="+canaries["canary_forms"], "TAPPET_SECRET_COOKIE=sid=literal-cookie-77",
		"TAPPET_SECRET_CANARY_QUERY="+url.QueryEscape(canaries["canary_query"]))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if d := cmp.Diff(want, e.latest()); d != "" || len(printed.Notes) != 2 {
		t.Errorf("%q\n%s (-step +curl):\n%s", printed.Notes, printed.Command, d)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/api/v1/graphs/tried/steps/moved/curl", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	if b := string(roundTrip(t, req)); !strings.Contains(b, `"command":"curl -L '`+e.URL+`/moved?key='\"$TAPPET_SECRET_CANARY_QUERY\""`) {
		t.Error(b)
	}
}

func TestBadStepTests(t *testing.T) {
	t.Parallel()
	s, e := launchTried(t, binary(t))
	for _, c := range []struct {
		step string
		q    client.StepTest
		want string
	}{
		{"nothing", client.StepTest{}, "there is no step"},
		{"send", client.StepTest{Version: 7}, "404"},
		{"send", client.StepTest{Run: "x"}, "no id of a run"},
		{"send", client.StepTest{Run: "019ab2f4-6c00-7a51-b3c1-2f9d64c0a5e7"}, "404"},
		{"send", client.StepTest{Run: "019ab2f4-6c00-7a51-b3c1-2f9d64c0a5e7", Event: json.RawMessage(`{}`)}, "give either an event or a run"},
		{"send", client.StepTest{Steps: map[string]json.RawMessage{"none": json.RawMessage(`1`)}}, "no such step"},
	} {
		if _, err := s.TestStep(t.Context(), "tried", c.step, c.q); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %+v: %v; %q is wanted", c.step, c.q, err, c.want)
		}
		if _, err := s.PrintStep(t.Context(), "tried", c.step, c.q); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("print %s %+v: %v; %q is wanted", c.step, c.q, err, c.want)
		}
	}
	if _, err := s.PrintStep(t.Context(), "tried", "value", client.StepTest{}); err == nil || !strings.Contains(err.Error(), "sends no request") {
		t.Error(err)
	}
	if _, err := s.PutDraft(t.Context(), "tried", []byte("name: tried\ntrigger: {use: manual}\nsteps: [{id: send, use: http.nothing}]\n"), client.YAML); err != nil {
		t.Fatal(err)
	}
	if _, err := s.TestStep(t.Context(), "tried", "send", client.StepTest{}); err == nil || !strings.Contains(err.Error(), "nothing") {
		t.Error(err)
	}
	if n := e.count("/echo"); n != 0 {
		t.Errorf("%d requests were sent", n)
	}
}

func TestCurlCommandsBecomeSteps(t *testing.T) {
	t.Parallel()
	s, _ := launchTried(t, binary(t))
	const pasted = `curl -X POST https://forms.example.com/entries -u ada:love-canary -H 'Content-Type: application/json' -d '{"title": "${{ x }}"}'`
	const want = "  - id: request\n    use: http.post\n    with:\n      url: https://forms.example.com/entries\n" +
		"      headers:\n        Authorization: ${{ secret(\"authorization\") }}\n      body:\n        title: $${{ x }}\n"
	got, err := s.ImportCurl(t.Context(), pasted)
	if err != nil || len(got.Warnings) != 1 || got.Step.Use != "http.post" {
		t.Fatalf("%+v, %v", got, err)
	}
	if d := cmp.Diff(want, got.YAML); d != "" || strings.Contains(fmt.Sprint(got), "love-canary") {
		t.Errorf("%+v\n%s", got, d)
	}
	v, err := s.Validate(t.Context(), []byte("name: imported\ntrigger: {use: manual}\nsteps:\n"+got.YAML), client.YAML)
	if err != nil || !v.Valid {
		t.Errorf("%+v, %v", v, err)
	}
	if _, err := s.ImportCurl(t.Context(), "curl -d 'a\n https://x"); err == nil || !strings.Contains(err.Error(), "single quote") {
		t.Error(err)
	}

	out, err := command(t, binary(t), "curl", "import", pasted).Output()
	if d := cmp.Diff(want, string(out)); d != "" || err != nil {
		t.Errorf("%v %s", err, d)
	}
	cmd := command(t, binary(t), "curl", "import", "-")
	cmd.Stdin = strings.NewReader("wget x")
	if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), "must begin with curl") {
		t.Errorf("%v %s", err, out)
	}
	cmd = command(t, binary(t), "graph", "test-step", "tried", "answer", "--server", s.URL, "--event", "-")
	cmd.Env = append(cmd.Env, "TAPPET_TOKEN="+token)
	cmd.Stdin = strings.NewReader(triedEvent)
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), `"a":"Plant"`) {
		t.Errorf("%v %s", err, out)
	}
}
