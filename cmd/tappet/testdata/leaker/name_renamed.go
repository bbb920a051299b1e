//go:build renamed

package main

// name is another, so that both pipes serve beside each other.
const name = "leaker_renamed"
