package plugins

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/tappet-dev/tappet/sdk"
)

func TestReadManifest(t *testing.T) {
	t.Parallel()
	good := `{"name":"p","needs":{"http":["api.example.com","*.example.com","{url}","*"]},
		"triggers":[{"name":"t","kind":"poll","config":{"type":"object","properties":{"a":{"type":["string","null"]}}},"event":true}],
		"actions":[{"name":"t","input":{"type":"object"},"output":{"anyOf":[{"type":"string"},{"$ref":"#/anyOf/0"}]}}],"later":1}`
	if _, err := readManifest([]byte(good), []string{"http"}); err != nil {
		t.Fatal(err)
	}
	for in, want := range map[string]string{
		`hello`:                "read the plugin's description",
		"{\"name\":\"p\xff\"}": "not valid UTF-8",
		`{}`:                   `name: "" is not a name`,
		`{"name":"http"}`:      `"http" is the name of a built-in connector`,
		`{"name":"p"}`:         "neither triggers nor actions",
		`{"name":"p","needs":{"http":["http://x/","a b"]},"triggers":[{"name":"t","kind":"manual"}]}`:       `needs.http[0]: "http://x/" is not a host`,
		`{"name":"p","triggers":[{"name":"t","kind":"dance"},{"name":"t","kind":"poll"}]}`:                  `triggers[0].kind: "dance" is not poll, webhook, stream or manual; triggers[1].name: "t" is there twice`,
		`{"name":"p","actions":[{"name":"A","input":{"type":"string"}}]}`:                                   `actions[0].name: "A" is not a name: a-z first, then a-z, 0-9 and _, at most 64; actions[0].input: must be the JSON Schema of an object`,
		`{"name":"p","actions":[{"name":"a","output":{"type":"text"}}]}`:                                    `actions[0].output.type: "text" is not a type of JSON`,
		`{"name":"p","actions":[{"name":"a","input":{"type":"object","properties":{"x":7},"required":1}}]}`: `actions[0].input.properties.x: not a JSON Schema: an object, true or false is wanted; actions[0].input.required: must be a list of names`,
		`{"name":"p","needs":{"secrets":["","api-key","Big"]},"triggers":[{"name":"t","kind":"manual"}]}`:   `needs.secrets[0]: "" is not the name of a secret: a-z first, then a-z, 0-9, _ and -, at most 64; needs.secrets[2]: "Big"`,
		of(`{"pattern":"(a"}`):                           `actions[0].output.pattern: "(a" is no regular expression`,
		of(`{"pattern":"a{999}b{999}c{999}"}`):           "instructions, 2000 are allowed",
		of(`{"patternProperties":{"(?=a)":true}}`):       `actions[0].output.patternProperties: "(?=a)" is no regular expression`,
		of(`{"items":{"$ref":"#/$defs/none"}}`):          `actions[0].output.items.$ref: "#/$defs/none" leads to no schema in this one`,
		of(`{"$ref":"https://example.com/schema.json"}`): `leads to no schema in this one`,
		of(`{"$ref":"#/title","title":"a"}`):             `leads to no schema in this one`,
		of(`{"minimum":"1","multipleOf":0}`):             `output.minimum: must be a number; actions[0].output.multipleOf: must be a number above 0`,
		of(`{"minLength":-1,"maxItems":1.5}`):            `output.maxItems: must be a whole number from 0 on; actions[0].output.minLength: must be a whole number`,
		of(`{"uniqueItems":1}`):                          `output.uniqueItems: must be true or false`,
	} {
		_, err := readManifest([]byte(in), []string{"http"})
		if sdk.KindOf(err) != sdk.Invalid || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\n got %v\nwant %s", in, err, want)
		}
	}
	agrees := of(`{"$defs":{"n":{"pattern":"^a+$","minLength":1}},"items":{"$ref":"#/$defs/n"},"not":{"$ref":"#"},"minimum":0.5}`)
	if _, err := readManifest([]byte(agrees), nil); err != nil {
		t.Error(err)
	}
	deep := `{"name":"p","actions":[{"name":"a","output":` + strings.Repeat(`{"items":`, 100) + `{}` + strings.Repeat(`}`, 100) + `}]}`
	if _, err := readManifest([]byte(deep), nil); err == nil || !strings.Contains(err.Error(), "nested more than 64 deep") {
		t.Errorf("%v", err)
	}
}

// of gives a description whose one action has an output schema.
func of(output string) string {
	return `{"name":"p","needs":{"secrets":["api-key"]},"actions":[{"name":"a","output":` + output + `}]}`
}

func FuzzManifest(f *testing.F) {
	f.Add([]byte(`{"name":"p","triggers":[{"name":"t","kind":"poll","config":{"type":"object"}}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := readManifest(b, nil)
		if err != nil {
			return
		}
		if _, err := json.Marshal(c); err != nil {
			t.Errorf("an accepted description is not written: %v", err)
		}
	})
}

func TestAllowed(t *testing.T) {
	t.Parallel()
	needs := sdk.Needs{HTTP: []string{"api.example.com", "*.cdn.example", "{url}", "{bare}"}}
	config := []byte(`{"url":"https://User@Feeds.example.org:8443/x","bare":"plain.example","n":7,"URL":"https://other.example/"}`)
	for address, want := range map[string]sdk.Kind{
		"https://api.example.com/": "", "https://a.b.cdn.example/": "", "https://feeds.example.org/y": "", "http://plain.example:99": "",
		"https://cdn.example/": sdk.Denied, "https://xcdn.example/": sdk.Denied, "https://other.example/": sdk.Denied,
		"https://feeds.example.org.evil.test/": sdk.Denied, "ftp://api.example.com/": sdk.Invalid, "https:///x": sdk.Invalid, "": sdk.Invalid,
	} {
		if err := Allowed(address, needs, config); err == nil && want != "" || err != nil && sdk.KindOf(err) != want {
			t.Errorf("%s: %v, kind %q is wanted", address, err, want)
		}
	}
	if err := Allowed("https://any.test/", sdk.Needs{HTTP: []string{"*"}}, nil); err != nil {
		t.Error(err)
	}
}

func TestJournalKeepsTheLastLines(t *testing.T) {
	t.Parallel()
	j := &journal{max: 2}
	for _, s := range []string{"on", "e\ntwo\n\nthr", "ee\n", strings.Repeat("x", 10<<10) + "\n"} {
		if n, err := j.Write([]byte(s)); n != len(s) || err != nil {
			t.Fatal(n, err)
		}
	}
	l := j.lines()
	if len(l) != 2 || l[0].Text != "three" || len(l[1].Text) != maxLine {
		t.Errorf("%.100v", l)
	}
}
