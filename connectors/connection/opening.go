package connection

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/tappet-dev/tappet/sdk"
)

// sealed is what a record's box holds.
type sealed struct {
	Secrets map[string]string `json:"secrets,omitempty"`
	Tokens  tokens            `json:"tokens,omitzero"`
}

func place(id string) []byte { return []byte("connections/" + id) }

// unseal takes a record apart; its config then has the secrets too.
func (m *Manager) unseal(r Record) (config, sealed, error) {
	var kept sealed
	plain, err := m.o.Seal.Open(r.Sealed, place(r.ID))
	if err != nil {
		return config{}, kept, sdk.Errorf(sdk.Unauthorized, "the credentials of the connection %q can't be read: %w", r.Name, err)
	}
	if json.Unmarshal(plain, &kept) != nil { // the error might quote them
		return config{}, kept, sdk.Errorf(sdk.Unauthorized, "the credentials of the connection %q are damaged; give them again", r.Name)
	}
	k := m.kinds[r.Kind]
	if k == nil {
		return config{}, kept, sdk.Errorf(sdk.Unsupported, "the connection %q is of the kind %q, which this version doesn't have", r.Name, r.Kind)
	}
	var problems Problems
	c := k.read(r.Config, kept.Secrets, m.limits.Config, &problems)
	if problems != nil {
		return c, kept, sdk.Errorf(sdk.Invalid, "the connection %q can't be used as it is stored: %w", r.Name, problems)
	}
	return c, kept, nil
}

// seal puts credentials and tokens into the record's box.
func (m *Manager) seal(r *Record, s sealed) error {
	plain, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("seal a connection: %w", err)
	}
	r.Sealed = m.o.Seal.Seal(plain, place(r.ID))
	return nil
}

// An opening is a config that is being checked as a whole.
type opening struct {
	m        *Manager
	name, id string
	config   config
	tokens   tokens
	// confined and tls are those of the session that is made.
	confined bool
	tls      *tls.Config
	problems *Problems
}

func (o *opening) text(field string) string { return o.config.text[field] }

// bad notes a problem of a field, once.
func (o *opening) bad(field, format string, args ...any) {
	for _, p := range *o.problems {
		if p.Path == "config."+field {
			return
		}
	}
	o.problems.add("config."+field, format, args...)
}

// session checks a connection as a whole and makes it ready.
func (m *Manager) session(r Record, c config, t tokens) (*session, Problems) {
	var problems Problems
	return m.sessionOf(r, c, t, &problems), problems
}

func (m *Manager) sessionOf(r Record, c config, t tokens, problems *Problems) *session {
	k := m.kinds[r.Kind]
	hosts, err := ParseHosts(r.Hosts)
	switch {
	case err != nil:
		problems.add("hosts", "%v", err)
	case k.NeedsHosts && len(r.Hosts) == 0:
		problems.add("hosts", "name the hosts that the credentials may be sent to, such as api.example.com")
	case len(r.Hosts) > m.limits.Hosts:
		problems.add("hosts", "has %d hosts; at most %d are taken", len(r.Hosts), m.limits.Hosts)
	}
	if slices.ContainsFunc(*problems, func(p Problem) bool { return p.Path == "config" }) {
		return nil // there is nothing to open
	}
	o := &opening{m: m, name: r.Name, id: r.ID, config: c, tokens: t, problems: problems}
	o.authorities()
	s := &session{id: r.ID, kind: k, hosts: hosts, auth: k.open(o), testURL: o.text("test_url")}
	s.renew, _ = s.auth.(renewer)
	s.confined, s.tls = o.confined, o.tls
	if s.testURL != "" && hosts != nil && (k.NeedsHosts || len(hosts.list) > 0) {
		if err := hosts.check(s.testURL); err != nil {
			o.bad("test_url", "isn't of the connection's hosts: %v", err)
		}
	}
	return s
}

// authorities reads the option ca of every kind.
func (o *opening) authorities() {
	pem := o.text("ca")
	if pem == "" {
		return
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM([]byte(pem)) {
		o.bad("ca", "holds no certificate in PEM, a block of BEGIN CERTIFICATE")
		return
	}
	o.tls = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
}

// openCertificate makes the kind mutual_tls: what proves it is the TLS alone.
func openCertificate(o *opening) auth {
	pair, err := tls.X509KeyPair([]byte(o.text("certificate")), []byte(o.text("private_key")))
	if err != nil {
		o.bad("certificate", "and the private key aren't a pair in PEM, the key not encrypted") // the error might quote them
		return nothing{}
	}
	if o.tls == nil {
		o.tls = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	o.tls.Certificates = []tls.Certificate{pair}
	o.confined = true // the certificate would be shown there too
	return hiding{o.text("private_key")}
}

// hiding is an auth that adds nothing to a request and has a secret.
type hiding []string

func (h hiding) authorize(ctx context.Context, r *sdk.Request) (string, error) {
	return nothing{}.authorize(ctx, r)
}

func (h hiding) hidden() []string { return h }
