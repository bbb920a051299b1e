package client

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"time"
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
	// Checks says whether it can try a config, of the schema Check.
	Checks  bool            `json:"checks"`
	Check   json.RawMessage `json:"check"`
	Options []Chooser       `json:"options"`
}

// A Chooser looks the values of a field up, which depend on a config.
type Chooser struct {
	Name   string          `json:"name"`
	Title  string          `json:"title"`
	Config json.RawMessage `json:"config"`
}

// A CheckResult is what became of a config that was tried.
type CheckResult struct {
	OK      bool   `json:"ok"`
	Kind    string `json:"kind"`
	Message string `json:"message"`
}

// A Choosing says whose values are wanted: the connector's Options, or a Field of
// a Part, which is a trigger or an action.
type Choosing struct {
	Options string          `json:"options,omitempty"`
	Part    string          `json:"part,omitempty"`
	Field   string          `json:"field,omitempty"`
	Config  json.RawMessage `json:"config,omitempty"`
}

// An Option is one value to choose.
type Option struct {
	Value json.RawMessage `json:"value"`
	Title string          `json:"title"`
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

// CheckConfig tries a config, a JSON object, with a connector.
func (c *Client) CheckConfig(ctx context.Context, connector string, config json.RawMessage) (CheckResult, error) {
	return send[CheckResult](ctx, c, map[string]json.RawMessage{"config": config}, "connectors", connector, "check")
}

// Options gives the values that a field may have at present.
func (c *Client) Options(ctx context.Context, connector string, q Choosing) ([]Option, error) {
	p, err := send[Page[Option]](ctx, c, q, "connectors", connector, "options")
	return p.Items, err
}

// System gives version and limits.
func (c *Client) System(ctx context.Context) (System, error) {
	return get[System](ctx, c, nil, "system")
}

// A Host is a host that actions call.
type Host struct {
	Host          string     `json:"host"`
	Active        int        `json:"active"`
	Waiting       int        `json:"waiting"`
	WaitingGraphs int        `json:"waiting_graphs"`
	WaitReason    string     `json:"wait_reason"`
	WaitUntil     *time.Time `json:"wait_until"`
	Concurrency   int        `json:"concurrency"`
	Rate          string     `json:"rate"`
	Breaker       string     `json:"breaker"`
	BreakerSince  *time.Time `json:"breaker_since"`
	BreakerUntil  *time.Time `json:"breaker_until"`
	Failures      int        `json:"failures"`
	LastFailure   string     `json:"last_failure"`
}

// Hosts lists the hosts that actions call, and why calls wait there.
func (c *Client) Hosts(ctx context.Context) ([]Host, error) {
	p, err := get[Page[Host]](ctx, c, nil, "system", "hosts")
	return p.Items, err
}

// Ready returns nil when the server can take events.
func (c *Client) Ready(ctx context.Context) error {
	_, err := c.do(ctx, call{method: http.MethodGet, path: "/readyz"}, nil)
	return err
}
