package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/tappet-dev/tappet/api"
	"github.com/tappet-dev/tappet/engine"
	"github.com/tappet-dev/tappet/engine/local"
	"github.com/tappet-dev/tappet/engine/sqlite"
	"github.com/tappet-dev/tappet/internal/blob"
	"github.com/tappet-dev/tappet/internal/egress"
	"github.com/tappet-dev/tappet/plugins"
)

func serveCommand() *cobra.Command {
	var s settings
	c := &cobra.Command{
		Use:   "serve",
		Short: "Start the engine and its REST API",
		Long: `Start the engine and its REST API.

The first start makes the data folder and an admin token, which it prints once;
TAPPET_ADMIN_TOKEN gives one of your own. Each flag can be given in the
environment: --egress-allow is TAPPET_EGRESS_ALLOW. Ctrl-C stops it: it takes
no more events, lets running calls finish, and a second Ctrl-C ends it at once;
what was accepted goes on at the next start either way.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := environment(c.Flags()); err != nil {
				return err
			}
			if err := s.check(); err != nil {
				return err
			}
			return serve(c.Context(), s, c.OutOrStdout())
		},
	}
	s.flags(c.Flags())
	return c
}

// heapFloor is memory that is reserved and never touched: it takes addresses,
// no pages. The collector runs when the heap has doubled, and a busy engine's
// heap is so small that it would do little else; with the floor it runs a fifth
// as often, for at most this much more memory.
const heapFloor = 32 << 20

// serve runs until ctx ends.
func serve(ctx context.Context, s settings, out io.Writer) (err error) {
	log, err := s.logger()
	if err != nil {
		return err
	}
	slog.SetDefault(log)
	slog.SetLogLoggerLevel(slog.LevelDebug) // of package log: a service can have net/http print without end
	ballast := make([]byte, heapFloor)
	defer runtime.KeepAlive(ballast)
	var demo *receiver
	if s.demo {
		if demo, err = newReceiver(s.demoReceiver); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, demo.close()) }()
		s.egressAllow = append(s.egressAllow, demo.addr)
	}
	listener, err := listen(ctx, s.addr, "--addr")
	if err != nil {
		return unlessStopped(ctx, err)
	}
	defer listener.Close()
	url := "http://" + listener.Addr().String()
	if s.publicURL == "" {
		s.publicURL = browsable(listener.Addr())
	}
	e, err := open(ctx, s, log)
	if err != nil {
		return unlessStopped(ctx, err)
	}
	defer func() { err = errors.Join(err, e.close()) }()
	auth, token, fresh, err := openAccess(s.data, s.demo)
	if err != nil {
		return err
	}
	server, err := api.New(api.Options{
		Curl:   curlTool{},
		Hosts:  func() []api.Host { return hostViews(e.egress.Hosts()) },
		Engine: e.engine, Plugins: e.registry, Connections: e.links, Secrets: e.vault, PublicURL: s.publicURL, Auth: auth, Proxies: s.proxies, Ready: e.engine.Ready, Log: log, Version: version,
		Limits: api.Limits{
			HookBody: s.hookBody, HookBodies: s.hookBodies, HookStream: s.hookStream, HookPace: s.hookPace, RequestBody: s.requestBody, Read: s.readTimeout, Wait: s.wait, Depth: s.eventDepth,
			Write: s.readTimeout + max(s.wait, s.hookWait) + time.Minute,
		},
	})
	if err != nil {
		return err
	}
	if fresh && !s.demo && os.Getenv("TAPPET_ADMIN_TOKEN") == "" {
		fmt.Fprintf(out, "admin token, shown this once: %s\n", token)
	}
	return e.live(ctx, server.HTTPServer(s.addr), listener, func(ctx context.Context) error {
		fmt.Fprintf(out, "listening on %s\n", url)
		if demo == nil {
			return nil
		}
		return demo.play(ctx, url, token, s.data, out)
	})
}

// listen takes an address, or says what to do when it is taken.
func listen(ctx context.Context, addr, flag string) (net.Listener, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", addr)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("the address %s is taken by another program: stop it, or choose another with %s (port 0 takes a free one)", addr, flag)
	case err != nil:
		return nil, fmt.Errorf("listen on %s: %w (choose another with %s)", addr, err, flag)
	}
	return l, nil
}

// parts are what serve has made, in the order of their making.
type parts struct {
	store    *sqlite.Store
	files    *cabinet
	egress   *egress.Client
	images   *egress.Client // of registries
	vault    *vault
	links    *links
	plugins  *plugins.Catalogue
	upgrader *upgrader
	registry *registry
	engine   *engine.Engine
	drain    time.Duration
}

func open(ctx context.Context, s settings, log *slog.Logger) (p *parts, err error) {
	p = &parts{drain: s.drain}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.close())
		}
	}()
	allow, err := egress.ParseAllow(s.egressAllow)
	if err != nil {
		return p, fmt.Errorf("--egress-allow: %w", err)
	}
	if p.store, err = sqlite.Open(ctx, s.data, sqlite.Options{}); err != nil {
		return p, err
	}
	blobs, err := blob.Open(filepath.Join(s.data, "blobs"), blob.Limits{File: s.fileBytes})
	if err != nil {
		return p, err
	}
	p.files = &cabinet{rows: p.store, blobs: blobs, log: log}
	out, err := s.egress.options(allow)
	if err != nil {
		return p, err
	}
	p.egress = egress.New(out)
	if err := os.MkdirAll(s.plugins, 0o700); err != nil {
		return p, fmt.Errorf("make plugins folder: %w", err)
	}
	self, err := os.Executable()
	if err != nil {
		return p, fmt.Errorf("find this program, which compiles plugins in a process of its own: %w", err)
	}
	p.upgrader = &upgrader{started: make(chan struct{}), log: log}
	if p.plugins, err = plugins.Open(s.plugins, plugins.Options{
		Upgrade: p.upgrader.upgrade, InUse: p.store.Digests,
		Reserved: builtinNames(), WorkDir: filepath.Join(s.data, "plugin-work"), Compiler: []string{self}, Log: log,
	}); err != nil {
		return p, err
	}
	p.registry = newRegistry(p.plugins)
	p.registry.parses(s.egress.limits.ResponseBody)
	p.registry.images, p.images = newImages(allow, s.registryAuth)
	if err := p.credentials(ctx, s, log); err != nil {
		return p, err
	}
	runner := local.New(p.store, local.Options{MaxOpen: s.openRuns, MaxGraph: s.graphRuns, Drain: s.drain, Log: log})
	p.engine, err = engine.New(engine.Options{
		Graphs: p.store, Versions: p.store, Runner: runner, History: runner,
		Connectors: p.registry, Hosts: &hosts{egress: p.egress, files: p.files, links: p.links, log: log}, Files: p.store, Blobs: p.files, Secrets: p.vault, Connections: p.links, Keys: p.store, Inbox: p.store, Log: log,
		Limits: engine.Limits{
			Expr: s.expr, EventBytes: s.eventBytes, EventDepth: s.eventDepth, OutputBytes: s.outputBytes, HookWait: s.hookWait, CallTimeout: s.callTimeout,
			InboxBody: s.inboxBody, InboxEvents: s.inboxEvents, InboxAge: s.inboxAge, ProveEvery: s.proveEvery, TestEvery: s.testEvery,
		},
	})
	return p, err
}

// unlessStopped drops the failure of a start that a signal has cut short: who
// asked for an end has it.
func unlessStopped(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// live starts the engine, serves, calls then, and stops everything in order when
// ctx ends or then fails: no more requests, then no more events, then runs.
func (p *parts) live(ctx context.Context, srv *http.Server, l net.Listener, then func(context.Context) error) error {
	grace := func() (context.Context, context.CancelFunc) {
		return context.WithTimeout(context.WithoutCancel(ctx), p.drain+5*time.Second)
	}
	// Before the start, so that no change falls between it and the first look.
	p.plugins.OnChange(func() { p.engine.Rebind(context.WithoutCancel(ctx)) })
	if err := p.engine.Start(ctx); err != nil {
		// What it had begun must end before the store is closed.
		end, cancel := grace()
		defer cancel()
		return errors.Join(unlessStopped(ctx, err), p.engine.Stop(end))
	}
	p.upgrader.engine = p.engine
	close(p.upgrader.started)
	sweeping, stopSweeping := context.WithCancel(ctx)
	swept := make(chan struct{})
	go func() { defer close(swept); p.files.sweep(sweeping) }()
	defer func() { stopSweeping(); <-swept }()
	failed := make(chan error, 2)
	go func() { failed <- srv.Serve(l) }()
	go func() {
		if err := then(ctx); err != nil && ctx.Err() == nil {
			failed <- err
		}
	}()
	var cause error
	select {
	case <-ctx.Done():
	case cause = <-failed:
	}
	end, cancel := grace()
	defer cancel()
	stopped := make(chan error, 1)
	go func() { stopped <- srv.Shutdown(end) }()
	// Callers who wait for a run's answer are let go by the end of the runs.
	err := p.engine.Stop(end)
	return errors.Join(cause, err, <-stopped)
}

// close closes what was opened, last to first.
func (p *parts) close() error {
	var errs []error
	if p.plugins != nil {
		errs = append(errs, p.plugins.Close())
	}
	if p.links != nil {
		p.links.manager.Close()
	}
	for _, c := range []*egress.Client{p.egress, p.images} {
		if c != nil {
			c.Close()
		}
	}
	if p.store != nil {
		errs = append(errs, p.store.Close())
	}
	return errors.Join(errs...)
}
