package scan

import (
	"fmt"

	"github.com/tappet-dev/tappet/sdk"
)

// A Reader reads a module's bytes. Its first error stays: what is read after it
// is zero, so a caller may look at Err once per item. It never panics.
type Reader struct {
	b    []byte
	at   int
	base int // of b within the module
	err  error
}

// NewReader reads b, which begins at byte base of its module.
func NewReader(b []byte, base int) *Reader { return &Reader{b: b, base: base} }

// Err is the first error, an *sdk.Error.
func (r *Reader) Err() error { return r.err }

// Left is how many bytes are left to read.
func (r *Reader) Left() int {
	if r.err != nil {
		return 0
	}
	return len(r.b) - r.at
}

// At is how many bytes have been read.
func (r *Reader) At() int { return r.at }

// fail keeps the first error.
func (r *Reader) fail(kind sdk.Kind, format string, args ...any) {
	if r.err == nil {
		what := "malformed"
		if kind == sdk.TooLarge {
			what = "too large"
		}
		r.err = sdk.Errorf(kind, "%s at byte %d: %s", what, r.base+r.at, fmt.Sprintf(format, args...))
	}
}

// Byte reads one byte.
func (r *Reader) Byte() byte {
	if r.Left() == 0 {
		r.fail(sdk.Invalid, "the bytes end too early")
		return 0
	}
	r.at++
	return r.b[r.at-1]
}

// Bytes reads n bytes, which stay the module's.
func (r *Reader) Bytes(n uint32) []byte {
	if uint64(n) > uint64(r.Left()) {
		r.fail(sdk.Invalid, "%d bytes are announced, %d are left", n, r.Left())
		return nil
	}
	r.at += int(n)
	return r.b[r.at-int(n) : r.at]
}

// U32 reads an unsigned number of at most 32 bits in at most 5 bytes.
func (r *Reader) U32() uint32 {
	var v uint64
	for shift := 0; shift < 35; shift += 7 {
		b := r.Byte()
		v |= uint64(b&0x7f) << shift
		if b < 0x80 {
			if v > 1<<32-1 {
				break
			}
			return uint32(v)
		}
	}
	r.fail(sdk.Invalid, "a number is longer than 32 bits")
	return 0
}

// signed reads a signed number of at most bits bits in the fewest bytes that
// may hold as many.
func (r *Reader) signed(bits int) int64 {
	var v int64
	for shift := 0; shift < bits; shift += 7 {
		b := r.Byte()
		v |= int64(b&0x7f) << shift
		if b >= 0x80 {
			continue
		}
		if used := shift + 7; used <= bits {
			if used < 64 && b&0x40 != 0 {
				v |= -1 << used
			}
			return v
		}
		// The last byte may only hold the sign beyond the number's own bits.
		own := bits - shift
		rest := int8(b<<1) >> own // the sign bit and what lies beyond it
		if rest != 0 && rest != -1 {
			break
		}
		if rest == -1 && bits < 64 {
			v |= -1 << bits
		}
		return v
	}
	r.fail(sdk.Invalid, "a number is longer than %d bits", bits)
	return 0
}

// Count reads how many items follow, of which each has at least one byte, and
// refuses more than fit into what is left or than limit.
func (r *Reader) Count(what string, limit int) int {
	n := r.U32()
	switch {
	case r.err != nil:
		return 0
	case uint64(n) > uint64(r.Left()):
		r.fail(sdk.Invalid, "%d %s are announced, %d bytes are left", n, what, r.Left())
		return 0
	case uint64(n) > uint64(limit):
		r.fail(sdk.TooLarge, "%d %s, %d are allowed", n, what, limit)
		return 0
	}
	return int(n)
}
