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

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"

	"github.com/tappet-dev/tappet/plugins/pipe"
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
	idle   []*instance
	live   map[*instance]struct{}
	calls  sync.WaitGroup
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
	rt := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigCompiler().
		WithCloseOnContextDone(true).
		WithMemoryLimitPages(uint32(e.limits.Memory/pageSize)).
		WithCompilationCache(e.cache))
	m := &Module{
		limits: e.limits, runtime: rt, log: log,
		slots: make(chan struct{}, e.limits.Instances), end: make(chan struct{}), live: map[*instance]struct{}{},
	}
	if err := m.prepare(ctx, module); err != nil {
		return nil, errors.Join(err, rt.Close(context.WithoutCancel(ctx)))
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

// prepare compiles the module, checks its face and makes what it imports.
func (m *Module) prepare(ctx context.Context, module []byte) error {
	var err error
	if m.code, err = m.runtime.CompileModule(ctx, module); err != nil {
		return sdk.Errorf(sdk.Invalid, "compile the module: %w", err)
	}
	if err := checkExports(m.code); err != nil {
		return err
	}
	if err := checkImports(m.code); err != nil {
		return err
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

func checkExports(code wazero.CompiledModule) error {
	start, ok := code.ExportedFunctions()["_start"]
	if !ok || len(start.ParamTypes()) != 0 || len(start.ResultTypes()) != 0 {
		return sdk.Errorf(sdk.Invalid, "the module exports no function _start; build it as a command (package main), not as a library")
	}
	if _, ok := code.ExportedMemories()["memory"]; !ok {
		return sdk.Errorf(sdk.Invalid, "the module exports no memory named memory")
	}
	return nil
}

// checkImports refuses a module that needs what this engine hasn't got.
func checkImports(code wazero.CompiledModule) error {
	if mem := code.ImportedMemories(); len(mem) > 0 {
		return sdk.Errorf(sdk.Invalid, "the module imports a memory; it has to bring its own")
	}
	speaks := false
	var foreign []string
	for _, f := range code.ImportedFunctions() {
		module, name, _ := f.Import()
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
	r, err := i.call(ctx, f, s)
	m.release(i, err == nil)
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
	sound = sound && !m.closed && len(m.idle) < m.limits.Idle && i.memory() <= m.limits.Recycle
	if sound {
		m.idle = append(m.idle, i)
	} else {
		delete(m.live, i)
	}
	m.mu.Unlock()
	if !sound {
		i.close()
	}
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
	if err := m.runtime.Close(context.Background()); err != nil {
		return fmt.Errorf("close the runtime: %w", err)
	}
	return nil
}
