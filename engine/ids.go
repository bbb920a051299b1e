package engine

import (
	"fmt"
	"time"

	"github.com/google/uuid"
)

// GraphID is a graph's internal number; a rename keeps it.
type GraphID int64

// RunID is a UUID version 7 (RFC 9562, 5.7): ids sort by the time of their
// acceptance.
type RunID [16]byte

// String gives the canonical text form.
func (r RunID) String() string { return uuid.UUID(r).String() }

// IsZero says whether it is no id at all.
func (r RunID) IsZero() bool { return r == RunID{} }

// MarshalText gives the canonical text form.
func (r RunID) MarshalText() ([]byte, error) { return uuid.UUID(r).MarshalText() }

// UnmarshalText is ParseRunID.
func (r *RunID) UnmarshalText(b []byte) error {
	id, err := ParseRunID(string(b))
	*r = id
	return err
}

// ParseRunID reads the canonical text form alone; other forms of a UUID are
// refused, so that an id has one spelling.
func ParseRunID(s string) (RunID, error) {
	u, err := uuid.Parse(s)
	if err != nil || len(s) != 36 {
		return RunID{}, &Error{Kind: NotFound, Op: "read run id", Err: fmt.Errorf("%.60q is not a run id", s)}
	}
	return RunID(u), nil
}

// Clock tells the time. Timers are not its business: whoever waits uses
// package time, which testing/synctest can fake.
type Clock interface{ Now() time.Time }

// IDs makes ids.
type IDs interface{ NewRun() RunID }

// SystemClock is the machine's clock.
type SystemClock struct{}

// Now is time.Now in UTC.
func (SystemClock) Now() time.Time { return time.Now().UTC() }

// RandomIDs makes UUIDs of version 7.
type RandomIDs struct{}

// NewRun makes a new id; it panics only when the system has no randomness,
// as crypto/rand does.
func (RandomIDs) NewRun() RunID { return RunID(uuid.Must(uuid.NewV7())) }
