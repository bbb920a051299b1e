package plugins

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tappet-dev/tappet/plugins/pipe"
	"github.com/tappet-dev/tappet/sdk"
)

// loaders is how many plugins load at a time.
const loaders = 4

// A file is one artefact of the folder. It is guarded by Catalogue.mu.
type file struct {
	info    Info
	stamp   stamp
	version *version // nil until one was ready
	// taken says that the file failed because its connector's name was taken.
	taken bool
}

// A stamp tells whether a file has changed.
type stamp struct {
	size int64
	at   time.Time
	mode fs.FileMode
}

// loaded is what came of loading one file.
type loaded struct {
	name    string
	stamp   stamp
	version *version // nil: failed, or the same as before
	err     error
	// held says why the file waits to be accepted, candidate what waits.
	held      string
	candidate *Candidate
}

func held(reason string) Health { return Health{State: Held, Reason: reason, Since: time.Now()} }

// follow takes the folder's changes once it has been quiet for a while.
func (c *Catalogue) follow() {
	c.weigh() // what Open has left
	t := time.NewTimer(time.Hour)
	t.Stop()
	defer t.Stop()
	sweep := time.NewTicker(c.limits.Sweep)
	defer sweep.Stop()
	for {
		select {
		case <-c.ctx.Done():
			return
		case e, ok := <-c.watch.Events:
			if !ok {
				return
			}
			if name := filepath.Base(e.Name); !hidden(name) && name != LockFile {
				t.Reset(c.limits.Settle)
			}
		case err, ok := <-c.watch.Errors:
			if !ok {
				return
			}
			c.log.Warn("watching the plugins folder", "error", err)
			t.Reset(c.limits.Settle) // events may have been lost
		case <-t.C:
			if err := c.scan(); err != nil {
				c.log.Error("reading the plugins folder", "error", err)
			}
			c.weigh()
		case <-sweep.C:
			c.sweepIfNeeded()
		}
	}
}

// sweepIfNeeded sweeps when replaced releases may have gone out of use.
func (c *Catalogue) sweepIfNeeded() {
	c.scans.Lock()
	defer c.scans.Unlock()
	c.mu.RLock()
	needed := c.superseded
	c.mu.RUnlock()
	if needed {
		c.sweep()
	}
}

// scan brings the catalogue to what the folder holds.
func (c *Catalogue) scan() error {
	c.scans.Lock()
	defer c.scans.Unlock()
	return c.look()
}

// look is scan; c.scans is held.
func (c *Catalogue) look() error {
	found, err := c.find()
	if err != nil {
		return err
	}
	removed := c.remove(found)
	todo := c.changed(found)
	if len(todo) > 0 {
		c.tell()
	}
	slots := make(chan struct{}, loaders)
	var wg sync.WaitGroup
	for i := range todo {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			c.load(c.ctx, &todo[i])
		})
	}
	wg.Wait()
	locked := false
	for i := range todo {
		locked = c.apply(&todo[i]) || locked
	}
	if locked {
		if err := c.save(); err != nil {
			c.log.Error("what was accepted is forgotten at the next start", "error", err)
		}
	}
	if len(todo) > 0 {
		c.sweep()
	}
	if removed || len(todo) > 0 {
		c.tell()
	}
	return nil
}

// tell calls those that want to know.
func (c *Catalogue) tell() {
	c.mu.RLock()
	fns := slices.Clone(c.notify)
	c.mu.RUnlock()
	for _, fn := range fns {
		fn()
	}
}

func hidden(name string) bool { return strings.HasPrefix(name, ".") }

// find lists the plugins of the folder: *.wasm, executables, and programs that
// were left without the right to execute, so that this can be said.
func (c *Catalogue) find() (map[string]stamp, error) {
	entries, err := os.ReadDir(c.dir)
	if err != nil {
		return nil, fmt.Errorf("read the plugins folder: %w", err)
	}
	out := map[string]stamp{}
	for _, e := range entries {
		path := filepath.Join(c.dir, e.Name())
		st, err := os.Stat(path)
		if err != nil || hidden(e.Name()) || !st.Mode().IsRegular() {
			continue
		}
		if kindOf(e.Name()) == WASM || st.Mode().Perm()&0o111 != 0 || isProgram(path) {
			out[e.Name()] = stamp{st.Size(), st.ModTime(), st.Mode()}
		}
	}
	return out, nil
}

func kindOf(name string) Kind {
	if strings.EqualFold(filepath.Ext(name), ".wasm") {
		return WASM
	}
	return Native
}

// isProgram says whether a file begins like one.
func isProgram(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	head := make([]byte, 4)
	n, _ := io.ReadFull(f, head)
	h := string(head[:n])
	return h == "\x7fELF" || h == "\xcf\xfa\xed\xfe" || strings.HasPrefix(h, "MZ")
}

// remove forgets the files that are gone.
func (c *Catalogue) remove(found map[string]stamp) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	removed := false
	for name, f := range c.files {
		if _, ok := found[name]; ok {
			continue
		}
		removed = true
		delete(c.files, name)
		delete(c.logs, name)
		if v := f.version; v != nil {
			if c.named[v.spec.Name] == v {
				delete(c.named, v.spec.Name)
			}
			c.retire(v)
		}
		c.retireOlder(name)
		c.log.Info("plugin removed", "file", name)
	}
	return removed
}

// retire closes an old version when its calls have ended; c.mu is held, and no
// call begins once it isn't any more.
func (c *Catalogue) retire(v *version) {
	v.shut()
	c.wg.Go(func() { // Close waits for it: it has c.scans first
		drain := c.limits.Drain
		stop := context.AfterFunc(c.ctx, func() { _ = v.close() })
		defer stop()
		if err := v.retire(drain); err != nil {
			c.log.Warn("closing a plugin's old version", "file", v.file, "error", err)
		}
	})
}

// changed lists the files that are to be loaded, by name, and shows them as
// loading.
func (c *Catalogue) changed(found map[string]stamp) []loaded {
	c.mu.Lock()
	defer c.mu.Unlock()
	var todo []loaded
	for name, s := range found {
		f := c.files[name]
		if f != nil && f.stamp == s && (!f.taken || c.named[f.info.Name] != nil) {
			continue
		}
		if f == nil {
			f = &file{info: Info{Name: strings.TrimSuffix(name, filepath.Ext(name)), File: name, Kind: kindOf(name)}}
			c.files[name] = f
			c.logs[name] = &journal{max: c.limits.Lines}
		}
		f.stamp, f.taken = s, false
		f.info.Health = Health{State: Loading, Since: time.Now()}
		todo = append(todo, loaded{name: name, stamp: s})
	}
	slices.SortFunc(todo, func(a, b loaded) int { return strings.Compare(a.name, b.name) })
	return todo
}

// apply puts what was loaded in its place, and says whether the lock changed.
func (c *Catalogue) apply(l *loaded) (locked bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f, p := c.files[l.name], c.pins[l.name]
	v := l.version
	if p.off() {
		if v != nil {
			c.retire(v)
		}
		c.takeOut(f, p.health())
		f.info.Name, f.info.Digest, f.info.Version, f.info.Needs = p.Name, p.Digest, p.Version, p.Needs
		return false
	}
	if v != nil {
		if other := c.named[v.spec.Name]; other != nil && other.file != v.file {
			l.err = sdk.Errorf(sdk.Invalid, "the connector name %q is taken by %s; remove one of the two", v.spec.Name, other.file)
			f.taken, f.info.Name = true, v.spec.Name
			c.retire(v)
			v = nil
		}
	}
	if v != nil {
		c.swap(f, v)
	}
	switch {
	case l.err != nil:
		f.info.Health = Health{State: Failed, Reason: l.err.Error(), Since: time.Now()}
		c.log.Warn("plugin failed", "file", l.name, "error", l.err)
		return false
	case l.candidate != nil:
		c.staged, c.waiting = append(c.staged, l.candidate), append(c.waiting, l.candidate)
		f.info.Health = held("the file has changed, and is compared with the graphs that use it")
		return false
	case l.held != "":
		f.info.Health = held(l.held)
		c.log.Warn("plugin isn't what was accepted", "file", l.name, "reason", l.held)
		return false
	}
	f.info.Health = Health{State: Ready, Since: time.Now()}
	if v == nil || p != nil && p.Digest == v.digest {
		return false
	}
	next := &pin{Name: v.spec.Name, File: l.name, Kind: v.kind}
	if p != nil {
		next = p.clone()
	}
	next.accept(v.release(), c.limits.Previous)
	c.pins[l.name] = next
	return true
}

// swap puts a version into service in the place of the file's old one, which goes
// on for those who call it by its digest; c.mu is held.
func (c *Catalogue) swap(f *file, v *version) {
	if old := f.version; old != nil {
		if c.named[old.spec.Name] == old {
			delete(c.named, old.spec.Name)
		}
		c.supersede(old)
	}
	c.finish(v)
	f.version, c.named[v.spec.Name] = v, v
	f.info = v.info()
	f.info.Health = Health{State: Ready, Since: time.Now()}
	c.log.Info("plugin ready", "file", v.file, "connector", v.spec.Name, "version", v.spec.Version, "digest", v.digest)
}

// takeOut takes a file's version out of service, and if it was disabled all that
// it has replaced; c.mu is held.
func (c *Catalogue) takeOut(f *file, h Health) {
	if v := f.version; v != nil {
		if c.named[v.spec.Name] == v {
			delete(c.named, v.spec.Name)
		}
		f.version = nil
		c.retire(v)
	}
	if h.State == Disabled {
		c.retireOlder(f.info.File)
	}
	f.info.Health = h
}

// load makes a version of a file as far as that goes: none if the same is in
// service. A file that isn't what the lock says becomes a candidate if it is a
// module that keeps its name and needs nothing more; what the lock says serves on.
func (c *Catalogue) load(ctx context.Context, l *loaded) {
	c.mu.RLock()
	p, j := c.pins[l.name].clone(), c.logs[l.name]
	var have string
	if v := c.files[l.name].version; v != nil {
		have = v.digest
	}
	c.mu.RUnlock()
	if p.off() {
		return
	}
	kind := kindOf(l.name)
	var digest string
	if digest, l.err = c.keepFile(l.name); l.err == nil {
		switch {
		case p != nil && p.Next != nil && p.Next.Digest == digest:
			l.held = "its upgrade was cut short, and is finished when Tappet is started"
		case p != nil && p.Digest != digest && kind == Native:
			l.held = fmt.Sprintf("the file has SHA-256 %s, and %s is what was accepted; a program that has changed is run only "+
				"when it is accepted too: tappet plugin accept %s", digest, p.Digest, p.Name)
		case digest != have:
			l.version, l.err = c.loadRelease(ctx, l.name, kind, digest, j)
		}
	}
	if p == nil {
		return
	}
	if v := l.version; v != nil && v.digest != p.Digest {
		more := beyond(v.spec.Needs, p.Needs)
		switch {
		case v.spec.Name != p.Name:
			l.held = fmt.Sprintf("the file was the connector %q and is %q now; accept it: tappet plugin accept %s", p.Name, v.spec.Name, p.Name)
		case !nothing(more):
			l.held = fmt.Sprintf("the file asks for more than was granted: %s; grant it: tappet plugin accept %s", wordsOf(more), p.Name)
		}
		if l.held != "" {
			_ = v.close() // it has served nobody
		} else {
			l.candidate = &Candidate{catalogue: c, version: v, journal: j, replaces: p.Digest, granted: p.Needs, found: true, stamp: l.stamp}
		}
		l.version = nil
	}
	if (l.held != "" || l.err != nil || l.candidate != nil) && have == "" && p.Digest != "" {
		// A copy that is gone or broken changes nothing about the reason.
		l.version, _ = c.loadRelease(ctx, l.name, p.Kind, p.Digest, j)
	}
}

// save writes the lock file; c.scans is held.
func (c *Catalogue) save() error {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return writeLock(c.dir, c.pins)
}

// describe asks a plugin what it is and checks the answer.
func (c *Catalogue) describe(ctx context.Context, p pipe.Caller) (sdk.Connector, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	b, err := pipe.Describe(ctx, p)
	if err != nil {
		return sdk.Connector{}, fmt.Errorf("describe: %w", err)
	}
	if len(b) > c.limits.Manifest {
		return sdk.Connector{}, sdk.Errorf(sdk.TooLarge, "the plugin's description has %d bytes, %d are allowed", len(b), c.limits.Manifest)
	}
	return readManifest(b, c.reserve)
}
