package connection

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"

	"github.com/tappet-dev/tappet/sdk"
)

// errReplaced ends a refresh whose connection was edited meanwhile.
var errReplaced = sdk.Errorf(sdk.Unavailable, "the connection was changed meanwhile")

// refresh gets another token than t and stores it before anybody sends it: a
// provider that rotates refresh tokens takes the old one no more.
func (a *oauth) refresh(ctx context.Context, t *token) error {
	e := a.m.entry(a.name)
	unlock, err := e.lock(ctx)
	if err != nil {
		return sdk.Errorf(sdk.Timeout, "the refresh of the token had to wait too long: %w", err)
	}
	defer unlock()
	if s := e.session.Load(); s == nil || s.auth != auth(a) {
		return errReplaced
	}
	if a.token.Load() != t { // an authorization was faster
		return nil
	}
	if !a.refreshable(t) {
		return a.blocked(ctx, t, spent)
	}
	got := a.unsaved
	if got == nil {
		fresh, err := a.ask(ctx, a.grantForm(t), t.Style)
		if err != nil {
			return a.failed(ctx, t, err)
		}
		set(&fresh.Refresh, t.Refresh) // RFC 6749, 6: it may stay the same
		got = &fresh
	}
	return a.accept(ctx, *got)
}

// grantForm is what the token endpoint is asked for.
func (a *oauth) grantForm(t *token) url.Values {
	form := url.Values{}
	switch a.text("grant") {
	case grantClient:
		form.Set("grant_type", "client_credentials")
	case grantJWT:
		form.Set("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer")
	default:
		return url.Values{"grant_type": {"refresh_token"}, "refresh_token": {t.Refresh}}
	}
	if scope := a.text("scope"); scope != "" {
		form.Set("scope", scope)
	}
	return form
}

// accept stores tokens and then sends them. The caller holds the entry's lock.
func (a *oauth) accept(ctx context.Context, t tokens) error {
	a.unsaved = &t
	if err := a.save(ctx, t, Ready, ""); err != nil {
		return sdk.Errorf(sdk.Unavailable, "the token can't be stored: %w", err)
	}
	a.unsaved = nil
	a.token.Store(newToken(t))
	return nil
}

// failed notes what a refresh that failed means: a refusal is for a person to
// mend, all else may pass.
func (a *oauth) failed(ctx context.Context, t *token, err error) error {
	if log := a.m.o.Log; log != nil {
		log.WarnContext(ctx, "a token couldn't be refreshed", "connection", a.name, "error", err)
	}
	var refusal *refusal
	if !errors.As(err, &refusal) {
		if e := a.save(context.WithoutCancel(ctx), t.tokens, Failing, err.Error()); e != nil {
			err = errors.Join(err, e)
		}
		return err
	}
	return a.blocked(ctx, t, refusal.Error())
}

// blocked notes that only a person can help.
func (a *oauth) blocked(ctx context.Context, t *token, reason string) error {
	kept := t.tokens
	kept.Refusal = reason
	if err := a.save(context.WithoutCancel(ctx), kept, NeedsAuthorization, reason); err != nil {
		return sdk.Errorf(sdk.Unavailable, "%s; and that can't be stored: %w", reason, err)
	}
	a.token.Store(newToken(kept))
	return sdk.Errorf(sdk.Unauthorized, "it needs to be authorised again: %s", reason)
}

// save writes tokens and state.
func (a *oauth) save(ctx context.Context, t tokens, state State, message string) error {
	r, err := a.m.o.Store.Get(ctx, a.name)
	if err != nil {
		return err
	}
	plain, err := a.m.o.Seal.Open(r.Sealed, place(r.ID))
	if err != nil {
		return err
	}
	var box sealed
	if err := json.Unmarshal(plain, &box); err != nil {
		return fmt.Errorf("the credentials are damaged")
	}
	box.Tokens = t
	r.State, r.Message, r.UpdatedAt = state, message, a.m.o.Clock().UTC()
	if err := a.m.seal(&r, box); err != nil {
		return err
	}
	return a.m.o.Store.Save(ctx, r)
}
