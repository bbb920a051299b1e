package main

import (
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/tappet-dev/tappet/api"
	"github.com/tappet-dev/tappet/engine/expr"
)

// settings are what serve is told. Each flag can be given as an environment
// variable too: --egress-allow is TAPPET_EGRESS_ALLOW; a flag outranks it.
type settings struct {
	data         string
	addr         string
	plugins      string
	demo         bool
	demoReceiver string
	publicURL    string
	// insecureOAuth allows providers without TLS.
	insecureOAuth bool
	trusted       []string
	proxies       api.Proxies // that trusted has
	egressAllow   []string
	egress        egressSettings
	registryAuth  string
	logLevel      string
	logFormat     string
	drain         time.Duration
	openRuns      int
	graphRuns     int
	hookBody      int64
	hookBodies    int64
	hookStream    int64
	hookPace      int64
	fileBytes     int64
	requestBody   int64
	readTimeout   time.Duration
	wait          time.Duration
	eventDepth    int
	eventBytes    int
	outputBytes   int
	hookWait      time.Duration
	callTimeout   time.Duration
	inboxBody     int
	inboxEvents   int
	inboxAge      time.Duration
	proveEvery    time.Duration
	testEvery     time.Duration
	expr          expr.Limits
}

// exprLimit is one limit of expressions.
type exprLimit struct {
	name     string
	value    *int
	fallback int
	help     string
}

// mostTimes is how many times its default a limit of expressions may be: the
// parser recurses, and what one evaluation takes counts against all.
const mostTimes = 64

func (s *settings) exprLimits() []exprLimit {
	return []exprLimit{
		{"source", &s.expr.Source, 16 << 10, "bytes of one expression"},
		{"brackets", &s.expr.Brackets, 64, "how deep the brackets of an expression nest"},
		{"unary", &s.expr.Unary, 200, "unary operators of an expression"},
		{"branches", &s.expr.Branches, 100, "ternaries, ifs, lets and powers of an expression"},
		{"depth", &s.expr.Depth, 256, "depth of an expression's syntax tree"},
		{"nodes", &s.expr.Nodes, 4096, "nodes of an expression that the parser may make"},
		{"visits", &s.expr.Visits, 8192, "visits of an expression's nodes"},
		{"regexp", &s.expr.Regexp, 2000, "instructions of a regular expression"},
		{"steps", &s.expr.Steps, 1_000_000, "work of one evaluation, in steps"},
		{"bytes", &s.expr.Bytes, 8 << 20, "memory of one evaluation, its output too, in bytes"},
		{"copies", &s.expr.Copies, 64 << 20, "bytes that one evaluation copies as they are"},
		{"key", &s.expr.Key, 1 << 10, "bytes of a computed key"},
		{"digits", &s.expr.Digits, 64, "digits of a number that is computed with"},
	}
}

func (s *settings) flags(f *pflag.FlagSet) {
	f.StringVar(&s.data, "data", "tappet-data", "data folder; made if it isn't there")
	f.StringVar(&s.addr, "addr", "127.0.0.1:7700", "address to listen on; port 0 takes a free one")
	f.StringVar(&s.publicURL, "public-url", "", "URL at which browsers reach this server, such as https://tappet.example.com (default: that of --addr)")
	f.StringSliceVar(&s.trusted, "trusted-proxies", nil, "addresses and networks of reverse proxies whose X-Forwarded-For says where a webhook's request comes from: 10.0.0.7, 10.0.0.0/24")
	f.BoolVar(&s.insecureOAuth, "insecure-oauth", false, "allow OAuth providers without TLS: for development")
	f.StringVar(&s.plugins, "plugins", "", "plugins folder (default: plugins in the data folder)")
	f.BoolVar(&s.demo, "demo", false, "start a sample receiver and a graph that posts to it, and send it an event")
	f.StringVar(&s.demoReceiver, "demo-receiver", "127.0.0.1:7701", "address of the demo's receiver")
	f.StringSliceVar(&s.egressAllow, "egress-allow", nil, "addresses that connectors may reach though they are private or local: 10.1.2.3, 10.0.0.0/8, 127.0.0.1:8080, [::1]:80")
	s.egress.flags(f)
	f.StringVar(&s.registryAuth, "registry-auth-file", "", "file of credentials for OCI registries that plugins are installed from, as docker login writes it")
	f.StringVar(&s.logLevel, "log-level", "info", "debug, info, warn or error")
	f.StringVar(&s.logFormat, "log-format", "text", "text or json")
	f.DurationVar(&s.drain, "drain", 10*time.Second, "how long running calls may take after a stop signal")
	f.IntVar(&s.openRuns, "limits-open-runs", 20_000, "runs that may be open at once before events are refused (limits.open_runs)")
	f.IntVar(&s.graphRuns, "limits-open-runs-graph", 10_000, "of these, runs of one graph (limits.open_runs_graph)")
	f.Int64Var(&s.hookBodies, "limits-hook-bodies", 256<<20, "bytes of all webhooks' bodies that are coming in, beyond 64 KiB of each (limits.hook_bodies)")
	f.Int64Var(&s.hookBody, "limits-hook-body", 10<<20, "bytes of a webhook's body (limits.hook_body)")
	f.Int64Var(&s.hookStream, "limits-hook-stream", 4<<30, "bytes of a webhook's body that goes into files (limits.hook_stream)")
	f.Int64Var(&s.hookPace, "limits-hook-pace", 256<<10, "bytes that such a body must bring within each limits-read-timeout of waiting for it (limits.hook_pace)")
	f.Int64Var(&s.fileBytes, "limits-file-bytes", 4<<30, "bytes of one file of a run (limits.file_bytes)")
	f.Int64Var(&s.requestBody, "limits-request-body", 2<<20, "bytes of a REST call's body (limits.request_body)")
	f.DurationVar(&s.readTimeout, "limits-read-timeout", time.Minute, "how long a whole request may take to come in (limits.read_timeout)")
	f.DurationVar(&s.wait, "limits-wait", time.Minute, "the most that ?wait may ask for (limits.wait)")
	f.IntVar(&s.eventDepth, "limits-event-depth", 160, "nesting of events and outputs (limits.event_depth)")
	f.IntVar(&s.eventBytes, "limits-event-bytes", 16<<20, "bytes of one event (limits.event_bytes)")
	f.IntVar(&s.outputBytes, "limits-output-bytes", 16<<20, "bytes of what an action gives (limits.output_bytes)")
	f.DurationVar(&s.hookWait, "limits-hook-wait", 30*time.Second, "how long a webhook's caller waits for a result (limits.hook_wait)")
	f.DurationVar(&s.callTimeout, "limits-call-timeout", time.Minute, "how long a poll, a webhook trigger's own work and the test of a step may take (limits.call_timeout)")
	f.IntVar(&s.inboxBody, "limits-inbox-body", 64<<10, "bytes of a body that the inbox keeps (limits.inbox_body)")
	f.IntVar(&s.inboxEvents, "limits-inbox-events", 50_000, "events that the inbox keeps (limits.inbox_events)")
	f.DurationVar(&s.inboxAge, "limits-inbox-age", 7*24*time.Hour, "how long the inbox keeps an event (limits.inbox_age)")
	f.DurationVar(&s.proveEvery, "prove-every", time.Minute, "how often each graph that is ON is proved again")
	f.DurationVar(&s.testEvery, "test-every", 15*time.Minute, "how often each connection of graphs that are ON is tried out at its service, where it has a test_url")
	for _, l := range s.exprLimits() {
		f.IntVar(l.value, "limits-expr-"+l.name, l.fallback, l.help+" (limits.expr_"+l.name+")")
	}
}

// environment fills the flags that weren't given from TAPPET_… variables.
func environment(f *pflag.FlagSet) error {
	var err error
	f.VisitAll(func(x *pflag.Flag) {
		name := "TAPPET_" + strings.ToUpper(strings.ReplaceAll(x.Name, "-", "_"))
		v, ok := os.LookupEnv(name)
		if !ok || x.Changed || err != nil {
			return
		}
		if e := f.Set(x.Name, v); e != nil {
			err = usageError{fmt.Errorf("%s: %w", name, e)}
		}
	})
	return err
}

func (s *settings) check() error {
	if s.plugins == "" {
		s.plugins = filepath.Join(s.data, "plugins")
	}
	if s.publicURL != "" {
		var err error
		if s.publicURL, err = checkPublicURL(s.publicURL); err != nil {
			return usageError{err}
		}
	}
	var err error
	if s.proxies, err = api.ParseProxies(s.trusted); err != nil {
		return usageError{fmt.Errorf("--trusted-proxies: %w", err)}
	}
	positive := s.egress.positive()
	maps.Copy(positive, map[string]int64{
		"limits-open-runs": int64(s.openRuns), "limits-open-runs-graph": int64(s.graphRuns), "limits-hook-body": s.hookBody, "limits-hook-bodies": s.hookBodies,
		"limits-hook-stream": s.hookStream, "limits-hook-pace": s.hookPace, "limits-file-bytes": s.fileBytes, "limits-event-bytes": int64(s.eventBytes),
		"limits-output-bytes": int64(s.outputBytes), "limits-hook-wait": int64(s.hookWait), "limits-call-timeout": int64(s.callTimeout), "prove-every": int64(s.proveEvery), "test-every": int64(s.testEvery),
		"limits-inbox-body": int64(s.inboxBody), "limits-inbox-events": int64(s.inboxEvents), "limits-inbox-age": int64(s.inboxAge),
		"drain": int64(s.drain), "limits-request-body": s.requestBody, "limits-read-timeout": int64(s.readTimeout),
		"limits-wait": int64(s.wait), "limits-event-depth": int64(s.eventDepth),
	})
	for _, name := range slices.Sorted(maps.Keys(positive)) {
		if positive[name] <= 0 {
			return usageError{fmt.Errorf("--%s must be more than 0", name)}
		}
	}
	for _, l := range s.exprLimits() {
		if most := mostTimes * l.fallback; *l.value <= 0 || *l.value > most {
			return usageError{fmt.Errorf("--limits-expr-%s must be from 1 to %d", l.name, most)}
		}
	}
	return nil
}

// logger makes the log on standard error.
func (s *settings) logger() (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(s.logLevel)); err != nil {
		return nil, usageError{fmt.Errorf("--log-level %q: use debug, info, warn or error", s.logLevel)}
	}
	o := &slog.HandlerOptions{Level: level}
	switch s.logFormat {
	case "text":
		return slog.New(slog.NewTextHandler(os.Stderr, o)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(os.Stderr, o)), nil
	}
	return nil, usageError{fmt.Errorf("--log-format %q: use text or json", s.logFormat)}
}
