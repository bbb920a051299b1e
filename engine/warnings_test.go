package engine

import (
	"errors"
	"strings"
	"testing"
)

// A warning never holds a secret, not even a part of one where it is cut short;
// without the mask it would.
func TestSec05WarningsHideSecrets(t *testing.T) {
	t.Parallel()
	const secret = "s3cr3t-canary-0123456789"
	for name, x := range map[string]struct {
		msg  string
		args []any
	}{
		"message":    {"it says " + secret, nil},
		"value":      {"it says", []any{"header", "Bearer " + secret}},
		"error":      {"it says", []any{"error", errors.New("get https://x.test/?k=" + secret)}},
		"at the cut": {strings.Repeat("x", maxWarning-10) + secret, nil},
	} {
		for _, hidden := range []bool{true, false} {
			var w warnings
			m := &mask{}
			if hidden {
				m.add(secret)
			}
			w.note(m, x.msg, x.args)
			got := w.end()
			if len(got) != 1 || len(got[0]) > maxWarning {
				t.Fatalf("%s: %q", name, got)
			}
			if strings.Contains(got[0], secret[:6]) == hidden {
				t.Errorf("%s, hidden %t: %q", name, hidden, got[0])
			}
		}
	}
}
