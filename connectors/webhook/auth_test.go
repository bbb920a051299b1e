package webhook

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/tappet-dev/tappet/sdk"
)

func TestWhoMayCall(t *testing.T) {
	t.Parallel()
	basic := func(s string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(s)) }
	const (
		asBasic  = `{"auth":{"kind":"basic","username":"forms","secrets":["new","old"]}}`
		asBearer = `{"auth":{"kind":"bearer","secrets":["new","old"]}}`
		asHeader = `{"auth":{"kind":"header","header":"X-Api-Key","secrets":["new","old"]}}`
	)
	for _, tt := range []struct {
		name, config string
		header       []string
		ok           bool
	}{
		{"none", `{"auth":{"kind":"none"}}`, nil, true},
		{"basic", asBasic, []string{"Authorization", basic("forms:old secret")}, true},
		{"basic, the other password", asBasic, []string{"authorization", strings.Replace(basic("forms:new secret"), "Basic", "bASIC ", 1)}, true},
		{"basic, another user", asBasic, []string{"Authorization", basic("form:old secret")}, false},
		{"basic, another password", asBasic, []string{"Authorization", basic("forms:secret")}, false},
		{"basic, no colon", asBasic, []string{"Authorization", basic("forms")}, false},
		{"basic, no base64", asBasic, []string{"Authorization", "Basic %%%"}, false},
		{"basic, another scheme", asBasic, []string{"Authorization", "Bearer old secret"}, false},
		{"basic, nothing", asBasic, nil, false},
		{"basic, twice", asBasic, []string{"Authorization", basic("forms:old secret"), "Authorization", basic("forms:old secret")}, false},
		{"bearer", asBearer, []string{"Authorization", "Bearer old secret"}, true},
		{"bearer, another", asBearer, []string{"Authorization", "Bearer secret"}, false},
		{"bearer, without its scheme", asBearer, []string{"Authorization", "old secret"}, false},
		{"bearer, empty", asBearer, []string{"Authorization", "Bearer "}, false},
		{"header", asHeader, []string{"x-api-key", "new secret"}, true},
		{"header, another", asHeader, []string{"X-Api-Key", "new secret "}, false},
		{"header, twice", asHeader, []string{"X-Api-Key", "new secret", "x-api-key", "new secret"}, false},
		{"header, missing", asHeader, []string{"Authorization", "new secret"}, false},
	} {
		g := &gatehouse{secrets: map[string]string{"old": "old secret", "new": "new secret"}}
		got, err := g.fire(t, tt.config, post("{}", tt.header...))
		if tt.ok != (err == nil) || err != nil && (sdk.KindOf(err) != sdk.Unauthorized || sdk.ReasonOf(err) != "credential") {
			t.Errorf("%s: %v", tt.name, err)
		}
		if tt.ok && strings.Contains(string(got.Events[0].Data), "secret") {
			t.Errorf("%s: the event holds the credentials: %s", tt.name, got.Events[0].Data)
		}
		if tt.name == "none" {
			continue
		}
		if _, err := (&gatehouse{}).fire(t, tt.config, post("{}", tt.header...)); tt.ok && sdk.KindOf(err) != sdk.Unavailable {
			t.Errorf("%s, without the secret: %v, want unavailable", tt.name, err)
		}
	}
}

func newPEM(t testing.TB, key crypto.PublicKey) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

func mustSign(t testing.TB, m jwt.SigningMethod, key any, claims jwt.MapClaims) string {
	t.Helper()
	s, err := jwt.NewWithClaims(m, claims).SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestTokens(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_700_000_000, 0)
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rs, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	config := func(a map[string]any) string {
		a["kind"] = "jwt"
		b, err := json.Marshal(map[string]any{"auth": a})
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	shared := config(map[string]any{"secrets": []string{"new", "old"}, "issuer": "us", "audience": "tappet"})
	byEC := config(map[string]any{"algorithm": "ES256", "public_keys": []string{newPEM(t, &ec.PublicKey)}})
	byRSA := config(map[string]any{"algorithm": "RS256", "public_keys": []string{newPEM(t, &rs.PublicKey)}})
	claims := func(change jwt.MapClaims) jwt.MapClaims {
		c := jwt.MapClaims{"iss": "us", "aud": "tappet", "exp": now.Add(time.Minute).Unix()}
		for k, v := range change {
			c[k] = v
		}
		return c
	}
	old := []byte("old secret")
	for _, tt := range []struct {
		name, config, token string
		ok                  bool
	}{
		{"shared", shared, mustSign(t, jwt.SigningMethodHS256, old, claims(nil)), true},
		{"another secret", shared, mustSign(t, jwt.SigningMethodHS256, []byte("bad secret"), claims(nil)), false},
		{"another issuer", shared, mustSign(t, jwt.SigningMethodHS256, old, claims(jwt.MapClaims{"iss": "them"})), false},
		{"another audience", shared, mustSign(t, jwt.SigningMethodHS256, old, claims(jwt.MapClaims{"aud": "them"})), false},
		{"a clock that is off", shared, mustSign(t, jwt.SigningMethodHS256, old, claims(jwt.MapClaims{"exp": now.Add(-59 * time.Second).Unix()})), true},
		{"expired", shared, mustSign(t, jwt.SigningMethodHS256, old, claims(jwt.MapClaims{"exp": now.Add(-61 * time.Second).Unix()})), false},
		{"not yet", shared, mustSign(t, jwt.SigningMethodHS256, old, claims(jwt.MapClaims{"nbf": now.Add(61 * time.Second).Unix()})), false},
		{"never expires", shared, mustSign(t, jwt.SigningMethodHS256, old, jwt.MapClaims{"iss": "us", "aud": "tappet"}), false},
		{"unsigned", shared, mustSign(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, claims(nil)), false},
		{"another hash", shared, mustSign(t, jwt.SigningMethodHS512, old, claims(nil)), false},
		{"no token", shared, "a.b.c", false},
		{"ES256", byEC, mustSign(t, jwt.SigningMethodES256, ec, claims(nil)), true},
		{"RS256", byRSA, mustSign(t, jwt.SigningMethodRS256, rs, claims(nil)), true},
		// The public key, which anyone may have, as the secret of an HMAC.
		{"the key as a secret", byRSA, mustSign(t, jwt.SigningMethodHS256, []byte(newPEM(t, &rs.PublicKey)), claims(nil)), false},
		{"another algorithm", byRSA, mustSign(t, jwt.SigningMethodPS256, rs, claims(nil)), false},
	} {
		g := &gatehouse{secrets: map[string]string{"old": "old secret", "new": "new secret"}, now: now}
		_, err := g.fire(t, tt.config, post("{}", "Authorization", "Bearer "+tt.token))
		if tt.ok != (err == nil) || err != nil && sdk.KindOf(err) != sdk.Unauthorized {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

func TestNetworks(t *testing.T) {
	t.Parallel()
	const config = `{"ip_allow":["192.0.2.0/24","198.51.100.7","2001:db8::/32"]}`
	for remote, ok := range map[string]bool{
		"192.0.2.9:1": true, "[::ffff:192.0.2.9]:1": true, "198.51.100.7:1": true, "[2001:db8::1%eth0]:1": true,
		"198.51.100.8:1": false, "[2001:db9::1]:1": false, "": false, "192.0.2.9": false,
	} {
		r := post("{}", "X-Forwarded-For", "192.0.2.9", "Forwarded", "for=192.0.2.9")
		r.Remote = remote
		_, err := (&gatehouse{}).fire(t, config, r)
		if ok != (err == nil) || err != nil && (sdk.KindOf(err) != sdk.Denied || sdk.ReasonOf(err) != "network") {
			t.Errorf("from %q: %v", remote, err)
		}
	}
}
