package http

import (
	"fmt"
	"strings"

	"github.com/tappet-dev/tappet/connectors/internal/httpjson"
	"github.com/tappet-dev/tappet/connectors/internal/rawjson"
	"github.com/tappet-dev/tappet/sdk"
)

// input reads the mapped fields of one call. Its methods name the field in
// their errors.
type input struct {
	fields sdk.Fields
	nulls  bool
}

// get returns the value of a field and its type; null counts as left out.
func (in *input) get(name string) ([]byte, rawjson.Type) {
	v := in.fields.Get(name)
	t := rawjson.Of(v)
	if t == rawjson.Null {
		return nil, rawjson.None
	}
	return v, t
}

// text reads a string; "" when it is left out.
func (in *input) text(name string) (string, error) {
	v, t := in.get(name)
	if t == rawjson.None {
		return "", nil
	}
	s, ok := rawjson.Unquote(v)
	if !ok {
		return "", fmt.Errorf("%s: a string is wanted, not %s", name, t.Name())
	}
	return s, nil
}

// flag reads a boolean, unset when it is left out.
func (in *input) flag(name string, unset bool) (bool, error) {
	v, t := in.get(name)
	switch {
	case t == rawjson.None:
		return unset, nil
	case t == rawjson.Bool && string(v) == "true":
		return true, nil
	case t == rawjson.Bool && string(v) == "false":
		return false, nil
	}
	return false, fmt.Errorf("%s: true or false is wanted, not %s", name, t.Name())
}

// oneOf reads a string out of a list; "" when it is left out.
func (in *input) oneOf(name string, list ...string) (string, error) {
	s, err := in.text(name)
	if err != nil || s == "" {
		return "", err
	}
	for _, x := range list {
		if s == x {
			return s, nil
		}
	}
	return "", fmt.Errorf("%s: %.40q is not one of %s", name, s, strings.Join(list, ", "))
}

// pairs calls each for the key-value pairs of an object: once for a plain
// value, once for each element of a list. A null is an empty value (S24), or
// left out when nulls aren't sent (S25); one inside of a list keeps its place.
func (in *input) pairs(name string, v []byte, each func(key, value string) error) error {
	if t := rawjson.Of(v); t != rawjson.Object {
		return fmt.Errorf("%s: an object of key-value pairs is wanted, not %s", name, t.Name())
	}
	return rawjson.Members(v, func(quoted, value []byte) error {
		key, ok := rawjson.Unquote(quoted)
		if !ok {
			return fmt.Errorf("%s: a key isn't text", name)
		}
		switch rawjson.Of(value) {
		case rawjson.Null:
			if !in.nulls {
				return nil
			}
			return each(key, "")
		case rawjson.Array:
			return rawjson.Elements(value, func(element []byte) error {
				text, err := plain(element)
				if err != nil {
					return fmt.Errorf("%s[%q]: an element is %w", name, key, err)
				}
				return each(key, text)
			})
		case rawjson.None, rawjson.Bool, rawjson.Number, rawjson.String, rawjson.Object:
		}
		text, err := plain(value)
		if err != nil {
			return fmt.Errorf("%s[%q]: it is %w", name, key, err)
		}
		return each(key, text)
	})
}

// plain gives the text of a value that has no parts: numbers keep their digits,
// null is empty.
func plain(v []byte) (string, error) {
	switch t := rawjson.Of(v); t {
	case rawjson.Null:
		return "", nil
	case rawjson.Bool, rawjson.Number:
		return string(v), nil
	case rawjson.String:
		s, ok := rawjson.Unquote(v)
		if !ok {
			return "", fmt.Errorf("no valid string")
		}
		return s, nil
	case rawjson.None, rawjson.Array, rawjson.Object:
		return "", fmt.Errorf("%s, where a string, a number, a boolean, null or a list of these is wanted", t.Name())
	}
	return "", fmt.Errorf("no value")
}

// address gives the URL as it was given, with the query's pairs added after its
// own (S19, S22).
func (in *input) address() (string, error) {
	v := in.fields.Get("url")
	url, ok := rawjson.Unquote(v)
	if !ok {
		return "", fmt.Errorf("url: an absolute http or https URL is wanted, not %s", rawjson.Of(v).Name())
	}
	if len(url) < 8 || !hasScheme(url, "http://") && !hasScheme(url, "https://") {
		return "", fmt.Errorf("url: %.80q does not begin with http:// or https://", url)
	}
	query, t := in.get("query")
	if t == rawjson.None {
		return url, nil
	}
	base, fragment := url, ""
	if i := strings.IndexByte(url, '#'); i >= 0 {
		base, fragment = url[:i], url[i:]
	}
	b := make([]byte, 0, len(url)+len(query)+16)
	b = append(b, base...)
	first := byte('&')
	switch {
	case !strings.Contains(base, "?"):
		first = '?'
	case strings.HasSuffix(base, "?"), strings.HasSuffix(base, "&"):
		first = 0
	}
	err := in.pairs("query", query, func(key, value string) error {
		if first != 0 {
			b = append(b, first)
		}
		first = '&'
		b = append(httpjson.AppendQueryEscaped(b, key), '=')
		b = httpjson.AppendQueryEscaped(b, value)
		return nil
	})
	if err != nil {
		return "", err
	}
	return string(append(b, fragment...)), nil
}

func hasScheme(url, scheme string) bool {
	return len(url) > len(scheme) && httpjson.EqualFold(url[:len(scheme)], scheme)
}

// header reads the headers; CR, LF and NUL are refused here, so that nothing is
// sent (S21).
func (in *input) header() (sdk.Header, error) {
	v, t := in.get("headers")
	if t == rawjson.None {
		return nil, nil
	}
	h := make(sdk.Header, 0, 8)
	err := in.pairs("headers", v, func(key, value string) error {
		if !isToken(key) {
			return fmt.Errorf("headers: %.80q is no header name: letters, digits and !#$%%&'*+-.^_`|~ are wanted", key)
		}
		if strings.ContainsAny(value, "\r\n\x00") {
			return fmt.Errorf("headers[%q]: a value can't hold CR, LF or NUL", key)
		}
		h.Add(key, value)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return h, nil
}

// isToken says whether s is a token of RFC 9110, 5.6.2.
func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0:
		default:
			return false
		}
	}
	return s != ""
}
