package connection_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"flag"
	"io"
	"log"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/mccutchen/go-httpbin/v2/httpbin"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/tappet-dev/tappet/connectors/connection"
	"github.com/tappet-dev/tappet/sdk"
)

var update = flag.Bool("update", false, "rewrite golden files")

// The kinds and their schemas are on the wire.
func TestKindsGolden(t *testing.T) {
	t.Parallel()
	type shown struct {
		Name, Title, Description string
		NeedsHosts               bool
		Config                   json.RawMessage
	}
	var kinds []shown
	for _, k := range connection.Kinds() {
		kinds = append(kinds, shown{k.Name, k.Title, k.Description, k.NeedsHosts, k.Config})
		s, err := jsonschema.UnmarshalJSON(strings.NewReader(string(k.Config)))
		if err != nil {
			t.Fatal(err)
		}
		c := jsonschema.NewCompiler()
		if err := c.AddResource("kind.json", s); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Compile("kind.json"); err != nil {
			t.Errorf("%s: %v", k.Name, err)
		}
		for _, f := range k.Fields {
			if f.Title == "" || f.Description == "" {
				t.Errorf("%s.%s isn't described", k.Name, f.Name)
			}
		}
	}
	got, err := json.MarshalIndent(kinds, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join("testdata", "kinds.json")
	if *update {
		if err := os.WriteFile(file, append(got, '\n'), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)+"\n"); diff != "" {
		t.Error(diff)
	}
}

func TestS11_BasicAgainstHTTPBin(t *testing.T) {
	t.Parallel()
	againstHTTPBin(t, []credentials{
		{"basic", "basic", `{"username":"ada","password":"pass word"}`, `{"username":"ada","password":"other"}`, "/basic-auth/ada/pass%20word"},
		{"basic in UTF-8", "basic", `{"username":"ädä","password":"pässwörd€"}`, `{"username":"ädä"}`, "/basic-auth/%C3%A4d%C3%A4/p%C3%A4ssw%C3%B6rd%E2%82%AC"},
	})
}

func TestKindsAgainstHTTPBin(t *testing.T) {
	t.Parallel()
	againstHTTPBin(t, []credentials{
		{"bearer", "bearer", `{"token":"abc.def"}`, "", "/bearer"},
		{"digest MD5", "digest", `{"username":"ada","password":"secret"}`, `{"username":"ada","password":"other"}`, "/digest-auth/auth/ada/secret/MD5"},
		{"digest SHA-256", "digest", `{"username":"ada","password":"secret"}`, `{"username":"eve","password":"secret"}`, "/digest-auth/auth/ada/secret/SHA-256"},
	})
}

// credentials are good ones and bad ones of a kind; without bad ones it is tried
// with none.
type credentials struct{ name, kind, good, bad, path string }

// againstHTTPBin wants a server that others wrote to take the good ones, and not
// the bad ones.
func againstHTTPBin(t *testing.T, list []credentials) {
	t.Helper()
	s := httptest.NewServer(httpbin.New())
	t.Cleanup(s.Close)
	host := s.Listener.Addr().String()
	for _, tt := range list {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			h.create(t, tt.kind, tt.good, host)
			for range 3 { // digest: the challenge is used again
				if status, got, err := h.get(t.Context(), s.URL+tt.path); err != nil || status != 200 {
					t.Errorf("%d %s, %v", status, got, err)
				}
			}
			h = newHouse(t)
			if tt.bad == "" {
				h.create(t, "none", "")
			} else {
				h.create(t, tt.kind, tt.bad, host)
			}
			if status, _, err := h.get(t.Context(), s.URL+tt.path); err != nil || status != 401 {
				t.Errorf("wrong credentials: %d, %v", status, err)
			}
		})
	}
}

func TestS10_NoneAddsNothing(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.create(t, "none", "{}")
	r := &sdk.Request{URL: "http://anywhere.example/", Header: sdk.Header{{Name: "Accept", Value: "*/*"}}}
	if diff := cmp.Diff(sdk.Header{{Name: "Accept", Value: "*/*"}}, h.sent(t, r).Header); diff != "" {
		t.Error(diff)
	}
}

func TestKeyGoesWhereItIsWanted(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		config, url, wantURL string
		header, want         sdk.Header
	}{
		{`{"key":"k 1"}`, "https://a.example/x", "https://a.example/x", nil, sdk.Header{{Name: "X-API-Key", Value: "k 1"}}},
		{
			`{"key":"k","name":"Authorization","prefix":"Token "}`, "https://a.example/", "https://a.example/",
			sdk.Header{{Name: "authorization", Value: "old"}},
			sdk.Header{{Name: "Authorization", Value: "Token k"}},
		},
		{`{"key":"k&1","in":"query","name":"api key"}`, "https://a.example/x", "https://a.example/x?api+key=k%261", nil, nil},
		{`{"key":"k","in":"query","name":"key"}`, "https://a.example/x?a=%20|#f?", "https://a.example/x?a=%20|&key=k#f?", nil, nil},
		{
			`{"key":"k","in":"cookie","name":"sid"}`, "https://a.example/", "https://a.example/",
			sdk.Header{{Name: "Cookie", Value: "a=b"}},
			sdk.Header{{Name: "Cookie", Value: "a=b; sid=k"}},
		},
	} {
		h := newHouse(t)
		h.create(t, "api_key", tt.config, "a.example")
		before := append(sdk.Header{}, tt.header...)
		got := h.sent(t, &sdk.Request{URL: tt.url, Header: tt.header})
		if got.URL != tt.wantURL || !cmp.Equal(got.Header, tt.want) {
			t.Errorf("%s: %s %v", tt.config, got.URL, got.Header)
		}
		if len(before) > 0 && !cmp.Equal(before, tt.header) {
			t.Errorf("%s: the caller's header was changed", tt.config)
		}
	}
}

func TestHMACStandardWebhooks(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.now = time.Unix(1614265330, 0)
	h.create(t, "hmac", `{"secret":"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}`, "a.example")
	r := body("https://a.example/", `{"test": 2432232314}`)
	r.Header.Add("Idempotency-Key", "msg_p5jXN8AQM9LWM0D4loKWxJek")
	got := h.sent(t, r)
	want := sdk.Header{
		{Name: "Idempotency-Key", Value: "msg_p5jXN8AQM9LWM0D4loKWxJek"},
		{Name: "webhook-timestamp", Value: "1614265330"},
		{Name: "webhook-id", Value: "msg_p5jXN8AQM9LWM0D4loKWxJek"},
		{Name: "webhook-signature", Value: "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="}, // published
	}
	if diff := cmp.Diff(want, got.Header); diff != "" {
		t.Error(diff)
	}
	if sent, _ := io.ReadAll(got.Body); string(sent) != `{"test": 2432232314}` {
		t.Errorf("the body is sent as %q", sent)
	}
	r.Reopen = nil
	if _, err := h.Do(t.Context(), "c", r, h.send); sdk.KindOf(err) != sdk.Invalid {
		t.Errorf("a body that can be read once: %v", err)
	}
}

func TestHMACGeneric(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.now = time.Unix(1531420618, 0)
	// The published example of GitHub, and one of Slack's form.
	h.create(t, "hmac", `{"profile":"generic","secret":"It's a Secret to Everybody","header":"X-Hub-Signature-256","prefix":"sha256="}`, "a.example")
	if got := h.sent(t, body("https://a.example/", "Hello, World!")).Header.Get("x-hub-signature-256"); got != "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17" {
		t.Error(got)
	}
	h = newHouse(t)
	h.now = time.Unix(1531420618, 0)
	h.create(t, "hmac", `{"profile":"generic","secret":"8f742231b10e8888abcd99yyyzzz85a5","header":"X-Slack-Signature","prefix":"v0=",`+
		`"content":"v0:{timestamp}:{body}","timestamp_header":"X-Slack-Request-Timestamp"}`, "a.example")
	text := "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
	if got := h.sent(t, body("https://a.example/", text)).Header.Get("x-slack-signature"); got != "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503" {
		t.Error(got)
	}
}

// Cases of Amazon's published test suite.
func TestSigV4Suite(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.now = time.Date(2015, 8, 30, 12, 36, 0, 0, time.UTC)
	h.create(t, "aws_sigv4", `{"access_key_id":"AKIDEXAMPLE","secret_access_key":"wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY","region":"us-east-1","service":"service"}`, "example.amazonaws.com")
	form := body("https://example.amazonaws.com/", "Param1=value1")
	form.Header.Add("Content-Type", "application/x-www-form-urlencoded")
	for _, tt := range []struct {
		name, signed, want string
		r                  *sdk.Request
	}{
		{"get-vanilla", "host;x-amz-date", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31", &sdk.Request{URL: "https://example.amazonaws.com/"}},
		{"post-vanilla", "host;x-amz-date", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b", &sdk.Request{Method: "POST", URL: "https://example.amazonaws.com/"}},
		{"get-vanilla-query-order-key-case", "host;x-amz-date", "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500", &sdk.Request{URL: "https://example.amazonaws.com/?Param2=value2&Param1=value1"}},
		{"post-x-www-form-urlencoded", "content-type;host;x-amz-date", "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a", form},
	} {
		want := "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders=" + tt.signed + ", Signature=" + tt.want
		if got := h.sent(t, tt.r).Header.Get("Authorization"); got != want {
			t.Errorf("%s:\n%s, want\n%s", tt.name, got, want)
		}
	}
}

// A client certificate and an authority of the connection's own: the server is
// Go's, which asks for both.
func TestMutualTLSAndAuthorities(t *testing.T) {
	t.Parallel()
	certificate, key := selfSigned(t)
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM([]byte(certificate))
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.TLS.PeerCertificates[0].Subject.CommonName)
	}))
	s.TLS = &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool}
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	defer s.Close()
	ca := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}))
	ask := func(kind, config string) (string, error) {
		h := newHouse(t)
		h.create(t, kind, config, s.Listener.Addr().String())
		config2, err := h.TLS(t.Context(), "c")
		if err != nil {
			t.Fatal(err)
		}
		if again, _ := h.TLS(t.Context(), "c"); again != config2 {
			t.Error("another pointer without an edit")
		}
		resp, err := h.Do(t.Context(), "c", &sdk.Request{URL: s.URL}, func(ctx context.Context, r *sdk.Request) (*sdk.Response, error) {
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.URL, nil)
			if err != nil {
				return nil, err
			}
			tr := &http.Transport{TLSClientConfig: config2}
			defer tr.CloseIdleConnections()
			resp, err := tr.RoundTrip(req)
			if err != nil {
				return nil, err
			}
			return &sdk.Response{Status: resp.StatusCode, Body: resp.Body}, nil
		})
		if err != nil {
			return "", err
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		return string(b), err
	}
	pair := `{"certificate":` + quoted(certificate) + `,"private_key":` + quoted(key)
	if got, err := ask("mutual_tls", pair+`,"ca":`+quoted(ca)+`}`); err != nil || got != "tappet" {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := ask("mutual_tls", pair+`}`); err == nil {
		t.Error("a server of an unknown authority is trusted")
	}
	if _, err := ask("none", `{"ca":`+quoted(ca)+`}`); err == nil {
		t.Error("the server takes a client without a certificate")
	}
}

func selfSigned(t testing.TB) (certificate, key string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "tappet"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	raw, err := x509.CreateCertificate(rand.Reader, c, c, &k.PublicKey, k)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}))
}
