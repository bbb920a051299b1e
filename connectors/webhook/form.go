package webhook

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/textproto"
	"strings"
	"unicode/utf8"

	"github.com/tappet-dev/tappet/connectors/internal/httpjson"
	"github.com/tappet-dev/tappet/connectors/internal/rawjson"
	"github.com/tappet-dev/tappet/sdk"
)

// Limits of a form of parts (RFC 7578).
const (
	// maxParts is how many parts it may have.
	maxParts = 1_000
	// maxPartHeader is how many bytes the header of a part may have.
	maxPartHeader = 16 << 10
	// maxText is how many bytes its texts and headers may have together: what of
	// it is held in memory.
	maxText = 10 << 20
	// maxBoundary is the longest boundary (RFC 2046, 5.1.1).
	maxBoundary = 70
	// maxEpilogue is how many bytes may follow the last boundary.
	maxEpilogue = 64 << 10
	// readBuffer is how much of it is asked for at a time.
	readBuffer = 64 << 10
	// readAhead is what mime/multipart reads beyond what it gives.
	readAhead = 4 << 10
)

// appendNothing tells an empty stream from one that can't be read.
func appendNothing(dst []byte, err error) ([]byte, []sdk.File, error) {
	if errors.Is(err, io.EOF) {
		return append(dst, "null"...), nil, nil
	}
	return nil, nil, err
}

// appendWhole makes a file of a whole body.
func appendWhole(ctx context.Context, dst []byte, h sdk.Host, r *sdk.WebhookRequest, body io.Reader) ([]byte, []sdk.File, error) {
	files, err := sdk.FilesOf(h)
	if err != nil {
		return nil, nil, err
	}
	name := "body"
	if _, params, err := mime.ParseMediaType(r.Header.Get("Content-Disposition")); err == nil && params["filename"] != "" {
		name = params["filename"]
	}
	f, err := files.NewFile(ctx, name, r.Header.Get("Content-Type"), body)
	if err != nil {
		return nil, nil, err
	}
	return appendFile(dst, f), []sdk.File{f}, nil
}

// A form is a multipart/form-data body on its way into an event.
type form struct {
	body  *gate
	files sdk.Files
	// hold is asked before n bytes more are held in memory; nil: nobody asks.
	hold func(n int64) error
	text int64

	fields []field
	index  map[string]int // of fields, by name
	found  []sdk.File
}

// A field is a name with the JSON of each of its values.
type field struct {
	name   string
	values [][]byte
}

// appendParts appends a form as an object: a name that comes once has its value,
// one that is repeated the list of its values. The value of a text is a string,
// that of a file the file.
func appendParts(ctx context.Context, dst []byte, h sdk.Host, body io.Reader, boundary string) ([]byte, []sdk.File, error) {
	if boundary == "" || len(boundary) > maxBoundary {
		return nil, nil, fmt.Errorf("the Content-Type's boundary has %d bytes; 1 to %d are wanted", len(boundary), maxBoundary)
	}
	files, err := sdk.FilesOf(h)
	if err != nil {
		return nil, nil, err
	}
	f := &form{body: &gate{r: bufio.NewReaderSize(body, readBuffer)}, files: files, index: map[string]int{}}
	if x, ok := body.(interface{ Hold(n int64) error }); ok {
		f.hold = x.Hold
	}
	parts := multipart.NewReader(f.body, boundary)
	for n := 1; ; n++ {
		f.body.bound(maxPartHeader + readAhead)
		p, err := parts.NextRawPart()
		if errors.Is(err, io.EOF) { // the last boundary: the gate has no such end
			break
		}
		if err != nil {
			return nil, nil, inPart(n, f.body.reason(err))
		}
		if n > maxParts {
			return nil, nil, sdk.Errorf(sdk.TooLarge, "there are more than %d parts", maxParts)
		}
		f.body.open()
		if err := f.part(ctx, p); err != nil {
			return nil, nil, inPart(n, err)
		}
	}
	if err := f.body.end(); err != nil {
		return nil, nil, err
	}
	return f.append(dst), f.found, nil
}

// inPart names the part that an error is about.
func inPart(n int, err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = errors.New("the form ends before its last boundary")
	}
	return fmt.Errorf("part %d: %w", n, err)
}

// part takes one part.
func (f *form) part(ctx context.Context, p *multipart.Part) error {
	size := 0
	for name, values := range p.Header {
		for _, v := range values {
			size += len(name) + len(v) + len(": \r\n")
		}
	}
	if size > maxPartHeader {
		return tooLongHeader()
	}
	if err := f.holds(size); err != nil {
		return err
	}
	disposition, params, err := mime.ParseMediaType(p.Header.Get("Content-Disposition"))
	if err != nil || disposition != "form-data" || params["name"] == "" {
		return fmt.Errorf(`its Content-Disposition is %.80q; form-data; name="…" is wanted`, p.Header.Get("Content-Disposition"))
	}
	name := strings.ToValidUTF8(params["name"], "\uFFFD")
	kind := p.Header.Get("Content-Type")
	media, charset := httpjson.MediaType(kind)
	filename, isFile := params["filename"]
	switch {
	case isFile, !isText(media):
		if strings.HasPrefix(media, "multipart/") && !isFile {
			return fmt.Errorf("the field %.80q is %.80q itself: send each file as a part of its own", name, media)
		}
		return f.file(ctx, name, filename, kind, p)
	case charset != "" && charset != "utf-8" && charset != "utf8" && charset != "us-ascii":
		return &typeError{fmt.Sprintf("the field %.80q has the charset %.40q: send UTF-8", name, charset)}
	}
	return f.words(name, p)
}

// isText says whether a part without a file's name is a text by its type.
func isText(media string) bool {
	return media == "" || strings.HasPrefix(media, "text/") || httpjson.IsJSON(media) || media == httpjson.Form || isXML(media)
}

// file takes a file. The field of a file that wasn't chosen, as browsers send
// it, is null.
func (f *form) file(ctx context.Context, name, filename, kind string, p io.Reader) error {
	body := bufio.NewReader(p)
	if filename == "" {
		if _, err := body.Peek(1); errors.Is(err, io.EOF) {
			f.add(name, []byte("null"))
			return nil
		}
	}
	file, err := f.files.NewFile(ctx, filename, kind, body)
	if err != nil {
		return fmt.Errorf("the file of the field %.80q: %w", name, err)
	}
	f.found = append(f.found, file)
	f.add(name, appendFile(nil, file))
	return nil
}

// words takes a text.
func (f *form) words(name string, p io.Reader) error {
	var text []byte
	buf := make([]byte, 4<<10)
	for {
		n, err := p.Read(buf)
		if err := f.holds(n); err != nil {
			return err
		}
		text = append(text, buf[:n]...)
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
	}
	if !utf8.Valid(text) {
		return &typeError{fmt.Sprintf("the field %.80q is text that isn't UTF-8: send it as UTF-8, or as a file with a filename", name)}
	}
	f.add(name, rawjson.AppendString(make([]byte, 0, len(text)+2), text))
	return nil
}

// holds counts n bytes more that are held in memory.
func (f *form) holds(n int) error {
	if f.text += int64(n); f.text > maxText {
		return sdk.Errorf(sdk.TooLarge, "the texts and headers of the form have more than %d bytes together: send long ones as files, with a filename", maxText)
	}
	if f.hold == nil {
		return nil
	}
	return f.hold(int64(n))
}

func (f *form) add(name string, value []byte) {
	i, ok := f.index[name]
	if !ok {
		i = len(f.fields)
		f.index[name] = i
		f.fields = append(f.fields, field{name: name})
	}
	f.fields[i].values = append(f.fields[i].values, value)
}

// append appends the object of the fields.
func (f *form) append(dst []byte) []byte {
	dst = append(dst, '{')
	for i, x := range f.fields {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(rawjson.AppendString(dst, x.name), ':')
		if len(x.values) == 1 {
			dst = append(dst, x.values[0]...)
			continue
		}
		for j, v := range x.values {
			if j == 0 {
				dst = append(dst, '[')
			} else {
				dst = append(dst, ',')
			}
			dst = append(dst, v...)
		}
		dst = append(dst, ']')
	}
	return append(dst, '}')
}

// A gate bounds what mime/multipart reads while it looks for a part, which it
// would otherwise hold in memory: headers, and what stands before the first
// boundary. Its end is always io.ErrUnexpectedEOF, behind a line's end that the
// last boundary may lack: mime/multipart gives io.EOF for the last boundary, and
// for a form that ends in a header.
type gate struct {
	r    io.Reader
	left int
	// shut: left counts.
	shut bool
	// full: left was used up.
	full bool
	// done: r is at its end.
	done bool
	line string // what is left to give of the line's end
}

func (g *gate) bound(n int) { g.left, g.shut = n, true }

func (g *gate) open() { g.shut = false }

// Read implements io.Reader.
func (g *gate) Read(b []byte) (int, error) {
	if g.done {
		n := copy(b, g.line)
		if g.line = g.line[n:]; n == 0 {
			return 0, io.ErrUnexpectedEOF
		}
		return n, nil
	}
	if g.shut {
		if g.left <= 0 {
			g.full = true
			return 0, tooLongHeader()
		}
		b = b[:min(len(b), g.left)]
	}
	n, err := g.r.Read(b)
	g.left -= n
	if errors.Is(err, io.EOF) {
		g.done, g.line, err = true, "\r\n", nil
	}
	return n, err
}

// reason tells why there is no next part.
func (g *gate) reason(err error) error {
	if _, ok := errors.AsType[*sdk.Error](err); ok || errors.Is(err, io.ErrUnexpectedEOF) && !g.full {
		return err
	}
	if g.full || errors.Is(err, bufio.ErrBufferFull) {
		return tooLongHeader()
	}
	if _, ok := errors.AsType[textproto.ProtocolError](err); ok && !g.done {
		return errors.New("its header has a line that is no field")
	}
	return errors.New("there is no boundary where one must stand, or it ends in its header")
}

// end reads what follows the last boundary, so that a body that breaks off
// there isn't taken for a whole one.
func (g *gate) end() error {
	if g.done {
		return nil
	}
	n, err := io.CopyN(io.Discard, g.r, maxEpilogue+1)
	switch {
	case n > maxEpilogue:
		return sdk.Errorf(sdk.TooLarge, "more than %d bytes follow the last boundary", maxEpilogue)
	case errors.Is(err, io.EOF):
		return nil
	}
	return err
}

func tooLongHeader() error {
	return sdk.Errorf(sdk.TooLarge, "a part's header has more than %d bytes, or as much stands before the first boundary", maxPartHeader)
}
