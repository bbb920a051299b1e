package sse

import (
	"bufio"
	"bytes"
	"strconv"
	"strings"
	"time"

	"github.com/tappet-dev/tappet/sdk"
)

// maxEvent is the most bytes of one event.
const maxEvent = 1 << 20

// errLong ends a stream whose events are too long to be taken.
var errLong = sdk.Errorf(sdk.TooLarge, "an event has more than %d bytes", maxEvent)

// A parser reads the format of event streams (WHATWG HTML, 9.2.6).
type parser struct {
	lines *bufio.Reader
	// id is the last one; it lasts from event to event.
	id    string
	retry time.Duration
	begun bool
	// after says that the last line ended with CR, whose LF is no line.
	after bool
}

// A block is one event; without a kind it carries no data.
type block struct{ id, kind, data string }

// next gives the next block. A block that the connection cuts off is none.
func (p *parser) next() (block, error) {
	var data strings.Builder
	var kind string
	some := false
	for {
		line, err := p.line()
		if err != nil {
			return block{}, err
		}
		if line == "" {
			if !some {
				return block{id: p.id}, nil
			}
			if kind == "" {
				kind = "message"
			}
			return block{p.id, kind, strings.TrimSuffix(data.String(), "\n")}, nil
		}
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch name {
		case "event":
			kind = value
		case "data":
			some = true
			if data.Len()+len(value) >= maxEvent {
				return block{}, errLong
			}
			data.WriteString(value)
			data.WriteByte('\n')
		case "id":
			if !strings.Contains(value, "\x00") {
				p.id = value
			}
		case "retry":
			if ms, err := strconv.ParseUint(value, 10, 31); err == nil {
				p.retry = max(time.Duration(ms)*time.Millisecond, time.Millisecond)
			}
		}
	}
}

// line reads up to CR, LF or both. What isn't UTF-8 is replaced.
func (p *parser) line() (string, error) {
	var b []byte
	for {
		c, err := p.lines.ReadByte()
		if err != nil {
			return "", err
		}
		if p.after && c == '\n' {
			p.after = false
			continue
		}
		p.after = c == '\r'
		if c == '\r' || c == '\n' {
			break
		}
		if len(b) == maxEvent {
			return "", errLong
		}
		b = append(b, c)
	}
	if !p.begun {
		p.begun = true
		b = bytes.TrimPrefix(b, []byte("\ufeff"))
	}
	return strings.ToValidUTF8(string(b), "\ufffd"), nil
}
