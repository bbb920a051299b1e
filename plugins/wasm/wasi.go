package wasm

import (
	"bytes"
	"context"
	"io"
	"strings"
	"sync"

	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
)

// badFile is WASI's errno for a file descriptor that isn't open.
const badFile = 8

// exportWASI gives the guest the system interface that Go's runtime links, with
// every function that deals in files answering that there is none.
func (m *Module) exportWASI(ctx context.Context) error {
	b := m.runtime.NewHostModuleBuilder(wasi_snapshot_preview1.ModuleName)
	wasi_snapshot_preview1.NewFunctionExporter().ExportFunctions(b)
	i, l := api.ValueTypeI32, api.ValueTypeI64
	for name, params := range map[string][]api.ValueType{
		"fd_close":              {i},
		"fd_read":               {i, i, i, i},
		"fd_filestat_get":       {i, i},
		"fd_fdstat_get":         {i, i},
		"fd_fdstat_set_flags":   {i, i},
		"fd_prestat_get":        {i, i},
		"fd_prestat_dir_name":   {i, i, i},
		"path_filestat_get":     {i, i, i, i, i},
		"path_open":             {i, i, i, i, i, l, l, i, i},
		"fd_pread":              {i, i, i, l, i},
		"fd_pwrite":             {i, i, i, l, i},
		"fd_readdir":            {i, i, i, l, i},
		"fd_renumber":           {i, i},
		"fd_seek":               {i, l, i, i},
		"path_create_directory": {i, i, i},
		"path_readlink":         {i, i, i, i, i, i},
		"path_remove_directory": {i, i, i},
		"path_rename":           {i, i, i, i, i, i},
		"path_unlink_file":      {i, i, i},
	} {
		b.NewFunctionBuilder().
			WithGoModuleFunction(api.GoModuleFunc(refuse), params, []api.ValueType{i}).Export(name)
	}
	_, err := b.Instantiate(ctx)
	return err
}

func refuse(_ context.Context, _ api.Module, stack []uint64) { stack[0] = badFile }

// capped passes on what one call prints, up to a limit, in whole writes that
// end in a new line.
type capped struct {
	to  io.Writer
	max int

	mu    sync.Mutex
	used  int
	begin []byte
}

// reset begins another call's account.
func (c *capped) reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.used, c.begin = 0, nil
}

// Write never fails: a guest's print is not worth its call.
func (c *capped) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	room := c.max - c.used
	if room <= 0 {
		return len(p), nil
	}
	q := p[:min(room, len(p))]
	c.used += len(q)
	c.begin = append(c.begin, q...)
	_, _ = c.to.Write(q)
	if c.used == c.max {
		_, _ = io.WriteString(c.to, "\n(the rest of this call's output was dropped)\n")
	}
	return len(p), nil
}

// first is the first line that was printed, shortened.
func (c *capped) first() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	line, _, _ := bytes.Cut(bytes.TrimSpace(c.begin), []byte("\n"))
	return strings.ToValidUTF8(string(line[:min(len(line), 200)]), "\uFFFD")
}
