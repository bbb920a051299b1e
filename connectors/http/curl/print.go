package curl

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/tappet-dev/tappet/sdk"
)

// maxBody is how many bytes of a body a command may hold; a system takes no
// longer arguments (Linux: 128 KiB).
const maxBody = 100 << 10

// maxParts is how many parts of a form are printed.
const maxParts = 1000

// A Request is one to print. Body and Reopen of the request are as the connector
// has made them; the body is read.
type Request struct {
	*sdk.Request
	// Secrets are the texts that stand in the request for secrets, and their names.
	// They have letters and digits alone.
	Secrets map[string]string
	// File is the name of the file that the body is, if it is one whole; it isn't
	// read then. The files of a form are found in it.
	File func() string
}

// Print gives a command for a POSIX shell that sends the request, and notes of
// what it can't say. Secrets are "$TAPPET_SECRET_NAME", and so are other values
// of Authorization, Proxy-Authorization and Cookie; files are @name.
func Print(r Request) (command string, notes []string, err error) {
	p := printer{Request: r}
	if err := p.print(); err != nil {
		return "", nil, fmt.Errorf("print as curl: %w", err)
	}
	return strings.Join(p.args, " \\\n  "), p.notes, nil
}

type printer struct {
	Request
	args  []string
	notes []string
}

func (p *printer) note(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); !slices.Contains(p.notes, text) {
		p.notes = append(p.notes, text)
	}
}

// add adds an option and its argument, on one line.
func (p *printer) add(option, value string) { p.args = append(p.args, option+" "+p.quote(value)) }

func (p *printer) print() error {
	method := p.Method
	if method == "" {
		method = "GET"
	}
	head := "curl" + p.redirects(method)
	switch {
	case method == "HEAD":
		head += " --head"
	case method == "POST" && p.Body != nil && p.MaxRedirects > 0: // the data say it, and -X would say it of what follows too
	case method != "GET" || p.Body != nil:
		head += " -X " + p.quote(method)
	}
	url, _, _ := strings.Cut(p.URL, "#")
	if strings.ContainsAny(url, "[]{}") {
		head += " --globoff"
	}
	if strings.Contains(url, "/.") {
		head += " --path-as-is"
	}
	p.args = append(p.args, head+" "+p.quote(url))
	for token, name := range p.Secrets {
		if strings.Contains(url, token) {
			p.note("the secret %s stands in the URL: its variable must hold it percent-encoded", name)
		}
	}
	media, params, err := mime.ParseMediaType(p.Header.Get("Content-Type"))
	form := err == nil && media == "multipart/form-data" && params["boundary"] != "" && p.Body != nil
	for _, f := range p.Header {
		switch {
		case hidden(f.Name) && f.Value != "" && !p.hides(f.Value):
			name := secretName(f.Name)
			p.note("the value of the header %s isn't printed: give it in the variable %s%s", f.Name, Environment, strings.ToUpper(name))
			p.args = append(p.args, "-H "+Quote(f.Name+": ")+variable(name))
		case form && strings.EqualFold(f.Name, "Content-Type"): // curl makes it
		case f.Value == "":
			p.add("-H", f.Name+";")
		default:
			p.add("-H", f.Name+": "+f.Value)
		}
	}
	switch {
	case p.Body == nil:
		return nil
	case form:
		return p.form(params["boundary"])
	}
	if !p.Header.Has("Content-Type") {
		p.add("-H", "Content-Type:") // else curl says that it is a form
	}
	return p.body()
}

// redirects gives the options that follow as the request does. curl sends headers
// and a body on to other origins too, so that without a word of the step it is
// left to whoever runs the command whether redirects are followed.
func (p *printer) redirects(method string) string {
	if p.MaxRedirects < 0 {
		return " --no-location"
	}
	var secret []string
	for _, f := range p.Header {
		if p.hides(f.Value) && !hidden(f.Name) {
			secret = append(secret, f.Name)
		}
	}
	switch {
	case p.MaxRedirects == 0 && (p.Body != nil || method != "GET" && method != "HEAD"):
		return ""
	case len(secret) > 0:
		p.note("no redirects are followed: with -L, curl would send %s on to wherever they lead", strings.Join(secret, ", "))
		return ""
	case p.MaxRedirects == 0:
		return " -L"
	}
	return " -L --max-redirs " + strconv.Itoa(p.MaxRedirects)
}

// body prints the body as data.
func (p *printer) body() error {
	b, err := io.ReadAll(io.LimitReader(p.Body, maxBody+1))
	if err != nil {
		return fmt.Errorf("read the body: %w", err)
	}
	if p.File != nil {
		if name := p.File(); name != "" {
			p.add("--data-binary", "@"+local(name))
			return nil
		}
	}
	if why := unprintable(b); why != "" {
		p.note("the body %s: put it into the file body", why)
		p.args = append(p.args, "--data-binary @body")
		return nil
	}
	p.add("--data-raw", string(b))
	return nil
}

// unprintable says why bytes can't be an argument, "" if they can.
func unprintable(b []byte) string {
	switch {
	case len(b) > maxBody:
		return fmt.Sprintf("has more than %d bytes", maxBody)
	case !utf8.Valid(b), slices.Contains(b, 0):
		return "is no text"
	}
	return ""
}

// form prints the parts of a form.
func (p *printer) form(boundary string) error {
	m := multipart.NewReader(p.Body, boundary)
	for n := 0; ; n++ {
		part, err := m.NextRawPart()
		if errors.Is(err, io.EOF) {
			if n == 0 {
				p.note("a form without parts can't be printed")
			}
			return nil
		}
		if err != nil {
			return fmt.Errorf("read the form: %w", err)
		}
		if n == maxParts {
			p.note("the form has more than %d parts; the rest is left out", maxParts)
			return nil
		}
		if err := p.part(part); err != nil {
			return err
		}
	}
}

func (p *printer) part(part *multipart.Part) error {
	name, filename, file := disposition(part.Header.Get("Content-Disposition"))
	contentType := part.Header.Get("Content-Type")
	if strings.Contains(name, "=") {
		p.note("curl can't send the name %q of a part: it has an =", name)
	}
	if file {
		value := name + "=@" + inQuotes(local(filename))
		if local(filename) != filename || p.hides(filename) {
			value += ";filename=" + inQuotes(filename)
		}
		if contentType != "" {
			value += ";type=" + contentType
		}
		p.add("-F", value)
		return nil
	}
	b, err := io.ReadAll(io.LimitReader(part, maxBody+1))
	if err != nil {
		return fmt.Errorf("read the form: %w", err)
	}
	if why := unprintable(b); why != "" {
		p.note("the part %q %s: put it into the file part", name, why)
		p.add("-F", name+"=<part")
		return nil
	}
	if contentType == "" {
		p.add("--form-string", name+"="+string(b))
	} else {
		p.add("-F", name+"="+inQuotes(string(b))+";type="+contentType)
	}
	return nil
}

// hides says whether a secret stands in s.
func (p *printer) hides(s string) bool {
	for token := range p.Secrets {
		if strings.Contains(s, token) {
			return true
		}
	}
	return false
}

// disposition reads what the connector http writes (RFC 7578, 4.2): names in
// UTF-8, of which browsers' three characters are percent-encoded.
func disposition(s string) (name, filename string, file bool) {
	name = parameter(s, `; name="`)
	if !strings.Contains(s, `; filename="`) {
		return name, "", false
	}
	return name, parameter(s, `; filename="`), true
}

func parameter(s, key string) string {
	_, v, _ := strings.Cut(s, key)
	v, _, _ = strings.Cut(v, `"`)
	return strings.NewReplacer("%22", `"`, "%0D", "\r", "%0A", "\n").Replace(v)
}

// inQuotes writes the value of a part as curl reads it (its manual, --form).
func inQuotes(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

// local is the name of a file in the current folder.
func local(name string) string {
	name = name[strings.LastIndexAny(name, `/\`)+1:]
	name = strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f || c == '"' {
			return '_'
		}
		return c
	}, name)
	if name == "" || name == "." || name == ".." || name == "-" {
		return "file"
	}
	return name
}

// hidden says whether the value of a header is always a credential.
func hidden(name string) bool {
	return strings.EqualFold(name, "Authorization") || strings.EqualFold(name, "Proxy-Authorization") || strings.EqualFold(name, "Cookie")
}

// variable is the word that a shell replaces by the value of a secret.
func variable(secret string) string { return `"$` + Environment + strings.ToUpper(secret) + `"` }

// quote writes a word for a POSIX shell (Shell Command Language, 2.2), in which
// secrets are variables.
func (p *printer) quote(s string) string {
	var b strings.Builder
	for s != "" {
		at, token := len(s), ""
		for t := range p.Secrets {
			if i := strings.Index(s, t); i >= 0 && i < at {
				at, token = i, t
			}
		}
		if at > 0 {
			b.WriteString(Quote(s[:at]))
		}
		if token != "" {
			b.WriteString(variable(p.Secrets[token]))
		}
		s = s[at+len(token):]
	}
	if b.Len() == 0 {
		return "''"
	}
	return b.String()
}

// Quote writes a text without NUL as one word for a POSIX shell.
func Quote(s string) string {
	plain := s != ""
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && strings.IndexByte("-_./:@%+,=", c) < 0 {
			plain = false
		}
	}
	if plain {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
