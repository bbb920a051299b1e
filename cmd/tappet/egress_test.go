package main

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"

	"github.com/tappet-dev/tappet/api"
	"github.com/tappet-dev/tappet/internal/egress"
	"github.com/tappet-dev/tappet/internal/egress/governor"
	"github.com/tappet-dev/tappet/sdk"
)

func TestEgressSettings(t *testing.T) {
	t.Parallel()
	parse := func(args ...string) (egressSettings, error) {
		var s egressSettings
		f := pflag.NewFlagSet("serve", pflag.ContinueOnError)
		s.flags(f)
		return s, f.Parse(args)
	}
	s, err := parse("--egress-host", "a.example=concurrency:8,rate:10/s", "--egress-host", "*=failures:3", "--egress-tls-min", "1.3",
		"--egress-http2=false", "--egress-proxy", "http://proxy.example:3128", "--egress-no-proxy", "b.example,10.0.0.0/8", "--limits-response-file", "5")
	if err != nil {
		t.Fatal(err)
	}
	o, err := s.options(nil)
	if err != nil || o.MinTLS != tls.VersionTLS13 || !o.HTTP1 || o.Proxy == nil || len(o.Rules) != 2 || o.Limits.ResponseFile != 5 {
		t.Errorf("%+v, %v", o, err)
	}
	s, err = parse("--limits-connect=1s", "--limits-tls=2s", "--limits-first-byte=3s", "--limits-idle-read=4s", "--limits-exchange=5s",
		"--limits-exchange-file=6s", "--limits-keep-alive=7s", "--limits-idle-connections=8", "--limits-idle-connections-host=9",
		"--limits-redirects=10", "--limits-request-header=11", "--limits-response-header=12", "--limits-response-body=13",
		"--limits-response-file=14", "--limits-captured=15", "--limits-host-waiting=16", "--limits-host-wait=17s", "--limits-host-pause=18s",
		"--limits-breaker=19s", "--limits-breaker-most=20s")
	if err != nil {
		t.Fatal(err)
	}
	wantLimits := egress.Limits{
		Connect: 1e9, TLS: 2e9, FirstByte: 3e9, IdleRead: 4e9, Whole: 5e9, WholeFile: 6e9, KeepAlive: 7e9, Idle: 8, IdlePerHost: 9,
		Redirects: 10, RequestHeader: 11, ResponseHeader: 12, ResponseBody: 13, ResponseFile: 14, Captured: 15,
	}
	wantGovernor := governor.Limits{Waiting: 16, Wait: 17e9, Pause: 18e9, Open: 19e9, OpenMost: 20e9}
	o, err = s.options(nil)
	if diff := cmp.Diff(wantLimits, o.Limits); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if diff := cmp.Diff(wantGovernor, o.Governor); diff != "" {
		t.Error(diff)
	}
	if s, err = parse("--limits-redirects=0"); err != nil {
		t.Fatal(err)
	}
	if o, err = s.options(nil); err != nil || o.Limits.Redirects != -1 {
		t.Errorf("no redirects are %d, %v", o.Limits.Redirects, err)
	}
	for flag, says := range map[string]string{
		"--limits-redirects=-1":          "--limits-redirects must be 0 or more",
		"--egress-host=a.example":        "doesn't say what holds",
		"--egress-tls-min=1.1":           "use 1.2 or 1.3",
		"--egress-proxy=proxy:3128":      "egress.proxy",
		"--egress-no-proxy=a.example":    "there is no egress.proxy",
		"--egress-ca=/nonexistent/a.pem": "egress.ca",
	} {
		s, err := parse(flag)
		if err == nil {
			_, err = s.options(nil)
		}
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want %q", flag, err, says)
		}
		if _, usage := errors.AsType[usageError](err); !usage && !strings.Contains(flag, "-ca") {
			t.Errorf("%s: %v isn't an error of usage", flag, err)
		}
	}
}

func TestHostViews(t *testing.T) {
	t.Parallel()
	got := hostViews([]governor.View{{
		Key: governor.Key{Host: "::1", Port: 80}, Active: 1, Waiting: 2, Groups: 3, Why: governor.Quota, Concurrency: 4, Calls: 5, Per: 60e9,
		State: governor.Open, Failures: 6, Fault: "refused",
	}})
	want := []api.Host{{
		Host: "[::1]:80", Active: 1, Waiting: 2, WaitingGraphs: 3, WaitReason: "quota", Concurrency: 4, Rate: "5/m",
		Breaker: "open", Failures: 6, LastFailure: "refused",
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// answers is a host whose service answers each request with a JSON text.
type answers struct {
	sdk.Host
	body string
}

func (h answers) HTTP(context.Context, *sdk.Request) (*sdk.Response, error) {
	return &sdk.Response{Status: 200, Size: -1, Header: sdk.Header{{Name: "Content-Type", Value: "application/json"}}, Body: io.NopCloser(strings.NewReader(h.body))}, nil
}

// The setting of an answer's body is also that of what the connector parses.
func TestResponseBodyIsWhatIsParsed(t *testing.T) {
	t.Parallel()
	r := newRegistry(nil)
	r.parses(10)
	c, err := r.Connector("http")
	if err != nil {
		t.Fatal(err)
	}
	for body, want := range map[string]bool{`"12345678"`: true, `"123456789"`: false} {
		for _, a := range c.Actions {
			if a.Name != "get" {
				continue
			}
			_, err := a.Do(t.Context(), answers{body: body}, sdk.ActionCall{Input: sdk.Fields{{Name: "url", Value: []byte(`"http://x.test"`)}}})
			if (err == nil) != want || err != nil && (sdk.KindOf(err) != sdk.TooLarge || !strings.Contains(err.Error(), "more than 10 bytes, the limit of what is parsed (limits.response_body)")) {
				t.Errorf("%s: %v", body, err)
			}
		}
	}
}
