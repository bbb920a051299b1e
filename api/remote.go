package api

import (
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// Proxies are the reverse proxies that are believed when they say for whom they
// ask; nil: none is.
type Proxies []netip.Prefix

// ParseProxies reads addresses and networks, such as 10.0.0.7 and 10.0.0.0/24.
func ParseProxies(texts []string) (Proxies, error) {
	var out Proxies
	for _, s := range texts {
		p, err := netip.ParsePrefix(s)
		if a, e := netip.ParseAddr(s); e == nil {
			p, err = a.Prefix(a.BitLen())
		}
		switch {
		case err != nil || p != p.Masked() || p.Addr().Is4In6():
			return nil, fmt.Errorf("%.60q is neither an address nor a network such as 10.0.0.0/24 or 2001:db8::/32", s)
		case p.Bits() == 0:
			return nil, fmt.Errorf("%q is everybody: then anyone could say to come from anywhere", s)
		}
		out = append(out, p)
	}
	return out, nil
}

func (p Proxies) has(a netip.Addr) bool {
	return slices.ContainsFunc(p, func(n netip.Prefix) bool { return n.Contains(a) })
}

// remote is the address and port of who sends a request: the connection's other
// end, unless that is a trusted proxy. Then it is what the proxy says in
// X-Forwarded-For, and what the one before it says if that is trusted too: what
// stands left of the first address that isn't, its owner may have written. The
// port is 0 where none is told, and all is "" where a proxy names no address:
// that is nobody whom a list of addresses can let in.
func (p Proxies) remote(r *http.Request) string {
	if p == nil {
		return r.RemoteAddr
	}
	end, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !p.has(plain(end.Addr())) {
		return r.RemoteAddr
	}
	said := r.Header["X-Forwarded-For"]
	for i := len(said) - 1; i >= 0; i-- {
		for list, more := said[i], true; more; {
			var last string
			list, last, more = cutLast(list)
			if end, err = parseEnd(last); err != nil {
				return ""
			}
			if !p.has(end.Addr()) {
				return end.String()
			}
		}
	}
	return end.String()
}

// cutLast takes the last part off a list with commas.
func cutLast(list string) (rest, last string, more bool) {
	if i := strings.LastIndexByte(list, ','); i >= 0 {
		return list[:i], list[i+1:], true
	}
	return "", list, false
}

// parseEnd reads an address with or without a port.
func parseEnd(s string) (netip.AddrPort, error) {
	s = strings.TrimSpace(s)
	if a, err := netip.ParseAddr(strings.Trim(s, "[]")); err == nil {
		return netip.AddrPortFrom(plain(a), 0), nil
	}
	end, err := netip.ParseAddrPort(s)
	return netip.AddrPortFrom(plain(end.Addr()), end.Port()), err
}

func plain(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }
