package webhook

import (
	"context"
	"crypto/hmac"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/tappet-dev/tappet/connectors/internal/rawjson"
	"github.com/tappet-dev/tappet/sdk"
)

const (
	// maxSignatures is how many signatures a request may have.
	maxSignatures = 16
	// maxKey is the longest id of an event, and the longest challenge.
	maxKey = 256
)

// verify is how a request's signature is checked.
type verify struct {
	Profile string `json:"profile"`
	// Secrets are names; any of them matches, so that two may be in rotation.
	Secrets   []string `json:"secrets"`
	Tolerance string   `json:"tolerance"`
	Mode      string   `json:"mode"`

	// The others are of the profile hmac.
	Header          string `json:"header"`
	Prefix          string `json:"prefix"`
	Algorithm       string `json:"algorithm"`
	Encoding        string `json:"encoding"`
	Payload         string `json:"payload"`
	TimestampHeader string `json:"timestamp_header"`
	IDHeader        string `json:"id_header"`

	profile profile
	observe bool
}

func readVerify(b []byte) (*verify, error) {
	v := &verify{}
	if err := json.Unmarshal(b, v); err != nil {
		return nil, fmt.Errorf("verify: %w", err)
	}
	if err := v.check(); err != nil {
		return nil, fmt.Errorf("verify: %w", err)
	}
	return v, nil
}

func (v *verify) check() (err error) {
	var ok bool
	if v.profile, ok = profileOf(v.Profile); v.Profile == "hmac" {
		v.profile, err = v.own()
	} else if !ok {
		err = fmt.Errorf("profile: %.40q is none of github, stripe, slack, standard_webhooks and hmac", v.Profile)
	} else if v.Header+v.Prefix+v.Algorithm+v.Encoding+v.Payload+v.TimestampHeader+v.IDHeader != "" {
		err = fmt.Errorf("the profile %s says itself how it signs: header, prefix, algorithm, encoding, payload, timestamp_header and id_header are for hmac", v.Profile)
	}
	if err != nil {
		return err
	}
	if v.Tolerance != "" && v.profile.tolerance == 0 {
		return errors.New("tolerance: what this profile signs has no time")
	}
	if v.profile.tolerance, err = readTolerance(v.Tolerance, v.profile.tolerance); err != nil {
		return err
	}
	switch v.Mode {
	case "", "enforce":
	case "observe":
		v.observe = true
	default:
		return fmt.Errorf("mode: %.40q is neither enforce nor observe", v.Mode)
	}
	return checkSecrets(v.Secrets)
}

// own makes the profile hmac of the config.
func (v *verify) own() (p profile, err error) {
	p = profile{
		signature: v.Header, prefix: v.Prefix, payload: v.Payload, timestamp: v.TimestampHeader,
		base64: v.Encoding == "base64", keyField: v.IDHeader,
	}
	if p.payload == "" {
		p.payload = "{body}"
	}
	var ok bool
	p.hash, ok = hashOf(v.Algorithm)
	_, afterID, signsID := strings.Cut(p.payload, "{id}")
	signsTime := strings.Contains(p.payload, "{timestamp}")
	switch {
	case p.signature == "":
		return p, errors.New("header: the name of the signature's field is wanted")
	case !ok:
		return p, fmt.Errorf("algorithm: %.40q is neither sha256 nor sha512", v.Algorithm)
	case v.Encoding != "" && v.Encoding != "hex" && v.Encoding != "base64":
		return p, fmt.Errorf("encoding: %.40q is neither hex nor base64", v.Encoding)
	case strings.Count(p.payload, "{body}") != 1 || strings.Count(p.payload, "{id}") > 1 || strings.Count(p.payload, "{timestamp}") > 1:
		return p, errors.New("payload: {body} must stand in it once, {timestamp} and {id} may")
	case signsTime != (p.timestamp != ""):
		return p, errors.New("payload: {timestamp} and timestamp_header belong together: a time that isn't signed protects from nothing")
	case signsID && v.IDHeader == "":
		return p, errors.New("payload: {id} wants an id_header")
	case signsID && (afterID != "" && (isIDByte(afterID[0]) || afterID[0] == '{')):
		return p, errors.New("payload: a character that no id has must stand behind {id}, such as a dot")
	}
	if signsID {
		p.id = v.IDHeader
	}
	if signsTime {
		p.tolerance = replayWindow
	}
	return p, nil
}

// isIDByte says what the id of an event may have where it is signed together
// with other parts, so that it can't be taken for them.
func isIDByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c == '-'
}

// A signed is a request whose signature is being checked: it is given the body.
type signed struct {
	given [][]byte
	macs  []hash.Hash
	after string
}

// begin checks all of the signature but the body.
func (v *verify) begin(ctx context.Context, h sdk.Host, header sdk.Header) (*signed, error) {
	p := &v.profile
	value, err := single(header, p.signature)
	if err != nil {
		return nil, unsigned(err)
	}
	given, stamp, err := p.signatures(value)
	if err != nil {
		return nil, unsigned(err)
	}
	if p.timestamp != "" {
		if stamp, err = single(header, p.timestamp); err != nil {
			return nil, unsigned(err)
		}
	}
	if p.tolerance > 0 {
		if err := fresh(stamp, h.Now(), p.tolerance); err != nil {
			return nil, err
		}
	}
	id := ""
	if p.id != "" {
		if id, err = single(header, p.id); err != nil {
			return nil, unsigned(err)
		}
		if len(id) == 0 || len(id) > maxKey || strings.ContainsFunc(id, func(r rune) bool { return r > 0x7f || !isIDByte(byte(r)) }) {
			return nil, unsigned(fmt.Errorf("the header %s is no id of letters, digits, _ and -", p.id))
		}
	}
	secrets, err := reveal(ctx, h, v.Secrets)
	if err != nil {
		return nil, err
	}
	before, after, _ := strings.Cut(p.payload, "{body}")
	parts := strings.NewReplacer("{timestamp}", stamp, "{id}", id)
	s := &signed{given: given, after: parts.Replace(after)}
	before = parts.Replace(before)
	for i, secret := range secrets {
		key := []byte(secret)
		if p.secretPrefix != "" {
			if key, err = base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, p.secretPrefix)); err != nil || len(key) == 0 {
				return nil, sdk.Errorf(sdk.Unavailable, "the secret %q isn't %s and base64", v.Secrets[i], p.secretPrefix)
			}
		}
		mac := hmac.New(p.hash, key)
		_, _ = io.WriteString(mac, before) // a hash takes everything
		s.macs = append(s.macs, mac)
	}
	return s, nil
}

// signatures reads the signature's field; those of other versions are passed
// over.
func (p *profile) signatures(value string) (given [][]byte, stamp string, err error) {
	list := []string{value}
	if p.separator != "" {
		list = strings.Split(value, p.separator)
	}
	if len(list) > maxSignatures {
		return nil, "", fmt.Errorf("the header %s has %d parts, the limit is %d", p.signature, len(list), maxSignatures)
	}
	for _, text := range list {
		text = strings.TrimSpace(text)
		if t, ok := strings.CutPrefix(text, p.stamp); ok && p.stamp != "" {
			if stamp != "" {
				return nil, "", fmt.Errorf("the header %s has two times", p.signature)
			}
			stamp = t
			continue
		}
		text, ok := strings.CutPrefix(text, p.prefix)
		if !ok {
			continue
		}
		decode := hex.DecodeString
		if p.base64 {
			decode = base64.StdEncoding.DecodeString
		}
		sum, err := decode(text)
		if err != nil || len(sum) != p.hash().Size() {
			return nil, "", fmt.Errorf("the header %s has a signature of another length or encoding", p.signature)
		}
		given = append(given, sum)
	}
	if len(given) == 0 {
		return nil, "", fmt.Errorf("the header %s has no signature that begins with %q", p.signature, p.prefix)
	}
	return given, stamp, nil
}

// fresh refuses a time, in seconds since 1970, that isn't within the window of now.
func fresh(stamp string, now time.Time, window time.Duration) error {
	// Ten digits last until 2286; a fixed length can't run into what follows it.
	n, err := strconv.ParseUint(stamp, 10, 63)
	if err != nil || len(stamp) != 10 {
		return unsigned(errors.New("the signature's time is missing or isn't in seconds since 1970"))
	}
	if off := now.Sub(time.Unix(int64(n), 0)); off > window || off < -window {
		err := unsigned(fmt.Errorf("the signature's time is %s off the server's, the window is %s", off.Round(time.Second), window))
		err.Reason = reasonReplay
		return err
	}
	return nil
}

// Write takes the body as it came.
func (s *signed) Write(b []byte) (int, error) {
	for _, mac := range s.macs {
		_, _ = mac.Write(b) // a hash takes everything
	}
	return len(b), nil
}

// end says whether one of the signatures is one of the body's.
func (s *signed) end() error {
	ok := false
	for _, mac := range s.macs {
		_, _ = io.WriteString(mac, s.after) // a hash takes everything
		sum := mac.Sum(nil)
		for _, given := range s.given {
			ok = hmac.Equal(sum, given) || ok
		}
	}
	if !ok {
		return unsigned(errors.New("it is of another body, or was made with another secret"))
	}
	return nil
}

func unsigned(err error) *sdk.Error {
	return &sdk.Error{Kind: sdk.Unauthorized, Reason: reasonSignature, Err: fmt.Errorf("the signature isn't taken: %w", err)}
}

// A check is that of one request's signature.
type check struct {
	*verify
	s *signed
	// fault is why the signature isn't right, where that is only observed.
	fault error
}

// start checks the signature of a body that is in memory, before anything of it
// is read; that of a stream is checked by finish.
func (v *verify) start(ctx context.Context, h sdk.Host, r *sdk.WebhookRequest) (*check, error) {
	c := &check{verify: v}
	s, err := v.begin(ctx, h, r.Header)
	switch {
	case err != nil:
		return c, c.failed(err)
	case r.Stream != nil:
		c.s, r.Stream = s, hear(r.Stream, s)
		return c, nil
	}
	_, _ = s.Write(r.Body) // a hash takes everything
	return c, c.failed(s.end())
}

// finish checks the signature of a stream, when its event has been made.
func (c *check) finish(r *sdk.WebhookRequest) error {
	if c.s == nil {
		return nil
	}
	if _, err := io.Copy(io.Discard, r.Stream); err != nil {
		return err
	}
	return c.failed(c.s.end())
}

// failed gives the error, unless faults are only observed.
func (c *check) failed(err error) error {
	if err != nil && c.observe {
		c.fault, err = err, nil
	}
	return err
}

// A heard is a stream that its signature hears, too.
type heard struct {
	io.Reader
	of io.Reader
}

func hear(r io.Reader, s *signed) *heard { return &heard{Reader: io.TeeReader(r, s), of: r} }

// Hold implements what sdk.WebhookRequest.Stream may have.
func (h *heard) Hold(n int64) error {
	if x, ok := h.of.(interface{ Hold(n int64) error }); ok {
		return x.Hold(n)
	}
	return nil
}

// key is what tells the event of a request apart, "" if the sender gives nothing.
func (p *profile) key(r *sdk.WebhookRequest) (string, error) {
	key := ""
	switch {
	case p.keyField != "" && r.Header.Has(p.keyField):
		var err error
		if key, err = single(r.Header, p.keyField); err != nil {
			return "", err
		}
	case p.keyMember != "":
		key = member(r.Body, p.keyMember)
	}
	if len(key) > maxKey {
		return "", fmt.Errorf("the event's id has %d bytes, the limit is %d", len(key), maxKey)
	}
	return key, nil
}

// answersChallenge gives the answer to a body that only asks whether we are there.
func (p *profile) answersChallenge(body []byte) *sdk.Answer {
	if !p.challenge || member(body, "type") != "url_verification" {
		return nil
	}
	text := member(body, "challenge")
	if text == "" || len(text) > maxKey {
		return nil
	}
	return &sdk.Answer{Status: 200, Header: sdk.Header{{Name: "Content-Type", Value: "text/plain; charset=utf-8"}}, Body: []byte(text)}
}

// member gives a text of a JSON object, "" if it has none of that name.
func member(doc []byte, name string) (text string) {
	err := rawjson.Members(doc, func(n, value []byte) error {
		if s, ok := rawjson.Unquote(n); ok && s == name {
			text, _ = rawjson.Unquote(value)
		}
		return nil
	})
	if err != nil {
		return ""
	}
	return text
}
