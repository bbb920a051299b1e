package webhook

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tappet-dev/tappet/sdk"
)

func TestFixedAnswers(t *testing.T) {
	t.Parallel()
	jsonType := sdk.Header{{Name: "Content-Type", Value: "application/json"}}
	for config, want := range map[string]*sdk.Answer{
		`{"respond":"accepted"}`:                                              nil,
		`{"respond":{}}`:                                                      {Status: 200},
		`{"respond":{"status":204}}`:                                          {Status: 204},
		`{"respond":{"body":{"ok":true}}}`:                                    {Status: 200, Header: jsonType, Body: []byte(`{"ok":true}`)},
		`{"respond":{"status":201,"body":"ok"}}`:                              {Status: 201, Header: jsonType, Body: []byte(`"ok"`)},
		`{"respond":{"body":null}}`:                                           {Status: 200, Header: jsonType, Body: []byte(`null`)},
		`{"respond":{"headers":{"X-A":"1\t2"}}}`:                              {Status: 200, Header: sdk.Header{{Name: "X-A", Value: "1\t2"}}},
		`{"respond":{"headers":{"content-type":"text/plain"},"body":"ok\n"}}`: {Status: 200, Header: sdk.Header{{Name: "content-type", Value: "text/plain"}}, Body: []byte("ok\n")},
	} {
		got, err := fire(t, config, sdk.WebhookRequest{Method: "POST"})
		if err != nil || len(got.Events) != 1 || got.Wait {
			t.Errorf("%s: %+v, %v", config, got, err)
		}
		if d := cmp.Diff(want, got.Answer); d != "" {
			t.Errorf("%s: %s", config, d)
		}
	}
	for respond, says := range map[string]string{
		`[]`:                                "nor an object",
		`"later"`:                           "neither accepted nor result",
		`{"status":199}`:                    "199 isn't from 200 to 599",
		`{"status":600}`:                    "600 isn't from 200 to 599",
		`{"status":204,"body":null}`:        "the status 204 has none",
		`{"status":304,"body":{}}`:          "the status 304 has none",
		`{"headers":{"X A":"1"}}`:           "a header's name is of letters",
		`{"headers":{"":"1"}}`:              "a header's name is of letters",
		`{"headers":{"X-A":"1\r\nX-B: 2"}}`: "has a control character",
		`{"headers":{"X-A":"\u0000"}}`:      "has a control character",
	} {
		if err := New().Triggers[0].Validate([]byte(`{"path":"p","respond":` + respond + `}`)); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want %q", respond, err, says)
		}
	}
}

func TestParametersAreInTheEvent(t *testing.T) {
	t.Parallel()
	got, err := fire(t, accepted, sdk.WebhookRequest{Method: "POST", Path: "a/b", Params: []sdk.Pair{{Name: "x", Value: "a\"/"}, {Name: "y", Value: "é"}}})
	if err != nil || !strings.Contains(string(got.Events[0].Data), `"params":{"x":"a\"/","y":"é"},`) {
		t.Errorf("%+v, %v", got, err)
	}
}
