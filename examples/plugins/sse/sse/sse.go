// Package sse is a connector that listens to server-sent events.
//
// It holds no connection of its own: the engine does, within its limits, and
// the plugin reads the body. Its one rule: the cursor is the id of the last
// event that is durable, so that a new connection goes on behind it.
package sse

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"time"

	"github.com/tappet-dev/tappet/sdk"
)

// firstRetry is how long a lost connection rests unless the server says.
const firstRetry = 3 * time.Second

// Config is what the trigger is given.
type Config struct {
	URL   string   `json:"url" title:"Address" description:"The address of an event stream (text/event-stream)." format:"uri"`
	Types []string `json:"types,omitempty" title:"Types" description:"The types of events that start runs; left out: all."`
}

// Event is one event of the stream.
type Event struct {
	ID   string `json:"id" title:"Identifier" description:"The id that the server gave last; may be empty."`
	Type string `json:"type" title:"Type" description:"The event's type: message, unless the server names one."`
	Text string `json:"text" title:"Text" description:"The data as it came."`
	// Data is the text, if that is JSON; else null.
	Data json.RawMessage `json:"data" title:"Data" description:"The data, if it is JSON; else null."`
}

// Connector gives the connector.
func Connector() sdk.Connector {
	event := sdk.Stream("event", "An event comes", listen)
	event.Description = "Stays connected to a stream of server-sent events and starts a run for each."
	return sdk.Connector{
		Name: "sse", Title: "Server-sent events", Version: "1.0.0",
		Description: "Listens to event streams.",
		Needs:       sdk.Needs{HTTP: []string{"{url}"}},
		Triggers:    []sdk.Trigger{event},
	}
}

func listen(ctx context.Context, h sdk.Host, cfg Config, cursor sdk.Cursor, emit sdk.Emit[Event]) error {
	s := &stream{cfg: cfg, host: h, emit: emit, last: string(cursor), retry: firstRetry}
	for {
		if err := s.connect(ctx); err != nil {
			return err
		}
		rest := time.NewTimer(s.retry)
		select {
		case <-rest.C:
		case <-ctx.Done():
			rest.Stop()
			return ctx.Err()
		}
	}
}

// A stream is one trigger's listening, over one connection after another.
type stream struct {
	cfg   Config
	host  sdk.Host
	emit  sdk.Emit[Event]
	last  string
	retry time.Duration
}

// connect listens on one connection; nil means that it ended as connections do.
func (s *stream) connect(ctx context.Context) error {
	req := &sdk.Request{URL: s.cfg.URL, Header: sdk.Header{
		{Name: "Accept", Value: "text/event-stream"}, {Name: "Cache-Control", Value: "no-store"},
	}}
	if s.last != "" {
		req.Header.Add("Last-Event-ID", s.last)
	}
	resp, err := s.host.HTTP(ctx, req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	switch {
	case resp.Status == 204:
		return sdk.Errorf(sdk.Unavailable, "the server has no more events (status 204)")
	case resp.Status == 401:
		return sdk.Errorf(sdk.Unauthorized, "the server answered with status 401")
	case resp.Status != 200:
		return sdk.Errorf(sdk.Unavailable, "the server answered with status %d", resp.Status)
	}
	err = s.read(ctx, resp.Body)
	var taken *refused
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.As(err, &taken):
		return taken.err
	case sdk.KindOf(err) == sdk.TooLarge && errors.Is(err, errLong):
		return err
	}
	// Whatever ended the connection, the next one goes on behind the last event.
	return nil
}

// refused is an event that the engine didn't take.
type refused struct{ err error }

func (r *refused) Error() string { return r.err.Error() }

// read hands the events of one connection on.
func (s *stream) read(ctx context.Context, body io.Reader) error {
	p := parser{lines: bufio.NewReaderSize(body, 4<<10), id: s.last}
	for {
		b, err := p.next()
		if err != nil {
			return err
		}
		if p.retry > 0 {
			s.retry = p.retry
		}
		if b.kind == "" || !s.wants(b.kind) {
			s.last = b.id
			continue
		}
		e := Event{ID: b.id, Type: b.kind, Text: b.data, Data: json.RawMessage("null")}
		if json.Valid([]byte(b.data)) {
			e.Data = json.RawMessage(b.data)
		}
		if err := s.emit(ctx, sdk.Cursor(b.id), sdk.EventOf[Event]{Key: b.id, Data: e}); err != nil {
			return &refused{err}
		}
		s.last = b.id
	}
}

func (s *stream) wants(kind string) bool {
	for _, t := range s.cfg.Types {
		if t == kind {
			return true
		}
	}
	return len(s.cfg.Types) == 0
}
