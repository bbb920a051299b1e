package http

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/tappet-dev/tappet/sdk"
)

// do sends one request and reads its answer.
func (c *caller) do(ctx context.Context, h sdk.Host, call sdk.ActionCall, op, method string) (sdk.Result, error) {
	in := input{fields: call.Input}
	parse, err := in.oneOf("response_type", responseTypes...)
	if err != nil {
		return sdk.Result{}, invalid(op, err)
	}
	rd := reading{parse: parse, limits: c.limits}
	rd.files, err = sdk.FilesOf(h)
	if err != nil && parse == parseFile {
		return sdk.Result{}, invalid(op, fmt.Errorf("response_type: %w", err))
	}
	r, err := build(ctx, h, method, call)
	if err != nil {
		return sdk.Result{}, invalid(op, err)
	}
	if body, ok := r.Body.(io.Closer); ok {
		defer func() { _ = body.Close() }() // it is read or given up by now
	}
	r.MaxResponse, rd.url = rd.most(), r.URL
	resp, err := h.HTTP(ctx, r)
	if err != nil {
		return sdk.Result{}, wrap(op, err)
	}
	defer func() { _ = resp.Body.Close() }() // what it would say, reading has said
	out, note, err := rd.render(ctx, resp)
	if note != "" {
		h.Log(ctx, sdk.Warn, note, "action", op, "status", resp.Status)
	}
	switch {
	case !success(resp.Status) && (r.MaxRedirects >= 0 || !redirect(resp)):
		err = &sdk.Error{
			Kind: kindOf(resp.Status), Op: op,
			RetryAfter: retryAfter(resp.Header.Get("Retry-After"), h.Now()),
			Err:        fmt.Errorf("the service answered %d", resp.Status),
		}
	case err != nil && out == nil:
		err = wrap(op, fmt.Errorf("the service answered %d, but not to its end: %w", resp.Status, err))
	case err != nil:
		err = wrap(op, err)
	}
	return sdk.Result{Output: out}, err
}

// redirect says whether a response sends the client elsewhere; it is the answer
// where none is followed.
func redirect(resp *sdk.Response) bool {
	switch resp.Status {
	case 301, 302, 303, 307, 308:
		return resp.Header.Get("Location") != ""
	}
	return false
}

func success(status int) bool { return 200 <= status && status <= 299 }

// invalid is an error in the input, unless it has a kind of its own.
func invalid(op string, err error) error {
	var e *sdk.Error
	if errors.As(err, &e) {
		return &sdk.Error{Kind: e.Kind, Op: op, Err: err}
	}
	return &sdk.Error{Kind: sdk.Invalid, Op: op, Err: err}
}

// wrap keeps the kind of a host's error.
func wrap(op string, err error) error {
	w := &sdk.Error{Kind: sdk.KindOf(err), Op: op, Err: err}
	var e *sdk.Error
	if errors.As(err, &e) {
		w.RetryAfter = e.RetryAfter
	}
	return w
}

// kindOf gives the kind of a status that isn't of success:
//
//	401 407   unauthorized      408 504          timeout
//	403       denied            413              too_large
//	404 410   not_found         429              rate_limited
//	425 5xx   unavailable       anything else    failed
func kindOf(status int) sdk.Kind {
	switch status {
	case 401, 407:
		return sdk.Unauthorized
	case 403:
		return sdk.Denied
	case 404, 410:
		return sdk.NotFound
	case 408, 504:
		return sdk.Timeout
	case 413:
		return sdk.TooLarge
	case 425:
		return sdk.Unavailable
	case 429:
		return sdk.RateLimited
	}
	if status >= 500 {
		return sdk.Unavailable
	}
	return sdk.Failed
}

// maxRetryAfter bounds what a service may ask for.
const maxRetryAfter = 365 * 24 * time.Hour

// retryAfter reads Retry-After, seconds or a date (RFC 9110, 10.2.3); 0 for
// none, for one that is past and for one that can't be read.
func retryAfter(v string, now time.Time) time.Duration {
	v = strings.TrimSpace(v)
	if v == "" {
		return 0
	}
	if strings.Trim(v, "0123456789") == "" {
		s, err := strconv.ParseInt(v, 10, 64)
		if err != nil || s > int64(maxRetryAfter/time.Second) {
			return maxRetryAfter
		}
		return time.Duration(s) * time.Second
	}
	for _, layout := range []string{"Mon, 02 Jan 2006 15:04:05 GMT", time.RFC850, time.ANSIC} {
		if at, err := time.Parse(layout, v); err == nil {
			return min(max(at.Sub(now), 0), maxRetryAfter)
		}
	}
	return 0
}
