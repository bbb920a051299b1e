//go:build two

package main

const version = "2.0.0"

// event has a field more than the release before.
type event struct {
	By   string `json:"by"`
	City string `json:"city,omitempty"`
}

func newEvent() event { return event{By: version} }
