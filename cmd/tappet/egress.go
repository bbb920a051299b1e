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
	proxy     string
	noProxy   []string
	hosts     []string
	ca        string
	minTLS    string
	http2     bool
	redirects int
	limits    egress.Limits
	governor  governor.Limits
}

func (s *egressSettings) flags(f *pflag.FlagSet) {
	f.StringVar(&s.proxy, "egress-proxy", "", "URL of an http, https or socks5 proxy for requests that go out, or env for the environment's (egress.proxy)")
	f.StringSliceVar(&s.noProxy, "egress-no-proxy", nil, "hosts, .example.com, addresses and ranges that are reached without the proxy (egress.no_proxy)")
	f.StringArrayVar(&s.hosts, "egress-host", nil, "what holds for a host, several times for several: api.example.com=concurrency:8,rate:10/s,burst:20,failures:off,headers:ignore; *.example.com and * stand for many (egress.host)")
	f.StringVar(&s.ca, "egress-ca", "", "file of PEM certificates that are trusted beside the system's (egress.ca)")
	f.StringVar(&s.minTLS, "egress-tls-min", "1.2", "oldest version of TLS that is spoken, 1.2 or 1.3 (egress.tls_min)")
	f.BoolVar(&s.http2, "egress-http2", true, "speak HTTP/2 where a service offers it (egress.http2)")
	l, g := &s.limits, &s.governor
	f.DurationVar(&l.Connect, "limits-connect", 10*time.Second, "how long resolving a service's name and connecting may take (limits.connect)")
	f.DurationVar(&l.TLS, "limits-tls", 10*time.Second, "how long a TLS handshake with a service may take (limits.tls)")
	f.DurationVar(&l.FirstByte, "limits-first-byte", time.Minute, "how long a service may take to begin its answer (limits.first_byte)")
	f.DurationVar(&l.IdleRead, "limits-idle-read", time.Minute, "how long each wait for more of an answer may take (limits.idle_read)")
	f.DurationVar(&l.Whole, "limits-exchange", 5*time.Minute, "how long a request that goes out may take, redirects and answer too (limits.exchange)")
	f.DurationVar(&l.WholeFile, "limits-exchange-file", time.Hour, "the same where more than limits-response-body, or a body of unknown size, goes out or comes in (limits.exchange_file)")
	f.DurationVar(&l.KeepAlive, "limits-keep-alive", 90*time.Second, "how long an unused connection to a service is kept (limits.keep_alive)")
	f.IntVar(&l.Idle, "limits-idle-connections", 1024, "unused connections to services that are kept (limits.idle_connections)")
	f.IntVar(&l.IdlePerHost, "limits-idle-connections-host", 256, "of these, connections to one host (limits.idle_connections_host)")
	f.IntVar(&s.redirects, "limits-redirects", 10, "redirects that are followed, where a step doesn't want fewer; 0 follows none (limits.redirects)")
	f.IntVar(&l.RequestHeader, "limits-request-header", 64<<10, "bytes of the header of a request that goes out (limits.request_header)")
	f.Int64Var(&l.ResponseHeader, "limits-response-header", 256<<10, "bytes of an answer's header (limits.response_header)")
	f.Int64Var(&l.ResponseBody, "limits-response-body", 16<<20, "bytes of an answer's body that is taken into memory, before and after decompression (limits.response_body)")
	f.Int64Var(&l.ResponseFile, "limits-response-file", 2<<30, "bytes of an answer's body that goes into a file (limits.response_file)")
	f.IntVar(&l.Captured, "limits-captured", 1<<20, "bytes of each direction that are shown of a step that is tried out (limits.captured)")
	f.IntVar(&g.Waiting, "limits-host-waiting", 100_000, "calls that may wait for one host (limits.host_waiting)")
	f.DurationVar(&g.Wait, "limits-host-wait", 5*time.Minute, "how long a call waits for its turn at a host (limits.host_wait)")
	f.DurationVar(&g.Pause, "limits-host-pause", time.Hour, "how long a host is left alone at most because it asks for it (limits.host_pause)")
	f.DurationVar(&g.Open, "limits-breaker", time.Second, "how long a host that fails isn't called at first (limits.breaker)")
	f.DurationVar(&g.OpenMost, "limits-breaker-most", time.Minute, "and how long at most, when it still fails (limits.breaker_most)")
}

// positive are the settings that must be more than 0, by their flags.
func (s *egressSettings) positive() map[string]int64 {
	l, g := &s.limits, &s.governor
	return map[string]int64{
		"limits-connect": int64(l.Connect), "limits-tls": int64(l.TLS), "limits-first-byte": int64(l.FirstByte), "limits-idle-read": int64(l.IdleRead),
		"limits-exchange": int64(l.Whole), "limits-exchange-file": int64(l.WholeFile), "limits-keep-alive": int64(l.KeepAlive),
		"limits-idle-connections": int64(l.Idle), "limits-idle-connections-host": int64(l.IdlePerHost), "limits-request-header": int64(l.RequestHeader),
		"limits-response-header": l.ResponseHeader, "limits-response-body": l.ResponseBody, "limits-response-file": l.ResponseFile,
		"limits-captured": int64(l.Captured), "limits-host-waiting": int64(g.Waiting), "limits-host-wait": int64(g.Wait),
		"limits-host-pause": int64(g.Pause), "limits-breaker": int64(g.Open), "limits-breaker-most": int64(g.OpenMost),
	}
}

// options reads the settings.
func (s *egressSettings) options(allow egress.Allow) (egress.Options, error) {
	o := egress.Options{Allow: allow, HTTP1: !s.http2, Limits: s.limits, Governor: s.governor}
	switch o.Limits.Redirects = s.redirects; {
	case s.redirects < 0:
		return o, usageError{fmt.Errorf("--limits-redirects must be 0 or more")}
	case s.redirects == 0:
		o.Limits.Redirects = -1
	}
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
