package main_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tappet-dev/tappet/api/client"
)

// The secrets of the graphs that bad requests are for: two that are in rotation,
// one that was taken away, and a key.
const (
	badOld  = "whsec_dGhlIG9sZCBvbmUgb2YgdGhlIHR3byBzZWNyZXRz"
	badNew  = "whsec_dGhlIG5ldyBvbmUgb2YgdGhlIHR3byBzZWNyZXRz"
	badGone = "whsec_b25lIHRoYXQgd2FzIHRha2VuIGF3YXkgbG9uZyBhZ28="
	badKey  = "key-of-the-sender"
)

// badHooks are graphs by their webhook's config; good is the one whose sender
// does everything right.
var badHooks = map[string]string{
	"good":   "verify: {profile: standard_webhooks, secrets: [new]}",
	"signed": "verify: {profile: standard_webhooks, secrets: [old, new]}",
	"keyed":  "auth: {kind: header, header: X-Forms, secrets: [key]}",
	"token":  "auth: {kind: jwt, secrets: [key]}",
	"lost":   "verify: {profile: standard_webhooks, secrets: [lost]}",
	"near":   "ip_allow: [192.0.2.0/24]",
	"fit":    "schema: {type: object, required: [a], properties: {a: {type: integer}}}",
	"plain":  "methods: [POST, PUT]",
}

const badHookGraph = "name: %[1]s\ntrigger: {use: webhook, with: {path: '%[1]s/{id}', %[2]s}}\nsteps:\n  - {id: a, set: \"${{ trigger.method }}\"}\n"

// newBadHooks starts a server with them.
func newBadHooks(t *testing.T, args ...string) *server {
	t.Helper()
	s := start(t, "", args...)
	for name, value := range map[string]string{"old": badOld, "new": badNew, "lost": badOld, "key": badKey} {
		if _, err := s.PutSecret(t.Context(), name, value); err != nil {
			t.Fatal(err)
		}
	}
	for name, config := range badHooks {
		s.deploy(t, name, fmt.Sprintf(badHookGraph, name, config))
	}
	if err := s.DeleteSecret(t.Context(), "lost", true); err != nil {
		t.Fatal(err)
	}
	return s
}

// A request as somebody sends it.
type sentHook struct {
	method, path, body string
	header             [][2]string
	// chunked: its length isn't told.
	chunked bool
}

func (h *sentHook) add(name, value string) *sentHook {
	h.header = append(h.header, [2]string{name, value})
	return h
}

// sending is a request with JSON to a graph.
func sendingTo(graph, body string) *sentHook {
	return (&sentHook{method: http.MethodPost, path: graph + "/1", body: body}).add("Content-Type", "application/json")
}

// standard signs for a body as Standard Webhooks has it, with each of some
// secrets, at a time that is off.
func standard(body, id string, off time.Duration, secrets ...string) (fields [][2]string) {
	stamp := strconv.FormatInt(time.Now().Add(off).Unix(), 10)
	var all []string
	for _, s := range secrets {
		key, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(s, "whsec_"))
		all = append(all, "v1,"+base64.StdEncoding.EncodeToString(signature(string(key), id+"."+stamp+"."+body)))
	}
	return [][2]string{{"webhook-id", id}, {"webhook-timestamp", stamp}, {"webhook-signature", strings.Join(all, " ")}}
}

// signedBy is a request to the graph signed.
func signedBy(id string, off time.Duration, secrets ...string) *sentHook {
	const body = `{"a": 1}`
	h := sendingTo("signed", body)
	h.header = append(h.header, standard(body, id, off, secrets...)...)
	return h
}

// token is a JWT that ends at a time from now.
func signedToken(key string, life time.Duration) string {
	encode := base64.RawURLEncoding.EncodeToString
	text := encode([]byte(`{"alg":"HS256"}`)) + "." + encode(fmt.Appendf(nil, `{"exp":%d}`, time.Now().Add(life).Unix()))
	return "Bearer " + text + "." + encode(signature(key, text))
}

// formOf is a form of so many parts.
func formOf(tb testing.TB, parts int) *sentHook {
	tb.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for range parts {
		if err := w.WriteField("a", "x"); err != nil {
			tb.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return (&sentHook{method: http.MethodPost, path: "plain/1", body: b.String()}).add("Content-Type", w.FormDataContentType())
}

// bomb is zeros, compressed.
func bomb(tb testing.TB, size int64) string {
	tb.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := io.CopyN(w, zeros{}, size); err != nil {
		tb.Fatal(err)
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return b.String()
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}

// A badHook is a request, what its sender is told, and what the inbox says.
type badHook struct {
	name    string
	send    *sentHook
	status  int
	outcome string // of the inbox
	reason  string
	detail  string // part of it
}

const limitOfBody = 10 << 20

func wrongHooks(t *testing.T) []badHook {
	t.Helper()
	quoted := func(n int) string { return `"` + strings.Repeat("x", n-2) + `"` }
	deep := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	with := func(h *sentHook, change func(h *sentHook)) *sentHook {
		change(h)
		return h
	}
	// twice repeats a field.
	twice := func(h *sentHook, name string) *sentHook {
		for _, f := range slices.Clone(h.header) {
			if f[0] == name {
				h.header = append(h.header, f)
			}
		}
		return h
	}
	replayed := signedBy("msg_replayed", 0, badOld)
	return []badHook{
		// Signatures.
		{"signed rightly", signedBy("msg_1", 0, badNew), 202, "run", "", ""},
		{"the older key of two", signedBy("msg_2", 0, badOld), 202, "run", "", ""},
		{"both keys at once", signedBy("msg_3", 0, badOld, badNew), 202, "run", "", ""},
		{"a key that is gone beside one that isn't", signedBy("msg_4", 0, badGone, badNew), 202, "run", "", ""},
		{"a key that is gone", signedBy("msg_5", 0, badGone), 401, "refused", "signature", "another secret"},
		{"no signature", sendingTo("signed", `{"a": 1}`), 401, "refused", "signature", "webhook-signature is missing"},
		{"a signature of another body", with(signedBy("msg_6", 0, badNew), func(h *sentHook) { h.body = `{"a": 2}` }), 401, "refused", "signature", "another body"},
		{"a signature of another event", with(signedBy("msg_7", 0, badNew), func(h *sentHook) { h.header[1][1] = "msg_8" }), 401, "refused", "signature", "another body"},
		{"no signature of this kind", with(signedBy("msg_9", 0, badNew), func(h *sentHook) { h.header[3][1] = "v2,x" }), 401, "refused", "signature", "begins with"},
		{"a clock that is four minutes slow", signedBy("msg_10", -4*time.Minute, badNew), 202, "run", "", ""},
		{"a clock that is four minutes fast", signedBy("msg_11", 4*time.Minute, badNew), 202, "run", "", ""},
		{"a clock that is six minutes slow", signedBy("msg_12", -6*time.Minute, badNew), 401, "refused", "replay", "off the server's"},
		{"a clock that is six minutes fast", signedBy("msg_13", 6*time.Minute, badNew), 401, "refused", "replay", "off the server's"},
		{"no time", with(signedBy("msg_14", 0, badNew), func(h *sentHook) { h.header[2][1] = "yesterday" }), 401, "refused", "signature", "seconds since 1970"},
		{"an event", replayed, 202, "run", "", ""},
		{"the event again", replayed, 202, "duplicate", "", ""},
		{"the signature twice", twice(signedBy("msg_15", 0, badNew), "webhook-signature"), 401, "refused", "signature", "comes 2 times"},
		{"the id twice", twice(signedBy("msg_16", 0, badNew), "webhook-id"), 401, "refused", "signature", "comes 2 times"},
		{"the time twice", twice(signedBy("msg_17", 0, badNew), "webhook-timestamp"), 401, "refused", "signature", "comes 2 times"},
		// Credentials and networks.
		{"the key", sendingTo("keyed", `{}`).add("X-Forms", badKey), 202, "run", "", ""},
		{"another key", sendingTo("keyed", `{}`).add("X-Forms", badKey+"x"), 401, "refused", "credential", "missing or aren't known"},
		{"no key", sendingTo("keyed", `{}`), 401, "refused", "credential", "missing"},
		{"the key twice", sendingTo("keyed", `{}`).add("X-Forms", badKey).add("X-Forms", badKey), 401, "refused", "credential", "comes 2 times"},
		{"a token", sendingTo("token", `{}`).add("Authorization", signedToken(badKey, time.Minute)), 202, "run", "", ""},
		{"an expired token", sendingTo("token", `{}`).add("Authorization", signedToken(badKey, -2*time.Minute)), 401, "refused", "credential", "expired"},
		{"a token signed with another key", sendingTo("token", `{}`).add("Authorization", signedToken("x", time.Minute)), 401, "refused", "credential", "signature"},
		{"a foreign address", sendingTo("near", `{}`), 403, "refused", "network", "this address"},
		{"the secret is missing", with(signedBy("msg_18", 0, badOld), func(h *sentHook) { h.path = "lost/1" }), 503, "failed", "unavailable", `"lost"`},
		// Bodies.
		{"10 MiB", sendingTo("plain", quoted(limitOfBody)), 202, "run", "", ""},
		{"10 MiB and a byte", sendingTo("plain", quoted(limitOfBody+1)), 413, "refused", "too_large", "limits.hook_body"},
		{"10 MiB and a byte, of a length that isn't told", with(sendingTo("plain", quoted(limitOfBody+1)), func(h *sentHook) { h.chunked = true }), 413, "refused", "too_large", "limits.hook_body"},
		{"compressed", sendingTo("plain", bomb(t, 100<<20)).add("Content-Encoding", "gzip"), 415, "refused", "unsupported_media_type", "gzip"},
		{"1,000 parts", formOf(t, 1000), 202, "run", "", ""},
		{"1,001 parts", formOf(t, 1001), 413, "refused", "too_large", "more than 1000 parts"},
		{"a form without its end", with(formOf(t, 3), func(h *sentHook) { h.body = h.body[:len(h.body)-8] }), 422, "refused", "invalid", "part"},
		{"a form without a boundary", (&sentHook{method: "POST", path: "plain/1", body: "x"}).add("Content-Type", "multipart/form-data"), 422, "refused", "invalid", "boundary"},
		{"159 lists in each other", sendingTo("plain", deep(159)), 202, "run", "", ""},
		{"161 lists in each other", sendingTo("plain", deep(161)), 422, "refused", "invalid", "160"},
		{"a million lists in each other", sendingTo("plain", deep(1_000_000)), 422, "refused", "invalid", "160"},
		{"broken JSON", sendingTo("plain", `{"a": `), 422, "refused", "invalid", "not JSON"},
		{"a name twice", sendingTo("plain", `{"a": 1, "a": 2}`), 422, "refused", "invalid", "this name twice"},
		{"JSON that isn't UTF-8", sendingTo("plain", "\"\xff\""), 422, "refused", "invalid", "UTF-8"},
		{"text that isn't UTF-8", (&sentHook{method: "POST", path: "plain/1", body: "\xff"}).add("Content-Type", "text/plain"), 415, "refused", "unsupported_media_type", "UTF-8"},
		{"a parameter that isn't UTF-8", with(sendingTo("plain", `{}`), func(h *sentHook) { h.path = "plain/%FF" }), 422, "refused", "invalid", "{id}"},
		{"a charset", (&sentHook{method: "POST", path: "plain/1", body: "x"}).add("Content-Type", "text/plain; charset=utf-7"), 415, "refused", "unsupported_media_type", "utf-7"},
		{"no such method", with(sendingTo("plain", `{}`), func(h *sentHook) { h.method = http.MethodDelete }), 405, "refused", "method_not_allowed", "POST"},
		{"another shape", sendingTo("fit", `{"a": "x"}`), 422, "refused", "invalid", "/body/a"},
		{"the shape", sendingTo("fit", `{"a": 1}`), 202, "run", "", ""},
	}
}

// TestBadHooks sends webhooks all kinds of bad input: each is answered with what
// is wrong, and the inbox has what became of it and why. The sender of a good
// graph loses nothing meanwhile.
func TestBadHooks(t *testing.T) {
	t.Parallel()
	s := newBadHooks(t)
	stop := s.keepSending(t)
	first := ""
	for _, c := range wrongHooks(t) {
		t.Run(c.name, func(t *testing.T) {
			res, body := s.hand(t, c.send)
			e := s.wantAnswer(t, c, res, body)
			switch {
			case c.name == "an event":
				first = e.Run
			case c.outcome == "duplicate" && (first == "" || e.Run != first):
				t.Errorf("it is of run %q, want %q", e.Run, first)
			case c.outcome == "run" && s.ended(t, e.Run).State != "succeeded":
				t.Errorf("the run %s hasn't succeeded", e.Run)
			case c.outcome != "run" && c.outcome != "duplicate" && e.Run != "":
				t.Errorf("it is run %s", e.Run)
			}
		})
	}
	t.Run("a graph that was turned OFF", func(t *testing.T) {
		if _, err := s.Deactivate(t.Context(), "fit"); err != nil {
			t.Fatal(err)
		}
		c := badHook{send: sendingTo("fit", `{"a": 1}`), status: 503, outcome: "refused", reason: "off"}
		res, body := s.hand(t, c.send)
		s.wantAnswer(t, c, res, body)
	})
	stop()
}

// wantAnswer compares an answer, and the newest event of its graph, which it
// gives.
func (s *server) wantAnswer(t *testing.T, c badHook, res *http.Response, body []byte) client.Event {
	t.Helper()
	if res.StatusCode != c.status {
		t.Fatalf("%s: %s; %d is wanted", res.Status, body, c.status)
	}
	if c.status >= 400 {
		problem(t, res, body)
	}
	if again := c.status == 503 || c.status == 429; again != (res.Header.Get("Retry-After") != "") {
		t.Errorf("Retry-After is %q", res.Header.Get("Retry-After"))
	}
	graph, _, _ := strings.Cut(c.send.path, "/")
	page, err := s.Events(t.Context(), client.EventQuery{Graph: graph, Limit: 1})
	if err != nil || len(page.Items) != 1 {
		t.Fatalf("%d events of %s; %v", len(page.Items), graph, err)
	}
	e := page.Items[0]
	if e.Outcome != c.outcome || e.Reason != c.reason || !strings.Contains(e.Detail, c.detail) || e.Method != c.send.method {
		t.Errorf("the inbox has %s, %q, %q; want %s, %q, %q", e.Outcome, e.Reason, e.Detail, c.outcome, c.reason, c.detail)
	}
	return e
}

// dial opens a connection to the server and writes the head of a request.
func (s *server) dial(t *testing.T, h *sentHook) net.Conn {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", hostport(s.URL))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	var head strings.Builder
	fmt.Fprintf(&head, "%s /hooks/%s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n", h.method, h.path, hostport(s.URL))
	for _, f := range h.header {
		head.WriteString(f[0] + ": " + f[1] + "\r\n")
	}
	if h.chunked {
		fmt.Fprintf(&head, "Transfer-Encoding: chunked\r\n\r\n%x\r\n", len(h.body))
	} else {
		fmt.Fprintf(&head, "Content-Length: %d\r\n\r\n", len(h.body))
	}
	_, _ = io.WriteString(conn, head.String()) // the answer tells
	return conn
}

// hand sends a request by hand, since clients mend much, and whoever is refused
// in the middle of a long body must be able to read why.
func (s *server) hand(t *testing.T, h *sentHook) (*http.Response, []byte) {
	t.Helper()
	conn := s.dial(t, h)
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		_, _ = io.WriteString(conn, h.body) // it may be cut short: the answer says why
		if h.chunked {
			_, _ = io.WriteString(conn, "\r\n0\r\n\r\n")
		}
	}()
	res, body := answer(t, conn)
	_ = conn.Close()
	<-sent
	return res, body
}

func answer(t *testing.T, conn net.Conn) (*http.Response, []byte) {
	t.Helper()
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, b
}

// keepSending sends signed events to the graph good, each of which must be taken,
// until stop is called, which checks that each is one run.
func (s *server) keepSending(t *testing.T) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var n atomic.Int64
	done := make(chan struct{})
	hc := &http.Client{Timeout: patience, Transport: transport(t)}
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			body := fmt.Sprintf(`{"n": %d}`, n.Load())
			// Not ctx: what was sent is waited for.
			req, err := http.NewRequestWithContext(context.WithoutCancel(ctx), http.MethodPost, s.URL+"/hooks/good/1", strings.NewReader(body))
			if err != nil {
				t.Error(err)
				return
			}
			req.Header.Set("Content-Type", "application/json")
			for _, f := range standard(body, fmt.Sprintf("msg_good_%d", n.Load()), 0, badNew) {
				req.Header.Set(f[0], f[1])
			}
			resp, err := hc.Do(req)
			if err != nil {
				t.Errorf("good event %d: %v", n.Load(), err)
				return
			}
			b, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if err != nil || resp.StatusCode != http.StatusAccepted || strings.Contains(string(b), "duplicate") {
				t.Errorf("good event %d: %s, %v: %s", n.Load(), resp.Status, err, b)
				return
			}
			n.Add(1)
		}
	}()
	return func() {
		t.Helper()
		eventually(t, "five good events", func() (bool, any) {
			select {
			case <-done:
				return true, nil
			default:
				return n.Load() >= 5, n.Load()
			}
		})
		cancel()
		<-done
		s.idle(t)
		var runs int64
		for q := (client.RunQuery{Graph: "good", States: []string{"succeeded"}, Limit: 200}); ; {
			page, err := s.Runs(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			runs += int64(len(page.Items))
			if q.Cursor = page.NextCursor; q.Cursor == "" {
				break
			}
		}
		if runs != n.Load() {
			t.Errorf("%d good events were taken, %d of them are runs", n.Load(), runs)
		}
	}
}

// TestSlowSenders: whoever is slow is cut, whoever breaks off is noted, and more
// than there is room for is told to come again; the inbox has each.
func TestSlowSenders(t *testing.T) {
	t.Parallel()
	sink := newSlow(t)
	s := newBadHooks(t, "--limits-read-timeout", "1s", "--limits-open-runs-graph", "1", "--egress-allow", hostport(sink.URL))
	whole := strings.Repeat(" ", 100) + "1"
	for _, c := range []struct {
		badHook
		part int  // of the body that comes
		ends bool // and then the sender does
	}{
		{badHook{"a slow body", sendingTo("plain", whole), 408, "refused", "timeout", "limits.read_timeout"}, 50, false},
		{badHook{"a slow form", formOf(t, 5), 408, "refused", "timeout", "limits.hook_pace"}, 200, false},
		{badHook{"a body that breaks off", sendingTo("plain", whole), 400, "refused", "malformed", "broke off"}, 50, true},
		{badHook{"a form that breaks off", formOf(t, 5), 400, "refused", "malformed", "broke off"}, 200, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn := s.dial(t, c.send)
			if _, err := io.WriteString(conn, c.send.body[:c.part]); err != nil {
				t.Fatal(err)
			}
			if c.ends {
				if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
					t.Fatal(err)
				}
			}
			res, body := answer(t, conn)
			s.wantAnswer(t, c.badHook, res, body)
		})
	}
	t.Run("more than there is room for", func(t *testing.T) {
		s.deploy(t, "full", "name: full\ntrigger: {use: webhook, with: {path: full}}\nsteps:\n  - {id: a, use: http.post, with: {url: "+sink.URL+"/slow}}\n")
		id := s.hook(t, "full", `{}`)
		c := badHook{send: &sentHook{method: http.MethodPost, path: "full", body: "{}"}, status: 429, outcome: "refused", reason: "overloaded", detail: "open"}
		res, body := s.hand(t, c.send)
		e := s.wantAnswer(t, c, res, body)
		sink.free()
		if r := s.ended(t, id); r.State != "succeeded" {
			t.Errorf("run %s, %+v", r.State, r.Error)
		}
		if again, err := s.Reinject(t.Context(), e.ID); err != nil || s.ended(t, again).State != "succeeded" {
			t.Errorf("given in again: %v", err)
		}
	})
}

// A badConnection is a connection that isn't as it should be, and what becomes of
// the run of an event that needs it.
type badConnection struct {
	name  string
	draft client.ConnectionDraft
	// on is why the graph can't be turned ON; "": it can.
	on string
	// spoil is done once it is ON; nil: nothing.
	spoil         func(t *testing.T)
	kind, message string // of the run's error
	state, told   string // of the connection; "": there is none
}

// TestBadConnections: a graph isn't turned ON on a connection that can't work, an
// event that comes when it can't any more is taken, and its run and the connection
// say what is wrong. The sender of a good graph loses nothing meanwhile.
func TestBadConnections(t *testing.T) {
	t.Parallel()
	inside := newSink(t, func(r *http.Request, _ []byte) { t.Errorf("%s was asked for", r.URL) })
	var gone atomic.Bool
	outside := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch {
		case r.URL.Path == "/inside" && gone.Load():
			http.Redirect(w, r, inside.URL+"/token", http.StatusTemporaryRedirect)
		case r.URL.Path == "/down" && gone.Load():
			w.WriteHeader(http.StatusBadGateway)
		case r.URL.Path == "/refuses" && gone.Load():
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, `{"error": "invalid_client"}`)
		case r.URL.Path == "/service" && gone.Load():
			w.WriteHeader(http.StatusUnauthorized)
		case r.URL.Path == "/authorize":
			q := r.URL.Query()
			http.Redirect(w, r, q.Get("redirect_uri")+"?"+url.Values{"code": {"c"}, "state": {q.Get("state")}}.Encode(), http.StatusFound)
		case r.URL.Path == "/brief":
			_, _ = io.WriteString(w, `{"access_token": "t0ken-2", "expires_in": 1}`)
		default:
			_, _ = io.WriteString(w, `{"access_token": "t0ken-1", "expires_in": 3600}`)
		}
	}))
	defer outside.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := l.Addr().String()
	l.Close()
	s := newBadHooks(t, "--insecure-oauth", "--egress-host", "*=failures:off", "--egress-allow", hostport(outside.URL)+","+nobody)
	stop := s.keepSending(t)
	hosts := []string{hostport(outside.URL)}
	provider := func(address string) json.RawMessage {
		return config("grant", "client_credentials", "token_url", address, "client_id", "tappet", "client_secret", "the-secret")
	}
	pasted := client.ConnectionDraft{Kind: "oauth2", Config: config("grant", "access_token", "access_token", "t0ken-1")}
	// byBrowser makes it one that a browser has to authorise; its tokens last a
	// second, and there is nothing to refresh them with.
	byBrowser := func(t *testing.T, name string) {
		t.Helper()
		_, err := s.PutConnection(t.Context(), name, client.ConnectionDraft{Hosts: hosts, Config: config(
			"authorization_url", outside.URL+"/authorize", "token_url", outside.URL+"/brief", "client_id", "tappet")})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []badConnection{
		{
			name: "deleted", draft: client.ConnectionDraft{Kind: "bearer", Config: config("token", "t0ken-1")},
			spoil: func(t *testing.T) {
				if err := s.DeleteConnection(t.Context(), "deleted", true); err != nil {
					t.Fatal(err)
				}
			},
			kind: "not_found", message: `"deleted"`,
		},
		{
			name: "unauthorised", draft: pasted, spoil: func(t *testing.T) { byBrowser(t, "unauthorised") },
			kind: "unauthorized", message: "authorised", state: "needs_authorization", told: "no token",
		},
		{
			name: "expired", draft: pasted,
			spoil: func(t *testing.T) {
				byBrowser(t, "expired")
				a, err := s.AuthorizeConnection(t.Context(), "expired", "")
				if err != nil {
					t.Fatal(err)
				}
				if status, page := browse(t, newBrowser(t), a.URL); status != http.StatusOK {
					t.Fatalf("it isn't authorised: %d %s", status, page)
				}
				eventually(t, "the end of the token", func() (bool, any) {
					x, err := s.Connection(t.Context(), "expired")
					return err == nil && x.State != "ready", x
				})
			},
			kind: "unauthorized", message: "authorised", state: "needs_authorization", told: "no token that is good",
		},
		{
			name: "refused", draft: client.ConnectionDraft{Kind: "oauth2", Config: provider(outside.URL + "/refuses")},
			kind: "unauthorized", message: "invalid_client", state: "needs_authorization", told: "invalid_client",
		},
		{
			name: "down", draft: client.ConnectionDraft{Kind: "oauth2", Config: provider(outside.URL + "/down")},
			kind: "unavailable", message: "the provider is down", state: "failing", told: "status 502",
		},
		{
			name: "nobody", draft: client.ConnectionDraft{Kind: "oauth2", Config: provider("http://" + nobody + "/token")},
			on: "can't be asked", state: "failing", told: "can't be asked",
		},
		{
			name: "redirected", draft: client.ConnectionDraft{Kind: "oauth2", Config: provider(outside.URL + "/inside")},
			kind: "denied", message: "it redirects", state: "failing", told: "it redirects",
		},
		{
			name: "private", draft: client.ConnectionDraft{Kind: "oauth2", Config: provider(inside.URL + "/token")},
			on: "egress guard", state: "failing", told: "egress guard",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			gone.Store(false)
			c.draft.Name, c.draft.Hosts = c.name, hosts
			s.connect(t, c.draft)
			doc := fmt.Sprintf("name: %[1]s\ntrigger: {use: webhook, with: {path: %[1]s}}\nsteps:\n  - {id: a, use: http.get, connection: %[1]s, with: {url: %[2]s/service}}\n", c.name, outside.URL)
			if _, err := s.Deploy(t.Context(), c.name, []byte(doc), client.YAML); (err != nil) != (c.on != "") || err != nil && !strings.Contains(err.Error(), c.on) {
				t.Fatalf("turned ON: %v; want %q", err, c.on)
			}
			gone.Store(true)
			if c.spoil != nil {
				c.spoil(t)
			}
			if c.on == "" {
				event := &sentHook{method: http.MethodPost, path: c.name, body: "{}"}
				res, body := s.hand(t, event)
				e := s.wantAnswer(t, badHook{send: event, status: 202, outcome: "run"}, res, body)
				r := s.ended(t, e.Run)
				if r.State != "failed" || r.Error == nil || r.Error.Kind != c.kind || !strings.Contains(r.Error.Message, c.message) {
					t.Errorf("run %s, %+v; want kind %s, %q", r.State, r.Error, c.kind, c.message)
				}
			}
			x, err := s.Connection(t.Context(), c.name)
			switch {
			case c.state == "" && !client.Is(err, "not_found"):
				t.Errorf("connection %+v, %v; want none", x, err)
			case c.state != "" && (err != nil || x.State != c.state || !strings.Contains(x.Message, c.told)):
				t.Errorf("connection %s %q, %v; want %s, %q", x.State, x.Message, err, c.state, c.told)
			}
		})
	}
	stop()
}

// TestBadAuthorizations: a browser that comes without having begun, or with what
// another one began, and a provider that fails at the last step, get no token;
// the page says why, the connection stays as it is.
func TestBadAuthorizations(t *testing.T) {
	t.Parallel()
	inside := newSink(t, func(r *http.Request, _ []byte) { t.Errorf("%s was asked for", r.URL) })
	p := newProvider(t)
	down := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/authorize":
			q := r.URL.Query()
			http.Redirect(w, r, q.Get("redirect_uri")+"?"+url.Values{"code": {"c"}, "state": {q.Get("state")}}.Encode(), http.StatusFound)
		case "/inside":
			http.Redirect(w, r, inside.URL+"/token", http.StatusTemporaryRedirect)
		default:
			w.WriteHeader(http.StatusBadGateway)
		}
	}))
	defer down.Close()
	s := newBadHooks(t, "--insecure-oauth", "--egress-allow", hostport(p.URL)+","+hostport(down.URL))
	stop := s.keepSending(t)
	for name, token := range map[string]string{"good": p.URL + "/token", "down": down.URL + "/token", "redirected": down.URL + "/inside", "private": inside.URL + "/token"} {
		at := down.URL
		if name == "good" {
			at = p.URL
		}
		s.connect(t, client.ConnectionDraft{Name: name, Kind: "oauth2", Hosts: []string{hostport(p.URL)}, Config: config(
			"authorization_url", at+"/authorize", "token_url", token, "client_id", "tappet", "client_secret", "the-secret")})
	}
	// begin goes with a browser up to the callback.
	begin := func(t *testing.T, b *http.Client, name string) (callback string) {
		t.Helper()
		a, err := s.AuthorizeConnection(t.Context(), name, "")
		if err != nil {
			t.Fatal(err)
		}
		b.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
			if r.URL.Path == "/oauth/callback" {
				callback = r.URL.String()
				return http.ErrUseLastResponse
			}
			return nil
		}
		browse(t, b, a.URL)
		b.CheckRedirect = nil
		return callback
	}
	for _, c := range []struct {
		name, connection string
		open             func(t *testing.T) (status int, page string)
		status           int
		page             string
	}{
		{"a callback without a start", "good", func(t *testing.T) (int, string) {
			return browse(t, newBrowser(t), s.URL+"/oauth/callback?code=c&state=s")
		}, 400, "begin again"},
		{"a callback with nothing", "good", func(t *testing.T) (int, string) {
			return browse(t, newBrowser(t), s.URL+"/oauth/callback")
		}, 400, "begin again"},
		{"the state of another browser", "good", func(t *testing.T) (int, string) {
			other, own := newBrowser(t), newBrowser(t)
			callback := begin(t, other, "good")
			begin(t, own, "good") // it has a cookie, of its own state
			return browse(t, own, callback)
		}, 400, "another browser"},
		{"no code", "good", func(t *testing.T) (int, string) {
			b := newBrowser(t)
			u, _ := url.Parse(begin(t, b, "good"))
			q := u.Query()
			q.Del("code")
			u.RawQuery = q.Encode()
			return browse(t, b, u.String())
		}, 400, "no code"},
		{"another code", "good", func(t *testing.T) (int, string) {
			b := newBrowser(t)
			return browse(t, b, strings.Replace(begin(t, b, "good"), "code=", "code=x", 1))
		}, 403, "invalid_grant"},
		{"a user who refuses", "good", func(t *testing.T) (int, string) {
			b := newBrowser(t)
			return browse(t, b, begin(t, b, "good")+"&error=access_denied&error_description=%3Cb%3Eno")
		}, 403, "access_denied: &lt;b&gt;no"},
		{"a provider that is down", "down", func(t *testing.T) (int, string) {
			b := newBrowser(t)
			return browse(t, b, begin(t, b, "down"))
		}, 503, "the provider is down"},
		{"a token endpoint that redirects to a private address", "redirected", func(t *testing.T) (int, string) {
			b := newBrowser(t)
			return browse(t, b, begin(t, b, "redirected"))
		}, 403, "it redirects"},
		{"a token endpoint at a private address", "private", func(t *testing.T) (int, string) {
			b := newBrowser(t)
			return browse(t, b, begin(t, b, "private"))
		}, 403, "egress guard"},
	} {
		t.Run(c.name, func(t *testing.T) {
			status, page := c.open(t)
			if status != c.status || !strings.Contains(page, c.page) {
				t.Errorf("status %d, want %d and %q:\n%s", status, c.status, c.page, page)
			}
			x, err := s.Connection(t.Context(), c.connection)
			if err != nil || x.State != "needs_authorization" || slices.Contains(x.Credentials, "access_token") {
				t.Errorf("connection %+v, %v", x, err)
			}
		})
	}
	b := newBrowser(t)
	if status, page := browse(t, b, begin(t, b, "good")); status != http.StatusOK {
		t.Errorf("after all that the right browser gets %d: %s", status, page)
	}
	stop()
}
