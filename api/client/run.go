package client

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"time"
)

// A Run is one run; lists leave Event, Result and Steps out.
type Run struct {
	ID         string          `json:"id"`
	Graph      string          `json:"graph"`
	Version    int             `json:"version"`
	State      string          `json:"state"`
	Attempt    int             `json:"attempt"`
	Key        string          `json:"key"`
	AcceptedAt time.Time       `json:"accepted_at"`
	EndedAt    *time.Time      `json:"ended_at"`
	Error      *RunError       `json:"error"`
	Event      json.RawMessage `json:"event"`
	Result     json.RawMessage `json:"result"`
	Steps      []Step          `json:"steps"`
}

// Ended says whether the run is over.
func (r Run) Ended() bool { return r.EndedAt != nil }

// A Step is one step of a run.
type Step struct {
	ID  string `json:"id"`
	Use string `json:"use"`
	// OnFailure: it is of on_failure, whose steps start only when the run has
	// failed.
	OnFailure bool            `json:"on_failure"`
	Status    string          `json:"status"`
	Handled   bool            `json:"handled"`
	Output    json.RawMessage `json:"output"`
	Error     *RunError       `json:"error"`
	StartedAt *time.Time      `json:"started_at"`
	EndedAt   *time.Time      `json:"ended_at"`
	// Warnings tell people what isn't as the author may think.
	Warnings []string  `json:"warnings"`
	Mapping  []Mapped  `json:"mapping"`
	Attempts []Attempt `json:"attempts"`
}

// Mapped is one computed place of an action's input: what stands there in the
// document, and what it may have read.
type Mapped struct {
	Pointer    string   `json:"pointer"`
	Expression string   `json:"expression"`
	Reads      []string `json:"reads"`
}

// An Attempt is one try of an action.
type Attempt struct {
	Number    int        `json:"number"`
	State     string     `json:"state"`
	StartedAt *time.Time `json:"started_at"`
	EndedAt   *time.Time `json:"ended_at"`
	Error     *RunError  `json:"error"`
	Exchanges []Exchange `json:"exchanges"`
	// Warnings are what the connector said at level warn.
	Warnings []string `json:"warnings"`
	// Waiting is why a running attempt waits for its turn at a host, "" if it
	// doesn't; the words are those of WaitReason.
	Waiting string `json:"waiting"`
}

// An Exchange is one HTTP request of an action; durations are in microseconds.
type Exchange struct {
	Method    string    `json:"method"`
	URL       string    `json:"url"`
	Status    int       `json:"status"`
	StartedAt time.Time `json:"started_at"`
	Waited    int64     `json:"waited_us"`
	// WaitReason is why it waited: concurrency, rate, retry_after, quota or probe.
	WaitReason string   `json:"wait_reason"`
	DNS        int64    `json:"dns_us"`
	Connect    int64    `json:"connect_us"`
	TLS        int64    `json:"tls_us"`
	FirstByte  int64    `json:"first_byte_us"`
	Total      int64    `json:"total_us"`
	Reused     bool     `json:"reused"`
	Sent       int64    `json:"sent"`
	Received   int64    `json:"received"`
	Redirects  []string `json:"redirects"`
	Error      string   `json:"error"`
}

// A RunError is why a run, a step or an attempt failed.
type RunError struct {
	Kind      string `json:"kind"`
	Message   string `json:"message"`
	Step      string `json:"step"`
	Pointer   string `json:"pointer"`
	Retryable bool   `json:"retryable"`
	// RetryAfter is as in "30s", empty when the other side asked for nothing.
	RetryAfter string          `json:"retry_after"`
	Data       json.RawMessage `json:"data"`
}

// A Start says how a run is started; the zero value starts it and doesn't wait.
type Start struct {
	// Event is a JSON object; nil is an empty one.
	Event json.RawMessage
	// Key makes a repeat give the first run; empty: each call starts one.
	Key string
	// Wait is how long to wait for the end.
	Wait time.Duration
}

// StartRun starts a run by hand. Duplicate says that the key was known, and the
// run is the one that had it first.
func (c *Client) StartRun(ctx context.Context, graph string, s Start) (run Run, duplicate bool, err error) {
	k := call{method: http.MethodPost, path: path("graphs", graph, "runs"), header: http.Header{}, body: s.Event}
	if len(s.Event) > 0 {
		k.header.Set("Content-Type", string(JSON))
	}
	if s.Key != "" {
		k.header.Set("Idempotency-Key", s.Key)
	}
	if s.Wait > 0 {
		k.query = url.Values{"wait": {s.Wait.String()}}
	}
	h, err := c.do(ctx, k, &run)
	return run, h.Get("Idempotency-Replayed") == "true", err
}

// Run gives a run with its steps.
func (c *Client) Run(ctx context.Context, id string) (Run, error) {
	return get[Run](ctx, c, nil, "runs", id)
}

// A RunQuery selects runs; zero fields select all.
type RunQuery struct {
	Graph  string
	States []string
	// From and To bound AcceptedAt: From ≤ t < To.
	From, To time.Time
	// Limit is from 1 to 200; 0 leaves it to the server.
	Limit int
	// Cursor is NextCursor of the page before.
	Cursor string
}

// Runs gives one page of runs, newest first.
func (c *Client) Runs(ctx context.Context, q RunQuery) (Page[Run], error) {
	v := url.Values{}
	set(v, "graph", q.Graph)
	for _, s := range q.States {
		v.Add("state", s)
	}
	for name, t := range map[string]time.Time{"from": q.From, "to": q.To} {
		if !t.IsZero() {
			v.Set(name, t.Format(time.RFC3339Nano))
		}
	}
	setInt(v, "limit", q.Limit)
	set(v, "cursor", q.Cursor)
	return get[Page[Run]](ctx, c, v, "runs")
}

// CancelRun cancels a run; when it returns, the cancel is durable.
func (c *Client) CancelRun(ctx context.Context, id string) (Run, error) {
	return post[Run](ctx, c, "runs", id, "cancel")
}
