package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tappet-dev/tappet/api"
	"github.com/tappet-dev/tappet/connectors/http/curl"
	"github.com/tappet-dev/tappet/engine"
	"github.com/tappet-dev/tappet/engine/graph"
)

// curlTool gives the API what package curl can do.
type curlTool struct{}

var _ api.Curl = curlTool{}

// Print implements api.Curl.
func (curlTool) Print(p engine.Preview) (command string, notes []string, err error) {
	command, notes, err = curl.Print(curl.Request{Request: p.Request, Secrets: p.Secrets, File: p.File})
	if p.Connection != "" && err == nil {
		notes = append(notes, fmt.Sprintf("the connection %s adds its credentials when the step is run; they aren't printed", p.Connection))
	}
	return command, notes, err
}

// Import implements api.Curl.
func (curlTool) Import(command string) (api.ImportedStep, []api.ProblemError) {
	step, problems := curl.Parse(command)
	if len(problems) > 0 {
		out := make([]api.ProblemError, len(problems))
		for i, p := range problems {
			before := command[:min(p.Offset, len(command))]
			out[i] = api.ProblemError{
				Pointer: "/command", Code: "curl", Message: p.Message, Line: 1 + strings.Count(before, "\n"),
				Column: 1 + len([]rune(before[strings.LastIndexByte(before, '\n')+1:])),
			}
		}
		return api.ImportedStep{}, out
	}
	v := api.ImportedStep{
		Step:     api.StepFields{ID: "request", Use: step.Use, Timeout: step.Timeout, With: step.With},
		Warnings: step.Warnings,
	}
	text, err := stepYAML(v.Step)
	if err != nil {
		return api.ImportedStep{}, []api.ProblemError{{Code: "curl", Message: err.Error()}}
	}
	v.YAML = text
	return v, nil
}

// stepYAML writes a step as it stands under steps in a document.
func stepYAML(step api.StepFields) (string, error) {
	item, err := json.Marshal(step)
	if err != nil {
		return "", fmt.Errorf("write step: %w", err)
	}
	src := fmt.Appendf(nil, `{"name":"imported","trigger":{"use":"manual"},"steps":[%s]}`, item)
	doc, problems := graph.Parse(src, graph.JSON, graph.Limits{})
	if doc == nil || doc.Broken() {
		for _, p := range problems {
			if !p.Warning {
				return "", fmt.Errorf("the step isn't valid: %w", p)
			}
		}
		return "", errors.New("the step isn't valid")
	}
	text, err := doc.YAML()
	if err != nil {
		return "", fmt.Errorf("write step: %w", err)
	}
	_, steps, _ := strings.Cut(string(text), "\nsteps:\n")
	return steps, nil
}

func curlCommand() *cobra.Command {
	c := &cobra.Command{Use: "curl", Short: "Make steps of commands of curl"}
	c.AddCommand(&cobra.Command{
		Use:   "import COMMAND",
		Short: "Make a step of a command of curl, without a server",
		Long: `Make a step of a command of curl, without a server.

COMMAND is one argument, such as 'curl https://x.example.com -d a=1'; - reads it
from standard input. The step is written as YAML, ready to stand under steps;
what couldn't be carried over is told on standard error.`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			command := args[0]
			if command == "-" {
				b, err := io.ReadAll(io.LimitReader(c.InOrStdin(), curl.MaxCommand+1))
				if err != nil {
					return fmt.Errorf("read the command: %w", err)
				}
				command = string(b)
			}
			v, problems := curlTool{}.Import(command)
			var all []error
			for _, p := range problems {
				all = append(all, fmt.Errorf("%d:%d: %s", p.Line, p.Column, p.Message))
			}
			if len(all) > 0 {
				return errors.Join(all...)
			}
			for _, w := range v.Warnings {
				fmt.Fprintln(c.ErrOrStderr(), "warning:", w)
			}
			fmt.Fprint(c.OutOrStdout(), v.YAML)
			return nil
		},
	})
	return c
}
