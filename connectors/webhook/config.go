package webhook

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/tappet-dev/tappet/connectors/internal/rawjson"
	"github.com/tappet-dev/tappet/sdk"
)

// config is what a trigger's config says of the event and of who may send it;
// path, methods and max_body are the ingress's.
type config struct {
	// wait: the caller waits for the run's answer.
	wait bool
	// answer is what each caller gets; nil: the run's id, or the run's answer.
	answer *sdk.Answer
	// raw: the event has the body's text too.
	raw bool
	// auth and verify are nil when they aren't asked for.
	auth   *auth
	verify *verify
	// from are the networks that requests may come from; nil: all.
	from []netip.Prefix
}

// maxSecrets is how many secrets may be in rotation at once.
const maxSecrets = 8

func readConfig(b []byte) (c config, err error) {
	if len(b) == 0 {
		return c, nil
	}
	err = rawjson.Members(b, func(name, value []byte) (err error) {
		switch string(name) {
		case `"respond"`:
			switch string(value) {
			case `"accepted"`:
				c.wait = false
			case `"result"`:
				c.wait = true
			default:
				if c.answer, err = readAnswer(value); err != nil {
					return fmt.Errorf("respond: %w", err)
				}
			}
		case `"raw"`:
			switch string(value) {
			case "true":
				c.raw = true
			case "false":
				c.raw = false
			default:
				return errors.New("raw: it is neither true nor false")
			}
		case `"auth"`:
			c.auth, err = readAuth(value)
		case `"verify"`:
			c.verify, err = readVerify(value)
		case `"ip_allow"`:
			c.from, err = readNetworks(value)
		}
		return err
	})
	if err != nil {
		return c, fmt.Errorf("config: %w", err)
	}
	return c, nil
}

// validate says what is wrong with a config that fits its schema.
func validate(b json.RawMessage) error {
	c, err := readConfig(b)
	if err == nil && c.auth != nil {
		_, err = c.auth.keys()
	}
	return err
}

// secretsOf gives the names of the secrets that a config refers to.
func secretsOf(b json.RawMessage) []string {
	c, err := readConfig(b)
	if err != nil {
		return nil
	}
	var names []string
	if c.auth != nil {
		names = append(names, c.auth.Secrets...)
	}
	if c.verify != nil {
		names = append(names, c.verify.Secrets...)
	}
	return names
}

// credentialsOf gives the names of the fields that a config wants credentials in.
func credentialsOf(b json.RawMessage) []string {
	c, err := readConfig(b)
	if err != nil || c.auth == nil {
		return nil
	}
	return []string{c.auth.field()}
}

// checkSecrets holds a list of secrets' names to what it may be.
func checkSecrets(names []string) error {
	if len(names) == 0 || len(names) > maxSecrets {
		return fmt.Errorf("secrets: there are %d; 1 to %d names of secrets are wanted", len(names), maxSecrets)
	}
	return nil
}

// readTolerance reads how far a sender's clock may be off, either way.
func readTolerance(s string, otherwise time.Duration) (time.Duration, error) {
	if s == "" {
		return otherwise, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d <= 0 || d > 24*time.Hour {
		return 0, fmt.Errorf("tolerance: %.40q is no duration of up to 24h, such as 5m", s)
	}
	return d, nil
}
