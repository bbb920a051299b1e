package egress

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// Allow is a list of addresses that the guard lets through.
type Allow []allowed

// allowed is a range of addresses, and the one port there; 0 means any.
type allowed struct {
	prefix netip.Prefix
	port   uint16
}

// ParseAllow reads the setting egress.allow. An entry is an address or a range,
// and a port where only that one is meant: "127.0.0.1:7701", "10.0.0.0/8",
// "10.0.0.0/8:443", "192.168.1.20", "::1", "[::1]:80", "[fd00::/8]:443". Names
// are refused: what they mean could change. An IPv4 address also stands for its
// forms in IPv6.
func ParseAllow(entries []string) (Allow, error) {
	list := make(Allow, 0, len(entries))
	for i, e := range entries {
		a, err := parseAllowed(e)
		if err != nil {
			return nil, fmt.Errorf("egress.allow[%d]: %q %w", i, e, err)
		}
		list = append(list, a)
	}
	return list, nil
}

func parseAllowed(s string) (allowed, error) {
	rangeText, portText, hasPort := s, "", false
	switch {
	case strings.HasPrefix(s, "["):
		end := strings.IndexByte(s, ']')
		if end < 0 {
			return allowed{}, fmt.Errorf("has no closing bracket; [::1]:80 would do")
		}
		rangeText, portText = s[1:end], s[end+1:]
		if hasPort = portText != ""; hasPort {
			if portText[0] != ':' {
				return allowed{}, fmt.Errorf("has more than a port after its bracket; [::1]:80 would do")
			}
			portText = portText[1:]
		}
	case strings.Count(s, ":") == 1:
		rangeText, portText, hasPort = strings.Cut(s, ":")
	}
	var a allowed
	if hasPort {
		n, err := strconv.ParseUint(portText, 10, 16)
		if err != nil || n == 0 || portText[0] == '0' {
			return allowed{}, fmt.Errorf("has a port that is not a number from 1 to 65535")
		}
		a.port = uint16(n)
	}
	const wanted = "is neither an address nor a range, such as 127.0.0.1:7701, 10.0.0.0/8 or [::1]:80; names can't be allowed"
	if strings.Contains(rangeText, "/") {
		p, err := netip.ParsePrefix(rangeText)
		if err != nil {
			return allowed{}, errors.New(wanted)
		}
		if p != p.Masked() {
			return allowed{}, fmt.Errorf("has bits set outside of its mask; %s is the range", p.Masked())
		}
		if p.Addr().Is4In6() {
			return allowed{}, fmt.Errorf("is a range of mapped addresses; write the IPv4 range")
		}
		a.prefix = p
		return a, nil
	}
	ip, err := netip.ParseAddr(rangeText)
	if err != nil {
		return allowed{}, errors.New(wanted)
	}
	if ip.Zone() != "" {
		return allowed{}, fmt.Errorf("has a zone; write the address without it")
	}
	ip = ip.Unmap()
	a.prefix = netip.PrefixFrom(ip, ip.BitLen())
	return a, nil
}

// has says whether the list names ip at port.
func (a Allow) has(ip netip.Addr, port uint16) bool {
	for _, e := range a {
		if (e.port == 0 || e.port == port) && e.prefix.Contains(ip) {
			return true
		}
	}
	return false
}
