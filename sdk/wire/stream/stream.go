// Package stream is what both ends of the native pipe share: the handshake,
// the gRPC method and the codec that carries frames in it.
//
// It is neither of the ends: those are sdk/serve and plugins/native. Its one
// rule: a frame travels as its own bytes, and everything else as the stock
// codec has it.
package stream

import (
	"context"
	"errors"
	"fmt"

	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"

	"github.com/tappet-dev/tappet/sdk/wire"
)

// MaxMessage is the most bytes of one message on the pipe: a frame is its own
// bytes, and no other message is as long.
const MaxMessage = wire.MaxFrame

// Handshake is how host and plugin recognise each other. The version is that
// of VersionedPlugins.
func Handshake() plugin.HandshakeConfig {
	return plugin.HandshakeConfig{MagicCookieKey: wire.CookieKey, MagicCookieValue: wire.CookieValue}
}

// Versions are the plugin sets that p serves or asks for.
func Versions(p *Plugin) map[int]plugin.PluginSet {
	return map[int]plugin.PluginSet{wire.ABI: {wire.PluginName: p}}
}

var _ plugin.GRPCPlugin = (*Plugin)(nil)

// Plugin is go-plugin's view of the pipe. Serve handles one stream, that is one
// call; the host's end leaves it nil.
type Plugin struct {
	plugin.NetRPCUnsupportedPlugin
	Serve func(grpc.ServerStream) error
}

// GRPCServer registers the one method.
func (p *Plugin) GRPCServer(_ *plugin.GRPCBroker, s *grpc.Server) error {
	s.RegisterService(&grpc.ServiceDesc{
		ServiceName: wire.Service, HandlerType: (*any)(nil), Streams: []grpc.StreamDesc{*Desc(p)},
	}, p)
	return nil
}

// GRPCClient gives the connection, on which the host opens a stream per call.
func (p *Plugin) GRPCClient(_ context.Context, _ *plugin.GRPCBroker, c *grpc.ClientConn) (any, error) {
	return c, nil
}

// Desc describes the one method; p handles it, or is nil on the host's end.
func Desc(p *Plugin) *grpc.StreamDesc {
	d := &grpc.StreamDesc{StreamName: "Call", ServerStreams: true, ClientStreams: true}
	if p != nil {
		d.Handler = func(_ any, s grpc.ServerStream) error { return p.Serve(s) }
	}
	return d
}

var _ encoding.CodecV2 = codec{}

// codec writes a *wire.Frame as it is and leaves the rest, go-plugin's own
// messages, to the stock one.
type codec struct{ stock encoding.CodecV2 }

// Codec gives the codec of the pipe.
func Codec() encoding.CodecV2 { return codec{encoding.GetCodecV2(proto.Name)} }

func (c codec) Marshal(v any) (mem.BufferSlice, error) {
	if f, ok := v.(*wire.Frame); ok {
		return mem.BufferSlice{mem.SliceBuffer(f.Append(nil))}, nil
	}
	if c.stock == nil {
		return nil, errors.New("the stock proto codec is missing")
	}
	return c.stock.Marshal(v)
}

func (c codec) Unmarshal(d mem.BufferSlice, v any) error {
	if f, ok := v.(*wire.Frame); ok {
		if err := f.Parse(d.Materialize()); err != nil {
			return fmt.Errorf("read frame: %w", err)
		}
		return nil
	}
	if c.stock == nil {
		return errors.New("the stock proto codec is missing")
	}
	return c.stock.Unmarshal(d, v)
}

func (c codec) Name() string { return proto.Name }
