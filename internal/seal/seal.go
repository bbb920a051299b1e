// Package seal seals what is kept at rest: AES-256-GCM under a ring of keys, of
// which the first seals and all of them open.
//
// It keeps nothing and knows no database; whoever stores a sealed box says with
// additional data where the box belongs, so that one copied to another place
// doesn't open there. Its one rule: what doesn't open says which key it wants,
// and never what was in it.
package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// A sealed box is: version, id of the key, then nonce and text as
// cipher.NewGCMWithRandomNonce lays them out. What stands before the nonce is
// authenticated too.
const (
	version = 1
	idBytes = 8
	head    = 1 + idBytes
)

// KeyBytes is the length of a key.
const KeyBytes = 32

// maxKeys bounds a ring: each Open looks through it.
const maxKeys = 64

// ErrOpen is in every error of Open and Reseal.
var ErrOpen = errors.New("the sealed box doesn't open")

// A Ring is a list of keys. It doesn't change and is safe for concurrent use.
type Ring struct{ keys []key }

type key struct {
	id  [idBytes]byte
	box cipher.AEAD
}

// Parse reads keys of 32 bytes, each in base64, separated by commas or white
// space; "#" begins a comment up to the end of its line. The first one seals.
func Parse(keys string) (*Ring, error) {
	r := &Ring{}
	for line := range strings.Lines(keys) {
		line, _, _ = strings.Cut(line, "#")
		for text := range strings.FieldsFuncSeq(line, func(c rune) bool { return c == ',' || c == ' ' || c == '\t' || c == '\r' || c == '\n' }) {
			k, err := parseKey(text)
			if err != nil {
				return nil, fmt.Errorf("key %d: %w", len(r.keys)+1, err)
			}
			for i := range r.keys {
				if r.keys[i].id == k.id {
					return nil, fmt.Errorf("key %d is key %d again", len(r.keys)+1, i+1)
				}
			}
			if len(r.keys) == maxKeys {
				return nil, fmt.Errorf("more than %d keys; drop those that nothing is sealed with any more", maxKeys)
			}
			r.keys = append(r.keys, k)
		}
	}
	if len(r.keys) == 0 {
		return nil, errors.New("there is no key; 32 random bytes in base64 are one")
	}
	return r, nil
}

func parseKey(text string) (key, error) {
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		raw, err = base64.RawURLEncoding.DecodeString(strings.TrimRight(text, "="))
	}
	switch {
	case err != nil:
		return key{}, errors.New("it isn't base64") // the error would quote it
	case len(raw) != KeyBytes:
		return key{}, fmt.Errorf("it has %d bytes; %d are wanted", len(raw), KeyBytes)
	}
	block, err := aes.NewCipher(raw)
	if err != nil {
		return key{}, err
	}
	box, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return key{}, err
	}
	k := key{box: box}
	sum := sha256.Sum256(append([]byte("tappet key id\x00"), raw...))
	copy(k.id[:], sum[:])
	return k, nil
}

// KeyID names the key that seals: 16 hexadecimal digits, which tell nothing of it.
func (r *Ring) KeyID() string { return hex.EncodeToString(r.keys[0].id[:]) }

// Seal encrypts plain for the place that aad names, such as "secrets/forms".
func (r *Ring) Seal(plain, aad []byte) []byte {
	k := &r.keys[0]
	out := make([]byte, head, head+len(plain)+k.box.Overhead())
	out[0] = version
	copy(out[1:], k.id[:])
	return k.box.Seal(out, nil, plain, bound(out[:head], aad))
}

// Open gives what was sealed for the place that aad names. Its errors are
// ErrOpen.
func (r *Ring) Open(sealed, aad []byte) ([]byte, error) {
	k, err := r.keyOf(sealed)
	if err != nil {
		return nil, err
	}
	plain, err := k.box.Open(nil, nil, sealed[head:], bound(sealed[:head], aad))
	if err != nil {
		return nil, fmt.Errorf("%w: it was changed, or it belongs elsewhere", ErrOpen)
	}
	return plain, nil
}

// Reseal seals with the first key what another one has sealed; changed is false
// where it was the first already.
func (r *Ring) Reseal(sealed, aad []byte) (out []byte, changed bool, err error) {
	k, err := r.keyOf(sealed)
	if err != nil {
		return nil, false, err
	}
	if k == &r.keys[0] {
		return sealed, false, nil
	}
	plain, err := r.Open(sealed, aad)
	if err != nil {
		return nil, false, err
	}
	return r.Seal(plain, aad), true, nil
}

func (r *Ring) keyOf(sealed []byte) (*key, error) {
	switch {
	case len(sealed) < head:
		return nil, fmt.Errorf("%w: it is cut off", ErrOpen)
	case sealed[0] != version:
		return nil, fmt.Errorf("%w: it has version %d, this program knows version %d", ErrOpen, sealed[0], version)
	}
	for i := range r.keys {
		if string(r.keys[i].id[:]) == string(sealed[1:head]) {
			return &r.keys[i], nil
		}
	}
	return nil, fmt.Errorf("%w: it was sealed with the key %x, which isn't here; add that key behind the first one", ErrOpen, sealed[1:head])
}

// bound is the additional data: the box's head, of fixed length, and its place.
func bound(head, aad []byte) []byte {
	return append(append(make([]byte, 0, len(head)+len(aad)), head...), aad...)
}
