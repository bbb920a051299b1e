package connection

import (
	"context"
	"encoding/base64"
	"net/url"
	"strings"

	"github.com/tappet-dev/tappet/sdk"
)

// An auth adds the credentials of a connection to requests. It is safe for
// concurrent use.
type auth interface {
	// authorize adds them to r, which is a copy whose header may be appended to
	// only through with. The mark tells these credentials from later ones.
	authorize(ctx context.Context, r *sdk.Request) (mark string, err error)
	// hidden lists the texts that no record may show.
	hidden() []string
}

// A renewer is an auth that has an answer to a refusal.
type renewer interface {
	// refused says whether the response means that the credentials weren't good.
	// It may read the body, and then puts it back.
	refused(r *sdk.Response) bool
	// renewable says whether other credentials than those of the mark can be had.
	renewable(mark string, r *sdk.Response) bool
	// renew gets them; wait says that the caller waits for that.
	renew(ctx context.Context, mark string, r *sdk.Response, wait bool) error
}

// with gives h with a field that takes the place of those of the same name; h
// itself stays as it is.
func with(h sdk.Header, name, value string) sdk.Header {
	out := make(sdk.Header, 0, len(h)+1)
	for i := range h {
		if !strings.EqualFold(h[i].Name, name) {
			out = append(out, h[i])
		}
	}
	return append(out, sdk.Pair{Name: name, Value: value})
}

// nothing is the auth of the kind none.
type nothing struct{}

func (nothing) authorize(context.Context, *sdk.Request) (string, error) { return "", nil }
func (nothing) hidden() []string                                        { return nil }

// field is an auth that adds one header field.
type field struct {
	name, value string
	secrets     []string
}

func (f *field) authorize(_ context.Context, r *sdk.Request) (string, error) {
	r.Header = with(r.Header, f.name, f.value)
	return "", nil
}

func (f *field) hidden() []string { return f.secrets }

func openBasic(o *opening) auth {
	user, password := o.text("username"), o.text("password")
	o.checkUser(user)
	both := base64.StdEncoding.EncodeToString([]byte(user + ":" + password))
	return &field{"Authorization", "Basic " + both, []string{password, both}}
}

func (o *opening) checkUser(user string) {
	if strings.ContainsFunc(user, func(c rune) bool { return c == ':' || c < ' ' || c == 0x7f }) {
		o.bad("username", "has a colon or a control character, which can't be sent")
	}
}

func openBearer(o *opening) auth {
	token, scheme := o.text("token"), o.text("scheme")
	if !isVisible(token) {
		o.bad("token", "has blanks, line ends or other characters that no token has")
	}
	if !isToken(scheme) {
		o.bad("scheme", "is no scheme such as Bearer or Token")
	}
	return &field{"Authorization", scheme + " " + token, []string{token}}
}

func openKey(o *opening) auth {
	key, name, prefix := o.text("key"), o.text("name"), o.text("prefix")
	value := prefix + key
	switch o.text("in") {
	case "query":
		if name == "" {
			o.bad("name", "is missing")
		}
		escaped := url.QueryEscape(value)
		return &parameter{url.QueryEscape(name) + "=" + escaped, []string{key, url.QueryEscape(key)}}
	case "cookie":
		if !isToken(name) {
			o.bad("name", "is no name of a cookie")
		}
		if !isVisible(value) || strings.ContainsAny(value, `",;\`) {
			o.bad("key", "has characters that a cookie can't have")
		}
		return &cookie{name + "=" + value, []string{key}}
	}
	if !isToken(name) {
		o.bad("name", "is no name of a header")
	}
	if strings.ContainsFunc(value, func(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f }) {
		o.bad("key", "has line ends or other control characters, which a header can't have")
	}
	// Only what every redirect is rid of may be followed elsewhere.
	o.confined = !strings.EqualFold(name, "Authorization")
	return &field{name, value, []string{key}}
}

// parameter is an auth that adds a parameter to the query.
type parameter struct {
	pair    string
	secrets []string
}

func (p *parameter) authorize(_ context.Context, r *sdk.Request) (string, error) {
	target, fragment, _ := strings.Cut(r.URL, "#")
	switch {
	case !strings.Contains(target, "?"):
		target += "?"
	case !strings.HasSuffix(target, "?") && !strings.HasSuffix(target, "&"):
		target += "&"
	}
	r.URL = target + p.pair
	if fragment != "" {
		r.URL += "#" + fragment
	}
	return "", nil
}

func (p *parameter) hidden() []string { return p.secrets }

// cookie is an auth that adds a cookie to those that are there.
type cookie struct {
	pair    string
	secrets []string
}

func (c *cookie) authorize(_ context.Context, r *sdk.Request) (string, error) {
	value := c.pair
	if has := r.Header.Get("Cookie"); has != "" {
		value = has + "; " + value
	}
	r.Header = with(r.Header, "Cookie", value)
	return "", nil
}

func (c *cookie) hidden() []string { return c.secrets }

// isToken says whether s is a token of RFC 9110, 5.6.2.
func isToken(s string) bool {
	const marks = "!#$%&'*+-.^_`|~"
	for i := range len(s) {
		c := s[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte(marks, c) >= 0) {
			return false
		}
	}
	return s != ""
}

// isVisible says whether s is made of visible ASCII.
func isVisible(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return s != ""
}
