package oci

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/content"
	layout "oras.land/oras-go/v2/content/oci"
)

// A File is a plugin's file for a layout.
type File struct {
	// Program is false for a module.
	Program bool
	// OS and Arch are a program's, in Go's words.
	OS, Arch string
	Bytes    []byte
}

// Write makes a layout in a folder, with one image under a tag that has all the
// files. The folder is made; an image that has the tag already loses it.
func Write(ctx context.Context, folder, tag string, files []File) error {
	if err := write(ctx, folder, tag, files); err != nil {
		return fmt.Errorf("write the OCI layout %s: %w", folder, err)
	}
	return nil
}

func write(ctx context.Context, folder, tag string, files []File) error {
	store, err := layout.New(folder)
	if err != nil {
		return err
	}
	push := func(mediaType string, b []byte) (ocispec.Descriptor, error) {
		d := content.NewDescriptorFromBytes(mediaType, b)
		if found, err := store.Exists(ctx, d); err != nil || found {
			return d, err
		}
		return d, store.Push(ctx, d, bytes.NewReader(b))
	}
	empty, err := push(ocispec.DescriptorEmptyJSON.MediaType, ocispec.DescriptorEmptyJSON.Data)
	if err != nil {
		return err
	}
	index := ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex}
	for _, f := range files {
		kind, platform := WASMType, &ocispec.Platform{OS: "wasip1", Architecture: "wasm"}
		if f.Program {
			kind, platform = ProgramType, &ocispec.Platform{OS: f.OS, Architecture: f.Arch}
		}
		layer, err := push(kind, f.Bytes)
		if err != nil {
			return err
		}
		b, err := json.Marshal(ocispec.Manifest{
			Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
			ArtifactType: kind, Config: empty, Layers: []ocispec.Descriptor{layer},
		})
		if err != nil {
			return err
		}
		d, err := push(ocispec.MediaTypeImageManifest, b)
		if err != nil {
			return err
		}
		d.Platform = platform
		index.Manifests = append(index.Manifests, d)
	}
	b, err := json.Marshal(index)
	if err != nil {
		return err
	}
	d, err := push(ocispec.MediaTypeImageIndex, b)
	if err != nil {
		return err
	}
	return store.Tag(ctx, d, tag)
}
