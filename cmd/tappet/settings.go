package main

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/pflag"
)

// settings are what serve is told. Each flag can be given as an environment
// variable too: --egress-allow is TAPPET_EGRESS_ALLOW; a flag outranks it.
type settings struct {
	data         string
	addr         string
	plugins      string
	demo         bool
	demoReceiver string
	egressAllow  []string
	logLevel     string
	logFormat    string
	drain        time.Duration
	openRuns     int
	hookBody     int64
	hookBodies   int64
	requestBody  int64
	readTimeout  time.Duration
	wait         time.Duration
	eventDepth   int
	eventBytes   int
	outputBytes  int
	hookWait     time.Duration
	callTimeout  time.Duration
}

func (s *settings) flags(f *pflag.FlagSet) {
	f.StringVar(&s.data, "data", "tappet-data", "data folder; made if it isn't there")
	f.StringVar(&s.addr, "addr", "127.0.0.1:7700", "address to listen on; port 0 takes a free one")
	f.StringVar(&s.plugins, "plugins", "", "plugins folder (default: plugins in the data folder)")
	f.BoolVar(&s.demo, "demo", false, "start a sample receiver and a graph that posts to it, and send it an event")
	f.StringVar(&s.demoReceiver, "demo-receiver", "127.0.0.1:7701", "address of the demo's receiver")
	f.StringSliceVar(&s.egressAllow, "egress-allow", nil, "addresses that connectors may reach though they are private or local: 10.1.2.3, 10.0.0.0/8, 127.0.0.1:8080, [::1]:80")
	f.StringVar(&s.logLevel, "log-level", "info", "debug, info, warn or error")
	f.StringVar(&s.logFormat, "log-format", "text", "text or json")
	f.DurationVar(&s.drain, "drain", 10*time.Second, "how long running calls may take after a stop signal")
	f.IntVar(&s.openRuns, "limits-open-runs", 10_000, "runs that may be open at once before events are refused (limits.open_runs)")
	f.Int64Var(&s.hookBodies, "limits-hook-bodies", 256<<20, "bytes of all webhooks' bodies that are coming in, beyond 64 KiB of each (limits.hook_bodies)")
	f.Int64Var(&s.hookBody, "limits-hook-body", 10<<20, "bytes of a webhook's body (limits.hook_body)")
	f.Int64Var(&s.requestBody, "limits-request-body", 2<<20, "bytes of a REST call's body (limits.request_body)")
	f.DurationVar(&s.readTimeout, "limits-read-timeout", time.Minute, "how long a whole request may take to come in (limits.read_timeout)")
	f.DurationVar(&s.wait, "limits-wait", time.Minute, "the most that ?wait may ask for (limits.wait)")
	f.IntVar(&s.eventDepth, "limits-event-depth", 160, "nesting of events and outputs (limits.event_depth)")
	f.IntVar(&s.eventBytes, "limits-event-bytes", 16<<20, "bytes of one event (limits.event_bytes)")
	f.IntVar(&s.outputBytes, "limits-output-bytes", 16<<20, "bytes of what an action gives (limits.output_bytes)")
	f.DurationVar(&s.hookWait, "limits-hook-wait", 30*time.Second, "how long a webhook's caller waits for a result (limits.hook_wait)")
	f.DurationVar(&s.callTimeout, "limits-call-timeout", time.Minute, "how long a poll, and a webhook trigger's own work, may take (limits.call_timeout)")
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
	for name, v := range map[string]int64{
		"limits-open-runs": int64(s.openRuns), "limits-hook-body": s.hookBody, "limits-hook-bodies": s.hookBodies, "limits-event-bytes": int64(s.eventBytes),
		"limits-output-bytes": int64(s.outputBytes), "limits-hook-wait": int64(s.hookWait), "limits-call-timeout": int64(s.callTimeout),
		"drain": int64(s.drain), "limits-request-body": s.requestBody, "limits-read-timeout": int64(s.readTimeout),
		"limits-wait": int64(s.wait), "limits-event-depth": int64(s.eventDepth),
	} {
		if v <= 0 {
			return usageError{fmt.Errorf("--%s must be more than 0", name)}
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
