package main_test

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
)

// TestNativePluginEndsWithItsServer, even when that is killed.
func TestNativePluginEndsWithItsServer(t *testing.T) {
	t.Parallel()
	s := start(t, "")
	s.drop(t, "feed", content(t, build(t, feedPlugin, "", "")))
	s.plugin(t, "feed", "ready")
	plugins := children(t, s.Pid())
	if len(plugins) != 1 {
		t.Fatalf("the server has the processes %v, one is wanted", plugins)
	}
	if err := s.Kill(); err != nil {
		t.Fatal(err)
	}
	eventually(t, fmt.Sprintf("process %d to end", plugins[0]), func() (bool, any) {
		_, state, ok := stat(plugins[0])
		return !ok || state == "Z", state
	})
}

// children lists the processes whose parent a process is.
func children(t *testing.T, parent int) (pids []int) {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if of, state, ok := stat(pid); ok && of == parent && state != "Z" {
			pids = append(pids, pid)
		}
	}
	return pids
}

// stat reads parent and state of a process (proc(5)); it may be gone.
func stat(pid int) (parent int, state string, ok bool) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, "", false
	}
	// The command's name, in brackets, may hold spaces.
	f := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	if len(f) < 2 {
		return 0, "", false
	}
	parent, err = strconv.Atoi(f[1])
	return parent, f[0], err == nil
}
