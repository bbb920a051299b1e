package http

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/tappet-dev/tappet/connectors/internal/charset"
	"github.com/tappet-dev/tappet/connectors/internal/httpjson"
	"github.com/tappet-dev/tappet/connectors/internal/rawjson"
	"github.com/tappet-dev/tappet/sdk"
)

// The ways to read a response.
const (
	parseAuto = "auto"
	parseJSON = "json"
	parseXML  = "xml"
	parseForm = "form"
	parseCSV  = "csv"
	parseText = "text"
	parseFile = "file"
	parseNone = "none"
	// parseGuess is that of a response without a Content-Type: JSON where it is an
	// object or a list, text where it is text, else a file.
	parseGuess = "guess"
	// parseLeft is for bytes that can't be kept: there is nowhere, or the call
	// fails anyway and its files with it.
	parseLeft = "left"
)

var responseTypes = []string{parseAuto, parseJSON, parseXML, parseForm, parseCSV, parseText, parseFile, parseNone}

// A reading makes {status, headers, body} of a response.
type reading struct {
	parse  string // a response type, "" for auto
	limits Limits
	files  sdk.Files // nil if the host keeps none
	url    string
}

// most is how many bytes of a response are taken: what the host takes into
// memory (0), or what it takes at all where the body may become a file.
func (rd *reading) most() int64 {
	if rd.files != nil && (rd.parse == parseFile || rd.parse == parseAuto || rd.parse == "") {
		return math.MaxInt64
	}
	return 0
}

// how tells the way to read the body of a response.
func (rd *reading) how(status int, media string) string {
	switch {
	case rd.parse == parseFile && success(status):
		return parseFile
	case rd.parse != parseFile && rd.parse != parseAuto && rd.parse != "":
		return rd.parse
	}
	way := parseOf(media)
	if way == parseFile && (rd.files == nil || !success(status)) {
		return parseLeft
	}
	return way
}

// parseOf gives the way of a media type.
func parseOf(media string) string {
	main, sub, _ := strings.Cut(media, "/")
	switch {
	case media == "":
		return parseGuess
	case httpjson.IsJSON(media):
		return parseJSON
	case media == httpjson.Form:
		return parseForm
	case media == "text/csv", media == "text/tab-separated-values":
		return parseCSV
	case main == "image":
		return parseFile
	case media == "application/xhtml+xml":
		return parseText
	case media == "text/xml", media == "application/xml", strings.HasSuffix(sub, "+xml"):
		return parseXML
	case main == "text":
		return parseText
	}
	switch media {
	case "application/javascript", "application/ecmascript", "application/x-javascript", "application/x-ndjson",
		"application/ndjson", "application/jsonl", "application/yaml", "application/x-yaml", "application/toml",
		"application/sql", "application/graphql", "application/x-sh":
		return parseText
	}
	if strings.HasSuffix(sub, "+yaml") {
		return parseText
	}
	return parseFile
}

// render reads the response into {status, headers, body}. An answer that was
// read to its end and can't be parsed gives an output and an error; one that
// wasn't gives no output, so that nothing takes a part for the whole. The note
// is for the log.
func (rd *reading) render(ctx context.Context, resp *sdk.Response) (out []byte, note string, err error) {
	contentType := resp.Header.Get("Content-Type")
	media, cs := httpjson.MediaType(contentType)
	way := rd.how(resp.Status, media)
	n := 128
	for i := range resp.Header {
		n += len(resp.Header[i].Name) + len(resp.Header[i].Value) + 6
	}
	if way != parseFile && resp.Size > 0 && resp.Size < 1<<20 {
		n += int(resp.Size) + bytes.MinRead
	}
	b := append(make([]byte, 0, n), `{"status":`...)
	b = strconv.AppendInt(b, int64(resp.Status), 10)
	b = append(b, `,"headers":`...)
	b = httpjson.AppendHeader(b, resp.Header, nil)
	b = append(b, `,"body":`...)
	p := page{b: b, head: len(b), media: media, charset: cs, limit: rd.limits.Memory}
	switch way {
	case parseNone:
		p.null()
	case parseFile:
		err = rd.file(ctx, &p, resp, resp.Body)
	case parseLeft:
		p.left()
		if empty(resp.Body) {
			p.note = ""
		}
	default:
		err = rd.memory(ctx, &p, resp, way)
	}
	if err != nil && !p.whole {
		return nil, p.note, err
	}
	return append(p.b, '}'), p.note, err
}

// empty says whether there is no byte in r.
func empty(r io.Reader) bool {
	var one [1]byte
	n, _ := io.ReadFull(r, one[:])
	return n == 0
}

// memory parses a body in memory.
func (rd *reading) memory(ctx context.Context, p *page, resp *sdk.Response, way string) error {
	var err error
	p.b, err = readAll(p.b, resp.Body, p.limit)
	got := p.b[p.head:]
	over := int64(len(got)) > p.limit
	if way == parseGuess && err == nil {
		switch t := rawjson.Of(got); {
		case over && rd.files != nil && success(resp.Status):
			return rd.file(ctx, p, resp, io.MultiReader(bytes.NewReader(bytes.Clone(got)), resp.Body))
		case over:
		case (t == rawjson.Object || t == rawjson.Array) && rawjson.Check(got, 0) == nil:
			return nil
		case len(got) == 0, charset.IsText(got):
			way = parseText
		case rd.files != nil && success(resp.Status):
			return rd.file(ctx, p, resp, bytes.NewReader(bytes.Clone(got)))
		default:
			p.left()
			return nil
		}
	}
	switch {
	case err != nil:
		p.null()
		return err
	case over:
		p.null()
		return sdk.Errorf(sdk.TooLarge,
			"the response's body has more than %d bytes, the limit of what is parsed (limits.response_body); response_type file keeps it as a file", p.limit)
	case len(got) == 0:
		p.null()
		return nil
	}
	p.whole = true
	return p.parse(way)
}

// file hands the body to the host as a file. An empty one is null, unless a file
// is asked for.
func (rd *reading) file(ctx context.Context, p *page, resp *sdk.Response, body io.Reader) error {
	if rd.parse != parseFile {
		var one [1]byte
		n, err := io.ReadFull(body, one[:])
		if n == 0 {
			p.null()
			if errors.Is(err, io.EOF) {
				return nil
			}
			return fmt.Errorf("read the response: %w", err)
		}
		body = io.MultiReader(bytes.NewReader(one[:]), body)
	}
	media := p.media
	if media == "" {
		media = typeFile
	}
	f, err := rd.files.NewFile(ctx, fileName(resp.Header.Get("Content-Disposition"), rd.url), media, body)
	switch {
	case err != nil && sdk.KindOf(err) == sdk.Unsupported && rd.parse != parseFile:
		p.left() // this call keeps none, and none was asked for
		return nil
	case err != nil:
		p.null()
		return fmt.Errorf("keep the response as a file: %w", err)
	}
	v, err := json.Marshal(f)
	if err != nil {
		return fmt.Errorf("write file: %w", err)
	}
	p.b = append(p.b[:p.head], v...)
	return nil
}

// readAll appends what r holds, up to one byte more than the limit.
func readAll(b []byte, r io.Reader, limit int64) ([]byte, error) {
	head := len(b)
	for int64(len(b)-head) <= limit {
		if cap(b)-len(b) < bytes.MinRead {
			b = append(b, make([]byte, max(bytes.MinRead, len(b)/2))...)[:len(b)]
		}
		space := b[len(b):cap(b)]
		n, err := r.Read(space[:min(int64(len(space)), limit+1-int64(len(b)-head))])
		b = b[:len(b)+n]
		if err == io.EOF {
			return b, nil
		}
		if err != nil {
			return b, fmt.Errorf("read the response: %w", err)
		}
	}
	return b, nil
}

// A page is an output whose body, the bytes after head, becomes a JSON value.
type page struct {
	b              []byte
	head           int
	media, charset string
	limit          int64
	// whole: the body was read to its end.
	whole bool
	note  string
}

func (p *page) null() { p.b = append(p.b[:p.head], "null"...) }

// left leaves the body out.
func (p *page) left() {
	media := p.media
	if media == "" {
		media = "no content type"
	}
	p.note = fmt.Sprintf("the body of the response (%s) is left out: it is no text, and this call keeps no file", media)
	p.null()
}

// parse makes a JSON value of the bytes after head: JSON stays where it is.
func (p *page) parse(way string) error {
	if way == parseXML && p.charset == "" {
		// The document itself may name its charset.
		return p.convert("XML", func(dst, got []byte) ([]byte, error) {
			return httpjson.AppendXML(dst, got, charset.Reader)
		})
	}
	got, err := p.decode()
	if err != nil {
		p.null()
		return err
	}
	switch way {
	case parseJSON:
		// A byte order mark and other charsets are gone; what is JSON stays in its place.
		if len(got) < len(p.b)-p.head || len(got) > 0 && &got[0] != &p.b[p.head] {
			p.b = append(p.b[:p.head], got...)
			got = p.b[p.head:]
		}
		err := rawjson.Check(got, 0)
		if err == nil {
			return nil
		}
		return p.broken("JSON", got, err)
	case parseXML:
		return p.convert("XML", func(dst, _ []byte) ([]byte, error) {
			return httpjson.AppendXML(dst, got, nil)
		})
	case parseForm:
		return p.convert("an urlencoded form", func(dst, _ []byte) ([]byte, error) {
			return httpjson.AppendForm(dst, string(got))
		})
	case parseCSV:
		return p.convert("CSV", func(dst, _ []byte) ([]byte, error) {
			comma := byte(',')
			if p.media == "text/tab-separated-values" {
				comma = '\t'
			}
			return httpjson.AppendCSV(dst, got, comma, p.limit)
		})
	}
	if bytes.IndexByte(got, 0) >= 0 {
		p.null()
		return sdk.Errorf(sdk.Failed, "the response is not text: it holds NUL; response_type file keeps it as a file")
	}
	p.b = rawjson.AppendString(p.b[:p.head], string(got))
	return nil
}

// convert writes the value that append makes of the body.
func (p *page) convert(what string, write func(dst, got []byte) ([]byte, error)) error {
	got := p.b[p.head:]
	dst := append(make([]byte, 0, p.head+len(got)+len(got)/2), p.b[:p.head]...)
	out, err := write(dst, got)
	if err != nil {
		return p.broken(what, got, err)
	}
	p.b = out
	return nil
}

// broken is a body that is not what it should be: its text is kept, for the one
// who reads the run.
func (p *page) broken(what string, got []byte, err error) error {
	if utf8.Valid(got) && bytes.IndexByte(got, 0) < 0 {
		p.b = rawjson.AppendString(p.b[:p.head], string(got))
	} else {
		p.null()
	}
	if e := (*sdk.Error)(nil); errors.As(err, &e) {
		return err
	}
	return sdk.Errorf(sdk.Failed, "the response is not %s: %w", what, err)
}

// decode gives the body in UTF-8. Text without a charset that isn't UTF-8 is
// taken for windows-1252, as browsers do.
func (p *page) decode() ([]byte, error) {
	got := p.b[p.head:]
	name := p.charset
	if name == "" && strings.HasPrefix(p.media, "text/") && !utf8.Valid(got) && !charset.Marked(got) {
		name = "windows-1252"
		p.note = "the response names no charset and is not UTF-8: it is read as windows-1252"
	}
	out, err := charset.Decode(got, name)
	if err != nil {
		return nil, sdk.Errorf(sdk.Failed, "the response can't be read as text: %w; response_type file keeps it as a file", err)
	}
	return out, nil
}
