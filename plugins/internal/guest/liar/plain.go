//go:build !greedy && !renamed && !wrong

package main

import "github.com/tappet-dev/tappet/sdk"

func change(*sdk.Connector) {}
