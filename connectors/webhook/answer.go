package webhook

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/tappet-dev/tappet/connectors/internal/httpjson"
	"github.com/tappet-dev/tappet/connectors/internal/rawjson"
	"github.com/tappet-dev/tappet/sdk"
)

// readAnswer reads the answer that each caller gets. Its body is JSON, as that of
// a respond step: a text is sent as it is where the headers say what it is.
func readAnswer(b []byte) (*sdk.Answer, error) {
	if rawjson.Of(b) != rawjson.Object {
		return nil, fmt.Errorf("%.40s is neither accepted nor result, nor an object with status, headers and body", b)
	}
	var r struct {
		Status  int
		Headers map[string]string
		Body    json.RawMessage
	}
	if err := json.Unmarshal(b, &r); err != nil {
		return nil, err
	}
	if r.Status == 0 {
		r.Status = 200
	}
	if r.Status < 200 || r.Status > 599 {
		return nil, fmt.Errorf("status: %d isn't from 200 to 599", r.Status)
	}
	if len(r.Body) > 0 && (r.Status == 204 || r.Status == 304) {
		return nil, fmt.Errorf("body: an answer with the status %d has none (RFC 9110, 15)", r.Status)
	}
	a := &sdk.Answer{Status: r.Status}
	typed := false
	for _, name := range slices.Sorted(maps.Keys(r.Headers)) {
		if !isToken(name) {
			return nil, fmt.Errorf("headers: a header's name is of letters, digits and dashes, not %.40q", name)
		}
		if strings.ContainsFunc(r.Headers[name], isControl) {
			return nil, fmt.Errorf("headers: the value of %.40s has a control character in it", name)
		}
		typed = typed || httpjson.EqualFold(name, "content-type")
		a.Header.Add(name, r.Headers[name])
	}
	if a.Body = r.Body; len(a.Body) == 0 {
		return a, nil
	}
	if !typed {
		a.Header.Add("Content-Type", "application/json")
		return a, nil
	}
	var text string
	if rawjson.Of(a.Body) == rawjson.String && json.Unmarshal(a.Body, &text) == nil {
		a.Body = []byte(text)
	}
	return a, nil
}

// isToken says whether s is a token (RFC 9110, 5.6.2).
func isToken(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(c rune) bool {
		letter := 'a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9'
		return !letter && !strings.ContainsRune("!#$%&'*+-.^_`|~", c)
	})
}

// isControl tells what no field's value may have (RFC 9110, 5.5).
func isControl(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f }
