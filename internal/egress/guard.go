package egress

import (
	"context"
	"fmt"
	"net/netip"
	"syscall"
)

// A Refusal says that the guard lets nobody connect to an address.
type Refusal struct {
	// Addr is the address and port that would have been connected to.
	Addr string
	// Reason names the range that it is in.
	Reason string
}

// Error says what to do about it.
func (r *Refusal) Error() string {
	return fmt.Sprintf("address %s is refused by the egress guard (%s); an operator can add it to egress.allow",
		r.Addr, r.Reason)
}

// A guard judges addresses.
type guard struct {
	allow Allow
	v4    []block
	v6    []block
}

// block is a range that is refused.
type block struct {
	prefix netip.Prefix
	reason string
}

func newGuard(a Allow) *guard {
	blocks := func(list ...string) []block {
		b := make([]block, 0, len(list)/2)
		for i := 0; i+1 < len(list); i += 2 {
			b = append(b, block{netip.MustParsePrefix(list[i]), list[i+1]})
		}
		return b
	}
	return &guard{
		allow: a,
		// The registry of special-purpose addresses (RFC 6890), and the clouds'.
		v4: blocks(
			"0.0.0.0/8", "this network",
			"10.0.0.0/8", "private",
			"100.100.100.200/32", "cloud metadata",
			"100.64.0.0/10", "carrier-grade NAT",
			"127.0.0.0/8", "loopback",
			"169.254.169.254/32", "cloud metadata",
			"169.254.0.0/16", "link-local",
			"168.63.129.16/32", "cloud metadata",
			"172.16.0.0/12", "private",
			"192.0.0.0/24", "protocol assignments",
			"192.0.2.0/24", "documentation",
			"192.88.99.0/24", "6to4 relay",
			"192.168.0.0/16", "private",
			"198.18.0.0/15", "benchmarking",
			"198.51.100.0/24", "documentation",
			"203.0.113.0/24", "documentation",
			"224.0.0.0/4", "multicast",
			"255.255.255.255/32", "broadcast",
			"240.0.0.0/4", "reserved",
		),
		// Everything outside of 2000::/3 is refused anyway; the ranges there
		// are for a better reason in the message.
		v6: blocks(
			"::1/128", "loopback",
			"::/96", "unspecified or IPv4-compatible",
			"64:ff9b:1::/48", "local NAT64", // the layout inside is its operator's own
			"fd00:ec2::254/128", "cloud metadata",
			"fc00::/7", "unique local",
			"fe80::/10", "link-local",
			"fec0::/10", "site-local",
			"ff00::/8", "multicast",
			"2001::/32", "Teredo",
			"2001::/23", "protocol assignments",
			"2001:db8::/32", "documentation",
			"3fff::/20", "documentation",
		),
	}
}

// control is called by net.Dialer with the address that it is about to connect
// to, after names were resolved; an error keeps it from connecting.
func (g *guard) control(_ context.Context, _, address string, _ syscall.RawConn) error {
	return g.check(address)
}

// check refuses an address that isn't public and that isn't allowed.
func (g *guard) check(address string) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return &Refusal{address, "not an address"}
	}
	ip := ap.Addr().WithZone("").Unmap()
	if len(g.allow) > 0 && (g.allow.has(ip, ap.Port()) || g.allow.has(inner(ip), ap.Port())) {
		return nil
	}
	if reason := g.judge(ip); reason != "" {
		return &Refusal{address, reason}
	}
	return nil
}

// judge gives the reason for which ip is refused, "" if it is public.
func (g *guard) judge(ip netip.Addr) string {
	if in := inner(ip); in.IsValid() {
		if reason := g.judge(in); reason != "" {
			return in.String() + " inside: " + reason
		}
		return ""
	}
	blocks := g.v6
	if ip.Is4() {
		blocks = g.v4
	}
	for _, b := range blocks {
		if b.prefix.Contains(ip) {
			return b.reason
		}
	}
	if ip.Is6() && ip.As16()[0]>>5 != 1 { // 2000::/3
		return "not global unicast"
	}
	return ""
}

// inner gives the IPv4 address that an IPv6 address is translated to: of NAT64
// (64:ff9b::/96, RFC 6052), of 6to4 (2002::/16, RFC 3056) and of SIIT
// (::ffff:0:0:0/96, RFC 2765). The invalid Addr means that there is none.
func inner(ip netip.Addr) netip.Addr {
	if !ip.Is6() {
		return netip.Addr{}
	}
	b := ip.As16()
	switch {
	case b[0] == 0x20 && b[1] == 0x02:
		return netip.AddrFrom4([4]byte(b[2:6]))
	case [12]byte(b[:12]) == [12]byte{0x00, 0x64, 0xff, 0x9b},
		[12]byte(b[:12]) == [12]byte{8: 0xff, 9: 0xff}:
		return netip.AddrFrom4([4]byte(b[12:]))
	}
	return netip.Addr{}
}
