package connection

import (
	"fmt"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"

	"github.com/tappet-dev/tappet/sdk"
)

// Hosts are what the credentials of a connection may be sent to.
type Hosts struct {
	list []host
	// last is the origin that was let through last, as it was written: the same
	// text means the same origin.
	last atomic.Pointer[string]
}

// host is one entry: a name, or what a name ends in.
type host struct {
	name string // lower case, without "*"
	any  bool   // a name below it
	port string // "": 443, by https alone
}

// ParseHosts reads a list of hosts: "api.example.com" and "*.example.com", which
// is any name below example.com, are reached by https at port 443;
// "api.example.com:8443" by https or http at that port. An IPv6 address stands
// in brackets.
func ParseHosts(entries []string) (*Hosts, error) {
	h := &Hosts{list: make([]host, len(entries))}
	for i, e := range entries {
		var err error
		if h.list[i], err = parseHost(e); err != nil {
			return nil, fmt.Errorf("hosts[%d]: %q %w", i, e, err)
		}
	}
	return h, nil
}

func parseHost(s string) (host, error) {
	name, below := strings.CutPrefix(strings.ToLower(s), "*.")
	u, err := url.Parse("https://" + name + "/")
	if err != nil || u.Host != name || name == "" || u.User != nil || u.Path != "/" {
		return host{}, fmt.Errorf("is no host; api.example.com, *.example.com or 10.0.0.7:8080 would do")
	}
	h := host{name: u.Hostname(), any: below, port: u.Port()}
	_, ipErr := netip.ParseAddr(h.name)
	switch {
	case strings.HasSuffix(name, ":") || strings.Trim(h.name, "abcdefghijklmnopqrstuvwxyz0123456789-._:") != "" || strings.HasPrefix(h.name, ".") || strings.HasSuffix(h.name, "."):
		return host{}, fmt.Errorf("is no host; api.example.com, *.example.com or 10.0.0.7:8080 would do")
	case below && ipErr == nil:
		return host{}, fmt.Errorf("puts names below an address")
	case below && !strings.Contains(h.name, "."):
		return host{}, fmt.Errorf("covers a whole top-level domain; *.example.com would do")
	}
	return h, nil
}

func (h host) has(scheme, name, port string) bool {
	switch {
	case h.port == "" && (scheme != "https" || port != "443"), h.port != "" && h.port != port:
		return false
	case h.any:
		return len(name) > len(h.name)+1 && strings.HasSuffix(name, h.name) && name[len(name)-len(h.name)-1] == '.'
	}
	return name == h.name
}

// covers says whether whatever other lets through, h does too.
func (h *Hosts) covers(other *Hosts) bool {
	for _, o := range other.list {
		ok := false
		for _, e := range h.list {
			ok = ok || e == o || e.any && !o.any && e.port == o.port && e.has("https", o.name, portOr(o.port, "443")) ||
				e.any && o.any && e.port == o.port && strings.HasSuffix(o.name, "."+e.name)
		}
		if !ok {
			return false
		}
	}
	return true
}

// check says whether a request to the URL may carry the credentials; if not, an
// error of kind denied.
func (h *Hosts) check(target string) error {
	if last := h.last.Load(); last != nil {
		if rest, ok := strings.CutPrefix(target, *last); ok && (rest == "" || rest[0] == '/' || rest[0] == '?' || rest[0] == '#') {
			return nil // its authority ends there
		}
	}
	return h.look(target)
}

// look is check without what was let through last.
func (h *Hosts) look(target string) error {
	u, err := url.Parse(target)
	if err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && u.Scheme != "http" {
		return sdk.Errorf(sdk.Invalid, "the URL isn't absolute, of http or https and without a user name, so no credentials can be sent with it")
	}
	name, port := strings.ToLower(u.Hostname()), portOf(u)
	for _, e := range h.list {
		if e.has(u.Scheme, name, port) {
			text := strings.Clone(authority(target))
			h.last.Store(&text)
			return nil
		}
	}
	if u.Scheme == "http" {
		return sdk.Errorf(sdk.Denied, "its credentials aren't sent to %s by plain http; name %s:%s among its hosts to allow that", u.Host, u.Hostname(), port)
	}
	return sdk.Errorf(sdk.Denied, "its credentials aren't sent to %s; name that among its hosts to allow it", u.Host)
}

// authority is what stands before the path of a URL: url.Parse finds scheme and
// host in it and nowhere else.
func authority(target string) string {
	from := strings.Index(target, "://")
	if from < 0 {
		return target
	}
	if n := strings.IndexAny(target[from+3:], "/?#"); n >= 0 {
		return target[:from+3+n]
	}
	return target
}

func portOf(u *url.URL) string {
	if u.Scheme == "https" {
		return portOr(u.Port(), "443")
	}
	return portOr(u.Port(), "80")
}

func portOr(port, def string) string {
	if port == "" {
		return def
	}
	return port
}

// sameOrigin compares scheme, host and port of two URLs (RFC 6454).
func sameOrigin(a, b string) bool {
	if authority(a) == authority(b) {
		return true
	}
	x, err := url.Parse(a)
	if err != nil {
		return false
	}
	y, err := url.Parse(b)
	return err == nil && x.Scheme == y.Scheme && strings.EqualFold(x.Hostname(), y.Hostname()) && portOf(x) == portOf(y)
}
