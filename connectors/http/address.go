package http

import (
	"fmt"
	"strings"

	"github.com/tappet-dev/tappet/connectors/internal/httpjson"
	"github.com/tappet-dev/tappet/connectors/internal/rawjson"
)

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
	for i := range len(url) {
		if c := url[i]; c <= ' ' || c >= 0x7f {
			return "", fmt.Errorf("url: byte %d is 0x%02x; write it percent-encoded, as %%%02X", i, c, c)
		}
	}
	query, t := in.get("query")
	arrays, err := in.oneOf("query_arrays", listsRepeat, listsBrackets, listsIndices, listsComma)
	if err != nil || t == rawjson.None {
		return url, err
	}
	if arrays == "" {
		arrays = listsRepeat
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
	err = in.pairs("query", query, arrays, func(key string, values []string) error {
		if first != 0 {
			b = append(b, first)
		}
		first = '&'
		b = append(httpjson.AppendQueryEscaped(b, key), '=')
		for i, value := range values {
			if i > 0 {
				b = append(b, ',')
			}
			b = httpjson.AppendQueryEscaped(b, value)
		}
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
