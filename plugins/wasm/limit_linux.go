package wasm

import (
	"fmt"
	"os"
	"runtime/debug"
	"syscall"
)

// limitProcess bounds this process from now on: its processor time, and its
// address space beyond what it has.
func limitProcess(seconds, bytes uint64) error {
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return err
	}
	var pages uint64
	if _, err := fmt.Sscan(string(b), &pages); err != nil {
		return fmt.Errorf("read the size of the process: %w", err)
	}
	// Collecting in time is better than failing.
	debug.SetMemoryLimit(int64(bytes / 2))
	space := pages*uint64(os.Getpagesize()) + bytes
	if err := syscall.Setrlimit(syscall.RLIMIT_AS, &syscall.Rlimit{Cur: space, Max: space}); err != nil {
		return err
	}
	return syscall.Setrlimit(syscall.RLIMIT_CPU, &syscall.Rlimit{Cur: seconds, Max: seconds})
}
