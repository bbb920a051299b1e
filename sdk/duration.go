package sdk

import (
	"fmt"
	"time"
)

// A Duration travels as text, such as "1m30s".
type Duration time.Duration

// MarshalText gives the form of time.Duration.String.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText takes what time.ParseDuration takes.
func (d *Duration) UnmarshalText(b []byte) error {
	v, err := time.ParseDuration(string(b))
	if err != nil {
		return fmt.Errorf("%q is not a duration such as 30s, 5m or 1h30m", b)
	}
	*d = Duration(v)
	return nil
}
