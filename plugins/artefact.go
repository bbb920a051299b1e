package plugins

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/tappet-dev/tappet/plugins/native"
	"github.com/tappet-dev/tappet/sdk"
)

// kept is the folder, in the plugins folder, of each accepted release's copy:
// what is loaded when the file itself isn't what was accepted, and what a
// rollback goes back to.
const kept = ".releases"

// releasePath is where the copy of a release is kept.
func (c *Catalogue) releasePath(file, digest string) string {
	return filepath.Join(c.dir, kept, releaseKey(file, digest))
}

// keep copies what r gives, hashing it on the way, and names the copy by what it
// holds.
func (c *Catalogue) keep(file string, r io.Reader, mode fs.FileMode) (digest string, err error) {
	fail := func(err error) (string, error) { return "", fmt.Errorf("keep the plugin: %w", err) }
	folder := filepath.Join(c.dir, kept)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return fail(err)
	}
	out, err := os.CreateTemp(folder, ".new-*")
	if err != nil {
		return fail(err)
	}
	h := sha256.New()
	n, err := io.Copy(io.MultiWriter(out, h), io.LimitReader(r, c.limits.Artefact+1))
	if err == nil && n > c.limits.Artefact {
		err = c.tooLarge()
	}
	digest = hex.EncodeToString(h.Sum(nil))
	err = errors.Join(err, out.Chmod(mode&^0o077|0o400), out.Sync(), out.Close())
	if err == nil {
		err = os.Rename(out.Name(), c.releasePath(file, digest))
	}
	if err != nil {
		_ = os.Remove(out.Name())
		return fail(err)
	}
	return digest, nil
}

func (c *Catalogue) tooLarge() error {
	return sdk.Errorf(sdk.TooLarge, "the file has more than %d bytes, which is the limit of a plugin", c.limits.Artefact)
}

// keepFile keeps a file of the folder.
func (c *Catalogue) keepFile(name string) (digest string, err error) {
	f, err := os.Open(filepath.Join(c.dir, name))
	if err != nil {
		return "", fmt.Errorf("open the plugin: %w", err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return "", fmt.Errorf("look at the plugin: %w", err)
	}
	if st.Size() > c.limits.Artefact {
		return "", c.tooLarge()
	}
	return c.keep(name, f, st.Mode().Perm())
}

// loadRelease makes a version of the kept copy of a file, which must still have
// its digest, and describes it.
func (c *Catalogue) loadRelease(ctx context.Context, file string, kind Kind, digest string, j *journal) (*version, error) {
	v := &version{file: file, kind: kind, digest: digest, journal: j}
	var err error
	if kind == WASM {
		err = c.openWASM(ctx, v)
	} else {
		err = c.openNative(ctx, v)
	}
	if err != nil {
		return nil, err
	}
	v.ctx, v.end = context.WithCancelCause(context.Background())
	if v.spec, err = c.describe(ctx, v.caller); err == nil {
		err = v.readSchemas()
	}
	if err != nil {
		return nil, errors.Join(err, v.close())
	}
	return v, nil
}

func (c *Catalogue) openWASM(ctx context.Context, v *version) error {
	limit := c.limits.WASM.Module
	if limit <= 0 {
		limit = 32 << 20
	}
	f, err := os.Open(c.releasePath(v.file, v.digest))
	if err != nil {
		return fmt.Errorf("open the plugin: %w", err)
	}
	defer f.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(io.LimitReader(f, int64(limit)+1)); err != nil {
		return fmt.Errorf("read the plugin: %w", err)
	}
	if sum := sha256.Sum256(b.Bytes()); b.Len() <= limit && hex.EncodeToString(sum[:]) != v.digest {
		return sdk.Errorf(sdk.Denied, "the kept copy has SHA-256 %x, %s is locked; install the plugin again", sum, v.digest)
	}
	m, err := c.wasm.Load(ctx, b.Bytes(), v.journal)
	if err != nil {
		return err
	}
	v.caller, v.closer = m, m
	return nil
}

func (c *Catalogue) openNative(ctx context.Context, v *version) error {
	p, err := native.Load(ctx, c.releasePath(v.file, v.digest), c.copies(), native.Options{Limits: c.limits.Native, Log: v.journal, Digest: v.digest})
	if err != nil {
		return err
	}
	v.caller, v.closer = p, p
	return nil
}
