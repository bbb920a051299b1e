//go:build crash

package main

import (
	"fmt"
	"os"
)

// crash ends the program before it begins.
var _ = crash()

func crash() int {
	fmt.Fprintln(os.Stderr, "no licence found")
	os.Exit(7)
	return 0
}
