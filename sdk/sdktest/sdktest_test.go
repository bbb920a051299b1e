package sdktest_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/tappet-dev/tappet/sdk"
	"github.com/tappet-dev/tappet/sdk/sdktest"
)

func TestFits(t *testing.T) {
	t.Parallel()
	schema := json.RawMessage(`{"type":"object","properties":{"n":{"type":"integer","minimum":0},"at":{"type":"string","format":"date-time"},
		"of":{"enum":["a",1]},"list":{"type":"array","items":{"type":["string","null"]}},"no":false},"required":["n"],"additionalProperties":false}`)
	for doc, want := range map[string]string{
		`{"n":1,"at":"2026-01-01T00:00:00Z","of":1,"list":["a",null]}`: "",
		`{"n":1.5}`:            "$.n: integer is wanted",
		`{"n":-1}`:             "$.n: -1 is less than 0",
		`{}`:                   `field "n" is missing`,
		`{"n":1,"x":1}`:        `field "x" is not in the schema`,
		`{"n":1,"at":"now"}`:   "no date-time",
		`{"n":1,"of":"b"}`:     "is none of",
		`{"n":1,"list":[1]}`:   "$.list[0]",
		`{"n":1,"no":1}`:       "no value is allowed",
		`[]`:                   "object is wanted",
		`{"n":1} {}`:           "more than one",
		`{`:                    "not valid JSON",
		"{\"n\":1,\"\xff\":1}": "not valid UTF-8",
	} {
		err := sdktest.Fits(schema, json.RawMessage(doc))
		if err == nil && want != "" || err != nil && (want == "" || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v; %q is wanted", doc, err, want)
		}
	}
}

func TestHost(t *testing.T) {
	t.Parallel()
	h := sdktest.NewHost(t, sdktest.HostOptions{HTTP: sdktest.Replies(map[string]sdktest.Reply{"GET http://x/": {Body: []byte("hi")}})})
	for url, want := range map[string]int{"http://x/": 200, "http://y/": 404} {
		r, err := h.HTTP(t.Context(), &sdk.Request{URL: url})
		if err != nil || r.Status != want {
			t.Errorf("%s: %+v, %v", url, r, err)
		}
	}
	if _, err := h.Secret(t.Context(), "x"); sdk.KindOf(err) != sdk.Denied {
		t.Error(err)
	}
	if len(h.Exchanges()) != 2 {
		t.Error(h.Exchanges())
	}
}

func TestRun(t *testing.T) {
	t.Parallel()
	type in struct {
		Word string `json:"word"`
	}
	act := sdk.Do("say", "Say", func(ctx context.Context, h sdk.Host, v in) (string, error) {
		r, err := h.HTTP(ctx, &sdk.Request{URL: "http://x/" + v.Word})
		if err != nil {
			return "", err
		}
		return "said", r.Body.Close()
	})
	sdktest.Run(t, func(testing.TB) sdk.Connector {
		return sdk.Connector{Name: "c", Actions: []sdk.Action{act}}
	}, sdktest.Options{Actions: map[string]sdktest.Trial{"say": {
		Input: sdk.Fields{{Name: "word", Value: json.RawMessage(`"a"`)}},
		HTTP:  func(*sdk.Request, []byte) sdktest.Reply { return sdktest.Reply{} },
	}}})
}
