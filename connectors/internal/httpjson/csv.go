package httpjson

import (
	"bytes"
	"fmt"

	"github.com/tappet-dev/tappet/connectors/internal/rawjson"
	"github.com/tappet-dev/tappet/sdk"
)

// maxColumns is how many columns a CSV document may have.
const maxColumns = 10_000

// AppendCSV appends the rows of a CSV document (RFC 4180) as a list of objects:
// the first row has the names, and each value is text. Columns of one name give
// the list of their values. Empty lines are passed over, and rows of another
// length than the first are an error; more than maxBytes one of kind too_large.
// A separator of '\t' has no quotes.
func AppendCSV(dst, text []byte, separator byte, maxBytes int64) ([]byte, error) {
	r := csvReader{rest: text, separator: separator}
	head := len(dst)
	dst = append(dst, '[')
	first, err := r.row(nil)
	if err != nil || first == nil {
		return append(dst, ']'), err
	}
	names := make([][]byte, len(first))
	keys := make([]string, len(first))
	for i, name := range first {
		names[i] = append(rawjson.AppendString(nil, name), ':')
		keys[i] = string(name)
	}
	var next [few]int32
	var heads [few]bool
	c := link(len(keys), &next, &heads, func(i, j int) bool { return keys[i] == keys[j] }, func(i int) string { return keys[i] })
	row := first
	for rows := 0; ; rows++ {
		if row, err = r.row(row[:0]); err != nil || row == nil {
			return append(dst, ']'), err
		}
		if len(row) != len(keys) {
			return nil, fmt.Errorf("line %d has %d fields, the first one has %d", r.line, len(row), len(keys))
		}
		if rows > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, '{')
		for i := range row {
			if !c.head[i] {
				continue
			}
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(dst, names[i]...)
			if c.next[i] < 0 {
				dst = rawjson.AppendString(dst, row[i])
				continue
			}
			dst = rawjson.AppendString(append(dst, '['), row[i])
			for j := c.next[i]; j >= 0; j = c.next[j] {
				dst = rawjson.AppendString(append(dst, ','), row[j])
			}
			dst = append(dst, ']')
		}
		dst = append(dst, '}')
		if int64(len(dst)-head) > maxBytes {
			return nil, sdk.Errorf(sdk.TooLarge, "the rows become more than %d bytes of JSON", maxBytes)
		}
	}
}

// csvReader gives rows whose fields lie in the text itself where they can.
type csvReader struct {
	rest      []byte
	separator byte
	line      int // the number of the last row's first line
	lines     int // how many lines are behind
}

// row appends the fields of the next row; nil at the end.
func (r *csvReader) row(row [][]byte) ([][]byte, error) {
	for len(r.rest) > 0 && (r.rest[0] == '\n' || bytes.HasPrefix(r.rest, []byte("\r\n"))) {
		r.rest = r.rest[bytes.IndexByte(r.rest, '\n')+1:]
		r.lines++
	}
	if len(r.rest) == 0 || string(r.rest) == "\r" {
		return nil, nil
	}
	r.line = r.lines + 1
	for {
		field, err := r.field()
		if err != nil {
			return nil, err
		}
		if len(row) == maxColumns {
			return nil, fmt.Errorf("line %d has more than %d fields", r.line, maxColumns)
		}
		row = append(row, field)
		if len(r.rest) > 0 && r.rest[0] == r.separator {
			r.rest = r.rest[1:]
			continue
		}
		if n := bytes.IndexByte(r.rest, '\n'); n >= 0 { // field leaves nothing before it but a CR
			r.rest = r.rest[n+1:]
			r.lines++
		} else {
			r.rest = nil
		}
		return row, nil
	}
}

// field gives the next field, and leaves what ends it: a separator, LF, CR LF or
// nothing.
func (r *csvReader) field() ([]byte, error) {
	if len(r.rest) > 0 && r.rest[0] == '"' && r.separator != '\t' {
		return r.quoted()
	}
	end := len(r.rest)
	for i, c := range r.rest {
		if c == r.separator || c == '\n' {
			end = i
			break
		}
	}
	field := r.rest[:end]
	r.rest = r.rest[end:]
	if len(r.rest) == 0 || r.rest[0] == '\n' {
		field = bytes.TrimSuffix(field, []byte("\r"))
	}
	return field, nil
}

func (r *csvReader) quoted() ([]byte, error) {
	var field []byte
	in := r.rest[1:]
	for {
		n := bytes.IndexByte(in, '"')
		if n < 0 {
			return nil, fmt.Errorf("line %d: a quote is not closed", r.line)
		}
		piece := in[:n]
		r.lines += bytes.Count(piece, []byte("\n"))
		in = in[n+1:]
		if len(in) > 0 && in[0] == '"' {
			field = append(append(field, piece...), '"')
			in = in[1:]
			continue
		}
		if field == nil {
			field = piece
		} else {
			field = append(field, piece...)
		}
		r.rest = in
		if len(in) == 0 || in[0] == r.separator || in[0] == '\n' || bytes.HasPrefix(in, []byte("\r\n")) || string(in) == "\r" {
			return field, nil
		}
		return nil, fmt.Errorf("line %d: there is text after a closing quote", r.line)
	}
}
