//go:build !renamed

package main

const name = "leaker"
