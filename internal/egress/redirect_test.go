package egress

import (
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tappet-dev/tappet/sdk"
)

func TestTheCallerMayRefuseARedirect(t *testing.T) {
	t.Parallel()
	reached := false
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/end" {
			reached = true
			return
		}
		http.Redirect(w, r, "/end", http.StatusFound)
	})
	asked := ""
	res, err := newClientFor(t, Limits{}).Do(t.Context(), &sdk.Request{URL: s.URL + "/begin", Redirect: func(url string) error {
		asked = url
		return sdk.Errorf(sdk.Denied, "not there")
	}}, func(Exchange) {})
	if res != nil {
		_ = res.Body.Close()
	}
	if sdk.KindOf(err) != sdk.Denied || asked != s.URL+"/end" || reached {
		t.Errorf("err = %v, asked %q, reached %t; want denied, /end, false", err, asked, reached)
	}
}

func TestSec10_RedirectsCarryNoCredentialsToAnotherOrigin(t *testing.T) {
	t.Parallel()
	other := serve(t, func(w http.ResponseWriter, r *http.Request) { echo(w, r) })
	var s *httptest.Server
	s = serve(t, func(w http.ResponseWriter, r *http.Request) {
		var status int
		to := ""
		switch n, _ := fmt.Sscanf(r.URL.Path, "/%d/%s", &status, &to); {
		case n < 2:
			echo(w, r)
			return
		case to == "away":
			to = other.URL + "/end"
		case to == "end":
			to = "/end"
		case to == "loop":
			to = r.URL.Path
		case to == "file":
			to = "file:///etc/passwd"
		case to == "user":
			to = "http://u:p@" + s.Listener.Addr().String() + "/"
		case to == "odd":
			to = "/a b/ü"
		}
		w.Header().Set("Location", to)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, "moved")
	})
	c := newClientFor(t, Limits{Redirects: 3})
	const all = " auth cookie key host=forms.example"
	for _, tt := range []struct {
		method, path, want string
		once               bool
		kind               sdk.Kind
	}{
		{"POST", "/303/end", "GET /end -" + all, false, ""},
		{"POST", "/302/end", "GET /end -" + all, false, ""},
		{"PUT", "/302/end", "PUT /end hello ct" + all, false, ""},
		{"PUT", "/303/end", "GET /end -" + all, false, ""},
		{"HEAD", "/303/end", "", false, ""},
		{"POST", "/307/end", "POST /end hello ct" + all, false, ""},
		{"POST", "/308/away", "POST /end hello ct key", false, ""},
		{"GET", "/301/away", "GET /end - key", false, ""},
		{"POST", "/307/end", "", true, sdk.Failed},
		{"GET", "/302/loop", "", false, sdk.Failed},
		{"GET", "/302/file", "", false, sdk.Failed},
		{"GET", "/302/user", "", false, sdk.Failed},
		{"GET", "/302/odd", "GET /a%20b/%C3%BC -" + all, false, ""},
	} {
		r := &sdk.Request{Method: tt.method, URL: s.URL + tt.path, Header: sdk.Header{
			{Name: "Authorization", Value: "Bearer x"},
			{Name: "Cookie", Value: "c=1"},
			{Name: "X-Api-Key", Value: "k"},
			{Name: "X-Acme", Value: "a"},
			{Name: "Proxy-Authorization", Value: "p"},
			{Name: "X-Vendor-Token", Value: "t"},
			{Name: "Idempotency-Key", Value: "i"},
			{Name: "Host", Value: "forms.example"},
		}}
		if tt.method == "POST" || tt.method == "PUT" {
			r.Body, r.Size, r.Reopen = text("hello")
			r.Header.Add("Content-Type", "text/plain")
			if tt.once {
				r.Reopen = nil
			}
		}
		_, got, x, err := fetch(t.Context(), c, r)
		if tt.kind != "" {
			if sdk.KindOf(err) != tt.kind {
				t.Errorf("%s %s: %v, want kind %s", tt.method, tt.path, err, tt.kind)
			}
			continue
		}
		if err != nil || got != tt.want {
			t.Errorf("%s %s: %q, %v, want %q", tt.method, tt.path, got, err, tt.want)
		}
		if len(x) != 1 || len(x[0].Redirects) != 1 || !strings.HasPrefix(x[0].Redirects[0], "http://127.0.0.1:") {
			t.Errorf("%s %s: exchanges %+v", tt.method, tt.path, x)
		}
	}
	none := newClientFor(t, Limits{Redirects: -1})
	if status, got, _, err := fetch(t.Context(), none, &sdk.Request{URL: s.URL + "/302/end"}); status != 302 || got != "moved" || err != nil {
		t.Errorf("without redirects: %d %q, %v", status, got, err)
	}
}

// echo tells what of a request arrived.
func echo(w http.ResponseWriter, r *http.Request) {
	b, _ := io.ReadAll(r.Body)
	if len(b) == 0 {
		b = []byte("-")
	}
	out := fmt.Sprintf("%s %s %s", r.Method, r.URL.EscapedPath(), b)
	if r.Header.Get("Content-Type") != "" {
		out += " ct"
	}
	if r.Header.Get("Authorization") != "" && r.Header.Get("Proxy-Authorization") != "" && r.Header.Get("X-Api-Key") != "" && r.Header.Get("X-Vendor-Token") != "" && r.Header.Get("X-Acme") != "" {
		out += " auth"
	}
	for _, secret := range []string{"Authorization", "Proxy-Authorization", "X-Api-Key", "X-Vendor-Token", "X-Acme"} {
		if r.Header.Get(secret) != "" && !strings.HasSuffix(out, " auth") {
			out += " alone:" + secret
		}
	}
	if r.Header.Get("Cookie") != "" {
		out += " cookie"
	}
	if r.Header.Get("Idempotency-Key") != "" {
		out += " key"
	}
	if r.Host == "forms.example" {
		out += " host=" + r.Host
	}
	_, _ = io.WriteString(w, out)
}

// What goes on to another origin is a list of names, so that a secret in a
// header of any name stays behind. The control is the same redirect to the same
// origin, which keeps them all.
func TestSec10_AnotherOriginGetsNoHeaderOfTheGraphsOwn(t *testing.T) {
	t.Parallel()
	goesOn := []string{
		"Accept", "Accept-Charset", "Accept-Encoding", "Accept-Language", "Cache-Control", "Content-Language", "Content-Md5", "Content-Type",
		"Idempotency-Key", "If-Match", "If-Modified-Since", "If-None-Match", "If-Range", "If-Unmodified-Since", "Prefer", "Range",
		"Traceparent", "Tracestate", "User-Agent",
	}
	stays := []string{
		"Authorization", "Proxy-Authorization", "Cookie", "Cookie2", "X-Api-Key", "Ocp-Apim-Subscription-Key", "Apikey", "X-Hub-Signature",
		"X-Acme", "X-Request-Id", "X-Author", "Acme", "Content-Acme", "Accept-Acme", "If-Acme", "Baggage", "Referer", "Origin", "From", "Via", "Forwarded",
	}
	arrived := func(w http.ResponseWriter, r *http.Request) {
		var names []string
		for name, values := range r.Header {
			if slices.Contains(values, "v") {
				names = append(names, name)
			}
		}
		slices.Sort(names)
		_, _ = io.WriteString(w, strings.Join(names, " "))
	}
	other := serve(t, arrived)
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/away":
			http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
		case "/home":
			http.Redirect(w, r, "/end", http.StatusTemporaryRedirect)
		case "/end":
			arrived(w, r)
		}
	})
	all := slices.Sorted(slices.Values(append(slices.Clone(goesOn), stays...)))
	c := newClientFor(t, Limits{})
	for path, want := range map[string][]string{"/away": goesOn, "/home": all} {
		r := &sdk.Request{URL: s.URL + path}
		for _, name := range all {
			r.Header.Add(name, "v")
		}
		_, got, _, err := fetch(t.Context(), c, r)
		if diff := cmp.Diff(want, strings.Fields(got)); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", path, err, diff)
		}
	}
}

// A body goes on to the same site alone, and never out of TLS. A redirect that
// makes a GET of the request, and one of a request without a body, go anywhere.
func TestSec10_AnotherSiteGetsNoBody(t *testing.T) {
	t.Parallel()
	var reached atomic.Int64
	handler := func(w http.ResponseWriter, r *http.Request) {
		if to := r.URL.Query().Get("to"); to != "" {
			status := http.StatusPermanentRedirect
			if r.URL.Path == "/see" {
				status = http.StatusSeeOther
			}
			w.Header().Set("Location", to)
			w.WriteHeader(status)
			return
		}
		reached.Add(1)
		echo(w, r)
	}
	plain := serve(t, handler)
	secure := httptest.NewTLSServer(http.HandlerFunc(handler))
	t.Cleanup(secure.Close)
	pool := x509.NewCertPool()
	pool.AddCert(secure.Certificate())
	dns := newDNS(t, netip.MustParseAddr("127.0.0.1"))
	c := New(Options{Allow: mustAllow(t, "127.0.0.1"), Resolver: dns.resolver, RootCAs: pool})
	defer c.Close()
	at := func(name string, s *httptest.Server) string {
		scheme, _, _ := strings.Cut(s.URL, ":")
		_, port, _ := net.SplitHostPort(s.Listener.Addr().String())
		return scheme + "://" + name + ":" + port + "/"
	}
	for _, tt := range []struct {
		name, method, from, to string
		want                   string // "": the redirect isn't followed
	}{
		{"another host of the site", "POST", at("forms.shop.co.uk", plain), at("api.shop.co.uk", plain), "POST / hello ct"},
		{"the name above", "PUT", at("www.shop.test", plain), at("shop.test", plain), "PUT / hello ct"},
		{"another port", "POST", plain.URL + "/", secure.URL + "/", "POST / hello ct"},
		{"into TLS", "POST", at("example.com", plain), at("example.com", secure), "POST / hello ct"},
		{"another site", "POST", at("forms.shop.test", plain), at("evil.test", plain), ""},
		{"another owner below a public suffix", "POST", at("shop.co.uk", plain), at("evil.co.uk", plain), ""},
		{"another owner at the same provider", "POST", at("shop.github.io", plain), at("evil.github.io", plain), ""},
		{"a site whose name ends alike", "POST", at("shop.test", plain), at("evilshop.test", plain), ""},
		{"an address", "POST", at("shop.test", plain), plain.URL + "/", ""},
		{"out of TLS", "POST", at("example.com", secure), at("example.com", plain), ""},
		{"without a body", "DELETE", at("forms.shop.test", plain), at("evil.test", plain), "DELETE / -"},
		{"with a GET", "GET", at("forms.shop.test", plain), at("evil.test", plain), "GET / -"},
		{"by a GET", "POST", at("forms.shop.test", plain) + "see", at("evil.test", plain), "GET / -"},
	} {
		reached.Store(0)
		r := &sdk.Request{Method: tt.method, URL: tt.from + "?to=" + url.QueryEscape(tt.to)}
		if strings.HasPrefix(tt.method, "P") {
			r.Body, r.Size, r.Reopen = text("hello")
			r.Header.Add("Content-Type", "text/plain")
		}
		_, got, x, err := fetch(t.Context(), c, r)
		if tt.want != "" {
			if err != nil || got != tt.want {
				t.Errorf("%s: %q, %v, want %q", tt.name, got, err, tt.want)
			}
			continue
		}
		if sdk.KindOf(err) != sdk.Denied || !strings.Contains(err.Error(), "call that address itself") || reached.Load() != 0 || x[0].Kind != sdk.Denied {
			t.Errorf("%s: %v, %d requests arrived; kind denied is wanted, and what to do", tt.name, err, reached.Load())
		}
	}
}

// A request may want fewer redirects than are followed, or none; it can't have
// more.
func TestARequestMayWantFewerRedirects(t *testing.T) {
	t.Parallel()
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		n, _ := strconv.Atoi(r.URL.Path[1:])
		if n > 0 {
			http.Redirect(w, r, "/"+strconv.Itoa(n-1), http.StatusFound)
		}
	})
	for _, tt := range []struct {
		host, wants, there int
		status             int
		says               string
	}{
		{3, 0, 3, 200, ""},
		{3, 0, 4, 0, "more than 3 redirects (limits.redirects)"},
		{3, 2, 2, 200, ""},
		{3, 2, 3, 0, "more than 2 redirects (the request's own limit)"},
		{3, 9, 4, 0, "more than 3 redirects (limits.redirects)"},
		{3, -1, 1, 302, ""},
		{-1, 9, 1, 302, ""},
	} {
		status, _, x, err := fetch(t.Context(), newClientFor(t, Limits{Redirects: tt.host}), &sdk.Request{URL: s.URL + "/" + strconv.Itoa(tt.there), MaxRedirects: tt.wants})
		if status != tt.status || tt.says != "" && (sdk.KindOf(err) != sdk.Failed || !strings.Contains(err.Error(), tt.says)) || tt.says == "" && err != nil {
			t.Errorf("%+v: %d, %v", tt, status, err)
		}
		if tt.status == 302 && len(x[0].Redirects) != 0 {
			t.Errorf("%+v: %q were followed", tt, x[0].Redirects)
		}
	}
}
