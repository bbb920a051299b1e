package plugins_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tappet-dev/tappet/plugins"
	"github.com/tappet-dev/tappet/plugins/internal/guest"
	"github.com/tappet-dev/tappet/sdk"
	"github.com/tappet-dev/tappet/sdk/sdktest"
)

// liar is the package of the plugin that doesn't keep to what it tells.
const liar = "plugins/internal/guest/liar"

// other gives a module that does the same and has another digest: a custom
// section, named by n, at its end.
func other(module []byte, n byte) []byte {
	return append(bytes.Clone(module), 0, 2, 1, 'a'+n)
}

// poll has the liar tell events, each by a word.
func poll(tb testing.TB, c sdk.Connector, words ...string) (sdk.RawBatch, error) {
	tb.Helper()
	h := sdktest.NewHost(tb, sdktest.HostOptions{})
	return guest.Trigger(tb, c, "poll").Poll(tb.Context(), h, sdk.PollCall{Trigger: "poll", Config: told(tb, words)})
}

func told(tb testing.TB, words []string) json.RawMessage {
	tb.Helper()
	b, err := json.Marshal(map[string]any{"events": words})
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func mustInfo(tb testing.TB, c *plugins.Catalogue, name string) plugins.Info {
	tb.Helper()
	i, ok := c.Info(name)
	if !ok {
		tb.Fatalf("%s is not there: %v", name, states(c))
	}
	return i
}

func TestInstallUpgradeRollBackRemove(t *testing.T) {
	t.Parallel()
	dir, module := t.TempDir(), content(t, guest.WASM(t, liar))
	c := open(t, dir, plugins.Options{})
	k := stage(t, c, module)
	if len(c.List()) != 0 {
		t.Error("what is only staged is listed")
	}
	if d := cmp.Diff(sdk.Needs{HTTP: []string{"api.example.com"}}, k.Ungranted()); d != "" || k.Replaces() != "" {
		t.Errorf("ungranted: %s, replaces %q", d, k.Replaces())
	}
	if err := k.Commit(); err != nil {
		t.Fatal(err)
	}
	if err := k.Commit(); !errors.Is(err, plugins.ErrConflict) {
		t.Errorf("committed twice: %v", err)
	}
	first := mustInfo(t, c, "liar")
	if first.File != "liar.wasm" || first.Health.State != plugins.Ready {
		t.Errorf("%+v", first)
	}

	// An upgrade that asks for more says so, and grants by its commit.
	k = stage(t, c, content(t, guest.WASM(t, liar, "greedy")))
	if d := cmp.Diff(sdk.Needs{HTTP: []string{"evil.example.com"}, Secrets: []string{"bank"}}, k.Ungranted()); d != "" || k.Replaces() != first.Digest {
		t.Errorf("ungranted: %s, replaces %q", d, k.Replaces())
	}
	// Of two that want to replace the same, the second is refused.
	late := stage(t, c, other(module, 1))
	if err := k.Commit(); err != nil {
		t.Fatal(err)
	}
	if err := late.Commit(); !errors.Is(err, plugins.ErrConflict) {
		t.Errorf("the second: %v", err)
	}
	if err := errors.Join(late.Close(), late.Close()); err != nil {
		t.Error(err)
	}
	second := mustInfo(t, c, "liar")
	if second.Version != "2.0.0" || len(second.Previous) != 1 || second.Previous[0].Digest != first.Digest {
		t.Errorf("%+v", second)
	}

	back := func(want string) {
		t.Helper()
		k, err := c.StageBefore(t.Context(), "liar")
		if err != nil {
			t.Fatal(err)
		}
		if more := k.Ungranted(); len(more.HTTP)+len(more.Secrets) > 0 {
			t.Errorf("going back asks for %+v", more)
		}
		if err := k.Commit(); err != nil {
			t.Fatal(err)
		}
		if i := mustInfo(t, c, "liar"); i.Digest != want || len(i.Previous) != 1 {
			t.Errorf("%+v", i)
		}
	}
	back(first.Digest)
	back(second.Digest)

	// All of it stands after a restart.
	lock := content(t, filepath.Join(dir, plugins.LockFile))
	again := open(t, dir, plugins.Options{})
	if i := mustInfo(t, again, "liar"); i.Digest != second.Digest || i.Health.State != plugins.Ready || len(i.Previous) != 1 {
		t.Errorf("after a restart: %+v", i)
	}
	if d := cmp.Diff(string(lock), string(content(t, filepath.Join(dir, plugins.LockFile)))); d != "" {
		t.Errorf("a restart changes the lock:\n%s", d)
	}
	if err := again.Remove("liar"); err != nil {
		t.Fatal(err)
	}
	if err := again.Remove("liar"); !errors.Is(err, plugins.ErrUnknown) {
		t.Errorf("removed twice: %v", err)
	}
	left, err := os.ReadDir(filepath.Join(dir, ".releases"))
	if err != nil || len(left) != 0 || len(again.List()) != 0 {
		t.Errorf("left: %v, %v, %v", left, again.List(), err)
	}
}

func TestStageRefuses(t *testing.T) {
	t.Parallel()
	c := open(t, t.TempDir(), plugins.Options{Reserved: []string{"other"}})
	module := content(t, guest.WASM(t, liar))
	for _, tt := range []struct {
		about    string
		artefact []byte
		digest   string
		text     string
	}{
		{"empty", nil, "", "neither a WebAssembly module"},
		{"no plugin", []byte("hello"), "", "neither a WebAssembly module"},
		{"an archive", []byte("PK\x03\x04"), "", "not an archive"},
		{"a module's head alone", []byte("\x00asm"), "", "WebAssembly"},
		{"a component", []byte("\x00asm\x0d\x00\x01\x00"), "", "components are not supported"},
		{"another ABI", abi2(), "", "the module speaks tappet_2, this engine speaks tappet_1"},
		{"another machine", []byte("\x7fELF\x02\x01\x01" + strings.Repeat("\x00", 9) + "\x02\x00\x16\x00" + strings.Repeat("\x00", 100)), "", "a program for s390x"},
		{"another digest", module, strings.Repeat("0", 64), "is wanted: it isn't the file that was meant"},
		{"a wrong manifest", content(t, guest.Native(t, liar, "wrong")), "", `triggers[1].name: "poll" is there twice; triggers[2].event.type: "text" is not a type of JSON`},
		{"a built-in's name", content(t, guest.Native(t, liar, "renamed")), "", `"other" is the name of a built-in connector`},
	} {
		k, err := c.Stage(t.Context(), tt.artefact, tt.digest)
		if err == nil {
			t.Errorf("%s: taken", tt.about)
			_ = k.Close()
			continue
		}
		if !strings.Contains(err.Error(), tt.text) {
			t.Errorf("%s: %v; %q is wanted", tt.about, err, tt.text)
		}
	}
	commit(t, c, module)
	if _, err := c.Stage(t.Context(), content(t, guest.Native(t, liar)), ""); !errors.Is(err, plugins.ErrConflict) ||
		!strings.Contains(err.Error(), "tappet plugin remove liar") {
		t.Errorf("the other kind: %v", err)
	}
}

// abi2 is a module that imports swap of an ABI to come.
func abi2() []byte {
	return []byte("\x00asm\x01\x00\x00\x00" +
		"\x01\x0c\x02\x60\x04\x7f\x7f\x7f\x7f\x01\x7f\x60\x00\x00" + // types
		"\x02\x11\x01\x08tappet_2\x04swap\x00\x00" + // imports
		"\x03\x02\x01\x01" + // one function
		"\x05\x03\x01\x00\x01" + // memory
		"\x07\x13\x02\x06memory\x02\x00\x06_start\x00\x01" + // exports
		"\x0a\x04\x01\x02\x00\x0b") // code
}

func TestSec04_ChangedProgramIsHeldUntilItIsAccepted(t *testing.T) {
	t.Parallel()
	dir, program := t.TempDir(), content(t, guest.Native(t, liar))
	put := func(b []byte) {
		t.Helper()
		err := os.WriteFile(filepath.Join(dir, ".next"), b, 0o700)
		if err == nil {
			err = os.Rename(filepath.Join(dir, ".next"), filepath.Join(dir, "liar"))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	put(program)
	c := open(t, dir, plugins.Options{})
	before := mustInfo(t, c, "liar")
	held := func() bool { return strings.HasPrefix(states(c)["liar"], "held the file has SHA-256") }
	put(append(bytes.Clone(program), 0))
	await(t, c, "held", held)
	if i := mustInfo(t, c, "liar"); i.Digest != before.Digest || !strings.Contains(i.Health.Reason, "tappet plugin accept liar") {
		t.Errorf("%+v", i)
	}
	conn, _ := c.Connector("liar")
	if b, err := poll(t, conn, "good"); err != nil || len(b.Events) != 1 {
		t.Errorf("what was accepted serves on: %v, %v", b, err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}

	// A restart doesn't accept it either, and runs what was accepted.
	c = open(t, dir, plugins.Options{})
	conn, _ = c.Connector("liar")
	if b, err := poll(t, conn, "good"); err != nil || len(b.Events) != 1 || !held() {
		t.Errorf("after a restart: %v, %v, %v", b, err, states(c))
	}
	k, err := c.StageFile(t.Context(), "liar")
	if err != nil {
		t.Fatal(err)
	}
	if err := k.Commit(); err != nil {
		t.Fatal(err)
	}
	if i := mustInfo(t, c, "liar"); i.Digest == before.Digest || i.Health.State != plugins.Ready {
		t.Errorf("accepted: %+v", i)
	}
	if b, err := poll(t, conn, "good"); err != nil || len(b.Events) != 1 {
		t.Errorf("what was accepted now: %v, %v", b, err)
	}
}

func TestSec03_ModuleThatAsksForMoreIsHeld(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	install(t, dir, "liar.wasm", guest.WASM(t, liar))
	c := open(t, dir, plugins.Options{})
	before := mustInfo(t, c, "liar")
	install(t, dir, "liar.wasm", guest.WASM(t, liar, "greedy"))
	await(t, c, "held", func() bool {
		return strings.HasPrefix(states(c)["liar.wasm"], "held the file asks for more than was granted: HTTP to evil.example.com and the secrets bank")
	})
	if i := mustInfo(t, c, "liar"); i.Digest != before.Digest || len(i.Needs.Secrets) > 0 {
		t.Errorf("%+v", i)
	}
	// The same needs: the folder's owner has decided.
	if err := os.WriteFile(filepath.Join(dir, ".n"), other(content(t, guest.WASM(t, liar)), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(dir, ".n"), filepath.Join(dir, "liar.wasm")); err != nil {
		t.Fatal(err)
	}
	await(t, c, "taken", func() bool { return mustInfo(t, c, "liar").Digest != before.Digest })
	if i := mustInfo(t, c, "liar"); i.Health.State != plugins.Ready || len(i.Previous) != 1 {
		t.Errorf("%+v", i)
	}
}

func TestDisableAndEnable(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := open(t, dir, plugins.Options{})
	commit(t, c, content(t, guest.WASM(t, liar)))
	conn, _ := c.Connector("liar")
	if err := c.Disable("liar"); err != nil {
		t.Fatal(err)
	}
	refused := func(c *plugins.Catalogue, conn sdk.Connector) {
		t.Helper()
		_, there := c.Connector("liar")
		_, err := poll(t, conn, "good")
		i := mustInfo(t, c, "liar")
		if there || sdk.KindOf(err) != sdk.Unavailable || i.Health.State != plugins.Disabled || !strings.Contains(i.Health.Reason, "tappet plugin enable liar") {
			t.Errorf("%v, %v, %+v", there, err, i)
		}
	}
	refused(c, conn)
	again := open(t, dir, plugins.Options{})
	refused(again, conn)
	if err := again.Enable("liar"); err != nil {
		t.Fatal(err)
	}
	conn, ok := again.Connector("liar")
	if _, err := poll(t, conn, "good"); err != nil || !ok || mustInfo(t, again, "liar").Health.State != plugins.Ready {
		t.Errorf("enabled: %v, %v", err, states(again))
	}
	if err := c.Disable("nobody"); !errors.Is(err, plugins.ErrUnknown) {
		t.Errorf("%v", err)
	}
}

func TestCrashLoopEndsInQuarantineWithAWayBack(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := open(t, dir, plugins.Options{Limits: plugins.Limits{Crashes: 4}})
	commit(t, c, content(t, guest.WASM(t, liar)))
	conn, _ := c.Connector("liar")
	// Crashes with a good call between them are no loop.
	for range 6 {
		if _, err := poll(t, conn, "exit"); sdk.KindOf(err) != sdk.Broken {
			t.Fatalf("%v, kind broken is wanted", err)
		}
		if _, err := poll(t, conn, "good"); err != nil {
			t.Fatal(err)
		}
	}
	quarantined := func() bool { return mustInfo(t, c, "liar").Health.State == plugins.Quarantined }
	held := false
	for begin := time.Now(); !quarantined(); {
		_, err := poll(t, conn, "exit")
		var e *sdk.Error
		if errors.As(err, &e) && e.Kind == sdk.Unavailable && e.RetryAfter > 0 {
			held = true
			<-time.After(e.RetryAfter)
		}
		if time.Since(begin) > time.Minute {
			t.Fatalf("no quarantine: %v, %+v", err, c.List())
		}
	}
	if i := mustInfo(t, c, "liar"); !held || !strings.Contains(i.Health.Reason, "4 crashes in a row") || !strings.Contains(i.Health.Reason, "tappet plugin enable liar") {
		t.Errorf("held back %v, %+v", held, i)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	c = open(t, dir, plugins.Options{})
	if !quarantined() {
		t.Errorf("after a restart: %+v", c.List())
	}
	if err := c.Enable("liar"); err != nil {
		t.Fatal(err)
	}
	conn, _ = c.Connector("liar")
	if _, err := poll(t, conn, "good"); err != nil {
		t.Errorf("enabled: %v", err)
	}
}

func TestEventsThatDontFitAreRefusedAndCounted(t *testing.T) {
	t.Parallel()
	for _, path := range []string{guest.WASM(t, liar), guest.Native(t, liar)} {
		c := open(t, t.TempDir(), plugins.Options{})
		commit(t, c, content(t, path))
		conn, _ := c.Connector("liar")
		b, err := poll(t, conn, "good", "text", "more", "fine")
		if err != nil || len(b.Events) != 2 || b.Events[1].Key != "fine" {
			t.Errorf("poll: %+v, %v", b, err)
		}
		i := mustInfo(t, c, "liar")
		const want = "an event of liar.poll doesn't fit the schema that the plugin tells: m: the schema has no such field"
		if i.Health.Refused != 2 || !strings.Contains(i.Health.Refusal, want) {
			t.Errorf("health: %+v", i.Health)
		}
		h := sdktest.NewHost(t, sdktest.HostOptions{})
		_, err = guest.Trigger(t, conn, "hook").Webhook(t.Context(), h, sdk.WebhookCall{Trigger: "hook", Config: told(t, []string{"good", "text"})})
		if sdk.KindOf(err) != sdk.Invalid || !strings.Contains(fmt.Sprint(err), "n: integer is wanted, it is string") {
			t.Errorf("webhook: %v", err)
		}
		emit := func(context.Context, sdk.Cursor, ...sdk.Event) error {
			t.Error("an event that doesn't fit is handed on")
			return nil
		}
		err = guest.Trigger(t, conn, "flow").Stream(t.Context(), h, sdk.StreamCall{Trigger: "flow", Config: told(t, []string{"text"})}, emit)
		if sdk.KindOf(err) != sdk.Invalid {
			t.Errorf("stream: %v", err)
		}
		give := guest.Action(t, conn, "give").Do
		for result, want := range map[string]string{`{"n":1}`: "", `{"n":1.5}`: "n: integer is wanted, it is number", "": "object is wanted, it is null"} {
			r, err := give(t.Context(), h, sdk.ActionCall{Action: "give", Input: sdk.Fields{{Name: "result", Value: json.RawMessage(result)}}})
			if string(r.Output) != result || want == "" && err != nil ||
				want != "" && (sdk.KindOf(err) != sdk.Invalid || !strings.Contains(err.Error(), "a result of liar.give doesn't fit the schema that the plugin tells: ") || !strings.Contains(err.Error(), want)) {
				t.Errorf("result %q: %s, %v; %q is wanted", result, r.Output, err, want)
			}
		}
		if i := mustInfo(t, c, "liar"); i.Health.Refused != 6 {
			t.Errorf("health: %+v", i.Health)
		}
		// A module can't even hold it.
		large := refusal{sdk.Broken, "out of memory"}
		if i.Kind == plugins.Native {
			large = refusal{sdk.TooLarge, "a frame of the call has more than 33554432 bytes"}
		}
		for word, want := range map[string]refusal{"not UTF-8": {sdk.Failed, "event 0 is not valid JSON"}, "100 MB": large} {
			if _, err := poll(t, conn, word); sdk.KindOf(err) != want.kind || !strings.Contains(fmt.Sprint(err), want.text) {
				t.Errorf("%s: %.200v; kind %s with %q is wanted", word, err, want.kind, want.text)
			}
			if _, err := poll(t, conn, "good"); err != nil {
				t.Errorf("the call after %s: %v", word, err)
			}
		}
	}
}

// A refusal is an error by its kind and words.
type refusal struct {
	kind sdk.Kind
	text string
}

// TestHotSwapUnderLoadFailsNoCall swaps a plugin again and again while it is
// called.
func TestHotSwapUnderLoadFailsNoCall(t *testing.T) {
	t.Parallel()
	module := content(t, guest.WASM(t, liar))
	c := open(t, t.TempDir(), plugins.Options{})
	commit(t, c, module)
	conn, _ := c.Connector("liar")
	over := make(chan struct{})
	var calls atomic.Int64
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			h := sdktest.NewHost(t, sdktest.HostOptions{})
			for {
				select {
				case <-over:
					return
				default:
				}
				b, err := guest.Trigger(t, conn, "poll").Poll(t.Context(), h, sdk.PollCall{Trigger: "poll", Config: json.RawMessage(`{"events":["good"]}`)})
				if err != nil || len(b.Events) != 1 {
					t.Errorf("call %d: %v, %v", calls.Load(), b, err)
					return
				}
				calls.Add(1)
			}
		})
	}
	// Few other modules, so that most swaps find them compiled.
	for n := range 10 {
		commit(t, c, other(module, byte(n%3)))
	}
	close(over)
	wg.Wait()
	t.Logf("10 swaps, %d calls", calls.Load())
	if calls.Load() == 0 {
		t.Error("no call was made")
	}
}

func TestDamagedLockIsTold(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`hello`:        "is damaged",
		`{"format":2}`: "it has the format 2, 1 is known here",
		`{"format":1,"plugins":[{"file":"../x"}]}`:            "names no file of the folder",
		`{"format":1,"plugins":[{"file":"x","digest":"12"}]}`: "is no SHA-256",
		`{"format":1,"plugins":[],"more":1}`:                  "unknown field",
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, plugins.LockFile), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := plugins.Open(dir, plugins.Options{})
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "mend it, or delete it") {
			t.Errorf("%s: %v; %q is wanted", text, err, want)
		}
	}
}
