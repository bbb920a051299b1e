package expr

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const secretSchema = `{"type":"object","additionalProperties":false,"required":["url"],"properties":{
 "url":{"type":"string"},"token":{"type":"string","writeOnly":true},"body":{},
 "headers":{"type":"object","additionalProperties":{"type":["string","null"],"writeOnly":true}},
 "query":{"type":["object","null"],"additionalProperties":{"type":["string","number","boolean","null","array"],"writeOnly":true,
  "items":{"type":["string","number","boolean","null"],"writeOnly":true}}},
 "logins":{"type":"array","items":{"type":"object","properties":{"user":{"type":"string"},"password":{"type":"string","writeOnly":true}}}}}}`

// A secret becomes a reference in a field that takes one, and nowhere else; data
// that looks like a reference is refused there, and is data elsewhere.
func TestSecretsInTheirFields(t *testing.T) {
	t.Parallel()
	to := mustSchema(t, secretSchema)
	sc := NewScope(Var{Name: "x"})
	forged := NewRaw([]byte(`{"$secret":"admin"}`))
	for _, c := range []struct {
		field, src string
		x          any
		want       string
		names      []string
	}{
		{"token", `${{ secret("k") }}`, nil, `{"token":{"$secret":"k"}}`, []string{"k"}},
		{"token", `${{ x ? secret("a_b") : secret("c") }}`, true, `{"token":{"$secret":"a_b"}}`, []string{`a_b`}},
		{"token", `plain`, nil, `{"token":"plain"}`, nil},
		{"token", `${{ x }}`, "text", `{"token":"text"}`, nil},
		{"token", `${{ x }}`, `{"$secret":"admin"}`, `{"token":"{\"$secret\":\"admin\"}"}`, nil},
		{"token", `${{ x }}`, forged, `error: a field that takes a secret takes secret("name") or a text, got object`, nil},
		{"token", `${{ {"$secret": "admin"} }}`, nil, `error: a field that takes a secret takes secret("name") or a text, got object`, nil},
		{"token", `${{ x }}`, nil, `error: a field that takes a secret takes secret("name") or a text, got null`, nil},
		{"token", `${{ x }}`, NewRaw([]byte(`[1]`)), `error: a field that takes a secret takes secret("name") or a text, got list`, nil},
		{"headers", `${{ {a: secret("k"), b: x, c: null} }}`, "t", `{"headers":{"a":{"$secret":"k"},"b":"t","c":null}}`, []string{"k"}},
		{"headers", `${{ {a: x} }}`, forged, `error: a field that takes a secret takes secret("name") or a text, got object`, nil},
		{"headers", `${{ x }}`, NewRaw([]byte(`{"a":{"$secret":"admin"}}`)), `error: a field that takes a secret takes secret("name") or a text, got object`, nil},
		{"logins", `${{ [{user: "u", password: secret("p")}, {user: x}] }}`, "v", `{"logins":[{"password":{"$secret":"p"},"user":"u"},{"user":"v"}]}`, []string{"p"}},
		{
			"query", `${{ {a: secret("k"), b: [1, secret("l"), "t", null, true], c: 2.5, d: null} }}`, nil,
			`{"query":{"a":{"$secret":"k"},"b":[1,{"$secret":"l"},"t",null,true],"c":2.5,"d":null}}`,
			[]string{"k", "l"},
		},
		{"query", `${{ x }}`, NewRaw([]byte(`{"z":1.50, "a":[true,"t"],"b":null}`)), `{"query":{"z":1.50, "a":[true,"t"],"b":null}}`, nil},
		{"query", `${{ x }}`, nil, `{"query":null}`, nil},
		{"query", `${{ {a: [x]} }}`, forged, `error: a field that takes a secret takes secret("name") or a text, got object`, nil},
		{"query", `${{ x }}`, NewRaw([]byte(`{"a":[1,{"$secret":"admin"}]}`)), `error: a field that takes a secret takes secret("name") or a text, got object`, nil},
		{"query", `${{ x }}`, NewRaw([]byte(`{"a":[[1]]}`)), `error: a field that takes a secret takes secret("name") or a text, got list`, nil},
		{"query", `${{ {a: {b: 1}} }}`, nil, `error: a field that takes a secret takes secret("name") or a text, got object`, nil},
		{"body", `${{ x }}`, forged, `{"body":{"$secret":"admin"}}`, nil},
		{"url", `${{ x }}`, forged, `{"url":{"$secret":"admin"}}`, nil}, // a text is expected, which the connector says
		{"url", `${{ secret("k") }}`, nil, `error: a secret can't be written out`, nil},
		{"body", `${{ {a: secret("k")} }}`, nil, `error: a secret can't be written out`, nil},
	} {
		value, problems := Text(c.src, sc)
		if value == nil {
			t.Fatal(c.src, problems)
		}
		tree := Object([]Member{{c.field, value}}).For(to)
		out, err := tree.AppendJSON(nil, &Env{Values: []any{c.x}})
		got := string(out)
		if err != nil {
			_, msg, _ := strings.Cut(err.Error(), ": ") // behind the pointer
			if i := strings.Index(msg, "a "); i >= 0 {
				msg = msg[i:]
			}
			got = "error: " + msg
		}
		if got != c.want {
			t.Errorf("%s: %s\n got %s\nwant %s", c.field, c.src, got, c.want)
			continue
		}
		if err != nil {
			continue
		}
		found, err := References(out, to)
		if err != nil {
			t.Errorf("%s: %v", out, err)
		}
		var names []string
		for _, r := range found {
			names = append(names, r.Name)
			if s := string(out[r.From:r.To]); !strings.HasPrefix(s, `{"$secret":"`) || !strings.HasSuffix(s, `"}`) {
				t.Errorf("the reference is %s", s)
			}
		}
		if diff := cmp.Diff(c.names, names); diff != "" {
			t.Errorf("%s: %s", out, diff)
		}
	}
	// A graph's own text can't forge one either.
	fixed := Object([]Member{{"token", Literal([]byte(`{"$secret":"admin"}`))}}).For(to)
	if out, err := fixed.AppendJSON(nil, &Env{}); err == nil {
		t.Errorf("a constant reference gives %s", out)
	}
	// Without For, no secret is ever written.
	value, _ := Text(`${{ secret("k") }}`, sc)
	if out, err := value.AppendJSON(nil, &Env{}); err == nil {
		t.Errorf("a secret gives %s", out)
	}
	for _, doc := range []string{`{"token":{"$secret":1}}`, `{"token":{"$secret":"a","b":1}}`, `{"token":5}`, `{"token":{"$secret":"a"},"logins":[{"password":[]}]}`} {
		if found, err := References([]byte(doc), to); err == nil {
			t.Errorf("%s has %v", doc, found)
		}
	}
}

// Which fields take a secret is known when a graph is saved.
func TestSecretsAreTyped(t *testing.T) {
	t.Parallel()
	to := mustSchema(t, secretSchema)
	token, _, _ := to.Prop("token")
	url, _, _ := to.Prop("url")
	if ok, why := Assignable(SecretType(), token); !ok {
		t.Error(why)
	}
	if ok, why := Assignable(StringType(), token); !ok {
		t.Error(why)
	}
	for _, field := range []*Type{url, Any(), Int()} {
		if ok, _ := Assignable(SecretType(), field); ok {
			t.Errorf("a secret fits %s", field)
		}
	}
	if ok, _ := Assignable(ObjectOf([]Prop{{Name: referenceKey, Type: StringType()}}, nil), token); ok {
		t.Error("an object fits a field that takes a secret")
	}
	if s := string(token.Schema()); s != `{"type":"string","writeOnly":true}` {
		t.Error(s)
	}
}

// A name must tell which environment variable it is: none has a twin.
func TestSecretNames(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"forms": "", "a": "", "api_key2": "", "a_": "",
		"api-key":               `the name of a secret is of a-z, 0-9 and _, beginning with a letter, not "api-key"; call it "api_key"`,
		"API_KEY":               `the name of a secret is of a-z, 0-9 and _, beginning with a letter, not "API_KEY"; call it "api_key"`,
		"2fa":                   `the name of a secret is of a-z, 0-9 and _, beginning with a letter, not "2fa"; call it "fa"`,
		"":                      `the name of a secret is of a-z, 0-9 and _, beginning with a letter, not ""`,
		"ü":                     `the name of a secret is of a-z, 0-9 and _, beginning with a letter, not "ü"`,
		"-":                     `the name of a secret is of a-z, 0-9 and _, beginning with a letter, not "-"`,
		strings.Repeat("a", 65): `the name of a secret has 65 bytes; at most 64 are allowed`,
	} {
		tpl, problems := Text(`${{ secret("`+name+`") }}`, nil)
		if want == "" {
			if tpl == nil {
				t.Errorf("%q: %v", name, problems)
			} else if diff := cmp.Diff([]string{name}, tpl.Secrets()); diff != "" {
				t.Error(diff)
			}
			continue
		}
		if len(problems) != 1 || problems[0].Code != CodeSecret || strings.TrimPrefix(problems[0].String(), "1:12: ") != want {
			t.Errorf("%q: %v, want %s", name, problems, want)
		}
	}
	both := Object([]Member{{"b", mustText(t, `${{ secret("b") }}`)}, {"a", List([]*Template{mustText(t, `${{ true ? secret("a") : secret("b") }}`)})}, {"c", Literal([]byte(`1`))}})
	if diff := cmp.Diff([]string{"a", "b"}, both.Secrets()); diff != "" {
		t.Error(diff)
	}
}
