package http

import (
	"bytes"
	"context"
	"fmt"
	"io"

	"github.com/tappet-dev/tappet/connectors/internal/rawjson"
	"github.com/tappet-dev/tappet/sdk"
)

// A builder makes the request of one call.
type builder struct {
	input
	ctx    func() context.Context // that of the call, for the files of the body
	host   sdk.Host
	key    string
	custom bool
	r      *sdk.Request
}

// build makes the request of one call. The method is empty for custom, whose
// input has it. The request's body is closed by the caller if it is an
// io.Closer.
func build(ctx context.Context, h sdk.Host, method string, call sdk.ActionCall) (*sdk.Request, error) {
	b := builder{
		input: input{fields: call.Input, nulls: true},
		ctx:   func() context.Context { return ctx }, host: h, key: call.IdempotencyKey, custom: method == "",
	}
	var err error
	if b.nulls, err = b.flag("send_nulls", true); err != nil {
		return nil, err
	}
	if b.custom {
		if method, err = b.text("method"); err != nil {
			return nil, err
		}
		if !isToken(method) {
			return nil, fmt.Errorf("method: %.40q is no method such as PATCH or DELETE", method)
		}
	}
	b.r = &sdk.Request{Method: method}
	if b.r.URL, err = b.address(); err != nil {
		return nil, err
	}
	if b.r.Header, err = b.header(); err != nil {
		return nil, err
	}
	if b.r.MaxRedirects, err = b.redirects(); err != nil {
		return nil, err
	}
	if method == "GET" || method == "HEAD" {
		err = b.bodiless()
	} else {
		err = b.body()
	}
	if err != nil {
		return nil, err
	}
	if call.IdempotencyKey != "" && !safe(method) {
		if err := b.idempotency(call.IdempotencyKey); err != nil {
			return nil, err
		}
	}
	return b.r, nil
}

// bodiless refuses a body where it has no meaning (RFC 9110, 9.3.1).
func (b *builder) bodiless() error {
	for _, name := range []string{"body", "form_data"} {
		if _, t := b.get(name); t != rawjson.None && b.custom {
			return fmt.Errorf("%s: a %s request has no body; give query, or another method", name, b.r.Method)
		}
	}
	return nil
}

// safe says whether a method asks for nothing to be changed (RFC 9110, 9.2.1).
func safe(method string) bool {
	return method == "GET" || method == "HEAD" || method == "OPTIONS" || method == "TRACE"
}

// idempotency adds the key's header, unless the graph has one of that name.
func (b *builder) idempotency(key string) error {
	name := "Idempotency-Key"
	if v, t := b.get("idempotency_key"); t == rawjson.String {
		if name, _ = rawjson.Unquote(v); !isToken(name) {
			return fmt.Errorf("idempotency_key: %.80q is no header name", name)
		}
	} else if on, err := b.flag("idempotency_key", true); err != nil || !on {
		return err
	}
	if !b.r.Header.Has(name) {
		b.r.Header.Add(name, key)
	}
	return nil
}

// setBytes sets a body that can be sent again.
func setBytes(r *sdk.Request, b []byte) {
	r.Body, r.Size = bytes.NewReader(b), int64(len(b))
	r.Reopen = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }
}
