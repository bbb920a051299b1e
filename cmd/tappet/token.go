package main

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// access knows the admin token by its SHA-256.
type access struct{ sum [sha256.Size]byte }

// Authenticate compares in constant time.
func (a access) Authenticate(token string) bool {
	sum := sha256.Sum256([]byte(token))
	return subtle.ConstantTimeCompare(sum[:], a.sum[:]) == 1
}

const (
	// tokenFile holds the token's hash.
	tokenFile = "admin.token.sha256"
	// demoTokenFile holds the token itself, in the demo's folder alone.
	demoTokenFile = "admin.token"
	// minToken is the least length of a token from the environment.
	minToken = 16
)

// openAccess gives the admin token of a data folder: of TAPPET_ADMIN_TOKEN
// where it is set, else the one made at the first start. token is empty when
// it isn't known here, only its hash; fresh says that it was made just now.
func openAccess(dir string, keep bool) (a access, token string, fresh bool, err error) {
	if token = os.Getenv("TAPPET_ADMIN_TOKEN"); token != "" {
		if len(token) < minToken {
			return a, "", false, fmt.Errorf("TAPPET_ADMIN_TOKEN has %d characters, it needs at least %d", len(token), minToken)
		}
		return access{sha256.Sum256([]byte(token))}, token, false, nil
	}
	sumPath, plainPath := filepath.Join(dir, tokenFile), filepath.Join(dir, demoTokenFile)
	b, err := os.ReadFile(sumPath)
	switch {
	case err == nil:
		sum, err := hex.DecodeString(strings.TrimSpace(string(b)))
		if err != nil || len(sum) != sha256.Size {
			return a, "", false, fmt.Errorf("%s is damaged: delete it, and the next start makes a new admin token", sumPath)
		}
		copy(a.sum[:], sum)
		if keep {
			token = knownToken(plainPath, a)
		}
		return a, token, false, nil
	case !errors.Is(err, fs.ErrNotExist):
		return a, "", false, fmt.Errorf("read admin token: %w", err)
	}
	raw := make([]byte, 32)
	_, _ = rand.Read(raw) // never fails: it ends the program instead
	token = "tap_" + base64.RawURLEncoding.EncodeToString(raw)
	a.sum = sha256.Sum256([]byte(token))
	if keep {
		if err := os.WriteFile(plainPath, []byte(token+"\n"), 0o600); err != nil {
			return a, "", false, fmt.Errorf("write admin token: %w", err)
		}
	}
	if err := os.WriteFile(sumPath, []byte(hex.EncodeToString(a.sum[:])+"\n"), 0o600); err != nil {
		return a, "", false, fmt.Errorf("write admin token: %w", err)
	}
	return a, token, true, nil
}

// knownToken reads the kept token, "" when there is none that fits.
func knownToken(path string, a access) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	if token := strings.TrimSpace(string(b)); a.Authenticate(token) {
		return token
	}
	return ""
}
