package sdk_test

import (
	"bytes"
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

// Each byte is looked at wherever it stands among others.
func TestEncodeTexts(t *testing.T) {
	t.Parallel()
	for n := range 19 {
		for _, odd := range []string{`"`, `\`, "\n", "\x00", "\x1f", "\x7f", "é", "\u2028", "\U0001F600"} {
			text := strings.Repeat("a", n) + odd + strings.Repeat("b", 18-n)
			got, err := sdk.Encode(text)
			var back string
			if err := errors.Join(err, json.Unmarshal(got, &back)); err != nil || back != text {
				t.Errorf("%q is written as %s: %v", text, got, err)
			}
		}
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

// A config is read once for many calls; what one call does to its own doesn't
// reach the next.
func TestConfigsShareNothing(t *testing.T) {
	t.Parallel()
	type plain struct {
		Count int
		Since time.Time `json:",omitzero"`
	}
	type deep struct {
		Tags  []string
		Count *int
	}
	flat := sdk.Poll("p", "", func(_ context.Context, _ sdk.Host, c plain, _ sdk.Cursor) (sdk.Batch[item], error) {
		c.Count++
		return sdk.Batch[item]{Cursor: sdk.Cursor(fmt.Sprint(c.Count, c.Since.Year()))}, nil
	})
	lists := sdk.Poll("p", "", func(_ context.Context, _ sdk.Host, c deep, _ sdk.Cursor) (sdk.Batch[item], error) {
		c.Tags[0] += "+"
		*c.Count++
		return sdk.Batch[item]{Cursor: sdk.Cursor(fmt.Sprint(c.Tags, *c.Count))}, nil
	})
	for _, tt := range []struct {
		trigger      sdk.Trigger
		config, want string
	}{
		{flat, `{"count":1}`, "2 1"},
		{flat, `{"count":1}`, "2 1"},
		{flat, `{"count":1,"since":"2026-01-02T03:04:05Z"}`, "2 2026"},
		{flat, `{"count":2}`, "3 1"},
		{flat, `{"count":"2"}`, ""},
		{flat, `{"count":2}`, "3 1"},
		{lists, `{"tags":["a"],"count":1}`, "[a+] 2"},
		{lists, `{"tags":["a"],"count":1}`, "[a+] 2"},
	} {
		b, err := tt.trigger.Poll(t.Context(), nil, sdk.PollCall{Config: json.RawMessage(tt.config)})
		if string(b.Cursor) != tt.want || (err != nil) != (tt.want == "") {
			t.Errorf("%s: %q, %v; %q is wanted", tt.config, b.Cursor, err, tt.want)
		}
	}
}

// Whoever gives many events gives each its own bytes.
func TestEventsDontOverlap(t *testing.T) {
	t.Parallel()
	tr := sdk.Poll("p", "", func(context.Context, sdk.Host, struct{}, sdk.Cursor) (b sdk.Batch[item], err error) {
		for n := range 40 {
			b.Add("", item{ID: strings.Repeat(string(rune('a'+n%26)), 97*n)})
		}
		return b, nil
	})
	b, err := tr.Poll(t.Context(), nil, sdk.PollCall{})
	if err != nil || len(b.Events) != 40 {
		t.Fatal(len(b.Events), err)
	}
	for _, ev := range b.Events {
		_ = append(ev.Data, "overwritten?"...)
	}
	for n, ev := range b.Events {
		if want := `{"id":"` + strings.Repeat(string(rune('a'+n%26)), 97*n) + `"}`; string(ev.Data) != want {
			t.Errorf("event %d is %.40s, %d bytes", n, ev.Data, len(ev.Data))
		}
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

// What is read of an object is what encoding/json reads of it, but for names that
// come twice.
func FuzzDecodeMap(f *testing.F) {
	f.Add([]byte(` {"a" : [1, {"b":"}\\""}] ,"c\u0041\\":-1.5e3,"":null, "t":true}`))
	f.Add([]byte(`{"a":1,"a":2}`))
	f.Add([]byte("\f{}"))
	f.Add([]byte("{\"\xff\":\"\\ud800\"}"))
	f.Add([]byte(`{"a":1,"b":2,"c":3,"d":4,"e":5,"f":6,"g":7,"h":8,"i":9,"j":0,"k":1,"l":2,"m":3,"n":4,"o":5,"p":6,"q":7,"b":8}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := sdk.Decode[map[string]json.RawMessage]("config", b)
		var want map[string]json.RawMessage
		switch json.Unmarshal(b, &want) {
		case nil:
			if err != nil && !strings.Contains(err.Error(), "is given twice") {
				t.Errorf("%q: %v", b, err)
			}
			if want == nil {
				want = map[string]json.RawMessage{}
			}
			if diff := cmp.Diff(want, got); err == nil && diff != "" {
				t.Errorf("%q: %s", b, diff)
			}
		default:
			if err == nil && len(bytes.Trim(b, " \t\r\n")) > 0 {
				t.Errorf("%q is taken", b)
			}
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
