package wasm

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/tetratelabs/wazero"

	"github.com/tappet-dev/tappet/sdk"
)

// CompileCommand is the argument by which a binary becomes the compiler's
// process: what follows it goes to [CompileMain].
const CompileCommand = "wasm-compile"

// CompileMain is a compiler's process: it reads a module and compiles it into
// the cache of the engine that started it, which gave args, within the limits
// that they name. It gives the exit code; why it isn't 0 goes to errs.
func CompileMain(args []string, module io.Reader, errs io.Writer) int {
	if err := compile(args, module); err != nil {
		fmt.Fprintln(errs, err)
		return 1
	}
	return 0
}

func compile(args []string, module io.Reader) error {
	if len(args) != 4 {
		return errors.New("the cache folder, memory pages, seconds and bytes are wanted; the engine gives them")
	}
	var n [3]uint64
	for i := range n {
		v, err := strconv.ParseUint(args[i+1], 10, 63)
		if err != nil {
			return fmt.Errorf("read the compiler's arguments: %w", err)
		}
		n[i] = v
	}
	if err := limitProcess(n[1], n[2]); err != nil {
		return fmt.Errorf("limit the compiler's process: %w", err)
	}
	b, err := io.ReadAll(module)
	if err != nil {
		return fmt.Errorf("read the module: %w", err)
	}
	cache, err := wazero.NewCompilationCacheWithDir(args[0])
	if err != nil {
		return fmt.Errorf("open the compilation cache: %w", err)
	}
	ctx := context.Background()
	rt := wazero.NewRuntimeWithConfig(ctx, runtimeConfig(uint32(n[0]), false).WithCompilationCache(cache))
	_, err = rt.CompileModule(ctx, b)
	return err
}

// runtimeConfig is the same for who compiles and for who runs.
func runtimeConfig(pages uint32, interrupt bool) wazero.RuntimeConfig {
	return wazero.NewRuntimeConfigCompiler().WithCloseOnContextDone(interrupt).
		WithMemoryLimitPages(pages).WithDebugInfoEnabled(false)
}

// precompile has a process of its own compile the module into the cache, unless
// one did so before. The mark that it leaves says of the module's digest that
// compiling it stays within the limits; so a cache that was emptied costs time
// and no more.
func (e *Engine) precompile(ctx context.Context, module []byte) error {
	if len(e.compiler) == 0 {
		return nil
	}
	sum := sha256.Sum256(module)
	mark := filepath.Join(e.dir, "within-limits-"+hex.EncodeToString(sum[:]))
	if _, err := os.Stat(mark); err == nil {
		return nil
	}
	select {
	case e.compiling <- struct{}{}:
	case <-ctx.Done():
		return &sdk.Error{Kind: sdk.KindOf(ctx.Err()), Err: fmt.Errorf("wait to compile the module: %w", context.Cause(ctx))}
	}
	defer func() { <-e.compiling }()
	seconds := max(1, int(e.limits.Compile/time.Second))
	// What doesn't get a processor for so long is stopped by the clock.
	ctx, cancel := context.WithTimeout(ctx, 4*e.limits.Compile)
	defer cancel()
	args := append(e.compiler[1:len(e.compiler):len(e.compiler)], CompileCommand, e.dir,
		strconv.Itoa(e.limits.Memory/pageSize), strconv.Itoa(seconds), strconv.Itoa(e.limits.CompileMemory))
	cmd := exec.CommandContext(ctx, e.compiler[0], args...)
	cmd.Env = []string{"GOTRACEBACK=none"}
	cmd.Stdin = bytes.NewReader(module)
	var said limited
	cmd.Stderr = &said
	cmd.WaitDelay = time.Second
	err := cmd.Run()
	exit, exited := errors.AsType[*exec.ExitError](err)
	switch {
	case err == nil:
	case ctx.Err() != nil && !errors.Is(ctx.Err(), context.DeadlineExceeded):
		return &sdk.Error{Kind: sdk.Cancelled, Err: fmt.Errorf("compile the module: %w", context.Cause(ctx))}
	case ctx.Err() != nil, exited && signalled(exit):
		return sdk.Errorf(sdk.TooLarge, "compiling the module took more than %d s of processor time", seconds)
	case exited && (strings.Contains(said.String(), "out of memory") || strings.Contains(said.String(), "cannot allocate memory")):
		return sdk.Errorf(sdk.TooLarge, "compiling the module took more than %d bytes of memory", e.limits.CompileMemory)
	case exited && exit.ExitCode() == 1:
		return sdk.Errorf(sdk.Invalid, "compile the module: %s", strings.TrimSpace(said.String()))
	case exited:
		line, _, _ := strings.Cut(strings.TrimSpace(said.String()), "\n")
		return sdk.Errorf(sdk.Failed, "the compiler's process ended with %s: %s", exit, line)
	default:
		return fmt.Errorf("start the compiler's process: %w", err)
	}
	if err := os.WriteFile(mark, nil, 0o600); err != nil {
		return fmt.Errorf("mark the module as compiled: %w", err)
	}
	return nil
}

// signalled says whether the system ended a process.
func signalled(e *exec.ExitError) bool {
	s, ok := e.Sys().(syscall.WaitStatus)
	return ok && s.Signaled()
}

// limited keeps the beginning of what a process says.
type limited struct{ bytes.Buffer }

func (l *limited) Write(p []byte) (int, error) {
	if room := 4<<10 - l.Len(); room > 0 {
		_, _ = l.Buffer.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}
