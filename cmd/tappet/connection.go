package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/tappet-dev/tappet/api/client"
)

func connectionCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "connection",
		Short: "Keep the credentials that requests are sent with",
		Long: `Keep the credentials that requests are sent with.

They call a server: --server is TAPPET_SERVER and --token is TAPPET_TOKEN in the
environment. Credentials are written and never shown.`,
	}
	c.AddCommand(
		connectionKindsCommand(), connectionListCommand(), connectionGetCommand(), connectionCreateCommand(), connectionPutCommand(),
		connectionDeleteCommand(), connectionTestCommand(), connectionAuthorizeCommand(), connectionUsageCommand(),
	)
	return c
}

// served makes a command that calls a server.
func served(use, short string, args int, run func(c *cobra.Command, s *client.Client, args []string) error) *cobra.Command {
	var r remote
	c := &cobra.Command{
		Use: use, Short: short, Args: cobra.ExactArgs(args),
		RunE: func(c *cobra.Command, args []string) error {
			s, err := r.client(c)
			if err != nil {
				return err
			}
			return run(c, s, args)
		},
	}
	r.flags(c)
	return c
}

func connectionKindsCommand() *cobra.Command {
	return served("kinds", "List the kinds of connections", 0, func(c *cobra.Command, s *client.Client, _ []string) error {
		found, err := s.ConnectionKinds(c.Context())
		if err != nil {
			return err
		}
		w := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "KIND\tTITLE\tDESCRIPTION")
		for _, k := range found {
			fmt.Fprintf(w, "%s\t%s\t%s\n", k.Name, k.Title, k.Description)
		}
		return w.Flush()
	})
}

func connectionListCommand() *cobra.Command {
	return served("list", "List connections", 0, func(c *cobra.Command, s *client.Client, _ []string) error {
		found, err := s.Connections(c.Context(), "")
		if err != nil {
			return err
		}
		w := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "NAME\tKIND\tSTATE\tHOSTS\tTITLE\tNOTE")
		for _, x := range found {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", x.Name, x.Kind, x.State, strings.Join(x.Hosts, " "), printable(x.Title), printable(x.Message))
		}
		return w.Flush()
	})
}

func connectionGetCommand() *cobra.Command {
	return served("get NAME", "Show a connection as JSON, without its credentials", 1, func(c *cobra.Command, s *client.Client, args []string) error {
		x, err := s.Connection(c.Context(), args[0])
		if err != nil {
			return err
		}
		return showJSON(c.OutOrStdout(), x)
	})
}

// maxDraft bounds what is read of a connection, in bytes.
const maxDraft = 1 << 20

// connectionDraft reads a connection from a file, "-" for standard input.
func connectionDraft(in io.Reader, file string) (client.ConnectionDraft, error) {
	var d client.ConnectionDraft
	if file == "" {
		return d, usageError{errors.New(`--file is needed: a JSON file such as {"name": "forms", "kind": "bearer", "hosts": ["api.example.com"], "config": {"token": "…"}}, or - for standard input`)}
	}
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return d, err
		}
		defer f.Close()
		in = f
	}
	b, err := io.ReadAll(io.LimitReader(in, maxDraft))
	if err != nil {
		return d, fmt.Errorf("read connection: %w", err)
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&d); err != nil {
		return d, fmt.Errorf("read connection: %w", err)
	}
	return d, nil
}

func connectionCreateCommand() *cobra.Command {
	var file string
	c := served("create", "Create a connection from a JSON file", 0, func(c *cobra.Command, s *client.Client, _ []string) error {
		d, err := connectionDraft(c.InOrStdin(), file)
		if err != nil {
			return err
		}
		x, err := s.CreateConnection(c.Context(), d)
		if err != nil {
			return err
		}
		return showJSON(c.OutOrStdout(), x)
	})
	c.Flags().StringVarP(&file, "file", "f", "", "the connection as JSON, - for standard input")
	return c
}

func connectionPutCommand() *cobra.Command {
	var file string
	c := served("put NAME", "Replace a connection; credentials that the file leaves out stay", 1, func(c *cobra.Command, s *client.Client, args []string) error {
		d, err := connectionDraft(c.InOrStdin(), file)
		if err != nil {
			return err
		}
		x, err := s.PutConnection(c.Context(), args[0], d)
		if err != nil {
			return err
		}
		return showJSON(c.OutOrStdout(), x)
	})
	c.Flags().StringVarP(&file, "file", "f", "", "the connection as JSON, - for standard input")
	return c
}

func connectionDeleteCommand() *cobra.Command {
	var force bool
	c := served("delete NAME", "Delete a connection; refused while graphs use it", 1, func(c *cobra.Command, s *client.Client, args []string) error {
		if err := s.DeleteConnection(c.Context(), args[0], force); err != nil {
			return err
		}
		fmt.Fprintf(c.OutOrStdout(), "%s is deleted\n", args[0])
		return nil
	})
	c.Flags().BoolVar(&force, "force", false, "delete it though graphs use it")
	return c
}

func connectionTestCommand() *cobra.Command {
	return served("test NAME", "Try a connection", 1, func(c *cobra.Command, s *client.Client, args []string) error {
		t, err := s.TestConnection(c.Context(), args[0])
		switch {
		case err != nil:
			return err
		case !t.OK:
			return fmt.Errorf("%s doesn't work: %s", args[0], printable(t.Message))
		}
		fmt.Fprintf(c.OutOrStdout(), "%s works: %s\n", args[0], printable(t.Message))
		return nil
	})
}

func connectionAuthorizeCommand() *cobra.Command {
	return served("authorize NAME", "Give an address to open in a browser, where a connection is authorised", 1, func(c *cobra.Command, s *client.Client, args []string) error {
		a, err := s.AuthorizeConnection(c.Context(), args[0], "")
		if err != nil {
			return err
		}
		fmt.Fprintf(c.OutOrStdout(), "open this in a browser, once, before %s:\n%s\n", a.ExpiresAt.Local().Format("15:04"), a.URL)
		return nil
	})
}

func connectionUsageCommand() *cobra.Command {
	return served("usage NAME", "List the graphs that use a connection", 1, func(c *cobra.Command, s *client.Client, args []string) error {
		found, err := s.ConnectionUsage(c.Context(), args[0])
		if err != nil {
			return err
		}
		w := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "GRAPH\tVERSION\tON")
		for _, u := range found {
			fmt.Fprintf(w, "%s\t%d\t%t\n", u.Graph, u.Version, u.Active)
		}
		return w.Flush()
	})
}
