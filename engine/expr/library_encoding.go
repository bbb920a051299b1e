package expr

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"strings"
	"unicode/utf8"
)

// encode is a function from text to text whose result is at most grow times as
// long.
func encode(group, name, doc string, grow int, do func(string) string, examples ...Example) function {
	str := StringType()
	return function{
		name: name, group: group, params: []param{req("text", str)}, returns: "string", result: gives(str), doc: doc, examples: examples,
		do: func(f *frame, a []any) any {
			s := f.str(a[0])
			f.alloc(grow * len(s))
			return do(s)
		},
	}
}

// decode is its inverse, which fails for what isn't such a text.
func decode(group, name, what, doc string, do func(string) (string, error), examples ...Example) function {
	str := StringType()
	return function{
		name: name, group: group, params: []param{req("text", str)}, returns: "string", result: gives(str), doc: doc, examples: examples,
		do: func(f *frame, a []any) any {
			s := f.str(a[0])
			f.alloc(2 * len(s))
			out, err := do(s)
			if err != nil {
				f.fail("%s isn't %s", clip(s), what)
			}
			if !utf8.ValidString(out) {
				f.fail("what %s stands for isn't text", clip(s))
			}
			return out
		},
	}
}

func encodingFunctions() []function {
	const group = "encodings"
	return []function{
		encode(group, "toBase64", "The text's UTF-8 in base64.", 2, func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) },
			Example{`toBase64("a?>")`, `"YT8+"`}, Example{`toBase64("a")`, `"YQ=="`}),
		encode(group, "toBase64Url", "The text's UTF-8 in base64 for URLs, without padding.", 2, func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) },
			Example{`toBase64Url("a?>")`, `"YT8-"`}, Example{`toBase64Url("a")`, `"YQ"`}),
		encode(group, "toBase32", "The text's UTF-8 in base32.", 2, func(s string) string { return base32.StdEncoding.EncodeToString([]byte(s)) },
			Example{`toBase32("ab")`, `"MFRA===="`}, Example{`toBase32("")`, `""`}),
		encode(group, "toHex", "The text's UTF-8 in hexadecimal digits.", 3, func(s string) string { return hex.EncodeToString([]byte(s)) },
			Example{`toHex("ab")`, `"6162"`}, Example{`toHex("ä")`, `"c3a4"`}),
		decode(group, "fromBase64", "base64", "The text of base64, of either alphabet, with or without padding.", fromBase64,
			Example{`fromBase64("YT8-")`, `"a?>"`}, Example{`fromBase64("YQ==")`, `"a"`}),
		decode(group, "fromBase32", "base32", "The text of base32, in any case, with or without padding.", func(s string) (string, error) {
			b, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(strings.ToUpper(strings.TrimRight(s, "=")))
			return string(b), err
		}, Example{`fromBase32("MFRA====")`, `"ab"`}, Example{`fromBase32("mfra")`, `"ab"`}),
		decode(group, "fromHex", "hexadecimal", "The text of hexadecimal digits.", func(s string) (string, error) {
			b, err := hex.DecodeString(s)
			return string(b), err
		}, Example{`fromHex("6162")`, `"ab"`}, Example{`fromHex("C3A4")`, `"ä"`}),
		{
			name: "jwtPayload", group: group, params: []param{req("token", StringType())}, returns: "object", result: gives(anyObject()),
			doc: "What a JSON web token says (RFC 7519). Its signature is not checked: it proves nothing.",
			examples: []Example{
				{`jwtPayload("eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZGEifQ.").sub`, `"ada"`}, {`jwtPayload("e30.e30.x")`, `{}`},
			},
			do: func(f *frame, a []any) any {
				s := f.str(a[0])
				f.alloc(256 + 2*len(s))
				f.step(len(s) / 4)
				parts := strings.Split(s, ".")
				if len(parts) == 3 {
					if b, err := base64.RawURLEncoding.DecodeString(parts[1]); err == nil && CheckUniqueJSON(b, maxValueDepth) == nil {
						if r, ok := NewRaw(b).(*Raw); ok && !r.isList() {
							return r
						}
					}
				}
				f.fail("%s isn't a JSON web token", clip(s))
				return nil
			},
		},
	}
}

func fromBase64(s string) (string, error) {
	s = strings.ReplaceAll(strings.ReplaceAll(strings.TrimRight(s, "="), "-", "+"), "_", "/")
	b, err := base64.RawStdEncoding.DecodeString(s)
	return string(b), err
}

// hashFunctions are digests of a text's UTF-8, in hexadecimal digits or as an
// argument says.
func hashFunctions() []function {
	const group = "hashes"
	str := StringType()
	text, as := req("text", str), opt("as", Enum("hex", "base64", "base64url"))
	digest := func(name, what string, h func() hash.Hash, examples ...Example) function {
		return function{
			name: name, group: group, params: []param{text, as}, returns: "string", result: gives(str), examples: examples,
			doc: "The " + what + " of the text's UTF-8, in hexadecimal digits, \"base64\" or \"base64url\".",
			do: func(f *frame, a []any) any {
				s := f.str(a[0])
				f.alloc(len(s))
				return f.digits(h(), s, a[1:])
			},
		}
	}
	mac := func(name, what string, h func() hash.Hash, examples ...Example) function {
		return function{
			name: name, group: group, params: []param{text, req("key", str), as}, returns: "string", result: gives(str), examples: examples,
			doc: "The HMAC of the text under the key by " + what + ", in hexadecimal digits, \"base64\" or \"base64url\".",
			do: func(f *frame, a []any) any {
				s, key := f.str(a[0]), f.str(a[1])
				f.step(100 + (len(s)+len(key))/4)
				f.alloc(len(s) + len(key) + 300)
				return f.digits(hmac.New(h, []byte(key)), s, a[2:])
			},
		}
	}
	return []function{
		digest("md5", "MD5 (for checks of old services, not for safety)", md5.New, Example{`md5("a")`, `"0cc175b9c0f1b6a831c399e269772661"`}, Example{`md5("a", "base64")`, `"DMF1ucDxtqgxw5niaXcmYQ=="`}),
		digest("sha1", "SHA-1 (for checks of old services, not for safety)", sha1.New, Example{`sha1("a")`, `"86f7e437faa5a7fce15d1ddcb9eaeaea377667b8"`}, Example{`sha1("a", "base64")`, `"hvfkN/qlp/zhXR3cuerq6jd2Z7g="`}),
		digest("sha256", "SHA-256", sha256.New, Example{`sha256("a")[0:8]`, `"ca978112"`}, Example{`sha256("a", "base64url")[0:8]`, `"ypeBEsob"`}),
		digest("sha384", "SHA-384", sha512.New384, Example{`sha384("a")[0:8]`, `"54a59b9f"`}, Example{`len(sha384("a"))`, `96`}),
		digest("sha512", "SHA-512", sha512.New, Example{`sha512("a")[0:8]`, `"1f40fc92"`}, Example{`len(sha512("a"))`, `128`}),
		mac("hmacSha1", "SHA-1", sha1.New, Example{`hmacSha1("a", "k")[0:8]`, `"40e7d441"`}, Example{`len(hmacSha1("a", "k", "base64"))`, `28`}),
		mac("hmacSha256", "SHA-256", sha256.New, Example{`hmacSha256("a", "k")[0:8]`, `"78da9151"`}, Example{`len(hmacSha256("a", "k", "base64"))`, `44`}),
		mac("hmacSha512", "SHA-512", sha512.New, Example{`len(hmacSha512("a", "k"))`, `128`}, Example{`len(hmacSha512("a", "k", "base64url"))`, `86`}),
		encode(group, "crc32", "The CRC-32 (IEEE) of the text's UTF-8, in 8 hexadecimal digits.", 1, func(s string) string {
			return fmt.Sprintf("%08x", crc32.ChecksumIEEE([]byte(s)))
		}, Example{`crc32("a")`, `"e8b7be43"`}, Example{`crc32("")`, `"00000000"`}),
		{
			name: "fingerprint", group: group, params: []param{req("value", Any())}, returns: "string", result: gives(str),
			doc:      "The SHA-256 of the value's JSON with names sorted: the same for equal values, so that it tells a duplicate.",
			examples: []Example{{`fingerprint({a: 1, b: 2}) == fingerprint({b: 2, a: 1})`, `true`}, {`fingerprint([1])[0:8]`, `"080a9ed4"`}},
			do: func(f *frame, a []any) any {
				b := f.appendJSON(nil, f.plain(a[0], 0), 0)
				f.step(len(b) / 4)
				return f.digits(sha256.New(), string(b), nil)
			},
		},
	}
}

// digits gives the sum of a text, written as the argument, if any, says.
func (f *frame) digits(h hash.Hash, s string, as []any) string {
	f.step(20 + len(s)/16)
	f.alloc(8 * h.Size())       // its state, the sum and its digits
	_, _ = io.WriteString(h, s) // a hash never fails
	sum := h.Sum(nil)
	how := "hex"
	if len(as) > 0 {
		how = f.str(as[0])
	}
	switch how {
	case "hex":
		return hex.EncodeToString(sum)
	case "base64":
		return base64.StdEncoding.EncodeToString(sum)
	case "base64url":
		return base64.RawURLEncoding.EncodeToString(sum)
	}
	f.fail(`a digest can't be written as %s; "hex", "base64" and "base64url" are known`, clip(how))
	return ""
}

// plain decodes all that is raw in a value, so that equal values are written
// alike.
func (f *frame) plain(v any, depth int) any {
	if depth > maxValueDepth {
		f.exceeded("the value is nested too deeply")
	}
	f.step(1)
	switch x := f.force(v).(type) {
	case []any:
		f.alloc(24 + 16*len(x))
		out := make([]any, len(x))
		for i := range x {
			out[i] = f.plain(x[i], depth+1)
		}
		return out
	case map[string]any, Members:
		m := f.object(x)
		f.alloc(48 + 80*len(m))
		out := make(map[string]any, len(m))
		for _, k := range f.sortedKeys(m) {
			out[k] = f.plain(m[k], depth+1)
		}
		return out
	default:
		if isNumber(x) && !isDecimal(x) {
			return f.numeric(x)
		}
		return x
	}
}
