// Package folder is a connector that watches a folder of the machine.
//
// It isn't told of changes: it looks, so it misses none that lasts from one look
// to the next, on any file system. Its one rule: a file's key is its name, time
// and size, so that a file is new once, and again when it has changed.
package folder

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/tappet-dev/tappet/sdk"
)

// maxFiles is the most files that a folder may have.
const maxFiles = 10_000

// Config is what the trigger is given.
type Config struct {
	Path    string `json:"path" title:"Folder" description:"The folder's absolute path on the machine that Tappet runs on."`
	Pattern string `json:"pattern" title:"Pattern" description:"Which names count: * is any text, ? any character, [a-z] one of a few." default:"*"`
}

// File is the event: a file that is new or has changed.
type File struct {
	Name     string    `json:"name" title:"Name"`
	Path     string    `json:"path" title:"Path" description:"The file's absolute path."`
	Size     int64     `json:"size" title:"Size" description:"In bytes."`
	Modified time.Time `json:"modified" title:"Modified" description:"When its content changed last."`
}

// Connector gives the connector.
func Connector() sdk.Connector {
	changed := sdk.Poll("changed", "A file appears or changes", look)
	changed.Description = "Starts a run for each file of a folder that is new or has changed. Names that begin with a dot don't count: write under such a name and rename, and no run sees half a file."
	changed.Every = sdk.Duration(5 * time.Second)
	return sdk.Connector{
		Name: "folder", Title: "Folder", Version: "1.0.0",
		Description: "Watches a folder. A native plugin, since it reads files: it is trusted.",
		Triggers:    []sdk.Trigger{changed},
	}
}

func look(ctx context.Context, _ sdk.Host, cfg Config, _ sdk.Cursor) (sdk.Batch[File], error) {
	var out sdk.Batch[File]
	if !filepath.IsAbs(cfg.Path) {
		return out, sdk.Errorf(sdk.Invalid, "config: path: %q is not an absolute path", cfg.Path)
	}
	if _, err := filepath.Match(cfg.Pattern, ""); err != nil {
		return out, sdk.Errorf(sdk.Invalid, "config: pattern: %q: a bracket is not closed", cfg.Pattern)
	}
	entries, err := os.ReadDir(cfg.Path) // by name
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return out, sdk.Errorf(sdk.NotFound, "there is no folder %s", cfg.Path)
	case errors.Is(err, fs.ErrPermission):
		return out, sdk.Errorf(sdk.Denied, "the folder %s may not be read", cfg.Path)
	case err != nil:
		return out, fmt.Errorf("read the folder %s: %w", cfg.Path, err)
	case len(entries) > maxFiles:
		return out, sdk.Errorf(sdk.TooLarge, "the folder has %d entries, %d are allowed", len(entries), maxFiles)
	}
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return out, err
		}
		if ok, _ := filepath.Match(cfg.Pattern, e.Name()); !ok || e.Name()[0] == '.' {
			continue
		}
		info, err := e.Info()
		if err != nil || !info.Mode().IsRegular() {
			continue // gone since, or no file
		}
		f := File{Name: e.Name(), Path: filepath.Join(cfg.Path, e.Name()), Size: info.Size(), Modified: info.ModTime().UTC()}
		out.Add(fmt.Sprintf("%s %d %d", f.Name, f.Modified.UnixNano(), f.Size), f)
	}
	return out, nil
}
