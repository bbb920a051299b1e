package connection

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/tappet-dev/tappet/sdk"
)

// assertionLife is how long an assertion can be used.
const assertionLife = 5 * time.Minute

// keyed is what a token endpoint is asked with, beside the client's secret.
type keyed struct {
	config *tls.Config
	key    crypto.Signer // nil: no assertion is made
}

// assertionKey reads the private key of jwt_bearer.
func assertionKey(o *opening) crypto.Signer {
	pem := []byte(o.text("private_key"))
	if k, err := jwt.ParseRSAPrivateKeyFromPEM(pem); err == nil {
		return k
	}
	if k, err := jwt.ParseECPrivateKeyFromPEM(pem); err == nil {
		return k
	}
	if k, err := jwt.ParseEdPrivateKeyFromPEM(pem); err == nil {
		if k, ok := k.(ed25519.PrivateKey); ok {
			return k
		}
	}
	if len(pem) == 0 {
		o.bad("private_key", "is missing")
	} else {
		o.bad("private_key", "isn't an RSA, ECDSA or Ed25519 key in PEM, not encrypted") // the error might quote it
	}
	return nil
}

// assertion makes the signed statement of RFC 7523, 3.
func (a *oauth) assertion() (string, error) {
	var method jwt.SigningMethod
	switch k := a.tls.key.(type) {
	case *rsa.PrivateKey:
		method = jwt.SigningMethodRS256
	case *ecdsa.PrivateKey:
		switch k.Curve.Params().BitSize {
		case 384:
			method = jwt.SigningMethodES384
		case 521:
			method = jwt.SigningMethodES512
		default:
			method = jwt.SigningMethodES256
		}
	default:
		method = jwt.SigningMethodEdDSA
	}
	issuer, subject, audience := a.text("client_id"), a.text("subject"), a.text("audience")
	set(&issuer, subject)
	set(&subject, issuer)
	set(&audience, a.text("token_url"))
	now := a.m.o.Clock()
	claims := jwt.MapClaims{
		"iss": issuer, "sub": subject, "aud": audience, "jti": rand.Text(),
		"iat": now.Unix(), "exp": now.Add(assertionLife).Unix(),
	}
	if scope := a.text("scope"); scope != "" { // some providers look for it here
		claims["scope"] = scope
	}
	t := jwt.NewWithClaims(method, claims)
	if kid := a.text("key_id"); kid != "" {
		t.Header["kid"] = kid
	}
	signed, err := t.SignedString(a.tls.key)
	if err != nil {
		return "", sdk.Errorf(sdk.Invalid, "the assertion can't be signed: %w", err)
	}
	return signed, nil
}
