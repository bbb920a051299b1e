// Package httpjson writes the parts of HTTP messages as JSON: header fields,
// query strings, and bodies that are urlencoded forms, CSV or XML; and it reads
// media types.
//
// It is not a parser of messages: it starts from what a host has parsed. Its
// one rule: the order of what came is kept, and nothing that came is lost but
// what a body's mapping says.
package httpjson

import (
	"strings"

	"github.com/tappet-dev/tappet/connectors/internal/rawjson"
	"github.com/tappet-dev/tappet/sdk"
)

// few is how many names are told apart by comparing each with each; more of
// them get a map, so that a flood of names costs no square of time.
const few = 32

// chains links entries of one name: next[i] is the entry after i that has its
// name, -1 if there is none, and head[i] says that none comes before it.
type chains struct {
	next []int32
	head []bool
}

// link groups n entries by name; same compares two of them, key gives a name
// that is equal where same is true. The arrays keep few entries off the heap.
func link(n int, next *[few]int32, head *[few]bool, same func(i, j int) bool, key func(i int) string) chains {
	if n <= few {
		c := chains{next[:n], head[:n]}
		for i := range n {
			c.next[i], c.head[i] = -1, true
			for j := i - 1; j >= 0; j-- {
				if same(i, j) {
					c.next[j], c.head[i] = int32(i), false
					break
				}
			}
		}
		return c
	}
	c := chains{make([]int32, n), make([]bool, n)}
	last := make(map[string]int32, n)
	for i := range n {
		k := key(i)
		j, ok := last[k]
		c.next[i], c.head[i] = -1, !ok
		if ok {
			c.next[j] = int32(i)
		}
		last[k] = int32(i)
	}
	return c
}

// AppendHeader appends h as an object: names in lower case, in the order of
// their first fields, the values of repeated fields joined by ", ". Fields for
// whose name skip is true are left out; skip may be nil.
func AppendHeader(dst []byte, h sdk.Header, skip func(name string) bool) []byte {
	var next [few]int32
	var head [few]bool
	c := link(len(h), &next, &head, func(i, j int) bool { return EqualFold(h[i].Name, h[j].Name) },
		func(i int) string { return strings.ToLower(h[i].Name) })
	dst = append(dst, '{')
	empty := true
	for i := range h {
		if !c.head[i] || skip != nil && skip(h[i].Name) {
			continue
		}
		if !empty {
			dst = append(dst, ',')
		}
		empty = false
		dst = append(appendLower(dst, h[i].Name), ':')
		if c.next[i] < 0 {
			dst = rawjson.AppendString(dst, h[i].Value)
			continue
		}
		joined := h[i].Value
		for j := c.next[i]; j >= 0; j = c.next[j] {
			joined += ", " + h[j].Value
		}
		dst = rawjson.AppendString(dst, joined)
	}
	return append(dst, '}')
}

// appendLower appends a header's name as a JSON string in lower case.
func appendLower(dst []byte, name string) []byte {
	for i := range len(name) {
		if c := name[i]; c <= ' ' || c >= 0x7f || c == '"' || c == '\\' {
			return rawjson.AppendString(dst, strings.ToLower(name))
		}
	}
	dst = append(dst, '"')
	for i := range len(name) {
		c := name[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		dst = append(dst, c)
	}
	return append(dst, '"')
}

// EqualFold compares two ASCII names without case.
func EqualFold(a, b string) bool {
	return len(a) == len(b) && strings.EqualFold(a, b)
}

// MediaType gives the type and subtype of a Content-Type value in lower case,
// and its charset in lower case; "" for what it doesn't say (RFC 9110, 8.3.1).
func MediaType(v string) (media, charset string) {
	media, params, _ := strings.Cut(v, ";")
	media = strings.ToLower(strings.TrimSpace(media))
	for params != "" {
		var p string
		p, params, _ = strings.Cut(params, ";")
		name, value, _ := strings.Cut(p, "=")
		if EqualFold(strings.TrimSpace(name), "charset") {
			charset = strings.ToLower(strings.Trim(strings.TrimSpace(value), `"`))
		}
	}
	return media, charset
}

// IsJSON says whether a media type, in lower case, is of JSON: application/json,
// text/json, or a type with the suffix +json (RFC 6839).
func IsJSON(media string) bool {
	return media == "application/json" || media == "text/json" || strings.HasSuffix(media, "+json")
}

// Form is the media type of urlencoded key-value pairs.
const Form = "application/x-www-form-urlencoded"
