package wasm

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"io"
	"math"
	"slices"
	"strings"
	"sync"

	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
	"github.com/tetratelabs/wazero/sys"
)

// Numbers of WASI's errno.
const (
	badFile      = 8  // no such file descriptor is open
	badAddress   = 21 // beyond the memory
	badArgument  = 28
	notSupported = 58
)

// maxVector is the most buffers or subscriptions that one call may name.
const maxVector = 1024

// exportWASI gives the guest the system interface. Whatever deals in files or
// sockets answers that there is none; what could keep the host busy on one
// call's behalf is bounded here, since the meter counts the guest's turns alone.
func (m *Module) exportWASI(ctx context.Context) error {
	b := m.runtime.NewHostModuleBuilder(wasi_snapshot_preview1.ModuleName)
	wasi_snapshot_preview1.NewFunctionExporter().ExportFunctions(b)
	i, l := api.ValueTypeI32, api.ValueTypeI64
	for name, params := range map[string][]api.ValueType{
		"fd_advise":               {i, l, l, i},
		"fd_allocate":             {i, l, l},
		"fd_close":                {i},
		"fd_datasync":             {i},
		"fd_fdstat_get":           {i, i},
		"fd_fdstat_set_flags":     {i, i},
		"fd_fdstat_set_rights":    {i, l, l},
		"fd_filestat_get":         {i, i},
		"fd_filestat_set_size":    {i, l},
		"fd_filestat_set_times":   {i, l, l, i},
		"fd_pread":                {i, i, i, l, i},
		"fd_prestat_dir_name":     {i, i, i},
		"fd_prestat_get":          {i, i},
		"fd_pwrite":               {i, i, i, l, i},
		"fd_read":                 {i, i, i, i},
		"fd_readdir":              {i, i, i, l, i},
		"fd_renumber":             {i, i},
		"fd_seek":                 {i, l, i, i},
		"fd_sync":                 {i},
		"fd_tell":                 {i, i},
		"path_create_directory":   {i, i, i},
		"path_filestat_get":       {i, i, i, i, i},
		"path_filestat_set_times": {i, i, i, i, l, l, i},
		"path_link":               {i, i, i, i, i, i, i},
		"path_open":               {i, i, i, i, i, l, l, i, i},
		"path_readlink":           {i, i, i, i, i, i},
		"path_remove_directory":   {i, i, i},
		"path_rename":             {i, i, i, i, i, i},
		"path_symlink":            {i, i, i, i, i},
		"path_unlink_file":        {i, i, i},
		"sock_accept":             {i, i, i},
		"sock_recv":               {i, i, i, i, i, i},
		"sock_send":               {i, i, i, i, i},
		"sock_shutdown":           {i, i},
	} {
		b.NewFunctionBuilder().
			WithGoModuleFunction(api.GoModuleFunc(refuse), params, []api.ValueType{i}).Export(name)
	}
	for name, f := range map[string]struct {
		params []api.ValueType
		do     func(i *instance, mem api.Memory, p []uint64) uint64
	}{
		"fd_write":    {[]api.ValueType{i, i, i, i}, fdWrite},
		"random_get":  {[]api.ValueType{i, i}, randomGet},
		"poll_oneoff": {[]api.ValueType{i, i, i, i}, pollOneoff},
	} {
		b.NewFunctionBuilder().WithGoModuleFunction(api.GoModuleFunc(func(ctx context.Context, mod api.Module, stack []uint64) {
			in, ok := ctx.Value(instanceKey{}).(*instance)
			if !ok || in.ctx.Err() != nil {
				panic(sys.NewExitError(sys.ExitCodeContextCanceled))
			}
			stack[0] = f.do(in, mod.Memory(), stack)
		}), f.params, []api.ValueType{i}).Export(name)
	}
	_, err := b.Instantiate(ctx)
	return err
}

func refuse(_ context.Context, _ api.Module, stack []uint64) { stack[0] = badFile }

// fdWrite writes to standard output or error.
func fdWrite(i *instance, mem api.Memory, p []uint64) uint64 {
	fd, vector, n, size := uint32(p[0]), uint32(p[1]), uint32(p[2]), uint32(p[3])
	if fd != 1 && fd != 2 {
		return badFile
	}
	if n > maxVector {
		return badArgument
	}
	list, ok := mem.Read(vector, 8*n)
	if !ok {
		return badAddress
	}
	written := uint32(0)
	for ; len(list) > 0; list = list[8:] {
		b, ok := mem.Read(binary.LittleEndian.Uint32(list), binary.LittleEndian.Uint32(list[4:]))
		if !ok {
			return badAddress
		}
		_, _ = i.out.Write(b)
		written += uint32(len(b))
	}
	if !mem.WriteUint32Le(size, written) {
		return badAddress
	}
	return 0
}

// randomGet fills memory with random bytes, in pieces that are short to wait for.
func randomGet(i *instance, mem api.Memory, p []uint64) uint64 {
	b, ok := mem.Read(uint32(p[0]), uint32(p[1]))
	if !ok {
		return badAddress
	}
	for len(b) > 0 && i.ctx.Err() == nil {
		n := min(len(b), pageSize)
		_, _ = rand.Read(b[:n]) // never fails
		b = b[n:]
	}
	return 0
}

// pollOneoff waits for the earliest clock, unless a file descriptor has an
// answer at once: standard output and error may be written, others don't exist.
func pollOneoff(i *instance, mem api.Memory, p []uint64) uint64 {
	const subscription, event, clock, write = 48, 32, 0, 2
	in, out, n, count := uint32(p[0]), uint32(p[1]), uint32(p[2]), uint32(p[3])
	if n == 0 || n > maxVector {
		return badArgument
	}
	subs, ok := mem.Read(in, n*subscription)
	events, fits := mem.Read(out, n*event)
	if !ok || !fits {
		return badAddress
	}
	// The two may overlap.
	subs = bytes.Clone(subs)
	found := uint32(0)
	put := func(s []byte, errno byte) {
		e := events[found*event : (found+1)*event]
		clear(e)
		copy(e, s[:8])
		e[8], e[10] = errno, s[8]
		found++
	}
	soonest, first := uint64(math.MaxUint64), []byte(nil)
	for s := range slices.Chunk(subs, subscription) {
		switch tag := s[8]; {
		case tag == clock && s[40]&1 != 0:
			put(s, notSupported) // an absolute time
		case tag == clock:
			if ns := binary.LittleEndian.Uint64(s[24:]); first == nil || ns < soonest {
				soonest, first = ns, s
			}
		case tag > write:
			return badArgument
		default:
			errno := byte(badFile)
			if fd := binary.LittleEndian.Uint32(s[16:]); tag == write && (fd == 1 || fd == 2) {
				errno = 0
			}
			put(s, errno)
		}
	}
	if found == 0 && first != nil {
		i.sleep(int64(min(soonest, math.MaxInt64)))
		put(first, 0)
	}
	if !mem.WriteUint32Le(count, found) {
		return badAddress
	}
	return 0
}

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
