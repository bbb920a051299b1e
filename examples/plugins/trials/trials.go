// Package trials holds what the conformance kit tries on the examples.
//
// It is for tests alone: the examples' own, in process, and those of package
// plugins, through both pipes. Its one rule: a trial knows no pipe.
package trials

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/tappet-dev/tappet/sdk"
	"github.com/tappet-dev/tappet/sdk/sdktest"
)

// Feed tries examples/plugins/feed.
func Feed() sdktest.Options {
	const rss = `<rss version="2.0"><channel><title>t</title>
<item><guid>1</guid><title>One</title><link>https://example.com/1</link><pubDate>Mon, 02 Nov 2026 10:00:00 GMT</pubDate></item>
<item><guid>2</guid><title>Two</title></item></channel></rss>`
	return sdktest.Options{Polls: map[string]sdktest.Poll{"new_item": {
		Config: json.RawMessage(`{"url":"https://example.com/feed"}`), Events: 2,
		Bad: []json.RawMessage{json.RawMessage(`[]`), json.RawMessage(`{"url":null}`)},
		HTTP: sdktest.Replies(map[string]sdktest.Reply{
			"GET https://example.com/feed": {Header: sdk.Header{{Name: "ETag", Value: `"v1"`}}, Body: []byte(rss)},
		}),
	}}}
}

// SSE tries examples/plugins/sse: a server that counts, from behind the id that
// the client has seen last, two events for each connection.
func SSE() sdktest.Options {
	return sdktest.Options{Streams: map[string]sdktest.StreamTrial{"event": {
		Config: json.RawMessage(`{"url":"https://example.com/events","types":["message","tick"]}`), Events: 3,
		HTTP: func(r *sdk.Request, _ []byte) sdktest.Reply {
			if r.URL != "https://example.com/events" || r.Header.Get("Accept") != "text/event-stream" {
				return sdktest.Reply{Status: 404}
			}
			last, _ := strconv.Atoi(r.Header.Get("Last-Event-ID"))
			body := fmt.Sprintf("retry: 5\n\n: hello\nid: %d\ndata: {\"n\":\ndata: %d}\n\nid: %d\r\nevent: tick\rdata: text\r\n\r\nevent: other\ndata: x\n\ndata: cut o",
				last+1, last+1, last+2)
			return sdktest.Reply{Header: sdk.Header{{Name: "Content-Type", Value: "text/event-stream"}}, Body: []byte(body)}
		},
	}}}
}

// Signed tries examples/plugins/signed.
func Signed() sdktest.Options {
	const secret = "a secret of this test"
	request := func(secret, body string) sdk.WebhookRequest {
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write([]byte(body))
		return sdk.WebhookRequest{
			Method: "POST", Path: "signed", Body: []byte(body), Header: sdk.Header{
				{Name: "x-hub-signature-256", Value: "sha256=" + hex.EncodeToString(mac.Sum(nil))},
				{Name: "x-github-delivery", Value: "d-1"},
				{Name: "x-github-event", Value: "push"},
			},
		}
	}
	other := request(secret, `{"n":1}`)
	other.Body = []byte(`{"n":2}`)
	unsigned := request(secret, `{}`)
	unsigned.Header = unsigned.Header[1:]
	return sdktest.Options{Webhooks: map[string]sdktest.Webhook{"received": {
		Config: json.RawMessage(`{}`), Secrets: map[string]string{"signed_webhook": secret},
		Bad:     []json.RawMessage{json.RawMessage(`{"header":7}`), json.RawMessage(`[]`)},
		Request: request(secret, `{"ref":"main"}`),
		Refused: []sdktest.RefusedRequest{
			{Request: request("another", `{}`), Kind: sdk.Unauthorized},
			{Request: request("", `{}`), Kind: sdk.Unauthorized},
			{Request: other, Kind: sdk.Unauthorized},
			{Request: unsigned, Kind: sdk.Unauthorized},
			{Request: request(secret, "no JSON"), Kind: sdk.Invalid},
			{Request: request(secret, "\"\xff\""), Kind: sdk.Invalid},
		},
	}}}
}

// Folder tries examples/plugins/folder on a folder of its own.
func Folder(tb testing.TB) sdktest.Options {
	tb.Helper()
	dir := tb.TempDir()
	for _, name := range []string{"a.txt", "b.txt", ".hidden.txt", "c.dat"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(name), 0o600); err != nil {
			tb.Fatal(err)
		}
	}
	config := func(path, pattern string) json.RawMessage {
		b, err := json.Marshal(map[string]string{"path": path, "pattern": pattern})
		if err != nil {
			tb.Fatal(err)
		}
		return b
	}
	return sdktest.Options{Polls: map[string]sdktest.Poll{"changed": {
		Config: config(dir, "*.txt"), Events: 2,
		Bad: []json.RawMessage{config("relative", "*"), config(dir, "[a")},
	}}}
}

// Gitea tries examples/plugins/gitea.
func Gitea() sdktest.Options {
	const token = "a token of this test"
	secrets := map[string]string{"gitea_token": token}
	api := func(r *sdk.Request, body []byte) sdktest.Reply {
		path, ok := strings.CutPrefix(r.URL, "https://git.example.com/api/v1")
		switch {
		case !ok:
			return sdktest.Reply{Status: 404}
		case r.Header.Get("Authorization") != "token "+token:
			return sdktest.Reply{Status: 401}
		case path == "/user":
			return sdktest.Reply{Body: []byte(`{"login":"ops"}`)}
		case path == "/user/repos?limit=50":
			return sdktest.Reply{Body: []byte(`[{"full_name":"ops/alerts","description":"What is wrong"},{"full_name":"ops/docs"}]`)}
		case path == "/repos/ops/alerts/issues" && r.Method == "POST" && string(body) == `{"body":"","title":"Disk full"}`:
			return sdktest.Reply{Status: 201, Body: []byte(`{"number":7,"html_url":"https://git.example.com/ops/alerts/issues/7","state":"open"}`)}
		}
		return sdktest.Reply{Status: 404}
	}
	server := json.RawMessage(`{"url":"https://git.example.com"}`)
	input := func(repository string) sdk.Fields {
		return sdk.Fields{
			{Name: "url", Value: json.RawMessage(`"https://git.example.com"`)},
			{Name: "repository", Value: json.RawMessage(strconv.Quote(repository))},
			{Name: "title", Value: json.RawMessage(`"Disk full"`)},
		}
	}
	return sdktest.Options{
		Actions: map[string]sdktest.Trial{"create_issue": {
			Input: input("ops/alerts"), HTTP: api, Secrets: secrets,
			Bad: []sdk.Fields{input("alerts"), input("ops/"), input("a/b/c")},
		}},
		Check: &sdktest.CheckTrial{Config: server, HTTP: api, Secrets: secrets, Refusal: func(*sdk.Request, []byte) sdktest.Reply {
			return sdktest.Reply{Status: 401}
		}},
		Choices: map[string]sdktest.Choice{"repositories": {Config: server, HTTP: api, Secrets: secrets}},
	}
}

// Page tries what examples/plugins/c and examples/plugins/assemblyscript write.
func Page() sdktest.Options {
	return sdktest.Options{Polls: map[string]sdktest.Poll{"changed": {
		Config: json.RawMessage(` { "url" : "https:\/\/example.com/?a=1\u0026b=\u00fc\u20ac" } `),
		HTTP: func(r *sdk.Request, _ []byte) sdktest.Reply {
			if r.Method != "GET" || r.URL != "https://example.com/?a=1&b=ü€" {
				return sdktest.Reply{Status: 404}
			}
			return sdktest.Reply{Body: []byte(strings.Repeat("a page of 100,000 bytes or so. ", 3333))}
		},
		Bad: []json.RawMessage{
			json.RawMessage(`[]`), json.RawMessage(`{"url":"x"}}`), json.RawMessage(`{"url":"x`), json.RawMessage(`{"url":"\q"}`),
			json.RawMessage(`{"url":null}`), json.RawMessage(`{"ulr":"x"}`), json.RawMessage(`{"url":"x",}`), json.RawMessage(``),
		},
	}}}
}
