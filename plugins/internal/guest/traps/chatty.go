//go:build chatty

package main

import "fmt"

// hello prints as soon as the program starts, as an imported package may.
var _ = hello()

func hello() int {
	fmt.Println("hello from init")
	return 0
}
