//go:build !linux

package wasm

import "runtime/debug"

// limitProcess can't bound a process's memory on this system; the engine's clock
// bounds its time.
func limitProcess(_, bytes uint64) error {
	debug.SetMemoryLimit(int64(bytes / 2))
	return nil
}
