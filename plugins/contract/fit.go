package contract

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// A fitter holds one document against a contract, in the words that bind a
// value's form (docs/abi.md lists them). Other words say nothing here.
type fitter struct {
	*Contract
	left int // visits
}

// maxLevels is how deep schemas may lead into each other.
const maxLevels = 4 * maxDepth

func misfit(at, format string, args ...any) error {
	if at == "" {
		at = "the whole"
	}
	return fmt.Errorf("%.200s: %s", at, fmt.Sprintf(format, args...))
}

func (f *fitter) fit(schema, v any, at string, depth int) error {
	if depth > maxLevels {
		f.left = -1
	}
	if f.left--; f.left < 0 {
		return misfit(at, "it takes too long to hold it against the schema")
	}
	s, ok := schema.(map[string]any)
	if !ok {
		if schema == false {
			return misfit(at, "the schema allows no value here")
		}
		return nil
	}
	if ref, ok := s["$ref"].(string); ok {
		to, ok := resolve(f.schema, ref)
		if !ok {
			return misfit(at, "the schema refers to %.80q, which it doesn't have", ref)
		}
		if err := f.fit(to, v, at, depth+1); err != nil {
			return err
		}
	}
	if want, ok := s["type"]; ok && !isOf(want, v) {
		return misfit(at, "%s is wanted, it is %s", typeWords(want), kindWord(v))
	}
	all, ok := s["enum"].([]any)
	f.left -= len(all) / 16
	if ok && !slices.ContainsFunc(all, func(e any) bool { return equal(e, v) }) {
		return misfit(at, "its value is none of the schema's enum")
	}
	if one, ok := s["const"]; ok && !equal(one, v) {
		return misfit(at, "its value is not the schema's const")
	}
	if err := f.alternatives(s, v, at, depth); err != nil {
		return err
	}
	switch v := v.(type) {
	case map[string]any:
		return f.object(s, v, at, depth)
	case []any:
		return f.list(s, v, at, depth)
	case string:
		return f.text(s, v, at)
	case json.Number:
		return number(s, v, at)
	}
	return nil
}

func (f *fitter) alternatives(s map[string]any, v any, at string, depth int) error {
	all, _ := s["allOf"].([]any)
	for _, x := range all {
		if err := f.fit(x, v, at, depth+1); err != nil {
			return err
		}
	}
	count := func(word string) (fit, of int) {
		list, _ := s[word].([]any)
		for _, x := range list {
			if f.fit(x, v, at, depth+1) == nil {
				fit++
			}
		}
		return fit, len(list)
	}
	if n, of := count("anyOf"); of > 0 && n == 0 {
		return misfit(at, "it fits none of the schema's anyOf")
	}
	if n, of := count("oneOf"); of > 0 && n != 1 {
		return misfit(at, "it fits %d of the schema's oneOf, one is wanted", n)
	}
	if not, ok := s["not"]; ok && f.fit(not, v, at, depth+1) == nil {
		return misfit(at, "it fits what the schema's not excludes")
	}
	return nil
}

// list holds a list against the words for lists.
func (f *fitter) list(s map[string]any, v []any, at string, depth int) error {
	if err := count(s, "Items", len(v), at, "items"); err != nil {
		return err
	}
	first, _ := s["prefixItems"].([]any)
	for i, e := range v {
		each := s["items"]
		if i < len(first) {
			each = first[i]
		}
		if each == nil {
			continue
		}
		if err := f.fit(each, e, fmt.Sprintf("%s[%d]", at, i), depth+1); err != nil {
			return err
		}
	}
	if contains, ok := s["contains"]; ok {
		n := 0
		for _, e := range v {
			if f.fit(contains, e, at, depth+1) == nil {
				n++
			}
		}
		if _, ok := s["minContains"]; !ok && n == 0 {
			return misfit(at, "none of its items fits the schema's contains")
		}
		if err := count(s, "Contains", n, at, "items that fit the schema's contains"); err != nil {
			return err
		}
	}
	if s["uniqueItems"] != true {
		return nil
	}
	seen := make(map[string]int, len(v))
	for i, e := range v {
		key := string(f.canonical(nil, e))
		if before, ok := seen[key]; ok {
			return misfit(at, "its items %d and %d are equal", before, i)
		}
		seen[key] = i
	}
	return nil
}

// count holds a number of things against the words min… and max….
func count(s map[string]any, word string, n int, at, things string) error {
	if least, ok := s["min"+word].(json.Number); ok && compare(json.Number(strconv.Itoa(n)), least) < 0 {
		return misfit(at, "it has %d %s, at least %s are wanted", n, things, least)
	}
	if most, ok := s["max"+word].(json.Number); ok && compare(json.Number(strconv.Itoa(n)), most) > 0 {
		return misfit(at, "it has %d %s, at most %s are wanted", n, things, most)
	}
	return nil
}

// text holds a text against the words for texts.
func (f *fitter) text(s map[string]any, v, at string) error {
	if err := count(s, "Length", utf8.RuneCountInString(v), at, "characters"); err != nil {
		return err
	}
	if p, ok := s["pattern"].(string); ok && !f.matches(p, v) {
		return misfit(at, "it doesn't match the schema's pattern %.80q", p)
	}
	if format, ok := s["format"].(string); ok && !isFormat(format, v) {
		return misfit(at, "it is no %s", format)
	}
	return nil
}

// matches says whether a text has a match. What is no regular expression matches
// nothing; readManifest takes none.
func (f *fitter) matches(text, in string) bool {
	p, ok := f.patterns[text]
	f.left -= 1 + len(in)*p.size/64
	return ok && f.left >= 0 && p.MatchString(in)
}

// isFormat checks the formats that leave no doubt.
func isFormat(format, v string) bool {
	var err error
	switch format {
	case "date-time":
		_, err = time.Parse(time.RFC3339Nano, v)
	case "date":
		_, err = time.Parse(time.DateOnly, v)
	case "ipv4", "ipv6":
		var a netip.Addr
		a, err = netip.ParseAddr(v)
		return err == nil && a.Zone() == "" && a.Is4() == (format == "ipv4")
	case "uuid":
		return len(v) == 36 && uuid.MatchString(v)
	}
	return err == nil
}

var uuid = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)

// number holds a number against the words for numbers.
func number(s map[string]any, v json.Number, at string) error {
	for _, w := range []struct {
		word, text string
		ok         func(int) bool
	}{
		{"minimum", "it is less than", func(c int) bool { return c >= 0 }},
		{"maximum", "it is more than", func(c int) bool { return c <= 0 }},
		{"exclusiveMinimum", "it isn't more than", func(c int) bool { return c > 0 }},
		{"exclusiveMaximum", "it isn't less than", func(c int) bool { return c < 0 }},
	} {
		if to, ok := s[w.word].(json.Number); ok && !w.ok(compare(v, to)) {
			return misfit(at, "%s the schema's %s, %.40s", w.text, w.word, to)
		}
	}
	if of, ok := s["multipleOf"].(json.Number); ok && !isMultiple(v, of) {
		return misfit(at, "it is no multiple of %.40s", of)
	}
	return nil
}

// canonical writes a value so that equal ones are written alike.
func (f *fitter) canonical(b []byte, v any) []byte {
	if f.left--; f.left < 0 {
		return b
	}
	switch v := v.(type) {
	case map[string]any:
		b = append(b, '{')
		for _, name := range slices.Sorted(maps.Keys(v)) {
			b = append(strconv.AppendQuote(b, name), ':')
			b = append(f.canonical(b, v[name]), ',')
		}
		return append(b, '}')
	case []any:
		b = append(b, '[')
		for _, e := range v {
			b = append(f.canonical(b, e), ',')
		}
		return append(b, ']')
	case string:
		return strconv.AppendQuote(b, v)
	case json.Number:
		if r := rat(v); r != nil {
			return append(b, r.RatString()...)
		}
		return append(b, v...)
	}
	return fmt.Append(b, v)
}

func (f *fitter) object(s, v map[string]any, at string, depth int) error {
	required, _ := s["required"].([]any)
	for _, r := range required {
		name, _ := r.(string)
		if _, ok := v[name]; !ok {
			return misfit(at, "the field %q is missing", name)
		}
	}
	if err := count(s, "Properties", len(v), at, "fields"); err != nil {
		return err
	}
	props, _ := s["properties"].(map[string]any)
	patterns, _ := s["patternProperties"].(map[string]any)
	names, named := s["propertyNames"]
	for _, name := range slices.Sorted(maps.Keys(v)) {
		field := strings.TrimPrefix(at+"."+name, ".")
		if named {
			if err := f.fit(names, name, field, depth+1); err != nil {
				return fmt.Errorf("the name of %w", err)
			}
		}
		p, known := props[name]
		if known {
			if err := f.fit(p, v[name], field, depth+1); err != nil {
				return err
			}
		}
		for _, pattern := range slices.Sorted(maps.Keys(patterns)) {
			if !f.matches(pattern, name) {
				continue
			}
			known = true
			if err := f.fit(patterns[pattern], v[name], field, depth+1); err != nil {
				return err
			}
		}
		more, ok := s["additionalProperties"]
		switch {
		case known || !ok:
		case more == false:
			return misfit(field, "the schema has no such field")
		default:
			if err := f.fit(more, v[name], field, depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}

// resolve follows a reference within a schema: "#", or a JSON pointer behind it,
// to a schema.
func resolve(root any, ref string) (any, bool) {
	path, ok := strings.CutPrefix(ref, "#")
	if !ok {
		return nil, false
	}
	path, err := url.PathUnescape(path)
	if err != nil || path != "" && path[0] != '/' {
		return nil, false
	}
	at := root
	unescape := strings.NewReplacer("~1", "/", "~0", "~")
	for _, name := range strings.Split(path, "/")[1:] { // nothing stands before the first
		switch v := at.(type) {
		case map[string]any:
			at = v[unescape.Replace(name)]
		case []any:
			i, err := strconv.ParseUint(name, 10, 32)
			if err != nil || i >= uint64(len(v)) {
				return nil, false
			}
			at = v[i]
		default:
			return nil, false
		}
	}
	switch at.(type) {
	case map[string]any, bool:
		return at, true
	}
	return nil, false
}
