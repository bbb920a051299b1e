package machine

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"hash/fnv"
	"strconv"
	"testing"
)

// A text and the same bytes have one digest, at every length.
func TestMixTextIsMixBytes(t *testing.T) {
	t.Parallel()
	b := []byte("0123456789abcdefghijklmnopqrstuvwxyz\x00\xff")
	for n := range len(b) {
		if got, want := mixText(seed, string(b[:n])), mixBytes(seed, b[:n]); got != want {
			t.Errorf("%d bytes: text %x, bytes %x", n, got, want)
		}
	}
}

// No bit of an input is lost: each, turned over, gives another digest.
func TestDigestSeesEachBit(t *testing.T) {
	t.Parallel()
	b := bytes.Repeat([]byte{0}, 40)
	seen := map[uint64]int{digest("x.y", []Field{{Name: "a", Value: b}}): -1}
	for i := range 8 * len(b) {
		c := bytes.Clone(b)
		c[i/8] ^= 1 << (i % 8)
		d := digest("x.y", []Field{{Name: "a", Value: c}})
		if j, ok := seen[d]; ok {
			t.Errorf("bits %d and %d have digest %x", i, j, d)
		}
		seen[d] = i
	}
}

// BenchmarkDigest says why the digest is our own: what the alternatives cost.
func BenchmarkDigest(b *testing.B) {
	for _, n := range []int{30, 300, 10_000} {
		doc := bytes.Repeat([]byte("x"), n)
		fields := []Field{{Name: "body", Value: doc}}
		for _, x := range []struct {
			name string
			do   func() uint64
		}{
			{"own", func() uint64 { return digest("http.post", fields) }},
			{"fnv", func() uint64 {
				h := fnv.New64a()
				_, _ = h.Write(doc)
				return h.Sum64()
			}},
			{"sha256", func() uint64 {
				sum := sha256.Sum256(doc)
				return binary.LittleEndian.Uint64(sum[:])
			}},
		} {
			b.Run(x.name+"/"+strconv.Itoa(n), func(b *testing.B) {
				b.SetBytes(int64(n))
				var sum uint64
				for b.Loop() {
					sum += x.do()
				}
				if sum == 0 {
					b.Fatal("no digest")
				}
			})
		}
	}
}
