package connection

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

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
		style = styleHeader
	}
	if a.text("client_secret") == "" {
		style, chosen = styleBody, styleBody // a public client is named, no more
	}
	t, err := a.askBy(ctx, form, style)
	if r, ok := err.(*refusal); ok && chosen == "auto" && r.ofClient() { //nolint:errorlint // askBy gives it bare
		other := map[string]string{styleHeader: styleBody, styleBody: styleHeader}[style]
		if t, e := a.askBy(ctx, form, other); e == nil {
			return t, nil
		}
	}
	return t, err
}

// Where client ID and secret stand in a token request (RFC 6749, 2.3.1).
const (
	styleHeader = "header"
	styleBody   = "body"
)

// ofClient says whether the client wasn't known, maybe since its credentials
// stood elsewhere than the provider looks.
func (r *refusal) ofClient() bool {
	return r.code == "invalid_client" || r.status == 401 || r.code == "invalid_request" || r.code == "unauthorized_client"
}

// askBy sends one request. The library's detection of the style isn't used: it
// takes any failure for a wrong style, and would send a code twice.
func (a *oauth) askBy(ctx context.Context, form url.Values, style string) (tokens, error) {
	way := &tokenWay{a: a}
	client := clientcredentials.Config{
		ClientID: a.text("client_id"), ClientSecret: a.text("client_secret"), TokenURL: a.text("token_url"),
		EndpointParams: form, // grant_type is in it: the request of each grant differs in its parameters alone
		AuthStyle:      oauth2.AuthStyleInHeader,
	}
	if style == styleBody {
		client.AuthStyle = oauth2.AuthStyleInParams
	}
	got, err := client.Token(context.WithValue(ctx, oauth2.HTTPClient, &http.Client{Transport: way}))
	if way.failed != nil {
		return tokens{}, way.failed
	}
	if err != nil {
		return tokens{}, a.judged(err, way.status, form)
	}
	t, err := a.read(got)
	t.Style = style
	return t, err
}

// A tokenWay is the connection's guarded way to a token URL, for one request of
// the library's. It gives the answer as plain JSON, whatever it called itself.
type tokenWay struct {
	a *oauth
	// status is that of the answer, 0 if there was none.
	status int
	// failed is why there was none.
	failed error
}

// RoundTrip implements http.RoundTripper.
func (w *tokenWay) RoundTrip(req *http.Request) (*http.Response, error) {
	sent, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	_ = req.Body.Close() // it was read to its end
	var answer answer
	if answer, w.failed = w.send(req, sent); w.failed != nil {
		return nil, w.failed
	}
	return &http.Response{
		StatusCode: w.status, Request: req, ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(bytes.NewReader(answer.json())),
	}, nil
}

func (w *tokenWay) send(req *http.Request, body []byte) (answer, error) {
	limit := w.a.m.limits.TokenAnswer
	r := &sdk.Request{Method: req.Method, URL: req.URL.String(), MaxResponse: limit}
	for _, name := range []string{"Authorization", "Content-Type"} {
		if v := req.Header.Get(name); v != "" {
			r.Header.Add(name, v)
		}
	}
	r.Header.Add("Accept", "application/json")
	r.Body, r.Size = bytes.NewReader(body), int64(len(body))
	r.Reopen = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	r.Redirect = func(string) error {
		return sdk.Errorf(sdk.Denied, "it redirects, where the client's secret must not go; give the address that answers")
	}
	resp, err := w.a.m.o.Send(req.Context(), w.a.tls.config, r)
	if err != nil {
		return answer{}, tokenError(err)
	}
	defer resp.Body.Close()
	w.status = resp.Status
	b, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	switch {
	case err != nil:
		return answer{}, tokenError(err)
	case int64(len(b)) > limit:
		return answer{}, sdk.Errorf(sdk.Failed, "the token URL answers more than %d bytes", limit)
	}
	return parseAnswer(b), nil
}

// tokenError says where a transport's error was; its kind stays.
func tokenError(err error) error {
	return &sdk.Error{Kind: sdk.KindOf(err), Err: fmt.Errorf("the token URL can't be asked: %w", err)}
}

// judged says what an answer without a token means.
func (a *oauth) judged(err error, status int, sent url.Values) error {
	refused := &refusal{status: status}
	if r, ok := errors.AsType[*oauth2.RetrieveError](err); ok {
		refused.code, refused.description = a.clean(r.ErrorCode, sent), a.clean(r.ErrorDescription, sent)
	}
	switch {
	case status == 0:
		return sdk.Errorf(sdk.Invalid, "the token URL can't be asked: it isn't a URL")
	case status == 429:
		return &sdk.Error{Kind: sdk.RateLimited, Err: fmt.Errorf("the provider is asked too often: %w", statusError(status))}
	case status >= 500, status == 408, status == 425, refused.code == "temporarily_unavailable", refused.code == "server_error":
		return &sdk.Error{Kind: sdk.Unavailable, Err: fmt.Errorf("the provider is down: %w", statusError(status))}
	case refused.code != "" || status >= 400:
		return refused
	}
	return sdk.Errorf(sdk.Unavailable, "the token URL has answered %s without an access token", statusText(status))
}

// read takes the tokens that can be sent.
func (a *oauth) read(got *oauth2.Token) (tokens, error) {
	if !isVisible(got.AccessToken) || got.RefreshToken != "" && !isVisible(got.RefreshToken) {
		return tokens{}, sdk.Errorf(sdk.Unavailable, "the provider has given a token with characters that no token has")
	}
	t := tokens{Access: got.AccessToken, Refresh: got.RefreshToken}
	switch scheme := strings.ToLower(got.TokenType); {
	case scheme == "" || scheme == "bearer":
	case scheme == "dpop" || scheme == "mac" || !isToken(got.TokenType):
		return tokens{}, sdk.Errorf(sdk.Unsupported, "the provider gives tokens of the type %.20q; only bearer tokens can be sent", got.TokenType)
	default:
		t.Scheme = got.TokenType
	}
	if seconds, _ := got.Extra("expires_in").(float64); seconds > 0 {
		life := time.Duration(seconds) * time.Second
		now := a.m.o.Clock().UTC() // the library's Expiry is of the system's clock
		t.ExpiresAt, t.DueAt = now.Add(life), now.Add(life/5*4)
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
	for _, name := range []string{"refresh_token", "code", "code_verifier", "assertion", "client_secret", "state"} {
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
	Access  string `json:"access_token,omitempty"`
	Refresh string `json:"refresh_token,omitempty"`
	Type    string `json:"token_type,omitempty"`
	// Life is in seconds, at most those of maxLife; 0 where it isn't known.
	Life        int64  `json:"expires_in,omitempty"`
	Error       string `json:"error,omitempty"`
	Description string `json:"error_description,omitempty"`
}

// json writes the answer as RFC 6749, 5.1 and 5.2 have it.
func (a *answer) json() []byte {
	b, _ := json.Marshal(a) // texts and a number always can be
	return b
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
		a.Life = int64(math.Ceil(min(seconds, maxLife.Seconds())))
	}
	return a
}
