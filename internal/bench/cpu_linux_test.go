package bench_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/tappet-dev/tappet/internal/bench"
)

// A limit on memory that is held proves nothing unless memory that is taken is
// seen, after it was given back too: the peak of a process that does so.
func TestPeakRSSSeesWhatIsTaken(t *testing.T) {
	t.Parallel()
	const size = 200 << 20
	if os.Getenv("TAPPET_BENCH_TAKE") != "" {
		b := make([]byte, size)
		for i := 0; i < len(b); i += 4096 {
			b[i] = 1
		}
		peak, err := bench.PeakRSS(os.Getpid())
		if err != nil || peak < size {
			t.Errorf("peak %d, %v; want at least %d", peak, err, size)
		}
		return
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestPeakRSSSeesWhatIsTaken$", "-test.v")
	cmd.Env = append(os.Environ(), "TAPPET_BENCH_TAKE=1")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS") {
		t.Errorf("%v\n%s", err, out)
	}
}
