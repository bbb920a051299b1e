// Command foreign is a go-plugin program that this engine can't talk to: another
// host's, or of another version or service by its tags.
package main

import (
	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"github.com/tappet-dev/tappet/sdk/wire/stream"
)

func main() {
	handshake, version, set := face(stream.Handshake(), &stream.Plugin{Serve: func(grpc.ServerStream) error { return nil }})
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig:  handshake,
		VersionedPlugins: map[int]plugin.PluginSet{version: set},
		GRPCServer:       plugin.DefaultGRPCServer,
	})
}
