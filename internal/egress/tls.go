package egress

import (
	"crypto/tls"
	"net/http"
	"sync"
)

// maxTransports bounds the transports for TLS of callers' own; when there are
// more, an arbitrary one makes room and its connections aren't used again.
const maxTransports = 256

// transports are those of calls with TLS of their own, by its config.
type transports struct {
	mu sync.Mutex
	m  map[*tls.Config]*http.Transport
}

// transportOf gives the transport of a call. Connections that were made with one config
// serve no call with another.
func (c *Client) transportOf(call Call) *http.Transport {
	if call.TLS == nil {
		return c.transport
	}
	c.own.mu.Lock()
	defer c.own.mu.Unlock()
	if t := c.own.m[call.TLS]; t != nil {
		return t
	}
	if c.own.m == nil {
		c.own.m = map[*tls.Config]*http.Transport{}
	}
	if len(c.own.m) >= maxTransports {
		for config, t := range c.own.m {
			delete(c.own.m, config)
			t.CloseIdleConnections()
			break
		}
	}
	t := c.newTransport()
	t.TLSClientConfig = c.tlsOf(call)
	c.own.m[call.TLS] = t
	return t
}

// tlsOf gives a call's TLS, with what the client wants where it says nothing.
func (c *Client) tlsOf(call Call) *tls.Config {
	if call.TLS == nil {
		return c.tls.Clone()
	}
	config := call.TLS.Clone()
	config.MinVersion = max(config.MinVersion, c.tls.MinVersion)
	if config.RootCAs == nil {
		config.RootCAs = c.tls.RootCAs
	}
	return config
}

// closeIdle closes the connections that nobody uses.
func (o *transports) closeIdle() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, t := range o.m {
		t.CloseIdleConnections()
	}
}
