package http

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/tappet-dev/tappet/connectors/internal/httpjson"
	"github.com/tappet-dev/tappet/connectors/internal/rawjson"
	"github.com/tappet-dev/tappet/sdk"
)

// The types of bodies that custom takes.
const (
	bodyJSON       = "json"
	bodyURLEncoded = "urlencoded"
	bodyRaw        = "raw"
	bodyNone       = "none"
)

// build makes the request of one call. The method is empty for custom, whose
// input has it.
func build(method string, call sdk.ActionCall) (*sdk.Request, error) {
	in := input{fields: call.Input, nulls: true}
	custom := method == ""
	var err error
	if in.nulls, err = in.flag("send_nulls", true); err != nil {
		return nil, err
	}
	if custom {
		if method, err = in.text("method"); err != nil {
			return nil, err
		}
		if !isToken(method) {
			return nil, fmt.Errorf("method: %.40q is no method such as PATCH or DELETE", method)
		}
	}
	r := &sdk.Request{Method: method}
	if r.URL, err = in.address(); err != nil {
		return nil, err
	}
	if r.Header, err = in.header(); err != nil {
		return nil, err
	}
	if method != "GET" || custom {
		if err := in.body(r, custom); err != nil {
			return nil, err
		}
	}
	if call.IdempotencyKey != "" && !safe(method) {
		if err := in.idempotency(r, call.IdempotencyKey); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// safe says whether a method asks for nothing to be changed (RFC 9110, 9.2.1).
func safe(method string) bool {
	return method == "GET" || method == "HEAD" || method == "OPTIONS" || method == "TRACE"
}

// idempotency adds the key's header, unless the graph has one of that name.
func (in *input) idempotency(r *sdk.Request, key string) error {
	name := "Idempotency-Key"
	if v, t := in.get("idempotency_key"); t == rawjson.String {
		if name, _ = rawjson.Unquote(v); !isToken(name) {
			return fmt.Errorf("idempotency_key: %.80q is no header name", name)
		}
	} else if on, err := in.flag("idempotency_key", true); err != nil || !on {
		return err
	}
	if !r.Header.Has(name) {
		r.Header.Add(name, key)
	}
	return nil
}

// body writes the parameters as the body type says, and sets Content-Type where
// the graph doesn't.
func (in *input) body(r *sdk.Request, custom bool) error {
	kind, contentType, err := in.bodyType(r.Header, custom)
	if err != nil {
		return err
	}
	v := in.fields.Get("body")
	t := rawjson.Of(v)
	if kind == bodyNone {
		if t != rawjson.None && t != rawjson.Null {
			return fmt.Errorf("body: there is one, but body_type is none")
		}
		return nil
	}
	if t == rawjson.None {
		return nil
	}
	var b []byte
	switch kind {
	case bodyURLEncoded:
		b, err = in.urlencoded(v, t)
	case bodyRaw:
		b, err = raw(v, t)
	default:
		if t == rawjson.Null && !in.nulls {
			return nil
		}
		b = v
		if !in.nulls {
			if b, err = rawjson.AppendWithoutNulls(make([]byte, 0, len(v)), v); err != nil {
				err = fmt.Errorf("body: %w", err)
			}
		}
	}
	if err != nil {
		return err
	}
	if contentType != "" {
		r.Header.Add("Content-Type", contentType)
	}
	setBody(r, b)
	return nil
}

// bodyType tells how the body is written, and the Content-Type to add, "" when
// the graph has set it (S8, S21).
func (in *input) bodyType(h sdk.Header, custom bool) (kind, contentType string, err error) {
	var own string
	if custom {
		if kind, err = in.oneOf("body_type", bodyJSON, bodyURLEncoded, bodyRaw, bodyNone); err != nil {
			return "", "", err
		}
		if own, err = in.text("content_type"); err != nil {
			return "", "", err
		}
	}
	if own != "" {
		switch {
		case kind != "" && kind != bodyRaw:
			return "", "", fmt.Errorf("content_type: it belongs to body_type raw, not %s", kind)
		case h.Has("Content-Type"):
			return "", "", fmt.Errorf("content_type: headers has a Content-Type too; give one of them")
		case strings.ContainsAny(own, "\r\n\x00"):
			return "", "", fmt.Errorf("content_type: it can't hold CR, LF or NUL")
		}
		return bodyRaw, own, nil
	}
	if !h.Has("Content-Type") {
		switch kind {
		case bodyURLEncoded:
			return kind, httpjson.Form, nil
		case bodyRaw:
			return kind, "text/plain; charset=utf-8", nil
		case bodyNone:
			return kind, "", nil
		}
		return bodyJSON, "application/json", nil
	}
	set, n := "", 0
	for i := range h {
		if httpjson.EqualFold(h[i].Name, "Content-Type") {
			set, n = h[i].Value, n+1
		}
	}
	if n > 1 {
		return "", "", fmt.Errorf("headers: there are %d Content-Type fields; one is wanted", n)
	}
	media, _ := httpjson.MediaType(set)
	selected := bodyRaw
	switch {
	case httpjson.IsJSON(media):
		selected = bodyJSON
	case media == httpjson.Form:
		selected = bodyURLEncoded
	case kind == "" && strings.HasPrefix(media, "multipart/"):
		return "", "", &sdk.Error{Kind: sdk.Unsupported, Err: errors.New(
			"headers: a Content-Type of multipart can't be written from parameters; application/json or urlencoded can")}
	}
	switch kind {
	case "":
		kind = selected
	case bodyJSON, bodyURLEncoded:
		if kind != selected {
			return "", "", fmt.Errorf("headers: Content-Type %.80q doesn't describe a body of body_type %s", set, kind)
		}
	}
	return kind, "", nil
}

// urlencoded writes key-value pairs; text is taken to be encoded already.
func (in *input) urlencoded(v []byte, t rawjson.Type) ([]byte, error) {
	switch t {
	case rawjson.Null:
		return nil, nil
	case rawjson.String:
		s, ok := rawjson.Unquote(v)
		if !ok {
			return nil, fmt.Errorf("body: no valid string")
		}
		return []byte(s), nil
	case rawjson.None, rawjson.Bool, rawjson.Number, rawjson.Array, rawjson.Object:
	}
	b := make([]byte, 0, len(v)+16)
	err := in.pairs("body", v, func(key, value string) error {
		if len(b) > 0 {
			b = append(b, '&')
		}
		b = append(httpjson.AppendFormEscaped(b, key), '=')
		b = httpjson.AppendFormEscaped(b, value)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return b, nil
}

// raw gives the bytes of a text.
func raw(v []byte, t rawjson.Type) ([]byte, error) {
	if t == rawjson.Object || t == rawjson.Array {
		return nil, fmt.Errorf("body: %s can't be written by the Content-Type; give text, or send JSON or urlencoded pairs",
			t.Name())
	}
	s, err := plain(v)
	if err != nil {
		return nil, fmt.Errorf("body: it is %w", err)
	}
	return []byte(s), nil
}

// setBody sets a body that can be sent again.
func setBody(r *sdk.Request, b []byte) {
	r.Body, r.Size = bytes.NewReader(b), int64(len(b))
	r.Reopen = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }
}
