package client

import (
	"context"
	"encoding/json"
	"net/url"
	"time"
)

// An Event is something that came in and what became of it; Headers, Whole,
// Body, BodyBase64 and Parsed are only there when it was asked for by id.
type Event struct {
	ID    string    `json:"id"`
	Graph string    `json:"graph"`
	At    time.Time `json:"at"`
	// Outcome is run, filtered, duplicate, refused or failed.
	Outcome string `json:"outcome"`
	Reason  string `json:"reason"`
	Detail  string `json:"detail"`
	// Run is "" for one that is no run.
	Run string `json:"run"`
	// Missed is how many refused ones before it are only counted.
	Missed int    `json:"missed"`
	Method string `json:"method"`
	Path   string `json:"path"`
	Query  string `json:"query"`
	Remote string `json:"remote"`
	// Size is of the body in bytes; nil: it isn't known.
	Size    *int64        `json:"size"`
	Headers []EventHeader `json:"headers"`
	// Whole: all of the body was kept.
	Whole      bool            `json:"whole"`
	Body       string          `json:"body"`
	BodyBase64 string          `json:"body_base64"`
	Parsed     json.RawMessage `json:"parsed"`
}

// An EventHeader is one field of a request.
type EventHeader struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// An EventQuery selects events; zero fields select all.
type EventQuery struct {
	Graph    string
	Outcomes []string
	// Limit is from 1 to 200; 0 leaves it to the server.
	Limit int
	// Cursor is NextCursor of the page before.
	Cursor string
}

// Events gives one page of what came in, newest first.
func (c *Client) Events(ctx context.Context, q EventQuery) (Page[Event], error) {
	v := url.Values{}
	set(v, "graph", q.Graph)
	for _, o := range q.Outcomes {
		v.Add("outcome", o)
	}
	setInt(v, "limit", q.Limit)
	set(v, "cursor", q.Cursor)
	return get[Page[Event]](ctx, c, v, "events")
}

// Event gives something that came in, with its headers and body.
func (c *Client) Event(ctx context.Context, id string) (Event, error) {
	return get[Event](ctx, c, nil, "events", id)
}

// Reinject starts a run of something that came in, and gives the run's id.
func (c *Client) Reinject(ctx context.Context, id string) (string, error) {
	v, err := post[struct {
		Run string `json:"run"`
	}](ctx, c, "events", id, "reinject")
	return v.Run, err
}
