package feed_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tappet-dev/tappet/examples/plugins/feed/feed"
	"github.com/tappet-dev/tappet/sdk"
	"github.com/tappet-dev/tappet/sdk/sdktest"
)

var update = flag.Bool("update", false, "rewrite the golden files")

const (
	address = "https://example.com/feed"
	config  = `{"url":"` + address + `"}`
)

func open(testing.TB) sdk.Connector { return feed.Connector() }

// serving answers with a file, and with 304 to who has it.
func serving(tb testing.TB, file string) sdktest.Cassette {
	tb.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", file))
	if err != nil {
		tb.Fatal(err)
	}
	return func(r *sdk.Request, _ []byte) sdktest.Reply {
		switch {
		case r.URL != address:
			return sdktest.Reply{Status: 404}
		case r.Header.Get("If-None-Match") == `"v1"`:
			return sdktest.Reply{Status: 304}
		}
		return sdktest.Reply{Header: sdk.Header{{Name: "etag", Value: `"v1"`}}, Body: b}
	}
}

func TestConformance(t *testing.T) {
	t.Parallel()
	sdktest.Run(t, open, sdktest.Options{Polls: map[string]sdktest.Poll{"new_item": {
		Config: json.RawMessage(config), HTTP: serving(t, "rss.xml"), Events: 3,
		Bad: []json.RawMessage{json.RawMessage(`[]`), json.RawMessage(`{"url":null}`)},
	}}})
}

func TestItems(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"rss", "atom"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := sdktest.NewHost(t, sdktest.HostOptions{HTTP: serving(t, name+".xml")})
			got, err := sdktest.Collect(t.Context(), feed.Connector().Triggers[0], h, json.RawMessage(config), "")
			if err != nil {
				t.Fatal(err)
			}
			golden := filepath.Join("testdata", name+".golden")
			if *update {
				if err := os.WriteFile(golden, got, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestUnchangedFeedIsNotSentAgain(t *testing.T) {
	t.Parallel()
	h := sdktest.NewHost(t, sdktest.HostOptions{HTTP: serving(t, "rss.xml")})
	poll := feed.Connector().Triggers[0].Poll
	call := sdk.PollCall{Trigger: "new_item", Config: json.RawMessage(config)}
	first, err := poll(t.Context(), h, call)
	if err != nil {
		t.Fatal(err)
	}
	call.Cursor = first.Cursor
	second, err := poll(t.Context(), h, call)
	if err != nil || len(second.Events) > 0 || second.Cursor != first.Cursor || h.Exchanges()[1].Status != 304 {
		t.Errorf("%d events, cursor %q, %v", len(second.Events), second.Cursor, err)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		about string
		reply sdktest.Reply
		kind  sdk.Kind
		text  string
	}{
		{"gone", sdktest.Reply{Status: 410}, sdk.NotFound, "status 410"},
		{"busy", sdktest.Reply{Status: 429, Header: sdk.Header{{Name: "Retry-After", Value: "7"}}}, sdk.RateLimited, "status 429"},
		{"down", sdktest.Reply{Status: 503}, sdk.Unavailable, "status 503"},
		{"a page", sdktest.Reply{Body: []byte("<html><body>hi</body></html>")}, sdk.Failed, "<html>, neither"},
		{"no XML", sdktest.Reply{Body: []byte("hello")}, sdk.Failed, "not XML"},
		{"cut off", sdktest.Reply{Body: []byte("<rss><channel><item>")}, sdk.Failed, "read the feed"},
		{"other charset", sdktest.Reply{Body: []byte(`<?xml version="1.0" encoding="klingon"?><rss/>`)}, sdk.Failed, "klingon"},
		{"too much", sdktest.Reply{Body: bytes.Repeat([]byte(" "), 8<<20+1)}, sdk.TooLarge, "8388608"},
	} {
		t.Run(tt.about, func(t *testing.T) {
			t.Parallel()
			h := sdktest.NewHost(t, sdktest.HostOptions{HTTP: func(*sdk.Request, []byte) sdktest.Reply { return tt.reply }})
			_, err := feed.Connector().Triggers[0].Poll(t.Context(), h, sdk.PollCall{Config: json.RawMessage(config)})
			if sdk.KindOf(err) != tt.kind || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("%v; kind %s with %q is wanted", err, tt.kind, tt.text)
			}
		})
	}
}

func FuzzFeed(f *testing.F) {
	for _, name := range []string{"rss.xml", "atom.xml"} {
		b, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte("<?xml version='1.0' encoding='windows-1252'?><rss><channel><item><title>\x80\xff</title></item></channel></rss>"))
	tr := feed.Connector().Triggers[0]
	f.Fuzz(func(t *testing.T, b []byte) {
		h := sdktest.NewHost(t, sdktest.HostOptions{HTTP: func(*sdk.Request, []byte) sdktest.Reply { return sdktest.Reply{Body: b} }})
		batch, err := tr.Poll(context.Background(), h, sdk.PollCall{Config: json.RawMessage(config)})
		if err != nil {
			return
		}
		for _, e := range batch.Events {
			if err := sdktest.Fits(tr.Event, e.Data); err != nil || e.Key == "" || len(e.Key) > 1024 {
				t.Errorf("key %q, %v", e.Key, err)
			}
		}
	})
}

func BenchmarkPoll(b *testing.B) {
	h := sdktest.NewHost(b, sdktest.HostOptions{HTTP: serving(b, "rss.xml"), Now: time.Unix(0, 0)})
	tr := feed.Connector().Triggers[0]
	for b.Loop() {
		if _, err := tr.Poll(b.Context(), h, sdk.PollCall{Config: json.RawMessage(config)}); err != nil {
			b.Fatal(err)
		}
	}
}
