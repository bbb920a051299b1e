package curl

import (
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/tappet-dev/tappet/connectors/internal/rawjson"
)

// Environment is the prefix of the environment variables that hold secrets: the
// secret forms is in TAPPET_SECRET_FORMS.
const Environment = "TAPPET_SECRET_"

// credentials are the headers whose values are secrets.
var credentials = []string{
	"Authorization", "Proxy-Authorization", "Cookie", "X-Api-Key", "Api-Key", "ApiKey", "X-Auth-Token", "Private-Token",
	"X-Access-Token",
}

func isCredential(name string) bool {
	for _, c := range credentials {
		if strings.EqualFold(c, name) {
			return true
		}
	}
	return false
}

// headerValues writes the headers; nil when there are none. A step takes a
// secret only as the whole value of a header.
func (b *builder) headerValues() []byte {
	if len(b.headers) == 0 {
		return nil
	}
	out := []byte{'{'}
	for i, f := range b.headers {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(rawjson.AppendString(out, f.name), ':')
		variable := strings.Contains(f.value, mark)
		if !variable && !isCredential(f.name) {
			out = append(out, quoted(escaped(f.value))...)
			continue
		}
		name := secretName(f.name)
		if parts := strings.Split(f.value, mark); len(parts) == 3 && parts[0] == "" && parts[2] == "" {
			name = secretName(strings.TrimPrefix(parts[1], Environment))
		}
		b.warn("%s", b.advice(f, name))
		out = append(out, quoted(fmt.Sprintf("${{ secret(%q) }}", name))...)
	}
	return append(out, '}')
}

// advice says what to store as a secret. It doesn't repeat the credential.
func (b *builder) advice(f field, name string) string {
	env := Environment + strings.ToUpper(name)
	what := "the whole value of the header"
	if scheme, _, ok := strings.Cut(f.value, " "); ok && strings.EqualFold(f.name, "Authorization") && isToken(scheme) {
		what += fmt.Sprintf(", %s included,", scheme)
		if b.hasUser && f.value == "Basic "+b.user {
			what = `the word Basic, a space and the base64 of user:password`
		}
	}
	return fmt.Sprintf("the header %s has a credential, which isn't copied into the graph: give %s as the secret %s, in the "+
		"environment variable %s of the server", f.name, what, name, env)
}

// Basic is the value of the header Authorization for "user:password" (RFC 7617).
func Basic(user string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(user)) }

// secretName makes the name of a secret: a-z, 0-9 and _, beginning with a letter.
func secretName(name string) string {
	var out strings.Builder
	for _, c := range strings.ToLower(name) {
		switch {
		case 'a' <= c && c <= 'z', out.Len() > 0 && '0' <= c && c <= '9', out.Len() > 0 && c == '_':
			out.WriteRune(c)
		case out.Len() > 0:
			out.WriteByte('_')
		}
	}
	const most = 64
	s := out.String()
	s = strings.TrimRight(s[:min(len(s), most)], "_")
	if s == "" {
		return "secret"
	}
	return s
}
