package main_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tappet-dev/tappet/api/client"
	"github.com/tappet-dev/tappet/internal/bench"
)

// The credentials of the two apps.
const (
	s34APIKey     = "key-of-the-form-app"
	s34Client     = "the-secret-of-the-client" // as testdata/s34/project has it
	s34Hooks      = "whsec_c2lnbnMgdGhlIGV2ZW50cyBvZiB0aGUgcHJvamVjdA=="
	s34WrongHooks = "whsec_c2lnbnMgbm90aGluZyB0aGF0IGFueWJvZHkgYmVsaWV2ZXM="
)

// An app is one of the two programs that the worked example is between.
type app struct{ *bench.Process }

// startApp builds and starts one of testdata/s34.
func startApp(tb testing.TB, name string, args ...string) app {
	tb.Helper()
	ctx, cancel := contextWithin(tb)
	defer cancel()
	p, err := bench.Start(ctx, command(tb, build(tb, "cmd/tappet/testdata/s34/"+name, "", ""), args...))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		_ = p.Kill() // it may have ended
		if tb.Failed() {
			tb.Logf("%s printed:\n%s", name, p.Output())
		}
	})
	return app{p}
}

// post tells the app something at its test's door.
func (a app) post(tb testing.TB, path string, v any) {
	tb.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		tb.Fatal(err)
	}
	req, err := http.NewRequestWithContext(tb.Context(), http.MethodPost, a.URL+path, strings.NewReader(string(b)))
	if err != nil {
		tb.Fatal(err)
	}
	a.do(tb, req, nil)
}

func (a app) get(tb testing.TB, path string, v any) {
	tb.Helper()
	req, err := http.NewRequestWithContext(tb.Context(), http.MethodGet, a.URL+path, http.NoBody)
	if err != nil {
		tb.Fatal(err)
	}
	a.do(tb, req, v)
}

func (a app) do(tb testing.TB, req *http.Request, v any) {
	tb.Helper()
	res, err := (&http.Client{Timeout: patience, Transport: transport(tb)}).Do(req)
	if err != nil {
		tb.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err == nil && v != nil {
		err = json.Unmarshal(b, v)
	}
	if err != nil || res.StatusCode != http.StatusOK {
		tb.Fatalf("%s %s: %s, %v\n%s", req.Method, req.URL, res.Status, err, b)
	}
}

// A taken request is one that the form app took, and the entry that it made; none
// where its key was known.
type taken struct {
	Asked string
	Entry *struct {
		Key   string
		Parts []formPart
	}
}

type formPart struct {
	Name, Filename, Type string
	Content              []byte
}

// formText and attachment are parts of an entry.
func formText(name, value string) formPart { return formPart{Name: name, Content: []byte(value)} }

func attachment(filename, kind, content string) formPart {
	return formPart{"Attachments[]", filename, kind, []byte(content)}
}

// A sending is an event on its way from the project app.
type sending struct {
	Event   string
	Answers []int
	Last    string
	Over    bool
}

// s34 is the worked example: the project app's events become entries of the form
// app.
type s34 struct {
	*server
	project, form app
	entries       string // the form app's file
}

// sent waits until the newest delivery is over.
func (e *s34) sent(t *testing.T) (last sending) {
	t.Helper()
	eventually(t, "the end of a delivery", func() (bool, any) {
		var all []sending
		e.project.get(t, "/test/deliveries", &all)
		last = all[len(all)-1]
		return last.Over, last
	})
	return last
}

// send has the project app send an event, and waits until it is taken or given up.
func (e *s34) send(t *testing.T, event map[string]any) sending {
	t.Helper()
	e.project.post(t, "/test/send", event)
	return e.sent(t)
}

// taken are the requests that the form app took.
func (e *s34) taken(t *testing.T) (all []taken) {
	t.Helper()
	e.form.get(t, "/test/lines", &all)
	return all
}

// wantEntry compares the newest entry: its parts are these and no others, in this
// order.
func (e *s34) wantEntry(t *testing.T, want ...formPart) {
	t.Helper()
	all := slices.DeleteFunc(e.taken(t), func(x taken) bool { return x.Entry == nil })
	if len(all) == 0 {
		t.Fatal("the form app has no entry")
	}
	if diff := cmp.Diff(want, all[len(all)-1].Entry.Parts); diff != "" {
		t.Errorf("the entry differs (-want +got):\n%s", diff)
	}
}

// authorize signs somebody in at the project app, as a browser does.
func (e *s34) authorize(t *testing.T) {
	t.Helper()
	a, err := e.AuthorizeConnection(t.Context(), "project", "")
	if err != nil {
		t.Fatal(err)
	}
	browser := newBrowser(t)
	status, page := browse(t, browser, a.URL)
	id := regexp.MustCompile(`name="id" value="([^"]+)"`).FindStringSubmatch(page)
	if status != http.StatusOK || id == nil {
		t.Fatalf("the project app shows no login page: %d %s", status, page)
	}
	form := url.Values{"username": {"test-user@127.0.0.1"}, "password": {"verysecure"}, "id": {id[1]}}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, e.project.URL+"/login/username", strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res, err := browser.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if b, err := io.ReadAll(res.Body); err != nil || res.StatusCode != http.StatusOK || !strings.Contains(string(b), "project is authorised") {
		t.Fatalf("the browser ends at %s: %s, %v\n%s", res.Request.URL, res.Status, err, b)
	}
}

func startForm(t *testing.T, addr, entries string) app {
	t.Helper()
	return startApp(t, "form", "-addr", addr, "-data", entries, "-key", s34APIKey)
}

// startS34 sets the example up over REST, up to the authorization.
func startS34(t *testing.T) *s34 {
	t.Helper()
	e := &s34{entries: filepath.Join(t.TempDir(), "entries")}
	e.project, e.form = startApp(t, "project"), startForm(t, "127.0.0.1:0", e.entries)
	e.server = start(t, "", "--insecure-oauth", "--egress-allow", hostport(e.project.URL)+","+hostport(e.form.URL))
	e.project.post(t, "/test/app", map[string]string{"redirect_uri": e.URL + "/oauth/callback"})
	e.project.post(t, "/test/hook", map[string]string{"url": e.URL + "/hooks/task-to-form", "secret": s34Hooks})
	e.connect(t, client.ConnectionDraft{
		Name: "project", Kind: "oauth2", Hosts: []string{hostport(e.project.URL)},
		Config: config("authorization_url", e.project.URL+"/auth", "token_url", e.project.URL+"/oauth/token",
			"client_id", "tappet", "client_secret", s34Client, "scope", "openid offline_access"),
	})
	e.connect(t, client.ConnectionDraft{Name: "forms", Kind: "api_key", Hosts: []string{hostport(e.form.URL)}, Config: config("key", s34APIKey)})
	if _, err := e.PutSecret(t.Context(), "project_hooks", s34Hooks); err != nil {
		t.Fatal(err)
	}
	return e
}

// graph is the example's document, for these apps.
func (e *s34) graph(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("../../examples/graphs/task-to-form.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return strings.NewReplacer("https://project.example.com", e.project.URL, "https://forms.example.com", e.form.URL).Replace(string(b))
}

// inbox lists what became of events, oldest first.
func (e *s34) inbox(t *testing.T) (out []client.Event) {
	t.Helper()
	page, err := e.Events(t.Context(), client.EventQuery{Graph: "task-to-form"})
	if err != nil {
		t.Fatal(err)
	}
	slices.Reverse(page.Items)
	return page.Items
}

func step(t *testing.T, r client.Run, id string) client.Step {
	t.Helper()
	i := slices.IndexFunc(r.Steps, func(s client.Step) bool { return s.ID == id })
	if i < 0 {
		t.Fatalf("run %s has no step %s", r.ID, id)
	}
	return r.Steps[i]
}

// TestS34_ATaskBecomesAnEntry is the worked example on the real binary: a task is
// finished in a project app, and a new entry stands in a form app, each a process
// of its own, with its own ideas of who may do what.
func TestS34_ATaskBecomesAnEntry(t *testing.T) {
	t.Parallel()
	e := startS34(t)
	doc := e.graph(t)
	if _, err := e.Deploy(t.Context(), "task-to-form", []byte(doc), client.YAML); !client.Is(err, "conflict") || !strings.Contains(err.Error(), "authorised") {
		t.Fatalf("turned ON before its connection was authorised: %v", err)
	}
	e.authorize(t)
	e.deploy(t, "task-to-form", doc)

	// In the middle of the run the token is good no more.
	e.project.post(t, "/test/revoke", map[string]string{"path": "/api/files/f2"})
	first := e.send(t, map[string]any{"id": "evt_42", "type": "task.completed", "task": "42"})
	if !slices.Equal(first.Answers, []int{http.StatusAccepted}) {
		t.Fatalf("the delivery %+v", first)
	}
	run := runID(t, []byte(first.Last))
	r := e.ended(t, run)
	if r.State != "succeeded" {
		t.Fatalf("run %s, %+v", r.State, r.Error)
	}
	e.wantEntry(t, formText("title", "Task Plant the apple tree is done"), formText("assignee", "ada@example.com"), formText("completed", "24.11.2026"),
		attachment("plan.txt", "text/plain", "Dig a hole.\n"), attachment("Äpfel – rot.png", "image/png", "\x89PNG\r\n\x1a\n\x00\x01\xff"))
	var grants []string
	if e.project.get(t, "/test/grants", &grants); !slices.Equal(grants, []string{"authorization_code", "refresh_token"}) {
		t.Errorf("the provider has given %v", grants)
	}
	var statuses []int
	for _, id := range []string{"task", "report", "photo"} {
		for _, a := range step(t, r, id).Attempts {
			for _, x := range a.Exchanges {
				statuses = append(statuses, x.Status)
			}
		}
	}
	if !slices.Equal(statuses, []int{200, 200, 401, 200}) {
		t.Errorf("the project app answered %v; the token wasn't refreshed in the middle", statuses)
	}

	again := e.send(t, map[string]any{"id": "evt_42", "type": "task.completed", "task": "42"})
	if !slices.Equal(again.Answers, []int{http.StatusAccepted}) || runID(t, []byte(again.Last)) != run {
		t.Errorf("a copy of the event: %+v", again)
	}
	other := e.send(t, map[string]any{"id": "evt_1", "type": "task.created", "task": "42"})
	if !slices.Equal(other.Answers, []int{http.StatusAccepted}) || !strings.Contains(other.Last, "filtered") {
		t.Errorf("another event: %+v", other)
	}
	wrong := e.send(t, map[string]any{"id": "evt_2", "type": "task.completed", "task": "43", "secret": s34WrongHooks, "attempts": 2})
	if !slices.Equal(wrong.Answers, []int{http.StatusUnauthorized, http.StatusUnauthorized}) {
		t.Errorf("signed with another secret: %+v", wrong)
	}
	e.idle(t)
	var outcomes []string
	for _, ev := range e.inbox(t) {
		outcomes = append(outcomes, ev.Outcome)
		if ev.Outcome == "refused" && (ev.Reason == "" || !strings.Contains(ev.Detail, "signature")) {
			t.Errorf("the inbox doesn't say why it was refused: %+v", ev)
		}
		if ev.Outcome == "duplicate" && ev.Run != run {
			t.Errorf("the copy is of run %s, want %s", ev.Run, run)
		}
	}
	if !slices.Equal(outcomes, []string{"run", "duplicate", "filtered", "refused", "refused"}) {
		t.Errorf("the inbox has %v", outcomes)
	}
	if page, err := e.Runs(t.Context(), client.RunQuery{}); err != nil || len(page.Items) != 1 {
		t.Errorf("%d runs, want 1; %v", len(page.Items), err)
	}
	if n := len(e.taken(t)); n != 1 {
		t.Errorf("the form app took %d requests, want 1", n)
	}
}

// TestS34_WhenTheFormAppIsDown: the form app dies with an entry that it has
// stored, Tappet is killed while it waits for it, and the project app sends to
// nobody meanwhile. In the end each task is one entry.
func TestS34_WhenTheFormAppIsDown(t *testing.T) {
	t.Parallel()
	e := startS34(t)
	e.authorize(t)
	e.deploy(t, "task-to-form", e.graph(t))
	e.form.post(t, "/test/crash", nil)
	first := e.send(t, map[string]any{"id": "evt_43", "type": "task.completed", "task": "43"})
	run := runID(t, []byte(first.Last))
	eventually(t, "an attempt that meets nobody", func() (bool, any) {
		r, err := e.Run(t.Context(), run)
		if err != nil {
			t.Fatal(err)
		}
		a := step(t, r, "entry").Attempts
		return len(a) >= 2 && a[1].Error != nil, a
	})
	<-e.form.Dead()
	if err := e.Kill(); err != nil {
		t.Fatal(err)
	}
	e.project.post(t, "/test/send", map[string]any{"id": "evt_44", "type": "task.completed", "task": "44"})
	eventually(t, "a delivery that meets nobody", func() (bool, any) {
		var all []sending
		e.project.get(t, "/test/deliveries", &all)
		last := all[len(all)-1]
		return len(last.Answers) > 0, last
	})
	e.form = startForm(t, hostport(e.form.URL), e.entries)
	e.server = start(t, e.data, "--insecure-oauth", "--egress-allow", hostport(e.project.URL)+","+hostport(e.form.URL), "--addr", hostport(e.URL))

	r := e.ended(t, run)
	attempts := step(t, r, "entry").Attempts
	if r.State != "succeeded" || len(attempts) < 3 {
		t.Errorf("run %s, %+v, %d attempts", r.State, r.Error, len(attempts))
	}
	for _, a := range attempts[:2] {
		if a.Error == nil || a.Error.Kind != "unavailable" {
			t.Errorf("attempt %+v", a)
		}
	}
	second := e.sent(t)
	if n := len(second.Answers); second.Answers[0] != 0 || second.Answers[n-1] != http.StatusAccepted {
		t.Errorf("the delivery to nobody: %+v", second)
	}
	if r := e.ended(t, runID(t, []byte(second.Last))); r.State != "succeeded" {
		t.Errorf("run %s, %+v", r.State, r.Error)
	}
	keys := map[string]int{} // entries by key
	asked := map[string]int{}
	for _, x := range e.taken(t) {
		asked[x.Asked]++
		if x.Entry != nil {
			keys[x.Entry.Key]++
			title := string(x.Entry.Parts[0].Content)
			switch len(x.Entry.Parts) {
			case 3:
				if title != "Task Rest is done" {
					t.Errorf("an entry without files: %s", title)
				}
			case 4:
				if diff := cmp.Diff(attachment("invoice.pdf", "application/pdf", "%PDF-1.7\n%\xe2\xe3\xcf\xd3\n"), x.Entry.Parts[3]); title != "Task Pay for it — 40 € is done" || diff != "" {
					t.Errorf("an entry: %s (-want +got):\n%s", title, diff)
				}
			default:
				t.Errorf("an entry with %d parts", len(x.Entry.Parts))
			}
		}
	}
	repeated := 0
	for key, n := range asked {
		if keys[key] != 1 {
			t.Errorf("%d entries under the key %s", keys[key], key)
		}
		repeated += n - 1
	}
	if len(asked) != 2 || repeated < 1 {
		t.Errorf("requests by Idempotency-Key: %v; want two keys, of which one came again", asked)
	}
}
