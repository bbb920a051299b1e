package main

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"text/template"

	"github.com/spf13/cobra"
)

// skeleton is what a new plugin begins with; "NAME" in it is the plugin's name.
//
//go:embed skeleton
var skeleton embed.FS

// modulePath is the module that plugins are built with.
const modulePath = "github.com/tappet-dev/tappet"

func pluginNewCommand() *cobra.Command {
	var sdk string
	c := &cobra.Command{
		Use:   "new NAME",
		Short: "Write a new plugin into a folder of its name",
		Long: `Write a new plugin into a folder of its name: a trigger in Go, its test, and a graph
that uses it. NAME begins with a letter and has a-z, 0-9 and _.

The sdk isn't published yet: the plugin is built with a checkout of Tappet, which is
looked for where this program was built, and upwards from here; --sdk names it.`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if err := environment(c.Flags()); err != nil {
				return err
			}
			name := args[0]
			if !regexp.MustCompile(`^[a-z][a-z0-9_]{0,63}$`).MatchString(name) {
				return usageError{fmt.Errorf("%q is no name of a plugin: it begins with a-z and has a-z, 0-9 and _, at most 64", name)}
			}
			from, err := checkout(sdk)
			if err != nil {
				return err
			}
			if err := writePlugin(c.Context(), name, from); err != nil {
				return err
			}
			fmt.Fprintf(c.OutOrStdout(), "%s is there. Build it, install it and see its events, again at each save:\n  tappet plugin dev %s\n", name, name)
			return nil
		},
	}
	c.Flags().StringVar(&sdk, "sdk", "", "folder of a checkout of Tappet")
	return c
}

// checkout finds the source of the sdk.
func checkout(given string) (string, error) {
	if given != "" {
		dir, err := filepath.Abs(given)
		if err == nil && isCheckout(dir) {
			return dir, nil
		}
		return "", usageError{fmt.Errorf("--sdk %s: there is no checkout of %s", given, modulePath)}
	}
	var starts []string
	if _, file, _, ok := runtime.Caller(0); ok && filepath.IsAbs(file) {
		starts = append(starts, filepath.Dir(file))
	}
	if exe, err := os.Executable(); err == nil {
		starts = append(starts, filepath.Dir(exe))
	}
	if here, err := os.Getwd(); err == nil {
		starts = append(starts, here)
	}
	for _, dir := range starts {
		for ; ; dir = filepath.Dir(dir) {
			if isCheckout(dir) {
				return dir, nil
			}
			if dir == filepath.Dir(dir) {
				break
			}
		}
	}
	return "", errors.New("no checkout of Tappet was found to build with: name its folder with --sdk (or TAPPET_SDK)")
}

func isCheckout(dir string) bool {
	b, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	return err == nil && strings.HasPrefix(string(b), "module "+modulePath+"\n")
}

// writePlugin writes the skeleton into a new folder.
func writePlugin(ctx context.Context, name, sdk string) (err error) {
	if err := os.Mkdir(name, 0o755); err != nil {
		return fmt.Errorf("make the plugin's folder: %w", err)
	}
	defer func() {
		if err != nil {
			_ = os.RemoveAll(name) // nothing of it is older than this call
		}
	}()
	t, err := template.New("").Delims("<<", ">>").ParseFS(skeleton, "skeleton/*")
	if err != nil {
		return fmt.Errorf("read the skeleton: %w", err)
	}
	for _, file := range t.Templates() {
		if file.Name() == "" {
			continue
		}
		var b strings.Builder
		if err := file.Execute(&b, struct{ Name string }{name}); err != nil {
			return fmt.Errorf("write %s: %w", file.Name(), err)
		}
		target := filepath.Join(name, strings.Replace(strings.TrimSuffix(file.Name(), ".tmpl"), "gitignore", ".gitignore", 1))
		if err := os.WriteFile(target, []byte(b.String()), 0o644); err != nil {
			return err
		}
	}
	// The checkout's own requirements, so that nothing has to be looked up.
	for _, file := range []string{"go.mod", "go.sum"} {
		b, err := os.ReadFile(filepath.Join(sdk, file))
		if err == nil {
			err = os.WriteFile(filepath.Join(name, file), b, 0o644)
		}
		if err != nil {
			return err
		}
	}
	return toolchain(ctx, name, nil, io.Discard, "mod", "edit", "-module="+name, "-require="+modulePath+"@v0.0.0",
		"-replace="+modulePath+"="+sdk)
}

// toolchain runs the go command in a folder.
func toolchain(ctx context.Context, dir string, env []string, out io.Writer, args ...string) error {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = out, &said
	err := cmd.Run()
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return errors.New("the Go toolchain is needed and isn't on the PATH: see https://go.dev/dl")
	case err != nil:
		return fmt.Errorf("go %s: %w\n%s", args[0], err, strings.TrimSpace(said.String()))
	}
	return nil
}

func pluginBuildCommand() *cobra.Command {
	return &cobra.Command{
		Use: "build [FOLDER]", Short: "Build a plugin: build/NAME.wasm and build/NAME", Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			dir, name, err := pluginFolder(args)
			if err != nil {
				return err
			}
			for _, target := range []string{wasmFile(name), filepath.Join("build", name)} {
				if err := buildPlugin(c.Context(), dir, target); err != nil {
					return err
				}
				fmt.Fprintln(c.OutOrStdout(), filepath.Join(dir, target))
			}
			return nil
		},
	}
}

func wasmFile(name string) string { return filepath.Join("build", name+".wasm") }

func buildPlugin(ctx context.Context, dir, target string) error {
	env := []string{"CGO_ENABLED=0"}
	if strings.HasSuffix(target, ".wasm") {
		env = []string{"GOOS=wasip1", "GOARCH=wasm"}
	}
	return toolchain(ctx, dir, env, io.Discard, "build", "-trimpath", "-ldflags=-s -w", "-o", target, ".")
}

func pluginTestCommand() *cobra.Command {
	return &cobra.Command{
		Use: "test [FOLDER]", Short: "Run a plugin's tests, the conformance kit among them", Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			dir, _, err := pluginFolder(args)
			if err != nil {
				return err
			}
			return toolchain(c.Context(), dir, nil, c.OutOrStdout(), "test", "./...")
		},
	}
}

// pluginFolder gives the folder of a plugin's source and its base name.
func pluginFolder(args []string) (dir, name string, err error) {
	dir = "."
	if len(args) > 0 {
		dir = args[0]
	}
	full, err := filepath.Abs(dir)
	if err != nil {
		return "", "", err
	}
	if found, _ := filepath.Glob(filepath.Join(full, "*.go")); len(found) == 0 {
		return "", "", fmt.Errorf("%s holds no Go files: name a plugin's folder, or make one with tappet plugin new", dir)
	}
	return full, filepath.Base(full), nil
}
