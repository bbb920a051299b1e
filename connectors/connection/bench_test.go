package connection_test

import (
	"context"
	"crypto/tls"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/tappet-dev/tappet/connectors/connection"
	"github.com/tappet-dev/tappet/sdk"
)

// benchmark sends a request with the connection "c".
func (h *house) benchmark(b *testing.B, r *sdk.Request) {
	b.Helper()
	resp := &sdk.Response{Status: 200, Body: http.NoBody}
	next := func(context.Context, *sdk.Request) (*sdk.Response, error) { return resp, nil }
	ctx := b.Context()
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := h.Do(ctx, "c", r, next); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

// The hot path: a token of which it is known until when it is good.
func BenchmarkDoToken(b *testing.B) {
	h := newHouse(b, func(o *connection.Options) {
		o.Clock = nil
		o.Send = func(context.Context, *tls.Config, *sdk.Request) (*sdk.Response, error) {
			return &sdk.Response{Status: 200, Body: io.NopCloser(strings.NewReader(`{"access_token":"abcdefghijklmnopqrstuvwxyz","expires_in":3600}`))}, nil
		}
	})
	h.create(b, "oauth2", `{"grant":"client_credentials","token_url":"http://op.example/","client_id":"i","client_secret":"s"}`, "api.example.com")
	h.benchmark(b, &sdk.Request{URL: "https://api.example.com/v1/things?x=1", Header: sdk.Header{{Name: "Accept", Value: "*/*"}, {Name: "Idempotency-Key", Value: "k"}}})
}

func BenchmarkDoHMAC(b *testing.B) {
	text := make([]byte, 1024)
	r := body("https://api.example.com/v1/things", string(text))
	r.Header = sdk.Header{{Name: "Idempotency-Key", Value: "k"}}
	h := newHouse(b)
	h.create(b, "hmac", `{"secret":"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}`, "api.example.com")
	h.benchmark(b, r)
}

func BenchmarkDoSigV4(b *testing.B) {
	text := make([]byte, 1024)
	h := newHouse(b)
	h.create(b, "aws_sigv4", `{"access_key_id":"AKIDEXAMPLE","secret_access_key":"wJalrXUtnFEMI","region":"us-east-1","service":"s"}`, "api.example.com")
	h.benchmark(b, body("https://api.example.com/v1/things", string(text)))
}
