package plugins

import (
	"context"
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/tappet-dev/tappet/sdk"
)

// Grant gives h reduced to needs: requests to hosts and secrets that are not
// declared are refused with kind denied. config is the call's config or input,
// a JSON object in which "{field}" is looked up.
// Redirects are held to the same.
func Grant(h sdk.Host, needs sdk.Needs, config []byte) sdk.Host {
	return grant(h, needs, func() []byte { return config })
}

// Allowed says whether needs let a request to the address go; the error, of
// kind denied or invalid, says what would have to be declared.
func Allowed(address string, needs sdk.Needs, config []byte) error {
	u, err := url.Parse(address)
	if err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https" {
		return sdk.Errorf(sdk.Invalid, "%.200q is not an absolute http or https address", address)
	}
	host := canonicalHost(u.Hostname())
	for _, n := range needs.HTTP {
		switch {
		case n == "*":
			return nil
		case strings.HasPrefix(n, "{") && strings.HasSuffix(n, "}"):
			if h := fieldHost(config, n[1:len(n)-1]); h != "" && h == host {
				return nil
			}
		case strings.HasPrefix(n, "*."):
			if strings.HasSuffix(host, canonicalHost(n[1:])) && len(host) >= len(n) {
				return nil
			}
		case canonicalHost(n) == host:
			return nil
		}
	}
	return sdk.Errorf(sdk.Denied, "the plugin does not declare host %q; its needs name %s", host, listed(needs.HTTP))
}

func grant(h sdk.Host, needs sdk.Needs, config func() []byte) sdk.Host {
	return &granted{Host: h, needs: needs, config: sync.OnceValue(config)}
}

type granted struct {
	sdk.Host
	needs  sdk.Needs
	config func() []byte
}

func (g *granted) HTTP(ctx context.Context, r *sdk.Request) (*sdk.Response, error) {
	if err := Allowed(r.URL, g.needs, g.config()); err != nil {
		return nil, err
	}
	guarded := *r
	guarded.Redirect = func(url string) error {
		if err := Allowed(url, g.needs, g.config()); err != nil {
			return err
		}
		if r.Redirect != nil {
			return r.Redirect(url)
		}
		return nil
	}
	return g.Host.HTTP(ctx, &guarded)
}

func (g *granted) Secret(ctx context.Context, name string) (string, error) {
	if !slices.Contains(g.needs.Secrets, name) {
		return "", sdk.Errorf(sdk.Denied, "the plugin does not declare secret %q; its needs name %s", name, listed(g.needs.Secrets))
	}
	return g.Host.Secret(ctx, name)
}

func listed(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// canonicalHost compares hosts without case and the root's dot.
func canonicalHost(h string) string { return strings.ToLower(strings.TrimSuffix(h, ".")) }

// fieldHost is the host of a field that holds a URL or a bare host, "" if it
// holds neither.
func fieldHost(config []byte, name string) string {
	var m map[string]json.RawMessage
	var v string
	if json.Unmarshal(config, &m) != nil || json.Unmarshal(m[name], &v) != nil || v == "" {
		return ""
	}
	if !strings.Contains(v, "://") {
		v = "//" + v
	}
	u, err := url.Parse(v)
	if err != nil {
		return ""
	}
	return canonicalHost(u.Hostname())
}
