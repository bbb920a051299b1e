// Package plugins is the catalogue of the plugins that are installed: the files
// of one folder, each loaded, described, checked and ready to be called, and
// loaded anew when its file changes.
//
// It knows neither graphs nor runs: it hands out an sdk.Connector for each
// plugin, of which the engine can't tell the pipe. Its one rule: a bad plugin is
// listed with its reason and hurts nobody else.
package plugins

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/tappet-dev/tappet/plugins/native"
	"github.com/tappet-dev/tappet/plugins/pipe"
	"github.com/tappet-dev/tappet/plugins/wasm"
	"github.com/tappet-dev/tappet/sdk"
)

// Limits bound what plugins may take. A zero field means its default.
type Limits struct {
	Pipe   pipe.Limits
	WASM   wasm.Limits
	Native native.Limits
	// Manifest is the most bytes of a plugin's description: 1 MiB.
	Manifest int
	// Lines is the most log lines kept of a plugin: 1,000; a line has at most
	// 4 KiB.
	Lines int
	// Settle is how long the folder must be quiet before its changes are taken:
	// 200 ms. A file that is still being written when that has passed is listed
	// as failed and taken again when it changes.
	Settle time.Duration
	// Sweep is how often it is looked whether replaced versions are still in use,
	// as long as there are any: 1 min.
	Sweep time.Duration
	// Drain is how long the calls of a version may go on that is out of use: 30 s.
	Drain time.Duration
	// Artefact is the most bytes of a plugin's file: 256 MiB; modules have a
	// limit of their own.
	Artefact int64
	// Previous is how many releases before the present one are kept of a plugin,
	// for rolling back: 3.
	Previous int
	// Crashes is how many crashes in a row put a plugin into quarantine: 10.
	// From the third on, calls are held back, each time twice as long.
	Crashes int
}

func (l Limits) orDefaults() Limits {
	if l.Manifest <= 0 {
		l.Manifest = 1 << 20
	}
	if l.Lines <= 0 {
		l.Lines = 1000
	}
	if l.Settle <= 0 {
		l.Settle = 200 * time.Millisecond
	}
	if l.Sweep <= 0 {
		l.Sweep = time.Minute
	}
	if l.Drain <= 0 {
		l.Drain = 30 * time.Second
	}
	if l.Artefact <= 0 {
		l.Artefact = 256 << 20
	}
	if l.Previous <= 0 {
		l.Previous = 3
	}
	if l.Crashes <= 0 {
		l.Crashes = 10
	}
	return l
}

// Options are what a Catalogue can do without.
type Options struct {
	Limits Limits
	// WorkDir holds the copies of native plugins and the compiled modules; it
	// must be the engine's alone. "" is the folder .work in the plugins folder.
	WorkDir string
	// CacheDir holds the compiled modules instead, so that several engines share
	// them; like WorkDir it must belong to engines alone.
	CacheDir string
	// Compiler is wasm.Options.Compiler: the program that compiles modules in a
	// process of its own; empty compiles in this one.
	Compiler []string
	// Reserved are the names of built-in connectors, which no plugin may take.
	Reserved []string
	// Upgrade puts a candidate into service that nobody has asked for: a file of
	// the folder that has changed, and what Candidate.Unfinished tells. An error
	// refuses it, and is its Health.Reason. It is called once Open has returned, and
	// may wait; its context ends with Close. nil takes every candidate.
	Upgrade func(context.Context, *Candidate) error
	// InUse gives the digests of the releases that may still be called, each with
	// whether that is likely soon: true keeps a replaced release open, false keeps
	// its copy, from which At opens it. nil: no replaced release is in use.
	InUse func(context.Context) (map[string]bool, error)
	// Log takes what happens to plugins; nil drops it.
	Log *slog.Logger
}

// Kind says what a plugin's artefact is.
type Kind string

// The kinds of plugins.
const (
	WASM   Kind = "wasm"
	Native Kind = "native"
)

// State says how a plugin is.
type State string

// The states of plugins.
const (
	// Ready: it can be called.
	Ready State = "ready"
	// Failed: it can't; Health.Reason says why. If an earlier version of the
	// same file was ready, that one still serves.
	Failed State = "failed"
	// Loading: it is being loaded.
	Loading State = "loading"
	// Held: the file isn't what was accepted, and waits to be; what was accepted
	// serves on.
	Held State = "held"
	// Disabled: somebody has switched it off.
	Disabled State = "disabled"
	// Quarantined: it kept crashing, and isn't called until it is enabled or
	// replaced.
	Quarantined State = "quarantined"
)

// Health is how a plugin is and since when.
type Health struct {
	State  State     `json:"state"`
	Reason string    `json:"reason,omitempty"`
	Since  time.Time `json:"since"`
	// Crashes is how often the version in service crashed, Refused how many of
	// its events and results didn't fit the schemas that it tells; Refusal is why the last of
	// these didn't.
	Crashes int    `json:"crashes,omitempty"`
	Refused int    `json:"refused,omitempty"`
	Refusal string `json:"refusal,omitempty"`
}

// Info is what there is to know of one file of the folder.
type Info struct {
	// Name is the connector's, or the file's without its ending as long as the
	// plugin has not told its own.
	Name string `json:"name"`
	// File is the name in the folder.
	File string `json:"file"`
	Kind Kind   `json:"kind"`
	// Digest is the SHA-256 of the file in hexadecimal.
	Digest      string        `json:"digest,omitempty"`
	Title       string        `json:"title,omitempty"`
	Description string        `json:"description,omitempty"`
	Version     string        `json:"version,omitempty"`
	Health      Health        `json:"health"`
	Usage       Usage         `json:"usage"`
	Needs       sdk.Needs     `json:"needs"`
	Triggers    []sdk.Trigger `json:"triggers,omitempty"`
	Actions     []sdk.Action  `json:"actions,omitempty"`
	// Previous are the releases that can be gone back to, newest first.
	Previous []Release `json:"previous,omitempty"`
}

// A Catalogue is the plugins of one folder. It is safe for concurrent use.
type Catalogue struct {
	dir     string
	work    string
	limits  Limits
	reserve []string
	log     *slog.Logger
	wasm    *wasm.Engine
	watch   *fsnotify.Watcher
	decide  func(context.Context, *Candidate) error
	inUse   func(context.Context) (map[string]bool, error)

	ctx    context.Context // of the goroutines; ends with Close
	cancel context.CancelFunc
	wg     sync.WaitGroup
	scans  sync.Mutex // one scan or change at a time

	mu     sync.RWMutex
	closed bool
	files  map[string]*file    // by file name
	named  map[string]*version // ready, by connector name
	logs   map[string]*journal // by file name
	pins   map[string]*pin     // what the lock says, by file name; replaced, never changed
	staged []*Candidate
	// waiting are those of staged that nobody has asked for.
	waiting []*Candidate
	older   map[string]*older // by releaseKey
	// superseded: there may be replaced releases that go out of use.
	superseded bool
	notify     []func()
}

// Open loads the plugins of dir, which is made if it is missing, and watches it
// from then on. It returns when every plugin is ready or failed; the error is
// only of the folder itself.
func Open(dir string, o Options) (*Catalogue, error) {
	c := &Catalogue{
		dir: dir, work: o.WorkDir, limits: o.Limits.orDefaults(), reserve: slices.Clone(o.Reserved), log: o.Log,
		files: map[string]*file{}, named: map[string]*version{}, logs: map[string]*journal{},
		older: map[string]*older{}, decide: o.Upgrade, inUse: o.InUse,
	}
	if c.decide == nil {
		c.decide = func(_ context.Context, k *Candidate) error { return k.Commit() }
	}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	if c.work == "" {
		c.work = filepath.Join(dir, ".work")
	}
	for _, d := range []string{dir, c.work} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return nil, fmt.Errorf("open the plugins folder: %w", err)
		}
	}
	var err error
	if c.pins, err = readLock(dir); err != nil {
		return nil, err
	}
	// Copies that an engine left which could not close.
	if err := os.RemoveAll(c.copies()); err != nil {
		return nil, fmt.Errorf("clear the copies of native plugins: %w", err)
	}
	if c.watch, err = fsnotify.NewWatcher(); err != nil {
		return nil, fmt.Errorf("watch the plugins folder: %w", err)
	}
	if err := c.watch.Add(dir); err != nil {
		return nil, errors.Join(fmt.Errorf("watch the plugins folder: %w", err), c.watch.Close())
	}
	if o.CacheDir == "" {
		o.CacheDir = filepath.Join(c.work, "compiled")
	}
	if c.wasm, err = wasm.New(wasm.Options{Limits: c.limits.WASM, CacheDir: o.CacheDir, Compiler: o.Compiler}); err != nil {
		return nil, errors.Join(err, c.watch.Close())
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	if err := c.scan(); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	c.scans.Lock()
	c.resume(c.ctx)
	c.scans.Unlock()
	if o.Upgrade == nil {
		c.weigh()
	}
	c.wg.Go(c.follow)
	return c, nil
}

func (c *Catalogue) copies() string { return filepath.Join(c.work, "native") }

// List gives what is known of every plugin, by file name.
func (c *Catalogue) List() []Info {
	c.mu.RLock()
	defer c.mu.RUnlock()
	out := make([]Info, 0, len(c.files))
	for _, f := range c.files {
		out = append(out, c.show(f))
	}
	slices.SortFunc(out, func(a, b Info) int { return strings.Compare(a.File, b.File) })
	return out
}

// show gives a file's info with what changes from call to call; c.mu is held.
func (c *Catalogue) show(f *file) Info {
	i := f.info
	if f.version != nil {
		f.version.account.show(&i.Health)
		i.Usage = f.version.usage()
	}
	if p := c.pins[i.File]; p != nil {
		i.Previous = slices.Clone(p.Previous)
	}
	return i
}

// Connector gives the connector of a plugin that is ready. Its functions call
// the version that is loaded when they are called. It is cheap, and its lists
// are shared: they must not be changed.
func (c *Catalogue) Connector(name string) (sdk.Connector, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	v, ok := c.named[name]
	if !ok {
		return sdk.Connector{}, false
	}
	return v.connector, true
}

// Info gives what is known of the plugin whose connector has the name, ready or
// not.
func (c *Catalogue) Info(name string) (Info, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if v, ok := c.named[name]; ok {
		if f := c.files[v.file]; f != nil {
			return c.show(f), true
		}
	}
	for _, f := range c.files {
		if f.info.Name == name {
			return c.show(f), true
		}
	}
	return Info{}, false
}

// OnChange has fn called after each change of what List gives. fn must return
// soon and may call the catalogue.
func (c *Catalogue) OnChange(fn func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.notify = append(c.notify, fn)
}

// Logs gives the last lines that the plugin of the name printed or logged,
// oldest first; nil for an unknown name.
func (c *Catalogue) Logs(name string) []Line {
	info, ok := c.Info(name)
	if !ok {
		return nil
	}
	c.mu.RLock()
	j := c.logs[info.File]
	c.mu.RUnlock()
	if j == nil {
		return nil
	}
	return j.lines()
}

// Close ends all calls and plugins and returns when nothing of them is left. It
// may be called twice.
func (c *Catalogue) Close() error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		c.wg.Wait()
		return nil
	}
	c.closed = true
	c.mu.Unlock()
	c.cancel()
	err := c.watch.Close()
	c.scans.Lock() // a scan that runs ends soon: its context has
	c.mu.Lock()
	var old []*version
	for _, k := range c.staged {
		old = append(old, k.version)
	}
	c.staged, c.waiting = nil, nil
	for _, f := range c.files {
		if f.version != nil {
			old = append(old, f.version)
		}
	}
	for _, o := range c.older {
		if o.opened() {
			old = append(old, o.version)
		}
	}
	c.files, c.named, c.older = map[string]*file{}, map[string]*version{}, map[string]*older{}
	c.mu.Unlock()
	c.scans.Unlock()
	var wg sync.WaitGroup
	errs := make([]error, len(old))
	for i, v := range old {
		wg.Go(func() { errs[i] = v.close() })
	}
	wg.Wait()
	c.wg.Wait()
	return errors.Join(append(errs, err, c.wasm.Close(), os.RemoveAll(c.copies()))...)
}
