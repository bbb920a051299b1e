package connection

import (
	"net/http"
	"strings"
	"testing"

	"github.com/icholy/digest"

	"github.com/tappet-dev/tappet/sdk"
)

// RFC 7636, appendix B.
func TestS14_ChallengeOfTheRFC(t *testing.T) {
	t.Parallel()
	if got := challenge("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"); got != "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM" {
		t.Error(got)
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
	a := &oauth{m: New(Options{}), config: config{text: map[string]string{"client_secret": "s3cret"}}}
	f.Fuzz(func(t *testing.T, b []byte) {
		got := parseAnswer(b)
		if got.Life < 0 || got.Life > maxLife {
			t.Errorf("life %s", got.Life)
		}
		if text := a.clean(got.Description, nil); len(text) > maxDescription+3 || strings.ContainsAny(text, "\r\n\x00") {
			t.Errorf("%q", text)
		}
		if k, err := a.read(&sdk.Response{Status: 200}, got, nil); err == nil && !isVisible(k.Access) {
			t.Errorf("token %q", k.Access)
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
