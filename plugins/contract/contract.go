// Package contract holds what a plugin gives against what it says of it: the JSON
// Schema of its events and results.
//
// It is not a validator of all of JSON Schema: words that bind no value's form say
// nothing here (docs/abi.md lists those that do). Its one rule: schema and document
// are a stranger's, so that the work on both is bounded.
package contract

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"regexp/syntax"
	"slices"
)

// maxDepth is how deep a schema may nest.
const maxDepth = 64

// visits is the work that any document is worth; it is worth four more for each
// of its bytes. A schema comes from the plugin, and alternatives within
// alternatives grow without end.
const visits = 1 << 15

// A Contract is what a plugin tells of the form of its events or results. It is
// safe for concurrent use.
type Contract struct {
	schema   any
	quick    *quick
	patterns map[string]pattern
}

// New reads a schema that [Check] found nothing wrong with.
func New(raw json.RawMessage) (*Contract, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	c := &Contract{patterns: map[string]pattern{}}
	if err := d.Decode(&c.schema); err != nil {
		return nil, err
	}
	c.compile(c.schema)
	c.quick = newQuick(c.schema)
	return c, nil
}

// Fits says why a document doesn't fit, with the path of what is wrong in it; nil if
// it does. Most that fit take one pass over their bytes.
func (c *Contract) Fits(doc []byte) error {
	if c.quick.fits(doc) {
		return nil
	}
	return c.check(doc)
}

// check is Fits without the quick look.
func (c *Contract) check(doc []byte) error {
	d := json.NewDecoder(bytes.NewReader(doc))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return fmt.Errorf("it is not valid JSON: %w", err)
	}
	f := &fitter{Contract: c, left: visits + 4*len(doc)}
	err := f.fit(c.schema, v, "", 0)
	if f.left < 0 { // an alternative may have swallowed it
		return misfit("", "it takes more than %d steps, or %d levels, to hold it against the schema", visits+4*len(doc), maxLevels)
	}
	return err
}

// compile prepares all patterns below v. What only looks like a schema, such as a
// constant, has patterns that nobody asks for.
func (c *Contract) compile(v any) {
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
