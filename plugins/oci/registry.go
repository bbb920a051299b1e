package oci

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/credentials"
	"oras.land/oras-go/v2/registry/remote/errcode"

	"github.com/tappet-dev/tappet/sdk"
)

// A Doer sends a request and follows its redirects; it decides which addresses
// may be reached, and bears credentials to no other origin.
type Doer func(ctx context.Context, r *sdk.Request) (*sdk.Response, error)

// A Registry reads plugins from OCI registries. It is safe for concurrent use.
//
// A registry is spoken to by HTTPS, only one on this machine (localhost, 127.0.0.1
// or [::1]) by HTTP.
type Registry struct {
	do          Doer
	credentials credentials.Store
	timeout     time.Duration
}

// RegistryOptions are optional.
type RegistryOptions struct {
	// AuthFile is a file of credentials in the form that docker login writes, with
	// the passwords in it ("auths"). It is read at each fetch; "" has none.
	AuthFile string
	// Timeout bounds a whole fetch; 0 means 1 min.
	Timeout time.Duration
}

// NewRegistry makes a reader that sends what it has to by do.
func NewRegistry(do Doer, o RegistryOptions) *Registry {
	if o.Timeout <= 0 {
		o.Timeout = time.Minute
	}
	return &Registry{do: do, credentials: authFile(o.AuthFile), timeout: o.Timeout}
}

// IsReference says whether a word can only be a reference: it begins with a host,
// which has a dot, a port or is localhost, and goes on with a path.
func IsReference(s string) bool {
	host, path, ok := strings.Cut(s, "/")
	return ok && path != "" && !strings.HasPrefix(host, ".") && (strings.ContainsAny(host, ".:") || host == "localhost")
}

// Fetch gives the plugin's file that a registry has for this machine under a
// reference, host/repository:tag or host/repository@sha256:…, and the reference
// by its digest, which means the same image for ever. limit is the most bytes of
// the file; 0 means 256 MiB.
//
// Errors are *sdk.Error: invalid for a reference or an image that is none, denied
// by the Doer, unauthorized, too_large, and unavailable for what may work later.
func (r *Registry) Fetch(ctx context.Context, reference string, limit int64) (file []byte, pinned string, err error) {
	if limit <= 0 {
		limit = defaultLimit
	}
	ref, err := registry.ParseReference(reference)
	if err == nil && ref.Reference == "" {
		err = errors.New("it names neither a tag nor a digest; write host/repository:tag")
	}
	if err != nil {
		return nil, "", sdk.Errorf(sdk.Invalid, "%.200q is no reference of an image such as registry.example.com/team/feed:1.0.0: %w", reference, err)
	}
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	file, root, err := r.fetch(ctx, ref, limit)
	if err != nil {
		return nil, "", failure(ref, err)
	}
	ref.Reference = root.Digest.String()
	return file, ref.String(), nil
}

func (r *Registry) fetch(ctx context.Context, ref registry.Reference, limit int64) ([]byte, ocispec.Descriptor, error) {
	repo, err := remote.NewRepository(ref.String())
	if err != nil {
		return nil, ocispec.Descriptor{}, err
	}
	repo.PlainHTTP = local(ref.Registry)
	repo.MaxMetadataBytes = mostManifest
	repo.ManifestMediaTypes = []string{ocispec.MediaTypeImageManifest, ocispec.MediaTypeImageIndex}
	repo.Client = &auth.Client{
		Client:     &http.Client{Transport: r.do},
		Header:     http.Header{"User-Agent": {"Tappet"}, "Accept-Encoding": {"identity"}},
		Credential: credentials.Credential(r.credentials), Cache: auth.NewCache(),
		BlockedRealmPrefixes: []netip.Prefix{}, // the Doer judges each address, when it is dialled
	}
	root, body, err := repo.FetchReference(ctx, ref.Reference)
	if err != nil {
		return nil, root, err
	}
	if err := body.Close(); err != nil {
		return nil, root, err
	}
	b, err := artefact(ctx, repo, root, limit, 0)
	return b, root, err
}

// local says whether a registry is on this machine.
func local(hostport string) bool {
	host := hostport
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		host = h
	}
	ip, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// failure gives a failed fetch a kind and says what would be right.
func failure(ref registry.Reference, err error) error {
	known, has := errors.AsType[*sdk.Error](err)
	answered, refused := errors.AsType[*errcode.ErrorResponse](err)
	kind := sdk.Invalid
	switch {
	case has:
		kind = known.Kind
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, io.ErrUnexpectedEOF):
		kind = sdk.Unavailable
	case errors.Is(err, context.Canceled):
		kind = sdk.Cancelled
	case errors.Is(err, auth.ErrBasicCredentialNotFound),
		refused && (answered.StatusCode == http.StatusUnauthorized || answered.StatusCode == http.StatusForbidden):
		kind = sdk.Unauthorized
		err = fmt.Errorf("%w; give credentials for %s in the file of --registry-auth-file (TAPPET_REGISTRY_AUTH_FILE)", err, ref.Registry)
	case errors.Is(err, errdef.ErrNotFound):
		kind = sdk.NotFound
		err = fmt.Errorf("%w; is it pushed, and does this server see it?", err)
	case refused && (answered.StatusCode >= 500 || answered.StatusCode == http.StatusTooManyRequests):
		kind = sdk.Unavailable
	}
	if kind == sdk.Timeout {
		kind = sdk.Unavailable // of a service, not of a call
	}
	return &sdk.Error{Kind: kind, Err: fmt.Errorf("fetch %s: %w", ref, err)}
}

var _ http.RoundTripper = Doer(nil)

// RoundTrip implements http.RoundTripper.
func (d Doer) RoundTrip(r *http.Request) (*http.Response, error) {
	out := &sdk.Request{Method: r.Method, URL: r.URL.String(), Size: r.ContentLength, Reopen: r.GetBody}
	if r.Body != nil && r.Body != http.NoBody {
		defer r.Body.Close()
		out.Body = r.Body
	} else {
		out.Size, out.Reopen = 0, nil
	}
	for name, values := range r.Header {
		for _, v := range values {
			out.Header.Add(name, v)
		}
	}
	in, err := d(r.Context(), out)
	if err != nil {
		return nil, err
	}
	resp := &http.Response{
		Status: http.StatusText(in.Status), StatusCode: in.Status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{}, Body: in.Body, ContentLength: in.Size, Request: r,
	}
	for _, p := range in.Header {
		resp.Header.Add(p.Name, p.Value)
	}
	return resp, nil
}

// An authFile is a store that reads a file each time, so that credentials can be
// renewed while the server runs.
type authFile string

var _ credentials.Store = authFile("")

// Get implements credentials.Store.
func (f authFile) Get(ctx context.Context, host string) (auth.Credential, error) {
	if f == "" {
		return auth.EmptyCredential, nil
	}
	b, err := os.ReadFile(string(f))
	if err == nil && !json.Valid(b) {
		err = fmt.Errorf("%s is not JSON", string(f)) // its text would be repeated otherwise
	}
	var s credentials.Store
	if err == nil {
		s, err = credentials.NewMemoryStoreFromDockerConfig(b)
	}
	if err != nil {
		return auth.EmptyCredential, fmt.Errorf("read the credentials for registries: %w", err)
	}
	return s.Get(ctx, host)
}

// Put implements credentials.Store; nothing is ever written.
func (authFile) Put(context.Context, string, auth.Credential) error { return errors.ErrUnsupported }

// Delete implements credentials.Store; nothing is ever written.
func (authFile) Delete(context.Context, string) error { return errors.ErrUnsupported }
