package main_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tappet-dev/tappet/api/client"
)

// SecurityRule 05 on the way in. What webhooks' senders prove themselves with,
// rightly or wrongly, wherever in the header or the query they put it, and
// whatever becomes of the request, is in no event, run, answer, log or file. The
// control build shows that the search would find it.
func TestSec05_SendersCredentialsStayHidden(t *testing.T) {
	t.Parallel()
	if found := senderRun(t, binary(t)); len(found) > 0 {
		t.Errorf("credentials are in %v", found)
	}
	wantPlaces(t, senderRun(t, build(t, "cmd/tappet", "", "tappet_control_mask")), "data", "events")
}

// senders are the secrets of the webhooks, by the name of the secret.
var senders = map[string]string{
	"basic": "canary-pass/1 ü", "bearer": "canary-bear-2", "header": "canary-form-3", "jwt": "canary-sign-4", "github": "canary-hub-5",
	"stripe": "whsec_canary-stripe-6", "slack": "canary-slack-7", "hmac": "canary-own-8",
	"standard": "whsec_" + base64.StdEncoding.EncodeToString([]byte("canary-standard-9-of-24-bytes")),
}

// senderGraph takes requests that prove themselves as auth or verify says. Its
// filter fails for a body of text.
const senderGraph = `name: %[1]s
trigger:
  use: webhook
  with: {path: "%[1]s/{id}", respond: result, max_body: 1000, %[2]s}
  filter: trigger.body.a > 0
steps:
  - {id: all, respond: {body: "${{ trigger.body }}"}}
`

// A sender proves itself with a secret, or with another text in its place. Its
// credential, which a stranger can use, is given back; "" for a signature, which
// is good for its body alone.
type sender struct {
	config string
	prove  func(r *http.Request, body []byte, secret string) (credential string)
}

func signature(secret, content string) []byte {
	mac := hmac.New(sha256.New, []byte(secret))
	_, _ = io.WriteString(mac, content) // a hash takes everything
	return mac.Sum(nil)
}

func knownSenders() map[string]sender {
	now := strconv.FormatInt(time.Now().Unix(), 10)
	return map[string]sender{
		"basic": {"auth: {kind: basic, username: ada, secrets: [basic]}", func(r *http.Request, _ []byte, secret string) string {
			r.SetBasicAuth("ada", secret)
			return secret
		}},
		"bearer": {"auth: {kind: bearer, secrets: [bearer]}", func(r *http.Request, _ []byte, secret string) string {
			r.Header.Set("Authorization", "Bearer "+secret)
			return secret
		}},
		"header": {"auth: {kind: header, header: X-Forms, secrets: [header]}", func(r *http.Request, _ []byte, secret string) string {
			r.Header.Set("X-Forms", secret)
			return secret
		}},
		"closed": {"auth: {kind: header, header: X-Forms, secrets: [header]}, ip_allow: [192.0.2.1]", func(r *http.Request, _ []byte, secret string) string {
			r.Header.Set("X-Forms", secret)
			return secret
		}},
		"jwt": {"auth: {kind: jwt, secrets: [jwt]}", func(r *http.Request, _ []byte, secret string) string {
			encode := base64.RawURLEncoding.EncodeToString
			text := encode([]byte(`{"alg":"HS256"}`)) + "." + encode(fmt.Appendf(nil, `{"exp":%d}`, time.Now().Add(time.Hour).Unix()))
			sum := encode(signature(secret, text))
			r.Header.Set("Authorization", "Bearer "+text+"."+sum)
			return sum
		}},
		"github": {"verify: {profile: github, secrets: [github]}", func(r *http.Request, body []byte, secret string) string {
			r.Header.Set("X-Hub-Signature-256", "sha256="+hex.EncodeToString(signature(secret, string(body))))
			return ""
		}},
		"stripe": {"verify: {profile: stripe, secrets: [stripe]}", func(r *http.Request, body []byte, secret string) string {
			r.Header.Set("Stripe-Signature", "t="+now+",v1="+hex.EncodeToString(signature(secret, now+"."+string(body))))
			return ""
		}},
		"slack": {"verify: {profile: slack, secrets: [slack]}", func(r *http.Request, body []byte, secret string) string {
			r.Header.Set("X-Slack-Request-Timestamp", now)
			r.Header.Set("X-Slack-Signature", "v0="+hex.EncodeToString(signature(secret, "v0:"+now+":"+string(body))))
			return ""
		}},
		"standard": {"verify: {profile: standard_webhooks, secrets: [standard]}", func(r *http.Request, body []byte, secret string) string {
			key, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
			r.Header.Set("webhook-id", "msg_1")
			r.Header.Set("webhook-timestamp", now)
			r.Header.Set("webhook-signature", "v1,"+base64.StdEncoding.EncodeToString(signature(string(key), "msg_1."+now+"."+string(body))))
			return ""
		}},
		"hmac": {"verify: {profile: hmac, secrets: [hmac], header: X-Sum}", func(r *http.Request, body []byte, secret string) string {
			r.Header.Set("X-Sum", hex.EncodeToString(signature(secret, string(body))))
			return ""
		}},
	}
}

// A misuse is a way in which a sender is careless with what it has.
type misuse struct {
	name string
	// path is the parameter's segment; body and kind the request's.
	path, body, kind string
	wrong            bool // another secret than the right one
	spread           bool // the secret stands in the query and in other headers, too
	unproved         bool // and only there
	twice            bool // each field comes twice
}

func misuses(t *testing.T) []misuse {
	t.Helper()
	form := func(size int) (body, kind string) {
		var b bytes.Buffer
		w := multipart.NewWriter(&b)
		err := w.WriteField("a", "1")
		if err == nil {
			var f io.Writer
			if f, err = w.CreateFormFile("f", "f.txt"); err == nil {
				_, err = io.WriteString(f, strings.Repeat("x", size))
			}
		}
		if err != nil || w.Close() != nil {
			t.Fatal(err)
		}
		return b.String(), w.FormDataContentType()
	}
	const json, good = "application/json", `{"a": 1}`
	small, kind := form(10)
	large, kindOfLarge := form(2000)
	return []misuse{
		{name: "right", path: "1", body: good, kind: json},
		{name: "right and elsewhere", path: "1", body: good, kind: json, spread: true},
		{name: "wrong", path: "1", body: good, kind: json, wrong: true},
		{name: "elsewhere alone", path: "1", body: good, kind: json, spread: true, unproved: true},
		{name: "filtered", path: "1", body: `{"a": 0}`, kind: json, spread: true},
		{name: "not judged", path: "1", body: `{"a": "x"}`, kind: json, spread: true},
		{name: "twice", path: "1", body: good, kind: json, twice: true, spread: true},
		{name: "bad parameter", path: "%FF", body: good, kind: json, spread: true},
		{name: "bad JSON", path: "1", body: `{"a": `, kind: json, spread: true},
		{name: "bad type", path: "1", body: good, kind: json + "; charset=utf-7", spread: true},
		{name: "too large", path: "1", body: `{"a": "` + strings.Repeat("x", 1000) + `"}`, kind: json, spread: true},
		{name: "wrong and too large", path: "1", body: `{"a": "` + strings.Repeat("x", 1000) + `"}`, kind: json, wrong: true},
		{name: "a form", path: "1", body: small, kind: kind},
		{name: "too large a form", path: "1", body: large, kind: kindOfLarge, spread: true},
		{name: "a form and wrong", path: "1", body: small, kind: kind, wrong: true},
	}
}

// senderRun gives the places in which a sender's credential was found.
func senderRun(t *testing.T, bin string) []string {
	t.Helper()
	s := startBinary(t, bin, filepath.Join(t.TempDir(), "data"), "--log-level", "debug")
	marks, p := map[string]string{}, places{}
	for name, value := range senders {
		if _, err := s.PutSecret(t.Context(), name, value); err != nil {
			t.Fatal(err)
		}
		marks[name] = value
	}
	hc, events := &http.Client{Timeout: patience, Transport: transport(t)}, 0
	for name, x := range knownSenders() {
		s.deploy(t, name, fmt.Sprintf(senderGraph, name, x.config))
		right := senders[strings.Replace(name, "closed", "header", 1)]
		for _, m := range misuses(t) {
			secret := right
			if m.wrong {
				secret = "canary-wrong-" + name
			}
			address := s.URL + "/hooks/" + name + "/" + m.path
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address, strings.NewReader(m.body))
			if err != nil {
				t.Fatal(err)
			}
			if !m.unproved {
				if credential := x.prove(req, []byte(m.body), secret); credential != "" && credential != right {
					marks["of "+name+", "+m.name] = credential
				}
			}
			if m.twice {
				for field, values := range req.Header {
					req.Header[field] = append(values, values...)
				}
			}
			req.Header.Set("Content-Type", m.kind)
			if m.spread {
				q := req.URL.Query()
				q.Set("k", secret)
				req.URL.RawQuery = q.Encode()
				req.Header.Set("X-Trace", "sent with "+secret)
				req.Header.Set("Cookie", "c="+secret)
			}
			resp, err := hc.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			b, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if err != nil {
				t.Fatal(err)
			}
			p["answers"] = append(p["answers"], fmt.Sprintf("%s %s: %s %v %s\n", name, m.name, resp.Status, resp.Header, b)...)
			events++
		}
	}
	s.idle(t)
	p.get(t, s, "runs", http.MethodGet, "/api/v1/runs?limit=200", "")
	page, err := s.Events(t.Context(), client.EventQuery{Outcomes: []string{"run"}, Limit: 200})
	if err != nil || len(page.Items) == 0 {
		t.Fatalf("no run: %v", err)
	}
	for _, e := range page.Items {
		p.get(t, s, "runs", http.MethodGet, "/api/v1/runs/"+e.Run, "")
	}
	p.inbox(t, s, events)
	sealedHold(t, s.data, p.end(t, s), senders)
	return p.find(t, marks)
}
