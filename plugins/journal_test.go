package plugins_test

import (
	"strings"
	"testing"

	"github.com/tappet-dev/tappet/plugins"
	"github.com/tappet-dev/tappet/plugins/internal/guest"
)

// TestLogsGoOnOverAnUpgrade reads one log over two versions.
func TestLogsGoOnOverAnUpgrade(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	install(t, dir, "traps", guest.Native(t, guest.Traps))
	c := open(t, dir, plugins.Options{})
	logged := func() (n int) {
		t.Helper()
		conn, ok := c.Connector("traps")
		if !ok {
			t.Fatalf("%v", states(c))
		}
		if _, err := guest.Trap(t.Context(), t, conn, "log"); err != nil {
			t.Fatal(err)
		}
		lines := c.Logs("traps")
		for i, l := range lines {
			if l.Number != uint64(i+1) {
				t.Errorf("line %d has the number %d", i+1, l.Number)
			}
			if strings.HasPrefix(l.Text, "a line") {
				n++
			}
		}
		return n
	}
	first := logged()
	commit(t, c, append(content(t, guest.Native(t, guest.Traps)), 0))
	if second := logged(); first == 0 || second != 2*first {
		t.Errorf("%d lines before the upgrade, %d with those after it", first, second)
	}
}
