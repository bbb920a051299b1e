//go:build unix

package main_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/zitadel/oidc/v3/example/server/exampleop"
	"github.com/zitadel/oidc/v3/example/server/storage"

	"github.com/tappet-dev/tappet/api/client"
	"github.com/tappet-dev/tappet/internal/bench"
)

// These are rewritten in what the documents show, so that free ports serve;
// `make run` is run with settings for ports and folder, and `make test` is only
// looked up.
const (
	docsAddr     = "127.0.0.1:7700"
	docsReceiver = "127.0.0.1:7701"
	docsTLS      = "127.0.0.1:7702" // where a document's own server listens
	docsFeed     = "https://go.dev/blog/feed.atom"
	docsProvider = "login.example.com"
)

// docFiles are the documents whose blocks are run: README first, then docs and
// the folders in it.
func docFiles(tb testing.TB) []string {
	tb.Helper()
	all := []string{"../../README.md"}
	for _, pattern := range []string{"../../docs/*.md", "../../docs/*/*.md"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			tb.Fatalf("%s: %v, %d files", pattern, err, len(files))
		}
		all = append(all, files...)
	}
	return all
}

// A docRun is a work folder as a reader has it, and the demo's server.
type docRun struct {
	root, dir string
	demo      *bench.Process
	demoCmd   *exec.Cmd
	env       []string
	rewrite   *strings.Replacer
	api       string
	token     string
}

func TestDocuments(t *testing.T) {
	for _, tool := range []string{"make", "curl", "bash", "go", "openssl"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("the documents' commands need %s: %v", tool, err)
		}
	}
	r := newDocRun(t)
	for _, path := range docFiles(t) {
		t.Run(strings.TrimPrefix(filepath.ToSlash(path), "../../"), func(t *testing.T) {
			r.document(t, docBlocks(t, path))
		})
	}
	for name, ask := range exampleRuns() {
		t.Run("examples/graphs/"+name, func(t *testing.T) { r.example(t, name, ask) })
	}
	t.Run("a second make run finds its data and token", func(t *testing.T) {
		r.interrupt(t)
		old := r.token
		r.start(t)
		if r.token != old {
			t.Errorf("the token was %s, after a restart it is %s", old, r.token)
		}
		r.interrupt(t)
	})
}

func newDocRun(tb testing.TB) *docRun {
	tb.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		tb.Fatal(err)
	}
	r := &docRun{root: root, dir: tb.TempDir()}
	for _, name := range []string{"bin", "examples"} {
		if err := os.Symlink(filepath.Join(root, name), filepath.Join(r.dir, name)); err != nil {
			tb.Fatal(err)
		}
	}
	feed, provider, tls := newFeed(tb), newLogin(tb), freePort(tb)
	r.env = slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, "TAPPET_") || strings.HasPrefix(v, "MAKE") || strings.HasPrefix(v, "MFLAGS=")
	})
	r.env = append(r.env, "TAPPET_EGRESS_ALLOW="+strings.Join([]string{hostport(feed), hostport(provider.URL), tls}, ","), "TAPPET_INSECURE_OAUTH=true", "ROOT="+root)
	r.start(tb)
	out := r.demo.Output()
	receiver := regexp.MustCompile(`POST http://(\S+)/entries`).FindStringSubmatch(out)
	if receiver == nil {
		tb.Fatalf("the demo doesn't tell its receiver's address:\n%s", out)
	}
	r.rewrite = strings.NewReplacer(docsAddr, hostport(r.demo.URL), docsReceiver, receiver[1], docsTLS, tls, docsFeed, feed+"/feed.atom",
		"https://"+docsProvider, provider.URL, docsProvider, hostport(provider.URL))
	provider.register(r.demo.URL + "/oauth/callback")
	return r
}

// A login is the OAuth provider of the documents, one that others have
// built.
type login struct {
	*httptest.Server
	op atomic.Value // an http.Handler; none until an app is registered
}

func newLogin(tb testing.TB) *login {
	tb.Helper()
	p := &login{}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.op.Load().(http.Handler).ServeHTTP(w, r)
	}))
	tb.Cleanup(p.Close)
	return p
}

// register registers the app of oauth2.md.
func (p *login) register(redirect string) {
	clients := map[string]*storage.Client{"tappet": storage.WebClient("tappet", "the-secret-of-the-client", redirect)}
	op := exampleop.SetupServer(p.URL, storage.NewStorageWithClients(storage.NewUserStore(p.URL), clients), nil, false)
	p.op.Store(http.Handler(op))
}

// freePort gives an address of this machine at which nobody listens.
func freePort(tb testing.TB) string {
	tb.Helper()
	l, err := (&net.ListenConfig{}).Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// newFeed serves a feed with one item.
func newFeed(tb testing.TB) string {
	tb.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/atom+xml")
		_, _ = io.WriteString(w, `<feed xmlns="http://www.w3.org/2005/Atom"><title>News</title><id>urn:news</id>
<entry><id>urn:news:1</id><title>Spring has come</title><link href="https://example.com/1"/><updated>2026-11-24T10:00:00Z</updated></entry></feed>`)
	}))
	tb.Cleanup(s.Close)
	return s.URL
}

// start is `make run` on free ports. It returns when the demo has played.
func (r *docRun) start(tb testing.TB) {
	tb.Helper()
	addr := "127.0.0.1:0"
	if r.demo != nil {
		addr = hostport(r.demo.URL)
	}
	cmd := exec.CommandContext(context.WithoutCancel(tb.Context()), "make", "-C", r.root, "run",
		"ADDR="+addr, "RECEIVER=127.0.0.1:0", "DEMO="+filepath.Join(r.dir, "demo-data"))
	cmd.Env = r.env
	// A terminal's Ctrl-C goes to make and to the program that it runs.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	ctx, cancel := context.WithTimeout(tb.Context(), 5*patience) // it may have to compile everything
	defer cancel()
	p, err := bench.Start(ctx, cmd)
	if err != nil {
		tb.Fatal(err)
	}
	r.demo, r.demoCmd = p, cmd
	tb.Cleanup(func() {
		select {
		case <-p.Dead():
		default:
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
			<-p.Dead()
		}
	})
	eventually(tb, "the end of the demo", func() (bool, any) {
		return strings.Contains(p.Output(), "Ctrl-C stops it."), p.Output()
	})
	b, err := os.ReadFile(filepath.Join(r.dir, "demo-data", "admin.token"))
	if err != nil {
		tb.Fatal(err)
	}
	r.token, r.api = strings.TrimSpace(string(b)), p.URL
}

// interrupt is Ctrl-C.
func (r *docRun) interrupt(tb testing.TB) {
	tb.Helper()
	if err := syscall.Kill(-r.demoCmd.Process.Pid, syscall.SIGINT); err != nil {
		tb.Fatal(err)
	}
	eventually(tb, "the end of make run", func() (bool, any) {
		select {
		case <-r.demo.Dead():
			return true, nil
		default:
			return false, r.demo.Output()
		}
	})
}

// An exampleRun starts an example by hand and says what becomes of it.
type exampleRun struct {
	event string
	// status is how each step ends, in written order.
	status []string
	// fails: so does the run.
	fails bool
}

// exampleRuns has all examples but task-to-form, which TestS34 runs between the
// two apps that it needs.
func exampleRuns() map[string]exampleRun {
	const hook = `{"body":%s,"headers":{},"query":{},"method":"POST","path":"x","params":{},"files":[]}`
	const tick = `{"scheduled_at":"2026-11-24T10:00:00Z"}`
	return map[string]exampleRun{
		"task-completed": {event: fmt.Sprintf(hook, `{"event":"task.reopened","task":{}}`), status: []string{"skipped"}},
		"signup":         {event: fmt.Sprintf(hook, `{"name":" Ada ","email":"ada@example.com"}`), status: []string{"succeeded", "succeeded", "succeeded"}},
		// The demo's receiver knows no /tasks, no /status and no /report: there are
		// none, the page is down, and the notice is sent.
		"backlog":        {event: tick, status: []string{"succeeded", "succeeded"}},
		"uptime":         {event: tick, status: []string{"failed", "succeeded"}},
		"nightly-report": {event: tick, status: []string{"failed", "skipped", "succeeded"}, fails: true},
	}
}

// example publishes an example graph, turns it ON and runs it.
func (r *docRun) example(t *testing.T, name string, ask exampleRun) {
	t.Helper()
	c := r.client(t)
	src, err := os.ReadFile(filepath.Join(r.root, "examples/graphs", name+".yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Deploy(t.Context(), name, []byte(r.rewrite.Replace(string(src))), client.YAML); err != nil {
		t.Fatal(err)
	}
	run, _, err := c.StartRun(t.Context(), name, client.Start{Event: json.RawMessage(ask.event), Wait: 30 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range run.Steps {
		got = append(got, string(s.Status))
	}
	state := "succeeded"
	if ask.fails {
		state = "failed"
	}
	if diff := cmp.Diff(ask.status, got); diff != "" || run.State != state {
		t.Errorf("run %s is %s, error %+v (-want +got):\n%s", run.ID, run.State, run.Error, diff)
	}
}

// client speaks to the demo's server.
func (r *docRun) client(tb testing.TB) *client.Client {
	tb.Helper()
	c, err := client.New(r.api, r.token, client.Options{HTTP: &http.Client{Timeout: patience, Transport: transport(tb)}})
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

// document runs the blocks of one document.
func (r *docRun) document(t *testing.T, blocks []docBlock) {
	t.Helper()
	sh := newShell(t, r)
	for i, b := range blocks {
		where := fmt.Sprintf("line %d", b.line)
		text := r.rewrite.Replace(b.text)
		for _, word := range strings.Fields(b.info) {
			if strings.Contains(word, ".") {
				writeFile(t, filepath.Join(r.dir, word), text)
			}
		}
		switch b.lang {
		case "sh":
			want := docBlock{}
			if i+1 < len(blocks) && (blocks[i+1].lang == "console" || blocks[i+1].lang == "json") {
				want = blocks[i+1]
				want.text = r.rewrite.Replace(want.text)
			}
			r.commands(t, sh, where, text, want)
		case "console", "json":
			if b.info != "event" && !strings.Contains(b.info, ".") && (i == 0 || blocks[i-1].lang != "sh") {
				t.Errorf("%s: no sh block stands above", where)
			}
		case "yaml":
			r.graph(t, where, b.info, text)
		case "go":
			r.program(t, where, text)
		case "text", "ini", "expr":
		default:
			t.Errorf("%s: unknown language %q of a block", where, b.lang)
		}
	}
}

// commands runs one sh block and compares what it prints.
func (r *docRun) commands(t *testing.T, sh *shell, where, text string, want docBlock) {
	t.Helper()
	switch strings.TrimSpace(text) {
	case "make run":
		if err := matchText(want.text, dropMake(r.demo.Output())); err != nil {
			t.Errorf("%s: make run: %v", where, err)
		}
		return
	case "make test":
		cmd := exec.CommandContext(t.Context(), "make", "-C", r.root, "-n", "test")
		cmd.Env = r.env
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: make -n test: %v\n%s", where, err, out)
		}
		return
	}
	if !onlyReads(text) || want.lang == "" {
		out, status := sh.run(t, text)
		if err := matchBlock(want, out, status); err != nil {
			t.Errorf("%s:\n%s%v", where, text, err)
		}
		return
	}
	eventually(t, where+":\n"+text, func() (bool, any) {
		out, status := sh.run(t, text)
		err := matchBlock(want, out, status)
		return err == nil, err
	})
}

// graph checks a YAML block on the running server, which knows its plugins.
func (r *docRun) graph(t *testing.T, where, info, text string) {
	t.Helper()
	if info == "steps" {
		text = "name: fragment\ntrigger: {use: webhook, with: {path: fragment}}\nsteps:\n" + text
	}
	v, err := r.client(t).Validate(t.Context(), []byte(text), client.YAML)
	if err != nil {
		t.Fatalf("%s: %v", where, err)
	}
	if refused := strings.HasPrefix(info, "refused"); v.Valid == refused {
		t.Errorf("%s: valid is %t, the problems are %+v", where, v.Valid, v.Problems)
	}
}

// program builds a Go block as a package of this module.
func (r *docRun) program(t *testing.T, where, text string) {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "main.go")
	writeFile(t, file, text)
	overlay, err := json.Marshal(map[string]map[string]string{
		"Replace": {filepath.Join(r.root, "examples/plugins/document/main.go"): file},
	})
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(dir, "overlay.json"), string(overlay))
	cmd := exec.CommandContext(t.Context(), "go", "build", "-overlay", filepath.Join(dir, "overlay.json"),
		"-o", filepath.Join(dir, "plugin.wasm"), "./examples/plugins/document")
	cmd.Dir, cmd.Env = r.root, append(slices.Clone(r.env), "GOOS=wasip1", "GOARCH=wasm")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%s: it doesn't build: %v\n%s", where, err, out)
	}
}

func writeFile(tb testing.TB, path, text string) {
	tb.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
}

func TestDocumentsLinks(t *testing.T) {
	t.Parallel()
	top, err := filepath.Glob("../../*.md")
	if err != nil {
		t.Fatal(err)
	}
	link := regexp.MustCompile(`\]\(([^)#:]+)(?:#[^)]*)?\)`)
	for _, path := range append(docFiles(t)[1:], top...) {
		src, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllStringSubmatch(string(src), -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(path), m[1])); err != nil {
				t.Errorf("%s links to %s: %v", path, m[1], err)
			}
		}
	}
}
