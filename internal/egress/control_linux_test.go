package egress

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

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

	guarded, control := newGuard(nil), newGuard(everything(t))
	through := func(g *guard) *Client {
		l := Limits{}.withDefaults()
		return newClient(Options{}, l, g, &net.Dialer{
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
		if noIPv6() && strings.Contains(host, ":") {
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

// A name server that answers with a public address first and with a loopback
// one from then on gains nothing: not with a redirect, nor with another call.
// The control is the same without the guard. The first connection goes to a
// listener of ours as above, since no test calls a public address.
func TestSec01_RebindingNameThroughRedirectsAndRetries(t *testing.T) {
	t.Parallel()
	var reached atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "close") // the next request looks the name up again
		if r.URL.Path == "/inside" {
			reached.Add(1)
			return
		}
		http.Redirect(w, r, "/inside", http.StatusTemporaryRedirect)
	}))
	defer s.Close()
	port := s.Listener.Addr().(*net.TCPAddr).Port
	for _, tt := range []struct {
		name string
		g    *guard
		want sdk.Kind
		hits int64
	}{
		{"guarded", newGuard(nil), sdk.Denied, 0},
		{"control", newGuard(everything(t)), "", 2},
	} {
		reached.Store(0)
		dns := newDNS(t, netip.MustParseAddr("93.184.216.34"))
		l := Limits{}.withDefaults()
		dials := 0
		c := newClient(Options{}, l, tt.g, &net.Dialer{
			Timeout: l.Connect, Resolver: dns.resolver,
			ControlContext: func(ctx context.Context, network, address string, raw syscall.RawConn) error {
				if err := tt.g.control(ctx, network, address, raw); err != nil {
					return err
				}
				dials++
				dns.answer.Store(netip.MustParseAddr("127.0.0.1")) // from the second look-up on
				return connect(raw, network, port)
			},
		})
		url := fmt.Sprintf("http://rebind.test:%d/", port)
		_, _, x, err := fetch(t.Context(), c, &sdk.Request{URL: url})
		if got := sdk.KindOf(err); err == nil && tt.want != "" || err != nil && got != tt.want || len(x) != 1 || len(x[0].Redirects) != 1 {
			t.Errorf("%s: the redirect gives %v, exchanges %+v", tt.name, err, x)
		}
		if _, _, _, err := fetch(t.Context(), c, &sdk.Request{URL: url + "inside"}); err == nil && tt.want != "" || err != nil && sdk.KindOf(err) != tt.want {
			t.Errorf("%s: the next call gives %v", tt.name, err)
		}
		if reached.Load() != tt.hits || dials == 0 {
			t.Errorf("%s: %d requests came inside, want %d, after %d dials", tt.name, reached.Load(), tt.hits, dials)
		}
	}
}

// Of the addresses that a name has, each is judged: one that is public is
// connected to, and no other, wherever it stands in the answer and whatever leads
// there. The control is the same without the guard. What is connected to is a
// listener of ours, as above.
func TestSec01_EveryAnswerOfTheNameServerIsJudged(t *testing.T) {
	t.Parallel()
	var hits atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Connection", "close")
		hits.Add(1)
	}))
	defer s.Close()
	port := s.Listener.Addr().(*net.TCPAddr).Port
	dns := newZone(t, map[string][]string{
		"one.test":     {"93.184.216.34"},
		"first.test":   {"127.0.0.1", "93.184.216.34"},
		"last.test":    {"93.184.216.34", "10.0.0.1", "169.254.169.254"},
		"inside.test":  {"10.0.0.1", "127.0.0.1", "169.254.169.254", "100.64.0.1"},
		"six.test":     {"::1", "fd00::1", "fe80::1"},
		"both.test":    {"93.184.216.34", "::1", "fd00:ec2::254"},
		"mapped.test":  {"::ffff:127.0.0.1", "::ffff:10.0.0.1"},
		"nat64.test":   {"64:ff9b::7f00:1", "64:ff9b:1::1"},
		"6to4.test":    {"2002:7f00:1::1"},
		"alias.test":   {"alias2.test"},
		"alias2.test":  {"alias3.test"},
		"alias3.test":  {"inside.test"},
		"public.test":  {"public2.test"},
		"public2.test": {"first.test"},
	})
	guarded, control := newGuard(nil), newGuard(everything(t))
	for name, inside := range map[string]bool{ // whether all its addresses are
		"one.test": false, "first.test": false, "last.test": false, "both.test": false, "public.test": false,
		"inside.test": true, "six.test": true, "mapped.test": true, "nat64.test": true, "6to4.test": true, "alias.test": true,
	} {
		if noIPv6() && (name == "six.test" || name == "nat64.test" || name == "6to4.test") {
			continue // this machine has no socket to connect with
		}
		for _, g := range []*guard{guarded, control} {
			hits.Store(0)
			var mu sync.Mutex
			var dialled []string // what the guard has let pass
			c := newClient(Options{}, Limits{}.withDefaults(), g, &net.Dialer{
				Timeout: generous, Resolver: dns.resolver, FallbackDelay: -1,
				ControlContext: func(ctx context.Context, network, address string, raw syscall.RawConn) error {
					if err := g.control(ctx, network, address, raw); err != nil {
						return err
					}
					mu.Lock()
					dialled = append(dialled, address)
					mu.Unlock()
					return connect(raw, network, port)
				},
			})
			_, _, x, err := fetch(t.Context(), c, &sdk.Request{URL: "http://" + name + ":7/"})
			c.Close()
			switch {
			case g == guarded && inside:
				if sdk.KindOf(err) != sdk.Denied || len(dialled) > 0 || hits.Load() != 0 {
					t.Errorf("%s: %v, connected to %q; kind denied is wanted", name, err, dialled)
				}
			case g == guarded:
				if err != nil || !slices.Equal(dialled, []string{"93.184.216.34:7"}) || hits.Load() != 1 {
					t.Errorf("%s: %v, connected to %q; its public address alone is wanted", name, err, dialled)
				}
			case err != nil || hits.Load() != 1 || inside && len(dialled) == 0:
				t.Errorf("%s without the guard: %v, connected to %q; it proves nothing", name, err, dialled)
			}
			if len(x) != 1 || x[0].DNS <= 0 {
				t.Errorf("%s: exchanges %+v, want one with the time of the name server", name, x)
			}
		}
	}
	// Who gives an address has asked no name server.
	if _, _, x, err := fetch(t.Context(), newClientFor(t, Limits{}), &sdk.Request{URL: s.URL}); err != nil || x[0].DNS != 0 {
		t.Errorf("%v, %+v", err, x)
	}
}

// noIPv6 says whether this machine has no sockets of IPv6.
func noIPv6() bool {
	fd, err := syscall.Socket(syscall.AF_INET6, syscall.SOCK_STREAM, 0)
	if err == nil {
		_ = syscall.Close(fd)
	}
	return err != nil
}

// A host that takes no connection, since its queue is full, costs the time of
// connecting and no more.
func TestConnectingEndsWithItsLimit(t *testing.T) {
	t.Parallel()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Close(fd) })
	if err := errors.Join(syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}), syscall.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	sa, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	address := fmt.Sprintf("127.0.0.1:%d", sa.(*syscall.SockaddrInet4).Port)
	for full := false; !full; { // nobody accepts: the kernel queues a connection or two
		conn, err := net.DialTimeout("tcp", address, 100*time.Millisecond)
		if full = err != nil; !full {
			t.Cleanup(func() { _ = conn.Close() })
		}
	}
	c := newClientFor(t, Limits{Connect: 50 * time.Millisecond})
	ctx, cancel := context.WithTimeout(t.Context(), generous)
	defer cancel()
	_, _, x, err := fetch(ctx, c, &sdk.Request{URL: "http://" + address})
	if sdk.KindOf(err) != sdk.Timeout || !strings.Contains(err.Error(), "its limit of 50ms (limits.connect)") || x[0].Kind != sdk.Timeout || x[0].Remote != "" {
		t.Errorf("%v, recorded as %+v; kind timeout is wanted, naming limits.connect", err, x)
	}
}
