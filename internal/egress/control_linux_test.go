package egress

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/tappet-dev/tappet/sdk"
)

// The control of the guard: the same list, the same client, everything allowed.
// What it connects to is a listener of ours, whatever address it was told: the
// socket is connected there first, after the guard has let the address pass,
// and a second connect of a connected socket changes nothing. So a request that
// arrives is one that the guard alone kept from the address.
func TestSec01_ControlWithoutTheGuardTheSameAddressesAreConnectedTo(t *testing.T) {
	t.Parallel()
	var hits atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { hits.Add(1) }))
	defer s.Close()
	port := s.Listener.Addr().(*net.TCPAddr).Port
	noIPv6 := false
	if fd, err := syscall.Socket(syscall.AF_INET6, syscall.SOCK_STREAM, 0); err != nil {
		noIPv6 = true
	} else {
		_ = syscall.Close(fd)
	}

	guarded, control := newGuard(nil), newGuard(everything(t))
	through := func(g *guard) *Client {
		l := Limits{}.withDefaults()
		return newClient(Options{}, l, &net.Dialer{
			Timeout: l.Connect,
			ControlContext: func(ctx context.Context, network, address string, raw syscall.RawConn) error {
				if err := g.control(ctx, network, address, raw); err != nil {
					return err
				}
				return connect(raw, network, port)
			},
		})
	}
	for _, host := range hostile() {
		if noIPv6 && strings.Contains(host, ":") {
			continue // this machine has no socket to connect with
		}
		url := "http://" + host + ":7/"
		c := through(guarded)
		before := hits.Load()
		if _, err := c.Do(t.Context(), &sdk.Request{URL: url}, nil); sdk.KindOf(err) != sdk.Denied || hits.Load() != before {
			t.Errorf("%s with the guard: %v, %d requests arrived", host, err, hits.Load()-before)
		}
		c = through(control)
		resp, err := c.Do(t.Context(), &sdk.Request{URL: url}, nil)
		if err != nil || hits.Load() != before+1 {
			t.Errorf("%s without the guard: %v, %d requests arrived; the list proves nothing", host, err, hits.Load()-before)
			continue
		}
		_ = resp.Body.Close()
		c.Close()
	}
}

// connect connects a socket to the port of the loopback address.
func connect(raw syscall.RawConn, network string, port int) error {
	var to syscall.Sockaddr = &syscall.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}}
	if network == "tcp6" {
		to = &syscall.SockaddrInet6{Port: port, Addr: [16]byte{10: 0xff, 11: 0xff, 12: 127, 15: 1}}
	}
	var err error
	ctlErr := raw.Control(func(fd uintptr) {
		if err = syscall.SetNonblock(int(fd), false); err != nil {
			return
		}
		if err = syscall.Connect(int(fd), to); err == nil {
			err = syscall.SetNonblock(int(fd), true)
		}
	})
	if ctlErr != nil {
		return ctlErr
	}
	return err
}
