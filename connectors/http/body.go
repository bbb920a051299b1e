package http

import (
	"errors"
	"fmt"
	"strings"

	"github.com/tappet-dev/tappet/connectors/internal/httpjson"
	"github.com/tappet-dev/tappet/connectors/internal/rawjson"
)

// The types of bodies that custom takes.
const (
	bodyJSON       = "json"
	bodyRaw        = "raw"
	bodyURLEncoded = "urlencoded"
	bodyForm       = "form-data"
	bodyFile       = "file"
	bodyNone       = "none"
)

const (
	typeJSON = "application/json"
	typeText = "text/plain; charset=utf-8"
	typeForm = "multipart/form-data"
	typeFile = "application/octet-stream"
)

// body writes the parameters as the body type says, and sets Content-Type where
// the graph doesn't.
func (b *builder) body() error {
	kind, contentType, err := b.bodyType()
	if err != nil {
		return err
	}
	v := b.fields.Get("body")
	t := rawjson.Of(v)
	if b.custom {
		parts, formType := b.get("form_data")
		switch {
		case formType != rawjson.None && t != rawjson.None && t != rawjson.Null:
			return errors.New("form_data: there is a body too; give one of them")
		case formType != rawjson.None && kind != bodyForm:
			return fmt.Errorf("form_data: it belongs to body_type form-data, not %s", kind)
		case kind == bodyForm && formType != rawjson.None:
			return b.form("form_data", parts, true)
		}
	}
	switch {
	case kind == bodyNone && t != rawjson.None && t != rawjson.Null:
		return errors.New("body: there is one, but body_type is none")
	case kind == bodyForm && (t == rawjson.None || t == rawjson.Null):
		return b.form("form_data", []byte("{}"), true)
	case kind == bodyFile && t != rawjson.Object:
		return fmt.Errorf("body: a file is wanted, not %s", t.Name())
	case kind == bodyNone, t == rawjson.None:
		return nil
	case kind == bodyForm:
		return b.form("body", v, b.custom)
	case (kind == bodyFile || kind == bodyRaw) && b.custom && t == rawjson.Object:
		return b.file(v, contentType)
	}
	var data []byte
	switch kind {
	case bodyURLEncoded:
		data, err = b.urlencoded(v, t)
	case bodyRaw:
		data, err = raw(v, t)
		if contentType == "" && !b.r.Header.Has("Content-Type") {
			contentType = typeText
		}
	default:
		if t == rawjson.Null && !b.nulls {
			return nil
		}
		data = v
		if !b.nulls {
			if data, err = rawjson.AppendWithoutNulls(make([]byte, 0, len(v)), v); err != nil {
				err = fmt.Errorf("body: %w", err)
			}
		}
	}
	if err != nil {
		return err
	}
	if contentType != "" {
		b.r.Header.Add("Content-Type", contentType)
	}
	setBytes(b.r, data)
	return nil
}

// bodyType tells how the body is written, and the Content-Type to add, "" when
// the graph has set it or the body itself decides (S8, S21).
func (b *builder) bodyType() (kind, contentType string, err error) {
	if b.custom {
		if kind, err = b.oneOf("body_type", bodyJSON, bodyRaw, bodyURLEncoded, bodyForm, bodyFile, bodyNone); err != nil {
			return "", "", err
		}
		own, err := b.text("content_type")
		if err != nil {
			return "", "", err
		}
		if _, t := b.get("form_data"); kind == "" && t != rawjson.None {
			kind = bodyForm
		}
		if own != "" {
			return b.ownType(kind, own)
		}
	}
	set, n := "", 0
	for _, f := range b.r.Header {
		if httpjson.EqualFold(f.Name, "Content-Type") {
			set, n = f.Value, n+1
		}
	}
	switch n {
	case 0:
		switch kind {
		case bodyURLEncoded:
			return kind, httpjson.Form, nil
		case "", bodyJSON:
			return bodyJSON, typeJSON, nil
		}
		return kind, "", nil
	case 1:
		kind, err = selected(kind, set)
		return kind, "", err
	}
	return "", "", fmt.Errorf("headers: there are %d Content-Type fields; one is wanted", n)
}

// ownType is a body whose type the field content_type gives.
func (b *builder) ownType(kind, own string) (string, string, error) {
	switch {
	case kind != "" && kind != bodyRaw && kind != bodyFile:
		return "", "", fmt.Errorf("content_type: it belongs to body_type raw or file, not %s", kind)
	case b.r.Header.Has("Content-Type"):
		return "", "", errors.New("content_type: headers has a Content-Type too; give one of them")
	case !isFieldValue(own):
		return "", "", errors.New("content_type: it can't hold CR, LF or other control characters")
	case kind == "":
		kind = bodyRaw
	}
	return kind, own, nil
}

// selected is the type of a body that the header's Content-Type describes; kind
// is the one that the graph gives, "" for none.
func selected(kind, contentType string) (string, error) {
	media, _ := httpjson.MediaType(contentType)
	by := bodyRaw
	switch {
	case httpjson.IsJSON(media):
		by = bodyJSON
	case media == httpjson.Form:
		by = bodyURLEncoded
	case media == typeForm:
		by = bodyForm
		if _, params, _ := strings.Cut(contentType, ";"); strings.TrimSpace(params) != "" {
			return "", errors.New("headers: a Content-Type of multipart/form-data has no parameters here: its boundary is made for each request")
		}
	}
	switch kind {
	case "":
		if by == bodyRaw && strings.HasPrefix(media, "multipart/") {
			return "", fmt.Errorf("headers: Content-Type %.80q can't be written from parameters; multipart/form-data can", contentType)
		}
		return by, nil
	case bodyJSON, bodyURLEncoded, bodyForm:
		if kind != by {
			return "", fmt.Errorf("headers: Content-Type %.80q doesn't describe a body of body_type %s", contentType, kind)
		}
	}
	return kind, nil
}

// isFieldValue says whether s can be the value of a header field.
func isFieldValue(s string) bool {
	return strings.IndexFunc(s, func(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f }) < 0
}

// urlencoded writes key-value pairs; text is taken to be encoded already.
func (in *input) urlencoded(v []byte, t rawjson.Type) ([]byte, error) {
	switch t {
	case rawjson.Null:
		return nil, nil
	case rawjson.String:
		s, ok := rawjson.Unquote(v)
		if !ok {
			return nil, errors.New("body: no valid string")
		}
		return []byte(s), nil
	case rawjson.None, rawjson.Bool, rawjson.Number, rawjson.Array, rawjson.Object:
	}
	b := make([]byte, 0, len(v)+16)
	err := in.pairs("body", v, listsRepeat, func(key string, values []string) error {
		if key == "" {
			return errors.New("body: a key is empty; each pair of a form needs a name")
		}
		if len(b) > 0 {
			b = append(b, '&')
		}
		b = append(httpjson.AppendFormEscaped(b, key), '=')
		b = httpjson.AppendFormEscaped(b, values[0])
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
		return nil, fmt.Errorf("body: %s can't be written by the Content-Type; give text, or send JSON, urlencoded pairs or form-data",
			t.Name())
	}
	s, err := plain(v)
	if err != nil {
		return nil, fmt.Errorf("body: it is %w", err)
	}
	return []byte(s), nil
}

// file sets a body that is one file.
func (b *builder) file(v []byte, contentType string) error {
	ref, ok := readFile(v)
	if !ok {
		return errors.New("body: an object can't be written by the Content-Type; give text or a file, or send JSON, urlencoded pairs or form-data")
	}
	size, err := b.stat(ref)
	if err != nil {
		return fmt.Errorf("body: %w", err)
	}
	if contentType == "" && !b.r.Header.Has("Content-Type") {
		contentType = ref.Type
	}
	if contentType != "" {
		b.r.Header.Add("Content-Type", contentType)
	}
	b.stream(nil, []insert{{id: ref.ID, name: ref.Name, size: size}})
	return nil
}
