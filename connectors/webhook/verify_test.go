package webhook

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tappet-dev/tappet/sdk"
)

// A gatehouse is a host with secrets and a clock.
type gatehouse struct {
	cabinet
	secrets map[string]string
	now     time.Time
	logged  []string
}

func (g *gatehouse) Now() time.Time { return g.now }

func (g *gatehouse) Secret(_ context.Context, name string) (string, error) {
	if v, ok := g.secrets[name]; ok {
		return v, nil
	}
	return "", sdk.Errorf(sdk.NotFound, "the secret %q isn't set", name)
}

func (g *gatehouse) Log(_ context.Context, _ sdk.Level, msg string, args ...any) {
	g.logged = append(g.logged, fmt.Sprint(append([]any{msg}, args...)...))
}

func (g *gatehouse) fire(t testing.TB, config string, r sdk.WebhookRequest) (sdk.RawWebhook, error) {
	t.Helper()
	if err := New().Triggers[0].Validate(json.RawMessage(config)); err != nil {
		t.Fatalf("config %s: %v", config, err)
	}
	return New().Triggers[0].Webhook(t.Context(), g, sdk.WebhookCall{Config: json.RawMessage(config), Request: r})
}

func headers(pairs ...string) (h sdk.Header) {
	for i := 0; i < len(pairs); i += 2 {
		h.Add(pairs[i], pairs[i+1])
	}
	return h
}

func post(body string, header ...string) sdk.WebhookRequest {
	return sdk.WebhookRequest{Method: "POST", Path: "p", Body: []byte(body), Header: headers(header...)}
}

const slackBody = "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar" +
	"&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2F" +
	"T1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"

// published are requests as the senders' own documents and libraries have them;
// Stripe publishes the algorithm alone: its signature was made with openssl.
var published = []struct {
	name, config, secret string
	at                   int64
	request              sdk.WebhookRequest
	key                  string
}{
	{
		"GitHub", `{"verify":{"profile":"github","secrets":["s"]}}`, "It's a Secret to Everybody", 0,
		post("Hello, World!", "Content-Type", "text/plain", "X-GitHub-Delivery", "72d3162e-cc78-11e3-81ab-4c9367dc0958",
			"X-Hub-Signature-256", "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"),
		"72d3162e-cc78-11e3-81ab-4c9367dc0958",
	},
	{
		"Stripe", `{"verify":{"profile":"stripe","secrets":["s"]}}`, "whsec_test_secret", 1492774577,
		post(`{"id":"evt_1","object":"event"}`, "Content-Type", "application/json", "Stripe-Signature",
			"t=1492774577,v0=6ffbb59b2300aae63f272406069a9788598b792a944a07aba816edb039989a39,v1=654b43d3508ecadb3f8cefc4bc7d3d2bdc5ba9e03bf2c89b2d0657a8e24e4543"),
		"evt_1",
	},
	{
		"Slack", `{"verify":{"profile":"slack","secrets":["s"]}}`, "8f742231b10e8888abcd99yyyzzz85a5", 1531420618,
		post(slackBody, "Content-Type", "application/x-www-form-urlencoded", "X-Slack-Request-Timestamp", "1531420618",
			"X-Slack-Signature", "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"), "",
	},
	{
		"Standard Webhooks", `{"verify":{"profile":"standard_webhooks","secrets":["s"]}}`, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", 1614265330,
		post(`{"test": 2432232314}`, "Content-Type", "application/json", "Webhook-Id", "msg_p5jXN8AQM9LWM0D4loKWxJek",
			"Webhook-Timestamp", "1614265330", "Webhook-Signature", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
		"msg_p5jXN8AQM9LWM0D4loKWxJek",
	},
	{
		"hmac (RFC 4231, 4.3)", `{"verify":{"profile":"hmac","secrets":["s"],"header":"X-Sum"}}`, "Jefe", 0,
		post("what do ya want for nothing?", "Content-Type", "text/plain",
			"X-Sum", "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"), "",
	},
	{
		"hmac of SHA-512 (RFC 4231, 4.3)", `{"verify":{"profile":"hmac","secrets":["s"],"header":"X-Sum","algorithm":"sha512","prefix":"x=","id_header":"X-Id"}}`, "Jefe", 0,
		post("what do ya want for nothing?", "Content-Type", "text/plain", "X-Id", "no. 7",
			"X-Sum", "x=164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737"),
		"no. 7",
	},
}

func TestPublishedSignatures(t *testing.T) {
	t.Parallel()
	for _, tt := range published {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g := &gatehouse{secrets: map[string]string{"s": tt.secret}, now: time.Unix(tt.at, 0)}
			got, err := g.fire(t, tt.config, tt.request)
			if err != nil {
				t.Fatal(err)
			}
			if len(got.Events) != 1 || got.Events[0].Key != tt.key || !strings.HasSuffix(string(got.Events[0].Data), `,"verified":true}`) {
				t.Errorf("%+v; one event with the key %q is wanted", got.Events, tt.key)
			}
			// The same request as a stream, a byte at a time.
			streamed := tt.request
			streamed.Body, streamed.Stream = nil, &dribble{strings.NewReader(string(tt.request.Body))}
			if _, err := g.fire(t, tt.config, streamed); err != nil {
				t.Errorf("as a stream: %v", err)
			}
			refusedChanges(t, g, tt.config, tt.request)
		})
	}
}

// A dribble gives a byte at a time.
type dribble struct{ r io.Reader }

func (d *dribble) Read(b []byte) (int, error) { return d.r.Read(b[:min(len(b), 1)]) }

// refusedChanges fires a good request with each of its parts spoilt.
func refusedChanges(t *testing.T, g *gatehouse, config string, good sdk.WebhookRequest) {
	t.Helper()
	refused := func(what string, g *gatehouse, r sdk.WebhookRequest, kind sdk.Kind) {
		t.Helper()
		if got, err := g.fire(t, config, r); sdk.KindOf(err) != kind || len(got.Events) > 0 {
			t.Errorf("%s: %v, %v; kind %s is wanted", what, got.Events, err, kind)
		}
	}
	other := good
	other.Body = append(bytes.Clone(good.Body), ' ')
	refused("another body", g, other, sdk.Unauthorized)
	other.Body, other.Stream = nil, bytes.NewReader(other.Body)
	refused("another stream", g, other, sdk.Unauthorized)
	refused("another secret", &gatehouse{secrets: map[string]string{"s": "c2VjcmV0c2VjcmV0"}, now: g.now}, good, sdk.Unauthorized)
	refused("no secret", &gatehouse{now: g.now}, good, sdk.Unavailable)
	v, err := readVerify(json.RawMessage(strings.TrimSuffix(strings.TrimPrefix(config, `{"verify":`), `}`)))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{v.profile.signature, v.profile.timestamp, v.profile.id} {
		if name == "" {
			continue
		}
		var without sdk.Header
		value := ""
		for _, f := range good.Header {
			if strings.EqualFold(f.Name, name) {
				value = f.Value
				continue
			}
			without.Add(f.Name, f.Value)
		}
		r := good
		r.Header = without
		refused("without "+name, g, r, sdk.Unauthorized)
		r.Header = append(append(sdk.Header{}, good.Header...), sdk.Pair{Name: strings.ToUpper(name), Value: value})
		refused(name+" twice", g, r, sdk.Unauthorized)
		for _, bad := range []string{"", " ", "x", value + "0", value + ".1", value[:len(value)-1], "é"} {
			r.Header = append(append(sdk.Header{}, without...), sdk.Pair{Name: name, Value: bad})
			refused(name+" "+strconv.Quote(bad), g, r, sdk.Unauthorized)
		}
	}
	if v.profile.tolerance == 0 {
		return
	}
	for off, kind := range map[time.Duration]sdk.Kind{
		-replayWindow: "", replayWindow: "", -replayWindow - time.Second: sdk.Unauthorized, replayWindow + time.Second: sdk.Unauthorized,
	} {
		_, err := (&gatehouse{secrets: g.secrets, now: g.now.Add(off)}).fire(t, config, good)
		if kind == "" && err != nil || kind != "" && sdk.KindOf(err) != kind {
			t.Errorf("%s off: %v, kind %q is wanted", off, err, kind)
		}
	}
}

func sign(secret, payload string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(payload))
	return hex.EncodeToString(mac.Sum(nil))
}

func TestTwoSecretsInRotation(t *testing.T) {
	t.Parallel()
	g := &gatehouse{secrets: map[string]string{"old": "old secret", "new": "new secret"}, now: time.Unix(1492774577, 0)}
	const both = `{"verify":{"profile":"stripe","secrets":["new","old"],"tolerance":"1m"}}`
	for _, tt := range []struct {
		config, signature string
		reason            string // "": it is right
	}{
		{both, "t=1492774577,v1=" + sign("old secret", "1492774577.{}"), ""},
		{both, "t=1492774577,v1=" + sign("new secret", "1492774577.{}"), ""},
		// A sender that rotates signs with both.
		{`{"verify":{"profile":"stripe","secrets":["new"]}}`, "t=1492774577,v1=" + sign("old secret", "1492774577.{}") + ",v1=" + sign("new secret", "1492774577.{}"), ""},
		{`{"verify":{"profile":"stripe","secrets":["new"]}}`, "t=1492774577,v1=" + sign("old secret", "1492774577.{}"), "signature"},
		{both, "t=1492774577,t=1492774577,v1=" + sign("old secret", "1492774577.{}"), "signature"},
		{both, "t=1492774516,v1=" + sign("old secret", "1492774516.{}"), "replay"},
		{both, "t=1492774638,v1=" + sign("old secret", "1492774638.{}"), "replay"},
		{both, "t=x,v1=" + sign("old secret", "x.{}"), "signature"},
		{both, "t=1492774577" + strings.Repeat(",v1="+sign("old secret", "1492774577.{}"), maxSignatures), "signature"},
	} {
		_, err := g.fire(t, tt.config, post("{}", "Content-Type", "application/json", "Stripe-Signature", tt.signature))
		if (tt.reason == "") != (err == nil) || sdk.ReasonOf(err) != tt.reason || err != nil && sdk.KindOf(err) != sdk.Unauthorized {
			t.Errorf("%s %s: %v", tt.config, tt.signature, err)
		}
	}
}

func TestObservingTakesWhatIsntRight(t *testing.T) {
	t.Parallel()
	const config = `{"verify":{"profile":"github","secrets":["s"],"mode":"observe"}}`
	for name, tt := range map[string]struct {
		request sdk.WebhookRequest
		ok      bool
	}{
		"right":   {post("{}", "X-GitHub-Delivery", "d", "X-Hub-Signature-256", "sha256="+sign("good secret", "{}")), true},
		"wrong":   {post("{}", "X-GitHub-Delivery", "d", "X-Hub-Signature-256", "sha256="+sign("bad secret", "{}")), false},
		"missing": {post("{}", "X-GitHub-Delivery", "d"), false},
		"a stream": {sdk.WebhookRequest{
			Stream: strings.NewReader("\xff"), Header: headers("X-GitHub-Delivery", "d", "X-Hub-Signature-256", "sha256="+sign("bad secret", "\xff")),
		}, false},
	} {
		g := &gatehouse{secrets: map[string]string{"s": "good secret"}}
		got, err := g.fire(t, config, tt.request)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		key := map[bool]string{true: "d"}[tt.ok] // an id that nobody vouches for tells nothing apart
		ev := got.Events[0]
		if ev.Key != key || !strings.HasSuffix(string(ev.Data), fmt.Sprintf(`,"verified":%t}`, tt.ok)) || len(g.logged) == 0 != tt.ok {
			t.Errorf("%s: key %q, event %s, log %q", name, ev.Key, ev.Data, g.logged)
		}
	}
}

func TestAFormIsSignedAsItCame(t *testing.T) {
	t.Parallel()
	const config = `{"verify":{"profile":"hmac","secrets":["s"],"header":"X-Sum","payload":"{id}:{timestamp}:{body}.end","timestamp_header":"X-Time","id_header":"X-Id"}}`
	body := crlf("--x\nContent-Disposition: form-data; name=\"f\"; filename=\"a\"\n\nbytes\n--x--\nepilogue")
	for signedBody, ok := range map[string]bool{body: true, body + "x": false} {
		g := &gatehouse{secrets: map[string]string{"s": "good secret"}, now: time.Unix(1492774577, 0)}
		h := headers("Content-Type", boundary, "X-Time", "1492774577", "X-Id", "a-1", "X-Sum", sign("good secret", "a-1:1492774577:"+signedBody+".end"))
		got, err := g.fire(t, config, sdk.WebhookRequest{Stream: strings.NewReader(body), Header: h})
		if ok && (err != nil || got.Events[0].Key != "a-1" || g.bytes[0] != "bytes") || !ok && sdk.KindOf(err) != sdk.Unauthorized {
			t.Errorf("right %t: %+v, %v", ok, got, err)
		}
	}
}

func TestWhatIsGivenInAgainIsntChecked(t *testing.T) {
	t.Parallel()
	const config = `{"verify":{"profile":"github","secrets":["s"]},"auth":{"kind":"bearer","secrets":["s"]},"ip_allow":["192.0.2.1"]}`
	call := sdk.WebhookCall{Config: json.RawMessage(config), Request: post("{}", "Authorization", "***")}
	if got, err := New().Triggers[0].Webhook(t.Context(), &gatehouse{}, call); err == nil {
		t.Fatalf("taken from anyone: %+v", got)
	}
	call.Trusted = true
	got, err := New().Triggers[0].Webhook(t.Context(), &gatehouse{}, call)
	if err != nil || len(got.Events) != 1 || got.Events[0].Key != "" || !strings.HasSuffix(string(got.Events[0].Data), `,"verified":false}`) {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestSlackAsksWhetherWeAreThere(t *testing.T) {
	t.Parallel()
	g := &gatehouse{secrets: map[string]string{"s": "good secret"}, now: time.Unix(1531420618, 0)}
	const config = `{"verify":{"profile":"slack","secrets":["s"]}}`
	body := `{"token":"x","challenge":"3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P","type":"url_verification"}`
	for secret, ok := range map[string]bool{"good secret": true, "bad secret": false} {
		got, err := g.fire(t, config, post(body, "Content-Type", "application/json", "X-Slack-Request-Timestamp", "1531420618",
			"X-Slack-Signature", "v0="+sign(secret, "v0:1531420618:"+body)))
		if ok && (err != nil || len(got.Events) > 0 || string(got.Answer.Body) != "3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P") ||
			!ok && sdk.KindOf(err) != sdk.Unauthorized {
			t.Errorf("%s: %+v, %v", secret, got, err)
		}
	}
}

func TestConfigsThatCantBe(t *testing.T) {
	t.Parallel()
	for config, says := range map[string]string{
		`{"verify":{"profile":"gitlab","secrets":["s"]}}`:                                                                            "none of github",
		`{"verify":{"profile":"github","secrets":[]}}`:                                                                               "1 to 8",
		`{"verify":{"profile":"github","secrets":["s"],"header":"X"}}`:                                                               "are for hmac",
		`{"verify":{"profile":"github","secrets":["s"],"tolerance":"5m"}}`:                                                           "has no time",
		`{"verify":{"profile":"slack","secrets":["s"],"tolerance":"25h"}}`:                                                           "no duration",
		`{"verify":{"profile":"slack","secrets":["s"],"mode":"ignore"}}`:                                                             "neither enforce nor observe",
		`{"verify":{"profile":"hmac","secrets":["s"]}}`:                                                                              "header",
		`{"verify":{"profile":"hmac","secrets":["s"],"header":"X","algorithm":"md5"}}`:                                               "neither sha256",
		`{"verify":{"profile":"hmac","secrets":["s"],"header":"X","encoding":"rot13"}}`:                                              "neither hex",
		`{"verify":{"profile":"hmac","secrets":["s"],"header":"X","payload":"x"}}`:                                                   "{body} must stand",
		`{"verify":{"profile":"hmac","secrets":["s"],"header":"X","payload":"{timestamp}.{body}"}}`:                                  "belong together",
		`{"verify":{"profile":"hmac","secrets":["s"],"header":"X","timestamp_header":"Y"}}`:                                          "belong together",
		`{"verify":{"profile":"hmac","secrets":["s"],"header":"X","payload":"{id}.{body}"}}`:                                         "wants an id_header",
		`{"verify":{"profile":"hmac","secrets":["s"],"header":"X","payload":"{id}{body}","id_header":"Y"}}`:                          "behind {id}",
		`{"verify":{"profile":"hmac","secrets":["s"],"header":"X","payload":"{id}-{body}","id_header":"Y"}}`:                         "behind {id}",
		`{"auth":{"kind":"digest","secrets":["s"]}}`:                                                                                 "none of none",
		`{"auth":{"kind":"bearer"}}`:                                                                                                 "1 to 8",
		`{"auth":{"kind":"basic","secrets":["s"]}}`:                                                                                  "username",
		`{"auth":{"kind":"basic","secrets":["s"],"username":"a:b"}}`:                                                                 "username",
		`{"auth":{"kind":"header","secrets":["s"]}}`:                                                                                 "header",
		`{"auth":{"kind":"jwt","algorithm":"RS256"}}`:                                                                                "public_keys",
		`{"auth":{"kind":"jwt","algorithm":"RS256","secrets":["s"],"public_keys":["x"]}}`:                                            "is checked with public_keys",
		`{"auth":{"kind":"jwt","public_keys":["x"],"secrets":["s"]}}`:                                                                "are for the algorithms",
		`{"auth":{"kind":"jwt","algorithm":"ES256","public_keys":["x"]}}`:                                                            "isn't PEM",
		`{"auth":{"kind":"jwt","algorithm":"ES256","public_keys":["-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"]}}`: "no public key",
		`{"ip_allow":["example.com"]}`:                                                                                               "neither an address",
		`{"ip_allow":["192.0.2.1/24"]}`:                                                                                              "neither an address",
	} {
		if err := New().Triggers[0].Validate(json.RawMessage(config)); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want it to say %q", config, err, says)
		}
	}
	if err := New().Triggers[0].Validate(json.RawMessage(`{"auth":{"kind":"none"},"ip_allow":["192.0.2.0/24"]}`)); err != nil {
		t.Errorf("a config that can be: %v", err)
	}
}

func TestTheConfigsSecretsAreNamed(t *testing.T) {
	t.Parallel()
	got := New().Triggers[0].Secrets(json.RawMessage(`{"auth":{"kind":"bearer","secrets":["a"]},"verify":{"profile":"github","secrets":["b","c"]}}`))
	if strings.Join(got, " ") != "a b c" {
		t.Errorf("secrets %q", got)
	}
	for config, want := range map[string]string{
		`{"auth":{"kind":"header","header":"X-Pin","secrets":["a"]}}`: "X-Pin", `{"auth":{"kind":"basic","username":"u","secrets":["a"]}}`: "Authorization",
		`{"auth":{"kind":"none"}}`: "", `{"verify":{"profile":"hmac","header":"X-Sum","secrets":["b"]}}`: "", `{"auth":5}`: "",
	} {
		if got := strings.Join(New().Triggers[0].Credentials(json.RawMessage(config)), " "); got != want {
			t.Errorf("%s: the fields of credentials are %q, want %q", config, got, want)
		}
	}
}

func FuzzSignature(f *testing.F) {
	for i, tt := range published {
		for _, h := range tt.request.Header {
			f.Add(i, h.Value, h.Value)
		}
	}
	f.Fuzz(func(t *testing.T, which int, signature, stamp string) {
		tt := published[uint(which)%uint(len(published))]
		g := &gatehouse{secrets: map[string]string{"s": tt.secret + "x="}, now: time.Unix(tt.at, 0)}
		c, err := readConfig([]byte(tt.config))
		if err != nil {
			t.Fatal(err)
		}
		p := &c.verify.profile
		r := post(string(tt.request.Body), p.signature, signature, p.timestamp, stamp, p.id, stamp)
		if _, err := g.fire(t, tt.config, r); err == nil {
			t.Fatalf("%s: a signature was taken that was made with another secret: %q", tt.name, signature)
		}
	})
}

func BenchmarkSignature(b *testing.B) {
	for _, tt := range published {
		b.Run(tt.name, func(b *testing.B) {
			g := &gatehouse{secrets: map[string]string{"s": tt.secret}, now: time.Unix(tt.at, 0)}
			call := sdk.WebhookCall{Config: json.RawMessage(tt.config), Request: tt.request}
			do := New().Triggers[0].Webhook
			b.ReportAllocs()
			for b.Loop() {
				if _, err := do(context.Background(), g, call); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
