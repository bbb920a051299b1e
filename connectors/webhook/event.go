package webhook

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"mime"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/tappet-dev/tappet/connectors/internal/charset"
	"github.com/tappet-dev/tappet/connectors/internal/httpjson"
	"github.com/tappet-dev/tappet/connectors/internal/rawjson"
	"github.com/tappet-dev/tappet/sdk"
)

// op names what was done in errors.
const op = "webhook"

// The reasons (sdk.Error.Reason) why a request isn't let in.
const (
	reasonNetwork    = "network"
	reasonCredential = "credential"
	reasonSignature  = "signature"
	// reasonReplay: the signature's time is outside of the window.
	reasonReplay = "replay"
)

// receive makes the event of one request.
func receive(ctx context.Context, h sdk.Host, call sdk.WebhookCall) (sdk.RawWebhook, error) {
	c, err := readConfig(call.Config)
	if err != nil {
		return sdk.RawWebhook{}, &sdk.Error{Kind: sdk.Invalid, Op: op, Err: err}
	}
	r := &call.Request
	unverified := c.verify != nil && call.Trusted
	if call.Trusted {
		c.from, c.auth, c.verify = nil, nil, nil
	}
	if err := admitted(c.from, r.Remote); err != nil {
		return sdk.RawWebhook{}, refusal(err)
	}
	if c.auth != nil {
		if err := c.auth.allows(ctx, h, r.Header); err != nil {
			return sdk.RawWebhook{}, refusal(err)
		}
	}
	if c.verify != nil {
		res, err := receiveSigned(ctx, h, call, c)
		if err != nil {
			return sdk.RawWebhook{}, refusal(err)
		}
		return res, nil
	}
	data, err := appendEvent(ctx, make([]byte, 0, estimate(r, c)), h, r, c)
	if err != nil {
		return sdk.RawWebhook{}, refusal(err)
	}
	if unverified {
		data = append(data, `,"verified":false`...)
	}
	return sdk.RawWebhook{Events: []sdk.Event{{Data: append(data, '}')}}, Wait: c.wait, Answer: c.answer}, nil
}

// receiveSigned makes the event of a request that is signed. Its key is the
// sender's id of the event, if the signature is right: else whoever guesses an
// id could have the event of that id taken for a duplicate.
func receiveSigned(ctx context.Context, h sdk.Host, call sdk.WebhookCall, c config) (sdk.RawWebhook, error) {
	r := &call.Request
	check, err := c.verify.start(ctx, h, r)
	if err != nil {
		return sdk.RawWebhook{}, err
	}
	if a := c.verify.profile.answersChallenge(r.Body); a != nil && check.fault == nil {
		return sdk.RawWebhook{Answer: a}, nil
	}
	data, err := appendEvent(ctx, make([]byte, 0, estimate(r, c)), h, r, c)
	if err != nil {
		return sdk.RawWebhook{}, err
	}
	if err := check.finish(r); err != nil {
		return sdk.RawWebhook{}, err
	}
	key := ""
	if check.fault == nil {
		if key, err = c.verify.profile.key(r); err != nil {
			return sdk.RawWebhook{}, err
		}
	} else {
		h.Log(ctx, sdk.Warn, "a request whose signature isn't right was taken: the trigger only observes", "path", r.Path, "reason", check.fault.Error())
	}
	data = strconv.AppendBool(append(data, `,"verified":`...), check.fault == nil)
	return sdk.RawWebhook{Events: []sdk.Event{{Key: key, Data: append(data, '}')}}, Wait: c.wait, Answer: c.answer}, nil
}

// refusal is the request's fault, unless the error has a kind of its own.
func refusal(err error) error {
	out := &sdk.Error{Kind: sdk.Invalid, Op: op, Err: err}
	if e, ok := errors.AsType[*sdk.Error](err); ok {
		out.Kind, out.RetryAfter = e.Kind, e.RetryAfter
	}
	if _, ok := errors.AsType[*typeError](err); ok {
		out.Kind = sdk.Unsupported
	}
	return out
}

// estimate is the size of the event's buffer: enough, unless something has to
// be escaped or there are files.
func estimate(r *sdk.WebhookRequest, c config) int {
	n := len(r.Body) + len(r.Method) + len(r.Path) + 2*len(r.Query) + 124
	for i := range r.Header {
		n += len(r.Header[i].Name) + len(r.Header[i].Value) + 6
	}
	if c.raw {
		n += len(r.Body) + len(r.Body)/8 + 16
	}
	return n
}

// appendEvent appends the event without its last brace.
func appendEvent(ctx context.Context, dst []byte, h sdk.Host, r *sdk.WebhookRequest, c config) ([]byte, error) {
	var files []sdk.File
	dst = append(dst, `{"body":`...)
	dst, files, err := appendBody(ctx, dst, h, r)
	if err != nil {
		return nil, fmt.Errorf("body: %w", err)
	}
	dst = append(dst, `,"headers":`...)
	hidden := isCredential
	if c.auth != nil && c.auth.Kind == "header" {
		key := strings.ToLower(c.auth.Header)
		hidden = func(name string) bool { return httpjson.EqualFold(name, key) || isCredential(name) }
	}
	dst = httpjson.AppendHeader(dst, r.Header, hidden)
	dst = append(dst, `,"query":`...)
	if dst, err = httpjson.AppendForm(dst, r.Query); err != nil {
		return nil, fmt.Errorf("query: %w", err)
	}
	dst = append(dst, `,"method":`...)
	dst = rawjson.AppendString(dst, r.Method)
	dst = append(dst, `,"path":`...)
	dst = rawjson.AppendString(dst, r.Path)
	dst = append(dst, `,"params":{`...)
	for i, p := range r.Params {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = rawjson.AppendString(append(rawjson.AppendString(dst, p.Name), ':'), p.Value)
	}
	dst = append(dst, `},"files":[`...)
	for i, f := range files {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendFile(dst, f)
	}
	dst = append(dst, ']')
	if c.raw {
		dst = appendRaw(append(dst, `,"raw":`...), r)
	}
	return dst, nil
}

func appendRaw(dst []byte, r *sdk.WebhookRequest) []byte {
	if r.Stream != nil || !utf8.Valid(r.Body) {
		return append(dst, "null"...)
	}
	return rawjson.AppendString(dst, r.Body)
}

// appendFile appends what sdk.File is as JSON.
func appendFile(dst []byte, f sdk.File) []byte {
	dst = rawjson.AppendString(append(dst, `{"file":`...), f.ID)
	dst = rawjson.AppendString(append(dst, `,"name":`...), f.Name)
	dst = rawjson.AppendString(append(dst, `,"type":`...), f.Type)
	dst = strconv.AppendInt(append(dst, `,"size":`...), f.Size, 10)
	return append(dst, '}')
}

// isCredential names the fields that never enter an event: an event is stored.
func isCredential(name string) bool {
	switch len(name) {
	case len("cookie"):
		return httpjson.EqualFold(name, "cookie")
	case len("authorization"):
		return httpjson.EqualFold(name, "authorization")
	case len("proxy-authorization"):
		return httpjson.EqualFold(name, "proxy-authorization")
	}
	return false
}

// appendBody appends the body's value and gives the files that it holds.
func appendBody(ctx context.Context, dst []byte, h sdk.Host, r *sdk.WebhookRequest) ([]byte, []sdk.File, error) {
	kind := r.Header.Get("Content-Type")
	if r.Stream != nil {
		media, params, err := mime.ParseMediaType(kind)
		if err == nil && media == "multipart/form-data" {
			return appendParts(ctx, dst, h, r.Stream, params["boundary"])
		}
		body := bufio.NewReader(r.Stream)
		if _, err := body.Peek(1); err != nil {
			return appendNothing(dst, err)
		}
		return appendWhole(ctx, dst, h, r, body)
	}
	if len(r.Body) == 0 {
		return append(dst, "null"...), nil, nil
	}
	if kind == "" && !utf8.Valid(r.Body) {
		return appendWhole(ctx, dst, h, r, bytes.NewReader(r.Body))
	}
	dst, err := appendValue(dst, r.Body, kind)
	return dst, nil, err
}

const taken = "taken are JSON, urlencoded and multipart forms, XML and text/* in UTF-8, and any other type as a file"

// appendValue appends a body that is in memory by its Content-Type.
func appendValue(dst, body []byte, kind string) ([]byte, error) {
	if kind == "" {
		if t := rawjson.Of(body); t == rawjson.Object || t == rawjson.Array {
			return appendJSON(dst, body)
		}
		return appendText(dst, body)
	}
	if kind == "application/json" {
		return appendJSON(dst, body)
	}
	media, encoding := httpjson.MediaType(kind)
	switch encoding {
	case "", "utf-8", "utf8", "us-ascii":
	default:
		return nil, &typeError{fmt.Sprintf("charset %.40q isn't taken: send UTF-8", encoding)}
	}
	switch {
	case httpjson.IsJSON(media):
		return appendJSON(dst, body)
	case media == httpjson.Form:
		return httpjson.AppendForm(dst, string(body))
	case isXML(media):
		dst, err := httpjson.AppendXML(dst, body, charset.Reader)
		if err != nil {
			return nil, fmt.Errorf("not XML: %w", err)
		}
		return dst, nil
	}
	return appendText(dst, body)
}

// isXML says whether a media type, in lower case, is of XML (RFC 7303).
func isXML(media string) bool {
	return media == "application/xml" || media == "text/xml" || strings.HasSuffix(media, "+xml")
}

// typeError says that a body's type isn't taken.
type typeError struct{ msg string }

func (e *typeError) Error() string { return e.msg }

func appendJSON(dst, body []byte) ([]byte, error) {
	body = bytes.TrimPrefix(body, []byte("\xef\xbb\xbf"))
	if err := rawjson.CheckUnique(body, 0); err != nil {
		return nil, fmt.Errorf("not JSON: %w", err)
	}
	return append(dst, body...), nil
}

func appendText(dst, body []byte) ([]byte, error) {
	if !utf8.Valid(body) {
		return nil, &typeError{"text that isn't UTF-8; " + taken}
	}
	return rawjson.AppendString(dst, body), nil
}
