package oci_test

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/tappet-dev/tappet/plugins/oci"
)

// An image is a layout in the making.
type image struct {
	t   *testing.T
	dir string
}

func newImage(t *testing.T) image {
	t.Helper()
	i := image{t, t.TempDir()}
	i.write("oci-layout", []byte(`{"imageLayoutVersion":"1.0.0"}`))
	return i
}

func (i image) write(name string, b []byte) {
	i.t.Helper()
	path := filepath.Join(i.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		i.t.Fatal(err)
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		i.t.Fatal(err)
	}
}

type object map[string]any

// blob writes a blob and gives its descriptor.
func (i image) blob(mediaType string, b []byte) object {
	i.t.Helper()
	sum := fmt.Sprintf("%x", sha256.Sum256(b))
	i.write("blobs/sha256/"+sum, b)
	return object{"mediaType": mediaType, "digest": "sha256:" + sum, "size": len(b)}
}

func (i image) json(v any) []byte {
	i.t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		i.t.Fatal(err)
	}
	return b
}

const manifestType = "application/vnd.oci.image.manifest.v1+json"

// manifest writes an image of one layer.
func (i image) manifest(mediaType string, b []byte) object {
	i.t.Helper()
	return i.blob(manifestType, i.json(object{
		"schemaVersion": 2, "mediaType": manifestType,
		"config": i.blob("application/vnd.oci.empty.v1+json", []byte("{}")),
		"layers": []object{i.blob(mediaType, b)},
	}))
}

// index writes the layout's index, tagging each image.
func (i image) index(images map[string]object) {
	i.t.Helper()
	var all []object
	for tag, d := range images {
		d["annotations"] = object{"org.opencontainers.image.ref.name": tag}
		all = append(all, d)
	}
	i.write("index.json", i.json(object{"schemaVersion": 2, "manifests": all}))
}

// tar packs the layout.
func (i image) tar() string {
	i.t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	if err := w.AddFS(os.DirFS(i.dir)); err != nil {
		i.t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		i.t.Fatal(err)
	}
	path := filepath.Join(i.t.TempDir(), "layout.tar")
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		i.t.Fatal(err)
	}
	return path
}

func TestRead(t *testing.T) {
	t.Parallel()
	module := []byte("\x00asm and so on")
	one := newImage(t)
	one.index(map[string]object{"1.0.0": one.manifest(oci.WASMType, module)})
	two := newImage(t)
	two.index(map[string]object{"1.0.0": two.manifest(oci.WASMType, module), "2.0.0": two.manifest(oci.WASMType, []byte("newer"))})
	many := newImage(t)
	here, there := many.manifest(oci.ProgramType, module), many.manifest(oci.ProgramType, []byte("foreign"))
	here["platform"] = object{"os": runtime.GOOS, "architecture": runtime.GOARCH}
	there["platform"] = object{"os": "plan9", "architecture": "mips"}
	const indexType = "application/vnd.oci.image.index.v1+json"
	many.index(map[string]object{"1": many.blob(indexType, many.json(object{
		"schemaVersion": 2, "mediaType": indexType, "manifests": []object{there, here},
	}))})
	for path, tag := range map[string]string{one.dir: "", one.tar(): "1.0.0", two.dir: "1.0.0", two.tar(): "1.0.0", many.dir: ""} {
		b, err := oci.Read(t.Context(), path, oci.Options{Tag: tag})
		if err != nil || !bytes.Equal(b, module) {
			t.Errorf("%s %q: %q, %v", path, tag, b, err)
		}
	}
}

func TestReadRefuses(t *testing.T) {
	t.Parallel()
	module := []byte("\x00asm and so on")
	layout := func(mediaType string) image {
		i := newImage(t)
		i.index(map[string]object{"1.0.0": i.manifest(mediaType, module), "2.0.0": i.manifest(mediaType, module[:5])})
		return i
	}
	good := layout(oci.WASMType)
	changed := layout(oci.WASMType)
	err := filepath.WalkDir(changed.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if err == nil && bytes.Equal(b, module) {
			b[5] ^= 1
			err = os.WriteFile(path, b, 0o600)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		about, path string
		o           oci.Options
		text        string
	}{
		{"a folder", t.TempDir(), oci.Options{}, "it is no OCI layout"},
		{"nothing", filepath.Join(t.TempDir(), "none"), oci.Options{}, "no such file"},
		{"two tags", good.dir, oci.Options{}, "it has 2 tagged images"},
		{"an unknown tag", good.dir, oci.Options{Tag: "3"}, "find 3"},
		{"too large", good.dir, oci.Options{Tag: "1.0.0", Limit: 4}, "the plugin has 14 bytes, 4 are allowed"},
		{"another digest", changed.dir, oci.Options{Tag: "1.0.0"}, "mismatch"},
		{"an ordinary image", layout("application/vnd.oci.image.layer.v1.tar").dir, oci.Options{Tag: "1.0.0"}, "has 0 layers of the type"},
	} {
		_, err := oci.Read(t.Context(), tt.path, tt.o)
		if err == nil || !strings.Contains(err.Error(), tt.text) {
			t.Errorf("%s: %v; %q is wanted", tt.about, err, tt.text)
		}
	}
}
