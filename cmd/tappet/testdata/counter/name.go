//go:build !renamed

package main

const name = "counter"
