//go:build abi2

package main

import (
	"github.com/hashicorp/go-plugin"

	"github.com/tappet-dev/tappet/sdk/wire"
	"github.com/tappet-dev/tappet/sdk/wire/stream"
)

func face(h plugin.HandshakeConfig, p *stream.Plugin) (plugin.HandshakeConfig, int, plugin.PluginSet) {
	return h, wire.ABI + 1, plugin.PluginSet{wire.PluginName: p}
}
