package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tappet-dev/tappet/api/client"
	"github.com/tappet-dev/tappet/plugins/oci"
)

// mostPlugin bounds what is read of a plugin's file before it is sent; the
// server has a limit of its own.
const mostPlugin = 256 << 20

func pluginInstallCommand() *cobra.Command {
	var r remote
	var o client.InstallOptions
	var tag string
	c := &cobra.Command{
		Use:   "install FILE|REFERENCE",
		Short: "Install or upgrade a plugin",
		Long: `Install or upgrade a plugin.

FILE is a WebAssembly module, a program for the server's machine, or an OCI image
layout that holds one: a folder or a .tar. A REFERENCE, registry.example.com/team/feed:1.2.0
or …@sha256:…, is of an image in an OCI registry, which the server fetches, with the
credentials of its own --registry-auth-file. What the plugin needs is shown and
granted by a yes, or by --grant. An upgrade tells what it changes; one that breaks
a graph that is ON is refused, unless --force.`,
		Example: `  tappet plugin install build/feed.wasm
  tappet plugin install registry.example.com/team/feed:1.2.0`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			s, err := r.client(c)
			if err != nil {
				return err
			}
			if _, err := os.Stat(args[0]); err != nil && oci.IsReference(args[0]) {
				return installReference(c, s, args[0], o)
			}
			b, err := readPlugin(c.Context(), args[0], tag)
			if err != nil {
				return err
			}
			return install(c, o, func(ctx context.Context, o client.InstallOptions) (client.PluginInstall, error) {
				return s.InstallPlugin(ctx, b, o)
			})
		},
	}
	r.flags(c)
	installFlags(c, &o)
	c.Flags().StringVar(&o.Digest, "digest", "", "the SHA-256 that the file must have, in hexadecimal")
	c.Flags().StringVar(&tag, "tag", "", "which image of an OCI layout; needed where there are several")
	return c
}

// installReference installs what the reference means when it is first asked for:
// a tag that is moved meanwhile brings nothing else.
func installReference(c *cobra.Command, s *client.Client, reference string, o client.InstallOptions) error {
	return install(c, o, func(ctx context.Context, o client.InstallOptions) (client.PluginInstall, error) {
		done, err := s.InstallReference(ctx, reference, o)
		if err == nil && done.Reference != reference {
			reference = done.Reference
			fmt.Fprintf(c.OutOrStdout(), "fetched %s\n", reference)
		}
		return done, err
	})
}

func installFlags(c *cobra.Command, o *client.InstallOptions) {
	c.Flags().BoolVar(&o.Grant, "grant", false, "grant what the plugin needs without asking")
	c.Flags().BoolVar(&o.Force, "force", false, "go on though active graphs break")
	c.Flags().BoolVar(&o.DryRun, "dry-run", false, "change nothing; only tell what would be")
}

func pluginReleaseCommand(name, short string, do func(*client.Client, context.Context, string, client.InstallOptions) (client.PluginInstall, error)) *cobra.Command {
	var r remote
	var o client.InstallOptions
	c := &cobra.Command{
		Use: name + " NAME", Short: short, Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			s, err := r.client(c)
			if err != nil {
				return err
			}
			return install(c, o, func(ctx context.Context, o client.InstallOptions) (client.PluginInstall, error) {
				return do(s, ctx, args[0], o)
			})
		},
	}
	r.flags(c)
	installFlags(c, &o)
	return c
}

// readPlugin reads a plugin's file, out of an OCI layout if it is one.
func readPlugin(ctx context.Context, path, tag string) ([]byte, error) {
	if st, err := os.Stat(path); err == nil && (st.IsDir() || strings.HasSuffix(path, ".tar")) {
		return oci.Read(ctx, path, oci.Options{Tag: tag, Limit: mostPlugin})
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, mostPlugin+1))
	switch {
	case err != nil:
		return nil, err
	case len(b) > mostPlugin:
		return nil, fmt.Errorf("%s has more than %d bytes: is it a plugin?", path, mostPlugin)
	case len(b) == 0:
		return nil, fmt.Errorf("%s is empty: a WebAssembly module or a program is wanted", path)
	}
	return b, nil
}

// install shows what would be, asks where something is to be granted, and does
// it.
func install(c *cobra.Command, o client.InstallOptions, do func(context.Context, client.InstallOptions) (client.PluginInstall, error)) error {
	out := c.OutOrStdout()
	look := o
	look.DryRun = true
	plan, err := do(c.Context(), look)
	if err != nil {
		return err
	}
	tellImpact(out, plan)
	asks := len(plan.Needs.HTTP)+len(plan.Needs.Secrets) > 0
	if asks {
		fmt.Fprintf(out, "%s asks for:\n", plan.Plugin.Name)
		for _, h := range plan.Needs.HTTP {
			fmt.Fprintf(out, "  HTTP to %s\n", printable(h))
		}
		for _, s := range plan.Needs.Secrets {
			fmt.Fprintf(out, "  the secret %s\n", printable(s))
		}
	}
	if o.DryRun {
		return nil
	}
	if asks && !o.Grant {
		if o.Grant = yes(c, "grant it? [y/N] "); !o.Grant {
			return errors.New("nothing was installed: what it asks for isn't granted; --grant does")
		}
	}
	done, err := do(c.Context(), o)
	if err != nil {
		return err
	}
	p := done.Plugin
	fmt.Fprintf(out, "%s %s is %s (%s, %s)\n", p.Name, printable(p.Version), p.Health.State, p.Kind, p.File)
	if len(done.Republished) > 0 {
		fmt.Fprintf(out, "published anew with it: %s\n", strings.Join(done.Republished, ", "))
	}
	return nil
}

func yes(c *cobra.Command, question string) bool {
	fmt.Fprint(c.OutOrStdout(), question)
	line, _ := bufio.NewReader(c.InOrStdin()).ReadString('\n') // no answer is a no
	return strings.EqualFold(strings.TrimSpace(line), "y") || strings.EqualFold(strings.TrimSpace(line), "yes")
}

// tellImpact shows what an upgrade changes.
func tellImpact(out io.Writer, plan client.PluginInstall) {
	for _, x := range plan.Impact.Changes {
		place := x.Part
		if x.Field != "" {
			place += " " + x.Field
		}
		types := strings.Trim(x.From+" → "+x.To, " →")
		if x.From != "" && x.To != "" {
			types = x.From + " → " + x.To
		}
		fmt.Fprintln(out, strings.TrimRight(printable(fmt.Sprintf("%-7s %s %s", x.Change, place, types)), " "))
	}
	for _, g := range plan.Impact.Graphs {
		state := "OFF"
		if g.Active {
			state = "ON"
		}
		fmt.Fprintf(out, "graph %s (%s): %s\n", g.Graph, state, g.Effect)
		for _, p := range g.Problems {
			fmt.Fprintf(out, "  %s\n", printable(p.String()))
		}
	}
}
