package wasm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"

	"github.com/tappet-dev/tappet/plugins/pipe"
	"github.com/tappet-dev/tappet/plugins/wasm/meter"
	"github.com/tappet-dev/tappet/plugins/wasm/scan"
	"github.com/tappet-dev/tappet/sdk"
	"github.com/tappet-dev/tappet/sdk/wire"
)

const pageSize = 64 << 10

var _ pipe.Caller = (*Module)(nil)

// A Module is one plugin's module with a runtime of its own and a pool of
// instances, one call each. It is safe for concurrent use.
type Module struct {
	limits  Limits
	runtime wazero.Runtime
	code    wazero.CompiledModule
	log     io.Writer

	slots chan struct{} // one for each instance that may be
	end   chan struct{} // closed by Close

	mu     sync.Mutex
	closed bool
	idle   []*instance // in the order in which they came, the last first to go
	sweep  *time.Timer // runs while there are any; calls reap
	live   map[*instance]struct{}
	calls  sync.WaitGroup
	usage  Usage

	busy atomic.Int64 // nanoseconds of the guests
}

// Usage is what a module has used since it was loaded.
type Usage struct {
	// Calls is how many calls have ended, Lost how many of them took their
	// instance with them.
	Calls, Lost uint64
	// Turns is the guest's work: a turn of a loop, a function's entry, 512 bytes
	// of straight code or 256 bytes copied; it is counted by meter.DefaultTurns.
	Turns uint64
	// Longest is the most turns of one call.
	Longest uint64
}

// Usage gives the account of the module's work.
func (m *Module) Usage() Usage {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.usage
}

// account books one call.
func (m *Module) account(turns uint64, lost bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.usage.Calls++
	if lost {
		m.usage.Lost++
	}
	m.usage.Turns += turns
	m.usage.Longest = max(m.usage.Longest, turns)
}

// Load checks and compiles a module. What instances print goes to log, which
// must be safe for concurrent use; nil drops it. ctx bounds nothing once
// compiling has begun: that takes seconds for megabytes.
//
// A file that isn't a module, or not one for this engine, is an *sdk.Error of
// kind invalid or too_large that says what is wrong with it.
func (e *Engine) Load(ctx context.Context, module []byte, log io.Writer) (*Module, error) {
	if err := e.recognise(module); err != nil {
		return nil, err
	}
	if log == nil {
		log = io.Discard
	}
	module, err := e.ready(module)
	if err != nil {
		return nil, err
	}
	if err := e.precompile(ctx, module); err != nil {
		return nil, err
	}
	rt := wazero.NewRuntimeWithConfig(ctx, runtimeConfig(uint32(e.limits.Memory/pageSize), false).WithCompilationCache(e.cache))
	m := &Module{
		limits: e.limits, runtime: rt, log: log,
		slots: make(chan struct{}, e.limits.Instances), end: make(chan struct{}), live: map[*instance]struct{}{},
	}
	if err := m.prepare(ctx, module); err != nil {
		return nil, errors.Join(err, m.free(context.WithoutCancel(ctx)))
	}
	return m, nil
}

// recognise refuses what no compiler need look at.
func (e *Engine) recognise(module []byte) error {
	switch {
	case len(module) == 0:
		return sdk.Errorf(sdk.Invalid, "the file is empty; a WebAssembly module is wanted")
	case !bytes.HasPrefix(module, []byte("\x00asm")):
		return sdk.Errorf(sdk.Invalid, "not a WebAssembly module: it doesn't begin with \\0asm; build it with GOOS=wasip1 GOARCH=wasm")
	case len(module) < 8 || !bytes.Equal(module[4:8], []byte{1, 0, 0, 0}):
		return sdk.Errorf(sdk.Invalid, "not a core module of WebAssembly version 1; components are not supported")
	case len(module) > e.limits.Module:
		return sdk.Errorf(sdk.TooLarge, "the module has %d bytes, %d are allowed", len(module), e.limits.Module)
	}
	return nil
}

// ready scans a module and checks its face; it gives what is to be compiled.
func (e *Engine) ready(module []byte) ([]byte, error) {
	m, err := scan.Parse(module, e.limits.Scan)
	if err != nil {
		return nil, fmt.Errorf("scan the module: %w", err)
	}
	if err := checkExports(m); err != nil {
		return nil, err
	}
	if err := checkImports(m); err != nil {
		return nil, err
	}
	if e.unmetered {
		return m.Bytes(nil, 0), nil
	}
	b, err := meter.Rewrite(m, meter.Options{Module: wire.Module, Name: "swap"})
	if err != nil {
		return nil, fmt.Errorf("meter the module: %w", err)
	}
	return b, nil
}

// prepare compiles the module and makes what it imports.
func (m *Module) prepare(ctx context.Context, module []byte) error {
	var err error
	if m.code, err = m.runtime.CompileModule(ctx, module); err != nil {
		return sdk.Errorf(sdk.Invalid, "compile the module: %w", err)
	}
	if err := m.exportWASI(ctx); err != nil {
		return fmt.Errorf("prepare the system interface: %w", err)
	}
	i32 := api.ValueTypeI32
	_, err = m.runtime.NewHostModuleBuilder(wire.Module).
		NewFunctionBuilder().WithGoModuleFunction(api.GoModuleFunc(swap), []api.ValueType{i32, i32, i32, i32}, []api.ValueType{i32}).Export("swap").
		NewFunctionBuilder().WithGoModuleFunction(api.GoModuleFunc(take), []api.ValueType{i32, i32}, []api.ValueType{i32}).Export("take").
		Instantiate(ctx)
	if err != nil {
		return fmt.Errorf("prepare module %s: %w", wire.Module, err)
	}
	return nil
}

func checkExports(m *scan.Module) error {
	e, ok := m.Export("_start", scan.ExportFunction)
	if ok {
		t := m.Function(e.Index)
		ok = len(t.Params) == 0 && len(t.Results) == 0
	}
	if !ok {
		return sdk.Errorf(sdk.Invalid, "the module exports no function _start; build it as a command (package main), not as a library")
	}
	if _, ok := m.Export("memory", scan.ExportMemory); !ok {
		return sdk.Errorf(sdk.Invalid, "the module exports no memory named memory")
	}
	return nil
}

// checkImports refuses a module that needs what this engine hasn't got.
func checkImports(m *scan.Module) error {
	speaks := false
	var foreign []string
	for _, f := range m.Imports {
		module, name := f.Module, f.Name
		switch {
		case module == wire.Module:
			if name == "swap" || name == "take" {
				speaks = speaks || name == "swap"
				continue
			}
		case strings.HasPrefix(module, wire.ModulePrefix):
			return sdk.Errorf(sdk.Invalid, "the module speaks %s, this engine speaks %s; build it with a matching sdk", module, wire.Module)
		case module == wasi_snapshot_preview1.ModuleName:
			continue
		}
		foreign = append(foreign, fmt.Sprintf("%q.%q", module, name))
	}
	if len(foreign) > 0 {
		slices.Sort(foreign)
		n := len(foreign)
		return sdk.Errorf(sdk.Invalid, "the module imports %d functions that this engine does not have: %s",
			n, strings.Join(foreign[:min(n, 5)], ", "))
	}
	if !speaks {
		return sdk.Errorf(sdk.Invalid, "the module is no Tappet plugin: it does not import %s.swap; call serve.Main from main", wire.Module)
	}
	return nil
}

// Call runs one call on an instance of its own. When ctx ends the guest is told
// at its next word to the host; after the grace the instance is thrown away.
// A call that finds all instances busy waits for one until ctx ends.
func (m *Module) Call(ctx context.Context, f *wire.Frame, s pipe.Server) (wire.Frame, error) {
	i, err := m.acquire(ctx)
	if err != nil {
		return wire.Frame{}, err
	}
	defer m.calls.Done()
	before := i.visits.Load()
	r, err := i.call(ctx, f, s)
	m.release(i, err == nil)
	m.account((i.visits.Load()-before)*meter.DefaultTurns, err != nil)
	return r, err
}

// acquire takes an idle instance or makes one. The caller owes calls.Done.
func (m *Module) acquire(ctx context.Context) (*instance, error) {
	select {
	case m.slots <- struct{}{}:
	case <-m.end:
		return nil, &sdk.Error{Kind: sdk.Unavailable, Err: errClosed}
	case <-ctx.Done():
		return nil, &sdk.Error{
			Kind: sdk.Unavailable,
			Err:  fmt.Errorf("all %d instances of the plugin are busy: %w", m.limits.Instances, context.Cause(ctx)),
		}
	}
	m.mu.Lock()
	if m.closed {
		m.mu.Unlock()
		<-m.slots
		return nil, &sdk.Error{Kind: sdk.Unavailable, Err: errClosed}
	}
	m.calls.Add(1)
	if n := len(m.idle); n > 0 {
		i := m.idle[n-1]
		m.idle = m.idle[:n-1]
		m.mu.Unlock()
		return i, nil
	}
	i := newInstance(m)
	m.live[i] = struct{}{}
	m.mu.Unlock()
	if err := i.start(ctx); err != nil {
		m.release(i, false)
		m.calls.Done()
		return nil, err
	}
	return i, nil
}

// release puts a sound instance back and ends any other.
func (m *Module) release(i *instance, sound bool) {
	defer func() { <-m.slots }()
	m.mu.Lock()
	sound = sound && !m.closed && len(m.idle) < m.limits.Idle && i.sound(m.limits.Recycle)
	if sound {
		m.rest(i)
	} else {
		delete(m.live, i)
	}
	m.mu.Unlock()
	if !sound {
		i.close()
	}
}

// rest keeps an instance for the next call, for a time; mu is held.
func (m *Module) rest(i *instance) {
	i.rests = time.Now()
	m.idle = append(m.idle, i)
	if len(m.idle) > 1 {
		return // the clock runs
	}
	if m.sweep == nil {
		m.sweep = time.AfterFunc(m.limits.Unused, func() { m.reap(time.Now()) })
	} else {
		m.sweep.Reset(m.limits.Unused)
	}
}

// reap ends the instances that no call has needed for long.
func (m *Module) reap(now time.Time) {
	m.mu.Lock()
	if m.closed {
		m.mu.Unlock()
		return
	}
	m.calls.Add(1) // Close waits for it
	defer m.calls.Done()
	n := 0
	for n < len(m.idle) && now.Sub(m.idle[n].rests) >= m.limits.Unused {
		delete(m.live, m.idle[n])
		n++
	}
	unused := slices.Clone(m.idle[:n])
	m.idle = slices.Delete(m.idle, 0, n)
	if len(m.idle) > 0 {
		m.sweep.Reset(max(0, m.limits.Unused-now.Sub(m.idle[0].rests)))
	}
	m.mu.Unlock()
	for _, i := range unused {
		i.close()
	}
}

// free gives back what the module holds. The engine's cache would keep its code.
func (m *Module) free(ctx context.Context) error {
	err := m.runtime.Close(ctx)
	if m.code != nil {
		err = errors.Join(err, m.code.Close(ctx))
	}
	return err
}

// Close ends all calls at once and returns when no instance is left.
func (m *Module) Close() error {
	m.mu.Lock()
	if m.closed {
		m.mu.Unlock()
		m.calls.Wait()
		return nil
	}
	m.closed = true
	if m.sweep != nil {
		m.sweep.Stop()
	}
	close(m.end)
	idle := m.idle
	m.idle = nil
	for i := range m.live {
		i.stop(errClosed)
	}
	m.mu.Unlock()
	for _, i := range idle {
		i.close()
	}
	m.calls.Wait()
	if err := m.free(context.Background()); err != nil {
		return fmt.Errorf("close the runtime: %w", err)
	}
	return nil
}
