package plugins

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/tappet-dev/tappet/sdk"
)

// What stands in the way of a change; errors wrap them.
var (
	// ErrUnknown: there is no plugin of the name.
	ErrUnknown = errors.New("there is no such plugin")
	// ErrConflict: the present state doesn't allow it.
	ErrConflict = errors.New("the present state doesn't allow it")
)

func conflict(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrConflict, fmt.Errorf(format, args...))
}

// A Candidate is a version that is loaded, described and checked beside what
// serves. It serves nobody until Commit; Close gives it up.
type Candidate struct {
	catalogue *Catalogue
	version   *version
	journal   *journal
	replaces  string    // the digest that the lock had, "" if none
	granted   sdk.Needs // before
	done      bool      // committed or closed; guarded by catalogue.scans
}

// Stage makes a candidate of an artefact. Whether it is a module is told by its
// first bytes; the file's name is made of the connector's, unless that is there
// already. digest is the SHA-256 that it must have, in hexadecimal, "" for any.
//
// An artefact that is no plugin is an *sdk.Error that says what is wrong with it;
// one that can't take the place of what is there is an ErrConflict.
func (c *Catalogue) Stage(ctx context.Context, artefact []byte, digest string) (*Candidate, error) {
	if int64(len(artefact)) > c.limits.Artefact {
		return nil, c.tooLarge()
	}
	c.scans.Lock()
	defer c.scans.Unlock()
	file, kind := "staged", Native
	if bytes.HasPrefix(artefact, []byte("\x00asm")) {
		file, kind = "staged.wasm", WASM
	}
	if kind == Native && !looksNative(artefact) {
		return nil, sdk.Errorf(sdk.Invalid, `neither a WebAssembly module (it doesn't begin with \0asm) nor a program; `+
			"build it with GOOS=wasip1 GOARCH=wasm, or send the release's file itself, not an archive of it")
	}
	sum, err := c.keep(file, bytes.NewReader(artefact), 0o700)
	if err != nil {
		return nil, err
	}
	defer c.sweep()
	if digest != "" && !strings.EqualFold(strings.TrimPrefix(digest, "sha256:"), sum) {
		return nil, sdk.Errorf(sdk.Invalid, "the file has SHA-256 %s, %.80s is wanted: it isn't the file that was meant, or it was damaged on the way", sum, digest)
	}
	return c.stage(ctx, file, kind, sum)
}

// looksNative says whether an artefact begins like a program or a script.
func looksNative(b []byte) bool {
	for _, magic := range []string{"\x7fELF", "\xcf\xfa\xed\xfe", "\xce\xfa\xed\xfe", "\xca\xfe\xba\xbe", "MZ", "#!"} {
		if bytes.HasPrefix(b, []byte(magic)) {
			return true
		}
	}
	return false
}

// StageFile makes a candidate of the file of a plugin as it is in the folder now:
// one that is held, or that failed.
func (c *Catalogue) StageFile(ctx context.Context, name string) (*Candidate, error) {
	c.scans.Lock()
	defer c.scans.Unlock()
	i, ok := c.Info(name)
	if !ok {
		return nil, fmt.Errorf("%w: %.100q", ErrUnknown, name)
	}
	sum, err := c.keepFile(i.File)
	if err != nil {
		return nil, err
	}
	defer c.sweep()
	return c.stage(ctx, i.File, i.Kind, sum)
}

// StageBefore makes a candidate of the release before the present one.
func (c *Catalogue) StageBefore(ctx context.Context, name string) (*Candidate, error) {
	c.scans.Lock()
	defer c.scans.Unlock()
	i, ok := c.Info(name)
	if !ok {
		return nil, fmt.Errorf("%w: %.100q", ErrUnknown, name)
	}
	if len(i.Previous) == 0 {
		return nil, conflict("no release of %s before the present one is kept", name)
	}
	return c.stage(ctx, i.File, i.Kind, i.Previous[0].Digest)
}

// stage loads a kept copy; c.scans is held.
func (c *Catalogue) stage(ctx context.Context, file string, kind Kind, digest string) (*Candidate, error) {
	c.mu.RLock()
	j, closed := c.logs[file], c.closed
	c.mu.RUnlock()
	if closed {
		return nil, sdk.Errorf(sdk.Unavailable, "the catalogue was closed")
	}
	if j == nil {
		j = &journal{max: c.limits.Lines}
	}
	v, err := c.loadRelease(ctx, file, kind, digest, j)
	if err != nil {
		return nil, err
	}
	k := &Candidate{catalogue: c, version: v, journal: j}
	if err := c.place(k); err != nil {
		return nil, errors.Join(err, v.close())
	}
	return k, nil
}

// place finds the file that a candidate is to be and what it replaces.
func (c *Catalogue) place(k *Candidate) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	v := k.version
	file, other := v.file, c.holder(v.spec.Name)
	if strings.HasPrefix(file, "staged") && (file == "staged" || file == "staged.wasm") {
		file = v.spec.Name
		if v.kind == WASM {
			file += ".wasm"
		}
		if other != nil {
			file = other.info.File
		}
	}
	switch {
	case other != nil && other.info.Kind != v.kind:
		return conflict("the connector %q is there as %s (%s); remove that first: tappet plugin remove %s",
			v.spec.Name, other.info.Kind, other.info.File, v.spec.Name)
	case other != nil && other.info.File != file:
		return conflict("the connector %q is there as %s; remove one of the two", v.spec.Name, other.info.File)
	}
	if file != v.file {
		if err := os.Rename(c.releasePath(v.file, v.digest), c.releasePath(file, v.digest)); err != nil {
			return fmt.Errorf("keep the plugin: %w", err)
		}
		v.file = file
	}
	if p := c.pins[file]; p != nil {
		k.replaces, k.granted = p.Digest, p.Needs
		for _, r := range p.Previous {
			if r.Digest == v.digest {
				k.granted.HTTP = append(slices.Clone(k.granted.HTTP), r.Needs.HTTP...)
				k.granted.Secrets = append(slices.Clone(k.granted.Secrets), r.Needs.Secrets...)
			}
		}
	}
	c.staged = append(c.staged, k)
	return nil
}

// holder gives the file whose connector has a name, or that the lock keeps for
// it; nil if there is none. c.mu is held.
func (c *Catalogue) holder(name string) *file {
	if v := c.named[name]; v != nil {
		return c.files[v.file]
	}
	for file, p := range c.pins {
		if f := c.files[file]; p.Name == name && f != nil {
			return f
		}
	}
	return nil
}

// Info is what there is to know of the candidate.
func (k *Candidate) Info() Info { return k.version.info() }

// Connector is the candidate's spec; its functions are nil.
func (k *Candidate) Connector() sdk.Connector { return k.version.spec }

// Replaces is the digest of the release that the lock has for its file, "" if
// it is new.
func (k *Candidate) Replaces() string { return k.replaces }

// Ungranted is what it asks for beyond what was granted; Commit grants it.
func (k *Candidate) Ungranted() sdk.Needs { return beyond(k.version.spec.Needs, k.granted) }

// Commit puts the candidate into service, with all that it needs granted: the
// lock first, then the file, then the swap. Calls of the version before come to
// their ends on it. It is an ErrConflict if the plugin was changed since Stage.
func (k *Candidate) Commit() error {
	c, v := k.catalogue, k.version
	c.scans.Lock()
	defer c.scans.Unlock()
	if k.done {
		return conflict("the candidate was committed or given up")
	}
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return sdk.Errorf(sdk.Unavailable, "the catalogue was closed")
	}
	before := c.pins[v.file]
	if have := before.digest(); have != k.replaces {
		c.mu.Unlock()
		return conflict("the plugin was changed by somebody else; try again")
	}
	if other := c.named[v.spec.Name]; other != nil && other.file != v.file {
		c.mu.Unlock()
		return conflict("the connector name %q is taken by %s; remove one of the two", v.spec.Name, other.file)
	}
	next := &pin{Name: v.spec.Name, File: v.file, Kind: v.kind}
	if before != nil {
		next = before.clone()
	}
	next.Name, next.Disabled, next.Quarantine = v.spec.Name, false, nil
	next.accept(v.release(), c.limits.Previous)
	c.pins[v.file] = next
	c.mu.Unlock()
	stamp, err := c.install(v)
	if err != nil {
		c.mu.Lock()
		if c.pins[v.file] = before; before == nil {
			delete(c.pins, v.file)
		}
		c.mu.Unlock()
		return errors.Join(err, c.save())
	}
	c.mu.Lock()
	f := c.files[v.file]
	if f == nil {
		f = &file{}
		c.files[v.file], c.logs[v.file] = f, k.journal
	}
	f.stamp, f.taken = stamp, false
	c.swap(f, v)
	c.forget(k)
	c.mu.Unlock()
	c.sweep()
	c.tell()
	return nil
}

func (p *pin) digest() string {
	if p == nil {
		return ""
	}
	return p.Digest
}

// install writes the lock, and the version's bytes into the folder.
func (c *Catalogue) install(v *version) (stamp, error) {
	if err := c.save(); err != nil {
		return stamp{}, err
	}
	path := filepath.Join(c.dir, v.file)
	b, err := os.ReadFile(c.releasePath(v.file, v.digest))
	if err == nil {
		err = replaceFile(path, b, 0o700)
	}
	if err != nil {
		return stamp{}, fmt.Errorf("write the plugin's file: %w", err)
	}
	st, err := os.Stat(path)
	if err != nil {
		return stamp{}, fmt.Errorf("look at the plugin's file: %w", err)
	}
	return stamp{st.Size(), st.ModTime(), st.Mode()}, nil
}

// forget ends a candidate's life as one; c.scans and c.mu are held.
func (c *Catalogue) forget(k *Candidate) {
	k.done = true
	c.staged = slices.DeleteFunc(c.staged, func(o *Candidate) bool { return o == k })
}

// Close gives the candidate up unless it was committed. It may be called twice.
func (k *Candidate) Close() error {
	c := k.catalogue
	c.scans.Lock()
	defer c.scans.Unlock()
	if k.done {
		return nil
	}
	c.mu.Lock()
	c.forget(k)
	c.mu.Unlock()
	c.sweep()
	return k.version.close()
}

// Disable takes a plugin out of service until Enable, over restarts too. Calls
// that run come to their ends.
func (c *Catalogue) Disable(name string) error {
	return c.change(name, func(p *pin) { p.Disabled = true })
}

// Enable takes a plugin that was disabled or is in quarantine into service again.
func (c *Catalogue) Enable(name string) error {
	return c.change(name, func(p *pin) { p.Disabled, p.Quarantine = false, nil })
}

// change changes what the lock says of a plugin, and has its file looked at anew.
func (c *Catalogue) change(name string, fn func(*pin)) error {
	c.scans.Lock()
	defer c.scans.Unlock()
	i, ok := c.Info(name)
	if !ok {
		return fmt.Errorf("%w: %.100q", ErrUnknown, name)
	}
	c.mu.Lock()
	before := c.pins[i.File]
	if before == nil {
		c.mu.Unlock()
		return conflict("%s has never been in service: %s", i.File, i.Health.Reason)
	}
	next := before.clone()
	fn(next)
	c.pins[i.File] = next
	c.mu.Unlock()
	if err := c.save(); err != nil {
		c.mu.Lock()
		c.pins[i.File] = before
		c.mu.Unlock()
		return err
	}
	c.mu.Lock()
	if f := c.files[i.File]; f != nil {
		f.stamp = stamp{}
	}
	c.mu.Unlock()
	return c.look()
}

// Remove takes a plugin out of service for good: its file, its copies and what
// the lock says of it. Calls that run come to their ends.
func (c *Catalogue) Remove(name string) error {
	c.scans.Lock()
	defer c.scans.Unlock()
	i, ok := c.Info(name)
	if !ok {
		return fmt.Errorf("%w: %.100q", ErrUnknown, name)
	}
	if err := os.Remove(filepath.Join(c.dir, i.File)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove the plugin: %w", err)
	}
	c.mu.Lock()
	delete(c.pins, i.File)
	c.mu.Unlock()
	err := c.save()
	err = errors.Join(err, c.look())
	c.sweep()
	return err
}
