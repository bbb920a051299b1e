package main

import (
	"crypto/tls"
	"fmt"
	"time"

	"github.com/spf13/pflag"

	"github.com/tappet-dev/tappet/api"
	"github.com/tappet-dev/tappet/internal/egress"
	"github.com/tappet-dev/tappet/internal/egress/governor"
)

// egressSettings are what serve is told of requests that go out.
type egressSettings struct {
	proxy        string
	noProxy      []string
	hosts        []string
	ca           string
	minTLS       string
	http2        bool
	responseFile int64
}

func (s *egressSettings) flags(f *pflag.FlagSet) {
	f.StringVar(&s.proxy, "egress-proxy", "", "URL of an http, https or socks5 proxy for requests that go out, or env for the environment's (egress.proxy)")
	f.StringSliceVar(&s.noProxy, "egress-no-proxy", nil, "hosts, .example.com, addresses and ranges that are reached without the proxy (egress.no_proxy)")
	f.StringArrayVar(&s.hosts, "egress-host", nil, "what holds for a host, several times for several: api.example.com=concurrency:8,rate:10/s,burst:20,failures:off,headers:ignore; *.example.com and * stand for many (egress.host)")
	f.StringVar(&s.ca, "egress-ca", "", "file of PEM certificates that are trusted beside the system's (egress.ca)")
	f.StringVar(&s.minTLS, "egress-tls-min", "1.2", "oldest version of TLS that is spoken, 1.2 or 1.3 (egress.tls_min)")
	f.BoolVar(&s.http2, "egress-http2", true, "speak HTTP/2 where a service offers it (egress.http2)")
	f.Int64Var(&s.responseFile, "limits-response-file", 2<<30, "bytes of an answer's body that goes into a file (limits.response_file)")
}

// options reads the settings.
func (s *egressSettings) options(allow egress.Allow) (egress.Options, error) {
	o := egress.Options{Allow: allow, HTTP1: !s.http2, Limits: egress.Limits{ResponseFile: s.responseFile}}
	switch s.minTLS {
	case "1.2":
		o.MinTLS = tls.VersionTLS12
	case "1.3":
		o.MinTLS = tls.VersionTLS13
	default:
		return o, usageError{fmt.Errorf("--egress-tls-min %q: use 1.2 or 1.3", s.minTLS)}
	}
	var err error
	if o.Rules, err = governor.ParseRules(s.hosts); err != nil {
		return o, usageError{err}
	}
	if o.Proxy, err = egress.ParseProxy(s.proxy, s.noProxy); err != nil {
		return o, usageError{err}
	}
	if s.ca != "" {
		o.RootCAs, err = egress.LoadAuthorities(s.ca)
	}
	return o, err
}

// hostViews shows the governor's hosts to the API.
func hostViews(views []governor.View) []api.Host {
	hosts := make([]api.Host, len(views))
	for i, v := range views {
		hosts[i] = api.Host{
			Host: v.Key.String(), Active: v.Active, Waiting: v.Waiting, WaitingGraphs: v.Groups, WaitReason: string(v.Why), WaitUntil: moment(v.Next),
			Concurrency: v.Concurrency, Breaker: string(v.State), BreakerSince: moment(v.Since), BreakerUntil: moment(v.Until),
			Failures: v.Failures, LastFailure: v.Fault,
		}
		if v.Calls > 0 {
			hosts[i].Rate = fmt.Sprintf("%d/%s", v.Calls, map[time.Duration]string{time.Second: "s", time.Minute: "m", time.Hour: "h"}[v.Per])
		}
	}
	return hosts
}

// moment is nil for a time that isn't set.
func moment(t time.Time) *api.Timestamp {
	if t.IsZero() {
		return nil
	}
	at := api.Timestamp(t)
	return &at
}
