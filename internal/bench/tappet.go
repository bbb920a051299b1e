package bench

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/tappet-dev/tappet/api/client"
)

// A Tappet is a server of the real program, on a data folder of its own.
type Tappet struct {
	*Process
	*client.Client
}

// StartTappet starts the program at path on a data folder.
func StartTappet(ctx context.Context, path, data string, args ...string) (*Tappet, error) {
	const token = "bench-token-of-a-temporary-folder"
	cmd := exec.Command(path, append([]string{"serve", "--data", data, "--addr", "127.0.0.1:0"}, args...)...)
	cmd.Env = append(os.Environ(), "TAPPET_ADMIN_TOKEN="+token)
	p, err := Start(ctx, cmd)
	if err != nil {
		return nil, err
	}
	c, err := client.New(p.URL, token, client.Options{})
	if err != nil {
		return nil, err
	}
	return &Tappet{Process: p, Client: c}, nil
}

// AwaitPlugin waits until a plugin is ready.
func (t *Tappet) AwaitPlugin(ctx context.Context, name string) error {
	for {
		p, err := t.Plugin(ctx, name)
		if err == nil && p.Health.State == "ready" {
			return nil
		}
		if err := pause(ctx, 50*time.Millisecond); err != nil {
			return fmt.Errorf("wait for the plugin %s: %w: %s", name, err, p.Health.Reason)
		}
	}
}

// pause waits, unless ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Usage is processor time and resident memory of the server and of the
// processes that it has started and that still run.
func (t *Tappet) Usage() (cpu time.Duration, rss int64, err error) {
	pids := []int{t.Pid()}
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", t.Pid()))
	if err != nil {
		return 0, 0, fmt.Errorf("read the plugins' processes: %w", err)
	}
	var children []byte
	for _, task := range tasks {
		// A child belongs to the thread that started it, which may have ended.
		if more, err := os.ReadFile(task); err == nil {
			children = append(append(children, ' '), more...)
		}
	}
	seen := map[string]bool{}
	for _, f := range strings.Fields(string(children)) {
		if pid, err := strconv.Atoi(f); err == nil && !seen[f] {
			seen[f] = true
			pids = append(pids, pid)
		}
	}
	for _, pid := range pids {
		c, err := CPU(pid)
		if err != nil {
			return 0, 0, err
		}
		r, err := RSS(pid)
		if err != nil {
			return 0, 0, err
		}
		cpu, rss = cpu+c, rss+r
	}
	return cpu, rss, nil
}

// InstallAs writes a plugin's file into the plugins folder of a data folder,
// under another name than the one that it was built with. Both have the same
// length.
func InstallAs(data, file, built, name string) error {
	b, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("install a plugin: %w", err)
	}
	if len(built) != len(name) || !bytes.Contains(b, []byte(built)) {
		return fmt.Errorf("install a plugin: %s has no name %q that %q could stand in for", file, built, name)
	}
	dir := filepath.Join(data, "plugins")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("install a plugin: %w", err)
	}
	b = bytes.ReplaceAll(b, []byte(built), []byte(name))
	if err := os.WriteFile(filepath.Join(dir, name+filepath.Ext(file)), b, 0o700); err != nil {
		return fmt.Errorf("install a plugin: %w", err)
	}
	return nil
}
