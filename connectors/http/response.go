package http

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tappet-dev/tappet/connectors/internal/httpjson"
	"github.com/tappet-dev/tappet/connectors/internal/rawjson"
	"github.com/tappet-dev/tappet/sdk"
)

func post(ctx context.Context, h sdk.Host, c sdk.ActionCall) (sdk.Result, error) {
	return do(ctx, h, c, "http.post", "POST")
}

func get(ctx context.Context, h sdk.Host, c sdk.ActionCall) (sdk.Result, error) {
	return do(ctx, h, c, "http.get", "GET")
}

func put(ctx context.Context, h sdk.Host, c sdk.ActionCall) (sdk.Result, error) {
	return do(ctx, h, c, "http.put", "PUT")
}

func custom(ctx context.Context, h sdk.Host, c sdk.ActionCall) (sdk.Result, error) {
	return do(ctx, h, c, "http.custom", "")
}

// do sends one request and reads its answer.
func do(ctx context.Context, h sdk.Host, c sdk.ActionCall, op, method string) (sdk.Result, error) {
	r, err := build(method, c)
	if err != nil {
		return sdk.Result{}, invalid(op, err)
	}
	in := input{fields: c.Input}
	parse, err := in.oneOf("response_type", parseAuto, parseJSON, parseText)
	if err != nil {
		return sdk.Result{}, invalid(op, err)
	}
	resp, err := h.HTTP(ctx, r)
	if err != nil {
		return sdk.Result{}, wrap(op, err)
	}
	defer func() { _ = resp.Body.Close() }() // what it would say, reading has said
	out, note, err := render(resp, parse)
	if note != "" {
		h.Log(ctx, sdk.Warn, note, "action", op, "status", resp.Status)
	}
	switch {
	case resp.Status < 200 || resp.Status > 299:
		err = &sdk.Error{
			Kind: kindOf(resp.Status), Op: op,
			RetryAfter: retryAfter(resp.Header.Get("Retry-After"), h.Now()),
			Err:        fmt.Errorf("the service answered %d", resp.Status),
		}
	case err != nil:
		err = wrap(op, err)
	}
	return sdk.Result{Output: out}, err
}

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

// The ways to read a response.
const (
	parseAuto = "auto"
	parseJSON = "json"
	parseText = "text"
)

// render reads the response into {status, headers, body}. The output is whole
// even with an error. The note says why a body is left out: bytes that aren't
// UTF-8 text have no form in JSON.
func render(resp *sdk.Response, parse string) (out []byte, note string, err error) {
	n := 128
	for i := range resp.Header {
		n += len(resp.Header[i].Name) + len(resp.Header[i].Value) + 6
	}
	if resp.Size > 0 && resp.Size < 1<<20 {
		n += int(resp.Size) + bytes.MinRead
	}
	b := append(make([]byte, 0, n), `{"status":`...)
	b = strconv.AppendInt(b, int64(resp.Status), 10)
	b = append(b, `,"headers":`...)
	b = httpjson.AppendHeader(b, resp.Header, nil)
	b = append(b, `,"body":`...)
	head := len(b)
	b, err = readAll(b, resp.Body)
	if err != nil {
		return append(b[:head], "null}"...), "", err
	}
	b, note, err = body(b, head, resp.Header.Get("Content-Type"), parse)
	return append(b, '}'), note, err
}

// readAll appends what r holds.
func readAll(b []byte, r io.Reader) ([]byte, error) {
	for {
		if cap(b)-len(b) < bytes.MinRead {
			b = append(b, make([]byte, max(bytes.MinRead, len(b)/2))...)[:len(b)]
		}
		n, err := r.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		if err == io.EOF {
			return b, nil
		}
		if err != nil {
			return b, fmt.Errorf("read the response: %w", err)
		}
	}
}

// body makes a JSON value of the bytes after head: JSON stays where it is.
func body(b []byte, head int, contentType, parse string) ([]byte, string, error) {
	got := b[head:]
	if len(got) == 0 {
		return append(b, "null"...), "", nil
	}
	media, _ := httpjson.MediaType(contentType)
	switch {
	case parse == parseJSON, parse != parseText && httpjson.IsJSON(media):
		plain := bytes.TrimPrefix(got, []byte("\xef\xbb\xbf"))
		if len(plain) < len(got) {
			b = b[:head+copy(got, plain)]
			got = b[head:]
		}
		err := rawjson.Check(got, 0)
		if err == nil {
			return b, "", nil
		}
		b, note := text(b, head, media)
		return b, note, sdk.Errorf(sdk.Failed, "the response is not JSON: %w", err)
	case parse != parseText && media == httpjson.Form:
		form, err := httpjson.AppendForm(b[:head:head], string(got))
		if err == nil {
			return form, "", nil
		}
		b, note := text(b, head, media)
		return b, note, sdk.Errorf(sdk.Failed, "the response is no urlencoded form: %w", err)
	case parse != parseText && media == "":
		if t := rawjson.Of(got); (t == rawjson.Object || t == rawjson.Array) && rawjson.Check(got, 0) == nil {
			return b, "", nil
		}
	}
	b, note := text(b, head, media)
	if note != "" && parse == parseText {
		return b, "", sdk.Errorf(sdk.Failed, "the response is not text in UTF-8")
	}
	return b, note, nil
}

// text makes a JSON string of the bytes after head, or null and a note when
// they aren't text.
func text(b []byte, head int, media string) ([]byte, string) {
	got := b[head:]
	if !utf8.Valid(got) || bytes.IndexByte(got, 0) >= 0 {
		if media == "" {
			media = "no content type"
		}
		note := fmt.Sprintf("the body of the response is left out: %d bytes (%s) that are not text in UTF-8", len(got), media)
		return append(b[:head], "null"...), note
	}
	s := string(got)
	return rawjson.AppendString(b[:head], s), ""
}
