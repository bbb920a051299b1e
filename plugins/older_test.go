package plugins_test

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tappet-dev/tappet/plugins"
	"github.com/tappet-dev/tappet/plugins/internal/guest"
	"github.com/tappet-dev/tappet/sdk"
	"github.com/tappet-dev/tappet/sdk/sdktest"
)

// uses is what a store would tell of the digests in use.
type uses struct {
	mu  sync.Mutex
	m   map[string]bool
	err error
}

func (u *uses) set(m map[string]bool, err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.m, u.err = m, err
}

func (u *uses) inUse(context.Context) (map[string]bool, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	return maps.Clone(u.m), u.err
}

// mustAt gives a release that can be called, and calls it.
func mustAt(tb testing.TB, c *plugins.Catalogue, digest string) *sdk.Connector {
	tb.Helper()
	conn, kind, err := c.At("liar", digest)
	if err != nil || kind == "" {
		tb.Fatalf("release %s: %q, %v", digest, kind, err)
	}
	wantGood(tb, *conn)
	return conn
}

func wantGood(tb testing.TB, conn sdk.Connector) {
	tb.Helper()
	if b, err := poll(tb, conn, "good"); err != nil || len(b.Events) != 1 {
		tb.Errorf("a call of release %s: %v, %v", conn.Version, b, err)
	}
}

func copies(tb testing.TB, dir string) int {
	tb.Helper()
	left, err := os.ReadDir(filepath.Join(dir, ".releases"))
	if err != nil {
		tb.Fatal(err)
	}
	return len(left)
}

func TestReplacedReleasesAreThereAsLongAsTheyAreUsed(t *testing.T) {
	t.Parallel()
	for name, artefact := range map[string]func(testing.TB, ...string) []byte{
		"wasm": func(tb testing.TB, tags ...string) []byte {
			tb.Helper()
			return content(tb, guest.WASM(tb, liar, tags...))
		},
		"native": func(tb testing.TB, tags ...string) []byte {
			tb.Helper()
			return content(tb, guest.Native(tb, liar, tags...))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, used := t.TempDir(), &uses{}
			o := plugins.Options{InUse: used.inUse, Limits: plugins.Limits{Previous: 1}}
			c := open(t, dir, o)
			commit(t, c, artefact(t))
			first := mustInfo(t, c, "liar").Digest
			used.set(map[string]bool{first: true}, nil)
			pinned := mustAt(t, c, first)
			commit(t, c, artefact(t, "greedy"))
			second := mustInfo(t, c, "liar").Digest
			if got := mustAt(t, c, first); got.Version != "1.0.0" || len(got.Needs.Secrets) != 0 {
				t.Errorf("the first is %s, and needs %+v", got.Version, got.Needs)
			}
			if got := mustAt(t, c, second); got.Version != "2.0.0" {
				t.Errorf("the second is %s", got.Version)
			}
			wantGood(t, *pinned)
			if d := cmp.Diff([]string{first}, c.Older()); d != "" {
				t.Errorf("open:\n%s", d)
			}

			// Out of use it is closed, and opened when it is asked for.
			used.set(nil, nil)
			c.Sweep()
			if open := c.Older(); len(open) != 0 {
				t.Errorf("still open: %v", open)
			}
			wantGood(t, *pinned)

			// A third release leaves room for one before it; what is used stays, over
			// a restart too, and what isn't known to be unused.
			used.set(map[string]bool{first: false}, nil)
			commit(t, c, distinct(artefact(t, "greedy"), name))
			if open := c.Older(); len(open) != 0 || copies(t, dir) != 3 {
				t.Errorf("open: %v, copies: %d", open, copies(t, dir))
			}
			if err := c.Close(); err != nil {
				t.Fatal(err)
			}
			if _, _, err := c.At("liar", first); err == nil {
				t.Error("a closed catalogue opens a release")
			}
			c = open(t, dir, o)
			mustAt(t, c, first)
			used.set(nil, errors.New("the store can't be read"))
			c.Sweep()
			if len(c.Older()) != 1 || copies(t, dir) != 3 {
				t.Errorf("open: %v, copies: %d", c.Older(), copies(t, dir))
			}
			used.set(nil, nil)
			c.Sweep()
			if len(c.Older()) != 0 || copies(t, dir) != 2 {
				t.Errorf("open: %v, copies: %d", c.Older(), copies(t, dir))
			}
			_, _, err := c.At("liar", first)
			if sdk.KindOf(err) != sdk.Unavailable || !strings.Contains(err.Error(), first+" can't be called: its file is gone; install that release again") {
				t.Errorf("what is gone: %v", err)
			}
			if _, _, err := c.At("nobody", first); !errors.Is(err, plugins.ErrUnknown) {
				t.Errorf("of nobody: %v", err)
			}
			// The release before, whose copy is there, and that somebody has changed.
			path := filepath.Join(dir, ".releases", mustInfo(t, c, "liar").File+"@"+second)
			if err := errors.Join(os.Remove(path), os.WriteFile(path, artefact(t), 0o600)); err != nil {
				t.Fatal(err)
			}
			if _, _, err := c.At("liar", second); sdk.KindOf(err) != sdk.Unavailable {
				t.Errorf("what was changed: %v", err)
			}
		})
	}
}

// distinct gives an artefact that does the same and has another digest.
func distinct(artefact []byte, kind string) []byte {
	if kind == "native" {
		return append(artefact, 0)
	}
	return other(artefact, 1)
}

func TestDisabledAndRemovedPluginsAreSoInAllReleases(t *testing.T) {
	t.Parallel()
	dir, used := t.TempDir(), &uses{}
	c := open(t, dir, plugins.Options{InUse: used.inUse})
	module := content(t, guest.WASM(t, liar))
	commit(t, c, module)
	first := mustInfo(t, c, "liar").Digest
	used.set(map[string]bool{first: true}, nil)
	commit(t, c, other(module, 1))
	old := mustAt(t, c, first)
	if err := c.Disable("liar"); err != nil {
		t.Fatal(err)
	}
	_, _, err := c.At("liar", first)
	if sdk.KindOf(err) != sdk.Unavailable || !strings.Contains(err.Error(), "tappet plugin enable liar") || len(c.Older()) != 0 {
		t.Errorf("disabled: %v, open: %v", err, c.Older())
	}
	if _, err := poll(t, *old, "good"); sdk.KindOf(err) != sdk.Unavailable {
		t.Errorf("a call of what is disabled: %v", err)
	}
	if err := c.Enable("liar"); err != nil {
		t.Fatal(err)
	}
	wantGood(t, *old)
	if err := c.Remove("liar"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.At("liar", first); !errors.Is(err, plugins.ErrUnknown) || copies(t, dir) != 0 {
		t.Errorf("removed: %v, %d copies", err, copies(t, dir))
	}
	if _, err := poll(t, *old, "good"); sdk.KindOf(err) != sdk.Unavailable {
		t.Errorf("a call of what was removed: %v", err)
	}
}

// TestReleasesUnderLoadFailNoCall swaps a plugin again and again while its
// releases are called, each by its digest, and while what isn't in use is closed.
func TestReleasesUnderLoadFailNoCall(t *testing.T) {
	t.Parallel()
	module := content(t, guest.WASM(t, liar))
	used := &uses{}
	c := open(t, t.TempDir(), plugins.Options{InUse: used.inUse, Limits: plugins.Limits{Previous: 5}})
	commit(t, c, module)
	over := make(chan struct{})
	var calls atomic.Int64
	var wg sync.WaitGroup
	for n := range 4 {
		wg.Go(func() {
			h := sdktest.NewHost(t, sdktest.HostOptions{})
			digest := mustInfo(t, c, "liar").Digest
			for {
				select {
				case <-over:
					return
				default:
				}
				if n%2 == 0 { // a run begins with the release of now, the others stay
					digest = mustInfo(t, c, "liar").Digest
				}
				conn, _, err := c.At("liar", digest)
				if err != nil {
					t.Errorf("call %d: %v", calls.Load(), err)
					return
				}
				b, err := guest.Trigger(t, *conn, "poll").Poll(t.Context(), h, sdk.PollCall{Trigger: "poll", Config: json.RawMessage(`{"events":["good"]}`)})
				if err != nil || len(b.Events) != 1 {
					t.Errorf("call %d: %v, %v", calls.Load(), b, err)
					return
				}
				calls.Add(1)
			}
		})
	}
	for n := range 10 {
		commit(t, c, other(module, byte(n%3)))
		if n%2 == 0 {
			used.set(map[string]bool{mustInfo(t, c, "liar").Digest: true}, nil)
		}
		c.Sweep()
	}
	close(over)
	wg.Wait()
	t.Logf("10 swaps, %d calls", calls.Load())
	if calls.Load() == 0 {
		t.Error("no call was made")
	}
}

// decision is what Options.Upgrade does in a test.
type decision struct {
	mu   sync.Mutex
	does func(*plugins.Candidate) error
	saw  []string
}

func (d *decision) set(does func(*plugins.Candidate) error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.does = does
}

func (d *decision) upgrade(_ context.Context, k *plugins.Candidate) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.saw = append(d.saw, k.Info().Digest)
	return d.does(k)
}

func TestAChangedFileIsDecidedAbout(t *testing.T) {
	t.Parallel()
	dir, module := t.TempDir(), content(t, guest.WASM(t, liar))
	drop := func(b []byte) {
		t.Helper()
		err := os.WriteFile(filepath.Join(dir, ".next"), b, 0o600)
		if err == nil {
			err = os.Rename(filepath.Join(dir, ".next"), filepath.Join(dir, "liar.wasm"))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	refuse := func(*plugins.Candidate) error { return errors.New("it breaks the graph orders") }
	d := &decision{does: refuse}
	drop(module)
	c := open(t, dir, plugins.Options{Upgrade: d.upgrade})
	first := mustInfo(t, c, "liar") // what is new is taken as it is
	if first.Health.State != plugins.Ready || len(d.saw) != 0 {
		t.Fatalf("%+v, decided about %v", first, d.saw)
	}
	refused := func() bool { return states(c)["liar.wasm"] == "held it breaks the graph orders" }
	drop(other(module, 1))
	await(t, c, "refused", refused)
	if i := mustInfo(t, c, "liar"); i.Digest != first.Digest {
		t.Errorf("%+v", i)
	}
	conn, _ := c.Connector("liar")
	wantGood(t, conn)
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}

	// A restart asks again, and what was accepted serves on.
	c = open(t, dir, plugins.Options{Upgrade: d.upgrade})
	conn, _ = c.Connector("liar")
	wantGood(t, conn)
	await(t, c, "refused again", refused)
	k, err := c.StageFile(t.Context(), "liar")
	if err == nil {
		err = k.Commit()
	}
	if i := mustInfo(t, c, "liar"); err != nil || i.Digest == first.Digest || i.Health.State != plugins.Ready {
		t.Errorf("accepted: %+v, %v", i, err)
	}

	// What changes while it is decided about isn't taken for what was decided.
	var late error
	d.set(func(k *plugins.Candidate) error {
		d.does = (*plugins.Candidate).Commit
		drop(other(module, 3))
		late = k.Commit()
		return late
	})
	drop(other(module, 2))
	await(t, c, "taken", func() bool { return mustInfo(t, c, "liar").Digest == digest(other(module, 3)) })
	d.mu.Lock()
	defer d.mu.Unlock()
	if !errors.Is(late, plugins.ErrConflict) || !slices.Contains(d.saw, digest(other(module, 2))) {
		t.Errorf("what changed meanwhile: %v, decided about %v", late, d.saw)
	}
	if got := content(t, filepath.Join(dir, "liar.wasm")); digest(got) != digest(other(module, 3)) {
		t.Error("the file of the folder isn't what was put there")
	}
}
