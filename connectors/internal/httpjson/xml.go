package httpjson

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"

	"github.com/tappet-dev/tappet/connectors/internal/rawjson"
)

const (
	// maxXMLDepth is how deep elements may nest.
	maxXMLDepth = 100
	// maxXMLNodes is how many elements and attributes a document may have.
	maxXMLNodes = 200_000
	xmlText     = "#text"
)

// element is an XML element that is being read.
type element struct {
	name     string
	attrs    []xml.Attr
	children []*element
	text     []byte
}

// AppendXML appends an XML document as an object with one member, its root, by
// the mapping of the expression function parseXml: an element with nothing but
// text is that text, trimmed; another is an object of its attributes (@name),
// its elements by name (a list where a name is repeated) and its text (#text).
// Prefixes and declarations of namespaces are left out; entities are those of
// XML itself, and nothing is loaded. charset reads a document that declares
// another encoding than UTF-8; nil: the text is UTF-8, whatever it declares.
func AppendXML(dst, text []byte, charset func(name string, r io.Reader) (io.Reader, error)) ([]byte, error) {
	d := xml.NewDecoder(bytes.NewReader(text))
	d.CharsetReader = charset
	if charset == nil {
		d.CharsetReader = func(_ string, r io.Reader) (io.Reader, error) { return r, nil }
	}
	root := &element{}
	open, nodes := []*element{root}, 0
	for {
		t, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		top := open[len(open)-1]
		switch t := t.(type) {
		case xml.StartElement:
			if len(open) > maxXMLDepth {
				return nil, fmt.Errorf("it is nested deeper than %d elements", maxXMLDepth)
			}
			if nodes += 1 + len(t.Attr); nodes > maxXMLNodes {
				return nil, fmt.Errorf("it has more than %d elements and attributes", maxXMLNodes)
			}
			e := &element{name: t.Name.Local}
			for _, a := range t.Attr {
				if a.Name.Space != "xmlns" && a.Name.Local != "xmlns" {
					e.attrs = append(e.attrs, a)
				}
			}
			top.children = append(top.children, e)
			open = append(open, e)
		case xml.EndElement:
			open = open[:len(open)-1]
		case xml.CharData:
			top.text = append(top.text, t...)
		}
	}
	if len(root.children) != 1 || len(bytes.TrimSpace(root.text)) > 0 {
		return nil, errors.New("it must have one element around all others")
	}
	root.text = nil
	return root.append(dst), nil
}

// append appends the value of an element.
func (e *element) append(dst []byte) []byte {
	text := bytes.TrimSpace(e.text)
	if len(e.attrs) == 0 && len(e.children) == 0 {
		return rawjson.AppendString(dst, text)
	}
	dst = append(dst, '{')
	comma := func() {
		if dst[len(dst)-1] != '{' {
			dst = append(dst, ',')
		}
	}
	var next [few]int32
	var heads [few]bool
	c := link(len(e.attrs), &next, &heads, func(i, j int) bool { return e.attrs[i].Name.Local == e.attrs[j].Name.Local },
		func(i int) string { return e.attrs[i].Name.Local })
	for i, a := range e.attrs {
		if c.next[i] >= 0 {
			continue // of attributes that differ by their prefix alone, the last counts
		}
		comma()
		dst = append(rawjson.AppendString(dst, "@"+a.Name.Local), ':')
		dst = rawjson.AppendString(dst, a.Value)
	}
	c = link(len(e.children), &next, &heads, func(i, j int) bool { return e.children[i].name == e.children[j].name },
		func(i int) string { return e.children[i].name })
	for i, child := range e.children {
		if !c.head[i] {
			continue
		}
		comma()
		dst = append(rawjson.AppendString(dst, child.name), ':')
		if c.next[i] < 0 {
			dst = child.append(dst)
			continue
		}
		dst = child.append(append(dst, '['))
		for j := c.next[i]; j >= 0; j = c.next[j] {
			dst = e.children[j].append(append(dst, ','))
		}
		dst = append(dst, ']')
	}
	if len(text) > 0 {
		comma()
		dst = append(rawjson.AppendString(dst, xmlText), ':')
		dst = rawjson.AppendString(dst, text)
	}
	return append(dst, '}')
}
