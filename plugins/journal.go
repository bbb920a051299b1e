package plugins

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/tappet-dev/tappet/sdk"
)

// A Line is one line of a plugin's log.
type Line struct {
	// Number counts the lines from 1.
	Number uint64    `json:"number"`
	At     time.Time `json:"at"`
	// Level is "" for what the plugin printed.
	Level sdk.Level `json:"level,omitempty"`
	Text  string    `json:"text"`
}

// maxLine is the most bytes of a kept line.
const maxLine = 4 << 10

// A journal keeps the last lines of a plugin, over its versions. As a writer it
// takes what the plugin prints and never fails.
type journal struct {
	mu   sync.Mutex
	ring []Line
	next int // where the next line goes once the ring is full
	max  int
	said uint64   // lines in all
	part []byte   // of a line whose end hasn't come
	to   *journal // takes the lines instead, once it has been joined
}

// join hands the lines over to another journal, and those to come.
func (j *journal) join(to *journal) {
	j.mu.Lock()
	defer j.mu.Unlock()
	lines := append(j.ring[j.next:len(j.ring):len(j.ring)], j.ring[:j.next]...)
	j.to, j.ring = to, nil
	for _, l := range lines {
		j.put(l)
	}
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	n := len(p)
	for len(p) > 0 {
		line, rest, found := bytes.Cut(p, []byte("\n"))
		j.part = append(j.part, line[:min(len(line), maxLine-len(j.part))]...)
		if !found {
			break
		}
		if len(j.part) > 0 {
			j.put(Line{At: time.Now(), Text: strings.ToValidUTF8(string(j.part), "\uFFFD")})
		}
		j.part, p = j.part[:0], rest
	}
	return n, nil
}

// add takes a line that the plugin logged.
func (j *journal) add(level sdk.Level, msg string, args []any) {
	text := msg
	for i := 0; i+1 < len(args) && len(text) < maxLine; i += 2 {
		text += fmt.Sprintf(" %v=%q", args[i], fmt.Sprint(args[i+1]))
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.put(Line{At: time.Now(), Level: level, Text: strings.ToValidUTF8(text[:min(len(text), maxLine)], "\uFFFD")})
}

// put keeps a line; j.mu is held.
func (j *journal) put(l Line) {
	if j.to != nil {
		j.to.mu.Lock()
		defer j.to.mu.Unlock()
		j.to.put(l)
		return
	}
	j.said++
	l.Number = j.said
	if len(j.ring) < j.max {
		j.ring = append(j.ring, l)
		return
	}
	j.ring[j.next] = l
	j.next = (j.next + 1) % j.max
}

func (j *journal) lines() []Line {
	j.mu.Lock()
	defer j.mu.Unlock()
	return append(append(make([]Line, 0, len(j.ring)), j.ring[j.next:]...), j.ring[:j.next]...)
}
