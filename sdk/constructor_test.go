package sdk_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tappet-dev/tappet/sdk"
)

type base struct {
	Shared string `json:",omitempty"`
}

type config struct {
	base
	URL     string       `json:"url" title:"Address" description:"Where." format:"uri"`
	Mode    string       `json:"mode" enum:"fast, slow" default:"fast"`
	Level   int          `enum:"1,2" default:"2"`
	Token   string       `json:",omitempty" secret:"true"`
	Every   sdk.Duration `json:",omitzero"`
	Since   *time.Time
	Tags    []string          `json:",omitempty"`
	Headers map[string]string `json:",omitempty"`
	Nested  *nested
	Any     json.RawMessage `json:",omitempty"`
	Skipped string          `json:"-"`
}

type nested struct {
	HTTPStatus uint8
	Ratio      float64  `json:"ratio"`
	Again      []nested `json:"again,omitempty"`
	Data       []byte   `json:",omitempty"`
}

func TestSchema(t *testing.T) {
	t.Parallel()
	want := `{"type":"object","properties":{` +
		`"shared":{"type":"string"},` +
		`"url":{"type":"string","title":"Address","description":"Where.","format":"uri"},` +
		`"mode":{"type":"string","enum":["fast","slow"],"default":"fast"},` +
		`"level":{"type":"integer","enum":[1,2],"default":2},` +
		`"token":{"type":"string","writeOnly":true},` +
		`"every":{"type":"string"},` +
		`"since":{"type":"string","format":"date-time"},` +
		`"tags":{"type":"array","items":{"type":"string"}},` +
		`"headers":{"type":"object","additionalProperties":{"type":"string"}},` +
		`"nested":{"type":"object","properties":{` +
		`"http_status":{"type":"integer","minimum":0},"ratio":{"type":"number"},` +
		`"again":{"type":"array","items":{"type":"object"}},"data":{"type":"string","contentEncoding":"base64"}},` +
		`"required":["http_status","ratio"],"additionalProperties":false},` +
		`"any":{}},"required":["url"],"additionalProperties":false}`
	got := sdk.Schema[config]()
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Error(diff)
	}
	if !json.Valid(got) {
		t.Error("not valid JSON")
	}
	for want, got := range map[string]json.RawMessage{
		`{}`: sdk.Schema[any](), `false`: sdk.Schema[chan int](), `{"type":"boolean"}`: sdk.Schema[*bool](),
	} {
		if string(got) != want {
			t.Errorf("%s, %s is wanted", got, want)
		}
	}
}

func TestDecode(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	got, err := sdk.Decode[config]("config", []byte(`{"url":"u","level":1,"every":"90s","since":"2026-01-02T03:04:05Z","tags":["a"],
		"headers":{"A":"b"},"nested":{"http_status":200,"ratio":1.5,"data":"AAE="},"any":[1],"shared":null}`))
	want := config{
		URL: "u", Mode: "fast", Level: 1, Every: sdk.Duration(90 * time.Second), Since: &at, Tags: []string{"a"},
		Headers: map[string]string{"A": "b"}, Nested: &nested{HTTPStatus: 200, Ratio: 1.5, Data: []byte{0, 1}}, Any: json.RawMessage(`[1]`),
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(config{}, base{})); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
}

func TestDecodeRefusesWithAllProblems(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		``:                          "config.url: is missing, a string is wanted",
		`[]`:                        "config: an object is wanted, not a list",
		`{"url":`:                   "config: not valid JSON",
		`{"url":"u","url":"v"}`:     `config: field "url" is given twice`,
		`{"url":null}`:              "config.url: a string is wanted, not null",
		`{"ulr":"u"}`:               `config.ulr: no such field; did you mean "url"?; config.url: is missing, a string is wanted`,
		`{"url":1,"mode":"faster"}`: `config.url: a string is wanted, not a number; config.mode: must be one of "fast","slow"`,
		`{"url":"u","nested":{"http_status":256,"ratio":"1"}}`: "config.nested.http_status: 256 does not fit uint8; config.nested.ratio: a number is wanted, not a string",
		`{"url":"u","since":"today","every":"soon"}`:           `config.since: "today" is not a time such as "2026-01-31T08:00:00Z"; config.every: "soon" is not a duration such as 30s, 5m or 1h30m`,
		`{"url":"u","tags":["a",2]}`:                           "config.tags[1]: a string is wanted, not a number",
		`{"URL":"u","url":"u"}`:                                `config.URL: no such field`,
	} {
		_, err := sdk.Decode[config]("config", []byte(in))
		if sdk.KindOf(err) != sdk.Invalid || err.Error() != want {
			t.Errorf("%s\n got %v\nwant %s", in, err, want)
		}
	}
}

func TestEncode(t *testing.T) {
	t.Parallel()
	type out struct {
		Title    string
		Link     *string
		List     []int
		Map      map[string]any
		HTML     string
		At       time.Time `json:"at,omitzero"`
		Raw      json.RawMessage
		Kind     sdk.Kind
		Duration sdk.Duration
	}
	got, err := sdk.Encode(out{
		Title: "a\"\n\x01\xff", HTML: "<&>\u2028", Map: map[string]any{"b": 1, "a": nil}, Kind: sdk.Denied,
		Duration: sdk.Duration(time.Second),
	})
	want := `{"title":"a\"\n\u0001` + "\uFFFD" + `","list":[],"map":{"a":null,"b":1},"html":"<&>` + "\u2028" + `","kind":"denied","duration":"1s"}`
	if diff := cmp.Diff(want, string(got)); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
	for name, err := range map[string]error{
		"a channel": errOf(sdk.Encode(make(chan int))),
		"infinity":  errOf(sdk.Encode([]float64{math.Inf(1)})),
	} {
		if err == nil {
			t.Errorf("%s is written", name)
		}
	}
	ring := &nested{}
	ring.Again = []nested{{}}
	ring.Again[0].Again = ring.Again
	if _, err := sdk.Encode(ring); err == nil || !strings.Contains(err.Error(), "nested more than") {
		t.Errorf("a ring: %v", err)
	}
}

func errOf(_ json.RawMessage, err error) error { return err }

type item struct{ ID string }

func TestPoll(t *testing.T) {
	t.Parallel()
	next := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	tr := sdk.Poll("items", "Items", func(_ context.Context, _ sdk.Host, c config, at sdk.Cursor) (sdk.Batch[item], error) {
		b := sdk.Batch[item]{Cursor: at + "+", Next: next}
		b.Add("k", item{ID: c.URL})
		return b, nil
	})
	got, err := tr.Poll(t.Context(), nil, sdk.PollCall{Config: json.RawMessage(`{"url":"u"}`), Cursor: "c"})
	want := sdk.RawBatch{Events: []sdk.Event{{Key: "k", Data: json.RawMessage(`{"id":"u"}`)}}, Cursor: "c+", Next: next}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
	if _, err := tr.Poll(t.Context(), nil, sdk.PollCall{}); sdk.KindOf(err) != sdk.Invalid {
		t.Errorf("%v, kind invalid is wanted", err)
	}
	if tr.Kind != sdk.KindPoll || string(tr.Event) != string(sdk.Schema[item]()) {
		t.Errorf("%+v", tr)
	}
}

func TestWebhookAndStream(t *testing.T) {
	t.Parallel()
	w := sdk.Webhook("hook", "", func(_ context.Context, _ sdk.Host, _ struct{}, r sdk.WebhookRequest) (sdk.Receipt[item], error) {
		out := sdk.Receipt[item]{Wait: true, Answer: &sdk.Answer{Status: 202}}
		out.Add("", item{ID: string(r.Body)})
		return out, nil
	})
	got, err := w.Webhook(t.Context(), nil, sdk.WebhookCall{Request: sdk.WebhookRequest{Body: []byte("b")}})
	want := sdk.RawWebhook{Events: []sdk.Event{{Data: json.RawMessage(`{"id":"b"}`)}}, Wait: true, Answer: &sdk.Answer{Status: 202}}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
	s := sdk.Stream("s", "", func(ctx context.Context, _ sdk.Host, _ struct{}, at sdk.Cursor, emit sdk.Emit[item]) error {
		return emit(ctx, at+"1", sdk.EventOf[item]{Key: "k", Data: item{ID: "x"}})
	})
	var emitted string
	err = s.Stream(t.Context(), nil, sdk.StreamCall{Cursor: "c"}, func(_ context.Context, c sdk.Cursor, ev ...sdk.Event) error {
		emitted = fmt.Sprintf("%s %s %s", c, ev[0].Key, ev[0].Data)
		return nil
	})
	if emitted != `c1 k {"id":"x"}` || err != nil {
		t.Errorf("%s, %v", emitted, err)
	}
}

func TestDo(t *testing.T) {
	t.Parallel()
	failure := errors.New("no luck")
	a := sdk.DoKeyed("act", "Act", func(_ context.Context, _ sdk.Host, in config, key string) (item, error) {
		switch in.URL {
		case "fails":
			return item{ID: "partial"}, failure
		case "fails plainly":
			return item{}, failure
		}
		return item{ID: in.URL + key + in.Mode}, nil
	})
	for _, tt := range []struct {
		url, out string
		err      error
	}{{"u", `{"id":"ukeyfast"}`, nil}, {"fails", `{"id":"partial"}`, failure}, {"fails plainly", "", failure}} {
		r, err := a.Do(t.Context(), nil, sdk.ActionCall{IdempotencyKey: "key", Input: sdk.Fields{{Name: "url", Value: json.RawMessage(`"` + tt.url + `"`)}}})
		if string(r.Output) != tt.out || !errors.Is(err, tt.err) {
			t.Errorf("%s: %s, %v", tt.url, r.Output, err)
		}
	}
	_, err := a.Do(t.Context(), nil, sdk.ActionCall{Input: sdk.Fields{{Name: "url", Value: json.RawMessage(`{`)}}})
	if sdk.KindOf(err) != sdk.Invalid || !a.Keyed {
		t.Errorf("keyed %v, %v", a.Keyed, err)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"url":"u","nested":{"again":[{}]},"any":{}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := sdk.Decode[config]("config", b)
		if err != nil {
			if sdk.KindOf(err) != sdk.Invalid {
				t.Errorf("%v, kind invalid is wanted", err)
			}
			return
		}
		out, err := sdk.Encode(v)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := sdk.Decode[config]("config", out); err != nil {
			t.Errorf("%s comes back: %v", out, err)
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	in := []byte(`{"url":"https://example.com/","tags":["a","b"],"nested":{"http_status":200,"ratio":1}}`)
	tr := sdk.Poll("p", "", func(context.Context, sdk.Host, config, sdk.Cursor) (sdk.Batch[item], error) {
		return sdk.Batch[item]{}, nil
	})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := tr.Poll(b.Context(), nil, sdk.PollCall{Config: in}); err != nil {
			b.Fatal(err)
		}
	}
}
