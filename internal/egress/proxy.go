package egress

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"golang.org/x/net/http/httpproxy"

	"github.com/tappet-dev/tappet/sdk"
)

// A Proxy says through which proxy, if any, a URL is reached.
type Proxy struct {
	of func(*url.URL) (*url.URL, error)
}

// ParseProxy reads the settings egress.proxy and egress.no_proxy. The first is
// the URL of an http, https or socks5 proxy, which may hold a user name and a
// password; "env" for what HTTP_PROXY, HTTPS_PROXY and NO_PROXY say; or empty,
// for none. The second lists what is reached directly: hosts, ".example.com"
// for all below it, addresses and ranges, each with a port where only that one
// is meant, or "*". Loopback addresses and localhost never go to a proxy.
func ParseProxy(proxy string, direct []string) (*Proxy, error) {
	switch proxy {
	case "":
		if len(direct) > 0 {
			return nil, errors.New("egress.no_proxy is set, but there is no egress.proxy")
		}
		return nil, nil
	case "env":
		if len(direct) > 0 {
			return nil, errors.New("egress.no_proxy is set beside egress.proxy=env; write it into NO_PROXY")
		}
		return &Proxy{httpproxy.FromEnvironment().ProxyFunc()}, nil
	}
	u, err := url.Parse(proxy)
	if err != nil || u.Hostname() == "" || u.Path != "" && u.Path != "/" || u.RawQuery != "" {
		return nil, errors.New("egress.proxy is no URL of a proxy; http://proxy.example.com:3128 would do, or env") // it may hold a password
	}
	switch u.Scheme {
	case "http", "https", "socks5", "socks5h":
	default:
		return nil, fmt.Errorf("egress.proxy has the scheme %.20q; http, https and socks5 are known", u.Scheme)
	}
	config := httpproxy.Config{HTTPProxy: proxy, HTTPSProxy: proxy, NoProxy: strings.Join(direct, ",")}
	return &Proxy{config.ProxyFunc()}, nil
}

// forwards gives the proxy that is asked for a whole URL, nil if there is none,
// or one that only opens connections.
func (p *Proxy) forwards(u *url.URL) (*url.URL, error) {
	if p == nil || u.Scheme != "http" {
		return nil, nil
	}
	via, err := p.of(u)
	if via == nil || err != nil || via.Scheme != "http" && via.Scheme != "https" {
		return nil, err
	}
	return via, nil
}

// checkProxied judges what a proxy would be asked for: addresses as without one.
// Names are the proxy's to judge, since it is the one who resolves them.
func (c *Client) checkProxied(u *url.URL) error {
	if c.proxy == nil {
		return nil
	}
	p, err := c.proxy.of(u)
	if p == nil || err != nil {
		return err
	}
	if ip, err := netip.ParseAddr(u.Hostname()); err == nil {
		return c.guard.check(net.JoinHostPort(ip.String(), portOf(u)))
	}
	return nil
}

// tunnelled is called with a proxy's answer to CONNECT.
func tunnelled(_ context.Context, _ *url.URL, _ *http.Request, resp *http.Response) error {
	return tunnelError(resp)
}

// tunnelError is what a proxy's answer to CONNECT means.
func tunnelError(resp *http.Response) error {
	kind := sdk.Failed
	switch s := resp.StatusCode; {
	case s == http.StatusOK:
		return nil
	case s == http.StatusProxyAuthRequired, s == http.StatusForbidden:
		kind = sdk.Denied
	case s >= 500:
		kind = sdk.Unavailable
	}
	return sdk.Errorf(kind, "the proxy of egress.proxy refuses to connect: %.80s", resp.Status)
}
