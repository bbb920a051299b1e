package native

import (
	"bytes"
	"strings"
	"sync"
)

// line keeps the first line that is written.
type line struct {
	mu   sync.Mutex
	buf  []byte
	full bool
}

// maxLine is the most that is kept of a first line; a handshake with its
// certificate has less than 2 KiB.
const maxLine = 4 << 10

func (l *line) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.full {
		head, _, found := bytes.Cut(p, []byte("\n"))
		l.buf = append(l.buf, head[:min(len(head), maxLine-len(l.buf))]...)
		l.full = found || len(l.buf) >= maxLine
	}
	return len(p), nil
}

// handshake gives the line, shortened, whether it looks like go-plugin's (core
// version, version, network, address, protocol), and that version.
func (l *line) handshake() (text string, ok bool, version string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	text = strings.ToValidUTF8(strings.TrimSpace(string(l.buf)), "\uFFFD")
	parts := strings.Split(text, "|")
	if ok = len(parts) >= 5 && parts[0] == "1" && parts[4] == "grpc"; ok {
		version = parts[1]
	}
	if len(text) > 200 {
		text = text[:200]
	}
	return text, ok, version
}

// tail keeps the end of what is written.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

const maxTail = 8 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, p...)
	if n := len(t.buf) - maxTail; n > 0 {
		t.buf = append(t.buf[:0], t.buf[n:]...)
	}
	return len(p), nil
}

// lines gives the last five lines in one; of a Go program's last words, those
// that say why.
func (t *tail) lines() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := strings.Split(strings.TrimSpace(string(t.buf)), "\n")
	for i := len(l) - 1; i >= 0; i-- {
		if strings.HasPrefix(l[i], "panic: ") || strings.HasPrefix(l[i], "fatal error: ") {
			return l[i]
		}
	}
	return strings.Join(l[max(0, len(l)-5):], " | ")
}
