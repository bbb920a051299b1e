// Package bench holds what Tappet is measured and tested against: a recording
// sink, a bounded load driver, and the CPU account of a process. The bare
// program of the same work, without an engine, is in bench/bare; bench/w1
// prints both side by side.
//
// It is for tests and benchmarks alone. Its one rule: load goes to loopback
// addresses only, bounded in count and time.
package bench
