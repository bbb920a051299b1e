package expr

import (
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/csv"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"net/url"
	"strings"
	"unicode/utf8"
)

func formatFunctions() []function {
	const group = "formats"
	str := StringType()
	text := req("text", str)
	encode := func(name, doc string, grow int, do func(string) string, example Example) function {
		return function{
			name: name, group: group, params: []param{text}, returns: "string", result: gives(str), doc: doc, examples: []Example{example},
			do: func(f *frame, a []any) any {
				s := f.str(a[0])
				f.alloc(grow * len(s))
				return do(s)
			},
		}
	}
	decode := func(name, what, doc string, do func(string) (string, error), example Example) function {
		return function{
			name: name, group: group, params: []param{text}, returns: "string", result: gives(str), doc: doc, examples: []Example{example},
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
	digest := func(name string, h func() hash.Hash, example Example) function {
		return encode(name, "The "+name+" of the text's UTF-8, in hexadecimal digits.", 1, func(s string) string {
			return hexSum(h(), s)
		}, example)
	}
	mac := func(name string, h func() hash.Hash, example Example) function {
		return function{
			name: name, group: group, params: []param{text, req("key", str)}, returns: "string", result: gives(str),
			doc: "The HMAC of the text under the key, in hexadecimal digits.", examples: []Example{example},
			do: func(f *frame, a []any) any {
				s, key := f.str(a[0]), f.str(a[1])
				f.step(100 + (len(s)+len(key))/4)
				f.alloc(len(s) + len(key))
				return hexSum(hmac.New(h, []byte(key)), s)
			},
		}
	}
	return []function{
		{
			name: "toJSON", group: group, params: []param{req("value", Any())}, returns: "string", result: gives(str),
			doc: "The value as JSON, names sorted, without spaces.", examples: []Example{{`toJSON({b: 1, a: [true]})`, `"{\"a\":[true],\"b\":1}"`}},
			do: func(f *frame, a []any) any {
				if r, ok := a[0].(*Raw); ok {
					f.alloc(len(r.b))
				}
				return string(f.appendJSON(nil, a[0], 0))
			},
		},
		{
			name: "fromJSON", group: group, params: []param{text}, returns: "any", result: gives(Any()),
			doc: "The value of a JSON text.", examples: []Example{{`fromJSON("{\"a\": [1]}").a`, `[1]`}},
			do: func(f *frame, a []any) any {
				s := f.str(a[0])
				f.alloc(len(s))
				f.step(len(s) / 8)
				doc := []byte(s)
				if err := CheckJSON(doc, maxValueDepth); err != nil {
					f.fail("%s isn't JSON: %s", clip(s), strings.TrimPrefix(err.Error(), "json: "))
				}
				return NewRaw(doc)
			},
		},
		encode("toBase64", "The text's UTF-8 in base64.", 2, func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }, Example{`toBase64("a?>")`, `"YT8+"`}),
		encode("toBase64Url", "The text's UTF-8 in base64 for URLs, without padding.", 2, func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }, Example{`toBase64Url("a?>")`, `"YT8-"`}),
		encode("toHex", "The text's UTF-8 in hexadecimal digits.", 3, func(s string) string { return hex.EncodeToString([]byte(s)) }, Example{`toHex("ab")`, `"6162"`}),
		encode("urlEncode", "The text as a part of a URL's query.", 4, url.QueryEscape, Example{`urlEncode("a b&c")`, `"a+b%26c"`}),
		decode("fromBase64", "base64", "The text of base64, of either alphabet, with or without padding.", fromBase64, Example{`fromBase64("YT8-")`, `"a?>"`}),
		decode("fromHex", "hexadecimal", "The text of hexadecimal digits.", func(s string) (string, error) {
			b, err := hex.DecodeString(s)
			return string(b), err
		}, Example{`fromHex("6162")`, `"ab"`}),
		decode("urlDecode", "a part of a URL's query", "The text of a part of a URL's query.", url.QueryUnescape, Example{`urlDecode("a+b%26c")`, `"a b&c"`}),
		digest("sha1", sha1.New, Example{`sha1("a")`, `"86f7e437faa5a7fce15d1ddcb9eaeaea377667b8"`}),
		digest("sha256", sha256.New, Example{`sha256("a")[0:8]`, `"ca978112"`}),
		digest("sha512", sha512.New, Example{`sha512("a")[0:8]`, `"1f40fc92"`}),
		mac("hmacSha256", sha256.New, Example{`hmacSha256("a", "k")[0:8]`, `"78da9151"`}),
		mac("hmacSha512", sha512.New, Example{`len(hmacSha512("a", "k"))`, `128`}),
		{
			name: "parseCsv", group: group, params: []param{text, opt("separator", str)}, returns: "list(object)",
			result: gives(ListOf(ObjectOf(nil, str))),
			doc:    "The rows of a CSV text as objects, the first row being the names.", examples: []Example{{`parseCsv("a,b\n1,\"2,3\"\n")`, `[{"a":"1","b":"2,3"}]`}},
			do: parseCSV,
		},
		{
			name: "secret", group: "secrets", params: []param{req("name", str)}, returns: "secret", result: gives(SecretType()),
			doc: "A reference to a secret, to be given whole to a field that takes one. It never becomes text.",
			do:  func(f *frame, a []any) any { return Secret{Name: f.str(a[0])} },
		},
	}
}

func hexSum(h hash.Hash, s string) string {
	_, _ = io.WriteString(h, s) // a hash never fails
	return hex.EncodeToString(h.Sum(nil))
}

func fromBase64(s string) (string, error) {
	s = strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(s, "="))
	b, err := base64.RawStdEncoding.DecodeString(s)
	return string(b), err
}

func parseCSV(f *frame, a []any) any {
	s := f.str(a[0])
	r := csv.NewReader(strings.NewReader(s))
	if len(a) > 1 {
		sep, n := utf8.DecodeRuneInString(f.str(a[1]))
		if n == 0 || n != len(f.str(a[1])) || strings.ContainsRune("\"\r\n\ufffd", sep) {
			f.fail("the separator must be one character, not %s", clip(f.str(a[1])))
		}
		r.Comma = sep
	}
	f.step(len(s))
	f.alloc(4 * len(s))
	names, err := r.Read()
	out := []any{}
	for err == nil {
		var row []string
		if row, err = r.Read(); err != nil {
			break
		}
		f.step(2 * len(names))
		f.alloc(64 + 80*len(names))
		m := make(map[string]any, len(names))
		for i, n := range names {
			m[n] = row[i]
		}
		out = append(out, m)
	}
	if !errors.Is(err, io.EOF) {
		f.fail("the text isn't CSV: %v", err)
	}
	return out
}
