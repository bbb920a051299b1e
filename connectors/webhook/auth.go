package webhook

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/tappet-dev/tappet/connectors/internal/httpjson"
	"github.com/tappet-dev/tappet/sdk"
)

// auth is how a request says who sends it.
type auth struct {
	Kind string `json:"kind"`
	// Secrets are names; any of them matches, so that two may be in rotation.
	Secrets []string `json:"secrets"`
	// Username is of basic.
	Username string `json:"username"`
	// Header is the field of the key, of header.
	Header string `json:"header"`
	// The others are of jwt.
	Algorithm  string   `json:"algorithm"`
	PublicKeys []string `json:"public_keys"`
	Issuer     string   `json:"issuer"`
	Audience   string   `json:"audience"`
	Tolerance  string   `json:"tolerance"`

	leeway time.Duration
}

// leastRSA is the fewest bits of an RSA key (RFC 7518, 3.3).
const leastRSA = 2048

// readAuth gives nil for the kind none.
func readAuth(b []byte) (*auth, error) {
	a := &auth{Algorithm: "HS256"}
	if err := json.Unmarshal(b, a); err != nil {
		return nil, fmt.Errorf("auth: %w", err)
	}
	if err := a.check(); err != nil {
		return nil, fmt.Errorf("auth: %w", err)
	}
	if a.Kind == "none" {
		return nil, nil
	}
	return a, nil
}

func (a *auth) check() (err error) {
	public := a.Kind == "jwt" && a.Algorithm != "HS256"
	switch {
	case a.Kind == "none":
		return nil
	case a.Kind == "basic" && (a.Username == "" || strings.Contains(a.Username, ":")):
		return errors.New("username: a name without a colon is wanted")
	case a.Kind == "header" && a.Header == "":
		return errors.New("header: the name of the field that has the key is wanted")
	case public && len(a.Secrets) > 0:
		return fmt.Errorf("secrets: %s is checked with public_keys", a.Algorithm)
	case public && (len(a.PublicKeys) == 0 || len(a.PublicKeys) > maxSecrets):
		return fmt.Errorf("public_keys: %s wants 1 to %d keys in PEM", a.Algorithm, maxSecrets)
	case !public && len(a.PublicKeys) > 0:
		return errors.New("public_keys: they are for the algorithms RS256 and ES256 of kind jwt")
	}
	switch a.Kind {
	case "basic", "bearer", "header", "jwt":
	default:
		return fmt.Errorf("kind: %.40q is none of none, basic, bearer, header and jwt", a.Kind)
	}
	if a.leeway, err = readTolerance(a.Tolerance, time.Minute); err != nil || public {
		return err
	}
	return checkSecrets(a.Secrets)
}

// errCredentials doesn't say what is wrong: that would help to guess.
var errCredentials = errors.New("the request's credentials are missing or aren't known")

// allows refuses a request that doesn't say who sends it.
func (a *auth) allows(ctx context.Context, h sdk.Host, header sdk.Header) error {
	given, err := single(header, a.field())
	if err != nil {
		return unknown(errors.Join(errCredentials, err))
	}
	secrets, err := reveal(ctx, h, a.Secrets)
	if err != nil {
		return err
	}
	ok := false
	switch a.Kind {
	case "header":
		ok = anySame(given, secrets)
	case "bearer":
		token, is := scheme(given, "bearer")
		ok = anySame(token, secrets) && is
	case "basic":
		credentials, is := scheme(given, "basic")
		text, err := base64.StdEncoding.DecodeString(credentials)
		user, password, cut := strings.Cut(string(text), ":")
		ok = anySame(password, secrets)
		ok = same(user, a.Username) && ok && is && cut && err == nil
	case "jwt":
		token, is := scheme(given, "bearer")
		if !is {
			break
		}
		if err := a.token(token, secrets, h.Now); err != nil {
			return unknown(fmt.Errorf("the token isn't taken: %w", err))
		}
		ok = true
	}
	if !ok {
		return unknown(errCredentials)
	}
	return nil
}

func unknown(err error) error {
	return &sdk.Error{Kind: sdk.Unauthorized, Reason: reasonCredential, Err: err}
}

// field is the name of the header's field that the credentials are in.
func (a *auth) field() string {
	if a.Kind == "header" {
		return a.Header
	}
	return "Authorization"
}

// token checks a JWT (RFC 7519): its signature by the one algorithm that the
// config names, and its claims. One that never expires isn't taken.
func (a *auth) token(text string, secrets []string, now func() time.Time) error {
	keys, err := a.keys()
	if err != nil {
		return err
	}
	for _, s := range secrets {
		keys = append(keys, []byte(s))
	}
	options := []jwt.ParserOption{
		jwt.WithValidMethods([]string{a.Algorithm}), jwt.WithExpirationRequired(), jwt.WithLeeway(a.leeway), jwt.WithTimeFunc(now),
	}
	if a.Issuer != "" {
		options = append(options, jwt.WithIssuer(a.Issuer))
	}
	if a.Audience != "" {
		options = append(options, jwt.WithAudience(a.Audience))
	}
	_, err = jwt.NewParser(options...).Parse(text, func(*jwt.Token) (any, error) {
		return jwt.VerificationKeySet{Keys: keys}, nil
	})
	return err
}

// keys gives the public keys of the config.
func (a *auth) keys() ([]jwt.VerificationKey, error) {
	var out []jwt.VerificationKey
	for i, text := range a.PublicKeys {
		key, err := publicKey([]byte(text), a.Algorithm)
		if err != nil {
			return nil, fmt.Errorf("auth: public_keys[%d]: %w", i, err)
		}
		out = append(out, key)
	}
	return out, nil
}

func publicKey(text []byte, algorithm string) (jwt.VerificationKey, error) {
	block, _ := pem.Decode(text)
	if block == nil || block.Type != "PUBLIC KEY" {
		return nil, errors.New(`it isn't PEM that begins with "-----BEGIN PUBLIC KEY-----"`)
	}
	if _, err := x509.ParsePKIXPublicKey(block.Bytes); err != nil {
		return nil, fmt.Errorf("it is no public key: %w", err)
	}
	if algorithm == "ES256" {
		key, err := jwt.ParseECPublicKeyFromPEM(text)
		if err != nil || key.Curve.Params().BitSize != 256 {
			return nil, errors.New("ES256 wants a key of the curve P-256")
		}
		return key, nil
	}
	key, err := jwt.ParseRSAPublicKeyFromPEM(text)
	if err != nil || key.N.BitLen() < leastRSA {
		return nil, fmt.Errorf("RS256 wants an RSA key of at least %d bits", leastRSA)
	}
	return key, nil
}

// scheme takes the scheme off a field's value (RFC 9110, 11.4); wanted is in
// lower case.
func scheme(value, wanted string) (rest string, ok bool) {
	name, rest, _ := strings.Cut(value, " ")
	return strings.TrimLeft(rest, " "), httpjson.EqualFold(name, wanted)
}

// single gives the value of a field that must come once: of two, one reader
// takes the first and another the last.
func single(h sdk.Header, name string) (string, error) {
	lower := strings.ToLower(name)
	value, n := "", 0
	for i := range h {
		if httpjson.EqualFold(h[i].Name, lower) {
			value = h[i].Value
			n++
		}
	}
	switch n {
	case 0:
		return "", fmt.Errorf("the header %s is missing", name)
	case 1:
		return value, nil
	}
	return "", fmt.Errorf("the header %s comes %d times", name, n)
}

// anySame compares with all of the secrets, in a time that tells nothing of
// them.
func anySame(given string, secrets []string) bool {
	ok := false
	for _, s := range secrets {
		ok = same(given, s) || ok
	}
	return ok
}

// same compares digests, so that the time doesn't tell the lengths either.
func same(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}

// reveal gives the values of secrets. One that isn't there is the server's
// trouble: the sender may come again.
func reveal(ctx context.Context, h sdk.Host, names []string) ([]string, error) {
	out := make([]string, len(names))
	for i, name := range names {
		v, err := h.Secret(ctx, name)
		if err != nil {
			return nil, sdk.Errorf(sdk.Unavailable, "the trigger's secret can't be had: %w", err)
		}
		out[i] = v
	}
	return out, nil
}
