package main

import (
	"crypto/tls"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"

	"github.com/tappet-dev/tappet/api"
	"github.com/tappet-dev/tappet/internal/egress/governor"
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
	for flag, says := range map[string]string{
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
