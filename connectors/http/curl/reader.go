package curl

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// maxRedirects is the most that a step's redirects may say.
const maxRedirects = 10

// A reader reads the options of a command.
type reader struct {
	words    []word
	warnings []string
	problems []Problem

	method  string
	head    bool
	get     bool
	url     string
	urlAt   int
	urls    int
	headers []field
	data    []string // joined by &, but for JSON
	json    bool
	file    string // the body is this file
	hasData bool
	parts   []part
	upload  string
	user    string
	hasUser bool
	timeout string
	// redirects is how many are followed, "" for what a step does anyway: as
	// browsers do whose commands are pasted, it follows them without -L too.
	redirects string
}

// A field is a header field or a pair; texts may hold marks.
type field struct{ name, value string }

// A part is one of a form.
type part struct {
	name, value, contentType, filename string
	file                               bool
	named                              bool // filename was given
}

func (r *reader) fail(at int, format string, args ...any) {
	r.problems = append(r.problems, Problem{Offset: at, Message: fmt.Sprintf(format, args...)})
}

func (r *reader) warn(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	for _, w := range r.warnings {
		if w == text {
			return
		}
	}
	r.warnings = append(r.warnings, text)
}

// read takes the words in their order.
func (r *reader) read() {
	for i := 0; i < len(r.words); {
		w := r.words[i]
		i++
		switch {
		case w.text == "--":
		case strings.HasPrefix(w.text, "--"):
			o := optionByLong(w.text[2:])
			if o == nil && strings.HasPrefix(w.text, "--no-") {
				if base := optionByLong(w.text[5:]); base != nil && !base.arg {
					if base.what == follow {
						r.redirects = "0"
					}
					continue // it switches off what is off
				}
			}
			if o == nil {
				r.fail(w.at, "the option %.60q isn't known; take it out, with its argument if it has one", shown(w.text))
				continue
			}
			var arg word
			if o.arg {
				if i == len(r.words) {
					r.fail(w.at, "%s needs an argument", w.text)
					return
				}
				arg = r.words[i]
				i++
			}
			if !r.take(o, w.text, arg) {
				return
			}
		case strings.HasPrefix(w.text, "-") && len(w.text) > 1:
			used, more := r.cluster(w, i)
			i += used
			if !more {
				return
			}
		default:
			r.target(w)
		}
	}
}

// cluster reads options of one letter; it says how many words after w are used,
// and whether to go on.
func (r *reader) cluster(w word, next int) (used int, more bool) {
	for at := 1; at < len(w.text); at++ {
		o := optionByShort(w.text[at])
		if o == nil {
			r.fail(w.at, "the option -%.10s isn't known; take it out, with its argument if it has one", shown(w.text[at:]))
			return 0, true
		}
		name := "-" + w.text[at:at+1]
		if !o.arg {
			if !r.take(o, name, word{}) {
				return 0, false
			}
			continue
		}
		arg := word{w.text[at+1:], w.at}
		if arg.text == "" {
			if next == len(r.words) {
				r.fail(w.at, "%s needs an argument", name)
				return 0, false
			}
			arg, used = r.words[next], 1
		}
		return used, r.take(o, name, arg)
	}
	return 0, true
}

// take applies an option; false: what follows isn't read.
func (r *reader) take(o *option, name string, arg word) bool {
	text := arg.text
	switch o.what {
	case ignored:
	case warned:
		r.warn("%s: %s", name, o.note)
	case setMethod:
		r.method = text
	case addHeader:
		r.header(arg)
	case addData, addRaw, addEncoded, addJSON:
		r.addData(o.what, arg)
	case toQuery:
		r.get = true
	case addPart:
		r.part(arg)
	case addString:
		n, v, ok := strings.Cut(text, "=")
		if !ok {
			r.fail(arg.at, "%s wants name=value, not %.60q", name, shown(text))
		}
		r.parts = append(r.parts, part{name: n, value: v})
	case setUser:
		r.user, r.hasUser = text, true
	case setBearer:
		r.set("Authorization", "Bearer "+text)
	case setCookie:
		if !strings.Contains(text, "=") && !strings.Contains(text, mark) {
			r.warn("%s: cookies of a file aren't read; write them as name=value", name)
			break
		}
		r.set("Cookie", text)
	case setAgent:
		r.set("User-Agent", text)
	case setReferer:
		if text, _ = strings.CutSuffix(text, ";auto"); text != "" {
			r.set("Referer", text)
		}
	case setHead:
		r.head = true
	case setURL:
		r.target(arg)
	case setUpload:
		r.upload = text
	case setTimeout:
		seconds, err := strconv.ParseFloat(text, 64)
		if err != nil || seconds < 0 || seconds > 1e6 {
			r.fail(arg.at, "%s wants a number of seconds, not %.40q", name, shown(text))
		} else if d := time.Duration(seconds * float64(time.Second)).Round(time.Millisecond); d > 0 {
			r.timeout = d.String()
		}
	case follow:
		if r.redirects == "0" {
			r.redirects = ""
		}
	case setRedirects:
		n, err := strconv.Atoi(text)
		switch {
		case err != nil || n < -1:
			r.fail(arg.at, "%s wants a number of redirects, not %.40q", name, shown(text))
		case n == -1 || n > maxRedirects:
			r.warn("%s: it is left out; a step follows at most %d redirects", name, maxRedirects)
		default:
			r.redirects = strconv.Itoa(n)
		}
	case nextRequest:
		r.warn("%s: only the first request is read; make a step of each", name)
		return false
	}
	return true
}

// target takes a URL.
func (r *reader) target(w word) {
	if r.urls++; r.urls > 1 {
		r.fail(w.at, "there is another URL, %.100q; a step sends one request. Is a quote missing?", shown(w.text))
		return
	}
	r.url, r.urlAt = w.text, w.at
}

// set sets a header that is there once.
func (r *reader) set(name, value string) {
	for i := range r.headers {
		if strings.EqualFold(r.headers[i].name, name) {
			r.headers[i].value = value
			return
		}
	}
	r.headers = append(r.headers, field{name, value})
}

// has says whether a header is there.
func (r *reader) has(name string) bool {
	for _, f := range r.headers {
		if strings.EqualFold(f.name, name) {
			return true
		}
	}
	return false
}

// made are headers that the server makes itself.
func made(name string) bool {
	for _, n := range []string{"Content-Length", "Transfer-Encoding", "Connection", "Accept-Encoding", "TE", "Expect", "Keep-Alive"} {
		if strings.EqualFold(n, name) {
			return true
		}
	}
	return false
}

// header takes "Name: value"; "Name;" is an empty value, and "Name:" would take
// one of curl's own away, which a step doesn't send anyway.
func (r *reader) header(w word) {
	if strings.HasPrefix(w.text, "@") {
		r.warn("-H %s: headers of a file aren't read; write them into the command", shown(w.text))
		return
	}
	name, value, ok := strings.Cut(w.text, ":")
	value = strings.Trim(value, " \t")
	if !ok {
		if name, ok = strings.CutSuffix(strings.TrimRight(w.text, " \t"), ";"); !ok {
			r.fail(w.at, "a header is written as \"Name: value\", not %.60q", shown(w.text))
			return
		}
	} else if value == "" {
		return
	}
	name = strings.Trim(name, " \t")
	switch {
	case !isToken(name):
		r.fail(w.at, "%.60q is no header name: letters, digits and dashes are wanted", shown(name))
		return
	case strings.ContainsAny(value, "\r\n"):
		r.fail(w.at, "the value of the header %s has more than one line", name)
		return
	case made(name):
		r.warn("the header %s is left out: the server makes it itself", name)
		return
	}
	for i := range r.headers {
		if f := &r.headers[i]; strings.EqualFold(f.name, name) {
			f.value += ", " + value // RFC 9110, 5.3
			return
		}
	}
	r.headers = append(r.headers, field{name, value})
}

// isToken says whether s is a token of RFC 9110, 5.6.2.
func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return s != ""
}

// shown is a word for people, with its variables.
func shown(text string) string {
	parts := strings.Split(text, mark)
	for i := 1; i < len(parts); i += 2 {
		parts[i] = "$" + parts[i]
	}
	return strings.Join(parts, "")
}
