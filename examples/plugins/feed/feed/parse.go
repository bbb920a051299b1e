package feed

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tappet-dev/tappet/sdk"
)

// maxItems is the most items that are taken of one feed.
const maxItems = 5000

// rss is what is read of RSS 2.0 (www.rssboard.org/rss-specification).
type rss struct {
	Items []rssItem `xml:"channel>item"`
}

type rssItem struct {
	GUID        string    `xml:"guid"`
	Title       []element `xml:"title"`
	Links       []element `xml:"link"`
	PubDate     string    `xml:"pubDate"`
	Date        string    `xml:"http://purl.org/dc/elements/1.1/ date"`
	Description []element `xml:"description"`
	Content     string    `xml:"http://purl.org/rss/1.0/modules/content/ encoded"`
	Author      []element `xml:"author"`
	Creator     string    `xml:"http://purl.org/dc/elements/1.1/ creator"`
	Categories  []string  `xml:"category"`
}

// element keeps its name, to tell a plain <link> from <atom:link>, and <title>
// from <media:title>.
type element struct {
	XMLName xml.Name
	Text    string `xml:",chardata"`
}

// plain gives the first element of RSS itself, which has no namespace.
func plain(in []element) string {
	for _, e := range in {
		if e.XMLName.Space == "" && strings.TrimSpace(e.Text) != "" {
			return strings.TrimSpace(e.Text)
		}
	}
	return ""
}

// atom is what is read of Atom (RFC 4287).
type atom struct {
	Author  person  `xml:"author"`
	Entries []entry `xml:"entry"`
}

type entry struct {
	ID         string   `xml:"id"`
	Title      text     `xml:"title"`
	Links      []link   `xml:"link"`
	Published  string   `xml:"published"`
	Updated    string   `xml:"updated"`
	Summary    text     `xml:"summary"`
	Content    text     `xml:"content"`
	Authors    []person `xml:"author"`
	Categories []term   `xml:"category"`
}

type person struct {
	Name string `xml:"name"`
}

type link struct {
	Rel  string `xml:"rel,attr"`
	Href string `xml:"href,attr"`
}

type term struct {
	Term string `xml:"term,attr"`
}

// text is an Atom text construct: characters, or markup for type xhtml.
type text struct {
	Type  string `xml:"type,attr"`
	Chars string `xml:",chardata"`
	Inner string `xml:",innerxml"`
}

func (t text) String() string {
	if t.Type == "xhtml" {
		return strings.TrimSpace(t.Inner)
	}
	return strings.TrimSpace(t.Chars)
}

// parse reads a feed of either kind.
func parse(body []byte) ([]Item, error) {
	root, err := rootOf(body)
	if err != nil {
		return nil, sdk.Errorf(sdk.Failed, "the feed is not XML: %w", err)
	}
	var items []Item
	switch {
	case root == "rss":
		var f rss
		if err = decoder(body).Decode(&f); err == nil {
			items = fromRSS(f)
		}
	case root == "feed":
		var f atom
		if err = decoder(body).Decode(&f); err == nil {
			items = fromAtom(f)
		}
	default:
		return nil, sdk.Errorf(sdk.Failed, "the document is <%.40s>, neither an RSS 2.0 nor an Atom feed", root)
	}
	if err != nil {
		return nil, sdk.Errorf(sdk.Failed, "read the feed: %w", err)
	}
	return items, nil
}

func rootOf(body []byte) (string, error) {
	d := decoder(body)
	for {
		t, err := d.Token()
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = errors.New("it has no element")
			}
			return "", err
		}
		if e, ok := t.(xml.StartElement); ok {
			return e.Name.Local, nil
		}
	}
}

// decoder reads what is meant rather than what is valid: HTML's entities, and
// windows-1252 and what passes for it beside UTF-8.
func decoder(body []byte) *xml.Decoder {
	d := xml.NewDecoder(bytes.NewReader(body))
	d.Strict = false
	d.Entity = xml.HTMLEntity
	d.CharsetReader = func(charset string, r io.Reader) (io.Reader, error) {
		switch strings.ToLower(charset) {
		case "utf-8", "utf8", "us-ascii", "ascii":
			return r, nil
		case "iso-8859-1", "latin1", "windows-1252", "cp1252":
			b, err := io.ReadAll(r)
			return bytes.NewReader(fromWindows1252(b)), err
		}
		return nil, errors.New("charset " + charset + " is not known; UTF-8 is wanted")
	}
	return d
}

// fromWindows1252 reads what is called ISO 8859-1 too, as browsers do
// (encoding.spec.whatwg.org).
func fromWindows1252(b []byte) []byte {
	// The characters of 0x80 to 0x9f; the others are Unicode's own.
	const high = "€\u0081‚ƒ„…†‡ˆ‰Š‹Œ\u008dŽ\u008f\u0090‘’“”•–—˜™š›œ\u009džŸ"
	runes := []rune(high)
	out := make([]byte, 0, len(b)+len(b)/8)
	for _, c := range b {
		r := rune(c)
		if c >= 0x80 && c <= 0x9f {
			r = runes[c-0x80]
		}
		out = utf8.AppendRune(out, r)
	}
	return out
}

func fromRSS(f rss) []Item {
	items := make([]Item, 0, min(len(f.Items), maxItems))
	for i := range f.Items[:min(len(f.Items), maxItems)] {
		r := &f.Items[i]
		it := Item{
			ID: r.GUID, Title: clean(plain(r.Title)), Link: plain(r.Links), Published: date(r.PubDate, r.Date),
			Summary: first(r.Content, plain(r.Description)), Author: first(plain(r.Author), r.Creator),
			Categories: list(r.Categories),
		}
		items = append(items, identified(it))
	}
	return items
}

func fromAtom(f atom) []Item {
	items := make([]Item, 0, min(len(f.Entries), maxItems))
	for i := range f.Entries[:min(len(f.Entries), maxItems)] {
		e := &f.Entries[i]
		it := Item{
			ID: e.ID, Title: clean(e.Title.String()), Link: alternate(e.Links), Published: date(e.Published, e.Updated),
			Summary: first(e.Content.String(), e.Summary.String()), Author: clean(f.Author.Name),
		}
		if len(e.Authors) > 0 {
			it.Author = first(e.Authors[0].Name, it.Author)
		}
		var terms []string
		for _, c := range e.Categories {
			terms = append(terms, c.Term)
		}
		it.Categories = list(terms)
		items = append(items, identified(it))
	}
	return items
}

// alternate is the link to the page itself: rel "alternate", which is also what
// no rel means, else the first.
func alternate(links []link) string {
	for _, l := range links {
		if l.Rel == "" || l.Rel == "alternate" {
			return strings.TrimSpace(l.Href)
		}
	}
	if len(links) > 0 {
		return strings.TrimSpace(links[0].Href)
	}
	return ""
}

// identified gives an item without an identifier its link, and one without a
// link a hash of what it says.
func identified(it Item) Item {
	it.ID = first(it.ID, it.Link)
	if it.ID == "" {
		sum := sha256.Sum256([]byte(it.Title + "\x00" + it.Summary))
		it.ID = hex.EncodeToString(sum[:])
	}
	if len(it.ID) > 1000 { // longer than a key may be
		sum := sha256.Sum256([]byte(it.ID))
		it.ID = hex.EncodeToString(sum[:])
	}
	return it
}

// first gives the first that isn't blank.
func first(s ...string) string {
	for _, v := range s {
		if v = strings.TrimSpace(v); v != "" {
			return v
		}
	}
	return ""
}

// clean makes one line of a text.
func clean(s string) string { return strings.Join(strings.Fields(s), " ") }

func list(in []string) []string {
	var out []string
	for _, s := range in {
		if s = clean(s); s != "" && !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

// layouts are the dates that feeds are found to have: RFC 822 with its
// successors, RFC 3339, and what people make of them.
func layouts() []string {
	return []string{
		time.RFC3339Nano,
		"2 Jan 2006 15:04:05 -0700", "2 Jan 2006 15:04:05 MST",
		"2 Jan 2006 15:04 -0700", "2 Jan 2006 15:04 MST",
		"2 Jan 06 15:04:05 -0700", "2 Jan 06 15:04:05 MST", "2 Jan 06 15:04 -0700", "2 Jan 06 15:04 MST",
		"2 January 2006 15:04:05 -0700", "2 January 2006 15:04:05 MST",
		"2006-01-02T15:04:05-0700", "2006-01-02T15:04:05", "2006-01-02T15:04Z07:00",
		"2006-01-02 15:04:05 -0700", "2006-01-02 15:04:05", "2006-01-02",
	}
}

// date reads the first that is a date, in UTC; a time without a zone is in UTC.
func date(in ...string) *time.Time {
	for _, s := range in {
		s = clean(s)
		if day, rest, ok := strings.Cut(s, ","); ok && len(day) <= 9 {
			s = strings.TrimSpace(rest)
		}
		s = zone(s)
		for _, l := range layouts() {
			if t, err := time.Parse(l, s); err == nil {
				t = t.UTC()
				return &t
			}
		}
	}
	return nil
}

// zone writes the zones that RFC 822 names as offsets: time.Parse takes a name
// that it doesn't know for UTC.
func zone(s string) string {
	i := strings.LastIndexByte(s, ' ')
	if i < 0 {
		return s
	}
	offset := ""
	switch strings.ToUpper(s[i+1:]) {
	case "UT", "UTC", "GMT", "Z":
		offset = "+0000"
	case "EST":
		offset = "-0500"
	case "EDT":
		offset = "-0400"
	case "CST":
		offset = "-0600"
	case "CDT":
		offset = "-0500"
	case "MST":
		offset = "-0700"
	case "MDT":
		offset = "-0600"
	case "PST":
		offset = "-0800"
	case "PDT":
		offset = "-0700"
	case "CET":
		offset = "+0100"
	case "CEST":
		offset = "+0200"
	}
	if offset == "" {
		return s
	}
	return s[:i+1] + offset
}
