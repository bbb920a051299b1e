package plugins_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/tappet-dev/tappet/examples/plugins/feed/feed"
	"github.com/tappet-dev/tappet/plugins"
	"github.com/tappet-dev/tappet/plugins/internal/guest"
	"github.com/tappet-dev/tappet/plugins/wasm"
	"github.com/tappet-dev/tappet/sdk"
	"github.com/tappet-dev/tappet/sdk/sdktest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// install puts a file into the folder the way that careful people do: whole.
func install(tb testing.TB, dir, name, from string) {
	tb.Helper()
	b, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, ".new"), b, 0o700)
	}
	if err == nil {
		err = os.Rename(filepath.Join(dir, ".new"), filepath.Join(dir, name))
	}
	if err != nil {
		tb.Fatal(err)
	}
}

func content(tb testing.TB, path string) []byte {
	tb.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// stage stages an artefact, which must be good.
func stage(tb testing.TB, c *plugins.Catalogue, artefact []byte) *plugins.Candidate {
	tb.Helper()
	k, err := c.Stage(tb.Context(), artefact, "")
	if err != nil {
		tb.Fatal(err)
	}
	return k
}

// commit stages an artefact and puts it into service.
func commit(tb testing.TB, c *plugins.Catalogue, artefact []byte) {
	tb.Helper()
	if err := stage(tb, c, artefact).Commit(); err != nil {
		tb.Fatal(err)
	}
}

func open(tb testing.TB, dir string, o plugins.Options) *plugins.Catalogue {
	tb.Helper()
	o.CacheDir = guest.CacheDir(tb)
	if o.WorkDir == "" {
		o.WorkDir = filepath.Join(tb.TempDir(), "work")
	}
	o.Limits.Settle = 20 * time.Millisecond
	c, err := plugins.Open(dir, o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := c.Close(); err != nil {
			tb.Errorf("close: %v", err)
		}
	})
	return c
}

// await waits until the catalogue has come to what ok wants.
func await(tb testing.TB, c *plugins.Catalogue, what string, ok func() bool) {
	tb.Helper()
	changed := make(chan struct{}, 1)
	c.OnChange(func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	})
	limit := time.After(30 * time.Second)
	for !ok() {
		select {
		case <-changed:
		case <-limit:
			tb.Fatalf("%s: not so: %+v", what, c.List())
		}
	}
}

// states gives file → state, and the reason of a failed one.
func states(c *plugins.Catalogue) map[string]string {
	out := map[string]string{}
	for _, i := range c.List() {
		out[i.File] = strings.TrimSpace(string(i.Health.State) + " " + i.Health.Reason)
	}
	return out
}

func TestOneSourceGivesTheSameEventsInProcessNativeAndWASM(t *testing.T) {
	t.Parallel()
	const config = `{"url":"https://example.com/feed"}`
	openers := map[string]func(testing.TB) sdk.Connector{
		"in process": func(testing.TB) sdk.Connector { return feed.Connector() },
		"native": func(tb testing.TB) sdk.Connector {
			tb.Helper()
			return installed(tb, "feed", guest.Native(tb, guest.Feed))
		},
		"wasm": func(tb testing.TB) sdk.Connector {
			tb.Helper()
			return installed(tb, "feed.wasm", guest.WASM(tb, guest.Feed))
		},
	}
	for _, file := range []string{"rss.xml", "atom.xml"} {
		body, err := os.ReadFile(filepath.Join("..", guest.Feed, "feed", "testdata", file))
		if err != nil {
			t.Fatal(err)
		}
		replies := sdktest.Replies(map[string]sdktest.Reply{"GET https://example.com/feed": {Body: body}})
		got := map[string][]byte{}
		for name, open := range openers {
			c := open(t)
			t.Run(file+" "+name, func(t *testing.T) {
				sdktest.Run(t, func(testing.TB) sdk.Connector { return c }, sdktest.Options{Polls: map[string]sdktest.Poll{
					"new_item": {Config: json.RawMessage(config), HTTP: replies, Events: 2},
				}})
				h := sdktest.NewHost(t, sdktest.HostOptions{HTTP: replies})
				if got[name], err = sdktest.Collect(t.Context(), c.Triggers[0], h, json.RawMessage(config), ""); err != nil {
					t.Fatal(err)
				}
			})
		}
		for name := range openers {
			if !bytes.Equal(got[name], got["in process"]) || len(got[name]) == 0 {
				t.Errorf("%s %s: other events than in process\n%s", file, name, cmp.Diff(string(got["in process"]), string(got[name])))
			}
		}
	}
}

// installed gives the feed connector of a catalogue of one file.
func installed(tb testing.TB, name, path string) sdk.Connector {
	tb.Helper()
	dir := tb.TempDir()
	install(tb, dir, name, path)
	c := open(tb, dir, plugins.Options{})
	conn, ok := c.Connector("feed")
	if !ok {
		tb.Fatalf("the feed is not there: %v", states(c))
	}
	return conn
}

func TestBadPluginsAreListedWithTheirReasonAndHurtNobody(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	install(t, dir, "a.wasm", guest.WASM(t, guest.Traps, "chatty"))
	install(t, dir, "b-twice", guest.Native(t, guest.Traps))
	install(t, dir, "chatty", guest.Native(t, guest.Traps, "chatty"))
	install(t, dir, "crash", guest.Native(t, guest.Traps, "crash"))
	install(t, dir, "crash.wasm", guest.WASM(t, guest.Traps, "crash"))
	install(t, dir, "feed.wasm", guest.WASM(t, guest.Feed))
	for name, text := range map[string]string{"none.wasm": "hello", "README.md": "no plugin", "empty.wasm": ""} {
		mode := os.FileMode(0o600)
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	c := open(t, dir, plugins.Options{Reserved: []string{"feed"}})
	got := states(c)
	for file, want := range map[string]string{
		"a.wasm":     "ready",
		"b-twice":    `failed the connector name "traps" is taken by a.wasm`,
		"chatty":     `failed the plugin printed "hello from init"`,
		"crash":      "failed the plugin ended before it served: exit status 7; it printed: no licence found",
		"crash.wasm": "failed describe: the plugin ended before it was ready: exit code 7; it printed: no licence found",
		"feed.wasm":  `failed the plugin's description is wrong: name: "feed" is the name of a built-in`,
		"none.wasm":  "failed not a WebAssembly module",
		"empty.wasm": "failed the file is empty",
	} {
		if !strings.HasPrefix(got[file], want) {
			t.Errorf("%s: %q, %q is wanted", file, got[file], want)
		}
	}
	if len(got) != 8 {
		t.Errorf("listed: %v", got)
	}
	conn, ok := c.Connector("traps")
	if !ok {
		t.Fatal("traps is not there")
	}
	for _, do := range []string{"exit", "panic", "ok"} {
		_, err := guest.Trap(t.Context(), t, conn, do)
		if (err == nil) != (do == "ok") {
			t.Errorf("%s: %v", do, err)
		}
	}
	if l := c.Logs("traps"); len(l) == 0 || l[0].Text != "hello from init" {
		t.Errorf("logs: %+v", l)
	}
}

func TestFolderIsFollowed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := open(t, dir, plugins.Options{})
	if len(c.List()) != 0 {
		t.Fatalf("listed: %v", states(c))
	}
	ready := func(name string) bool {
		i, ok := c.Info(name)
		return ok && i.Health.State == plugins.Ready
	}
	install(t, dir, "p", guest.Native(t, guest.Traps))
	await(t, c, "installed", func() bool { return ready("traps") })
	before, _ := c.Info("traps")
	held, _ := c.Connector("traps")

	// The other pipe under another name: refused while the first is there.
	install(t, dir, "q.wasm", guest.WASM(t, guest.Traps))
	await(t, c, "taken", func() bool { return strings.Contains(states(c)["q.wasm"], "is taken by p") })

	// Removing the first lets the second in, and a connector that somebody holds
	// goes on with it.
	if err := os.Remove(filepath.Join(dir, "p")); err != nil {
		t.Fatal(err)
	}
	await(t, c, "the second", func() bool { return states(c)["q.wasm"] == "ready" })
	if r, err := guest.Trap(t.Context(), t, held, "ok"); err != nil {
		t.Errorf("%s, %v", r, err)
	}
	if after, _ := c.Info("traps"); after.Digest == before.Digest || after.Kind != plugins.WASM {
		t.Errorf("%+v", after)
	}

	// A version that is broken leaves the one before it in service.
	if err := os.WriteFile(filepath.Join(dir, "q.wasm"), []byte("broken"), 0o600); err != nil {
		t.Fatal(err)
	}
	await(t, c, "broken", func() bool { return strings.HasPrefix(states(c)["q.wasm"], "failed not a WebAssembly") })
	if r, err := guest.Trap(t.Context(), t, held, "ok"); err != nil {
		t.Errorf("%s, %v", r, err)
	}

	if err := os.Remove(filepath.Join(dir, "q.wasm")); err != nil {
		t.Fatal(err)
	}
	await(t, c, "removed", func() bool { return len(c.List()) == 0 })
	if _, err := guest.Trap(t.Context(), t, held, "ok"); sdk.KindOf(err) != sdk.Unavailable {
		t.Errorf("%v, kind unavailable is wanted", err)
	}
}

func TestReplacedVersionEndsItsStreamsAndFinishesItsCalls(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	install(t, dir, "p", guest.Native(t, guest.Traps))
	c := open(t, dir, plugins.Options{})
	conn, ok := c.Connector("traps")
	if !ok {
		t.Fatalf("%v", states(c))
	}
	begun, done := make(chan struct{}, 1), make(chan error, 1)
	go func() {
		emit := func(context.Context, sdk.Cursor, ...sdk.Event) error {
			begun <- struct{}{}
			return nil
		}
		h := sdktest.NewHost(t, sdktest.HostOptions{})
		done <- guest.Trigger(t, conn, "waits").Stream(t.Context(), h, sdk.StreamCall{Trigger: "waits"}, emit)
	}()
	<-begun
	entered, answer, result := make(chan struct{}), make(chan struct{}), make(chan string, 1)
	go func() {
		h := sdktest.NewHost(t, sdktest.HostOptions{HTTP: func(*sdk.Request, []byte) sdktest.Reply {
			close(entered)
			<-answer
			return sdktest.Reply{}
		}})
		r, err := guest.Action(t, conn, "post").Do(t.Context(), h, sdk.ActionCall{Action: "post", Input: sdk.Fields{
			{Name: "url", Value: json.RawMessage(`"http://api.example.com/"`)}, {Name: "text", Value: json.RawMessage(`"x"`)},
		}})
		if err != nil {
			t.Error(err)
		}
		result <- string(r.Output)
	}()
	<-entered
	// The same program with other bytes at its end is another version.
	commit(t, c, append(content(t, guest.Native(t, guest.Traps)), 0))
	if err := <-done; sdk.KindOf(err) != sdk.Unavailable {
		t.Errorf("the stream: %v, kind unavailable is wanted", err)
	}
	close(answer)
	if got := <-result; got != `{"status":200,"bytes":0}` {
		t.Errorf("the call that was under way: %s", got)
	}
}

func TestSec03_OnlyDeclaredHostsAndSecrets(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	install(t, dir, "traps.wasm", guest.WASM(t, guest.Traps))
	c := open(t, dir, plugins.Options{Limits: plugins.Limits{WASM: wasm.Limits{Instances: 2}}})
	conn, ok := c.Connector("traps")
	if !ok {
		t.Fatalf("%v", states(c))
	}
	h := sdktest.NewHost(t, sdktest.HostOptions{
		HTTP:    func(*sdk.Request, []byte) sdktest.Reply { return sdktest.Reply{Body: []byte("hi")} },
		Secrets: map[string]string{"token": "s3cret", "other": "hidden"},
	})
	for url, want := range map[string]sdk.Kind{
		"http://api.example.com/": "", "http://API.example.com.:81/x": "", "http://example.com/": sdk.Denied,
		"http://api.example.com@evil.test/": sdk.Denied, "http://api.example.com.evil.test/": sdk.Denied,
		"file:///etc/passwd": sdk.Invalid, "//api.example.com/": sdk.Invalid,
	} {
		address, err := json.Marshal(url)
		if err != nil {
			t.Fatal(err)
		}
		_, err = guest.Action(t, conn, "trap").Do(t.Context(), h, sdk.ActionCall{Action: "trap", Input: sdk.Fields{
			{Name: "do", Value: json.RawMessage(`"get"`)}, {Name: "url", Value: address},
		}})
		if err != nil && sdk.KindOf(err) != want || err == nil && want != "" {
			t.Errorf("%s: %v, kind %q is wanted", url, err, want)
		}
	}
	if r, err := guest.TrapOn(t.Context(), t, conn, h, "secret"); err != nil || r != `"s3cret"` {
		t.Errorf("declared: %s, %v", r, err)
	}
	if _, err := guest.TrapOn(t.Context(), t, conn, h, "other secret"); sdk.KindOf(err) != sdk.Denied {
		t.Errorf("not declared: %v", err)
	}
}

// redirecting is a host whose requests are all redirected.
type redirecting struct {
	sdk.Host
	to string
}

func (r redirecting) HTTP(_ context.Context, q *sdk.Request) (*sdk.Response, error) {
	return nil, q.Redirect(r.to)
}

func TestSec03_RedirectsAreHeldToTheDeclaredHosts(t *testing.T) {
	t.Parallel()
	needs := sdk.Needs{HTTP: []string{"api.example.com"}}
	for to, want := range map[string]error{"https://api.example.com/x": nil, "https://evil.example/": &sdk.Error{Kind: sdk.Denied}} {
		_, err := plugins.Grant(redirecting{to: to}, needs, nil).HTTP(t.Context(), &sdk.Request{URL: "https://api.example.com/"})
		if !errors.Is(err, want) {
			t.Errorf("redirect to %s: %v; want %v", to, err, want)
		}
	}
}

func BenchmarkCall(b *testing.B) {
	dir := b.TempDir()
	install(b, dir, "traps.wasm", guest.WASM(b, guest.Traps))
	c, _ := open(b, dir, plugins.Options{}).Connector("traps")
	guest.BenchmarkCalls(b, c)
}

func BenchmarkCallInProcess(b *testing.B) {
	guest.BenchmarkCalls(b, sdk.Connector{Name: "c", Actions: []sdk.Action{{
		Name: "echo", Do: func(_ context.Context, _ sdk.Host, c sdk.ActionCall) (sdk.Result, error) {
			return sdk.Result{Output: c.Input.JSON()}, nil
		},
	}}})
}
