package client

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
)

// A Connector is one connector; lists leave the schemas and Needs out.
type Connector struct {
	Name        string    `json:"name"`
	Title       string    `json:"title"`
	Description string    `json:"description"`
	Version     string    `json:"version"`
	Origin      string    `json:"origin"`
	Digest      string    `json:"digest"`
	Needs       Needs     `json:"needs"`
	Triggers    []Trigger `json:"triggers"`
	Actions     []Action  `json:"actions"`
}

// Needs are the capabilities that a connector asks for.
type Needs struct {
	HTTP    []string `json:"http"`
	Secrets []string `json:"secrets"`
}

// A Trigger is what can start a graph.
type Trigger struct {
	Name        string          `json:"name"`
	Use         string          `json:"use"`
	Title       string          `json:"title"`
	Description string          `json:"description"`
	Kind        string          `json:"kind"`
	Config      json.RawMessage `json:"config"`
	Event       json.RawMessage `json:"event"`
	Every       string          `json:"every"`
}

// An Action is what a step can use.
type Action struct {
	Name        string          `json:"name"`
	Use         string          `json:"use"`
	Title       string          `json:"title"`
	Description string          `json:"description"`
	Input       json.RawMessage `json:"input"`
	Output      json.RawMessage `json:"output"`
	Literal     []string        `json:"literal"`
	Idempotent  bool            `json:"idempotent"`
	Keyed       bool            `json:"keyed"`
}

// A System is what the server says of itself.
type System struct {
	Version string `json:"version"`
	Limits  Limits `json:"limits"`
}

// Limits are what the server takes; sizes in bytes, times as in "1m0s".
type Limits struct {
	RequestBody int64  `json:"request_body"`
	HookBody    int64  `json:"hook_body"`
	Header      int    `json:"header"`
	ReadTimeout string `json:"read_timeout"`
	Wait        string `json:"wait"`
	EventDepth  int    `json:"event_depth"`
}

// Connectors lists connectors; text is looked for in names, titles and
// descriptions, "" lists all.
func (c *Client) Connectors(ctx context.Context, text string) ([]Connector, error) {
	v := url.Values{}
	set(v, "q", text)
	p, err := get[Page[Connector]](ctx, c, v, "connectors")
	return p.Items, err
}

// Connector gives a connector with all its schemas.
func (c *Client) Connector(ctx context.Context, name string) (Connector, error) {
	return get[Connector](ctx, c, nil, "connectors", name)
}

// System gives version and limits.
func (c *Client) System(ctx context.Context) (System, error) {
	return get[System](ctx, c, nil, "system")
}

// Ready returns nil when the server can take events.
func (c *Client) Ready(ctx context.Context) error {
	_, err := c.do(ctx, call{method: http.MethodGet, path: "/readyz"}, nil)
	return err
}
