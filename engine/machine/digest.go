package machine

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
)

// digest is what a journal keeps of an effect's input. It is stored, so it must
// never change; a golden test holds it. It finds a changed program, and is no
// defence against one who looks for collisions. It is never 0, which means
// "not checked".
func digest(action string, input []Field) uint64 {
	h := mixText(seed, action)
	for _, f := range input {
		h = mixBytes(mixText(h, f.Name), f.Value)
	}
	if h = finish(h); h == 0 {
		return 1
	}
	return h
}

// draw gives a number from 0 up to 1 that only this run and key have.
func (m *Machine) draw(key string) float64 {
	const bits = 53 // of a float64's mantissa
	return float64(finish(mixText(mixText(seed, m.run.ID), key))>>(64-bits)) / (1 << bits)
}

// idempotency names a visit to the other side, the same for each attempt: 32
// hexadecimal digits.
func (m *Machine) idempotency(path string) string {
	buf := append(m.scratch[:0], m.run.ID...)
	buf = append(buf, 0)
	buf = append(buf, path...)
	sum := sha256.Sum256(buf)
	if cap(buf) <= keptScratch {
		m.scratch = buf
	}
	var out [32]byte
	hex.Encode(out[:], sum[:16])
	return string(out[:])
}

// The hash takes eight bytes at a time; each step is a bijection of the state,
// so nothing of what came before is lost. The length goes first, so that no two
// lists of texts read the same.
const (
	seed  = 0xcbf29ce484222325
	prime = 0x9fb21c651e98df25
)

func mix(h, word uint64) uint64 {
	h = (h ^ word) * prime
	return h ^ h>>32
}

func mixText(h uint64, s string) uint64 {
	h = mix(h, uint64(len(s)))
	for ; len(s) >= 8; s = s[8:] {
		h = mix(h, uint64(s[0])|uint64(s[1])<<8|uint64(s[2])<<16|uint64(s[3])<<24|
			uint64(s[4])<<32|uint64(s[5])<<40|uint64(s[6])<<48|uint64(s[7])<<56)
	}
	var word uint64
	for i := range len(s) {
		word |= uint64(s[i]) << (8 * i)
	}
	return mix(h, word)
}

func mixBytes(h uint64, b []byte) uint64 {
	h = mix(h, uint64(len(b)))
	for ; len(b) >= 8; b = b[8:] {
		h = mix(h, binary.LittleEndian.Uint64(b))
	}
	var word uint64
	for i, c := range b {
		word |= uint64(c) << (8 * i)
	}
	return mix(h, word)
}

func finish(h uint64) uint64 {
	h = mix(h, 0)
	return h ^ h>>29
}
