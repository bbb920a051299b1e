package connection

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/icholy/digest"

	"github.com/tappet-dev/tappet/sdk"
)

// RFC 7636, appendix B.
func TestS14_ChallengeOfTheRFC(t *testing.T) {
	t.Parallel()
	a := &oauth{config: config{text: map[string]string{"authorization_url": "https://op.example/?a=b"}}}
	u, err := url.Parse(a.location("https://t.example/oauth/callback", "s", "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"))
	if err != nil {
		t.Fatal(err)
	}
	if q := u.Query(); q.Get("code_challenge") != "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM" || q.Get("code_challenge_method") != "S256" || q.Get("a") != "b" {
		t.Error(u)
	}
}

// RFC 7616, 3.9.1.
func TestDigestOfTheRFC(t *testing.T) {
	t.Parallel()
	for algorithm, want := range map[string]string{
		"MD5":     "8ca523f5e9506fed4657c9700eebdbec",
		"SHA-256": "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1",
	} {
		d := &digestAuth{username: "Mufasa", password: "Circle of Life", cnonce: "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"}
		refused := &sdk.Response{Status: http.StatusUnauthorized, Header: sdk.Header{{Name: "WWW-Authenticate", Value: `Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm=` + algorithm +
			`, nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"`}}}
		if !d.refused(refused) || !d.renewable("", refused) {
			t.Fatal("the challenge isn't read")
		}
		if err := d.renew(t.Context(), "", refused, true); err != nil {
			t.Fatal(err)
		}
		r := &sdk.Request{URL: "http://www.example.org/dir/index.html"}
		if _, err := d.authorize(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		c, err := digest.ParseCredentials(r.Header.Get("Authorization"))
		if err != nil || c.Response != want || c.Nc != 1 || c.URI != "/dir/index.html" {
			t.Errorf("%s: %+v, %v", algorithm, c, err)
		}
	}
}

func FuzzTokenAnswer(f *testing.F) {
	f.Add([]byte(`{"access_token":"a","expires_in":3600,"token_type":"Bearer"}`))
	f.Add([]byte(`{"access_token":"a","expires_in":"1e400"}`))
	f.Add([]byte("access_token=a&expires_in=60&token_type=bearer"))
	f.Add([]byte(`{"error":"invalid_grant","error_description":"\u2028"}`))
	f.Add([]byte("\xef\xbb\xbf {"))
	var sent []byte
	m := New(Options{Send: func(context.Context, *tls.Config, *sdk.Request) (*sdk.Response, error) {
		return &sdk.Response{Status: 200, Body: io.NopCloser(bytes.NewReader(sent))}, nil
	}})
	a := &oauth{m: m, config: config{text: map[string]string{"client_secret": "s3cret", "token_url": "https://op.example/"}}}
	f.Fuzz(func(t *testing.T, b []byte) {
		sent = b
		got := parseAnswer(b)
		if got.Life < 0 || got.Life > int64(maxLife.Seconds()) {
			t.Errorf("a life of %d s", got.Life)
		}
		if text := a.clean(got.Description, nil); len(text) > maxDescription+3 || strings.ContainsAny(text, "\r\n\x00") {
			t.Errorf("%q", text)
		}
		k, err := a.askBy(t.Context(), url.Values{"grant_type": {"refresh_token"}}, styleBody)
		if err == nil && (!isVisible(k.Access) || k.Access != got.Access || k.ExpiresAt.IsZero() != (got.Life == 0)) {
			t.Errorf("tokens %+v of %+v", k, got)
		}
		if got.Access != "" && got.Error == "" && isVisible(got.Access) && got.Refresh == "" && got.Type == "" && err != nil {
			t.Errorf("%+v is refused: %v", got, err)
		}
	})
}

// The parser is a library's; what it gives must be answerable or refused.
func FuzzChallenge(f *testing.F) {
	f.Add(`Digest realm="a", nonce="b", qop="auth", algorithm=SHA-256`)
	f.Add(`Digest nonce="b\"`)
	f.Add("Digest \r\n")
	f.Fuzz(func(t *testing.T, s string) {
		d := &digestAuth{username: "u", password: "p"}
		r := &sdk.Response{Status: 401, Header: sdk.Header{{Name: "WWW-Authenticate", Value: s}}}
		if d.renewable("", r) {
			_ = d.renew(t.Context(), "", r, true)
			_, _ = d.authorize(t.Context(), &sdk.Request{URL: "http://a.example/"})
		}
	})
}
