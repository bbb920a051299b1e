package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tappet-dev/tappet/engine"
)

// Secrets keeps secrets. No method gives a value. Errors carry an engine.Kind,
// and none of them holds one. It is safe for concurrent use.
type Secrets interface {
	// Secrets lists all by name; Graphs is left to the API.
	Secrets(ctx context.Context) ([]Secret, error)
	// PutSecret adds a secret, or replaces its value.
	PutSecret(ctx context.Context, name, value string) (Secret, error)
	DeleteSecret(ctx context.Context, name string) error
}

// SecretPath is the parameter that names a secret in a path.
type SecretPath struct {
	Secret string `path:"secret" doc:"The secret's name: a-z, then a-z, 0-9 and _, at most 64 characters." example:"forms"`
}

// secretRoutes adds the calls of secrets.
func (s *Server) secretRoutes(a rest) {
	add(a, s, operation{
		id: "list-secrets", method: http.MethodGet, path: "/api/v1/secrets", tag: tagConnections,
		summary: "List secrets", more: "Names and who uses them; no call gives a value. Secrets of the server's environment aren't listed.",
		answers: map[int]answerDoc{200: {text: "All of them, on one page.", body: List[Secret]{}}},
	}, func(ctx context.Context, _ *struct{}) (*reply, error) {
		all, err := s.secrets.Secrets(ctx)
		if err != nil {
			return nil, err
		}
		uses, err := s.engine.CredentialUses(ctx)
		if err != nil {
			return nil, err
		}
		page := List[Secret]{Items: make([]Secret, len(all))}
		for i, x := range all {
			x.Graphs = graphUses(uses.Secrets[x.Name])
			page.Items[i] = x
		}
		return jsonReply(http.StatusOK, page)
	})
	add(a, s, operation{
		id: "put-secret", method: http.MethodPut, path: "/api/v1/secrets/{secret}", tag: tagConnections,
		summary: "Put a secret", more: "Adds it, or replaces its value, which the next request is sent with. It goes before one of the server's environment.",
		body:    a.jsonRequest("The value.", SecretValue{}),
		answers: map[int]answerDoc{200: {text: "The secret.", body: Secret{}}},
		errors:  []int{413, 415},
	}, func(ctx context.Context, path *SecretPath) (*reply, error) {
		var in SecretValue
		if err := s.jsonBody(ctx, &in); err != nil {
			return nil, err
		}
		x, err := s.secrets.PutSecret(ctx, path.Secret, in.Value)
		if err != nil {
			return nil, err
		}
		uses, err := s.engine.CredentialUses(ctx)
		if err != nil {
			return nil, err
		}
		x.Graphs = graphUses(uses.Secrets[x.Name])
		return jsonReply(http.StatusOK, x)
	})
	add(a, s, operation{
		id: "delete-secret", method: http.MethodDelete, path: "/api/v1/secrets/{secret}", tag: tagConnections,
		summary: "Delete a secret", more: "It is refused while a graph's newest version may use it, unless force.",
		answers: map[int]answerDoc{204: {text: "It is gone."}},
		errors:  []int{404, 409},
	}, func(ctx context.Context, in *struct {
		SecretPath
		Force bool `query:"force" doc:"Delete it though graphs use it: their steps fail." example:"false"`
	},
	) (*reply, error) {
		if !in.Force {
			uses, err := s.engine.CredentialUses(ctx)
			if err != nil {
				return nil, err
			}
			if err := unused("delete secret "+in.Secret, "tappet secret delete --force", uses.Secrets[in.Secret]); err != nil {
				return nil, err
			}
		}
		if err := s.secrets.DeleteSecret(ctx, in.Secret); err != nil {
			return nil, err
		}
		return &reply{Status: http.StatusNoContent}, nil
	})
}

// optional describes a body that may be left out.
func optional(b *huma.RequestBody) *huma.RequestBody {
	b.Required = false
	return b
}

// noSecrets is a server without secrets.
type noSecrets struct{}

var _ Secrets = noSecrets{}

func (noSecrets) Secrets(context.Context) ([]Secret, error) { return nil, nil }

func (noSecrets) PutSecret(context.Context, string, string) (Secret, error) {
	return Secret{}, &engine.Error{Kind: engine.Unavailable, Err: errors.New("this server keeps no secrets")}
}

func (noSecrets) DeleteSecret(_ context.Context, name string) error {
	return &engine.Error{Kind: engine.NotFound, Err: fmt.Errorf("there is no secret %.100q", name)}
}
