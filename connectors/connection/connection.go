// Package connection keeps the credentials that requests are sent with: their
// kinds as data, sessions that stay alive by themselves, and a manager that adds
// them to a request on its way out.
//
// It is not a transport, and no graph ever holds what it adds: a step names a
// connection. Its one rule: a credential goes to the hosts that its connection
// names and nowhere else, neither by a redirect nor into an error or a record.
package connection

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"log/slog"
	"time"

	"github.com/tappet-dev/tappet/internal/seal"
	"github.com/tappet-dev/tappet/sdk"
)

// A State says whether a connection can be used.
type State string

// The states. They are stored.
const (
	// Ready: nothing is known against it.
	Ready State = "ready"
	// NeedsAuthorization: calls fail until somebody authorises it, or gives it
	// other credentials.
	NeedsAuthorization State = "needs_authorization"
	// Failing: its last refresh or test went wrong in a way that may pass.
	Failing State = "failing"
)

// A Record is a connection as it is stored.
type Record struct {
	// ID is a UUIDv7; Sealed opens for "connections/<ID>" alone.
	ID string
	// Name is [a-z][a-z0-9_-]{0,63}, unique, and never changes.
	Name  string
	Kind  string
	Title string
	// Config is a JSON object without anything secret.
	Config json.RawMessage
	// Hosts are what its credentials may be sent to; see ParseHosts.
	Hosts []string
	// Sealed holds credentials and tokens.
	Sealed []byte
	State  State
	// Message says why it isn't ready, "" if it is.
	Message              string
	CreatedAt, UpdatedAt time.Time
}

// Errors of a Store.
var (
	ErrNotFound = errors.New("not found")
	ErrExists   = errors.New("exists already")
)

// A Store keeps records. It is safe for concurrent use; what has returned
// without an error is on disk.
type Store interface {
	// List gives all records in the order of their names.
	List(ctx context.Context) ([]Record, error)
	// Get gives the record of a name, or ErrNotFound.
	Get(ctx context.Context, name string) (Record, error)
	// Create adds a record; ErrExists where its name is taken.
	Create(ctx context.Context, r Record) error
	// Save replaces the record of r.ID, or says ErrNotFound.
	Save(ctx context.Context, r Record) error
	// Delete removes a record, or says ErrNotFound.
	Delete(ctx context.Context, id string) error
}

// A Ticket is one step of an authorization that is under way.
type Ticket struct {
	// Key finds it: a hash of what the browser brings.
	Key string
	// Sealed opens for "oauth/<Key>" alone.
	Sealed    []byte
	ExpiresAt time.Time
}

// Tickets keeps tickets until they expire. It is safe for concurrent use.
type Tickets interface {
	// Put adds a ticket, and may drop those that have expired.
	Put(ctx context.Context, t Ticket) error
	// Take removes the ticket of a key and gives it, to one caller only; the
	// others get ErrNotFound.
	Take(ctx context.Context, key string) (Ticket, error)
}

// A Doer sends a request; see egress.Client.Send for what it returns.
type Doer func(ctx context.Context, r *sdk.Request) (*sdk.Response, error)

// An Expired says whether a response means that the token has expired although
// its status isn't 401. Body has at most Limits.Judged bytes.
type Expired func(status int, header sdk.Header, body []byte) bool

// Options are what a Manager works with. Store, Seal and Send are required.
type Options struct {
	Store Store
	// Tickets is needed for Authorize, Start and Callback.
	Tickets Tickets
	Seal    *seal.Ring
	// Send sends requests to token endpoints and of tests through the egress
	// guard; with a config that isn't nil, over a transport of its own (see TLS).
	Send func(ctx context.Context, config *tls.Config, r *sdk.Request) (*sdk.Response, error)
	// Expired compiles the expression expired_when; nil refuses it.
	Expired func(expression string) (Expired, error)
	// PublicURL is where browsers reach this server, without a slash at its end;
	// "": nothing can be authorised by a browser.
	PublicURL string
	// Insecure allows http for the provider's addresses: for development.
	Insecure bool
	// Clock is what time it is; nil means time.Now.
	Clock func() time.Time
	// Log hears of refreshes that fail; nil: nobody does.
	Log    *slog.Logger
	Limits Limits
}

// Limits bound what a connection may cost. A zero field means its default.
type Limits struct {
	// Config bounds the JSON of a connection's config in bytes; 64 KiB.
	Config int
	// Hosts is how many hosts a connection names; 64.
	Hosts int
	// TokenAnswer bounds the answer of a token endpoint in bytes; 64 KiB.
	TokenAnswer int64
	// TokenTime bounds one refresh and one exchange of a code; 30 s.
	TokenTime time.Duration
	// TokenRetry is how long a token that is still good is used after its refresh
	// has failed, before that is tried again; 30 s.
	TokenRetry time.Duration
	// Refused is the shortest time between two refreshes that were caused by
	// refusals: a service that refuses every token doesn't wear out the provider;
	// 10 s.
	Refused time.Duration
	// Judged is how many bytes of a response's body expired_when may see; a longer
	// one isn't judged; 64 KiB.
	Judged int64
	// Ticket is how long an authorization may take; 10 min.
	Ticket time.Duration
}

func (l Limits) withDefaults() Limits {
	set(&l.Config, 64<<10)
	set(&l.Hosts, 64)
	set(&l.TokenAnswer, 64<<10)
	set(&l.TokenTime, 30*time.Second)
	set(&l.TokenRetry, 30*time.Second)
	set(&l.Refused, 10*time.Second)
	set(&l.Judged, 64<<10)
	set(&l.Ticket, 10*time.Minute)
	return l
}

func set[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}

// validName says whether name is one of a connection.
func validName(name string) bool {
	for i := range len(name) {
		c := name[i]
		if !('a' <= c && c <= 'z' || i > 0 && ('0' <= c && c <= '9' || c == '_' || c == '-')) {
			return false
		}
	}
	return name != "" && len(name) <= 64
}
