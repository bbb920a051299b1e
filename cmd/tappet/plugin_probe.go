package main

import (
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

// configHelp tells what a CONFIG is.
const configHelp = `CONFIG is a JSON object, @FILE with one, or - for standard input; left out, it is
empty. NAME is a plugin, or a built-in connector.`

func pluginCheckCommand() *cobra.Command {
	var r remote
	c := &cobra.Command{
		Use:   "check NAME [CONFIG]",
		Short: "Try whether a config works, such as whether a token is taken",
		Long: `Try whether a config works, such as whether a token is taken. It exits with 1 when
it doesn't.

` + configHelp,
		Example: `  tappet plugin check gitea '{"url": "https://git.example.com"}'`,
		Args:    cobra.RangeArgs(1, 2),
		RunE: func(c *cobra.Command, args []string) error {
			s, err := r.client(c)
			if err != nil {
				return err
			}
			config, err := readConfig(c, args[1:])
			if err != nil {
				return err
			}
			got, err := s.CheckConfig(c.Context(), args[0], config)
			if err != nil {
				return err
			}
			if !got.OK {
				return fmt.Errorf("it doesn't work (%s): %s", printable(got.Kind), printable(got.Message))
			}
			fmt.Fprintln(c.OutOrStdout(), "it works")
			return nil
		},
	}
	r.flags(c)
	return c
}

func pluginOptionsCommand() *cobra.Command {
	var r remote
	c := &cobra.Command{
		Use:   "options NAME OPTIONS|PART.FIELD [CONFIG]",
		Short: "List the values that a field may have at present",
		Long: `List the values that a field may have at present, as the service has them: those of
the connector's OPTIONS, or of a FIELD of one of its triggers or actions.

` + configHelp,
		Example: `  tappet plugin options gitea create_issue.repository '{"url": "https://git.example.com"}'`,
		Args:    cobra.RangeArgs(2, 3),
		RunE: func(c *cobra.Command, args []string) error {
			s, err := r.client(c)
			if err != nil {
				return err
			}
			q := client.Choosing{Options: args[1]}
			if part, field, ok := strings.Cut(args[1], "."); ok {
				q = client.Choosing{Part: part, Field: field}
			}
			if q.Config, err = readConfig(c, args[2:]); err != nil {
				return err
			}
			found, err := s.Options(c.Context(), args[0], q)
			if err != nil {
				return err
			}
			w := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
			for _, o := range found {
				fmt.Fprintf(w, "%s\t%s\n", printable(string(o.Value)), printable(o.Title))
			}
			return w.Flush()
		},
	}
	r.flags(c)
	return c
}

// mostConfig bounds what is read of a config; the server has a limit of its own.
const mostConfig = 2 << 20

// readConfig reads the CONFIG of a command line, which may be missing.
func readConfig(c *cobra.Command, args []string) (json.RawMessage, error) {
	if len(args) == 0 {
		return json.RawMessage("{}"), nil
	}
	b := []byte(args[0])
	var in io.Reader
	if args[0] == "-" {
		in = c.InOrStdin()
	} else if path, ok := strings.CutPrefix(args[0], "@"); ok {
		f, err := os.Open(path)
		if err != nil {
			return nil, fmt.Errorf("read config: %w", err)
		}
		defer f.Close()
		in = f
	}
	if in != nil {
		var err error
		if b, err = io.ReadAll(io.LimitReader(in, mostConfig)); err != nil {
			return nil, fmt.Errorf("read config: %w", err)
		}
	}
	if !json.Valid(b) {
		return nil, usageError{errors.New(`the config is no JSON; an object such as '{"url": "https://git.example.com"}' is wanted`)}
	}
	return b, nil
}
