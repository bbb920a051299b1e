package plugins_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tappet-dev/tappet/engine"
	"github.com/tappet-dev/tappet/engine/graph"
	"github.com/tappet-dev/tappet/engine/local"
	"github.com/tappet-dev/tappet/engine/sqlite"
	"github.com/tappet-dev/tappet/plugins"
	"github.com/tappet-dev/tappet/plugins/internal/guest"
	"github.com/tappet-dev/tappet/sdk"
	"github.com/tappet-dev/tappet/sdk/sdktest"
)

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// A plant is an engine whose connectors are the plugins of its folder.
type plant struct {
	*engine.Engine
	t       testing.TB
	plugins *plugins.Catalogue
	close   func()
}

func (p *plant) Connector(name string) (engine.Connector, error) {
	i, _ := p.plugins.Info(name)
	return p.At(name, i.Digest)
}

func (p *plant) At(name, digest string) (engine.Connector, error) {
	c, kind, err := p.plugins.At(name, digest)
	if err != nil {
		return engine.Connector{}, &engine.Error{Kind: engine.Unavailable, Err: err}
	}
	return engine.Connector{Connector: c, Origin: string(kind), Digest: digest}, nil
}

func (*plant) Connectors() []engine.Connector { return nil }

func (p *plant) Host(context.Context, engine.HostCall) (sdk.Host, func()) {
	return sdktest.NewHost(p.t, sdktest.HostOptions{}), func() {}
}

// newPlant starts an engine on a folder. What was cut short is finished as it is
// by the program.
func newPlant(t *testing.T, dir string) *plant {
	t.Helper()
	store, err := sqlite.Open(context.Background(), dir, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	p := &plant{t: t}
	started := make(chan struct{})
	p.plugins = open(t, filepath.Join(dir, "plugins"), plugins.Options{
		InUse: store.Digests,
		Upgrade: func(ctx context.Context, k *plugins.Candidate) error {
			select {
			case <-started:
			case <-ctx.Done():
				return ctx.Err()
			}
			_, err := p.upgrade(k, nil)
			return err
		},
	})
	log := slog.New(slog.DiscardHandler)
	runner := local.New(store, local.Options{Log: log, Drain: time.Millisecond})
	p.Engine, err = engine.New(engine.Options{
		Graphs: store, Versions: store, Runner: runner, History: runner, Connectors: p, Hosts: p, Log: log,
	})
	if err == nil {
		err = p.Start(context.Background())
	}
	if err != nil {
		t.Fatal(err)
	}
	close(started)
	p.close = func() {
		if err := errors.Join(p.Stop(context.Background()), p.plugins.Close(), store.Close()); err != nil {
			t.Error(err)
		}
	}
	return p
}

// upgrade puts a candidate into service; at is called with each step that is done.
func (p *plant) upgrade(k *plugins.Candidate, at func(step string)) ([]string, error) {
	if at == nil {
		at = func(string) {}
	}
	c := k.Connector()
	return p.Upgrade(context.Background(), engine.Connector{Connector: &c, Digest: k.Info().Digest}, func(publish func() error) error {
		return k.Upgrade(func() error {
			at("noted")
			err := publish()
			at("published")
			return err
		})
	})
}

func (p *plant) on(names ...string) {
	p.t.Helper()
	for _, name := range names {
		_, err := p.CreateGraph(context.Background(), fmt.Appendf(nil,
			"name: %s\ntrigger: {use: liar.hook, with: {path: %[1]s, events: [good]}}\nsteps:\n  - {id: n, set: \"${{ trigger.n }}\"}\n", name), graph.YAML)
		if err == nil {
			_, err = p.Publish(context.Background(), name)
		}
		if err == nil {
			_, err = p.Activate(context.Background(), name)
		}
		if err != nil {
			p.t.Fatal(err)
		}
	}
}

// stands gives which release is the one of now, and that of each graph.
func (p *plant) stands(graphs ...string) map[string]string {
	p.t.Helper()
	i, _ := p.plugins.Info("liar")
	out := map[string]string{"now": i.Digest}
	for _, name := range graphs {
		g, err := p.Graph(context.Background(), name)
		if err != nil {
			p.t.Fatal(err)
		}
		v, err := p.Version(context.Background(), name, g.Version)
		if err != nil {
			p.t.Fatal(err)
		}
		out[name] = v.Specs.Digests["liar"]
	}
	return out
}

func all(digest string) map[string]string {
	return map[string]string{"now": digest, "a": digest, "b": digest}
}

// wantRuns has each graph run once.
func (p *plant) wantRuns(names ...string) {
	p.t.Helper()
	for _, name := range names {
		r, err := p.Hook(context.Background(), name, sdk.WebhookRequest{Method: "POST", Path: name})
		if err != nil {
			p.t.Errorf("%s: %v", name, err)
			continue
		}
		if over, err := p.WaitRun(p.t.Context(), r.Run); err != nil || !over {
			p.t.Errorf("%s: %v, %v", name, over, err)
			continue
		}
		if v, err := p.Run(context.Background(), r.Run); err != nil || string(v.Result) != "1" {
			p.t.Errorf("%s: %s, %v, %v", name, v.Result, v.Err, err)
		}
	}
}

// snapshot is the folder as a crash would leave it now.
func snapshot(tb testing.TB, dir string) string {
	tb.Helper()
	to := filepath.Join(tb.TempDir(), "data")
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		tb.Fatal(err)
	}
	return to
}

// TestCrashInAnUpgradeLeavesAllOrNone starts the engine on the folder of each
// moment at which a crash could have ended an upgrade, or an install.
func TestCrashInAnUpgradeLeavesAllOrNone(t *testing.T) {
	t.Parallel()
	module := content(t, guest.WASM(t, liar))
	first, second := digest(module), digest(other(module, 1))
	dir := t.TempDir()
	p := newPlant(t, dir)
	defer p.close()
	k := stage(t, p.plugins, module)
	fresh := map[string]string{}
	if _, err := p.upgrade(k, func(step string) { fresh[step] = snapshot(t, dir) }); err != nil {
		t.Fatal(err)
	}
	p.on("a", "b")
	moments := map[string]string{"staged": ""}
	k = stage(t, p.plugins, other(module, 1))
	moments["staged"] = snapshot(t, dir)
	names, err := p.upgrade(k, func(step string) { moments[step] = snapshot(t, dir) })
	if err != nil || len(names) != 2 {
		t.Fatalf("upgrade: %v, %v", names, err)
	}
	moments["written"] = snapshot(t, moments["published"])
	if err := os.WriteFile(filepath.Join(moments["written"], "plugins", "liar.wasm"), other(module, 1), 0o600); err != nil {
		t.Fatal(err)
	}
	moments["done"] = snapshot(t, dir)
	for step, dir := range moments {
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			p := newPlant(t, dir)
			defer p.close()
			want := second
			if step == "staged" {
				want = first
			}
			await(t, p.plugins, "all", func() bool { return cmp.Equal(all(want), p.stands("a", "b")) })
			p.wantRuns("a", "b")
			if lock := string(content(t, filepath.Join(dir, "plugins", plugins.LockFile))); strings.Contains(lock, `"next"`) {
				t.Errorf("it isn't over:\n%s", lock)
			}
			if got := digest(content(t, filepath.Join(dir, "plugins", "liar.wasm"))); got != want {
				t.Errorf("the file is %s", got)
			}
		})
	}
	for step, dir := range fresh {
		t.Run("install, "+step, func(t *testing.T) {
			t.Parallel()
			p := newPlant(t, dir)
			defer p.close()
			await(t, p.plugins, "installed", func() bool { return p.stands()["now"] == first })
			p.on("a")
			p.wantRuns("a")
		})
	}
	// Without the note in the lock the same moment is half an upgrade.
	t.Run("control", func(t *testing.T) {
		t.Parallel()
		dir := snapshot(t, moments["published"])
		install(t, filepath.Join(dir, "plugins"), plugins.LockFile, filepath.Join(moments["staged"], "plugins", plugins.LockFile))
		p := newPlant(t, dir)
		defer p.close()
		half := map[string]string{"now": first, "a": second, "b": second}
		if d := cmp.Diff(half, p.stands("a", "b")); d != "" {
			t.Errorf("a half upgrade is wanted:\n%s", d)
		}
		p.wantRuns("a", "b") // which works nonetheless
	})
}

func TestAnUpgradeThatCantPublishChangesNothing(t *testing.T) {
	t.Parallel()
	dir, module := t.TempDir(), content(t, guest.WASM(t, liar))
	c := open(t, dir, plugins.Options{})
	full := errors.New("the disk is full")
	k := stage(t, c, module)
	if err := k.Upgrade(func() error { return full }); !errors.Is(err, full) || len(c.List()) != 0 {
		t.Errorf("an install: %v, %v", err, c.List())
	}
	if err := k.Close(); err != nil {
		t.Error(err)
	}
	commit(t, c, module)
	lock := content(t, filepath.Join(dir, plugins.LockFile))
	k = stage(t, c, other(module, 1))
	if err := k.Upgrade(func() error { return full }); !errors.Is(err, full) {
		t.Errorf("an upgrade: %v", err)
	}
	if d := cmp.Diff(string(lock), string(content(t, filepath.Join(dir, plugins.LockFile)))); d != "" || mustInfo(t, c, "liar").Digest != digest(module) {
		t.Errorf("the lock has changed:\n%s", d)
	}
	if err := k.Commit(); err != nil || mustInfo(t, c, "liar").Digest != digest(other(module, 1)) {
		t.Errorf("again: %v", err)
	}
}
