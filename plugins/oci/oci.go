// Package oci reads a plugin out of an OCI image: one of a layout, which is a
// folder or a tar of one, or of a registry. It writes layouts, too.
//
// It unpacks nothing: an image holds the plugin's file as it is, in one layer.
// Its one rule: what it gives has the digest that the image's manifest says.
package oci

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/content"
	layout "oras.land/oras-go/v2/content/oci"

	"github.com/tappet-dev/tappet/sdk"
)

// The types of the layer that is a plugin.
const (
	// WASMType is a WebAssembly module's.
	WASMType = "application/wasm"
	// ProgramType is a native program's, for the platform of its manifest.
	ProgramType = "application/vnd.tappet.plugin.program"
)

// Options say what of a layout is read; all are optional.
type Options struct {
	// Tag names the image; "" takes the only one.
	Tag string
	// Limit is the most bytes of the plugin's file; 0 means 256 MiB.
	Limit int64
}

const defaultLimit = 256 << 20

// mostManifest bounds manifests and indexes.
const mostManifest = 1 << 20

// Read gives the plugin's file that a layout holds for this machine: its module,
// or the program for its platform.
func Read(ctx context.Context, path string, o Options) ([]byte, error) {
	if o.Limit <= 0 {
		o.Limit = defaultLimit
	}
	b, err := read(ctx, path, o)
	if err != nil {
		return nil, fmt.Errorf("read the OCI layout %s: %w", path, err)
	}
	return b, nil
}

// ReadTar is Read of a tar that is in memory; the error is an *sdk.Error.
func ReadTar(ctx context.Context, tar []byte, o Options) (file []byte, err error) {
	f, err := os.CreateTemp("", "tappet-layout-*.tar")
	if err != nil {
		return nil, fmt.Errorf("keep the OCI layout: %w", err)
	}
	defer func() { err = errors.Join(err, os.Remove(f.Name())) }()
	if _, err := f.Write(tar); err != nil {
		return nil, errors.Join(fmt.Errorf("keep the OCI layout: %w", err), f.Close())
	}
	if err := f.Close(); err != nil {
		return nil, fmt.Errorf("keep the OCI layout: %w", err)
	}
	if o.Limit <= 0 {
		o.Limit = defaultLimit
	}
	file, err = read(ctx, f.Name(), o)
	if _, ok := errors.AsType[*sdk.Error](err); err != nil && !ok {
		err = &sdk.Error{Kind: sdk.Invalid, Err: fmt.Errorf("read the OCI layout: %w", err)}
	}
	return file, err
}

func read(ctx context.Context, path string, o Options) ([]byte, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	var store *layout.ReadOnlyStore
	var tags []string
	switch {
	case st.IsDir():
		if _, err := os.Stat(filepath.Join(path, ocispec.ImageLayoutFile)); err != nil {
			return nil, fmt.Errorf("the folder holds no file %s: it is no OCI layout", ocispec.ImageLayoutFile)
		}
		store, err = layout.NewFromFS(ctx, os.DirFS(path))
	default:
		store, err = layout.NewFromTar(ctx, path)
	}
	if err != nil {
		return nil, err
	}
	if err := store.Tags(ctx, "", func(t []string) error {
		tags = append(tags, t...)
		return nil
	}); err != nil {
		return nil, err
	}
	if o.Tag == "" {
		if len(tags) != 1 {
			return nil, fmt.Errorf("it has %d tagged images, name one of them: %s", len(tags), strings.Join(tags, ", "))
		}
		o.Tag = tags[0]
	}
	root, err := store.Resolve(ctx, o.Tag)
	if err != nil {
		return nil, fmt.Errorf("find %s (there are %s): %w", o.Tag, strings.Join(tags, ", "), err)
	}
	return artefact(ctx, store, root, o.Limit, 0)
}

// artefact follows a manifest to its layer, an index to the manifest that suits.
func artefact(ctx context.Context, f content.Fetcher, d ocispec.Descriptor, limit int64, depth int) ([]byte, error) {
	if d.MediaType != ocispec.MediaTypeImageIndex && d.MediaType != ocispec.MediaTypeImageManifest {
		return nil, fmt.Errorf("%s is a %q; an image manifest or an index is wanted", d.Digest, d.MediaType)
	}
	if d.Size > mostManifest {
		return nil, fmt.Errorf("the manifest %s has %d bytes, %d are allowed", d.Digest, d.Size, mostManifest)
	}
	b, err := content.FetchAll(ctx, f, d)
	if err != nil {
		return nil, fmt.Errorf("read the manifest %s: %w", d.Digest, err)
	}
	if d.MediaType == ocispec.MediaTypeImageIndex {
		var index ocispec.Index
		if err := json.Unmarshal(b, &index); err != nil {
			return nil, fmt.Errorf("read the index %s: %w", d.Digest, err)
		}
		next, ok := suits(index.Manifests)
		if !ok || depth > 4 {
			return nil, fmt.Errorf("it holds no module and no program for %s/%s", runtime.GOOS, runtime.GOARCH)
		}
		return artefact(ctx, f, next, limit, depth+1)
	}
	var m ocispec.Manifest
	if err := json.Unmarshal(b, &m); err != nil {
		return nil, fmt.Errorf("read the manifest %s: %w", d.Digest, err)
	}
	return layer(ctx, f, m, limit)
}

// suits picks a module before a program for this machine.
func suits(all []ocispec.Descriptor) (ocispec.Descriptor, bool) {
	for _, fits := range []func(*ocispec.Platform) bool{
		func(p *ocispec.Platform) bool { return p == nil || p.Architecture == "wasm" },
		func(p *ocispec.Platform) bool { return p.OS == runtime.GOOS && p.Architecture == runtime.GOARCH },
	} {
		for _, d := range all {
			if fits(d.Platform) {
				return d, true
			}
		}
	}
	return ocispec.Descriptor{}, false
}

func layer(ctx context.Context, f content.Fetcher, m ocispec.Manifest, limit int64) ([]byte, error) {
	found := slices.DeleteFunc(slices.Clone(m.Layers), func(d ocispec.Descriptor) bool {
		return d.MediaType != WASMType && d.MediaType != ProgramType
	})
	if len(found) != 1 {
		return nil, fmt.Errorf("the image has %d layers of the type %s or %s, one is wanted", len(found), WASMType, ProgramType)
	}
	if d := found[0]; d.Size > limit {
		return nil, sdk.Errorf(sdk.TooLarge, "the plugin has %d bytes, %d are allowed", d.Size, limit)
	}
	b, err := content.FetchAll(ctx, f, found[0])
	if err != nil {
		return nil, fmt.Errorf("read the plugin %s: %w", found[0].Digest, err)
	}
	if len(b) == 0 {
		return nil, errors.New("the plugin is empty")
	}
	return b, nil
}
