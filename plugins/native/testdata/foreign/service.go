//go:build service

package main

import (
	"context"

	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"github.com/tappet-dev/tappet/sdk/wire"
	"github.com/tappet-dev/tappet/sdk/wire/stream"
)

func face(h plugin.HandshakeConfig, _ *stream.Plugin) (plugin.HandshakeConfig, int, plugin.PluginSet) {
	return h, wire.ABI, plugin.PluginSet{wire.PluginName: &mute{}}
}

// mute serves no method.
type mute struct{ plugin.NetRPCUnsupportedPlugin }

func (*mute) GRPCServer(*plugin.GRPCBroker, *grpc.Server) error { return nil }

func (*mute) GRPCClient(context.Context, *plugin.GRPCBroker, *grpc.ClientConn) (any, error) {
	return nil, nil
}
