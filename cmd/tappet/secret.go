package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/tappet-dev/tappet/api/client"
	"github.com/tappet-dev/tappet/internal/seal"
)

func secretCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "secret",
		Short: "Put, list and delete secrets",
		Long: `Put, list and delete secrets.

rotate-key works on a data folder, the others call a server: --server is
TAPPET_SERVER and --token is TAPPET_TOKEN in the environment.`,
	}
	c.AddCommand(secretPutCommand(), secretListCommand(), secretDeleteCommand(), rotateKeyCommand())
	return c
}

func secretPutCommand() *cobra.Command {
	var r remote
	var file string
	c := &cobra.Command{
		Use: "put NAME", Short: "Add a secret or replace its value, which is read from standard input",
		Long: `Add a secret or replace its value.

The value is read from standard input or a file and never given as an argument,
which others could see. One line end at its end is no part of it.`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			value, err := secretValue(c.InOrStdin(), file)
			if err != nil {
				return err
			}
			s, err := r.client(c)
			if err != nil {
				return err
			}
			x, err := s.PutSecret(c.Context(), args[0], value)
			if err != nil {
				return err
			}
			fmt.Fprintf(c.OutOrStdout(), "%s is put\n", x.Name)
			return nil
		},
	}
	r.flags(c)
	c.Flags().StringVarP(&file, "file", "f", "", "read the value from this file")
	return c
}

// secretValue reads a value.
func secretValue(in io.Reader, file string) (string, error) {
	if file != "" {
		f, err := os.Open(file)
		if err != nil {
			return "", err
		}
		defer f.Close()
		in = f
	}
	b, err := io.ReadAll(io.LimitReader(in, maxSecret+3)) // a line end more, and a byte over
	if err != nil {
		return "", fmt.Errorf("read the value: %w", err)
	}
	value := strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r")
	if len(value) > maxSecret {
		return "", fmt.Errorf("the value has more than %d bytes, which is the limit", maxSecret)
	}
	return value, nil
}

func secretListCommand() *cobra.Command {
	var r remote
	c := &cobra.Command{
		Use: "list", Short: "List secrets and the graphs that use them; values are never shown", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			s, err := r.client(c)
			if err != nil {
				return err
			}
			found, err := s.Secrets(c.Context())
			if err != nil {
				return err
			}
			w := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "NAME\tUPDATED\tGRAPHS")
			for _, x := range found {
				fmt.Fprintf(w, "%s\t%s\t%s\n", x.Name, x.UpdatedAt.Format("2006-01-02 15:04"), graphNames(x.Graphs))
			}
			return w.Flush()
		},
	}
	r.flags(c)
	return c
}

func graphNames(uses []client.GraphUse) string {
	names := make([]string, len(uses))
	for i, u := range uses {
		names[i] = u.Graph
	}
	return strings.Join(names, ", ")
}

func secretDeleteCommand() *cobra.Command {
	var r remote
	var force bool
	c := &cobra.Command{
		Use: "delete NAME", Short: "Delete a secret; refused while graphs use it", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			s, err := r.client(c)
			if err != nil {
				return err
			}
			if err := s.DeleteSecret(c.Context(), args[0], force); err != nil {
				return err
			}
			fmt.Fprintf(c.OutOrStdout(), "%s is deleted\n", args[0])
			return nil
		},
	}
	r.flags(c)
	c.Flags().BoolVar(&force, "force", false, "delete it though graphs use it")
	return c
}

func rotateKeyCommand() *cobra.Command {
	var data string
	c := &cobra.Command{
		Use: "rotate-key", Short: "Make a new key for a data folder, to seal secrets and connections with",
		Long: `Make a new key for a data folder, to seal secrets and connections with.

It is put before the others in secret.key. The next start of the server seals
everything anew with it; the older keys stay in the file, for copies of the
folder that were made before. Where the key is given as TAPPET_KEY, put a new one
before the old one, with a comma between, and start the server again.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := environment(c.Flags()); err != nil {
				return err
			}
			if os.Getenv("TAPPET_KEY") != "" {
				return usageError{errors.New("the key is given as TAPPET_KEY: put a new one before it, with a comma between")}
			}
			if err := seal.Rotate(filepath.Join(data, keyFile)); err != nil {
				return err
			}
			fmt.Fprintln(c.OutOrStdout(), "there is a new key; start the server again to seal everything with it")
			return nil
		},
	}
	c.Flags().StringVar(&data, "data", "tappet-data", "data folder")
	return c
}
