package http

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/tappet-dev/tappet/connectors/internal/httpjson"
	"github.com/tappet-dev/tappet/connectors/internal/rawjson"
	"github.com/tappet-dev/tappet/sdk"
)

// maxParts is how many parts a form-data body may have.
const maxParts = 10_000

// A part is one part of form-data: a text, or a file of the run.
type part struct {
	name string
	// filename makes a file of the part; isFile that it has one, even an empty one.
	filename    string
	isFile      bool
	contentType string // "" for none
	text        string
	id          string // of a file; "" for a text
	size        int64  // of a file
}

// A form collects parts in order.
type form struct {
	b *builder
	// files: a part may be a file.
	files bool
	parts []part
	// dropped counts the files beyond the first of keys without "[]" (S31).
	dropped int
}

// form writes a multipart/form-data body (RFC 7578).
func (b *builder) form(field string, v []byte, files bool) error {
	f := form{b: b, files: files}
	var err error
	switch t := rawjson.Of(v); t {
	case rawjson.Object:
		err = rawjson.Members(v, func(quoted, value []byte) error {
			name, ok := rawjson.Unquote(quoted)
			if !ok {
				return fmt.Errorf("%s: a key isn't text", field)
			}
			if err := f.add(part{name: name}, value); err != nil {
				return fmt.Errorf("%s[%q]: %w", field, name, err)
			}
			return nil
		})
	case rawjson.Array:
		i := 0
		err = rawjson.Elements(v, func(element []byte) error {
			if err := f.entry(element); err != nil {
				return fmt.Errorf("%s[%d]: %w", field, i, err)
			}
			i++
			return nil
		})
	case rawjson.None, rawjson.Null, rawjson.Bool, rawjson.Number, rawjson.String:
		err = fmt.Errorf("%s: an object of parts is wanted, or a list of {name, value}, not %s", field, t.Name())
	}
	if err != nil {
		return err
	}
	boundary := f.boundary()
	f.b.setType(typeForm + "; boundary=" + boundary)
	f.b.stream(f.write(boundary))
	if f.dropped > 0 {
		f.b.host.Log(f.b.ctx(), sdk.Warn,
			"a key without [] has several files: only the first of them is sent; end the key in [] to send all",
			"field", field, "left_out", f.dropped)
	}
	return nil
}

// setType sets the Content-Type, in the place of the one that the graph gives.
func (b *builder) setType(contentType string) {
	for i := range b.r.Header {
		if httpjson.EqualFold(b.r.Header[i].Name, "Content-Type") {
			b.r.Header[i].Value = contentType
			return
		}
	}
	b.r.Header.Add("Content-Type", contentType)
}

// entry adds an element of an ordered list: {name, value, filename, content_type}.
func (f *form) entry(v []byte) error {
	if t := rawjson.Of(v); t != rawjson.Object {
		return fmt.Errorf("an object {name, value} is wanted, not %s", t.Name())
	}
	var p part
	value := []byte("null")
	err := rawjson.Members(v, func(quoted, member []byte) error {
		key, _ := rawjson.Unquote(quoted)
		into := &p.name
		switch key {
		case "value":
			value = member
			return nil
		case "name":
		case "filename":
			if rawjson.Of(member) == rawjson.Null {
				return nil
			}
			p.isFile, into = true, &p.filename
		case "content_type":
			if rawjson.Of(member) == rawjson.Null {
				return nil
			}
			into = &p.contentType
		default:
			return fmt.Errorf("there is no member %.40q; name, value, filename and content_type are known", key)
		}
		s, ok := rawjson.Unquote(member)
		if !ok {
			return fmt.Errorf("%s: a string is wanted, not %s", key, rawjson.Of(member).Name())
		}
		*into = s
		return nil
	})
	if err != nil {
		return err
	}
	if !isFieldValue(p.contentType) {
		return errors.New("content_type: it can't hold CR, LF or other control characters")
	}
	return f.add(p, value)
}

// add adds a value: one part, one for each element of a list, or none.
func (f *form) add(p part, v []byte) error {
	if p.name == "" {
		return errors.New("the key is empty; each part needs a name")
	}
	if rawjson.Of(v) != rawjson.Array {
		if rawjson.Of(v) == rawjson.Null && !f.b.nulls {
			return nil
		}
		return f.one(p, v)
	}
	all, had := strings.HasSuffix(p.name, "[]"), false
	i := 0
	return rawjson.Elements(v, func(element []byte) error {
		if rawjson.Of(element) == rawjson.Object {
			if had && !all {
				f.dropped++
				i++
				return nil
			}
			had = true
		}
		if err := f.one(p, element); err != nil {
			return fmt.Errorf("element %d: %w", i, err)
		}
		i++
		return nil
	})
}

// one adds one part.
func (f *form) one(p part, v []byte) error {
	if len(f.parts) == maxParts {
		return fmt.Errorf("there are more than %d parts", maxParts)
	}
	if rawjson.Of(v) == rawjson.Object && f.files {
		ref, ok := readFile(v)
		if !ok {
			return errors.New("it is an object, where text, a number, a boolean, null, a file or a list of these is wanted")
		}
		var err error
		if p.size, err = f.b.stat(ref); err != nil {
			return err
		}
		p.id = ref.ID
		if !p.isFile {
			p.filename, p.isFile = ref.Name, true
		}
		if p.contentType == "" {
			p.contentType = ref.Type
		}
		f.parts = append(f.parts, p)
		return nil
	}
	text, err := plain(v)
	if err != nil {
		if _, isFile := readFile(v); isFile {
			return errors.New("files go with http.custom, in form_data")
		}
		return fmt.Errorf("it is %w", err)
	}
	if p.isFile && p.contentType == "" {
		p.contentType = typeFile
	}
	p.text = text
	f.parts = append(f.parts, p)
	return nil
}

// boundary is the same for each attempt of a step, since its key and what is
// mapped are, and is none that the content can hold: whoever writes the content
// knows neither the run's key nor the ids of its files.
func (f *form) boundary() string {
	h := sha256.New()
	field := func(s string) {
		var n [20]byte
		h.Write(append(strconv.AppendInt(n[:0], int64(len(s)), 10), ':'))
		h.Write([]byte(s))
	}
	field("form-data")
	field(f.b.key)
	for i := range f.parts {
		field(f.parts[i].name)
		field(f.parts[i].id)
		field(strconv.FormatInt(f.parts[i].size+int64(len(f.parts[i].text)), 10))
	}
	return "tappet-" + hex.EncodeToString(h.Sum(nil)[:16])
}

// write gives the bytes around the files, and the files with their places.
func (f *form) write(boundary string) ([]byte, []insert) {
	n := len(boundary) + 8
	for i := range f.parts {
		p := &f.parts[i]
		n += len(boundary) + len(p.name) + len(p.filename) + len(p.contentType) + len(p.text) + 96
	}
	b := make([]byte, 0, n)
	var files []insert
	for i := range f.parts {
		p := &f.parts[i]
		b = append(append(append(b, "--"...), boundary...), "\r\nContent-Disposition: form-data; name=\""...)
		b = append(appendName(b, p.name), '"')
		if p.isFile {
			b = append(b, `; filename="`...)
			b = append(appendName(b, p.filename), '"')
		}
		if p.contentType != "" {
			b = append(append(b, "\r\nContent-Type: "...), p.contentType...)
		}
		b = append(b, "\r\n\r\n"...)
		if p.id != "" {
			files = append(files, insert{at: len(b), id: p.id, name: p.filename, size: p.size})
		}
		b = append(append(b, p.text...), "\r\n"...)
	}
	return append(append(append(b, "--"...), boundary...), "--\r\n"...), files
}

// appendName writes a name into a quoted parameter as browsers do: UTF-8 as it
// is, and percent-encoded only what would end the parameter or the line (HTML,
// 4.10.22.8), other control characters included.
func appendName(b []byte, s string) []byte {
	const hexDigits = "0123456789ABCDEF"
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == '"' || c == 0x7f {
			b = append(b, '%', hexDigits[c>>4], hexDigits[c&15])
			continue
		}
		b = append(b, s[i])
	}
	return b
}
