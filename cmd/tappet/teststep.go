package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/tappet-dev/tappet/api/client"
)

func testStepCommand() *cobra.Command {
	var r remote
	var t client.StepTest
	var event, steps, output string
	c := &cobra.Command{
		Use:   "test-step GRAPH STEP",
		Short: "Carry one step of a graph out, and show what was sent and what came back",
		Long: `Carry one step of a graph out, and show what was sent and what came back.

The call is a real one, made once by the server; nothing is stored. Without
--event and --run the step sees the event of the graph's newest run. It exits
with 1 when the step fails.`,
		Args: cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			if output != "" && output != "json" {
				return usageError{fmt.Errorf("-o takes json, not %q", output)}
			}
			s, err := r.client(c)
			if err != nil {
				return err
			}
			if t.Event, err = readSample(c, event); err != nil {
				return err
			}
			given, err := readSample(c, steps)
			if err != nil {
				return err
			}
			if given != nil {
				if err := json.Unmarshal(given, &t.Steps); err != nil {
					return fmt.Errorf("--steps: an object of outputs by step is wanted: %w", err)
				}
			}
			got, err := s.TestStep(c.Context(), args[0], args[1], t)
			if err != nil {
				return err
			}
			if output == "json" {
				enc := json.NewEncoder(c.OutOrStdout())
				enc.SetIndent("", "  ")
				err = enc.Encode(got)
			} else {
				showStepTest(c.OutOrStdout(), got)
			}
			if err == nil && got.Error != nil {
				err = errors.New("the step has failed")
			}
			return err
		},
	}
	r.flags(c)
	c.Flags().IntVar(&t.Version, "version", 0, "a published version; 0 is the draft")
	c.Flags().StringVar(&event, "event", "", "a file with the event, - for standard input")
	c.Flags().StringVar(&t.Run, "run", "", "the run whose event and outputs the step sees")
	c.Flags().StringVar(&steps, "steps", "", "a file with the outputs of the steps before, by id")
	c.Flags().StringVarP(&output, "output", "o", "", "json: the server's whole answer")
	return c
}

// showStepTest writes a test for people.
func showStepTest(w io.Writer, t client.StepTestResult) {
	from := t.Sources.Event
	if t.Sources.Run != "" {
		from += " " + t.Sources.Run
	}
	fmt.Fprintf(w, "event: %s\n", from)
	for _, s := range t.Warnings {
		fmt.Fprintf(w, "warning: %s\n", s)
	}
	for _, h := range t.Hops {
		showWire(w, &h.Request, &h.Response)
	}
	showWire(w, t.Request, t.Response)
	if t.Error != nil {
		fmt.Fprintf(w, "\nerror: %s: %s\n", t.Error.Kind, t.Error.Message)
	} else {
		fmt.Fprintf(w, "\noutput: %s\n", t.Output)
	}
	if t.Curl != "" {
		fmt.Fprintf(w, "\n%s\n", t.Curl)
	}
}

func showWire(w io.Writer, messages ...*client.WireMessage) {
	for i, m := range messages {
		if m == nil {
			continue
		}
		fmt.Fprintf(w, "\n%s\n%s\n", []string{"> sent", "< received"}[i], m.Bytes)
		if m.Encoding != "text" {
			fmt.Fprintf(w, "(%s)\n", m.Encoding)
		}
		if m.LeftOut != "" {
			fmt.Fprintf(w, "(the body is compressed: %s)\n", m.LeftOut)
		}
		if m.Truncated {
			fmt.Fprintln(w, "(there was more)")
		}
	}
}
