package api_test

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/tappet-dev/tappet/api"
	"github.com/tappet-dev/tappet/sdk"
)

// Where a request comes from is the connection's other end, and what a header
// says of it only as far as trusted proxies have written it.
func TestSec08_TheAddressOfTheClient(t *testing.T) {
	t.Parallel()
	proxies, err := api.ParseProxies([]string{"10.0.0.0/24", "10.9.9.9", "2001:db8::/32"})
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		proxies api.Proxies
		end     string
		said    []string // values of X-Forwarded-For
		want    string
	}{
		"no proxy is trusted":              {nil, "10.0.0.1:5", []string{"192.0.2.1"}, "10.0.0.1:5"},
		"another sends the header":         {proxies, "192.0.2.66:5", []string{"192.0.2.1"}, "192.0.2.66:5"},
		"another, in the net's other part": {proxies, "10.0.1.1:5", []string{"192.0.2.1"}, "10.0.1.1:5"},
		"one proxy":                        {proxies, "10.0.0.1:5", []string{"192.0.2.1"}, "192.0.2.1:0"},
		"one proxy, by IPv6":               {proxies, "[2001:db8::1%eth0]:5", []string{"2001:db9::1"}, "[2001:db9::1]:0"},
		"one proxy, mapped":                {proxies, "[::ffff:10.0.0.1]:5", []string{"::ffff:192.0.2.1"}, "192.0.2.1:0"},
		"with a port":                      {proxies, "10.0.0.1:5", []string{"192.0.2.1:99"}, "192.0.2.1:99"},
		"with a port, by IPv6":             {proxies, "10.0.0.1:5", []string{"[2001:db9::1]:99"}, "[2001:db9::1]:99"},
		"in brackets":                      {proxies, "10.0.0.1:5", []string{"[2001:db9::1]"}, "[2001:db9::1]:0"},
		"spoofed in front":                 {proxies, "10.0.0.1:5", []string{"192.0.2.1, 192.0.2.66"}, "192.0.2.66:0"},
		"spoofed in a line of its own":     {proxies, "10.0.0.1:5", []string{"192.0.2.1", "192.0.2.66"}, "192.0.2.66:0"},
		"a proxy's address spoofed":        {proxies, "10.0.0.1:5", []string{"192.0.2.1, 10.0.0.9, 192.0.2.66"}, "192.0.2.66:0"},
		"two proxies":                      {proxies, "10.0.0.1:5", []string{"192.0.2.1, 192.0.2.66 ,10.9.9.9"}, "192.0.2.66:0"},
		"two proxies, two lines":           {proxies, "10.0.0.1:5", []string{"192.0.2.66", "10.9.9.9"}, "192.0.2.66:0"},
		"from a proxy itself":              {proxies, "10.0.0.1:5", nil, "10.0.0.1:5"},
		"proxies alone":                    {proxies, "10.0.0.1:5", []string{"10.9.9.9, 10.0.0.2"}, "10.9.9.9:0"},
		"no address":                       {proxies, "10.0.0.1:5", []string{"192.0.2.1, unknown"}, ""},
		"nothing":                          {proxies, "10.0.0.1:5", []string{""}, ""},
		"an empty part":                    {proxies, "10.0.0.1:5", []string{"192.0.2.1,"}, ""},
		"left of it is not read":           {proxies, "10.0.0.1:5", []string{"<script>, 192.0.2.66"}, "192.0.2.66:0"},
	} {
		f := newFake()
		r := httptest.NewRequest("POST", "/hooks/orders", strings.NewReader("x"))
		r.RemoteAddr = tt.end
		r.Header["X-Forwarded-For"] = tt.said
		r.Header.Set("Forwarded", "for=192.0.2.1")
		r.Header.Set("X-Real-Ip", "192.0.2.1")
		if w := do(newServer(t, f, func(o *api.Options) { o.Proxies = tt.proxies }), r); w.Code != 202 {
			t.Fatalf("%s: %d %s", name, w.Code, w.Body)
		}
		if got := f.got.(sdk.WebhookRequest).Remote; got != tt.want {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
	for _, bad := range []string{"", "10.0.0.0/8/8", "10.0.0.1/24", "proxy", "0.0.0.0/0", "::/0", "::ffff:10.0.0.1", "10.0.0.1:80"} {
		if _, err := api.ParseProxies([]string{"10.0.0.1", bad}); err == nil {
			t.Errorf("%q is a proxy", bad)
		}
	}
}
