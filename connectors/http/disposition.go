package http

import (
	"mime"
	"net/url"
	"strings"
	"unicode/utf8"
)

// fileName names the file of a response: by its Content-Disposition (RFC 6266),
// else by the last segment of the URL's path, else "download". It is never a
// path: what stands before the last slash is cut off.
func fileName(disposition, address string) string {
	if name := dispositionName(disposition); name != "" {
		return name
	}
	if u, err := url.Parse(address); err == nil {
		if name := lastSegment(u.Path); name != "" {
			return name
		}
	}
	return "download"
}

func dispositionName(v string) string {
	if v == "" {
		return ""
	}
	name := ""
	if _, params, err := mime.ParseMediaType(v); err == nil {
		name = params["filename"]
	} else if _, rest, ok := strings.Cut(strings.ToLower(v), "filename="); ok {
		// Some servers forget the quotes of a name with spaces.
		name, _, _ = strings.Cut(v[len(v)-len(rest):], ";")
		name = strings.Trim(strings.TrimSpace(name), `"`)
	}
	if !utf8.ValidString(name) { // RFC 9110, 5.5: such bytes were ISO-8859-1
		b := make([]rune, 0, len(name))
		for i := range len(name) {
			b = append(b, rune(name[i]))
		}
		name = string(b)
	}
	return lastSegment(name)
}

// lastSegment cuts off folders; "" for what names none but a folder.
func lastSegment(s string) string {
	s = s[strings.LastIndexAny(s, `/\`)+1:]
	if s == "." || s == ".." {
		return ""
	}
	return s
}
