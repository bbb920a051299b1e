package connection_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tappet-dev/tappet/connectors/connection"
	"github.com/tappet-dev/tappet/sdk"
)

// endpoint is a token endpoint in process.
type endpoint func(ctx context.Context, r *sdk.Request, form url.Values) (status int, body string, err error)

// newEndpoint makes a house whose tokens come from an endpoint.
func newEndpoint(t testing.TB, e endpoint, change ...func(*connection.Options)) *house {
	t.Helper()
	return newHouse(t, append(change, func(o *connection.Options) {
		o.Send = func(ctx context.Context, _ *tls.Config, r *sdk.Request) (*sdk.Response, error) {
			b, err := io.ReadAll(r.Body)
			if err != nil {
				return nil, err
			}
			form, err := url.ParseQuery(string(b))
			if err != nil {
				return nil, err
			}
			status, body, err := e(ctx, r, form)
			if err != nil {
				return nil, err
			}
			return &sdk.Response{Status: status, Body: io.NopCloser(strings.NewReader(body))}, nil
		}
	})...)
}

const pastedTokens = `{"grant":"access_token","access_token":"old","refresh_token":"r0","token_url":"http://op.example/token","client_id":"id","client_secret":"marked-secret"}`

// service takes one token only.
func service(good string) connection.Doer {
	return func(_ context.Context, r *sdk.Request) (*sdk.Response, error) {
		sent := ""
		if r.Body != nil {
			b, err := io.ReadAll(r.Body)
			if err != nil {
				return nil, err
			}
			sent = string(b)
		}
		status := 401
		if r.Header.Get("Authorization") == "Bearer "+good {
			status = 200
		}
		return &sdk.Response{Status: status, Body: io.NopCloser(strings.NewReader(sent))}, nil
	}
}

func TestS12_PastedTokenIsUsedAndRefreshed(t *testing.T) {
	t.Parallel()
	asked := 0
	h := newEndpoint(t, func(_ context.Context, _ *sdk.Request, form url.Values) (int, string, error) {
		asked++
		if form.Get("refresh_token") != "r0" {
			return 400, `{"error":"invalid_grant"}`, nil
		}
		return 200, `{"access_token":"new"}`, nil
	})
	v := h.create(t, "oauth2", pastedTokens, "a.example")
	if fmt.Sprint(v.Set) != "[access_token client_secret refresh_token]" || v.State != connection.Ready {
		t.Errorf("%+v", v)
	}
	if got := h.sent(t, &sdk.Request{URL: "https://a.example/"}).Header.Get("Authorization"); got != "Bearer old" {
		t.Errorf("pasted: %q", got)
	}
	// The body is sent again, from its beginning.
	resp, err := h.Do(t.Context(), "c", body("https://a.example/", "the body"), service("new"))
	if err != nil || resp.Status != 200 {
		t.Fatal(resp, err)
	}
	if b, _ := io.ReadAll(resp.Body); string(b) != "the body" {
		t.Errorf("sent again as %q", b)
	}
	if err := resp.Body.Close(); err != nil {
		t.Error(err)
	}
	if got := h.sent(t, &sdk.Request{URL: "https://a.example/"}).Header.Get("Authorization"); got != "Bearer new" || asked != 1 {
		t.Errorf("the very next request has %q, after %d refreshes", got, asked)
	}
}

// A body that can be sent once: the refusal is the answer, and the next request
// has the new token.
func TestBodyThatCantBeSentAgain(t *testing.T) {
	t.Parallel()
	h := newEndpoint(t, func(context.Context, *sdk.Request, url.Values) (int, string, error) {
		return 200, `{"access_token":"new"}`, nil
	})
	h.create(t, "oauth2", pastedTokens, "a.example")
	r := body("https://a.example/", "once")
	r.Reopen = nil
	resp, err := h.Do(t.Context(), "c", r, service("new"))
	if err != nil || resp.Status != 401 {
		t.Fatal(resp, err)
	}
	h.Close() // waits for the refresh
	if got := h.sent(t, &sdk.Request{URL: "https://a.example/"}).Header.Get("Authorization"); got != "Bearer new" {
		t.Error(got)
	}
}

// A service that refuses every token: one refresh, one repeat, and a pause
// before the next refresh.
func TestServiceThatRefusesAlways(t *testing.T) {
	t.Parallel()
	asked, calls := 0, 0
	h := newEndpoint(t, func(context.Context, *sdk.Request, url.Values) (int, string, error) {
		asked++
		return 200, fmt.Sprintf(`{"access_token":"t%d"}`, asked), nil
	})
	h.create(t, "oauth2", pastedTokens, "a.example")
	no := func(context.Context, *sdk.Request) (*sdk.Response, error) {
		calls++
		return &sdk.Response{Status: 401, Body: http.NoBody}, nil
	}
	for range 5 {
		if resp, err := h.Do(t.Context(), "c", &sdk.Request{URL: "https://a.example/"}, no); err != nil || resp.Status != 401 {
			t.Error(resp, err)
		}
	}
	if asked != 1 || calls != 6 {
		t.Errorf("%d refreshes, %d calls; want 1 and 6", asked, calls)
	}
	h.pass(10 * time.Second)
	if _, err := h.Do(t.Context(), "c", &sdk.Request{URL: "https://a.example/"}, no); err != nil || asked != 2 {
		t.Errorf("after the pause: %d refreshes, %v", asked, err)
	}
}

func TestS15_ClientAuthentication(t *testing.T) {
	t.Parallel()
	const header = "Basic aWQlM0ExOm1hcmtlZC1zZWNyZXQ=" // id%3A1:marked-secret
	for _, tt := range []struct {
		chosen, takes, refusal string
		want                   string // what came, in order
	}{
		{"auto", "header", "", "h h"},
		{"auto", "body", `401 {"error":"invalid_client"}`, "h b b"},
		{"auto", "body", `400 {"error":"invalid_request"}`, "h b b"},
		{"auto", "body", `400 {"error":"invalid_grant"}`, "h"},
		{"header", "body", `401 {}`, "h"},
		{"body", "body", "", "b b"},
	} {
		var came []string
		h := newEndpoint(t, func(_ context.Context, r *sdk.Request, form url.Values) (int, string, error) {
			got := "header"
			switch {
			case r.Header.Get("Authorization") == header && !form.Has("client_secret"):
			case !r.Header.Has("Authorization") && form.Get("client_secret") == "marked-secret" && form.Get("client_id") == "id:1":
				got = "body"
			default:
				t.Errorf("%v %v", r.Header, form)
			}
			came = append(came, got[:1])
			if got != tt.takes {
				var status int
				var body string
				_, err := fmt.Sscanf(tt.refusal, "%d %s", &status, &body)
				return status, body, err
			}
			return 200, `{"access_token":"t","expires_in":60}`, nil
		})
		h.create(t, "oauth2", `{"grant":"client_credentials","token_url":"http://op.example/","client_id":"id:1","client_secret":"marked-secret","client_auth":"`+tt.chosen+`"}`, "a.example")
		for range 2 {
			_, _ = h.Test(t.Context(), "c")
			h.pass(time.Hour)
		}
		if got := strings.Join(came, " "); got != tt.want {
			t.Errorf("%+v: came %s", tt, got)
		}
	}
}

func TestTokenEndpointAnswers(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		status int
		body   string
		kind   sdk.Kind
		words  string
	}{
		{200, `{"access_token":"t","expires_in":"3600"}`, "", ""},
		{201, "access_token=t&expires_in=3600", "", ""},
		{200, `{"error":"bad_verification_code","error_description":"it is wrong"}`, sdk.Unauthorized, "bad_verification_code: it is wrong"},
		{400, `{"error":"invalid_client"}`, sdk.Unauthorized, "check client ID and client secret"},
		{400, "marked-secret <html>", sdk.Unauthorized, "status 400"},
		{404, "", sdk.Unauthorized, "status 404"},
		{401, `{"error":"x","error_description":"marked-secret\nr0` + strings.Repeat("y", 500) + `"}`, sdk.Unauthorized, "x: *** ***yyy"},
		{302, "", sdk.Unavailable, "status 302"},
		{200, "", sdk.Unavailable, "without an access token"},
		{200, "[]", sdk.Unavailable, "without an access token"},
		{200, `{"access_token":5}`, sdk.Unavailable, "without an access token"},
		{200, `{"access_token":"a\nb"}`, sdk.Unavailable, "characters that no token has"},
		{200, `{"access_token":"t","token_type":"DPoP"}`, sdk.Unsupported, "DPoP"},
		{200, `{"access_token":"` + strings.Repeat("t", 65<<10) + `"}`, sdk.Failed, "65536 bytes"},
		{429, "", sdk.RateLimited, "too often"},
		{500, "marked-secret", sdk.Unavailable, "status 500"},
		{503, `{"error":"x"}`, sdk.Unavailable, "status 503"},
		{400, `{"error":"temporarily_unavailable"}`, sdk.Unavailable, "down"},
	} {
		h := newEndpoint(t, func(context.Context, *sdk.Request, url.Values) (int, string, error) { return tt.status, tt.body, nil })
		h.create(t, "oauth2", strings.Replace(pastedTokens, `"access_token":"old",`, "", 1), "a.example")
		_, err := h.Do(t.Context(), "c", &sdk.Request{URL: "https://a.example/"}, service("t"))
		if tt.kind == "" && err != nil || tt.kind != "" && (sdk.KindOf(err) != tt.kind || !strings.Contains(err.Error(), tt.words)) {
			t.Errorf("%d %.60s: %v, want %s %q", tt.status, tt.body, err, tt.kind, tt.words)
		}
		if err != nil && (strings.Contains(err.Error(), "marked-secret") || len(err.Error()) > 500) {
			t.Errorf("%d %.60s: %v", tt.status, tt.body, err)
		}
	}
}

// The token endpoint redirects, through the real transport: nothing is sent on.
func TestTokenEndpointRedirects(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/token" {
			t.Errorf("the redirect to %s is followed", r.URL)
		}
		http.Redirect(w, r, "/other", http.StatusTemporaryRedirect)
	}))
	t.Cleanup(s.Close)
	h := newHouse(t)
	h.create(t, "oauth2", `{"grant":"client_credentials","client_id":"i","client_secret":"marked-secret","token_url":"`+s.URL+`/token"}`, "a.example")
	if _, _, err := h.get(t.Context(), "https://a.example/"); sdk.KindOf(err) != sdk.Denied || !strings.Contains(err.Error(), "it redirects") {
		t.Error(err)
	}
	// One at a private address is refused by the guard.
	h = newHouse(t)
	h.create(t, "oauth2", `{"grant":"client_credentials","client_id":"i","client_secret":"marked-secret","token_url":"http://10.0.0.1/token"}`, "a.example")
	if _, _, err := h.get(t.Context(), "https://a.example/"); sdk.KindOf(err) != sdk.Denied {
		t.Error(err)
	}
	h.wantState(t, connection.Failing, "the token URL can't be asked")
}

// The caller goes away in mid-refresh: the tokens of a provider that rotates
// aren't lost. And where they can't be stored, nobody sends them until they are.
func TestTokensAreNotLost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		h := newEndpoint(t, func(ctx context.Context, _ *sdk.Request, form url.Values) (int, string, error) {
			asked++
			if form.Get("refresh_token") != "r0" {
				return 400, `{"error":"invalid_grant"}`, nil
			}
			select {
			case <-time.After(5 * time.Second):
				return 200, `{"access_token":"new","refresh_token":"r1"}`, nil
			case <-ctx.Done():
				return 0, "", ctx.Err()
			}
		})
		h.create(t, "oauth2", pastedTokens, "a.example")
		h.store.broken = errors.New("the disk is full")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := h.Do(ctx, "c", &sdk.Request{URL: "https://a.example/"}, service("new")); sdk.KindOf(err) != sdk.Timeout {
			t.Errorf("the caller's end: %v", err)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if got := h.sent(t, &sdk.Request{URL: "https://a.example/"}).Header.Get("Authorization"); got != "Bearer old" {
			t.Errorf("sent before it is stored: %q", got)
		}
		h.store.mu.Lock()
		h.store.broken = nil
		h.store.mu.Unlock()
		h.pass(time.Minute)
		if resp, err := h.Do(t.Context(), "c", &sdk.Request{URL: "https://a.example/"}, service("new")); err != nil || resp.Status != 200 {
			t.Error(resp, err)
		}
		if asked != 1 {
			t.Errorf("%d refreshes, want 1", asked)
		}
		h.Close()
	})
}

// An edit while a token is refreshed: the one who waits goes on with what is
// true now, and the old refresh writes nothing.
func TestEditDuringARefresh(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		reached, answer := make(chan struct{}), make(chan struct{})
		h := newEndpoint(t, func(context.Context, *sdk.Request, url.Values) (int, string, error) {
			close(reached)
			<-answer
			return 200, `{"access_token":"late","expires_in":60}`, nil
		})
		h.create(t, "oauth2", strings.Replace(pastedTokens, `"access_token":"old",`, "", 1), "a.example")
		done, edited := make(chan string, 1), make(chan error, 1)
		go func() {
			resp, err := h.Do(t.Context(), "c", &sdk.Request{URL: "https://a.example/"}, func(_ context.Context, r *sdk.Request) (*sdk.Response, error) {
				done <- r.Header.Get("Authorization")
				return &sdk.Response{Status: 200, Body: http.NoBody}, nil
			})
			if err != nil {
				t.Error(err)
				done <- ""
				return
			}
			_ = resp.Body.Close()
		}()
		<-reached
		go func() { // waits until the refresh has been stored
			_, err := h.Update(t.Context(), "c", connection.Draft{Config: json.RawMessage(strings.Replace(pastedTokens, `"old"`, `"pasted"`, 1)), Hosts: []string{"a.example"}})
			edited <- err
		}()
		synctest.Wait()
		close(answer)
		if err := <-edited; err != nil {
			t.Fatal(err)
		}
		if got := <-done; got != "Bearer late" && got != "Bearer pasted" {
			t.Error(got)
		}
		if got := h.sent(t, &sdk.Request{URL: "https://a.example/"}).Header.Get("Authorization"); got != "Bearer pasted" {
			t.Errorf("after the edit: %q", got)
		}
		h.Close()
	})
}

// Another token URL or more hosts: neither secrets nor tokens go there.
func TestEditMovesNoTokens(t *testing.T) {
	t.Parallel()
	h := newEndpoint(t, func(context.Context, *sdk.Request, url.Values) (int, string, error) {
		t.Error("asked")
		return 500, "", nil
	})
	h.create(t, "oauth2", pastedTokens, "a.example")
	config := `{"grant":"access_token","token_url":"http://evil.example/","client_id":"id"`
	_, err := h.Update(t.Context(), "c", connection.Draft{Config: json.RawMessage(config + "}"), Hosts: []string{"a.example"}})
	if got := problems(t, err); got != "config.client_secret: has to be given again, since it may now be sent to other hosts than before" {
		t.Error(got)
	}
	_, err = h.Update(t.Context(), "c", connection.Draft{Config: json.RawMessage(config + `,"client_secret":"n"}`), Hosts: []string{"a.example"}})
	if got := problems(t, err); got != "config.access_token: is missing" {
		t.Error(got)
	}
}

func TestCloseAllowsNoMoreRefreshes(t *testing.T) {
	t.Parallel()
	h := newEndpoint(t, func(context.Context, *sdk.Request, url.Values) (int, string, error) {
		t.Error("asked")
		return 500, "", nil
	})
	h.create(t, "oauth2", strings.Replace(pastedTokens, `"access_token":"old",`, "", 1), "a.example")
	h.Close()
	if _, err := h.Do(t.Context(), "c", &sdk.Request{URL: "https://a.example/"}, service("x")); sdk.KindOf(err) != sdk.Unavailable {
		t.Error(err)
	}
	h.Close()
}

const byCode = `{"authorization_url":"http://op.example/authorize","token_url":"http://op.example/token","client_id":"id","client_secret":"marked-secret"}`

// signIn authorises the connection "c" at a provider that agrees.
func (h *house) signIn(t testing.TB) {
	t.Helper()
	s := h.start(t)
	u, err := url.Parse(s.Location)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.Callback(t.Context(), url.Values{"code": {"x"}, "state": {u.Query().Get("state")}}, s.Cookie); err != nil {
		t.Fatal(err)
	}
}

// A token that has expired and can't be refreshed is shown so, though nobody has
// used it since.
func TestATokenThatIsSpentIsShown(t *testing.T) {
	t.Parallel()
	const spent = "it has no token that is good, and none to refresh it with"
	for _, more := range []string{"", `,"refresh_token":"r"`} {
		h := newEndpoint(t, func(context.Context, *sdk.Request, url.Values) (int, string, error) {
			return 200, `{"access_token":"t","expires_in":100` + more + `}`, nil
		})
		h.create(t, "oauth2", byCode, "a.example")
		h.wantState(t, connection.NeedsAuthorization, spent)
		h.signIn(t)
		h.pass(99 * time.Second)
		h.wantState(t, connection.Ready, "")
		if got, err := h.Test(t.Context(), "c"); err != nil || !got.OK {
			t.Errorf("while it is good: %+v, %v", got, err)
		}
		h.pass(time.Hour)
		if more == "" {
			h.wantState(t, connection.NeedsAuthorization, spent)
			if views, err := h.List(t.Context()); err != nil || views[0].State != connection.NeedsAuthorization {
				t.Errorf("listed as %+v, %v", views, err)
			}
		} else { // the control: it can be refreshed
			h.wantState(t, connection.Ready, "")
		}
		got, err := h.Test(t.Context(), "c")
		if more != "" {
			if err != nil || !got.OK {
				t.Errorf("%+v, %v", got, err)
			}
			continue
		}
		if err != nil || got.OK || !strings.Contains(got.Message, spent) {
			t.Errorf("tested: %+v, %v", got, err)
		}
		if _, err := h.Do(t.Context(), "c", &sdk.Request{URL: "https://a.example/"}, service("t")); sdk.KindOf(err) != sdk.Unauthorized || !strings.Contains(err.Error(), spent) {
			t.Errorf("used: %v", err)
		}
		h.signIn(t)
		h.wantState(t, connection.Ready, "")
	}
}

// A token is refreshed from 80 % of its life on, not before, and whoever sends
// meanwhile has the old one, which is still good.
func TestATokenIsRefreshedAtEightyPercentOfItsLife(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		h := newEndpoint(t, func(context.Context, *sdk.Request, url.Values) (int, string, error) {
			asked++
			return 200, fmt.Sprintf(`{"access_token":"t%d","refresh_token":"r","expires_in":1000}`, asked), nil
		})
		h.create(t, "oauth2", byCode, "a.example")
		h.signIn(t)
		for _, step := range []struct {
			pass  time.Duration
			sent  string
			asked int
		}{
			{0, "Bearer t1", 1},
			{790 * time.Second, "Bearer t1", 1},
			{9999 * time.Millisecond, "Bearer t1", 1},
			{time.Millisecond, "Bearer t1", 2}, // 800 s
			{0, "Bearer t2", 2},
			{799 * time.Second, "Bearer t2", 2},
			{time.Hour, "Bearer t3", 3}, // past its end it is waited for
			{799 * time.Second, "", 3},  // a test
			{time.Second, "", 4},
			{0, "Bearer t4", 4},
		} {
			h.pass(step.pass)
			if step.sent == "" {
				if got, err := h.Test(t.Context(), "c"); err != nil || !got.OK || asked != step.asked {
					t.Errorf("%s later: tested: %+v, %v, asked %d times; want %d", step.pass, got, err, asked, step.asked)
				}
				synctest.Wait()
				if asked != step.asked {
					t.Errorf("%s later: the test goes on to ask", step.pass)
				}
				continue
			}
			got := h.sent(t, &sdk.Request{URL: "https://a.example/"}).Header.Get("Authorization")
			synctest.Wait()
			if got != step.sent || asked != step.asked {
				t.Errorf("%s later: sent %q, asked %d times; want %q, %d", step.pass, got, asked, step.sent, step.asked)
			}
		}
		h.Close()
	})
}
