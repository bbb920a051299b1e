package main

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/tappet-dev/tappet/api/client"
)

func eventCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "event",
		Short: "Look into what came in, and give it in again",
		Long: `Look into what came in, and give it in again: requests of webhooks with what
became of them and why, and events of polls and streams that started no run.

They call a server: --server is TAPPET_SERVER and --token is TAPPET_TOKEN in the
environment.`,
	}
	c.AddCommand(eventListCommand(), eventGetCommand(), eventReinjectCommand())
	return c
}

func eventListCommand() *cobra.Command {
	var q client.EventQuery
	var output string
	c := served("list", "List what came in, newest first", 0, func(c *cobra.Command, s *client.Client, _ []string) error {
		switch output {
		case "table", "json":
		default:
			return usageError{fmt.Errorf("--output %q: use table or json", output)}
		}
		page, err := s.Events(c.Context(), q)
		if err != nil {
			return err
		}
		if output == "json" {
			return showJSON(c.OutOrStdout(), page)
		}
		w := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "EVENT\tAT\tGRAPH\tOUTCOME\tREASON\tREQUEST\tRUN\tDETAIL")
		for _, e := range page.Items {
			request := e.Method
			if request != "" {
				request += " /hooks/" + printable(e.Path)
			}
			detail := printable(e.Detail)
			if e.Missed > 0 {
				detail += fmt.Sprintf(" (%d before it are only counted)", e.Missed)
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", e.ID, e.At.UTC().Format(time.RFC3339), e.Graph, e.Outcome, e.Reason, request, e.Run, detail)
		}
		if err := w.Flush(); err != nil || page.NextCursor == "" {
			return err
		}
		fmt.Fprintln(c.ErrOrStderr(), "there are more: --cursor", page.NextCursor)
		return nil
	})
	f := c.Flags()
	f.StringVar(&q.Graph, "graph", "", "only those for this graph")
	f.StringSliceVar(&q.Outcomes, "outcome", nil, "only those of which this became: run, filtered, duplicate, refused, failed")
	f.IntVar(&q.Limit, "limit", 50, "how many at most, from 1 to 200")
	f.StringVar(&q.Cursor, "cursor", "", "go on behind the page that gave this")
	f.StringVarP(&output, "output", "o", "table", "table or json")
	return c
}

func eventGetCommand() *cobra.Command {
	return served("get EVENT", "Show an event as JSON, with its headers and its body", 1, func(c *cobra.Command, s *client.Client, args []string) error {
		e, err := s.Event(c.Context(), args[0])
		if err != nil {
			return err
		}
		return showJSON(c.OutOrStdout(), e)
	})
}

func eventReinjectCommand() *cobra.Command {
	return served("reinject EVENT", "Start a run of an event by the newest version of its graph, whatever became of it", 1, func(c *cobra.Command, s *client.Client, args []string) error {
		run, err := s.Reinject(c.Context(), args[0])
		if err != nil {
			return err
		}
		fmt.Fprintln(c.OutOrStdout(), "run", run)
		return nil
	})
}

// showJSON prints v for people and programs.
func showJSON(w io.Writer, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(w, string(b))
	return err
}
