//go:build !two && !three

package main

const version = "1.0.0"

type event struct {
	By string `json:"by"`
}

func newEvent() event { return event{By: version} }
