//go:build !abi2 && !service

package main

import (
	"github.com/hashicorp/go-plugin"

	"github.com/tappet-dev/tappet/sdk/wire"
	"github.com/tappet-dev/tappet/sdk/wire/stream"
)

func face(h plugin.HandshakeConfig, p *stream.Plugin) (plugin.HandshakeConfig, int, plugin.PluginSet) {
	h.MagicCookieKey = "ANOTHER_HOST"
	return h, wire.ABI, plugin.PluginSet{wire.PluginName: p}
}
