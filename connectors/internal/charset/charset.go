// Package charset makes UTF-8 of text in the charsets of the web.
//
// It is not a guesser: a byte order mark and the name that a message gives are
// all it goes by. Its one rule: what it gives is valid UTF-8.
package charset

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/htmlindex"
)

// lookup gives the decoder of a name of the WHATWG's list, nil for UTF-8.
func lookup(name string) (encoding.Encoding, error) {
	if name == "" {
		return nil, nil
	}
	e, err := htmlindex.Get(name)
	if err != nil {
		return nil, fmt.Errorf("the charset %.40q is not known", name)
	}
	switch canonical, err := htmlindex.Name(e); {
	case err != nil || canonical == "replacement":
		return nil, fmt.Errorf("the charset %.40q is not known", name)
	case canonical == "utf-8":
		return nil, nil
	}
	return e, nil
}

// mark gives the charset of a byte order mark and its length, "" for none.
func mark(b []byte) (name string, length int) {
	switch {
	case bytes.HasPrefix(b, []byte("\xef\xbb\xbf")):
		return "utf-8", 3
	case bytes.HasPrefix(b, []byte("\xfe\xff")):
		return "utf-16be", 2
	case bytes.HasPrefix(b, []byte("\xff\xfe")):
		return "utf-16le", 2
	}
	return "", 0
}

// Marked says whether b begins with a byte order mark.
func Marked(b []byte) bool {
	_, n := mark(b)
	return n > 0
}

// IsText says whether b is text in UTF-8, or begins with a byte order mark.
func IsText(b []byte) bool {
	return Marked(b) || utf8.Valid(b) && bytes.IndexByte(b, 0) < 0
}

// Decode gives b in UTF-8, without a byte order mark; b itself where nothing is
// to be changed. A mark counts more than the name, "" is UTF-8. Bytes that have
// no meaning in another charset become U+FFFD; in UTF-8 they are an error, as a
// name is that nobody knows.
func Decode(b []byte, name string) ([]byte, error) {
	if marked, n := mark(b); n > 0 {
		name, b = marked, b[n:]
	}
	e, err := lookup(name)
	if err != nil {
		return nil, err
	}
	if e == nil {
		if !utf8.Valid(b) {
			return nil, errors.New("the text is not UTF-8, and no other charset is named")
		}
		return b, nil
	}
	out, err := e.NewDecoder().Bytes(b)
	if err != nil {
		return nil, fmt.Errorf("the text is not %s: %w", name, err)
	}
	return out, nil
}

// Reader gives what r holds in UTF-8. It has the face that encoding/xml asks for.
func Reader(name string, r io.Reader) (io.Reader, error) {
	e, err := lookup(name)
	if err != nil || e == nil {
		return r, err
	}
	return e.NewDecoder().Reader(r), nil
}
