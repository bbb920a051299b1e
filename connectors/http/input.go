package http

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/tappet-dev/tappet/connectors/internal/rawjson"
	"github.com/tappet-dev/tappet/sdk"
)

// maxHeaders is how many fields a request's header may have; its bytes are the
// host's to bound.
const maxHeaders = 1_000

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

// maxRedirects is the most that redirects may say.
const maxRedirects = 10

// redirects reads how many redirects are followed, as sdk.Request.MaxRedirects
// has it: 0 when it is left out, -1 for none.
func (in *input) redirects() (int, error) {
	v, t := in.get("redirects")
	if t == rawjson.None {
		return 0, nil
	}
	n, err := strconv.ParseFloat(string(v), 64)
	if t != rawjson.Number || err != nil || n != math.Trunc(n) || n < 0 || n > maxRedirects {
		return 0, fmt.Errorf("redirects: a whole number from 0 to %d is wanted, not %.40s", maxRedirects, v)
	}
	if n == 0 {
		return -1, nil
	}
	return int(n), nil
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

// The ways to write a list as a pair's value.
const (
	listsRepeat   = "repeat"
	listsBrackets = "brackets"
	listsIndices  = "indices"
	listsComma    = "comma"
	listsNone     = "" // lists are refused
)

// pairs calls each for the key-value pairs of an object, with the key and value
// that go out: once for a plain value, once for each element of a list, or once
// with all elements for listsComma. A null is an empty value (S24), or left out
// when nulls aren't sent (S25); one inside of a list keeps its place.
func (in *input) pairs(name string, v []byte, lists string, each func(key string, values []string) error) error {
	if t := rawjson.Of(v); t != rawjson.Object {
		return fmt.Errorf("%s: an object of key-value pairs is wanted, not %s", name, t.Name())
	}
	one := make([]string, 1)
	return rawjson.Members(v, func(quoted, value []byte) error {
		key, ok := rawjson.Unquote(quoted)
		if !ok {
			return fmt.Errorf("%s: a key isn't text", name)
		}
		t := rawjson.Of(value)
		if t == rawjson.Null && !in.nulls {
			return nil
		}
		if t == rawjson.Array && lists != listsNone {
			if err := list(key, value, lists, each); err != nil {
				return fmt.Errorf("%s[%q]: %w", name, key, err)
			}
			return nil
		}
		text, err := plain(value)
		if err != nil {
			if t == rawjson.Array {
				err = fmt.Errorf(`%w; make one text of its values, with join(", ")`, err)
			}
			return fmt.Errorf("%s[%q]: it is %w", name, key, err)
		}
		one[0] = text
		return each(key, one)
	})
}

// list calls each for the elements of a list, as lists says.
func list(key string, v []byte, lists string, each func(key string, values []string) error) error {
	var all []string
	err := rawjson.Elements(v, func(element []byte) error {
		text, err := plain(element)
		if err != nil {
			return fmt.Errorf("an element is %w", err)
		}
		all = append(all, text)
		return nil
	})
	if err != nil || len(all) == 0 {
		return err
	}
	if lists == listsComma {
		return each(key, all)
	}
	for i := range all {
		k := key
		switch {
		case lists == listsBrackets && !strings.HasSuffix(key, "[]"):
			k += "[]"
		case lists == listsIndices:
			k = strings.TrimSuffix(key, "[]") + "[" + strconv.Itoa(i) + "]"
		}
		if err := each(k, all[i:i+1]); err != nil {
			return err
		}
	}
	return nil
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
			return "", errors.New("no valid string")
		}
		return s, nil
	case rawjson.None, rawjson.Array, rawjson.Object:
		return "", fmt.Errorf("%s, where a string, a number, a boolean or null is wanted", t.Name())
	}
	return "", errors.New("no value")
}

// header reads the headers; CR, LF and NUL are refused here, so that nothing is
// sent (S21).
func (in *input) header() (sdk.Header, error) {
	v, t := in.get("headers")
	if t == rawjson.None {
		return nil, nil
	}
	h := make(sdk.Header, 0, 8)
	err := in.pairs("headers", v, listsNone, func(key string, values []string) error {
		if !isToken(key) {
			return fmt.Errorf("headers: %.80q is no header name: letters, digits and !#$%%&'*+-.^_`|~ are wanted", key)
		}
		if strings.ContainsAny(values[0], "\r\n\x00") {
			return fmt.Errorf("headers[%q]: a value can't hold CR, LF or NUL", key)
		}
		if len(h) == maxHeaders {
			return fmt.Errorf("headers: there are more than %d fields", maxHeaders)
		}
		h.Add(key, values[0])
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
