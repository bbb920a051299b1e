package graph

import (
	"bytes"
	"fmt"
	"strconv"
	"unicode/utf8"
)

// Parse reads a document. It is nil only when src can't be read as a document
// at all: not JSON or YAML, past a limit, or not an object. Else it holds what
// could be read, and the problems are all that is wrong with it; a document
// with problems may miss any part of what was written.
func Parse(src []byte, f Format, lim Limits) (*Document, []Problem) {
	lim = lim.orDefaults()
	p := &problems{max: lim.Problems}
	root := read(src, f, lim, p)
	if root == nil || p.fatal {
		return nil, p.done()
	}
	if root.Kind != Object {
		p.add(Problem{
			Line: root.Line, Column: root.Column, Code: "type",
			Message: "a graph must be an object, not " + root.Kind.String(),
		})
		return nil, p.done()
	}
	d := &decoder{lim: lim, problems: p}
	doc := d.document(root)
	if p.fatal {
		return nil, p.done()
	}
	doc.source, doc.broken = source{text: src, format: f}, len(p.list) > 0
	return doc, p.done()
}

// read gives the tree of src, nil when there is none.
func read(src []byte, f Format, lim Limits, p *problems) *Value {
	if len(src) > lim.Bytes {
		p.add(Problem{Code: "limit", Message: fmt.Sprintf("the document has %d bytes; at most %d are read", len(src), lim.Bytes)})
		return nil
	}
	if !utf8.Valid(src) {
		line, column := firstInvalid(src)
		p.add(Problem{Line: line, Column: column, Code: "syntax", Message: "the document must be UTF-8"})
		return nil
	}
	src = bytes.TrimPrefix(src, []byte("\ufeff"))
	if f == YAML {
		return readYAML(src, lim, p)
	}
	return readJSON(src, lim, p)
}

// firstInvalid gives the place of the first byte that isn't UTF-8.
func firstInvalid(src []byte) (line, column int) {
	line, column = 1, 1
	for len(src) > 0 {
		r, n := utf8.DecodeRune(src)
		if r == utf8.RuneError && n == 1 {
			break
		}
		if column++; r == '\n' {
			line, column = line+1, 1
		}
		src = src[n:]
	}
	return line, column
}

// path is a place in a tree that is being walked: the tokens of a pointer.
type path struct {
	up    *path
	name  string
	index int // of a list; -1 for a member
}

func (p *path) member(name string) *path { return &path{up: p, name: name, index: -1} }
func (p *path) item(i int) *path         { return &path{up: p, index: i} }

// String gives the JSON pointer.
func (p *path) String() string {
	var tokens []string
	for ; p != nil; p = p.up {
		if p.index >= 0 {
			tokens = append(tokens, strconv.Itoa(p.index))
		} else {
			tokens = append(tokens, p.name)
		}
	}
	for i, j := 0, len(tokens)-1; i < j; i, j = i+1, j-1 {
		tokens[i], tokens[j] = tokens[j], tokens[i]
	}
	return Pointer("", tokens...)
}
