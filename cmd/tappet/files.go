package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tappet-dev/tappet/engine"
	"github.com/tappet-dev/tappet/internal/blob"
	"github.com/tappet-dev/tappet/sdk"
)

// A cabinet keeps the files of runs: their rows in the store, their bytes in
// the folder blobs.
type cabinet struct {
	rows  engine.FileStore
	blobs *blob.Store
	log   *slog.Logger
}

var _ engine.Blobs = (*cabinet)(nil)

// Open implements engine.Blobs.
func (c *cabinet) Open(digest string) (io.ReadSeekCloser, error) {
	f, err := c.blobs.Open(digest)
	if err != nil {
		return nil, err // not a nil *os.File in an interface
	}
	return f, nil
}

// Collect implements engine.Blobs. What can't be removed now is at the next
// start.
func (c *cabinet) Collect(ctx context.Context, digests []string) {
	if _, err := c.blobs.Collect(ctx, digests, c.rows.Referred); err != nil {
		c.log.Warn("files that no run has are still there; they are removed at the next start", "error", err)
	}
}

// sweep removes what an earlier process had put and no run came to have.
func (c *cabinet) sweep(ctx context.Context) {
	n, err := c.blobs.Sweep(ctx, c.rows.Referred)
	if err != nil && ctx.Err() == nil {
		c.log.Warn("the folder of files can't be looked through; it is tried at the next start", "error", err)
	}
	if n > 0 {
		c.log.Info("removed files that no run has", "files", n)
	}
}

var _ sdk.Files = (*host)(nil)

// OpenFile implements sdk.Files: the files of the call's run, and no others.
func (h *host) OpenFile(ctx context.Context, id string) (sdk.File, io.ReadCloser, error) {
	if err := h.ended(); err != nil {
		return sdk.File{}, nil, err
	}
	if h.files == nil {
		return sdk.File{}, nil, sdk.Errorf(sdk.Unsupported, "this host keeps no files")
	}
	f, r, err := engine.OpenFile(ctx, h.files.rows, h.files, h.call.Run, id)
	switch {
	case engine.KindOf(err) == engine.NotFound && err != nil:
		return sdk.File{}, nil, &sdk.Error{Kind: sdk.NotFound, Err: err}
	case err != nil:
		return sdk.File{}, nil, &sdk.Error{Kind: sdk.Unavailable, Err: err}
	}
	return sdk.File{ID: f.ID, Name: f.Name, Type: f.Type, Size: f.Size}, r, nil
}

// Bounds of what a stranger may call a file; the rest is cut off.
const (
	maxFileName = 1024
	maxFileType = 256
	// defaultFileType is of a file whose sender doesn't say (RFC 2046, 4.5.1).
	defaultFileType = "application/octet-stream"
)

// NewFile implements sdk.Files.
func (h *host) NewFile(ctx context.Context, name, mediaType string, r io.Reader) (sdk.File, error) {
	if err := h.ended(); err != nil {
		return sdk.File{}, err
	}
	if h.files == nil || h.call.Keep == nil {
		return sdk.File{}, sdk.Errorf(sdk.Unsupported, "this call keeps no files")
	}
	b, err := h.files.blobs.Put(ctx, r)
	if err != nil {
		return sdk.File{}, h.fileError(err)
	}
	var id [16]byte
	_, _ = rand.Read(id[:]) // it never fails
	if mediaType == "" {
		mediaType = defaultFileType
	}
	f := engine.File{
		ID: hex.EncodeToString(id[:]), Digest: b.Digest, Size: b.Size,
		Name: clipText(name, maxFileName), Type: clipText(mediaType, maxFileType),
	}
	h.call.Keep(f, b.Release)
	return sdk.File{ID: f.ID, Name: f.Name, Type: f.Type, Size: f.Size}, nil
}

// fileError tells what it means that a file couldn't be kept; the errors of its
// reader keep the kinds that they have.
func (h *host) fileError(err error) error {
	var large *blob.TooLargeError
	var write *blob.WriteError
	switch {
	case errors.As(err, &large):
		return &sdk.Error{Kind: sdk.TooLarge, Err: err}
	case errors.As(err, &write):
		h.log.Error("a file can't be written; what needs it is refused", "error", err)
		return &sdk.Error{Kind: sdk.Unavailable, RetryAfter: 5 * time.Second, Err: errors.New("the file can't be written; the server's log tells why")}
	}
	return &sdk.Error{Kind: sdk.KindOf(err), Err: err}
}

// clipText gives valid UTF-8 of at most n bytes.
func clipText(s string, n int) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) <= n {
		return s
	}
	for !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
