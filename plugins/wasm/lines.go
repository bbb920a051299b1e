package wasm

import (
	"fmt"
	"time"

	"github.com/tappet-dev/tappet/sdk/wire"
)

// lines is the account of an instance's log lines. Its zero value is ready.
type lines struct {
	since   time.Time
	written int
	dropped int
}

// pass says whether a line may be written; the first after some that might not
// says how many.
func (l *lines) pass(f *wire.Frame, limit int, now time.Time) bool {
	if now.Sub(l.since) >= time.Minute {
		l.since, l.written = now, 0
	}
	if l.written >= limit {
		l.dropped++
		return false
	}
	l.written++
	if l.written == limit {
		f.Text += " (further lines of this minute are dropped)"
	}
	if l.dropped > 0 {
		f.Text = fmt.Sprintf("(%d lines before this one were dropped) %s", l.dropped, f.Text)
		l.dropped = 0
	}
	return true
}
