// Package signed is a connector that receives webhooks which are signed with a
// shared secret, as GitHub, Gitea and many others sign theirs.
//
// It is no signature scheme of its own: HMAC-SHA-256 over the body, in hex. Its
// one rule: nothing of a request is looked at before its signature is verified.
package signed

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"
	"unicode/utf8"

	"github.com/tappet-dev/tappet/sdk"
)

// Secret is the name of the shared secret.
const Secret = "signed_webhook"

// Config is what the trigger is given.
type Config struct {
	Path   string `json:"path,omitempty" title:"Path" description:"The path below /hooks/; left out: the graph's name."`
	Header string `json:"header" title:"Signature header" description:"The header with the signature, in hex, with or without sha256= in front." default:"X-Hub-Signature-256"`
	ID     string `json:"id_header" title:"Delivery header" description:"The header that tells deliveries apart; a delivery that comes again starts no second run." default:"X-GitHub-Delivery"`
	Type   string `json:"type_header" title:"Type header" description:"The header that names what happened." default:"X-GitHub-Event"`
}

// Delivery is the event: one verified request.
type Delivery struct {
	ID   string          `json:"id" title:"Identifier" description:"The delivery's id; empty if the sender gave none."`
	Type string          `json:"type" title:"Type" description:"What happened, in the sender's words."`
	Body json.RawMessage `json:"body" title:"Body" description:"The request's body, which is JSON."`
}

// Connector gives the connector.
func Connector() sdk.Connector {
	received := sdk.Webhook("received", "A signed webhook comes", receive)
	received.Description = "Takes requests whose signature over the body is right, and refuses all others."
	return sdk.Connector{
		Name: "signed", Title: "Signed webhooks", Version: "1.0.0",
		Description: "Receives webhooks that are signed with a shared secret.",
		Needs:       sdk.Needs{Secrets: []string{Secret}},
		Triggers:    []sdk.Trigger{received},
	}
}

func receive(ctx context.Context, h sdk.Host, cfg Config, r sdk.WebhookRequest) (sdk.Receipt[Delivery], error) {
	var out sdk.Receipt[Delivery]
	secret, err := h.Secret(ctx, Secret)
	if err != nil {
		return out, err
	}
	if secret == "" {
		return out, sdk.Errorf(sdk.Denied, "the secret %q is empty, so no signature can be right", Secret)
	}
	if err := verify([]byte(secret), r.Header.Get(cfg.Header), r.Body); err != nil {
		return out, err
	}
	if !utf8.Valid(r.Body) || !json.Valid(r.Body) {
		return out, sdk.Errorf(sdk.Invalid, "the body is not JSON")
	}
	id := r.Header.Get(cfg.ID)
	out.Add(id, Delivery{ID: id, Type: r.Header.Get(cfg.Type), Body: r.Body})
	out.Answer = &sdk.Answer{Status: 202}
	return out, nil
}

// verify compares in constant time. It doesn't say in what a signature is
// wrong: whoever signs rightly knows.
func verify(secret []byte, signature string, body []byte) error {
	got, err := hex.DecodeString(strings.TrimPrefix(signature, "sha256="))
	mac := hmac.New(sha256.New, secret)
	mac.Write(body)
	if err != nil || !hmac.Equal(got, mac.Sum(nil)) {
		return sdk.Errorf(sdk.Unauthorized, "the signature is missing or wrong")
	}
	return nil
}
