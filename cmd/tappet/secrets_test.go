package main_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tappet-dev/tappet/api/client"
)

// canaries are secrets by name; the second has what each encoding writes in its
// own way.
var canaries = map[string]string{
	"canary_forms": "Bearer canary-8f1c07d2a9",
	"canary_query": `canary+query/"7e&44 ü`,
}

// canaryGraph sends both secrets to a receiver that repeats them: once with
// success, once with a status that fails and is retried, as an answer that isn't
// what it says, through a redirect, and to a port that nobody serves.
const canaryGraph = `
name: canary
trigger: {use: webhook, with: {path: canary, respond: result}}
steps:
  - id: good
    use: http.post
    with:
      url: ADDRESS/good
      headers: {Authorization: '${{ secret("canary_forms") }}'}
      query: {key: '${{ secret("canary_query") }}', list: [x, '${{ secret("canary_forms") }}']}
      body: ${{ trigger.body }}
  - id: bad
    use: http.get
    on_error: continue
    retry: {max_attempts: 2, initial_interval: 10ms}
    with: {url: ADDRESS/bad, headers: {Authorization: '${{ secret("canary_forms") }}'}, query: {key: '${{ secret("canary_query") }}'}}
  - id: broken
    use: http.get
    on_error: continue
    with: {url: ADDRESS/broken, query: {key: '${{ secret("canary_query") }}'}}
  - id: moved
    use: http.get
    on_error: continue
    with: {url: ADDRESS/moved, query: {key: '${{ secret("canary_query") }}'}}
  - id: nobody
    use: http.get
    on_error: continue
    with: {url: NOBODY, query: {key: '${{ secret("canary_query") }}'}}
  - {id: all, respond: {body: '${{ [steps.good, step("bad").error, step("broken").error, steps.moved, step("nobody").error] }}'}}
`

// What a mapped secret is stays between its store and the receiver: it isn't in
// the data folder, the log or any answer of the API. The control build, which
// doesn't hide secrets, shows that it would be found.
func TestCanarySecretsStayHidden(t *testing.T) {
	t.Parallel()
	if found := canaryRun(t, binary(t)); len(found) > 0 {
		t.Errorf("secrets are in %v", found)
	}
	found := canaryRun(t, build(t, "cmd/tappet", "", "tappet_control_mask"))
	for _, place := range []string{"data", "run", "answer"} {
		if !slices.Contains(found, place) {
			t.Errorf("the build that hides nothing shows secrets in %v alone: the search doesn't look into %s", found, place)
		}
	}
}

// canaryRun gives the places in which a secret was found.
func canaryRun(t *testing.T, bin string) (found []string) {
	t.Helper()
	var (
		mu   sync.Mutex
		came = map[string]int{}
	)
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		if r.URL.Query().Get("key") == canaries["canary_query"] {
			came[r.URL.Path]++
		}
		if r.Header.Get("Authorization") == canaries["canary_forms"] {
			came["header"]++
		}
		mu.Unlock()
		switch r.URL.Path {
		case "/moved":
			http.Redirect(w, r, "/good?"+r.URL.RawQuery, http.StatusFound)
			return
		case "/broken":
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprintf(w, "no JSON: %s", r.URL.Query().Get("key"))
			return
		case "/bad":
			w.Header().Set("X-Echo", r.URL.RawQuery)
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{
			"url": r.URL.String(), "headers": r.Header, "key": r.URL.Query().Get("key"), "body": json.RawMessage(`"` + fmt.Sprint(len(body)) + `"`),
		})
	}))
	defer receiver.Close()
	address := strings.TrimPrefix(receiver.URL, "http://")

	cmd := command(t, bin, "serve", "--data", filepath.Join(t.TempDir(), "data"), "--addr", "127.0.0.1:0", "--log-level", "debug", "--egress-allow", address+",127.0.0.1:1")
	cmd.Env = append(cmd.Env, "TAPPET_ADMIN_TOKEN="+token)
	for name, v := range canaries {
		cmd.Env = append(cmd.Env, "TAPPET_SECRET_"+strings.ToUpper(name)+"="+v)
	}
	s := launch(t, cmd, token)
	s.data = cmd.Args[3]
	s.deploy(t, "canary", strings.NewReplacer("ADDRESS", receiver.URL, "NOBODY", "http://127.0.0.1:1/x").Replace(canaryGraph))

	places := map[string][]byte{}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/hooks/canary", strings.NewReader(`{"a": 1}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	places["answer"] = roundTrip(t, req)
	s.idle(t)
	page, err := s.Runs(t.Context(), client.RunQuery{Limit: 1})
	if err != nil || len(page.Items) != 1 || page.Items[0].State != "succeeded" {
		t.Fatalf("%+v, %v", page.Items, err)
	}
	for place, path := range map[string]string{
		"run": "/api/v1/runs/" + page.Items[0].ID, "runs": "/api/v1/runs", "graph": "/api/v1/graphs/canary",
		"validation": "/api/v1/graphs/canary/validate", "connectors": "/api/v1/connectors",
	} {
		method := http.MethodGet
		if place == "validation" {
			method = http.MethodPost
		}
		req, err := http.NewRequestWithContext(t.Context(), method, s.URL+path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
		places[place] = roundTrip(t, req)
	}
	s.signal(t, syscall.SIGTERM)
	s.wantExit(t, 0)
	places["log"] = []byte(s.Output())
	mu.Lock()
	defer mu.Unlock()
	if came["header"] != 3 || came["/good"] != 2 || came["/bad"] != 2 || came["/broken"] != 1 || came["/moved"] != 1 {
		t.Errorf("the receiver got the secrets in %v", came)
	}
	if !bytes.Contains(places["run"], []byte(`***`)) == !bytes.Contains(places["run"], []byte(`canary-8f1c`)) {
		t.Errorf("the run shows neither a secret nor that one is hidden, or both: %s", places["run"])
	}
	err = filepath.WalkDir(s.data, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		places["data"] = append(places["data"], b...)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for place, b := range places {
		if len(b) == 0 {
			t.Errorf("%s is empty: nothing was looked through", place)
		}
		if showsCanary(b) {
			found = append(found, place)
		}
	}
	slices.Sort(found)
	return found
}

// showsCanary looks for the canaries, and for the part of each that any
// encoding leaves as it is.
func showsCanary(b []byte) bool {
	for _, text := range []string{"canary-8f1c07d2a9", canaries["canary_query"], url.QueryEscape(canaries["canary_query"]), "7e&44", "7e%2644", `7e\u002644`, "canary+query", "canary%2Bquery"} {
		if bytes.Contains(b, []byte(text)) {
			return true
		}
	}
	return false
}

func roundTrip(t *testing.T, req *http.Request) []byte {
	t.Helper()
	c := &http.Client{Timeout: patience, Transport: transport(t)}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s %s: %s, %v\n%s", req.Method, req.URL, resp.Status, err, b)
	}
	return b
}

// A secret that isn't there is a warning when the graph is saved, keeps it from
// being turned ON, and fails the step before anything is sent.
func TestUnknownSecret(t *testing.T) {
	t.Parallel()
	sink := newSink(t, func(r *http.Request, _ []byte) { t.Errorf("%s was sent", r.URL) })
	s := start(t, "", "--egress-allow", hostport(sink.URL))
	doc := []byte("name: unknown\ntrigger: {use: manual}\nsteps:\n  - {id: send, use: http.get, retry: {max_attempts: 3}, with: {url: " + sink.URL +
		", headers: {A: '${{ secret(\"not_there\") }}'}}}\n")
	const hint = "TAPPET_SECRET_NOT_THERE"
	v, err := s.Validate(t.Context(), doc, client.YAML)
	if err != nil || len(v.Problems) != 1 || v.Problems[0].Code != "unknown_secret" || !v.Problems[0].Warning ||
		v.Problems[0].Pointer != "/steps/0/with/headers/A" || v.Problems[0].Line != 4 || !strings.Contains(v.Problems[0].Message, hint) {
		t.Errorf("validation: %+v, %v", v, err)
	}
	if _, err := s.Deploy(t.Context(), "unknown", doc, client.YAML); err == nil || !strings.Contains(fmt.Sprintf("%+v", err), hint) {
		t.Errorf("turned ON: %v", err)
	}
	run, _, err := s.StartRun(t.Context(), "unknown", client.Start{Event: json.RawMessage(`{}`), Wait: 30 * time.Second})
	if err != nil || run.State != "failed" || run.Error == nil || run.Error.Kind != "unknown_secret" || run.Error.Retryable || !strings.Contains(run.Error.Message, hint) {
		t.Errorf("%s, %+v, %v", run.State, run.Error, err)
	}
	if len(run.Steps) != 1 || len(run.Steps[0].Attempts) != 1 {
		t.Errorf("steps %+v", run.Steps)
	}
}
