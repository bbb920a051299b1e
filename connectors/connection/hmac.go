package connection

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"hash"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/tappet-dev/tappet/sdk"
)

func hmacFields() []Field {
	return []Field{
		{Name: "profile", Title: "Profile", Description: "standard_webhooks: the headers webhook-id, webhook-timestamp and webhook-signature, as the fields below can't change. generic: as they say.", Enum: []string{"standard_webhooks", "generic"}, Default: "standard_webhooks"},
		{Name: "secret", Title: "Secret", Description: "standard_webhooks: whsec_ and 24 to 64 bytes in base64. generic: a text, whose bytes are the key.", Secret: true, Required: true},
		{Name: "algorithm", Title: "Hash", Description: "Of the HMAC.", Enum: []string{"sha256", "sha512", "sha1"}, Default: "sha256"},
		{Name: "encoding", Title: "Encoding", Description: "How the signature is written.", Enum: []string{"hex", "base64"}, Default: "hex"},
		{Name: "header", Title: "Header", Description: "The header of the signature.", Default: "X-Signature"},
		{Name: "prefix", Title: "Prefix", Description: "Put before the signature, such as sha256=."},
		{Name: "content", Title: "Signed content", Description: "What is signed: a text in which {body}, {timestamp} (seconds), {id}, {method} and {path} (with the query) are replaced.", Default: "{body}"},
		{Name: "timestamp_header", Title: "Header of the time", Description: "Where {timestamp} is sent; required where that is signed."},
		{Name: "id_header", Title: "Header of the id", Description: "Where {id} is sent; required where that is signed. The id is the request's idempotency key, else random."},
	}
}

// signature is the kind hmac.
type signature struct {
	key    []byte
	secret string
	hash   func() hash.Hash
	encode func([]byte) string
	header string
	prefix string
	// content is what is signed: texts and placeholders in turn.
	content         []string
	stamp, idHeader string
	now             func() time.Time
}

// placeholders are what content may hold.
var placeholders = [...]string{"{body}", "{timestamp}", "{id}", "{method}", "{path}"}

func openHMAC(o *opening) auth {
	s := &signature{secret: o.text("secret"), now: o.m.o.Clock, hash: sha256.New, encode: hex.EncodeToString}
	o.confined = true
	if o.text("profile") == "standard_webhooks" {
		key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(s.secret, "whsec_"))
		if err != nil || len(key) < 24 || len(key) > 64 {
			o.bad("secret", "isn't whsec_ and 24 to 64 bytes in base64")
		}
		s.key, s.encode, s.header, s.prefix = key, base64.StdEncoding.EncodeToString, "webhook-signature", "v1,"
		s.content = []string{"{id}", ".", "{timestamp}", ".", "{body}"}
		s.stamp, s.idHeader = "webhook-timestamp", "webhook-id"
		return s
	}
	s.key, s.header, s.prefix, s.stamp, s.idHeader = []byte(s.secret), o.text("header"), o.text("prefix"), o.text("timestamp_header"), o.text("id_header")
	switch o.text("algorithm") {
	case "sha512":
		s.hash = sha512.New
	case "sha1":
		s.hash = sha1.New
	}
	if o.text("encoding") == "base64" {
		s.encode = base64.StdEncoding.EncodeToString
	}
	if !isToken(s.header) {
		o.bad("header", "is no name of a header")
	}
	if strings.ContainsFunc(s.prefix, func(c rune) bool { return c < ' ' || c == 0x7f }) {
		o.bad("prefix", "has control characters")
	}
	s.content = placeholdersOf(o.text("content"))
	has := func(p string) bool { return strings.Contains(o.text("content"), p) }
	if !has("{body}") {
		o.bad("content", "doesn't hold {body}, so anybody could change the body")
	}
	for field, p := range map[string][2]string{"timestamp_header": {"{timestamp}", s.stamp}, "id_header": {"{id}", s.idHeader}} {
		switch {
		case p[1] == "" && has(p[0]):
			o.bad(field, "is missing: the receiver needs %s to check the signature", p[0])
		case p[1] != "" && !isToken(p[1]):
			o.bad(field, "is no name of a header")
		}
	}
	return s
}

// placeholdersOf cuts a text at its placeholders.
func placeholdersOf(s string) []string {
	var parts []string
	for from := 0; from < len(s); {
		at, found := len(s), ""
		for _, p := range placeholders {
			if i := strings.Index(s[from:], p); i >= 0 && from+i < at {
				at, found = from+i, p
			}
		}
		if at > from {
			parts = append(parts, s[from:at])
		}
		if found != "" {
			parts = append(parts, found)
		}
		from = at + len(found)
	}
	return parts
}

func (s *signature) hidden() []string { return []string{s.secret} }

func (s *signature) authorize(_ context.Context, r *sdk.Request) (string, error) {
	now := strconv.FormatInt(s.now().Unix(), 10)
	id := ""
	if s.idHeader != "" {
		id = idOf(r)
	}
	mac := hmac.New(s.hash, s.key)
	for _, part := range s.content {
		if err := s.add(mac, part, r, now, id); err != nil {
			return "", err
		}
	}
	if s.stamp != "" {
		r.Header = with(r.Header, s.stamp, now)
	}
	if s.idHeader != "" {
		r.Header = with(r.Header, s.idHeader, id)
	}
	r.Header = with(r.Header, s.header, s.prefix+s.encode(mac.Sum(nil)))
	return "", nil
}

// idOf is the same for each attempt where the request has a key of its own.
func idOf(r *sdk.Request) string {
	if key := r.Header.Get("Idempotency-Key"); isVisible(key) {
		return key
	}
	return "msg_" + rand.Text()
}

func (s *signature) add(mac io.Writer, part string, r *sdk.Request, now, id string) error {
	switch part {
	case "{body}":
		if r.Body == nil {
			return nil
		}
		body, err := again(r)
		if err != nil {
			return err
		}
		defer body.Close()
		if _, err := io.Copy(mac, body); err != nil {
			return sdk.Errorf(sdk.Failed, "the body can't be read to be signed: %w", err)
		}
		return nil
	case "{timestamp}":
		part = now
	case "{id}":
		part = id
	case "{method}":
		if part = r.Method; part == "" {
			part = http.MethodGet
		}
	case "{path}":
		u, err := url.Parse(r.URL)
		if err != nil {
			return sdk.Errorf(sdk.Invalid, "the URL can't be read")
		}
		part = u.RequestURI()
	}
	_, _ = io.WriteString(mac, part) // a hash takes everything
	return nil
}
