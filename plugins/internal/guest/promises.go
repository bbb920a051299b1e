package guest

import (
	"bytes"
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tappet-dev/tappet/sdk"
	"github.com/tappet-dev/tappet/sdk/sdktest"
	"github.com/tappet-dev/tappet/sdk/wire"
)

// RunPipe tries what both pipes promise, on the traps plugin that open gives.
func RunPipe(t *testing.T, open func(tb testing.TB) sdk.Connector) {
	t.Helper()
	c := open(t)
	t.Run("an action's fields, key and result travel unchanged", func(t *testing.T) {
		in := sdk.Fields{{Name: "b", Value: json.RawMessage(`{"z": [1, "ü"]}`)}, {Name: "a", Value: json.RawMessage(`null`)}}
		r, err := Action(t, c, "echo").Do(t.Context(), sdktest.NewHost(t, sdktest.HostOptions{}), sdk.ActionCall{Action: "echo", Input: in})
		if diff := cmp.Diff(string(in.JSON()), string(r.Output)); diff != "" || err != nil {
			t.Errorf("%v\n%s", err, diff)
		}
	})
	t.Run("an input that is larger than a frame is refused", func(t *testing.T) {
		in := sdk.Fields{{Name: "a", Value: json.RawMessage(`"` + strings.Repeat("x", wire.MaxFrame) + `"`)}}
		_, err := Action(t, c, "echo").Do(t.Context(), sdktest.NewHost(t, sdktest.HostOptions{}), sdk.ActionCall{Action: "echo", Input: in})
		if sdk.KindOf(err) != sdk.TooLarge || !strings.Contains(err.Error(), "33554432") {
			t.Errorf("%.200v, kind too_large is wanted", err)
		}
		if r, err := Trap(t.Context(), t, c, "ok"); err != nil || r != `"ok"` {
			t.Errorf("the next call: %s, %v", r, err)
		}
	})
	t.Run("a webhook's request and answer travel unchanged", func(t *testing.T) { webhook(t, c) })
	t.Run("bodies of any length stream both ways", func(t *testing.T) { bodies(t, c) })
	t.Run("a response to half a body ends the sending", func(t *testing.T) { early(t, c) })
	t.Run("the host's abilities cross the pipe", func(t *testing.T) { abilities(t, c) })
	t.Run("a host is refused after its call", func(t *testing.T) {
		if _, err := Trap(t.Context(), t, c, "keep host"); err != nil {
			t.Fatal(err)
		}
		r, err := Trap(t.Context(), t, c, "use kept host")
		if err != nil || !strings.Contains(r, "after its call had returned") {
			t.Errorf("%s, %v", r, err)
		}
	})
	t.Run("a panic's stack goes to the log alone", func(t *testing.T) {
		h := sdktest.NewHost(t, sdktest.HostOptions{})
		_, err := TrapOn(t.Context(), t, c, h, "panic")
		if sdk.KindOf(err) != sdk.Panicked || strings.Contains(err.Error(), "goroutine") {
			t.Errorf("%v", err)
		}
		if l := h.Logs(); len(l) != 1 || l[0].Level != sdk.Fault || !strings.Contains(strings.Join(l[0].Args, " "), "main.trap") {
			t.Errorf("logged %v, the stack is wanted", l)
		}
	})
	t.Run("a stream emits until it is taken back", func(t *testing.T) {
		for _, name := range []string{"ticks", "waits"} {
			got := sdktest.Stream(t, Trigger(t, c, name), sdktest.NewHost(t, sdktest.HostOptions{}), nil, 1, time.Second)
			if name == "ticks" && (got[0].Key != "0" || string(got[0].Data) != `{"n":0}`) {
				t.Errorf("first event %s %s", got[0].Key, got[0].Data)
			}
		}
	})
	t.Run("calls run at the same time", func(t *testing.T) {
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				if r, err := Trap(t.Context(), t, c, "secret"); err != nil || r != `"s3cret"` {
					t.Errorf("%s, %v", r, err)
				}
			})
		}
		wg.Wait()
	})
}

func webhook(t *testing.T, c sdk.Connector) {
	t.Helper()
	got, err := Trigger(t, c, "hook").Webhook(t.Context(), sdktest.NewHost(t, sdktest.HostOptions{}), sdk.WebhookCall{
		Trigger: "hook", Config: json.RawMessage(`{}`), Request: sdk.WebhookRequest{
			Method: "PUT", Path: "a%20b", Query: "wait", Header: sdk.Header{{Name: "x-key", Value: "k1"}}, Body: []byte{0, 255, 10},
		},
	})
	want := sdk.RawWebhook{
		Events: []sdk.Event{{Key: "k1", Data: json.RawMessage(`{"n":3}`)}}, Wait: true,
		Answer: &sdk.Answer{Status: 201, Header: sdk.Header{{Name: "X-Path", Value: "a%20b"}}, Body: []byte{0, 255, 10}},
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
}

// post has the traps plugin send n bytes through h.
func post(t *testing.T, c sdk.Connector, h sdk.Host, n string) (string, error) {
	t.Helper()
	r, err := Action(t, c, "post").Do(t.Context(), h, sdk.ActionCall{
		Action: "post", IdempotencyKey: "key-7", Input: sdk.Fields{
			{Name: "url", Value: json.RawMessage(`"http://api.example.com/"`)},
			{Name: "text", Value: json.RawMessage(`"0123456789"`)},
			{Name: "repeat", Value: json.RawMessage(n)},
		},
	})
	return string(r.Output), err
}

func bodies(t *testing.T, c sdk.Connector) {
	t.Helper()
	for _, tt := range []struct {
		repeat, out string
		size        int
	}{
		{"0", `{"status":200,"bytes":0}`, 0},
		{"1", `{"status":200,"bytes":10}`, 10},
		{"50000", `{"status":200,"bytes":500000}`, 500000},
	} {
		h := sdktest.NewHost(t, sdktest.HostOptions{HTTP: func(_ *sdk.Request, body []byte) sdktest.Reply {
			return sdktest.Reply{Body: body}
		}})
		out, err := post(t, c, h, tt.repeat)
		if err != nil || out != tt.out {
			t.Errorf("%s × 10 bytes: %s, %v; %s is wanted", tt.repeat, out, err, tt.out)
			continue
		}
		x := h.Exchanges()
		if len(x) != 1 || !bytes.Equal(x[0].Body, bytes.Repeat([]byte("0123456789"), tt.size/10)) || x[0].Header.Get("idempotency-key") != "key-7" {
			t.Errorf("%s × 10 bytes: what was sent differs", tt.repeat)
		}
	}
}

func early(t *testing.T, c sdk.Connector) {
	t.Helper()
	h := &unread{Host: sdktest.NewHost(t, sdktest.HostOptions{})}
	if out, err := post(t, c, h, "50000"); err != nil || out != `{"status":413,"bytes":0}` {
		t.Errorf("%s, %v", out, err)
	}
}

func abilities(t *testing.T, c sdk.Connector) {
	t.Helper()
	h := sdktest.NewHost(t, sdktest.HostOptions{
		Secrets: map[string]string{"token": "s3cret"}, Now: time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC),
	})
	for do, want := range map[string]string{
		"secret": `"s3cret"`, "now": `"2030-01-02T03:04:05Z"`, "log": `"ok"`,
	} {
		if r, err := TrapOn(t.Context(), t, c, h, do); err != nil || r != want {
			t.Errorf("%s: %s, %v; %s is wanted", do, r, err, want)
		}
	}
	want := []sdktest.LogLine{{Level: sdk.Warn, Message: "a line", Args: []string{"n", "1", "!extra", "odd"}}}
	if diff := cmp.Diff(want, h.Logs()); diff != "" {
		t.Error(diff)
	}
	r, err := TrapOn(t.Context(), t, c, h, "clock")
	at, perr := time.Parse(`"`+time.RFC3339+`"`, r)
	if off := time.Since(at); err != nil || perr != nil || off > time.Minute || off < -time.Minute {
		t.Errorf("the plugin's own clock says %s, %v", r, err)
	}
}

// BenchmarkCalls measures the echo action of c with a field of 300 bytes.
func BenchmarkCalls(b *testing.B, c sdk.Connector) {
	b.Helper()
	BenchmarkSized(b, c, 300)
}

// BenchmarkSized measures the echo action of c with a field of size bytes.
func BenchmarkSized(b *testing.B, c sdk.Connector, size int) {
	b.Helper()
	do := Action(b, c, "echo").Do
	h := sdktest.NewHost(b, sdktest.HostOptions{})
	in := sdk.ActionCall{Action: "echo", Input: sdk.Fields{
		{Name: "text", Value: json.RawMessage(`"` + strings.Repeat("x", size-2) + `"`)},
	}}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := do(b.Context(), h, in); err != nil {
			b.Fatal(err)
		}
	}
}
