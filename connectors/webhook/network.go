package webhook

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/tappet-dev/tappet/sdk"
)

// readNetworks reads a list of addresses and networks.
func readNetworks(b []byte) ([]netip.Prefix, error) {
	var texts []string
	if err := json.Unmarshal(b, &texts); err != nil {
		return nil, fmt.Errorf("ip_allow: %w", err)
	}
	out := make([]netip.Prefix, len(texts))
	for i, s := range texts {
		var err error
		if strings.Contains(s, "/") {
			out[i], err = netip.ParsePrefix(s)
		} else {
			var a netip.Addr
			if a, err = netip.ParseAddr(s); err == nil {
				out[i], err = a.Prefix(a.BitLen())
			}
		}
		if err != nil || out[i] != out[i].Masked() || out[i].Addr().Is4In6() {
			return nil, fmt.Errorf("ip_allow: %.60q is neither an address nor a network such as 192.0.2.0/24 or 2001:db8::/32", s)
		}
	}
	return out, nil
}

// admitted refuses a request from outside of the networks. No header is read:
// the ingress knows which proxies may say where a request comes from.
func admitted(from []netip.Prefix, remote string) error {
	if from == nil {
		return nil
	}
	if at, err := netip.ParseAddrPort(remote); err == nil {
		addr := at.Addr().Unmap().WithZone("")
		if slices.ContainsFunc(from, func(p netip.Prefix) bool { return p.Contains(addr) }) {
			return nil
		}
	}
	return &sdk.Error{Kind: sdk.Denied, Reason: reasonNetwork, Err: errors.New("requests from this address aren't taken")}
}
