package engine

import (
	"fmt"
	"strings"
	"sync"
)

const (
	// maxWarnings is how many warnings of an attempt are recorded, maxWarning how
	// many bytes of each.
	maxWarnings = 8
	maxWarning  = 500
)

// warnings keeps what a connector says at level warn in one call. Its zero value
// is empty. It is safe for concurrent use.
type warnings struct {
	mu   sync.Mutex
	list []string
	over bool
}

// note keeps a warning with its key-value pairs, without the secrets that the
// call has got. Those behind the first few, and those after the call, are
// dropped.
func (w *warnings) note(hide *mask, msg string, args []any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.over || len(w.list) >= maxWarnings {
		return
	}
	var b strings.Builder
	b.WriteString(msg)
	for i := 0; i+1 < len(args); i += 2 {
		fmt.Fprintf(&b, " %v=%v", args[i], args[i+1])
	}
	// Hidden before it is cut short: half a secret isn't found any more.
	text := strings.ToValidUTF8(hide.text(b.String()), "\uFFFD")
	if len(text) > maxWarning {
		text = strings.ToValidUTF8(text[:maxWarning-len("…")], "") + "…"
	}
	w.list = append(w.list, text)
}

// end gives what was kept; nothing is kept any more.
func (w *warnings) end() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.over = true
	return w.list
}
