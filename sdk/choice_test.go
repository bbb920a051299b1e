package sdk_test

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tappet-dev/tappet/sdk"
)

func TestCheckAndOptionsTakeTheirConfigTyped(t *testing.T) {
	t.Parallel()
	type server struct {
		URL string `json:"url"`
	}
	check := sdk.Check(func(_ context.Context, _ sdk.Host, s server) error {
		if s.URL != "good" {
			return sdk.Errorf(sdk.Unauthorized, "no")
		}
		return nil
	})
	options := sdk.Options("lists", "Lists", func(_ context.Context, _ sdk.Host, s server) ([]sdk.Option, error) {
		return []sdk.Option{sdk.OptionOf(7, s.URL), sdk.OptionOf(func() {}, "")}, nil
	})
	for config, want := range map[string]sdk.Kind{`{"url":"good"}`: "", `{"url":"bad"}`: sdk.Unauthorized, `{}`: sdk.Invalid, `{"url":"good","x":1}`: sdk.Invalid} {
		err := check.Do(t.Context(), nil, json.RawMessage(config))
		if (err == nil) != (want == "") || err != nil && sdk.KindOf(err) != want {
			t.Errorf("check %s: %v; kind %q is wanted", config, err, want)
		}
	}
	got, err := options.List(t.Context(), nil, sdk.ChooseCall{Options: "lists", Config: json.RawMessage(`{"url":"u"}`)})
	want := []sdk.Option{{Value: json.RawMessage("7"), Title: "u"}, {Value: json.RawMessage("null")}}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
	if _, err := options.List(t.Context(), nil, sdk.ChooseCall{Config: json.RawMessage(`[]`)}); sdk.KindOf(err) != sdk.Invalid {
		t.Errorf("options of a list: %v", err)
	}
	spec, err := json.Marshal(sdk.Connector{Name: "c", Check: check, Options: []sdk.Chooser{options}})
	if err != nil {
		t.Fatal(err)
	}
	const schema = `{"type":"object","properties":{"url":{"type":"string"}},"required":["url"],"additionalProperties":false}`
	if want := `{"name":"c","check":{"config":` + schema + `},"options":[{"name":"lists","title":"Lists","config":` + schema + `}]}`; string(spec) != want {
		t.Errorf("the spec is\n%s, want\n%s", spec, want)
	}
}
