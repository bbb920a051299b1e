package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/tappet-dev/tappet/api/client"
)

func pluginCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "plugin",
		Short: "Write, install and manage plugins",
		Long: `Write, install and manage plugins.

new, build and test need the Go toolchain and no server. The others call one:
--server is TAPPET_SERVER and --token is TAPPET_TOKEN in the environment.`,
	}
	c.AddCommand(
		pluginNewCommand(), pluginBuildCommand(), pluginTestCommand(), pluginDevCommand(), pluginInstallCommand(),
		pluginListCommand(), pluginLogsCommand(), pluginRemoveCommand(), pluginCheckCommand(), pluginOptionsCommand(),
		pluginReleaseCommand("accept", "Accept a plugin's file that has changed in the plugins folder", (*client.Client).AcceptPlugin),
		pluginReleaseCommand("rollback", "Go back to the release before", (*client.Client).RollbackPlugin),
		pluginSwitchCommand("disable", "Switch a plugin off, until it is enabled", (*client.Client).DisablePlugin),
		pluginSwitchCommand("enable", "Switch a plugin on that was disabled or is in quarantine", (*client.Client).EnablePlugin),
	)
	return c
}

// A remote is the server that a command calls.
type remote struct{ server, token string }

func (r *remote) flags(c *cobra.Command) {
	c.Flags().StringVar(&r.server, "server", "http://127.0.0.1:7700", "the server's address")
	c.Flags().StringVar(&r.token, "token", "", "an admin token; better given as TAPPET_TOKEN")
}

// client reads the environment and makes a client.
func (r *remote) client(c *cobra.Command) (*client.Client, error) {
	if err := environment(c.Flags()); err != nil {
		return nil, err
	}
	if r.token == "" {
		return nil, usageError{errors.New("a token is needed: set TAPPET_TOKEN, or give --token")}
	}
	out, err := client.New(r.server, r.token, client.Options{HTTP: &http.Client{Timeout: 2 * time.Minute}})
	if err != nil {
		return nil, usageError{err}
	}
	return out, nil
}

func pluginListCommand() *cobra.Command {
	var r remote
	c := &cobra.Command{
		Use: "list", Short: "List the plugins with their health and what they use", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			s, err := r.client(c)
			if err != nil {
				return err
			}
			found, err := s.Plugins(c.Context())
			if err != nil {
				return err
			}
			w := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "NAME\tVERSION\tKIND\tSTATE\tCALLS\tFAILED\tRESTARTS\tCPU\tMEMORY\tFILE\tNOTE")
			for _, p := range found {
				note := p.Health.Reason
				if note == "" && p.Health.Refused > 0 {
					note = fmt.Sprintf("%d events refused, the last: %s", p.Health.Refused, p.Health.Refusal)
				}
				u := p.Usage
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%d\t%d\t%s\t%.1f MiB\t%s\t%s\n", p.Name, printable(p.Version), p.Kind, p.Health.State,
					u.Calls, u.Failures, u.Restarts, u.CPU, float64(u.Memory)/(1<<20), p.File, printable(note))
			}
			return w.Flush()
		},
	}
	r.flags(c)
	return c
}

func pluginLogsCommand() *cobra.Command {
	var r remote
	var follow bool
	c := &cobra.Command{
		Use: "logs NAME", Short: "Show the last lines that a plugin printed or logged", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			s, err := r.client(c)
			if err != nil {
				return err
			}
			l := logReader{client: s, name: args[0]}
			if err := l.show(c.Context(), c.OutOrStdout()); err != nil || !follow {
				return err
			}
			return again(c.Context(), c.ErrOrStderr(), func(ctx context.Context) error { return l.show(ctx, c.OutOrStdout()) })
		},
	}
	r.flags(c)
	c.Flags().BoolVarP(&follow, "follow", "f", false, "go on with new lines until Ctrl-C")
	return c
}

// A logReader shows each line of a plugin's log once.
type logReader struct {
	client *client.Client
	name   string
	last   uint64 // the number of the last line that was shown
}

func (l *logReader) show(ctx context.Context, out io.Writer) error {
	lines, err := l.client.PluginLogs(ctx, l.name, l.last)
	if err != nil {
		return err
	}
	for _, x := range lines {
		l.last = x.Number
		fmt.Fprintln(out, logLine(x))
	}
	return nil
}

// glance is how often a command that follows asks its server for news.
const glance = 300 * time.Millisecond

// again calls fn at each glance until ctx ends. A failure is told, once for as
// long as it lasts: a server that is started anew is found again.
func again(ctx context.Context, out io.Writer, fn func(context.Context) error) error {
	t := time.NewTicker(glance)
	defer t.Stop()
	told := ""
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
		err := fn(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err == nil {
			told = ""
		} else if text := err.Error(); text != told {
			told = text
			fmt.Fprintln(out, printable(text))
		}
	}
}

func logLine(l client.PluginLog) string {
	level := l.Level
	if level == "" {
		level = "print"
	}
	return fmt.Sprintf("%s %-5s %s", l.At.Format("15:04:05.000"), level, printable(l.Text))
}

// printable keeps what a stranger wrote from steering the terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return ' '
		}
		return r
	}, s)
}

func pluginRemoveCommand() *cobra.Command {
	var r remote
	var force bool
	c := &cobra.Command{
		Use: "remove NAME", Short: "Remove a plugin; refused while graphs use it", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			s, err := r.client(c)
			if err != nil {
				return err
			}
			if err := s.RemovePlugin(c.Context(), args[0], force); err != nil {
				return err
			}
			fmt.Fprintf(c.OutOrStdout(), "%s is removed\n", args[0])
			return nil
		},
	}
	r.flags(c)
	c.Flags().BoolVar(&force, "force", false, "remove it though graphs use it")
	return c
}

func pluginSwitchCommand(name, short string, do func(*client.Client, context.Context, string) (client.Plugin, error)) *cobra.Command {
	var r remote
	c := &cobra.Command{
		Use: name + " NAME", Short: short, Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			s, err := r.client(c)
			if err != nil {
				return err
			}
			p, err := do(s, c.Context(), args[0])
			if err != nil {
				return err
			}
			fmt.Fprintln(c.OutOrStdout(), strings.TrimSuffix(printable(fmt.Sprintf("%s is %s: %s", p.Name, p.Health.State, p.Health.Reason)), ": "))
			return nil
		},
	}
	r.flags(c)
	return c
}
