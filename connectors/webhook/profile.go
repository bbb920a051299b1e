package webhook

import (
	"crypto/sha256"
	"crypto/sha512"
	"hash"
	"time"
)

// A profile is how a sender signs what it sends: data alone.
type profile struct {
	// signature is the field of the signatures, which separator keeps apart; "":
	// there is one. Each one that counts begins with prefix.
	signature, separator, prefix string
	// timestamp is the field of the seconds since 1970, or, with a separator, the
	// start of its element of the signature's field when stamp says so; "": none.
	timestamp, stamp string
	// id is the field of the event's id, where it is part of what is signed.
	id string
	// payload is what is signed: {id}, {timestamp} and {body} stand for themselves.
	payload string
	// base64: signatures are in base64 (RFC 4648, 4), else in hex.
	base64 bool
	hash   func() hash.Hash
	// key tells events apart: a field, or a member of a JSON body.
	keyField, keyMember string
	// secretPrefix, if set, precedes secrets, which are base64 behind it.
	secretPrefix string
	// challenge: a JSON body whose type is url_verification is answered with its
	// member challenge, and is no event.
	challenge bool
	tolerance time.Duration
}

// replayWindow is how far a timestamp may be off unless the config says so:
// what Stripe, Slack and Standard Webhooks recommend.
const replayWindow = 5 * time.Minute

// profileOf gives the profile of a name; false for one that isn't known, and
// for hmac, which the config describes.
func profileOf(name string) (profile, bool) {
	p, ok := map[string]profile{
		"github": {
			signature: "X-Hub-Signature-256", prefix: "sha256=", payload: "{body}",
			hash: sha256.New, keyField: "X-GitHub-Delivery",
		},
		"stripe": {
			signature: "Stripe-Signature", separator: ",", prefix: "v1=", stamp: "t=", payload: "{timestamp}.{body}",
			hash: sha256.New, keyMember: "id", tolerance: replayWindow,
		},
		"slack": {
			signature: "X-Slack-Signature", prefix: "v0=", timestamp: "X-Slack-Request-Timestamp", payload: "v0:{timestamp}:{body}",
			hash: sha256.New, keyMember: "event_id", challenge: true, tolerance: replayWindow,
		},
		"standard_webhooks": {
			signature: "webhook-signature", separator: " ", prefix: "v1,", timestamp: "webhook-timestamp", id: "webhook-id",
			payload: "{id}.{timestamp}.{body}", base64: true,
			hash: sha256.New, keyField: "webhook-id", secretPrefix: "whsec_", tolerance: replayWindow,
		},
	}[name]
	return p, ok
}

// hashOf gives the hash of a name.
func hashOf(name string) (func() hash.Hash, bool) {
	switch name {
	case "", "sha256":
		return sha256.New, true
	case "sha512":
		return sha512.New, true
	}
	return nil, false
}
