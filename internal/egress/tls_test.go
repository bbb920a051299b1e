package egress

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"math/big"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/tappet-dev/tappet/sdk"
)

// certificate makes one that signs itself.
func certificate(t testing.TB, name string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{name}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// A call's own TLS is that of its connections, and no other call has them: the
// service sees each caller's certificate, or none.
func TestACallHasItsOwnTLS(t *testing.T) {
	t.Parallel()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if certs := r.TLS.PeerCertificates; len(certs) > 0 {
			_, _ = io.WriteString(w, certs[0].DNSNames[0])
		}
	}))
	s.TLS = &tls.Config{ClientAuth: tls.RequestClientCert, MaxVersion: tls.VersionTLS13}
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // the refused handshake below
	s.StartTLS()
	t.Cleanup(s.Close)
	pool := s.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	c := New(Options{Allow: mustAllow(t, "127.0.0.0/8"), RootCAs: pool})
	t.Cleanup(c.Close)
	ada, bob := &tls.Config{Certificates: []tls.Certificate{certificate(t, "ada")}}, &tls.Config{Certificates: []tls.Certificate{certificate(t, "bob")}}
	get := func(call Call) (string, Exchange, error) {
		var x Exchange
		call.Record = func(e Exchange) { x = e }
		resp, err := c.Send(context.Background(), &sdk.Request{URL: s.URL}, call)
		if err != nil {
			return "", x, err
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		return string(b), x, err
	}
	for i, call := range []struct {
		config *tls.Config
		want   string
		reused bool
	}{{ada, "ada", false}, {nil, "", false}, {bob, "bob", false}, {ada, "ada", true}, {nil, "", true}} {
		got, x, err := get(Call{TLS: call.config})
		if err != nil || got != call.want || x.Reused != call.reused {
			t.Errorf("%d: %q, reused %t, %v; want %q, reused %t", i, got, x.Reused, err, call.want, call.reused)
		}
	}
	if got, _, err := get(Call{TLS: bob, Capture: func(Capture) {}}); err != nil || got != "bob" {
		t.Errorf("captured: %q, %v", got, err)
	}
	if _, _, err := get(Call{TLS: &tls.Config{RootCAs: x509.NewCertPool()}}); err == nil {
		t.Error("authorities of the call's own, of which there are none, were not those that count")
	}
}

// The transports are bounded, and one that made room is made anew.
func TestTransportsAreBounded(t *testing.T) {
	t.Parallel()
	c := New(Options{})
	for range maxTransports + 10 {
		if c.transportOf(Call{TLS: &tls.Config{}}) == nil {
			t.Fatal("no transport")
		}
	}
	if n := len(c.own.m); n != maxTransports {
		t.Errorf("%d transports are kept", n)
	}
}
