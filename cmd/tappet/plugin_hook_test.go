package main_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"testing"

	"github.com/tappet-dev/tappet/api/client"
)

// hookAnswer posts to a hook and gives the answer, its body as a text.
func (s *server) hookAnswer(t *testing.T, path string, body []byte, header map[string]string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/hooks/"+path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range header {
		req.Header.Set(name, value)
	}
	res, err := transport(t).RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(b)
}

// TestPluginHookAnswers has a plugin's webhook answer by itself, wait for its run,
// and verify a signature, on both pipes: the request comes to it and the answer to
// the caller byte by byte.
func TestPluginHookAnswers(t *testing.T) {
	t.Parallel()
	const secret = "a secret of this test"
	for pipe, env := range map[string]string{"wasm": "GOOS=wasip1 GOARCH=wasm", "native": ""} {
		t.Run(pipe, func(t *testing.T) {
			t.Parallel()
			cmd := command(t, binary(t), "serve", "--data", filepath.Join(t.TempDir(), "data"), "--addr", "127.0.0.1:0")
			cmd.Env = append(cmd.Env, "TAPPET_ADMIN_TOKEN="+token, "TAPPET_SECRET_SIGNED_WEBHOOK="+secret)
			s := launch(t, cmd, token)
			for plugin, trigger := range map[string]string{"plugins/internal/guest/traps": "traps.hook", "examples/plugins/signed": "signed.received"} {
				if _, err := s.InstallPlugin(t.Context(), content(t, build(t, plugin, env, "")), client.InstallOptions{Grant: true}); err != nil {
					t.Fatal(err)
				}
				name := filepath.Base(plugin)
				s.deploy(t, name, fmt.Sprintf("name: %s\ntrigger: {use: %s}\nsteps:\n  - {id: a, set: {of: \"${{ trigger }}\"}}\n", name, trigger))
			}
			raw := []byte{0, 255, '\n', '"'}
			for range 2 { // the second is known by its key, and answered alike
				res, body := s.hookAnswer(t, "traps", raw, map[string]string{"X-Key": "one"})
				if res.StatusCode != http.StatusCreated || res.Header.Get("X-Path") != "traps" || body != string(raw) {
					t.Errorf("its own answer: %s, %v, %q", res.Status, res.Header, body)
				}
			}
			res, body := s.hookAnswer(t, "traps?run", raw, map[string]string{"X-Key": "two"})
			if res.StatusCode != http.StatusOK || body != `{"of":{"n":4}}` {
				t.Errorf("the run's answer: %s, %s", res.Status, body)
			}
			s.events(t, "traps", 2)

			mac := hmac.New(sha256.New, []byte(secret))
			mac.Write([]byte(`{"n": 1}`))
			right := "sha256=" + hex.EncodeToString(mac.Sum(nil))
			for signature, want := range map[string]int{right: http.StatusAccepted, "sha256=00": http.StatusUnauthorized, "": http.StatusUnauthorized} {
				res, body := s.hookAnswer(t, "signed", []byte(`{"n": 1}`), map[string]string{"X-Hub-Signature-256": signature, "X-GitHub-Delivery": "d"})
				if res.StatusCode != want {
					t.Errorf("signature %q: %s: %s", signature, res.Status, body)
				}
			}
			if got := s.events(t, "signed", 1); got[0] != `signed.received/d {"id":"d","type":"","body":{"n":1}}` {
				t.Errorf("the event is %s", got[0])
			}
		})
	}
}
