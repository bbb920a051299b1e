package connection_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/tappet-dev/tappet/connectors/connection"
	"github.com/tappet-dev/tappet/sdk"
)

// The statements of the design that have no test of their own elsewhere, by their
// numbers.

func TestS13_CallbackURLIsComputedAndReadOnly(t *testing.T) {
	t.Parallel()
	const computed = "http://tappet.test/oauth/callback"
	h := newEndpoint(t, func(context.Context, *sdk.Request, url.Values) (int, string, error) {
		return 200, `{"access_token":"t"}`, nil
	})
	h.create(t, "oauth2", byCode, "a.example")
	shown := func(v connection.View, err error) {
		t.Helper()
		var config struct {
			URL string `json:"callback_url"`
		}
		if err != nil || json.Unmarshal(v.Config, &config) != nil || config.URL != computed {
			t.Errorf("%s, %v; want the callback URL in it", v.Config, err)
		}
	}
	shown(h.Get(t.Context(), "c"))
	for _, given := range []string{"https://evil.example/", computed, ""} {
		d := connection.Draft{Name: "d", Kind: "oauth2", Hosts: []string{"a.example"}, Config: json.RawMessage(strings.Replace(byCode, "{", `{"callback_url":`+quoted(given)+`,`, 1))}
		_, err := h.Create(t.Context(), d)
		if got := problems(t, err); got != "config.callback_url: is computed by the server and can't be written" {
			t.Errorf("created with %q: %s", given, got)
		}
		d.Name = ""
		_, err = h.Update(t.Context(), "c", d)
		if got := problems(t, err); got != "config.callback_url: is computed by the server and can't be written" {
			t.Errorf("saved with %q: %s", given, got)
		}
	}
	shown(h.Get(t.Context(), "c"))
	u, err := url.Parse(h.start(t).Location)
	if err != nil || u.Query().Get("redirect_uri") != computed {
		t.Errorf("the provider gets %s, %v", u, err)
	}
	// Without a public URL there is none.
	h = newHouse(t, func(o *connection.Options) { o.PublicURL = "" })
	if v := h.create(t, "oauth2", byCode, "a.example"); strings.Contains(string(v.Config), "callback_url") {
		t.Errorf("%s", v.Config)
	}
}

// The client secret goes to the provider, which is the control, and is seen
// nowhere else: whatever the provider repeats of it.
func TestS16_TheClientSecretIsWriteOnly(t *testing.T) {
	t.Parallel()
	const secret = "canary-9b1e"
	var came, log bytes.Buffer
	answer := `{"access_token":"t","expires_in":60}`
	h := newEndpoint(t, func(_ context.Context, _ *sdk.Request, form url.Values) (int, string, error) {
		came.WriteString(form.Get("client_secret"))
		if answer != "" {
			return 200, answer, nil
		}
		return 400, `{"error":"invalid_client","error_description":"no client with ` + secret + `"}`, nil
	}, func(o *connection.Options) { o.Log = slog.New(slog.NewTextHandler(&log, nil)) })
	config := func(more string) string {
		return `{"grant":"client_credentials","token_url":"http://op.example/token","client_id":"id","client_auth":"body"` + more + `}`
	}
	var seen []any
	see := func(v any, err error) {
		seen = append(seen, v, fmt.Sprint(err))
	}
	seen = append(seen, h.create(t, "oauth2", config(`,"client_secret":"`+secret+`"`), "a.example"))
	see(h.Get(t.Context(), "c"))
	see(h.List(t.Context()))
	see(h.Update(t.Context(), "c", connection.Draft{Config: json.RawMessage(config("")), Hosts: []string{"a.example"}})) // it stays
	see(h.Test(t.Context(), "c"))
	answer = ""
	h.pass(time.Hour)
	see(h.Test(t.Context(), "c"))
	see(h.Get(t.Context(), "c"))
	_, err := h.Do(t.Context(), "c", &sdk.Request{URL: "https://a.example/"}, service("t"))
	see(nil, err)
	see(h.Update(t.Context(), "c", connection.Draft{Config: json.RawMessage(config(`,"client_secret":"` + secret + `","x":1`)), Hosts: []string{"a.example"}}))
	r, err := h.store.Get(t.Context(), "c")
	see(r, err)
	if n := strings.Count(came.String(), secret); n != 2 {
		t.Errorf("the provider has got it %d times, want twice", n)
	}
	text, err := json.Marshal(append(seen, log.String(), string(r.Sealed)))
	if err != nil || strings.Contains(string(text), secret) || !strings.Contains(string(text), "no client with ***") {
		t.Errorf("seen: %s, %v", text, err)
	}
}

// Scopes are the provider's business: blanks, signs and other letters go as they
// are, to the authorization page and to the token URL.
func TestS17_TheScopeIsPassedVerbatim(t *testing.T) {
	t.Parallel()
	const scope = `a  b+c/é "%20`
	var came []url.Values
	h := newEndpoint(t, func(_ context.Context, _ *sdk.Request, form url.Values) (int, string, error) {
		came = append(came, form)
		return 200, `{"access_token":"t"}`, nil
	})
	h.create(t, "oauth2", strings.Replace(byCode, "{", `{"scope":`+quoted(scope)+`,`, 1), "a.example")
	s := h.start(t)
	u, err := url.Parse(s.Location)
	if err != nil || u.Query().Get("scope") != scope || len(u.Query()["scope"]) != 1 {
		t.Errorf("the authorization page gets %s, %v", s.Location, err)
	}
	if !strings.Contains(s.Location, "scope=a++b%2Bc%2F%C3%A9+%22%2520") {
		t.Errorf("%s", s.Location)
	}
	h.signIn(t)
	h = newEndpoint(t, func(_ context.Context, _ *sdk.Request, form url.Values) (int, string, error) {
		came = append(came, form)
		return 200, `{"access_token":"t"}`, nil
	})
	h.create(t, "oauth2", `{"grant":"client_credentials","token_url":"http://op.example/","client_id":"i","client_secret":"s","scope":`+quoted(scope)+`}`, "a.example")
	h.sent(t, &sdk.Request{URL: "https://a.example/"})
	// RFC 6749 has a scope in the request of a token only where there was no page.
	if len(came) != 2 || came[0].Has("scope") || came[1].Get("scope") != scope {
		t.Errorf("the token URL gets %v", came)
	}
	if v, err := h.Get(t.Context(), "c"); err != nil || !strings.Contains(string(v.Config), quoted(scope)) {
		t.Errorf("%s, %v", v.Config, err)
	}
	// None is no empty one.
	h = newHouse(t)
	h.create(t, "oauth2", byCode, "a.example")
	if s := h.start(t); strings.Contains(s.Location, "scope=") {
		t.Errorf("%s", s.Location)
	}
}

// The state is the server's own, another each time, good once and in the browser
// that began; what the user gives is carried inside of it, and is no state.
func TestS18_TheStateIsTheServersOwn(t *testing.T) {
	t.Parallel()
	for _, own := range []string{"", "mine", "mine.&=ü"} {
		exchanged := 0
		h := newEndpoint(t, func(context.Context, *sdk.Request, url.Values) (int, string, error) {
			exchanged++
			return 200, `{"access_token":"t"}`, nil
		})
		config := byCode
		if own != "" {
			config = strings.Replace(byCode, "{", `{"state":`+quoted(own)+`,`, 1)
		}
		h.create(t, "oauth2", config, "a.example")
		begin := func() (state, cookie string) {
			t.Helper()
			s := h.start(t)
			u, err := url.Parse(s.Location)
			if err != nil || len(u.Query()["state"]) != 1 {
				t.Fatalf("%s, %v", s.Location, err)
			}
			return u.Query().Get("state"), s.Cookie
		}
		first, cookie := begin()
		second, other := begin()
		random, carried, _ := strings.Cut(first, ".")
		if first == second || len(random) < 26 || carried != own { // 26 letters of base32 are 130 bits
			t.Errorf("states %q and %q, with %q inside", first, second, own)
		}
		for what, bad := range map[string][2]string{
			"the user's":         {own, cookie},
			"a guess":            {strings.Repeat("A", 26) + "." + own, cookie},
			"none":               {"", cookie},
			"cut short":          {random[:25], cookie},
			"of another browser": {second, cookie},
		} {
			if _, err := h.Callback(t.Context(), url.Values{"code": {"x"}, "state": {bad[0]}}, bad[1]); sdk.KindOf(err) != sdk.Invalid {
				t.Errorf("%s: %v, want it refused", what, err)
			}
		}
		if exchanged != 0 {
			t.Errorf("%d codes were exchanged", exchanged)
		}
		q := url.Values{"code": {"x"}, "state": {first}}
		got, err := h.Callback(t.Context(), q, cookie) // the control
		if err != nil || got.State != own || exchanged != 1 {
			t.Errorf("%+v, %v, %d exchanges", got, err, exchanged)
		}
		if _, err := h.Callback(t.Context(), q, cookie); sdk.KindOf(err) != sdk.Invalid || exchanged != 1 {
			t.Errorf("the second time: %v, %d exchanges", err, exchanged)
		}
		// The one that another browser tried is used up, in its own too.
		if _, err := h.Callback(t.Context(), url.Values{"code": {"x"}, "state": {second}}, other); sdk.KindOf(err) != sdk.Invalid {
			t.Errorf("after another browser had tried it: %v", err)
		}
	}
}
