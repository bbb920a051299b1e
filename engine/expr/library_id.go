package expr

import (
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"encoding/hex"
	"strings"
)

func idFunctions() []function {
	const group = "ids"
	str := StringType()
	// fresh is an id that differs for each call.
	fresh := func(name, doc string, do func(f *frame) string, examples ...Example) function {
		return function{
			name: name, group: group, varies: true, returns: "string", result: gives(str), doc: doc, examples: examples,
			do: func(f *frame, _ []any) any { return do(f) },
		}
	}
	return []function{
		fresh("uuid", "A new UUID (version 4). It is derived from the run and the step, so that it stays the same when the run is taken up again.",
			func(f *frame) string { return uuidText(f.fresh(), 4) },
			Example{`len(uuid())`, `36`}, Example{`uuid() == uuid()`, `false`}),
		fresh("uuid7", "A new UUID (version 7), which sorts by the time of now().", func(f *frame) string {
			b := f.fresh()
			f.stamp(b[:6])
			return uuidText(b, 7)
		}, Example{`uuid7()[0:8]`, `"01a20d1a"`}, Example{`uuid7()[14:15]`, `"7"`}),
		fresh("ulid", "A new ULID: 26 characters that sort by the time of now().", func(f *frame) string {
			b := f.fresh()
			f.stamp(b[:6])
			// 128 bits are 26 characters of 5 bits, two bits of zeros first.
			var padded [20]byte
			copy(padded[4:], b[:])
			return base32.NewEncoding("0123456789ABCDEFGHJKMNPQRSTVWXYZ").EncodeToString(padded[:])[6:]
		}, Example{`ulid()[0:9]`, `"01M86HNX2"`}, Example{`len(ulid())`, `26`}),
		{
			name: "shortId", group: group, varies: true, params: []param{opt("length", Int())}, returns: "string", result: gives(str),
			doc:      "A new id of so many letters and digits (12), derived as that of uuid(). It is no password: who knows the run can compute it.",
			examples: []Example{{`len(shortId())`, `12`}, {`shortId(8) matches "^[0-9a-zA-Z]{8}$"`, `true`}},
			do: func(f *frame, a []any) any {
				n := 12
				if len(a) > 0 {
					if n = f.int(a[0]); n < 4 || n > 64 {
						f.fail("an id has 4 to 64 characters, not %d", n)
					}
				}
				const letters = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				var b strings.Builder
				for b.Len() < n {
					for _, c := range f.fresh() {
						// Bytes beyond a multiple of 62 would favour some letters.
						if c < 248 && b.Len() < n {
							b.WriteByte(letters[c%62])
						}
					}
				}
				return b.String()
			},
		},
		{
			name: "uuid5", group: group, params: []param{req("namespace", str), req("name", str)}, returns: "string", result: gives(str),
			doc: "The UUID of a name (version 5): always the same for the same name. The namespace is a UUID, or \"dns\" or \"url\".",
			examples: []Example{
				{`uuid5("dns", "www.example.com")`, `"2ed6657d-e927-568b-95e1-2665a8aea6a2"`}, {`uuid5("6ba7b810-9dad-11d1-80b4-00c04fd430c8", "www.example.com") == uuid5("dns", "www.example.com")`, `true`},
			},
			do: func(f *frame, a []any) any {
				space, name := f.str(a[0]), f.str(a[1])
				switch space { // RFC 9562, 6.6
				case "dns":
					space = "6ba7b810-9dad-11d1-80b4-00c04fd430c8"
				case "url":
					space = "6ba7b811-9dad-11d1-80b4-00c04fd430c8"
				}
				if !isUUID(space) {
					f.fail(`%s isn't a namespace; a UUID, "dns" and "url" are`, clip(space))
				}
				b, err := hex.DecodeString(strings.ReplaceAll(space, "-", ""))
				if err != nil {
					f.fail("%s isn't a UUID", clip(space))
				}
				f.step(100 + len(name)/4)
				f.alloc(2 * len(name))
				sum := sha1.Sum(append(b, name...))
				return uuidText([16]byte(sum[:16]), 5)
			},
		},
		{
			name: "isUuid", group: group, params: []param{req("text", str)}, returns: "boolean", result: gives(Bool()),
			doc: "True when the text is a UUID of 36 characters.", examples: []Example{{`isUuid("6ba7b810-9dad-11d1-80b4-00c04fd430c8")`, `true`}, {`isUuid("6ba7b810")`, `false`}},
			do: func(f *frame, a []any) any { return isUUID(f.str(a[0])) },
		},
	}
}

// fresh gives 16 bytes that the seed and the number of the call decide.
func (f *frame) fresh() [16]byte {
	if len(f.seed) == 0 {
		f.fail("no id can be made here, where there is no run that it belongs to")
	}
	f.step(200)
	f.alloc(256)
	var n [8]byte
	binary.BigEndian.PutUint64(n[:], f.ids)
	f.ids++
	h := hmac.New(sha256.New, f.seed)
	h.Write(n[:])
	return [16]byte(h.Sum(nil)[:16])
}

// stamp writes the milliseconds of now() into six bytes.
func (f *frame) stamp(b []byte) {
	ms := f.now.UnixMilli()
	if ms < 0 || ms >= 1<<48 {
		f.fail("the time %s has no place in an id", f.timeText(f.now))
	}
	var t [8]byte
	binary.BigEndian.PutUint64(t[:], uint64(ms))
	copy(b, t[2:])
}

// uuidText writes a UUID of a version, in the variant of RFC 9562.
func uuidText(b [16]byte, version byte) string {
	b[6] = b[6]&0x0f | version<<4
	b[8] = b[8]&0x3f | 0x80
	s := hex.EncodeToString(b[:])
	return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
}

func isUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		switch i {
		case 8, 13, 18, 23:
			if s[i] != '-' {
				return false
			}
		default:
			if !isHex(s[i]) {
				return false
			}
		}
	}
	return true
}
