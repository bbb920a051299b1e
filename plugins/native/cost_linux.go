package native

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"time"
)

// tick is the unit of times in /proc: USER_HZ is 100 for each program of Linux,
// whatever the kernel counts in.
const tick = 10 * time.Millisecond

// usage reads a process's times and its resident memory, zeros if it is gone
// (proc_pid_stat(5)).
func usage(pid int) (cpu time.Duration, memory int64) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, 0
	}
	// The name, in parentheses, may hold anything; what follows begins with field 3.
	f := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
	field := func(n int) int64 {
		if n-3 >= len(f) {
			return 0
		}
		v, _ := strconv.ParseInt(string(f[n-3]), 10, 64) // what is no number is none
		return v
	}
	const utime, stime, rss = 14, 15, 24
	return time.Duration(field(utime)+field(stime)) * tick, field(rss) * int64(os.Getpagesize())
}
