package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"time"
	"unicode/utf8"

	"github.com/tappet-dev/tappet/api"
	"github.com/tappet-dev/tappet/engine"
	"github.com/tappet-dev/tappet/internal/seal"
	"github.com/tappet-dev/tappet/sdk"
)

// A vault keeps secrets sealed in the store. What it doesn't have may be in the
// server's environment.
type vault struct {
	rows engine.SecretStore
	ring *seal.Ring
	next engine.Secrets
	// changed is called when a secret has come that wasn't there.
	changed func(context.Context)
}

var (
	_ engine.Secrets = (*vault)(nil)
	_ api.Secrets    = (*vault)(nil)
)

// Bounds of a secret's value in bytes. A shorter one can't be told from what
// isn't secret, so it could not be hidden in records.
const (
	minSecret = 4
	maxSecret = 64 << 10
)

const secretPattern = "^[a-z][a-z0-9_]{0,63}$"

func secretPlace(name string) []byte { return []byte("secrets/" + name) }

// Secret implements engine.Secrets.
func (v *vault) Secret(ctx context.Context, name string) ([]byte, error) {
	row, err := v.rows.StoredSecret(ctx, name)
	switch {
	case err == nil:
	case engine.KindOf(err) != engine.NotFound:
		return nil, &sdk.Error{Kind: sdk.Unavailable, Err: err}
	default:
		value, err := v.next.Secret(ctx, name)
		if sdk.KindOf(err) == sdk.NotFound {
			return nil, sdk.Errorf(sdk.NotFound, "%w, or put it: tappet secret put %s", err, name)
		}
		return value, err
	}
	value, err := v.ring.Open(row.Sealed, secretPlace(name))
	if err != nil {
		return nil, sdk.Errorf(sdk.Invalid, "the secret %q can't be read: %w; put it again, or give the server the key that sealed it", name, err)
	}
	return value, nil
}

// Secrets implements api.Secrets.
func (v *vault) Secrets(ctx context.Context) ([]api.Secret, error) {
	rows, err := v.rows.StoredSecrets(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]api.Secret, len(rows))
	for i, r := range rows {
		out[i] = secretView(r)
	}
	return out, nil
}

func secretView(r engine.StoredSecret) api.Secret {
	return api.Secret{Name: r.Name, CreatedAt: moment(r.CreatedAt), UpdatedAt: moment(r.UpdatedAt)}
}

// PutSecret implements api.Secrets.
func (v *vault) PutSecret(ctx context.Context, name, value string) (api.Secret, error) {
	op := "put secret"
	if ok, _ := regexp.MatchString(secretPattern, name); !ok {
		return api.Secret{}, &engine.Error{Kind: engine.Invalid, Op: op, Err: fmt.Errorf("the name of a secret begins with a-z and is of a-z, 0-9 and _, at most 64 characters, not %.80q", name)}
	}
	wrong := ""
	switch {
	case len(value) < minSecret:
		wrong = fmt.Sprintf("it has %d bytes; at least %d are needed to hide it in records and logs", len(value), minSecret)
	case len(value) > maxSecret:
		wrong = fmt.Sprintf("it has %d bytes; at most %d are taken", len(value), maxSecret)
	case !utf8.ValidString(value):
		wrong = "it isn't a text in UTF-8"
	}
	if wrong != "" {
		return api.Secret{}, &engine.Error{Kind: engine.Invalid, Op: op, Problems: []engine.Problem{{Pointer: "/value", Code: "value", Message: wrong}}}
	}
	now := time.Now().UTC().Truncate(time.Millisecond)
	err := v.rows.PutSecret(ctx, engine.StoredSecret{
		Name: name, Sealed: v.ring.Seal([]byte(value), secretPlace(name)), CreatedAt: now, UpdatedAt: now,
	})
	if err != nil {
		return api.Secret{}, err
	}
	row, err := v.rows.StoredSecret(ctx, name)
	if err != nil {
		return api.Secret{}, err
	}
	v.changed(ctx)
	return secretView(row), nil
}

// DeleteSecret implements api.Secrets.
func (v *vault) DeleteSecret(ctx context.Context, name string) error {
	return v.rows.DeleteSecret(ctx, name)
}

// reseal brings what other keys have sealed under the first one.
func (v *vault) reseal(ctx context.Context) error {
	rows, err := v.rows.StoredSecrets(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, r := range rows {
		box, changed, err := v.ring.Reseal(r.Sealed, secretPlace(r.Name))
		if err != nil {
			errs = append(errs, fmt.Errorf("the secret %q: %w", r.Name, err))
			continue
		}
		if changed {
			r.Sealed = box
			if err := v.rows.PutSecret(ctx, r); err != nil {
				return errors.Join(append(errs, err)...)
			}
		}
	}
	return errors.Join(errs...)
}
