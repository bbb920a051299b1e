package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
	"github.com/spf13/cobra"

	"github.com/tappet-dev/tappet/api/client"
	"github.com/tappet-dev/tappet/engine/graph"
)

func pluginDevCommand() *cobra.Command {
	var r remote
	var events int
	c := &cobra.Command{
		Use:   "dev [FOLDER]",
		Short: "Build a plugin at each save, install it and show its events",
		Long: `Build a plugin at each save, install it on a running server and show its log and the
events of the graphs that use it. What it needs is granted. A graph.yaml beside the
source is published and turned ON. A build that fails is told, and what was installed
before serves on.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			s, err := r.client(c)
			if err != nil {
				return err
			}
			p, err := openProject(args)
			if err != nil {
				return err
			}
			d := &developer{client: s, out: c.OutOrStdout(), project: p, left: events, runs: map[string]bool{}, log: logReader{client: s}}
			return d.run(c.Context())
		},
	}
	r.flags(c)
	c.Flags().IntVar(&events, "events", 0, "end after so many events; 0: go on until Ctrl-C")
	return c
}

// A developer is one session of plugin dev.
type developer struct {
	client  *client.Client
	out     io.Writer
	project project
	name    string          // the connector's, once it was installed
	left    int             // events to come before the end; 0: no end
	runs    map[string]bool // seen
	log     logReader
	told    string // the last failure to get news
}

// quiet is how long the source must be left alone before it is built.
const quiet = 200 * time.Millisecond

var errEnough = errors.New("all the events that were asked for have come")

func (d *developer) run(ctx context.Context) error {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("watch the source: %w", err)
	}
	defer func() { _ = w.Close() }() // nothing more is wanted of it
	if _, err := d.project.watch(w, d.project.dir); err != nil {
		return fmt.Errorf("watch the source: %w", err)
	}
	// What was there before isn't news.
	if err := d.remember(ctx); err != nil {
		return err
	}
	if err := d.deploy(ctx); err != nil {
		if d.left > 0 {
			return err
		}
		fmt.Fprintln(d.out, err)
	}
	changed := time.NewTimer(time.Hour)
	changed.Stop()
	news := time.NewTicker(glance)
	defer news.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case e, ok := <-w.Events:
			if !ok {
				return nil
			}
			news := d.project.isSource(e.Name)
			if e.Has(fsnotify.Create) {
				found, err := d.project.watch(w, e.Name)
				if err != nil {
					return fmt.Errorf("watch the source: %w", err)
				}
				news = news || found
			}
			if news {
				changed.Reset(quiet)
			}
		case err, ok := <-w.Errors:
			if !ok {
				return nil
			}
			return fmt.Errorf("watch the source: %w", err)
		case <-changed.C:
			if err := d.deploy(ctx); err != nil && ctx.Err() == nil {
				fmt.Fprintln(d.out, err)
			}
		case <-news.C:
			err := d.show(ctx)
			if errors.Is(err, errEnough) {
				return nil
			}
			if err != nil && d.left > 0 && ctx.Err() == nil {
				return err
			}
			d.tell(ctx, err)
		}
	}
}

// watch has w watch a folder and those below it, but for what is built, fetched
// or hidden. It says whether there is source in them; a path that is no folder,
// or no more, has none.
func (p project) watch(w *fsnotify.Watcher, dir string) (source bool, err error) {
	err = filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case err != nil:
			return err
		case !e.IsDir():
			source = source || path != dir && p.isSource(path)
			return nil
		case path != p.dir && (path == filepath.Join(p.dir, "build") || e.Name() == "node_modules" || strings.HasPrefix(e.Name(), ".")):
			return filepath.SkipDir
		}
		if err := w.Add(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	})
	return source, err
}

// tell says that there is no news and why, once for as long as it lasts: a server
// that is started anew is found again.
func (d *developer) tell(ctx context.Context, err error) {
	text := ""
	if err != nil && ctx.Err() == nil {
		text = err.Error()
	}
	if text != "" && text != d.told {
		fmt.Fprintln(d.out, printable(text))
	}
	d.told = text
}

// remember notes the runs and the lines that are there already.
func (d *developer) remember(ctx context.Context) error {
	d.log.name = d.project.name
	runs, err := d.news(ctx, d.log.name)
	if err == nil {
		err = d.log.show(ctx, io.Discard)
	}
	if client.Is(err, "not_found") {
		return nil
	}
	for _, r := range runs {
		d.runs[r.ID] = true
	}
	return err
}

// deploy builds the plugin, installs it, and turns its graph ON.
func (d *developer) deploy(ctx context.Context) error {
	began := time.Now()
	if err := d.project.build(ctx, d.project.module()); err != nil {
		return err
	}
	b, err := os.ReadFile(filepath.Join(d.project.dir, d.project.module()))
	if err != nil {
		return err
	}
	done, err := d.client.InstallPlugin(ctx, b, client.InstallOptions{Grant: true, Force: true})
	if err != nil {
		return err
	}
	d.name = done.Plugin.Name
	tellImpact(d.out, done)
	fmt.Fprintf(d.out, "%s %s is %s, %s after the save\n", d.name, printable(done.Plugin.Version), done.Plugin.Health.State, time.Since(began).Round(10*time.Millisecond))
	src, err := os.ReadFile(filepath.Join(d.project.dir, "graph.yaml"))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	doc, problems := graph.Parse(src, graph.YAML, graph.Limits{})
	if doc == nil {
		return fmt.Errorf("graph.yaml: %w", problems[0])
	}
	if _, err := d.client.Deploy(ctx, doc.Name, src, client.YAML); err != nil {
		return fmt.Errorf("graph.yaml: %w", err)
	}
	return nil
}

// show prints new lines of the plugin's log, and new events.
func (d *developer) show(ctx context.Context) error {
	if d.name == "" {
		return nil
	}
	d.log.name = d.name
	if err := d.log.show(ctx, d.out); err != nil {
		return err
	}
	runs, err := d.news(ctx, d.name)
	if err != nil {
		return err
	}
	for _, r := range slices.Backward(runs) {
		if d.runs[r.ID] {
			continue
		}
		// A list leaves the events out.
		if r, err = d.client.Run(ctx, r.ID); err != nil {
			return err
		}
		d.runs[r.ID] = true
		fmt.Fprintf(d.out, "event of %s, run %s: %s\n", r.Graph, r.ID, printable(string(r.Event)))
		if d.left > 0 {
			if d.left--; d.left == 0 {
				return errEnough
			}
		}
	}
	return nil
}

// news lists the newest runs of the graphs that use a plugin, newest first.
func (d *developer) news(ctx context.Context, name string) ([]client.Run, error) {
	uses, err := d.client.PluginUses(ctx, name)
	if err != nil {
		return nil, err
	}
	var out []client.Run
	for _, u := range uses {
		page, err := d.client.Runs(ctx, client.RunQuery{Graph: u.Graph, Limit: 50})
		if err != nil {
			return nil, err
		}
		out = append(out, page.Items...)
	}
	return out, nil
}
