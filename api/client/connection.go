package client

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"time"
)

// A ConnectionKind is a way to prove who asks; Config is a JSON Schema.
type ConnectionKind struct {
	Name        string          `json:"name"`
	Title       string          `json:"title"`
	Description string          `json:"description"`
	Config      json.RawMessage `json:"config"`
	NeedsHosts  bool            `json:"needs_hosts"`
}

// A Connection is what requests are sent with: State is "ready",
// "needs_authorization" or "failing", Credentials are the names of those that
// are set.
type Connection struct {
	Name        string          `json:"name"`
	Kind        string          `json:"kind"`
	Title       string          `json:"title"`
	Config      json.RawMessage `json:"config"`
	Hosts       []string        `json:"hosts"`
	Credentials []string        `json:"credentials"`
	State       string          `json:"state"`
	Message     string          `json:"message"`
	ExpiresAt   *time.Time      `json:"expires_at"`
	CreatedAt   *time.Time      `json:"created_at"`
	UpdatedAt   *time.Time      `json:"updated_at"`
}

// A ConnectionDraft is a connection as it is written. Credentials that Config
// leaves out stay when a connection is replaced.
type ConnectionDraft struct {
	Name   string          `json:"name,omitempty"`
	Kind   string          `json:"kind,omitempty"`
	Title  string          `json:"title,omitempty"`
	Config json.RawMessage `json:"config,omitempty"`
	Hosts  []string        `json:"hosts,omitempty"`
}

// A ConnectionTest is what became of a test; Status is 0 when no service was
// asked.
type ConnectionTest struct {
	OK      bool   `json:"ok"`
	Status  int    `json:"status"`
	Message string `json:"message"`
}

// An Authorization is an address that is opened in a browser, once.
type Authorization struct {
	URL       string     `json:"url"`
	ExpiresAt *time.Time `json:"expires_at"`
}

// A GraphUse is a graph whose newest version uses something.
type GraphUse struct {
	Graph   string `json:"graph"`
	Version int    `json:"version"`
	Active  bool   `json:"active"`
}

// A Secret is a secret without its value.
type Secret struct {
	Name      string     `json:"name"`
	CreatedAt *time.Time `json:"created_at"`
	UpdatedAt *time.Time `json:"updated_at"`
	Graphs    []GraphUse `json:"graphs"`
}

// ConnectionKinds lists the kinds of connections.
func (c *Client) ConnectionKinds(ctx context.Context) ([]ConnectionKind, error) {
	p, err := get[Page[ConnectionKind]](ctx, c, nil, "connection-kinds")
	return p.Items, err
}

// Connections lists connections by name; state selects those in one state, ""
// all.
func (c *Client) Connections(ctx context.Context, state string) ([]Connection, error) {
	v := url.Values{}
	set(v, "state", state)
	p, err := get[Page[Connection]](ctx, c, v, "connections")
	return p.Items, err
}

// Connection gives one connection.
func (c *Client) Connection(ctx context.Context, name string) (Connection, error) {
	return get[Connection](ctx, c, nil, "connections", name)
}

// CreateConnection creates a connection.
func (c *Client) CreateConnection(ctx context.Context, d ConnectionDraft) (Connection, error) {
	return send[Connection](ctx, c, d, "connections")
}

// PutConnection replaces a connection.
func (c *Client) PutConnection(ctx context.Context, name string, d ConnectionDraft) (Connection, error) {
	return put[Connection](ctx, c, d, "connections", name)
}

// DeleteConnection deletes a connection; force: though graphs use it.
func (c *Client) DeleteConnection(ctx context.Context, name string, force bool) error {
	return c.remove(ctx, force, "connections", name)
}

// TestConnection tries a connection.
func (c *Client) TestConnection(ctx context.Context, name string) (ConnectionTest, error) {
	return post[ConnectionTest](ctx, c, "connections", name, "test")
}

// AuthorizeConnection gives an address at which a browser authorises a connection;
// returnTo is a path of the server where it is in the end, or "".
func (c *Client) AuthorizeConnection(ctx context.Context, name, returnTo string) (Authorization, error) {
	return send[Authorization](ctx, c, map[string]string{"return_to": returnTo}, "connections", name, "authorize")
}

// ConnectionUsage lists the graphs that use a connection.
func (c *Client) ConnectionUsage(ctx context.Context, name string) ([]GraphUse, error) {
	p, err := get[Page[GraphUse]](ctx, c, nil, "connections", name, "usage")
	return p.Items, err
}

// Secrets lists secrets by name, without their values.
func (c *Client) Secrets(ctx context.Context) ([]Secret, error) {
	p, err := get[Page[Secret]](ctx, c, nil, "secrets")
	return p.Items, err
}

// PutSecret adds a secret, or replaces its value.
func (c *Client) PutSecret(ctx context.Context, name, value string) (Secret, error) {
	return put[Secret](ctx, c, map[string]string{"value": value}, "secrets", name)
}

// DeleteSecret deletes a secret; force: though graphs use it.
func (c *Client) DeleteSecret(ctx context.Context, name string, force bool) error {
	return c.remove(ctx, force, "secrets", name)
}

// put is send for what is replaced.
func put[T any](ctx context.Context, c *Client, body any, segments ...string) (T, error) {
	var out T
	b, err := json.Marshal(body)
	if err != nil {
		return out, err
	}
	_, err = c.do(ctx, call{
		method: http.MethodPut, path: path(segments...), body: b, header: http.Header{"Content-Type": {jsonType}},
	}, &out)
	return out, err
}

// remove deletes; force: though it is used.
func (c *Client) remove(ctx context.Context, force bool, segments ...string) error {
	v := url.Values{}
	if force {
		v.Set("force", "true")
	}
	_, err := c.do(ctx, call{method: http.MethodDelete, path: path(segments...), query: v}, nil)
	return err
}
