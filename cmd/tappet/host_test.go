package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/tappet-dev/tappet/engine"
	"github.com/tappet-dev/tappet/engine/machine"
	"github.com/tappet-dev/tappet/engine/sqlite"
	"github.com/tappet-dev/tappet/internal/blob"
	"github.com/tappet-dev/tappet/sdk"
)

// shelf keeps a trigger's state in memory.
type shelf map[string][]byte

func (s shelf) Get(_ context.Context, key string) ([]byte, error) { return s[key], nil }

func (s shelf) Set(_ context.Context, key string, value []byte) error {
	s[key] = value
	return nil
}

func TestSec04AHostKeepsToItsCall(t *testing.T) {
	t.Setenv("TAPPET_SECRET_API_KEY", "s3cret")
	t.Setenv("TAPPET_SECRET_OTHER", "hidden")
	conn := engine.Connector{Connector: &sdk.Connector{Name: "c", Needs: sdk.Needs{Secrets: []string{"api-key", "unset"}}}}
	secret := func(ctx context.Context, name string) (string, error) {
		v, err := environmentSecrets{}.Secret(ctx, name)
		return string(v), err
	}
	h, end := (&hosts{}).Host(t.Context(), engine.HostCall{Connector: conn, State: shelf{}, Secret: secret})
	for name, want := range map[string]sdk.Kind{"api-key": "", "other": sdk.Denied, "unset": sdk.NotFound} {
		if v, err := h.Secret(t.Context(), name); (err == nil) != (want == "") || err != nil && sdk.KindOf(err) != want || err == nil && v != "s3cret" {
			t.Errorf("secret %s: %q, %v; kind %q is wanted", name, v, err, want)
		}
	}
	if err := h.SetState(t.Context(), "k", []byte("v")); err != nil {
		t.Error(err)
	}
	if v, err := h.State(t.Context(), "k"); string(v) != "v" || err != nil {
		t.Errorf("state: %q, %v", v, err)
	}
	end()
	_, secretErr := h.Secret(t.Context(), "api-key")
	_, stateErr := h.State(t.Context(), "k")
	for _, err := range []error{secretErr, stateErr, h.SetState(t.Context(), "k", nil)} {
		if sdk.KindOf(err) != sdk.Cancelled {
			t.Errorf("after the call: %v; kind cancelled is wanted", err)
		}
	}
	action, end := (&hosts{}).Host(t.Context(), engine.HostCall{Connector: conn})
	defer end()
	if err := action.SetState(t.Context(), "k", nil); sdk.KindOf(err) != sdk.Unsupported {
		t.Errorf("an action keeps state: %v", err)
	}
}

// What is logged at level warn is told to the engine while the call lasts;
// nothing else is, and a call without a run, such as a trigger's, only logs.
func TestAHostTellsOfWarnings(t *testing.T) {
	t.Parallel()
	all := &hosts{log: slog.New(slog.DiscardHandler)}
	conn := engine.Connector{Connector: &sdk.Connector{Name: "c"}}
	hide := func(v any) any { return v }
	var told []string
	h, end := all.Host(t.Context(), engine.HostCall{
		Connector: conn, Hide: hide, Warn: func(msg string, args ...any) { told = append(told, fmt.Sprint(msg, args)) },
	})
	for _, l := range []sdk.Level{sdk.Debug, sdk.Info, sdk.Warn, sdk.Fault} {
		h.Log(t.Context(), l, string(l), "n", 1)
	}
	end()
	h.Log(t.Context(), sdk.Warn, "late")
	if len(told) != 1 || told[0] != "warn[n 1]" {
		t.Errorf("told of %q", told)
	}
	quiet, end := all.Host(t.Context(), engine.HostCall{Connector: conn, Hide: hide})
	defer end()
	quiet.Log(t.Context(), sdk.Warn, "nobody is told")
}

func TestSec11AHostKeepsFilesForItsCallAlone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	store, err := sqlite.Open(t.Context(), dir, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	blobs, err := blob.Open(filepath.Join(dir, "blobs"), blob.Limits{File: 100})
	if err != nil {
		t.Fatal(err)
	}
	all := &hosts{files: &cabinet{rows: store, blobs: blobs, log: slog.New(slog.DiscardHandler)}, log: slog.New(slog.DiscardHandler)}
	var kept []engine.File
	keep := func(f engine.File, release func()) { kept = append(kept, f); release() }
	id := engine.RandomIDs{}.NewRun()
	h, end := all.Host(t.Context(), engine.HostCall{Run: id, Keep: keep})
	files, err := sdk.FilesOf(h)
	if err != nil {
		t.Fatal(err)
	}
	f, err := files.NewFile(t.Context(), "é\xff"+strings.Repeat("n", 2000), "", strings.NewReader("bytes"))
	if err != nil || len(kept) != 1 || kept[0].ID != f.ID || len(f.ID) != 32 || f.Size != 5 || f.Type != "application/octet-stream" || len(f.Name) > 1024 || !strings.HasPrefix(f.Name, "é\uFFFDn") {
		t.Fatalf("new file: %+v, %v, kept %+v", f, err, kept)
	}
	if _, err := files.NewFile(t.Context(), "", "", strings.NewReader(strings.Repeat("x", 101))); sdk.KindOf(err) != sdk.TooLarge || !strings.Contains(err.Error(), "limits.file_bytes") {
		t.Errorf("over the limit: %v", err)
	}
	if _, err := files.NewFile(t.Context(), "", "", iotest.ErrReader(sdk.Errorf(sdk.Timeout, "too slow"))); sdk.KindOf(err) != sdk.Timeout {
		t.Errorf("a reader that fails: %v", err)
	}
	// It isn't the run's before its row is there, and never another's.
	if _, _, err := files.OpenFile(t.Context(), f.ID); sdk.KindOf(err) != sdk.NotFound {
		t.Errorf("before the commit: %v", err)
	}
	if err := store.Commit(t.Context(), []engine.Entry{&engine.Begin{Run: engine.Run{ID: id, State: machine.Running, Event: []byte("{}")}}, &engine.Keep{Run: id, Files: kept}}); err != nil {
		t.Fatal(err)
	}
	got, r, err := files.OpenFile(t.Context(), f.ID)
	if err != nil || got != f {
		t.Fatalf("open: %+v, %v; want %+v", got, err, f)
	}
	b, err := io.ReadAll(r)
	if err := errors.Join(err, r.Close()); err != nil || string(b) != "bytes" {
		t.Errorf("read %q, %v", b, err)
	}
	end()
	_, _, openErr := files.OpenFile(t.Context(), f.ID)
	_, newErr := files.NewFile(t.Context(), "", "", strings.NewReader(""))
	for _, err := range []error{openErr, newErr} {
		if sdk.KindOf(err) != sdk.Cancelled {
			t.Errorf("after the call: %v", err)
		}
	}
	for name, call := range map[string]engine.HostCall{"another run": {Run: engine.RandomIDs{}.NewRun()}, "a trigger": {}} {
		other, end := all.Host(t.Context(), call)
		if _, _, err := other.(sdk.Files).OpenFile(t.Context(), f.ID); sdk.KindOf(err) != sdk.NotFound {
			t.Errorf("%s opens it: %v", name, err)
		}
		end()
	}
}
