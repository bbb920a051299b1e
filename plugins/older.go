package plugins

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/tappet-dev/tappet/sdk"
)

// An older version is a release that was replaced, and is still called by what
// began with it.
type older struct {
	file, digest string
	// ready closes when version or err is set.
	ready   chan struct{}
	version *version
	err     error
}

// opened says whether the version can be called, without waiting.
func (o *older) opened() bool {
	select {
	case <-o.ready:
		return o.version != nil
	default:
		return false
	}
}

// kindled makes the entry of a version that is open.
func kindled(v *version) *older {
	o := &older{file: v.file, digest: v.digest, ready: make(chan struct{}), version: v}
	close(o.ready)
	return o
}

func releaseKey(file, digest string) string { return file + "@" + digest }

// At gives the connector of one release of a plugin, the one of now or one that
// it has replaced, and how it runs. Its functions call that release and no
// other. A release that isn't open is opened from its kept copy, which takes a
// moment; else At is cheap, and what it gives is shared: it must not be changed.
//
// The error is ErrUnknown if no plugin has the name; otherwise it says why the
// release can't be called and what to do. What is disabled or removed is so in
// all its releases; the quarantine of the one of now is not that of the others.
func (c *Catalogue) At(name, digest string) (*sdk.Connector, Kind, error) {
	v, err := c.at(name, digest)
	if err != nil {
		return nil, "", err
	}
	return &v.pinned, v.kind, nil
}

func (c *Catalogue) at(name, digest string) (*version, error) {
	c.mu.RLock()
	if v := c.named[name]; v != nil && v.digest == digest {
		c.mu.RUnlock()
		return v, nil
	}
	p := c.pinOf(name)
	if p == nil {
		c.mu.RUnlock()
		return nil, fmt.Errorf("%w: %.100q", ErrUnknown, name)
	}
	if p.Disabled || p.Digest == digest {
		h := c.files[p.File].info.Health
		c.mu.RUnlock()
		return nil, sdk.Errorf(sdk.Unavailable, "the plugin %q (%s) is %s: %s", name, p.File, h.State, h.Reason)
	}
	o := c.older[releaseKey(p.File, digest)]
	c.mu.RUnlock()
	if o == nil {
		o = c.reopen(p, digest)
	}
	select {
	case <-o.ready:
	case <-c.ctx.Done():
		return nil, errClosed()
	}
	return o.version, o.err
}

func errClosed() error { return sdk.Errorf(sdk.Unavailable, "the catalogue was closed") }

// pinOf gives what the lock says of a connector whose file is there; nil if there
// is none. c.mu is held.
func (c *Catalogue) pinOf(name string) *pin {
	for file, p := range c.pins {
		if p.Name == name && c.files[file] != nil {
			return p
		}
	}
	return nil
}

// reopen opens a release that was replaced, once for all who want it.
func (c *Catalogue) reopen(p *pin, digest string) *older {
	c.mu.Lock()
	defer c.mu.Unlock()
	key := releaseKey(p.File, digest)
	if o := c.older[key]; o != nil {
		return o
	}
	o := &older{file: p.File, digest: digest, ready: make(chan struct{})}
	if c.closed {
		o.err = errClosed()
		close(o.ready)
		return o
	}
	c.older[key] = o
	j := c.logs[p.File]
	c.wg.Go(func() {
		defer close(o.ready)
		v, err := c.loadRelease(c.ctx, p.File, p.Kind, digest, j)
		if err == nil && v.spec.Name != p.Name {
			err = errors.Join(fmt.Errorf("it is the connector %q", v.spec.Name), v.close())
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		if err == nil && (c.closed || c.older[key] != o) {
			err = errors.Join(errClosed(), v.close())
		}
		if err != nil {
			delete(c.older, key) // the next who asks tries again
			o.err = unusable(p.Name, digest, err)
			return
		}
		c.finish(v)
		o.version = v
		c.log.Info("an earlier release of a plugin is called again", "connector", p.Name, "version", v.spec.Version, "digest", digest)
	})
	return o
}

// unusable says what to do about a release that can't be opened.
func unusable(name, digest string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		err = errors.New("its file is gone")
	}
	return sdk.Errorf(sdk.Unavailable, "the release of the plugin %q with SHA-256 %s can't be called: %w; "+
		"install that release again, or publish the graph anew and cancel its runs that began with it", name, digest, err)
}

// supersede keeps a version that was replaced for those who began with it; sweep
// closes it. c.mu is held.
func (c *Catalogue) supersede(v *version) {
	key := releaseKey(v.file, v.digest)
	if o := c.older[key]; o != nil && o.opened() {
		c.retire(o.version)
	}
	c.older[key] = kindled(v)
}

// retireOlder takes all earlier releases of a file out of service; c.mu is held.
func (c *Catalogue) retireOlder(file string) {
	for key, o := range c.older {
		if o.file != file {
			continue
		}
		delete(c.older, key)
		if o.opened() {
			c.retire(o.version)
		}
	}
}

// used gives the digests that stored graphs and runs still call; true: now.
func (c *Catalogue) used() (map[string]bool, error) {
	if c.inUse == nil {
		return nil, nil
	}
	return c.inUse(c.ctx)
}

// sweep closes the replaced versions that nothing calls any more, and removes the
// copies that no release, no version in service and nothing stored needs; c.scans
// is held. What can't be removed is tried again the next time, and if it isn't
// known what is needed nothing is removed.
//
// What begins after used was asked is safe nonetheless: it calls the release of
// now, or the one before, whose copy is kept for rolling back.
func (c *Catalogue) sweep() {
	used, err := c.used()
	if err != nil {
		if c.ctx.Err() == nil {
			c.log.Warn("it isn't known which releases of plugins are in use; all are kept", "error", err)
		}
		return
	}
	needed := c.closeUnused(used)
	entries, err := os.ReadDir(filepath.Join(c.dir, kept))
	if err != nil {
		return // there is none yet
	}
	superseded := false
	for _, e := range entries {
		name := e.Name()
		if needed[name] || strings.HasPrefix(name, ".new-") {
			continue
		}
		if _, ok := used[name[strings.LastIndexByte(name, '@')+1:]]; ok && c.knows(name) {
			superseded = true
			continue
		}
		_ = os.Remove(filepath.Join(c.dir, kept, name))
	}
	c.mu.Lock()
	c.superseded = superseded || len(c.older) > 0
	c.mu.Unlock()
}

// knows says whether a copy is of a file that the lock knows: what was removed
// is gone with all its releases.
func (c *Catalogue) knows(copied string) bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.pins[copied[:max(0, strings.LastIndexByte(copied, '@'))]] != nil
}

// closeUnused retires the replaced versions that nothing calls now, and gives the
// names of the copies that are needed.
func (c *Catalogue) closeUnused(used map[string]bool) map[string]bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	needed := map[string]bool{}
	need := func(file, digest string) { needed[releaseKey(file, digest)] = true }
	for file, p := range c.pins {
		need(file, p.Digest)
		for _, r := range p.Previous {
			need(file, r.Digest)
		}
		if p.Next != nil {
			need(file, p.Next.Digest)
		}
	}
	for _, f := range c.files {
		if f.version != nil {
			need(f.version.file, f.version.digest)
		}
	}
	for _, k := range c.staged {
		need(k.version.file, k.version.digest)
	}
	for key, o := range c.older {
		f := c.files[o.file]
		again := f != nil && f.version != nil && f.version.digest == o.digest // it is the release of now
		if !o.opened() || used[o.digest] && !again {
			need(o.file, o.digest)
			continue
		}
		delete(c.older, key)
		c.retire(o.version)
	}
	return needed
}

// weigh decides about the candidates that nobody asked for: the changed files of
// the folder, and upgrades that were cut short. c.scans is not held.
func (c *Catalogue) weigh() {
	for {
		c.mu.Lock()
		if len(c.waiting) == 0 || c.closed {
			c.mu.Unlock()
			return
		}
		k := c.waiting[0]
		c.waiting = c.waiting[1:]
		c.mu.Unlock()
		err := c.decide(c.ctx, k)
		if err == nil {
			continue
		}
		if c.ctx.Err() == nil {
			c.hold(k, err)
		}
		if err := k.Close(); err != nil {
			c.log.Warn("closing a plugin that wasn't taken", "file", k.version.file, "error", err)
		}
	}
}

// hold says why a file's candidate wasn't taken.
func (c *Catalogue) hold(k *Candidate, reason error) {
	c.log.Warn("plugin isn't what was accepted", "file", k.version.file, "digest", k.version.digest, "reason", reason)
	c.mu.Lock()
	if f := c.files[k.version.file]; f != nil && f.stamp == k.stamp && k.found {
		f.info.Health = held(reason.Error())
	}
	c.mu.Unlock()
	c.tell()
}

// resume stages the upgrades that were begun and not finished; c.scans is held.
func (c *Catalogue) resume(ctx context.Context) {
	c.mu.RLock()
	var begun []*pin
	for _, p := range c.pins {
		if p.Next != nil {
			begun = append(begun, p)
		}
	}
	c.mu.RUnlock()
	for _, p := range begun {
		k, err := c.stage(ctx, p.File, p.Kind, p.Next.Digest)
		if err == nil {
			k.unfinished = true
			c.mu.Lock()
			c.waiting = append(c.waiting, k)
			c.mu.Unlock()
			continue
		}
		c.log.Error("an upgrade that was cut short can't be finished; install the release again", "file", p.File, "digest", p.Next.Digest, "error", err)
		if err := c.setPin(p.File, p.settled()); err != nil {
			c.log.Error("what was given up is tried again at the next start", "error", err)
		}
	}
}
