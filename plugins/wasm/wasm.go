// Package wasm runs plugins that are WASM modules, each in a sandbox: no files,
// no network, no environment, bounded memory and time.
//
// Before it compiles, a module is scanned (plugins/wasm/scan) and rewritten so
// that it comes back to the host every so many turns (plugins/wasm/meter).
//
// It isn't a general runtime: a module speaks tappet_1 (sdk/wire) or is
// refused. Its one rule: whatever a guest does costs at most its own call.
package wasm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/tetratelabs/wazero"

	"github.com/tappet-dev/tappet/plugins/wasm/scan"
)

// Limits bound what a module may take. A zero field means its default.
type Limits struct {
	// Module is the most bytes of a module: 32 MiB.
	Module int
	// Memory is the most bytes of an instance's linear memory, rounded down to
	// pages of 64 KiB: 64 MiB.
	Memory int
	// Recycle is the memory above which an instance isn't used again, since
	// memory never shrinks: half of Memory.
	Recycle int
	// Start is how long an instance may take until it is ready: 5 s.
	Start time.Duration
	// Grace is how long a call that was told to end may take to do so before
	// its instance is thrown away: 500 ms.
	Grace time.Duration
	// Instances is the most instances of a module at a time, and so of its
	// calls: 32.
	Instances int
	// Idle is how many instances are kept for the next calls: 2.
	Idle int
	// Unused is how long an instance is kept that no call needs: 5 min. The next
	// call then waits some milliseconds for a new one.
	Unused time.Duration
	// Compile is how much processor time compiling a module may take, in whole
	// seconds; where Options.Compiler is set: 1 min.
	Compile time.Duration
	// CompileMemory is the most bytes of memory that compiling a module may take,
	// on Linux and where Options.Compiler is set: 2 GiB.
	CompileMemory int
	// Lines is the most log lines that an instance may write at once, and again
	// each minute: 1,000. What is more is dropped, and said to be.
	Lines int
	// Output is the most bytes of standard output and error that a call may
	// write to the log: 4 KiB.
	Output int
	// Scan bounds what a module may hold; its Memory is the one above.
	Scan scan.Limits
}

func (l Limits) orDefaults() Limits {
	set := func(v *int, to int) {
		if *v <= 0 {
			*v = to
		}
	}
	set(&l.Module, 32<<20)
	set(&l.Memory, 64<<20)
	set(&l.Recycle, l.Memory/2)
	set(&l.Instances, 32)
	set(&l.Idle, 2)
	set(&l.Output, 4<<10)
	set(&l.CompileMemory, 2<<30)
	set(&l.Lines, 1000)
	l.Scan.Memory = l.Memory
	if l.Compile <= 0 {
		l.Compile = time.Minute
	}
	if l.Start <= 0 {
		l.Start = 5 * time.Second
	}
	if l.Unused <= 0 {
		l.Unused = 5 * time.Minute
	}
	if l.Grace <= 0 {
		l.Grace = 500 * time.Millisecond
	}
	return l
}

// Options are what an Engine can do without.
type Options struct {
	Limits Limits
	// CacheDir keeps compiled modules, so that a module compiles once; it holds
	// machine code and must be the engine's alone. "" compiles anew each time.
	CacheDir string
	// Compiler is the command line of a program that hands what follows
	// CompileCommand to CompileMain: modules compile in a process of their own,
	// whose time and memory are bounded. It needs a CacheDir. Empty compiles in
	// this process, which nothing can stop.
	Compiler []string
}

// An Engine loads modules, which share its compilation cache. It is safe for
// concurrent use.
type Engine struct {
	limits    Limits
	cache     wazero.CompilationCache
	dir       string
	compiler  []string
	compiling chan struct{} // one process at a time
	unmetered bool          // for the tests that compare
}

// New makes an engine; it creates the cache folder with mode 0700.
func New(o Options) (*Engine, error) {
	e := &Engine{limits: o.Limits.orDefaults(), compiler: o.Compiler, compiling: make(chan struct{}, 1)}
	if o.CacheDir == "" {
		if len(o.Compiler) > 0 {
			return nil, errors.New("a compiler's process needs a folder for the cache that it shares")
		}
		e.cache = wazero.NewCompilationCache()
		return e, nil
	}
	dir, err := filepath.Abs(o.CacheDir)
	if err != nil {
		return nil, fmt.Errorf("find the compilation cache: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the compilation cache: %w", err)
	}
	if e.cache, err = wazero.NewCompilationCacheWithDir(dir); err != nil {
		return nil, fmt.Errorf("open the compilation cache %s: %w", dir, err)
	}
	e.dir = dir
	return e, nil
}

// Close lets the cache go. The modules must have been closed before.
func (e *Engine) Close() error { return e.cache.Close(context.Background()) }

// errClosed is what a call to a closed module gets.
var errClosed = errors.New("the module was closed")
