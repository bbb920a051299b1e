package webhook

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tappet-dev/tappet/sdk"
)

func fire(t testing.TB, config string, r sdk.WebhookRequest) (sdk.RawWebhook, error) {
	t.Helper()
	return New().Triggers[0].Webhook(context.Background(), &cabinet{},
		sdk.WebhookCall{Trigger: "webhook", Config: json.RawMessage(config), Request: r})
}

const accepted = `{"path":"p"}`

func TestS33_BodyOfTheEvent(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, contentType, body, want string }{
		{"json goes in as it came", "application/json", ` {"b": 1.10, "a":12345678901234567890} `, ` {"b": 1.10, "a":12345678901234567890} `},
		{"json with parameters", "Application/JSON; charset=UTF-8", `[1]`, `[1]`},
		{"json suffix", "application/cloudevents+json", `1`, `1`},
		{"byte order mark", "application/json", "\xef\xbb\xbf{}", `{}`},
		{"form", "application/x-www-form-urlencoded", "a=1&a=2&b=x+y", `{"a":["1","2"],"b":"x y"}`},
		{"text", "text/csv", "a,b\n", `"a,b\n"`},
		{"empty", "application/json", "", `null`},
		{"empty of a strange type", "image/png", "", `null`},
		{"no type, json", "", "\n{}", "\n{}"},
		{"no type, text", "", "hello", `"hello"`},
		{"xml", "application/xml", "<a b=\"1\"><c>x</c></a>", `{"a":{"@b":"1","c":"x"}}`},
		{"xml suffix", "application/atom+xml;charset=utf-8", "<a/>", `{"a":""}`},
		{"xml of another encoding", "text/xml", "<?xml version=\"1.0\" encoding=\"iso-8859-1\"?><a>\xe9</a>", `{"a":"é"}`},
		{"no type, no text", "", "\x89PNG\xff", `{"file":"f1","name":"body","type":"","size":5}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := sdk.WebhookRequest{Method: "POST", Path: "p", Body: []byte(tt.body)}
			if tt.contentType != "" {
				r.Header.Add("Content-Type", tt.contentType)
			}
			got, err := fire(t, accepted, r)
			if err != nil {
				t.Fatal(err)
			}
			var event struct {
				Body json.RawMessage `json:"body"`
			}
			data := string(got.Events[0].Data)
			if err := json.Unmarshal([]byte(data), &event); err != nil {
				t.Fatalf("%v in %s", err, data)
			}
			if !strings.HasPrefix(data, `{"body":`+tt.want+`,"headers":`) {
				t.Errorf("event is %s, want the body %s", data, tt.want)
			}
		})
	}
}

func TestS33_WholeEvent(t *testing.T) {
	t.Parallel()
	got, err := fire(t, `{"path":"a/b","respond":"result"}`, sdk.WebhookRequest{
		Method: "PUT", Path: "a/b", Query: "x=1&y=%20&x=2", Body: []byte(`{}`),
		Header: sdk.Header{
			{Name: "X-Event", Value: "done"},
			{Name: "AUTHORIZATION", Value: "Bearer s3cret"},
			{Name: "Cookie", Value: "s3cret"},
			{Name: "Proxy-Authorization", Value: "s3cret"},
			{Name: "x-event", Value: "twice"},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := sdk.RawWebhook{Wait: true, Events: []sdk.Event{{Data: json.RawMessage(
		`{"body":{},"headers":{"x-event":"done, twice"},"query":{"x":["1","2"],"y":" "},"method":"PUT","path":"a/b","params":{},"files":[]}`)}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestRefusedRequests(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, config, contentType, query, body, says string }{
		{"a name twice", accepted, "application/json", "", `{"a":1,"b":{"c":1,"c":2}}`, "body: not JSON: byte 18: the object has this name twice"},
		{"broken json", accepted, "application/json", "", `{"a":1,}`, "body: not JSON: byte 7"},
		{"not utf-8", accepted, "application/json", "", "\"\xff\"", "byte 1: the text is not UTF-8"},
		{"too deep", accepted, "application/json", "", strings.Repeat("[", 161), "byte 160: it is nested too deep"},
		{"charset", accepted, "text/plain; charset=iso-8859-1", "", "x", "send UTF-8"},
		{"binary as text", accepted, "text/plain", "", "\x89PNG\xff", "isn't UTF-8"},
		{"binary as xml", accepted, "text/xml", "", "\x89PNG\xff", "not XML"},
		{"an entity", accepted, "text/xml", "", `<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>`, "not XML"},
		{"broken query", accepted, "", "a=%zz", "", `query: key "a": "%zz" is no percent escape`},
		{"config", `{"respond":"later"}`, "", "", "", "neither accepted nor result"},
		{"raw", `{"raw":1}`, "", "", "", "neither true nor false"},
	} {
		r := sdk.WebhookRequest{Method: "POST", Query: tt.query, Body: []byte(tt.body)}
		if tt.contentType != "" {
			r.Header.Add("Content-Type", tt.contentType)
		}
		_, err := fire(t, tt.config, r)
		want := sdk.Invalid
		switch tt.name {
		case "charset", "binary as text":
			want = sdk.Unsupported
		}
		if sdk.KindOf(err) != want || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v, want kind %s saying %q", tt.name, err, want, tt.says)
		}
	}
}

func TestRawIsTheBodyAsItCame(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ config, contentType, body, want string }{
		{`{"raw":true}`, "application/json", " {\"a\":1}\n", `" {\"a\":1}\n"`},
		{`{"raw":true}`, "application/x-www-form-urlencoded", "a=%20", `"a=%20"`},
		{`{"raw":true}`, "", "", `""`},
		{`{"raw":true}`, "", "\xff", `null`},
		{`{"raw":false}`, "", "x", ""},
		{`{}`, "", "x", ""},
	} {
		r := sdk.WebhookRequest{Body: []byte(tt.body)}
		if tt.contentType != "" {
			r.Header.Add("Content-Type", tt.contentType)
		}
		got, err := fire(t, tt.config, r)
		if err != nil {
			t.Fatal(err)
		}
		var event struct {
			Raw json.RawMessage `json:"raw"`
		}
		if err := json.Unmarshal(got.Events[0].Data, &event); err != nil || string(event.Raw) != tt.want {
			t.Errorf("%s %q: raw is %s, %v; want %s", tt.config, tt.body, event.Raw, err, tt.want)
		}
	}
}

func FuzzReceive(f *testing.F) {
	f.Add("application/json", "a=1", []byte(`{"a":1}`))
	f.Add("application/x-www-form-urlencoded", "", []byte(`a=%20&b`))
	f.Add("", "", []byte("text"))
	f.Fuzz(func(t *testing.T, contentType, query string, body []byte) {
		r := sdk.WebhookRequest{Method: "POST", Path: "p", Query: query, Body: body, Header: sdk.Header{{Name: "Content-Type", Value: contentType}}}
		got, err := fire(t, accepted, r)
		if err == nil && !json.Valid(got.Events[0].Data) {
			t.Fatalf("event %q", got.Events[0].Data)
		}
	})
}

func request300() sdk.WebhookRequest {
	return sdk.WebhookRequest{
		Method: "POST", Path: "task-completed",
		Header: sdk.Header{
			{Name: "Content-Type", Value: "application/json"},
			{Name: "User-Agent", Value: "curl/8.5.0"},
			{Name: "Accept", Value: "*/*"},
			{Name: "Content-Length", Value: "300"},
		},
		Body: []byte(`{"event":"task.completed","task":{"id":"T-1042","title":"Ship it","assignee":{"name":"Zoe","email":"zoe@example.com"},"tags":["a","b","c"],"estimate":3.5,"due":null,"done":true},"project":{"id":77,"name":"Tappet"},"at":"2026-11-24T00:00:00Z","note":"` + strings.Repeat("x", 40) + `"}`),
	}
}

func TestOneAllocationForTheEventAndOneForTheList(t *testing.T) {
	r := request300()
	call := sdk.WebhookCall{Config: json.RawMessage(accepted), Request: r}
	do := New().Triggers[0].Webhook
	if n := testing.AllocsPerRun(100, func() { _, _ = do(context.Background(), nil, call) }); n > 2 {
		t.Errorf("a request of 300 bytes costs %v allocations, want 2: the event's buffer and the list", n)
	}
}

func BenchmarkReceive300(b *testing.B) {
	call := sdk.WebhookCall{Config: json.RawMessage(accepted), Request: request300()}
	do := New().Triggers[0].Webhook
	b.ReportAllocs()
	for b.Loop() {
		if _, err := do(context.Background(), nil, call); err != nil {
			b.Fatal(err)
		}
	}
}
