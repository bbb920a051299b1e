package plugins_test

import (
	"encoding/json"
	"maps"
	"path/filepath"
	"slices"
	"testing"

	"github.com/tappet-dev/tappet/connectors/http"
	"github.com/tappet-dev/tappet/examples/plugins/feed/feed"
	"github.com/tappet-dev/tappet/examples/plugins/folder/folder"
	"github.com/tappet-dev/tappet/examples/plugins/gitea/gitea"
	"github.com/tappet-dev/tappet/examples/plugins/signed/signed"
	"github.com/tappet-dev/tappet/examples/plugins/sse/sse"
	"github.com/tappet-dev/tappet/examples/plugins/trials"
	"github.com/tappet-dev/tappet/plugins"
	"github.com/tappet-dev/tappet/plugins/internal/guest"
	"github.com/tappet-dev/tappet/sdk"
	"github.com/tappet-dev/tappet/sdk/sdktest"
)

// TestConformance runs the kit on each example, and on the built-in HTTP
// connector, in process and through both pipes: a connector keeps the same
// promises wherever it runs.
func TestConformance(t *testing.T) {
	t.Parallel()
	const builtin = "connectors/http/testdata/plugin"
	for _, x := range []struct {
		pkg       string
		connector func() sdk.Connector
		trial     sdktest.Options
		trusted   bool
	}{
		{guest.Feed, feed.Connector, trials.Feed(), false},
		{"examples/plugins/sse", sse.Connector, trials.SSE(), false},
		{"examples/plugins/signed", signed.Connector, trials.Signed(), false},
		{"examples/plugins/gitea", gitea.Connector, trials.Gitea(), false},
		{"examples/plugins/folder", folder.Connector, trials.Folder(t), true},
		{builtin, http.New, httpTrial(), false},
	} {
		name := x.connector().Name
		openers := map[string]func(testing.TB) sdk.Connector{
			"in process": sdktest.InProcess(x.connector),
			"native": func(tb testing.TB) sdk.Connector {
				tb.Helper()
				return loaded(tb, name, filepath.Base(x.pkg), guest.Native(tb, x.pkg))
			},
			"wasm": func(tb testing.TB) sdk.Connector {
				tb.Helper()
				return loaded(tb, name, filepath.Base(x.pkg)+".wasm", guest.WASM(tb, x.pkg))
			},
		}
		if x.trusted {
			delete(openers, "wasm") // it needs files
		}
		for _, where := range slices.Sorted(maps.Keys(openers)) {
			t.Run(name+" "+where, func(t *testing.T) {
				t.Parallel()
				c := openers[where](t)
				sdktest.Run(t, func(testing.TB) sdk.Connector { return c }, x.trial)
			})
		}
	}
}

// httpTrial tries the built-in HTTP connector's actions.
func httpTrial() sdktest.Options {
	field := func(name, value string) sdk.Field { return sdk.Field{Name: name, Value: json.RawMessage(value)} }
	url := field("url", `"https://example.com/x"`)
	in := func(more ...sdk.Field) sdk.Fields { return append(sdk.Fields{url}, more...) }
	answer := func(method, body string) sdktest.Cassette {
		return func(r *sdk.Request, got []byte) sdktest.Reply {
			if r.Method != method || r.URL != "https://example.com/x" || string(got) != body {
				return sdktest.Reply{Status: 404}
			}
			return sdktest.Reply{
				Header: sdk.Header{{Name: "Content-Type", Value: "application/json"}}, Body: []byte(`{"n":[1,2,3]}`),
			}
		}
	}
	noAddress := sdk.Fields{field("url", `"no address"`)}
	body := field("body", `{"a":[1],"b":null}`)
	return sdktest.Options{Actions: map[string]sdktest.Trial{
		"get":  {Input: in(), HTTP: answer("GET", ""), Bad: []sdk.Fields{noAddress}},
		"post": {Input: in(body), HTTP: answer("POST", `{"a":[1],"b":null}`), Bad: []sdk.Fields{noAddress}},
		"put":  {Input: in(body, field("send_nulls", "false")), HTTP: answer("PUT", `{"a":[1]}`), Bad: []sdk.Fields{noAddress}},
		"custom": {
			Input: in(field("method", `"PATCH"`), body), HTTP: answer("PATCH", `{"a":[1],"b":null}`),
			Bad: []sdk.Fields{noAddress, in(field("method", `"two words"`))},
		},
	}}
}

// loaded gives the connector of a catalogue of one file.
func loaded(tb testing.TB, name, file, path string) sdk.Connector {
	tb.Helper()
	dir := tb.TempDir()
	install(tb, dir, file, path)
	c := open(tb, dir, plugins.Options{})
	conn, ok := c.Connector(name)
	if !ok {
		tb.Fatalf("%s is not there: %v", name, states(c))
	}
	return conn
}
