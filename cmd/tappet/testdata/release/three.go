//go:build three

package main

const version = "3.0.0"

// event has lost a field that graphs read.
type event struct {
	From string `json:"from"`
}

func newEvent() event { return event{From: version} }
