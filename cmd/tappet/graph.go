package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/tappet-dev/tappet/engine"
	"github.com/tappet-dev/tappet/engine/graph"
	"github.com/tappet-dev/tappet/engine/program"
)

func graphCommand() *cobra.Command {
	c := &cobra.Command{Use: "graph", Short: "Work with graph documents"}
	c.AddCommand(&cobra.Command{
		Use:   "validate FILE…",
		Short: "Tell all that is wrong with graph documents, without a server",
		Long: `Tell all that is wrong with graph documents, without a server.

Only the built-in connectors are known here; a server knows its plugins too
(POST /api/v1/graphs/validate). It exits with 1 when a document has problems.`,
		Args: cobra.MinimumNArgs(1),
		RunE: validate,
	})
	c.AddCommand(testStepCommand())
	return c
}

func validate(c *cobra.Command, files []string) error {
	bad := false
	cat := engine.Installed(newRegistry(nil))
	for _, name := range files {
		src, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		format := graph.YAML
		if filepath.Ext(name) == ".json" {
			format = graph.JSON
		}
		doc, problems := graph.Parse(src, format, graph.Limits{})
		if doc != nil {
			_, more := program.Build(doc, cat)
			problems = append(problems, more...)
		}
		wrong := false
		for _, p := range problems {
			kind := "error"
			if p.Warning {
				kind = "warning"
			} else {
				wrong = true
			}
			fmt.Fprintf(c.OutOrStdout(), "%s: %s: %v\n", name, kind, p)
		}
		if !wrong {
			fmt.Fprintf(c.OutOrStdout(), "%s: ok\n", name)
		}
		bad = bad || wrong
	}
	if bad {
		return errors.New("there are problems")
	}
	return nil
}
