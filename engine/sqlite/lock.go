package sqlite

import "fmt"

// InUseError says that another process has the data folder open.
type InUseError struct {
	Dir string
	Err error
}

func (e *InUseError) Error() string {
	return fmt.Sprintf("the data folder %s is in use by another tappet process: stop it, or give this one its own folder (--data)", e.Dir)
}

// Unwrap returns the system's error.
func (e *InUseError) Unwrap() error { return e.Err }
