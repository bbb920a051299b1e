package connection

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/tappet-dev/tappet/sdk"
)

// A refusal is what a token endpoint says where repeating won't help (RFC 6749,
// 5.2).
type refusal struct {
	status            int
	code, description string
}

// Error says what the provider has answered, without its body.
func (r *refusal) Error() string {
	text := "the provider has refused it: "
	switch {
	case r.code == "":
		text += "it answered " + statusText(r.status) + " at the token URL"
	case r.description == "":
		text += r.code
	default:
		text += r.code + ": " + r.description
	}
	if r.code == "invalid_client" {
		text += "; check client ID and client secret"
	}
	return text
}

// Unwrap gives a refusal its kind.
func (r *refusal) Unwrap() error { return &sdk.Error{Kind: sdk.Unauthorized} }

func statusText(status int) string { return "status " + strconv.Itoa(status) }

// ask sends a token request, with the client's own credentials where the
// connection or, by itself, the provider wants them.
func (a *oauth) ask(ctx context.Context, form url.Values, style string) (tokens, error) {
	for name, value := range a.config.pairs["token_params"] {
		if !form.Has(name) {
			form.Set(name, value)
		}
	}
	if a.text("grant") == grantJWT && form.Get("grant_type") != "refresh_token" {
		assertion, err := a.assertion()
		if err != nil {
			return tokens{}, err
		}
		form.Set("assertion", assertion)
	}
	chosen := a.text("client_auth")
	if chosen != "auto" {
		style = chosen
	}
	if style == "" {
		style = "header"
	}
	if a.text("client_secret") == "" {
		return a.askBy(ctx, form, "public")
	}
	t, err := a.askBy(ctx, form, style)
	if r, ok := err.(*refusal); ok && chosen == "auto" && r.ofClient() { //nolint:errorlint // askBy gives it bare
		other := map[string]string{"header": "body", "body": "header"}[style]
		if t, e := a.askBy(ctx, form, other); e == nil {
			return t, nil
		}
	}
	return t, err
}

// ofClient says whether the client wasn't known, maybe since its credentials
// stood elsewhere than the provider looks.
func (r *refusal) ofClient() bool {
	return r.code == "invalid_client" || r.status == 401 || r.code == "invalid_request" || r.code == "unauthorized_client"
}

func (a *oauth) askBy(ctx context.Context, form url.Values, style string) (tokens, error) {
	id, secret := a.text("client_id"), a.text("client_secret")
	r := &sdk.Request{Method: "POST", URL: a.text("token_url"), MaxResponse: a.m.limits.TokenAnswer}
	r.Header.Add("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Add("Accept", "application/json")
	sent := url.Values{}
	for name, values := range form {
		sent[name] = values
	}
	switch style {
	case "header": // RFC 6749, 2.3.1
		r.Header.Add("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(a.both())))
	case "body":
		sent.Set("client_id", id)
		sent.Set("client_secret", secret)
	default:
		if id != "" {
			sent.Set("client_id", id)
		}
	}
	body := sent.Encode()
	r.Body, r.Size = strings.NewReader(body), int64(len(body))
	r.Reopen = func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(body)), nil }
	r.Redirect = func(string) error {
		return sdk.Errorf(sdk.Denied, "it redirects, where the client's secret must not go; give the address that answers")
	}
	resp, err := a.m.o.Send(ctx, a.tls.config, r)
	if err != nil {
		return tokens{}, tokenError(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, a.m.limits.TokenAnswer+1))
	switch {
	case err != nil:
		return tokens{}, tokenError(err)
	case int64(len(answer)) > a.m.limits.TokenAnswer:
		return tokens{}, sdk.Errorf(sdk.Failed, "the token URL answers more than %d bytes", a.m.limits.TokenAnswer)
	}
	got := parseAnswer(answer)
	t, err := a.read(resp, got, sent)
	t.Style = style
	return t, err
}

// tokenError says where a transport's error was; its kind stays.
func tokenError(err error) error {
	return &sdk.Error{Kind: sdk.KindOf(err), Err: fmt.Errorf("the token URL can't be asked: %w", err)}
}

// read judges an answer.
func (a *oauth) read(resp *sdk.Response, got answer, sent url.Values) (tokens, error) {
	refused := &refusal{resp.Status, a.clean(got.Error, sent), a.clean(got.Description, sent)}
	switch {
	case resp.Status == 429:
		return tokens{}, &sdk.Error{Kind: sdk.RateLimited, Err: fmt.Errorf("the provider is asked too often: %w", statusError(resp.Status))}
	case resp.Status >= 500, resp.Status == 408, resp.Status == 425, got.Error == "temporarily_unavailable", got.Error == "server_error":
		return tokens{}, &sdk.Error{Kind: sdk.Unavailable, Err: fmt.Errorf("the provider is down: %w", statusError(resp.Status))}
	case got.Error != "" || resp.Status >= 400:
		return tokens{}, refused
	case resp.Status != 200 && resp.Status != 201 || got.Access == "":
		return tokens{}, sdk.Errorf(sdk.Unavailable, "the token URL has answered %s without an access token", statusText(resp.Status))
	case !isVisible(got.Access) || got.Refresh != "" && !isVisible(got.Refresh):
		return tokens{}, sdk.Errorf(sdk.Unavailable, "the provider has given a token with characters that no token has")
	}
	t := tokens{Access: got.Access, Refresh: got.Refresh}
	switch scheme := strings.ToLower(got.Type); {
	case scheme == "" || scheme == "bearer":
	case scheme == "dpop" || scheme == "mac" || !isToken(got.Type):
		return tokens{}, sdk.Errorf(sdk.Unsupported, "the provider gives tokens of the type %.20q; only bearer tokens can be sent", got.Type)
	default:
		t.Scheme = got.Type
	}
	if got.Life > 0 {
		now := a.m.o.Clock().UTC()
		t.ExpiresAt, t.DueAt = now.Add(got.Life), now.Add(got.Life/5*4)
	}
	return t, nil
}

type statusError int

func (s statusError) Error() string { return "it answered " + statusText(int(s)) }

// maxDescription bounds what of a provider's words stands in a message, in bytes.
const maxDescription = 200

// both are client ID and secret as the header has them (RFC 6749, 2.3.1).
func (a *oauth) both() string {
	return url.QueryEscape(a.text("client_id")) + ":" + url.QueryEscape(a.text("client_secret"))
}

// clean makes a provider's words fit for a message: short, of one line, and
// without what was sent to it.
func (a *oauth) clean(text string, sent url.Values) string {
	secrets := []string{a.text("client_secret"), base64.StdEncoding.EncodeToString([]byte(a.both()))}
	for _, name := range []string{"refresh_token", "code", "code_verifier", "assertion", "client_secret"} {
		secrets = append(secrets, sent[name]...)
	}
	for _, s := range secrets {
		if s != "" {
			text = strings.ReplaceAll(text, s, "***")
		}
	}
	text = strings.Map(func(c rune) rune {
		if c < ' ' || c >= 0x7f && c < 0xa0 || c == '\u2028' || c == '\u2029' {
			return ' '
		}
		return c
	}, strings.ToValidUTF8(text, "?"))
	if len(text) > maxDescription {
		text = strings.ToValidUTF8(text[:maxDescription], "") + "…"
	}
	return text
}

// An answer is that of a token endpoint.
type answer struct {
	Access, Refresh, Type string
	// Life is 0 where it isn't known.
	Life               time.Duration
	Error, Description string
}

// maxLife is the longest life of a token that is believed.
const maxLife = 10 * 365 * 24 * time.Hour

// parseAnswer reads JSON (RFC 6749, 5.1) or, as some providers send, urlencoded
// pairs, whatever the answer calls itself. What can't be read is absent.
func parseAnswer(b []byte) answer {
	b = bytes.TrimSpace(bytes.TrimPrefix(b, []byte("\xef\xbb\xbf")))
	get := func(string) string { return "" }
	if len(b) > 0 && b[0] == '{' {
		var m map[string]json.RawMessage
		if json.Unmarshal(b, &m) == nil {
			get = func(name string) string {
				var s string
				if json.Unmarshal(m[name], &s) == nil {
					return s
				}
				if name == "expires_in" {
					return string(m[name])
				}
				return ""
			}
		}
	} else if v, err := url.ParseQuery(string(b)); err == nil {
		get = v.Get
	}
	a := answer{
		Access: get("access_token"), Refresh: get("refresh_token"), Type: get("token_type"),
		Error: get("error"), Description: get("error_description"),
	}
	seconds, err := strconv.ParseFloat(strings.TrimSpace(get("expires_in")), 64)
	if err == nil && seconds > 0 && !math.IsNaN(seconds) {
		a.Life = maxLife
		if seconds < maxLife.Seconds() {
			a.Life = time.Duration(seconds * float64(time.Second))
		}
	}
	return a
}
