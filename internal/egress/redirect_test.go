package egress

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

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
	if r.Header.Get("Authorization") != "" && r.Header.Get("Proxy-Authorization") != "" && r.Header.Get("X-Api-Key") != "" && r.Header.Get("X-Vendor-Token") != "" {
		out += " auth"
	}
	for _, secret := range []string{"Authorization", "Proxy-Authorization", "X-Api-Key", "X-Vendor-Token"} {
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

func TestCredentialsByName(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{
		"Authorization": true, "Proxy-Authorization": true, "Cookie": true, "X-Api-Key": true, "Ocp-Apim-Subscription-Key": true,
		"X-Vendor-Token": true, "X-Hub-Signature": true, "X-Client-Secret": true, "Apikey": true,
		"Idempotency-Key": false, "Content-Type": false, "X-Author": false, "X-Keyboard": false, "Accept": false, "X-Request-Id": false,
	} {
		if got := credential(name); got != want {
			t.Errorf("%s: %t, want %t", name, got, want)
		}
	}
}
