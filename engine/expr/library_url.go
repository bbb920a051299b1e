package expr

import (
	"net/url"
	"strings"
)

func urlFunctions() []function {
	const group = "urls"
	str := StringType()
	queryType := ObjectOf(nil, Union(str, ListOf(str)))
	partsType := ObjectOf([]Prop{
		{Name: "scheme", Type: str},
		{Name: "user", Type: Optional(str)},
		{Name: "host", Type: str},
		{Name: "port", Type: Optional(Int())},
		{Name: "path", Type: str},
		{Name: "query", Type: queryType},
		{Name: "fragment", Type: Optional(str)},
	}, nil)
	return []function{
		encode(group, "urlEncode", "The text as a part of a URL's query.", 4, url.QueryEscape, Example{`urlEncode("a b&c")`, `"a+b%26c"`}, Example{`urlEncode("ä")`, `"%C3%A4"`}),
		decode(group, "urlDecode", "a part of a URL's query", "The text of a part of a URL's query.", url.QueryUnescape, Example{`urlDecode("a+b%26c")`, `"a b&c"`}, Example{`urlDecode("%C3%A4")`, `"ä"`}),
		encode(group, "urlEncodePath", "The text as one part of a URL's path, in which a slash has no meaning.", 4, url.PathEscape, Example{`urlEncodePath("a b/c")`, `"a%20b%2Fc"`}, Example{`urlEncodePath("x")`, `"x"`}),
		decode(group, "urlDecodePath", "a part of a URL's path", "The text of a part of a URL's path.", url.PathUnescape, Example{`urlDecodePath("a%20b%2Fc")`, `"a b/c"`}, Example{`urlDecodePath("a+b")`, `"a+b"`}),
		{
			name: "parseUrl", group: group, params: []param{req("url", str)}, returns: "object", result: gives(partsType),
			doc: "The parts of a URL.",
			examples: []Example{
				{`parseUrl("https://example.com:8080/a%20b?x=1&y=2&y=3#top")`, `{"fragment":"top","host":"example.com","path":"/a b","port":8080,"query":{"x":"1","y":["2","3"]},"scheme":"https","user":null}`},
				{`parseUrl("https://example.com").host`, `"example.com"`},
			},
			do: func(f *frame, a []any) any {
				u := f.url(a[0])
				f.alloc(800)
				out := map[string]any{
					"scheme": u.Scheme, "user": nil, "host": u.Hostname(), "port": nil, "path": u.Path, "query": f.query(u.RawQuery), "fragment": nil,
				}
				if u.User != nil {
					out["user"] = u.User.Username()
				}
				if p := u.Port(); p != "" {
					out["port"] = f.int(number([]byte(p)))
				}
				if u.Fragment != "" {
					out["fragment"] = u.Fragment
				}
				return out
			},
		},
		{
			name: "resolveUrl", group: group, params: []param{req("base", str), req("reference", str)}, returns: "string", result: gives(str),
			doc:      "The URL that a reference in the document at the base means.",
			examples: []Example{{`resolveUrl("https://example.com/a/b", "../c?x=1")`, `"https://example.com/c?x=1"`}, {`resolveUrl("https://example.com/a", "https://other.example/")`, `"https://other.example/"`}},
			do: func(f *frame, a []any) any {
				base, ref := f.url(a[0]), f.url(a[1])
				return base.ResolveReference(ref).String()
			},
		},
		{
			name: "withQuery", group: group, params: []param{req("url", str), req("query", anyObject())}, returns: "string", result: gives(str),
			doc:      "The URL with these members added to its query, or put in the place of those of the same name; null takes one away, a list gives several.",
			examples: []Example{{`withQuery("https://example.com/?a=1&b=2", {a: 3, c: ["x", "y z"]})`, `"https://example.com/?a=3&b=2&c=x&c=y+z"`}, {`withQuery("https://example.com/?a=1", {a: null})`, `"https://example.com/"`}},
			do: func(f *frame, a []any) any {
				u := f.url(a[0])
				q, err := url.ParseQuery(u.RawQuery)
				if err != nil {
					f.fail("%s has a query that can't be read", clip(f.str(a[0])))
				}
				f.setQuery(q, a[1])
				u.RawQuery = q.Encode()
				f.alloc(2 * len(u.RawQuery))
				return u.String()
			},
		},
		{
			name: "parseQuery", group: group, params: []param{req("text", str)}, returns: "object", result: gives(queryType),
			doc:      "The members of a URL's query, or of a form; several of one name are a list.",
			examples: []Example{{`parseQuery("a=1&b=x+y&b=z")`, `{"a":"1","b":["x y","z"]}`}, {`parseQuery("?a=1")`, `{"a":"1"}`}},
			do: func(f *frame, a []any) any {
				return f.query(strings.TrimPrefix(f.str(a[0]), "?"))
			},
		},
		{
			name: "formatQuery", group: group, params: []param{req("object", anyObject())}, returns: "string", result: gives(str),
			doc:      "The members as a URL's query, or a form, sorted by name; a null is left out, a list gives several.",
			examples: []Example{{`formatQuery({b: "x y", a: 1})`, `"a=1&b=x+y"`}, {`formatQuery({a: [1, 2], b: null})`, `"a=1&a=2"`}},
			do: func(f *frame, a []any) any {
				q := url.Values{}
				f.setQuery(q, a[0])
				return q.Encode()
			},
		},
	}
}

func (f *frame) url(v any) *url.URL {
	s := f.str(v)
	f.alloc(200 + 4*len(s))
	f.step(len(s) / 4)
	u, err := url.Parse(s)
	if err != nil {
		f.fail("%s isn't a URL", clip(s))
	}
	return u
}

// query reads a query; a member that is given several times is a list.
func (f *frame) query(s string) map[string]any {
	f.step(len(s) / 2)
	f.alloc(4*len(s) + 100*(1+strings.Count(s, "&")))
	q, err := url.ParseQuery(s)
	if err != nil {
		f.fail("%s isn't a URL's query", clip(s))
	}
	out := make(map[string]any, len(q))
	for name, texts := range q {
		if len(texts) == 1 {
			out[name] = texts[0]
			continue
		}
		list := make([]any, len(texts))
		for i, t := range texts {
			list[i] = t
		}
		out[name] = list
	}
	return out
}

func (f *frame) setQuery(q url.Values, v any) {
	m := f.object(v)
	for _, name := range f.sortedKeys(m) {
		q.Del(name)
		items := []any{m[name]}
		if l, ok := f.force(m[name]).([]any); ok {
			items = l
		}
		for _, x := range items {
			if x == nil {
				continue
			}
			s := f.text(x)
			f.alloc(100 + 4*(len(s)+len(name)))
			q.Add(name, s)
		}
	}
}
