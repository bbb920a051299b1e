package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/tappet-dev/tappet/api"
	"github.com/tappet-dev/tappet/connectors/connection"
	"github.com/tappet-dev/tappet/engine"
	"github.com/tappet-dev/tappet/internal/egress"
	"github.com/tappet-dev/tappet/internal/seal"
	"github.com/tappet-dev/tappet/sdk"
)

// links keeps connections: those of package connection, for the engine and the
// API.
type links struct {
	manager *connection.Manager
	// changed is called when a connection was created, authorised or given other
	// credentials.
	changed func(ctx context.Context, name string)
}

var (
	_ engine.Connections      = (*links)(nil)
	_ engine.ConnectionTester = (*links)(nil)
	_ api.Connections         = (*links)(nil)
)

// Usable implements engine.Connections.
func (l *links) Usable(ctx context.Context, name string) error {
	v, err := l.manager.Get(ctx, name)
	switch {
	case errors.Is(err, connection.ErrNotFound):
		return sdk.Errorf(sdk.NotFound, "there is no connection %q; create it (tappet connection create), or name another", name)
	case err != nil:
		return sdk.Errorf(sdk.Unavailable, "the connection %q can't be read: %w", name, err)
	}
	switch v.State {
	case connection.NeedsAuthorization:
		return sdk.Errorf(sdk.Unauthorized, "the connection %q has to be authorised: %s", name, v.Message)
	case connection.Failing:
		return sdk.Errorf(sdk.Unavailable, "the connection %q fails at present: %s", name, v.Message)
	case connection.Ready:
	}
	return nil
}

// TryConnection implements engine.ConnectionTester.
func (l *links) TryConnection(ctx context.Context, name string) (string, error) {
	before := l.Usable(ctx, name)
	if sdk.KindOf(before) == sdk.NotFound {
		return "", before
	}
	t, err := l.manager.Test(ctx, name)
	if err != nil {
		return "", sdk.Errorf(sdk.Unavailable, "the connection %q can't be tried out: %w", name, err)
	}
	now := l.Usable(context.WithoutCancel(ctx), name)
	switch {
	case now != nil:
		return "", now
	case !t.OK: // and nobody has written that down
		return "", sdk.Errorf(sdk.Unavailable, "the connection %q couldn't be tried out: %s", name, t.Message)
	case before != nil:
		l.changed(ctx, name)
	}
	if !t.Tried {
		return "not tried: it has no test_url", nil
	}
	return "the service has accepted its credentials", nil
}

// ConnectionKinds implements api.Connections.
func (l *links) ConnectionKinds() []api.ConnectionKind {
	kinds := connection.Kinds()
	out := make([]api.ConnectionKind, len(kinds))
	for i, k := range kinds {
		out[i] = api.ConnectionKind{Name: k.Name, Title: k.Title, Description: k.Description, Config: k.Config, NeedsHosts: k.NeedsHosts}
	}
	return out
}

// Connections implements api.Connections.
func (l *links) Connections(ctx context.Context) ([]api.Connection, error) {
	views, err := l.manager.List(ctx)
	if err != nil {
		return nil, connectionError("list connections", "", err)
	}
	out := make([]api.Connection, len(views))
	for i, v := range views {
		out[i] = connectionView(v)
	}
	return out, nil
}

func connectionView(v connection.View) api.Connection {
	return api.Connection{
		Name: v.Name, Kind: v.Kind, Title: v.Title, Config: v.Config, Hosts: listed(v.Hosts), Credentials: listed(v.Set),
		State: string(v.State), Message: v.Message,
		ExpiresAt: moment(v.ExpiresAt), CreatedAt: moment(v.CreatedAt), UpdatedAt: moment(v.UpdatedAt),
	}
}

// listed is a list that isn't null in JSON.
func listed(s []string) []string { return append([]string{}, s...) }

// Connection implements api.Connections.
func (l *links) Connection(ctx context.Context, name string) (api.Connection, error) {
	v, err := l.manager.Get(ctx, name)
	return connectionView(v), connectionError("read connection", name, err)
}

// CreateConnection implements api.Connections.
func (l *links) CreateConnection(ctx context.Context, d api.ConnectionDraft) (api.Connection, error) {
	v, err := l.manager.Create(ctx, connection.Draft(d))
	if err != nil {
		return api.Connection{}, connectionError("create connection", d.Name, err)
	}
	l.changed(ctx, d.Name)
	return connectionView(v), nil
}

// UpdateConnection implements api.Connections.
func (l *links) UpdateConnection(ctx context.Context, name string, d api.ConnectionDraft) (api.Connection, error) {
	v, err := l.manager.Update(ctx, name, connection.Draft(d))
	if err != nil {
		return api.Connection{}, connectionError("save connection", name, err)
	}
	l.changed(ctx, name)
	return connectionView(v), nil
}

// DeleteConnection implements api.Connections.
func (l *links) DeleteConnection(ctx context.Context, name string) error {
	return connectionError("delete connection", name, l.manager.Delete(ctx, name))
}

// TestConnection implements api.Connections.
func (l *links) TestConnection(ctx context.Context, name string) (api.ConnectionTest, error) {
	t, err := l.manager.Test(ctx, name)
	if err != nil {
		return api.ConnectionTest{}, connectionError("test connection", name, err)
	}
	if t.OK {
		l.changed(ctx, name)
	}
	return api.ConnectionTest{OK: t.OK, Status: t.Status, Message: t.Message}, nil
}

// Authorize implements api.Connections.
func (l *links) Authorize(ctx context.Context, name, returnTo string) (string, time.Time, error) {
	address, expires, err := l.manager.Authorize(ctx, name, returnTo)
	return address, expires, connectionError("authorize connection", name, err)
}

// StartAuthorization implements api.Connections.
func (l *links) StartAuthorization(ctx context.Context, ticket string) (api.AuthorizationStart, error) {
	s, err := l.manager.Start(ctx, ticket)
	return api.AuthorizationStart(s), connectionError("", "", err)
}

// EndAuthorization implements api.Connections.
func (l *links) EndAuthorization(ctx context.Context, query url.Values, cookie func(name string) string) (api.AuthorizationEnd, error) {
	name := connection.CookieName(query.Get("state"))
	a, err := l.manager.Callback(ctx, query, cookie(name))
	if err != nil {
		return api.AuthorizationEnd{}, connectionError("", "", err)
	}
	l.changed(ctx, a.Name)
	return api.AuthorizationEnd{Connection: a.Name, CookieName: name, ReturnTo: a.ReturnTo}, nil
}

// connectionError gives an error of package connection a kind that the API knows.
func connectionError(op, name string, err error) error {
	if err == nil {
		return nil
	}
	if op != "" && name != "" {
		op += " " + name
	}
	out := &engine.Error{Kind: engine.Internal, Op: op, Err: err}
	if problems, ok := errors.AsType[connection.Problems](err); ok {
		out.Kind, out.Err = engine.Invalid, nil
		for _, p := range problems {
			out.Problems = append(out.Problems, engine.Problem{Pointer: pointerOf(p.Path), Code: "connection", Message: p.Message})
		}
		return out
	}
	switch {
	case errors.Is(err, connection.ErrNotFound):
		out.Kind, out.Err = engine.NotFound, fmt.Errorf("there is no connection %.100q", name)
		return out
	case errors.Is(err, connection.ErrExists):
		out.Kind, out.Err = engine.Conflict, nil
		out.Problems = []engine.Problem{{
			Pointer: "/name", Code: "name_taken", Message: fmt.Sprintf("there is a connection named %q already", name),
			Suggestion: "choose another name, or change that connection",
		}}
		return out
	}
	x, ok := errors.AsType[*sdk.Error](err)
	if !ok {
		return out // of the disk, say
	}
	switch x.Kind {
	case sdk.NotFound:
		out.Kind = engine.NotFound
	case sdk.Denied, sdk.Unauthorized:
		out.Kind = engine.Refused // by the provider
	case sdk.Unavailable, sdk.Timeout, sdk.RateLimited, sdk.Cancelled:
		out.Kind, out.RetryAfter = engine.Unavailable, x.RetryAfter
	case sdk.Invalid, sdk.TooLarge, sdk.Unsupported, sdk.Failed, sdk.Unknown, sdk.Panicked, sdk.Broken:
		out.Kind = engine.Invalid
	}
	return out
}

// pointerOf makes a JSON pointer of a path such as hosts[1] or config.token_url.
func pointerOf(path string) string {
	escape := strings.NewReplacer("~", "~0", "/", "~1")
	return "/" + strings.NewReplacer(".", "/", "[", "/", "]", "").Replace(escape.Replace(path))
}

// connectionRows keeps the records of package connection in the store.
type connectionRows struct {
	rows    engine.ConnectionStore
	tickets engine.TicketStore
}

var (
	_ connection.Store   = connectionRows{}
	_ connection.Tickets = connectionRows{}
)

// rowError gives the store's errors the identity that package connection knows.
func rowError(err error) error {
	switch {
	case errors.Is(err, &engine.Error{Kind: engine.NotFound}):
		return fmt.Errorf("%w: %w", connection.ErrNotFound, err)
	case errors.Is(err, &engine.Error{Kind: engine.Conflict}):
		return fmt.Errorf("%w: %w", connection.ErrExists, err)
	}
	return err
}

func record(c engine.StoredConnection) connection.Record {
	return connection.Record{
		ID: c.ID, Name: c.Name, Kind: c.Kind, Title: c.Title, Config: c.Config, Hosts: c.Hosts, Sealed: c.Sealed,
		State: connection.State(c.State), Message: c.Message, CreatedAt: c.CreatedAt, UpdatedAt: c.UpdatedAt,
	}
}

func row(r connection.Record) engine.StoredConnection {
	if len(r.Config) == 0 {
		r.Config = json.RawMessage("{}")
	}
	return engine.StoredConnection{
		ID: r.ID, Name: r.Name, Kind: r.Kind, Title: r.Title, Config: r.Config, Hosts: listed(r.Hosts), Sealed: r.Sealed,
		State: string(r.State), Message: r.Message, CreatedAt: r.CreatedAt, UpdatedAt: r.UpdatedAt,
	}
}

// List implements connection.Store.
func (c connectionRows) List(ctx context.Context) ([]connection.Record, error) {
	rows, err := c.rows.Connections(ctx)
	out := make([]connection.Record, 0, len(rows))
	for _, r := range rows {
		out = append(out, record(r))
	}
	return out, err
}

// Get implements connection.Store.
func (c connectionRows) Get(ctx context.Context, name string) (connection.Record, error) {
	r, err := c.rows.Connection(ctx, name)
	return record(r), rowError(err)
}

// Create implements connection.Store.
func (c connectionRows) Create(ctx context.Context, r connection.Record) error {
	return rowError(c.rows.CreateConnection(ctx, row(r)))
}

// Save implements connection.Store.
func (c connectionRows) Save(ctx context.Context, r connection.Record) error {
	return rowError(c.rows.SaveConnection(ctx, row(r)))
}

// Delete implements connection.Store.
func (c connectionRows) Delete(ctx context.Context, id string) error {
	return rowError(c.rows.DeleteConnection(ctx, id))
}

// Put implements connection.Tickets.
func (c connectionRows) Put(ctx context.Context, t connection.Ticket) error {
	return c.tickets.PutTicket(ctx, engine.StoredTicket(t), time.Now())
}

// Take implements connection.Tickets.
func (c connectionRows) Take(ctx context.Context, key string) (connection.Ticket, error) {
	t, err := c.tickets.TakeTicket(ctx, key)
	return connection.Ticket(t), rowError(err)
}

// credentials makes what keeps secrets and connections, and brings what older
// keys have sealed under the first one.
func (p *parts) credentials(ctx context.Context, s settings, log *slog.Logger) error {
	ring, err := seal.Open(filepath.Join(s.data, keyFile), os.Getenv("TAPPET_KEY"))
	if err != nil {
		return err
	}
	p.vault = &vault{rows: p.store, ring: ring, next: environmentSecrets{}, changed: func(ctx context.Context) {
		p.engine.Rebind(context.WithoutCancel(ctx))
	}}
	rows := connectionRows{p.store, p.store}
	p.links = &links{
		manager: connection.New(connection.Options{
			Store: rows, Tickets: rows, Seal: ring, PublicURL: s.publicURL, Insecure: s.insecureOAuth, Log: log,
			Send: func(ctx context.Context, config *tls.Config, r *sdk.Request) (*sdk.Response, error) {
				return p.egress.Send(ctx, r, egress.Call{TLS: config})
			},
			Expired: func(source string) (connection.Expired, error) {
				f, err := engine.CompileExpired(source, s.expr)
				return f, err
			},
		}),
		changed: func(ctx context.Context, name string) { p.engine.ConnectionChanged(context.WithoutCancel(ctx), name) },
	}
	_, err = p.links.manager.Reseal(ctx)
	if err = errors.Join(err, p.vault.reseal(ctx)); err != nil {
		log.Warn("some of what is sealed can't be read; what uses it fails", "error", err)
	}
	return nil
}

// keyFile has the keys that credentials are sealed with, in the data folder.
const keyFile = "secret.key"

// browsable is where a browser on this machine reaches an address that is
// listened on.
func browsable(a net.Addr) string {
	host, port, err := net.SplitHostPort(a.String())
	if ip := net.ParseIP(host); err == nil && ip != nil && ip.IsUnspecified() {
		return "http://" + net.JoinHostPort("localhost", port)
	}
	return "http://" + a.String()
}

// checkPublicURL gives a URL as addresses are made of it.
func checkPublicURL(s string) (string, error) {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return "", fmt.Errorf("--public-url %q: a URL such as https://tappet.example.com is wanted", s)
	}
	return strings.TrimRight(s, "/"), nil
}
