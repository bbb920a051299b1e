package oci_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"
	"oras.land/oras-go/v2"
	layout "oras.land/oras-go/v2/content/oci"
	"oras.land/oras-go/v2/registry/remote"

	"github.com/tappet-dev/tappet/plugins/oci"
	"github.com/tappet-dev/tappet/sdk"
)

// direct sends requests without any guard.
func direct(ctx context.Context, r *sdk.Request) (*sdk.Response, error) {
	req, err := http.NewRequestWithContext(ctx, r.Method, r.URL, r.Body)
	if err != nil {
		return nil, err
	}
	for _, p := range r.Header {
		req.Header.Add(p.Name, p.Value)
	}
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
	if err != nil {
		return nil, &sdk.Error{Kind: sdk.Unavailable, Err: err}
	}
	out := &sdk.Response{Status: resp.StatusCode, Body: resp.Body, Size: resp.ContentLength}
	for name, values := range resp.Header {
		for _, v := range values {
			out.Header.Add(name, v)
		}
	}
	return out, nil
}

// A depot is a real registry with something before it.
type depot struct {
	host string // as references begin
	// before answers a request itself, or lets it pass.
	before func(w http.ResponseWriter, r *http.Request) (done bool)
}

func newDepot(t *testing.T) *depot {
	t.Helper()
	d := &depot{}
	h := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if d.before == nil || !d.before(w, r) {
			h.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(s.Close)
	d.host = strings.TrimPrefix(s.URL, "http://")
	return d
}

// push copies the image of a layout that has the tag v1 into the registry, and
// gives its digest.
func (d *depot) push(t *testing.T, folder, repository string) (digest string) {
	t.Helper()
	from, err := layout.New(folder)
	if err != nil {
		t.Fatal(err)
	}
	to, err := remote.NewRepository(d.host + "/" + repository)
	if err != nil {
		t.Fatal(err)
	}
	to.PlainHTTP = true
	root, err := oras.Copy(t.Context(), from, "v1", to, "v1", oras.DefaultCopyOptions)
	if err != nil {
		t.Fatal(err)
	}
	return root.Digest.String()
}

// module is an image of one module.
func module(t *testing.T, mediaType string, b []byte) string {
	t.Helper()
	i := newImage(t)
	i.index(map[string]object{"v1": i.manifest(mediaType, b)})
	return i.dir
}

var code = []byte("\x00asm and so on")

func TestFetch(t *testing.T) {
	t.Parallel()
	d := newDepot(t)
	digest := d.push(t, module(t, oci.WASMType, code), "team/feed")
	r := oci.NewRegistry(direct, oci.RegistryOptions{})
	pinned := d.host + "/team/feed@" + digest
	for _, reference := range []string{d.host + "/team/feed:v1", pinned, d.host + "/team/feed:v1@" + digest} {
		b, by, err := r.Fetch(t.Context(), reference, 0)
		if err != nil || !bytes.Equal(b, code) || by != pinned {
			t.Errorf("%s: %q, %s, %v; %s is wanted", reference, b, by, err, pinned)
		}
	}
}

func TestFetchOfWhatBuildWrites(t *testing.T) {
	t.Parallel()
	d := newDepot(t)
	folder := filepath.Join(t.TempDir(), "feed.oci")
	for _, files := range [][]oci.File{
		{{Bytes: []byte("older")}},
		{{Program: true, OS: "plan9", Arch: "mips", Bytes: []byte("foreign")}, {Bytes: code}},
	} {
		if err := oci.Write(t.Context(), folder, "v1", files); err != nil {
			t.Fatal(err)
		}
	}
	if b, err := oci.Read(t.Context(), folder, oci.Options{}); err != nil || !bytes.Equal(b, code) {
		t.Errorf("from the layout: %q, %v", b, err)
	}
	d.push(t, folder, "feed")
	if b, _, err := oci.NewRegistry(direct, oci.RegistryOptions{}).Fetch(t.Context(), d.host+"/feed:v1", 0); err != nil || !bytes.Equal(b, code) {
		t.Errorf("from the registry: %q, %v", b, err)
	}
	i := image{t, folder}
	b, err := os.ReadFile(i.tar())
	if err != nil {
		t.Fatal(err)
	}
	if b, err := oci.ReadTar(t.Context(), b, oci.Options{Tag: "v1"}); err != nil || !bytes.Equal(b, code) {
		t.Errorf("from a tar: %q, %v", b, err)
	}
	if _, err := oci.ReadTar(t.Context(), b[:700], oci.Options{}); sdk.KindOf(err) != sdk.Invalid {
		t.Errorf("from half a tar: %v", err)
	}
}

func TestFetchRefuses(t *testing.T) {
	t.Parallel()
	blob := func(r *http.Request) bool {
		return r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/blobs/")
	}
	manifest := func(r *http.Request) bool { return strings.Contains(r.URL.Path, "/manifests/") }
	answer := func(when func(*http.Request) bool, fn http.HandlerFunc) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			if when(r) {
				fn(w, r)
				return true
			}
			return false
		}
	}
	for name, tt := range map[string]struct {
		folder    string
		reference string // what follows the host; "" is /feed:v1
		before    func(http.ResponseWriter, *http.Request) bool
		limit     int64
		kind      sdk.Kind
		text      string
	}{
		"no tag":            {reference: "/feed", kind: sdk.Invalid, text: "neither a tag nor a digest"},
		"no repository":     {reference: "", limit: -1, kind: sdk.Invalid, text: "no reference of an image"},
		"a bad name":        {reference: "/Feed:v1", kind: sdk.Invalid, text: "no reference of an image"},
		"a bad digest":      {reference: "/feed@sha256:12", kind: sdk.Invalid, text: "no reference of an image"},
		"an unknown tag":    {reference: "/feed:v2", kind: sdk.NotFound, text: "is it pushed"},
		"an unknown digest": {reference: "/feed@sha256:" + strings.Repeat("0", 64), kind: sdk.NotFound, text: "is it pushed"},
		"a huge layer":      {limit: 4, kind: sdk.TooLarge, text: "the plugin has 14 bytes, 4 are allowed"},
		"a container image": {folder: module(t, "application/vnd.oci.image.layer.v1.tar", code), kind: sdk.Invalid, text: "has 0 layers of the type"},
		"another digest": {
			before: answer(blob, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("\x00asm and so oN")) }),
			kind:   sdk.Invalid, text: "mismatch",
		},
		"more than declared": {
			before: answer(blob, func(w http.ResponseWriter, _ *http.Request) {
				w.(http.Flusher).Flush()
				_, _ = w.Write(bytes.Repeat(code, 1000))
			}),
			kind: sdk.Invalid, text: "read the plugin",
		},
		"truncated": {
			before: answer(blob, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Length", fmt.Sprint(len(code)))
				_, _ = w.Write(code[:5])
			}),
			kind: sdk.Unavailable, text: "unexpected EOF",
		},
		"a huge manifest": {
			before: answer(manifest, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", manifestType)
				w.Header().Set("Content-Length", fmt.Sprint(2<<20))
				_, _ = w.Write(bytes.Repeat([]byte(" "), 2<<20))
			}),
			kind: sdk.Invalid, text: "1048576 are allowed",
		},
		"another manifest's type": {
			before: answer(manifest, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "text/html")
				_, _ = w.Write([]byte("<html>"))
			}),
			kind: sdk.Invalid, text: `"text/html"`,
		},
		"overloaded": {
			before: answer(manifest, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }),
			kind:   sdk.Unavailable, text: "503",
		},
		"forbidden": {
			before: answer(manifest, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(403) }),
			kind:   sdk.Unauthorized, text: "TAPPET_REGISTRY_AUTH_FILE",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDepot(t)
			if tt.folder == "" {
				tt.folder = module(t, oci.WASMType, code)
			}
			d.push(t, tt.folder, "feed")
			d.before = tt.before
			reference := d.host + "/feed:v1"
			if tt.reference != "" || tt.limit < 0 {
				reference = d.host + tt.reference
			}
			_, _, err := oci.NewRegistry(direct, oci.RegistryOptions{}).Fetch(t.Context(), reference, tt.limit)
			if sdk.KindOf(err) != tt.kind || err == nil || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("%v (%s); %s with %q is wanted", err, sdk.KindOf(err), tt.kind, tt.text)
			}
		})
	}
}

func TestFetchAsksByTheGuardAlone(t *testing.T) {
	t.Parallel()
	var asked []string
	r := oci.NewRegistry(func(_ context.Context, r *sdk.Request) (*sdk.Response, error) {
		asked = append(asked, r.URL)
		return nil, sdk.Errorf(sdk.Denied, "the address is private")
	}, oci.RegistryOptions{})
	for reference, url := range map[string]string{
		"registry.example.com/team/feed:1": "https://registry.example.com/v2/team/feed/manifests/1",
		"10.0.0.7:5000/feed:1":             "https://10.0.0.7:5000/v2/feed/manifests/1",
		"localhost:5000/feed:1":            "http://localhost:5000/v2/feed/manifests/1",
		"127.0.0.1/feed:1":                 "http://127.0.0.1/v2/feed/manifests/1",
	} {
		asked = nil
		_, _, err := r.Fetch(t.Context(), reference, 0)
		if sdk.KindOf(err) != sdk.Denied || len(asked) != 1 || asked[0] != url {
			t.Errorf("%s: %v, asked %q; only %s is wanted", reference, err, asked, url)
		}
	}
}

// The realm that a registry names for its tokens is asked by the guard, too.
func TestFetchOfATokenIsGuarded(t *testing.T) {
	t.Parallel()
	d := newDepot(t)
	d.before = func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("WWW-Authenticate", `Bearer realm="http://10.1.2.3/token",service="x"`)
		w.WriteHeader(401)
		return true
	}
	guard := func(ctx context.Context, r *sdk.Request) (*sdk.Response, error) {
		if strings.Contains(r.URL, "10.1.2.3") {
			return nil, sdk.Errorf(sdk.Denied, "the address is private")
		}
		return direct(ctx, r)
	}
	_, _, err := oci.NewRegistry(guard, oci.RegistryOptions{}).Fetch(t.Context(), d.host+"/feed:v1", 0)
	if sdk.KindOf(err) != sdk.Denied {
		t.Errorf("%v", err)
	}
}

func TestFetchWithCredentials(t *testing.T) {
	t.Parallel()
	const user, password = "robot", "of this test"
	for _, scheme := range []string{"basic", "bearer"} {
		d := newDepot(t)
		d.push(t, module(t, oci.WASMType, code), "feed")
		d.before = func(w http.ResponseWriter, r *http.Request) bool {
			u, p, ok := r.BasicAuth()
			known := ok && u == user && p == password
			switch {
			case r.URL.Path == "/token" && known && r.URL.Query().Get("scope") == "repository:feed:pull":
				_ = json.NewEncoder(w).Encode(map[string]string{"token": "t0ken"})
				return true
			case scheme == "bearer" && r.Header.Get("Authorization") == "Bearer t0ken", scheme == "basic" && known:
				return false
			case scheme == "bearer" && r.URL.Path != "/token":
				w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="http://%s/token",service="x"`, r.Host))
			case scheme == "basic":
				w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
			}
			w.WriteHeader(401)
			return true
		}
		file := func(host, password string) string {
			path := filepath.Join(t.TempDir(), "config.json")
			b, err := json.Marshal(object{"auths": object{host: object{"auth": base64.StdEncoding.EncodeToString([]byte(user + ":" + password))}}})
			if err == nil {
				err = os.WriteFile(path, b, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
			return path
		}
		for about, tt := range map[string]struct {
			file string
			kind sdk.Kind
		}{
			"right":      {file(d.host, password), ""},
			"wrong":      {file(d.host, "guess"), sdk.Unauthorized},
			"another's":  {file("registry.example.com", password), sdk.Unauthorized},
			"none":       {"", sdk.Unauthorized},
			"no file":    {filepath.Join(t.TempDir(), "none"), sdk.Invalid},
			"not a file": {t.TempDir(), sdk.Invalid},
		} {
			b, _, err := oci.NewRegistry(direct, oci.RegistryOptions{AuthFile: tt.file}).Fetch(t.Context(), d.host+"/feed:v1", 0)
			if tt.kind == "" && (err != nil || !bytes.Equal(b, code)) || tt.kind != "" && sdk.KindOf(err) != tt.kind {
				t.Errorf("%s, %s: %v; kind %q is wanted", scheme, about, err, tt.kind)
			}
			if err != nil && (strings.Contains(err.Error(), password) || strings.Contains(err.Error(), "guess")) {
				t.Errorf("%s, %s: the password is told: %v", scheme, about, err)
			}
		}
	}
}

func TestFetchEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	waits := func(ctx context.Context, _ *sdk.Request) (*sdk.Response, error) {
		cancel()
		<-ctx.Done()
		return nil, context.Cause(ctx)
	}
	if _, _, err := oci.NewRegistry(waits, oci.RegistryOptions{}).Fetch(ctx, "registry.example.com/feed:1", 0); sdk.KindOf(err) != sdk.Cancelled {
		t.Errorf("%v", err)
	}
	late := func(ctx context.Context, _ *sdk.Request) (*sdk.Response, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	_, _, err := oci.NewRegistry(late, oci.RegistryOptions{Timeout: 1}).Fetch(t.Context(), "registry.example.com/feed:1", 0)
	if sdk.KindOf(err) != sdk.Unavailable || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
}

func TestIsReference(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]bool{
		"registry.example.com/team/feed:1": true, "localhost/feed:1": true, "host:5000/feed@sha256:12": true,
		"feed.wasm": false, "build/feed.wasm": false, "./feed.wasm": false, "../x.y/feed": false, "/tmp/feed.wasm": false, "": false, "a.b/": false,
	} {
		if got := oci.IsReference(s); got != want {
			t.Errorf("%q: %t", s, got)
		}
	}
}

func FuzzRegistry(f *testing.F) {
	f.Add("", "{}", int64(2))
	f.Add(manifestType, `{"layers":[{"mediaType":"application/wasm","digest":"sha256:00","size":4}]}`, int64(1<<40))
	f.Add("application/vnd.oci.image.index.v1+json", `{"manifests":[{"mediaType":"`+manifestType+`","digest":"sha256:`+strings.Repeat("0", 64)+`","size":-1}]}`, int64(-1))
	f.Fuzz(func(t *testing.T, mediaType, body string, size int64) {
		says := func(context.Context, *sdk.Request) (*sdk.Response, error) {
			return &sdk.Response{
				Status: 200, Header: sdk.Header{{Name: "Content-Type", Value: mediaType}},
				Size: size, Body: io.NopCloser(strings.NewReader(body)),
			}, nil
		}
		b, _, err := oci.NewRegistry(says, oci.RegistryOptions{}).Fetch(t.Context(), "registry.example.com/feed:1", 1<<16)
		if err == nil && len(b) > 1<<16 {
			t.Errorf("%d bytes", len(b))
		}
	})
}
