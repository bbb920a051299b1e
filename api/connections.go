package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/tappet-dev/tappet/engine"
)

// Connections keeps connections; each part is a small interface of its own.
// Errors carry an engine.Kind, and none of them holds a credential. Everything is
// safe for concurrent use.
type Connections interface {
	ConnectionList
	ConnectionEditor
	Authorizer
}

// ConnectionList tells which connections there are.
type ConnectionList interface {
	ConnectionKinds() []ConnectionKind
	// Connections lists all by name.
	Connections(ctx context.Context) ([]Connection, error)
	Connection(ctx context.Context, name string) (Connection, error)
}

// ConnectionEditor changes connections.
type ConnectionEditor interface {
	CreateConnection(ctx context.Context, d ConnectionDraft) (Connection, error)
	UpdateConnection(ctx context.Context, name string, d ConnectionDraft) (Connection, error)
	DeleteConnection(ctx context.Context, name string) error
	// TestConnection tries one; that it doesn't work is no error.
	TestConnection(ctx context.Context, name string) (ConnectionTest, error)
}

// Authorizer has connections authorised by a browser.
type Authorizer interface {
	// Authorize gives a one-time address below the public URL.
	Authorize(ctx context.Context, name, returnTo string) (address string, expires time.Time, err error)
	// StartAuthorization is called when that address is opened.
	StartAuthorization(ctx context.Context, ticket string) (AuthorizationStart, error)
	// EndAuthorization is called when the provider has sent the browser back;
	// cookie gives the value of a cookie, "" when the browser has none.
	EndAuthorization(ctx context.Context, query url.Values, cookie func(name string) string) (AuthorizationEnd, error)
}

// An AuthorizationStart sends the browser to the provider.
type AuthorizationStart struct {
	// Location is the provider's address.
	Location string
	// CookieName and Cookie are what the browser has to bring back within MaxAge.
	CookieName, Cookie string
	MaxAge             time.Duration
}

// An AuthorizationEnd is a connection that was authorised.
type AuthorizationEnd struct {
	Connection string
	// CookieName is that of the cookie which is of no more use.
	CookieName string
	// ReturnTo is a path of this server, or "".
	ReturnTo string
}

// ConnectionPath is the parameter that names a connection in a path.
type ConnectionPath struct {
	Connection string `path:"connection" doc:"The connection's name." example:"forms"`
}

// connectionRoutes adds the calls of connections.
func (s *Server) connectionRoutes(a rest) {
	s.connectionReads(a)
	s.connectionWrites(a)
	s.connectionTrials(a)
}

func (s *Server) connectionReads(a rest) {
	add(a, s, operation{
		id: "list-connection-kinds", method: http.MethodGet, path: "/api/v1/connection-kinds", tag: tagConnections,
		summary: "List the kinds of connections", more: "With the schemas of their configs.",
		answers: map[int]answerDoc{200: {text: "All of them, on one page.", body: List[ConnectionKind]{}}},
	}, func(context.Context, *struct{}) (*reply, error) {
		return jsonReply(http.StatusOK, List[ConnectionKind]{Items: s.connections.ConnectionKinds()})
	})
	add(a, s, operation{
		id: "list-connections", method: http.MethodGet, path: "/api/v1/connections", tag: tagConnections,
		summary: "List connections", more: "By name.",
		answers: map[int]answerDoc{200: {text: "All of them, on one page.", body: List[Connection]{}}},
	}, func(ctx context.Context, in *struct {
		Query string `query:"q" maxLength:"200" doc:"Only those with this text in name or title, in any case." example:"forms"`
		State string `query:"state" enum:"ready,needs_authorization,failing" doc:"Only those in this state." example:"needs_authorization"`
	},
	) (*reply, error) {
		all, err := s.connections.Connections(ctx)
		if err != nil {
			return nil, err
		}
		page := List[Connection]{Items: []Connection{}}
		q := strings.ToLower(in.Query)
		for _, c := range all {
			if (in.State == "" || c.State == in.State) && strings.Contains(strings.ToLower(c.Name+"\n"+c.Title), q) {
				page.Items = append(page.Items, c)
			}
		}
		return jsonReply(http.StatusOK, page)
	})
	add(a, s, operation{
		id: "get-connection", method: http.MethodGet, path: "/api/v1/connections/{connection}", tag: tagConnections,
		summary: "Get a connection", more: "Which credentials are set, not what they are.",
		answers: map[int]answerDoc{200: {text: "The connection.", body: Connection{}}},
		errors:  []int{404},
	}, func(ctx context.Context, in *ConnectionPath) (*reply, error) {
		c, err := s.connections.Connection(ctx, in.Connection)
		if err != nil {
			return nil, err
		}
		return jsonReply(http.StatusOK, c)
	})
	add(a, s, operation{
		id: "list-connection-usage", method: http.MethodGet, path: "/api/v1/connections/{connection}/usage", tag: tagConnections,
		summary: "List the graphs that use a connection", more: "Those whose newest version does, ON or OFF.",
		answers: map[int]answerDoc{200: {text: "All of them, on one page.", body: List[GraphUse]{}}},
		errors:  []int{404},
	}, func(ctx context.Context, in *ConnectionPath) (*reply, error) {
		if _, err := s.connections.Connection(ctx, in.Connection); err != nil {
			return nil, err
		}
		uses, err := s.engine.CredentialUses(ctx)
		if err != nil {
			return nil, err
		}
		return jsonReply(http.StatusOK, List[GraphUse]{Items: graphUses(uses.Connections[in.Connection])})
	})
}

func (s *Server) connectionWrites(a rest) {
	add(a, s, operation{
		id: "create-connection", method: http.MethodPost, path: "/api/v1/connections", tag: tagConnections,
		summary: "Create a connection", more: "Its credentials are sealed; no call gives them back.",
		body:    a.jsonRequest("The connection.", ConnectionDraft{}),
		answers: map[int]answerDoc{201: {text: "The connection.", body: Connection{}, headers: []string{"Location"}}},
		errors:  []int{409, 413, 415},
	}, func(ctx context.Context, _ *struct{}) (*reply, error) {
		var in ConnectionDraft
		if err := s.jsonBody(ctx, &in); err != nil {
			return nil, err
		}
		c, err := s.connections.CreateConnection(ctx, in)
		if err != nil {
			return nil, err
		}
		r, err := jsonReply(http.StatusCreated, c)
		if err == nil {
			r.Location = "/api/v1/connections/" + url.PathEscape(c.Name)
		}
		return r, err
	})
	add(a, s, operation{
		id: "put-connection", method: http.MethodPut, path: "/api/v1/connections/{connection}", tag: tagConnections,
		summary: "Replace a connection",
		more: "Name and kind stay. Credentials that the config leaves out stay too, unless they could now be sent to other hosts " +
			"than before: then they have to be given again. What waits for the connection goes on at once.",
		body:    a.jsonRequest("The connection.", ConnectionDraft{}),
		answers: map[int]answerDoc{200: {text: "The connection as it is now.", body: Connection{}}},
		errors:  []int{404, 413, 415},
	}, func(ctx context.Context, path *ConnectionPath) (*reply, error) {
		var in ConnectionDraft
		if err := s.jsonBody(ctx, &in); err != nil {
			return nil, err
		}
		c, err := s.connections.UpdateConnection(ctx, path.Connection, in)
		if err != nil {
			return nil, err
		}
		return jsonReply(http.StatusOK, c)
	})
	add(a, s, operation{
		id: "delete-connection", method: http.MethodDelete, path: "/api/v1/connections/{connection}", tag: tagConnections,
		summary: "Delete a connection", more: "With its credentials. It is refused while a graph's newest version uses it, unless force.",
		answers: map[int]answerDoc{204: {text: "It is gone."}},
		errors:  []int{404, 409},
	}, func(ctx context.Context, in *struct {
		ConnectionPath
		Force bool `query:"force" doc:"Delete it though graphs use it: their steps fail." example:"false"`
	},
	) (*reply, error) {
		if _, err := s.connections.Connection(ctx, in.Connection); err != nil {
			return nil, err
		}
		if !in.Force {
			uses, err := s.engine.CredentialUses(ctx)
			if err != nil {
				return nil, err
			}
			if err := unused("delete connection "+in.Connection, "tappet connection delete --force", uses.Connections[in.Connection]); err != nil {
				return nil, err
			}
		}
		if err := s.connections.DeleteConnection(ctx, in.Connection); err != nil {
			return nil, err
		}
		return &reply{Status: http.StatusNoContent}, nil
	})
}

// unused refuses while graphs use what is to be deleted.
func unused(op, command string, uses []engine.GraphUse) error {
	if len(uses) == 0 {
		return nil
	}
	names := make([]string, len(uses))
	for i, u := range uses {
		names[i] = u.Graph
	}
	return &engine.Error{Kind: engine.Conflict, Op: op, Problems: []engine.Problem{{
		Code: "in_use", Message: "graphs use it: " + strings.Join(names, ", "),
		Suggestion: "change or delete them, or use ?force=true (" + command + ")",
	}}}
}

func (s *Server) connectionTrials(a rest) {
	add(a, s, operation{
		id: "test-connection", method: http.MethodPost, path: "/api/v1/connections/{connection}/test", tag: tagConnections,
		summary: "Test a connection",
		more: "Asks for the config's test_url by GET. What doesn't work is answered with 200, too: that is what was asked for. " +
			"The connection's state is what was found.",
		answers: map[int]answerDoc{200: {text: "Whether it works.", body: ConnectionTest{}}},
		errors:  []int{404},
	}, func(ctx context.Context, in *ConnectionPath) (*reply, error) {
		t, err := s.connections.TestConnection(ctx, in.Connection)
		if err != nil {
			return nil, err
		}
		return jsonReply(http.StatusOK, t)
	})
	add(a, s, operation{
		id: "authorize-connection", method: http.MethodPost, path: "/api/v1/connections/{connection}/authorize", tag: tagConnections,
		summary: "Have a connection authorised",
		more: "Gives an address of this server that is opened in a browser, once and within 10 minutes. It leads to the provider, " +
			"and from there back to /oauth/callback.",
		body:    optional(a.jsonRequest("Where the browser is to be in the end; without a body it is shown a page.", AuthorizeRequest{})),
		answers: map[int]answerDoc{200: {text: "The address.", body: Authorization{}}},
		errors:  []int{404, 413, 415},
	}, func(ctx context.Context, path *ConnectionPath) (*reply, error) {
		var in AuthorizeRequest
		if callOf(ctx).r.ContentLength != 0 {
			if err := s.jsonBody(ctx, &in); err != nil {
				return nil, err
			}
		}
		address, expires, err := s.connections.Authorize(ctx, path.Connection, in.ReturnTo)
		if err != nil {
			return nil, err
		}
		return jsonReply(http.StatusOK, Authorization{URL: address, ExpiresAt: timestamp(expires)})
	})
}

// noConnections is a server without connections.
type noConnections struct{}

var _ Connections = noConnections{}

func (noConnections) missing(name string) error {
	return &engine.Error{Kind: engine.NotFound, Err: fmt.Errorf("there is no connection %.100q", name)}
}

func (noConnections) unable() error {
	return &engine.Error{Kind: engine.Unavailable, Err: errors.New("this server keeps no connections")}
}

func (noConnections) ConnectionKinds() []ConnectionKind { return []ConnectionKind{} }

func (noConnections) Connections(context.Context) ([]Connection, error) { return nil, nil }

func (n noConnections) Connection(_ context.Context, name string) (Connection, error) {
	return Connection{}, n.missing(name)
}

func (n noConnections) CreateConnection(context.Context, ConnectionDraft) (Connection, error) {
	return Connection{}, n.unable()
}

func (n noConnections) UpdateConnection(_ context.Context, name string, _ ConnectionDraft) (Connection, error) {
	return Connection{}, n.missing(name)
}

func (n noConnections) DeleteConnection(_ context.Context, name string) error { return n.missing(name) }

func (n noConnections) TestConnection(_ context.Context, name string) (ConnectionTest, error) {
	return ConnectionTest{}, n.missing(name)
}

func (n noConnections) Authorize(_ context.Context, name, _ string) (string, time.Time, error) {
	return "", time.Time{}, n.missing(name)
}

func (n noConnections) StartAuthorization(context.Context, string) (AuthorizationStart, error) {
	return AuthorizationStart{}, n.unable()
}

func (n noConnections) EndAuthorization(context.Context, url.Values, func(string) string) (AuthorizationEnd, error) {
	return AuthorizationEnd{}, n.unable()
}
