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
	// found: it is the file of the folder, as stamp says.
	found      bool
	stamp      stamp
	unfinished bool
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
		return nil, errClosed()
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

// Unfinished says that it is the release of an upgrade that was begun and, by a
// crash or a failure, not finished: to be put into service whatever it does, as
// was decided then.
func (k *Candidate) Unfinished() bool { return k.unfinished }

// Commit is Upgrade with nothing to publish.
func (k *Candidate) Commit() error { return k.Upgrade(func() error { return nil }) }

// Upgrade puts the candidate into service, with all that it needs granted. The
// release that it replaces goes on for those who call it by its digest.
//
// Four things change, each of them whole or not at all, in this order: the lock
// notes what is to be the next release; publish commits whatever else has to
// change with it; the file is written into the folder; the lock says that the
// release is accepted. Whoever crashes before the first has begun nothing. After
// it, Open finds the note and has Options.Upgrade do all of it again, which takes
// up the candidate's kept copy and must publish nothing twice: the upgrade is
// finished, and none of it is lost or half. If publish fails the note is taken
// back, and nothing has changed; if something fails behind it the note stays.
//
// publish must not change the catalogue. The error is an ErrConflict if the
// plugin was changed since the candidate was made.
func (k *Candidate) Upgrade(publish func() error) error {
	c, v := k.catalogue, k.version
	c.scans.Lock()
	defer c.scans.Unlock()
	before, err := k.check()
	if err != nil {
		return err
	}
	next := &pin{Name: v.spec.Name, File: v.file, Kind: v.kind}
	if before != nil {
		next = before.clone()
	}
	begun, release := next.clone(), v.release()
	begun.Next = &release
	next.Name, next.Disabled, next.Quarantine = v.spec.Name, false, nil
	next.accept(release, c.limits.Previous)
	if err := c.setPin(v.file, begun); err != nil {
		return err
	}
	if err := publish(); err != nil {
		return errors.Join(err, c.setPin(v.file, begun.settled()))
	}
	stamp := k.stamp
	if !k.found {
		if stamp, err = c.install(v); err != nil {
			return err
		}
	}
	if err := c.setPin(v.file, next); err != nil {
		return err
	}
	c.mu.Lock()
	f := c.files[v.file]
	if f == nil {
		f = &file{}
		c.files[v.file], c.logs[v.file] = f, k.journal
	} else if j := c.logs[v.file]; j != nil && j != k.journal {
		k.journal.join(j)
	}
	f.stamp, f.taken = stamp, false
	c.swap(f, v)
	c.forget(k)
	c.mu.Unlock()
	c.sweep()
	c.tell()
	return nil
}

// check says what stands in the way of a candidate, and gives what the lock says
// of its file; c.scans is held.
func (k *Candidate) check() (*pin, error) {
	c, v := k.catalogue, k.version
	c.mu.RLock()
	defer c.mu.RUnlock()
	p, changed := c.pins[v.file], conflict("the plugin was changed by somebody else; try again")
	switch other := c.named[v.spec.Name]; {
	case k.done:
		return nil, conflict("the candidate was committed or given up")
	case c.closed:
		return nil, errClosed()
	case p.digest() != k.replaces:
		return nil, changed
	case other != nil && other.file != v.file:
		return nil, conflict("the connector name %q is taken by %s; remove one of the two", v.spec.Name, other.file)
	}
	if !k.found {
		return p, nil
	}
	// Nobody has asked for it: it must be what is in the folder, and in service.
	st, err := os.Stat(filepath.Join(c.dir, v.file))
	if err != nil || p.off() || k.stamp != (stamp{st.Size(), st.ModTime(), st.Mode()}) {
		return nil, changed
	}
	return p, nil
}

// setPin changes what the lock says of a file, here and on disk or neither; nil
// forgets it. c.scans is held.
func (c *Catalogue) setPin(file string, p *pin) error {
	set := func(p *pin) *pin {
		c.mu.Lock()
		defer c.mu.Unlock()
		before := c.pins[file]
		if c.pins[file] = p; p == nil {
			delete(c.pins, file)
		}
		return before
	}
	before := set(p)
	err := c.save()
	if err != nil {
		set(before)
	}
	return err
}

func (p *pin) digest() string {
	if p == nil {
		return ""
	}
	return p.Digest
}

// install writes the version's bytes into the folder.
func (c *Catalogue) install(v *version) (stamp, error) {
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
	same := func(o *Candidate) bool { return o == k }
	c.staged, c.waiting = slices.DeleteFunc(c.staged, same), slices.DeleteFunc(c.waiting, same)
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
	if err := c.changePin(name, fn); err != nil {
		return err
	}
	c.weigh()
	return nil
}

func (c *Catalogue) changePin(name string, fn func(*pin)) error {
	c.scans.Lock()
	defer c.scans.Unlock()
	i, ok := c.Info(name)
	if !ok {
		return fmt.Errorf("%w: %.100q", ErrUnknown, name)
	}
	c.mu.RLock()
	before := c.pins[i.File]
	c.mu.RUnlock()
	if before == nil {
		return conflict("%s has never been in service: %s", i.File, i.Health.Reason)
	}
	next := before.clone()
	fn(next)
	if err := c.setPin(i.File, next); err != nil {
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
