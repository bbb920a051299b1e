package plugins

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"math/big"
	"net/netip"
	"net/url"
	"regexp"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tappet-dev/tappet/sdk"
)

// visits is the work that any document is worth; it is worth four more for each
// of its bytes. A schema comes from the plugin, and alternatives within
// alternatives grow without end.
const visits = 1 << 15

// A contract is what a plugin tells of the form of its events or results. It is
// safe for concurrent use.
type contract struct {
	schema   any
	quick    *quick
	patterns map[string]pattern
}

// newContract reads a schema that readManifest took.
func newContract(raw json.RawMessage) (*contract, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	c := &contract{patterns: map[string]pattern{}}
	if err := d.Decode(&c.schema); err != nil {
		return nil, err
	}
	c.compile(c.schema)
	c.quick = newQuick(c.schema)
	return c, nil
}

// compile prepares all patterns below v. What only looks like a schema, such as a
// constant, has patterns that nobody asks for.
func (c *contract) compile(v any) {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			c.compile(e)
		}
	case map[string]any:
		var all []string
		if p, ok := v["pattern"].(string); ok {
			all = append(all, p)
		}
		if m, ok := v["patternProperties"].(map[string]any); ok {
			all = slices.AppendSeq(all, maps.Keys(m))
		}
		for _, text := range all {
			if p, err := compilePattern(text); err == nil {
				c.patterns[text] = p
			}
		}
		for _, e := range v {
			c.compile(e)
		}
	}
}

// A pattern is a regular expression of RE2's syntax, whose work grows with its
// size and its text alone.
type pattern struct {
	*regexp.Regexp
	size int // in instructions
}

// maxPattern is the most instructions of a schema's regular expression.
const maxPattern = 2000

func compilePattern(text string) (pattern, error) {
	tree, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return pattern{}, err
	}
	prog, err := syntax.Compile(tree.Simplify())
	if err != nil {
		return pattern{}, err
	}
	if n := len(prog.Inst); n > maxPattern {
		return pattern{}, fmt.Errorf("it has %d instructions, %d are allowed", n, maxPattern)
	}
	re, err := regexp.Compile(text)
	return pattern{re, len(prog.Inst)}, err
}

// A fitter holds one document against a contract, in the words that bind a
// value's form (docs/abi.md lists them). Other words say nothing here.
type fitter struct {
	*contract
	left int // visits
}

// fits says why a document doesn't fit, nil if it does.
func (c *contract) fits(doc []byte) error {
	if c.quick.fits(doc) {
		return nil
	}
	return c.check(doc)
}

// check is fits without the quick look.
func (c *contract) check(doc []byte) error {
	d := json.NewDecoder(bytes.NewReader(doc))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return fmt.Errorf("it is not valid JSON: %w", err)
	}
	f := &fitter{contract: c, left: visits + 4*len(doc)}
	err := f.fit(c.schema, v, "", 0)
	if f.left < 0 { // an alternative may have swallowed it
		return misfit("", "it takes more than %d steps, or %d levels, to hold it against the schema", visits+4*len(doc), maxLevels)
	}
	return err
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

// rat gives a number exactly if it is short and has no exponent, and otherwise
// what a float64 has of it; nil if that is nothing finite.
func rat(n json.Number) *big.Rat {
	if len(n) <= 100 && !strings.ContainsAny(n.String(), "eE") {
		if r, ok := new(big.Rat).SetString(n.String()); ok {
			return r
		}
	}
	x, _ := n.Float64() // beyond its range it is infinite
	return new(big.Rat).SetFloat64(x)
}

func compare(a, b json.Number) int {
	if x, y := rat(a), rat(b); x != nil && y != nil {
		return x.Cmp(y)
	}
	x, _ := a.Float64()
	y, _ := b.Float64()
	return cmp.Compare(x, y)
}

func isMultiple(v, of json.Number) bool {
	x, y := rat(v), rat(of)
	if x == nil || y == nil || y.Sign() == 0 {
		return false
	}
	return x.Quo(x, y).IsInt()
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

func isOf(want, v any) bool {
	if list, ok := want.([]any); ok {
		return slices.ContainsFunc(list, func(w any) bool { return isOf(w, v) })
	}
	have := kindWord(v)
	return want == have || want == "number" && have == "integer"
}

// kindWord is JSON Schema's word for a value's type.
func kindWord(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case string:
		return "string"
	case []any:
		return "array"
	case json.Number:
		// An exponent would make the exact number as long as it likes.
		if !strings.ContainsAny(v.String(), ".eE") {
			return "integer"
		}
		if n, err := v.Float64(); err == nil && n == math.Trunc(n) {
			return "integer"
		}
		return "number"
	}
	return "object"
}

func typeWords(want any) string {
	if list, ok := want.([]any); ok {
		words := make([]string, len(list))
		for i, w := range list {
			words[i] = fmt.Sprint(w)
		}
		return strings.Join(words, " or ")
	}
	return fmt.Sprint(want)
}

// equal compares two JSON values, numbers by their value.
func equal(a, b any) bool {
	switch a := a.(type) {
	case map[string]any:
		b, ok := b.(map[string]any)
		return ok && maps.EqualFunc(a, b, equal)
	case []any:
		b, ok := b.([]any)
		return ok && slices.EqualFunc(a, b, equal)
	case json.Number:
		b, ok := b.(json.Number)
		return ok && (a == b || compare(a, b) == 0)
	}
	switch b.(type) {
	case map[string]any, []any:
		return false
	}
	return a == b
}

// readSchemas prepares the schemas of a version's events and results.
func (v *version) readSchemas() error {
	v.contracts = map[string]*contract{}
	read := func(name string, raw json.RawMessage) error {
		if len(raw) == 0 {
			return nil
		}
		c, err := newContract(raw)
		if err != nil {
			return sdk.Errorf(sdk.Invalid, "read the schema of %s: %w", name, err)
		}
		v.contracts[name] = c
		return nil
	}
	for i := range v.spec.Triggers {
		if err := read(eventOf(v.spec.Triggers[i].Name), v.spec.Triggers[i].Event); err != nil {
			return err
		}
	}
	for i := range v.spec.Actions {
		if err := read(resultOf(v.spec.Actions[i].Name), v.spec.Actions[i].Output); err != nil {
			return err
		}
	}
	return nil
}

// eventOf and resultOf name what a trigger and an action give: they may have the
// same name.
func eventOf(trigger string) string { return "an event of " + trigger }

func resultOf(action string) string { return "a result of " + action }

// refused says why what a plugin gives isn't taken, nil if it is; a refusal is
// counted and kept for the plugin's health.
func (v *version) refused(what string, doc []byte) error {
	c := v.contracts[what]
	if c == nil {
		return nil
	}
	err := c.fits(doc)
	if err == nil {
		return nil
	}
	what, name, _ := strings.Cut(what, " of ")
	err = sdk.Errorf(sdk.Invalid, "%s of %s.%s doesn't fit the schema that the plugin tells: %w; tell its author", what, v.spec.Name, name, err)
	v.account.refuse(err)
	v.journal.add(sdk.Fault, err.Error(), nil)
	return err
}
