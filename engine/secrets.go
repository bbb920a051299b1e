package engine

import (
	"context"
	"encoding/json"
	"unicode/utf8"

	"github.com/tappet-dev/tappet/engine/expr"
	"github.com/tappet-dev/tappet/engine/machine"
	"github.com/tappet-dev/tappet/sdk"
)

// Secrets keeps the values of secrets. It is asked for each call that sends one:
// what a run computes, journals and shows holds references alone. It is safe
// for concurrent use.
type Secrets interface {
	// Secret gives the value of a secret, a text of at least 4 bytes. Errors are
	// *sdk.Error: of kind NotFound, which says where to give it, or Unavailable.
	Secret(ctx context.Context, name string) ([]byte, error)
}

// KindUnknownSecret is the kind of a run's error when a step refers to a secret
// that isn't there.
const KindUnknownSecret = "unknown_secret"

// secret gives the value of a secret.
func (e *Engine) secret(ctx context.Context, name string) (string, error) {
	if e.o.Secrets == nil {
		return "", sdk.Errorf(sdk.NotFound, "the secret %q isn't there: this server keeps none", name)
	}
	v, err := e.o.Secrets.Secret(ctx, name)
	switch {
	case err != nil:
		return "", err
	case len(v) < leastSecret:
		return "", sdk.Errorf(sdk.Invalid, "the secret %q has %d bytes; at least %d are needed to hide it in records and logs", name, len(v), leastSecret)
	case !utf8.Valid(v):
		return "", sdk.Errorf(sdk.Invalid, "the secret %q isn't a text in UTF-8", name)
	}
	return string(v), nil
}

// secretsOf gives the names of the secrets that a trigger's config refers to.
func secretsOf(t *sdk.Trigger, config json.RawMessage) []string {
	if t.Secrets == nil {
		return nil
	}
	return t.Secrets(config)
}

// known says whether there is such a secret; if not, why.
func (e *Engine) known(ctx context.Context, name string) error {
	_, err := e.secret(ctx, name)
	return err
}

// noted gives the value of a secret, which m hides from then on.
func (e *Engine) noted(ctx context.Context, m *mask, name string) (string, error) {
	v, err := e.secret(ctx, name)
	if err == nil {
		m.learn(name, v)
	}
	return v, err
}

// learn has m hide the secrets of names that it doesn't know; those that can't
// be had now can't be hidden.
func (e *Engine) learn(ctx context.Context, m *mask, names []string) {
	for _, name := range names {
		if !m.knows(name) {
			_, _ = e.noted(context.WithoutCancel(ctx), m, name) // as said above
		}
	}
}

// reveal gives the input of an effect with the values of its secrets in the
// places of their references, for one call.
func (e *Engine) reveal(ctx context.Context, m *mask, eff *machine.Effect) (sdk.Fields, *machine.Error) {
	input := make(sdk.Fields, len(eff.Input))
	for i, f := range eff.Input {
		input[i] = sdk.Field{Name: f.Name, Value: f.Value}
		if f.To == nil {
			continue
		}
		value, err := e.revealed(ctx, m, f.Value, f.To)
		if err != nil {
			bad := failure(m, eff.Step, nil, err)
			if sdk.KindOf(err) == sdk.NotFound {
				bad.Kind = KindUnknownSecret
			}
			return nil, bad
		}
		input[i].Value = value
	}
	return input, nil
}

func (e *Engine) revealed(ctx context.Context, m *mask, doc json.RawMessage, to *expr.Type) (json.RawMessage, error) {
	found, err := expr.References(doc, to)
	if err != nil {
		return nil, sdk.Errorf(sdk.Invalid, "%w", err)
	}
	var out []byte
	from := 0
	for _, r := range found {
		v, err := e.noted(ctx, m, r.Name)
		if err != nil {
			return nil, err
		}
		out = appendText(append(out, doc[from:r.From]...), v)
		from = r.To
	}
	return append(out, doc[from:]...), nil
}
