package plugins

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/tappet-dev/tappet/sdk"
)

// LockFile is the name of the lock file in the plugins folder.
const LockFile = "plugins.lock"

// lockFormat is the version of the lock file's form.
const lockFormat = 1

// A Release is one version of a plugin that was accepted.
type Release struct {
	// Digest is the SHA-256 of the artefact, in hexadecimal.
	Digest string `json:"digest"`
	// Version is the author's.
	Version string `json:"version,omitempty"`
	// Needs are what it was granted.
	Needs sdk.Needs `json:"needs,omitzero"`
	// At is when it was accepted.
	At time.Time `json:"accepted_at"`
}

// A pin is what the lock file says of one file.
type pin struct {
	Name string `json:"name"`
	File string `json:"file"`
	Kind Kind   `json:"kind"`
	Release
	Disabled   bool        `json:"disabled,omitempty"`
	Quarantine *quarantine `json:"quarantine,omitempty"`
	// Previous are the releases before, newest first.
	Previous []Release `json:"previous,omitempty"`
	// Next is the release of an upgrade that was begun: noted before anything else
	// is changed, and forgotten when all is. Of a plugin that is new it is all that
	// there is.
	Next *Release `json:"next,omitempty"`
}

// A quarantine is why and since when a plugin isn't called any more.
type quarantine struct {
	Reason string    `json:"reason"`
	Since  time.Time `json:"since"`
}

func (p *pin) off() bool { return p != nil && (p.Disabled || p.Quarantine != nil) }

// health words why a plugin that is off is so.
func (p *pin) health() Health {
	switch {
	case p.Disabled:
		return Health{State: Disabled, Reason: fmt.Sprintf("it was disabled; enable it: tappet plugin enable %s", p.Name), Since: time.Now()}
	case p.Quarantine != nil:
		return Health{State: Quarantined, Since: p.Quarantine.Since, Reason: fmt.Sprintf(
			"it kept crashing and isn't called any more: %s; replace it, or try it again: tappet plugin enable %s", p.Quarantine.Reason, p.Name)}
	}
	return Health{}
}

// accept makes r the release that counts. The one before becomes the newest of
// the previous ones, of which most are kept.
func (p *pin) accept(r Release, most int) {
	if p.Digest != r.Digest {
		before := slices.DeleteFunc(p.Previous, func(o Release) bool { return o.Digest == r.Digest })
		if p.Digest != "" {
			before = slices.Insert(before, 0, p.Release)
		}
		p.Previous = before[:min(len(before), most)]
		p.Quarantine = nil
	}
	p.Release, p.Next = r, nil
}

// settled is the pin without an upgrade that was begun; nil if nothing is left.
func (p *pin) settled() *pin {
	if p.Digest == "" {
		return nil
	}
	q := p.clone()
	q.Next = nil
	return q
}

// clone is a copy that shares nothing that accept changes.
func (p *pin) clone() *pin {
	if p == nil {
		return nil
	}
	q := *p
	q.Previous = slices.Clone(p.Previous)
	return &q
}

// beyond gives what of wanted isn't granted.
func beyond(wanted, granted sdk.Needs) sdk.Needs {
	var out sdk.Needs
	for _, h := range wanted.HTTP {
		if !slices.Contains(granted.HTTP, h) && !slices.Contains(granted.HTTP, "*") {
			out.HTTP = append(out.HTTP, h)
		}
	}
	for _, s := range wanted.Secrets {
		if !slices.Contains(granted.Secrets, s) {
			out.Secrets = append(out.Secrets, s)
		}
	}
	return out
}

func nothing(n sdk.Needs) bool { return len(n.HTTP)+len(n.Secrets) == 0 }

// wordsOf tells needs in one line.
func wordsOf(n sdk.Needs) string {
	var out []string
	if len(n.HTTP) > 0 {
		out = append(out, "HTTP to "+strings.Join(n.HTTP, ", "))
	}
	if len(n.Secrets) > 0 {
		out = append(out, "the secrets "+strings.Join(n.Secrets, ", "))
	}
	return strings.Join(out, " and ")
}

// readLock reads the lock file of a folder; none is an empty one.
func readLock(dir string) (map[string]*pin, error) {
	out := map[string]*pin{}
	path := filepath.Join(dir, LockFile)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return out, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the plugins' lock file: %w", err)
	}
	damaged := func(format string, args ...any) error {
		return fmt.Errorf("the plugins' lock file %s is damaged: %w; mend it, or delete it to accept all plugins as they are now", path, fmt.Errorf(format, args...))
	}
	var l struct {
		Format  int    `json:"format"`
		Plugins []*pin `json:"plugins"`
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&l); err != nil {
		return nil, damaged("%w", err)
	}
	if l.Format != lockFormat {
		return nil, damaged("it has the format %d, %d is known here", l.Format, lockFormat)
	}
	for i, p := range l.Plugins {
		switch {
		case p == nil || p.File == "" || p.File != filepath.Base(p.File) || hidden(p.File):
			return nil, damaged("its entry %d names no file of the folder", i)
		case out[p.File] != nil:
			return nil, damaged("it has two entries for %s", p.File)
		}
		all := slices.Clone(p.Previous)
		if p.Next != nil {
			all = append(all, *p.Next)
		}
		if p.Next == nil || p.Digest != "" {
			all = append(all, p.Release)
		}
		for _, r := range all {
			if !isDigest(r.Digest) {
				return nil, damaged("%.80q, of %s, is no SHA-256 in hexadecimal", r.Digest, p.File)
			}
		}
		out[p.File] = p
	}
	return out, nil
}

func isDigest(s string) bool {
	return len(s) == 64 && strings.Trim(s, "0123456789abcdef") == ""
}

// writeLock replaces the lock file of a folder, whole.
func writeLock(dir string, pins map[string]*pin) error {
	l := struct {
		Format  int    `json:"format"`
		Plugins []*pin `json:"plugins"`
	}{Format: lockFormat, Plugins: []*pin{}}
	for _, p := range pins {
		l.Plugins = append(l.Plugins, p)
	}
	slices.SortFunc(l.Plugins, func(a, b *pin) int { return strings.Compare(a.File, b.File) })
	b, err := json.MarshalIndent(l, "", "  ")
	if err == nil {
		err = replaceFile(filepath.Join(dir, LockFile), append(b, '\n'), 0o600)
	}
	if err != nil {
		return fmt.Errorf("write the plugins' lock file: %w", err)
	}
	return nil
}

// replaceFile writes a file so that it is there whole or not at all, and is on
// disk when it returns.
func replaceFile(path string, b []byte, mode fs.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}
