package plugins

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tappet-dev/tappet/plugins/native"
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
}

// follow takes the folder's changes once it has been quiet for a while.
func (c *Catalogue) follow() {
	t := time.NewTimer(time.Hour)
	t.Stop()
	defer t.Stop()
	for {
		select {
		case <-c.ctx.Done():
			return
		case e, ok := <-c.watch.Events:
			if !ok {
				return
			}
			if !hidden(filepath.Base(e.Name)) {
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
		}
	}
}

// scan brings the catalogue to what the folder holds.
func (c *Catalogue) scan() error {
	c.scans.Lock()
	defer c.scans.Unlock()
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
			todo[i].version, todo[i].err = c.load(c.ctx, todo[i].name)
		})
	}
	wg.Wait()
	for i := range todo {
		c.apply(&todo[i])
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
		c.log.Info("plugin removed", "file", name)
	}
	return removed
}

// retire closes an old version when its calls have ended; c.mu is held.
func (c *Catalogue) retire(v *version) {
	if c.closed {
		return
	}
	c.wg.Go(func() {
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

// apply puts what was loaded in its place.
func (c *Catalogue) apply(l *loaded) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f := c.files[l.name]
	v := l.version
	if v != nil {
		if other := c.named[v.spec.Name]; other != nil && other.file != v.file {
			l.err = sdk.Errorf(sdk.Invalid, "the connector name %q is taken by %s; remove one of the two", v.spec.Name, other.file)
			f.taken, f.info.Name = true, v.spec.Name
			c.retire(v)
			v = nil
		}
	}
	if l.err != nil {
		f.info.Health = Health{State: Failed, Reason: l.err.Error(), Since: time.Now()}
		c.log.Warn("plugin failed", "file", l.name, "error", l.err)
		return
	}
	f.info.Health = Health{State: Ready, Since: time.Now()}
	if v == nil {
		return // touched, and the same as before
	}
	if old := f.version; old != nil {
		if c.named[old.spec.Name] == old {
			delete(c.named, old.spec.Name)
		}
		c.retire(old)
	}
	v.connector = c.connect(v)
	f.version, c.named[v.spec.Name] = v, v
	f.info = Info{
		Name: v.spec.Name, File: l.name, Kind: kindOf(l.name), Digest: v.digest,
		Title: v.spec.Title, Description: v.spec.Description, Version: v.spec.Version,
		Health: f.info.Health, Needs: v.spec.Needs, Triggers: v.spec.Triggers, Actions: v.spec.Actions,
	}
	c.log.Info("plugin ready", "file", l.name, "connector", v.spec.Name, "version", v.spec.Version, "digest", v.digest)
}

// load makes a version of a file; nil if it is the one that is ready.
func (c *Catalogue) load(ctx context.Context, name string) (*version, error) {
	c.mu.RLock()
	var have string
	if v := c.files[name].version; v != nil {
		have = v.digest
	}
	j := c.logs[name]
	c.mu.RUnlock()
	path := filepath.Join(c.dir, name)
	v := &version{file: name, journal: j}
	var err error
	if kindOf(name) == WASM {
		err = c.loadWASM(ctx, v, path, have)
	} else {
		err = c.loadNative(ctx, v, path, have)
	}
	if err != nil || v.caller == nil {
		return nil, err
	}
	v.ctx, v.end = context.WithCancelCause(context.Background())
	if v.spec, err = c.describe(ctx, v.caller); err != nil {
		return nil, errors.Join(err, v.close())
	}
	return v, nil
}

func (c *Catalogue) loadWASM(ctx context.Context, v *version, path, have string) error {
	limit := c.limits.WASM.Module
	if limit <= 0 {
		limit = 32 << 20
	}
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("open the plugin: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, int64(limit)+1))
	if err != nil {
		return fmt.Errorf("read the plugin: %w", err)
	}
	sum := sha256.Sum256(b)
	if v.digest = hex.EncodeToString(sum[:]); v.digest == have {
		return nil
	}
	m, err := c.wasm.Load(ctx, b, v.journal)
	if err != nil {
		return err
	}
	v.caller, v.closer = m, m
	return nil
}

func (c *Catalogue) loadNative(ctx context.Context, v *version, path, have string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("open the plugin: %w", err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return fmt.Errorf("read the plugin: %w", err)
	}
	if v.digest = hex.EncodeToString(h.Sum(nil)); v.digest == have {
		return nil
	}
	p, err := native.Load(ctx, path, c.copies(), native.Options{Limits: c.limits.Native, Log: v.journal, Digest: v.digest})
	if err != nil {
		return err
	}
	v.caller, v.closer = p, p
	return nil
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
