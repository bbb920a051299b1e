// Command tappet is the automation engine and its command line.
//
// It is the only place that knows everybody: it reads the settings, makes the
// parts, hands them to each other and minds their lives. Its one rule: it holds
// no logic of graphs, runs or connectors.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	_ "time/tzdata" // zones are the binary's own, not the host's

	"github.com/spf13/cobra"

	"github.com/tappet-dev/tappet/plugins/wasm"
)

// version is set by the release build.
var version = "dev"

// Exit codes.
const (
	exitFailure = 1
	exitUsage   = 2
)

func main() {
	// A module compiles in a process of its own: this program, started by itself.
	if len(os.Args) > 1 && os.Args[1] == wasm.CompileCommand {
		os.Exit(wasm.CompileMain(os.Args[2:], os.Stdin, os.Stderr))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// After the first signal the next one ends the process at once.
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:]))
}

// usageError is a command line that can't be understood.
type usageError struct{ error }

func run(ctx context.Context, args []string) int {
	root := &cobra.Command{
		Use:           "tappet",
		Short:         "Run trigger → action graphs, durably, from one binary",
		SilenceErrors: true, SilenceUsage: true,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.AddCommand(serveCommand(), graphCommand(), exprCommand(), curlCommand(), pluginCommand(), connectionCommand(), secretCommand(), eventCommand(), versionCommand())
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	fmt.Fprintln(os.Stderr, "tappet:", err)
	if _, ok := errors.AsType[usageError](err); ok {
		return exitUsage
	}
	return exitFailure
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(c.OutOrStdout(), "tappet", version)
			return err
		},
	}
}
