package connection

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/tappet-dev/tappet/sdk"
)

// sigV4 is the kind aws_sigv4.
type sigV4 struct {
	signer          *v4.Signer
	keys            aws.Credentials
	region, service string
	now             func() time.Time
}

func openSigV4(o *opening) auth {
	for _, f := range []string{"access_key_id", "region", "service"} {
		if v := o.text(f); v != "" && (!isVisible(v) || strings.ContainsAny(v, "/,= ")) {
			o.bad(f, "has characters that it can't have")
		}
	}
	if t := o.text("session_token"); t != "" && !isVisible(t) {
		o.bad("session_token", "has blanks or line ends")
	}
	o.confined = true
	s := &sigV4{
		keys: aws.Credentials{
			AccessKeyID: o.text("access_key_id"), SecretAccessKey: o.text("secret_access_key"), SessionToken: o.text("session_token"),
		},
		region: o.text("region"), service: o.text("service"), now: o.m.o.Clock,
	}
	s.signer = v4.NewSigner(func(x *v4.SignerOptions) { x.DisableURIPathEscaping = s.service == "s3" })
	return s
}

func (s *sigV4) hidden() []string { return []string{s.keys.SecretAccessKey, s.keys.SessionToken} }

func (s *sigV4) authorize(ctx context.Context, r *sdk.Request) (string, error) {
	u, err := url.Parse(r.URL)
	if err != nil {
		return "", sdk.Errorf(sdk.Invalid, "the URL can't be read")
	}
	if _, err := url.ParseQuery(u.RawQuery); err != nil {
		return "", sdk.Errorf(sdk.Invalid, "the URL's query can't be signed: %w", err)
	}
	u.Fragment, u.RawFragment = "", ""
	hash := sha256.New()
	if r.Body != nil {
		body, err := again(r)
		if err != nil {
			return "", err
		}
		_, err = io.Copy(hash, body)
		_ = body.Close()
		if err != nil {
			return "", sdk.Errorf(sdk.Failed, "the body can't be read for its hash: %w", err)
		}
	}
	sum := hex.EncodeToString(hash.Sum(nil))
	// Signed is what no one on the way rewrites: type and x-amz-*.
	signed := &http.Request{Method: r.Method, URL: u, Host: u.Host, Header: http.Header{}}
	if signed.Method == "" {
		signed.Method = http.MethodGet
	}
	if h := r.Header.Get("Host"); h != "" {
		signed.Host = h
	}
	for _, f := range r.Header {
		name := http.CanonicalHeaderKey(f.Name)
		if name == "Content-Type" || strings.HasPrefix(name, "X-Amz-") {
			signed.Header.Add(name, f.Value)
		}
	}
	added := []string{"X-Amz-Date", "Authorization"}
	if s.service == "s3" {
		signed.Header.Set("X-Amz-Content-Sha256", sum)
		added = append(added, "X-Amz-Content-Sha256")
	}
	if s.keys.SessionToken != "" {
		added = append(added, "X-Amz-Security-Token")
	}
	if err := s.signer.SignHTTP(ctx, s.keys, signed, sum, s.service, s.region, s.now().UTC()); err != nil {
		return "", sdk.Errorf(sdk.Invalid, "the request can't be signed: %w", err)
	}
	for _, name := range added {
		r.Header = with(r.Header, name, signed.Header.Get(name))
	}
	return "", nil
}
