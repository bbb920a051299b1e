package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tappet-dev/tappet/plugins"
	"github.com/tappet-dev/tappet/plugins/oci"
)

// A language is one that plugin new, build, test and dev know.
type language struct {
	name string
	// ending is that of its source files; sources are all that a change of which
	// makes a new build.
	ending  string
	sources []string
	// native says that it makes programs, too.
	native bool
}

func languages() []language {
	return []language{
		{name: "go", ending: ".go", sources: []string{".go", ".mod", ".yaml"}, native: true},
		{name: "c", ending: ".c", sources: []string{".c", ".h", ".yaml"}},
		{name: "assemblyscript", ending: ".ts", sources: []string{".ts", ".yaml"}},
	}
}

// A project is a folder with a plugin's source.
type project struct {
	dir, name string
	language
}

// openProject finds out what a folder, or the present one, holds.
func openProject(args []string) (project, error) {
	dir := "."
	if len(args) > 0 {
		dir = args[0]
	}
	full, err := filepath.Abs(dir)
	if err != nil {
		return project{}, err
	}
	for _, l := range languages() {
		found, _ := filepath.Glob(filepath.Join(full, "*"+l.ending))
		// Go's tests may stand beside a plugin in another language.
		found = slices.DeleteFunc(found, func(path string) bool { return strings.HasSuffix(path, "_test.go") })
		if len(found) > 0 {
			return project{full, filepath.Base(full), l}, nil
		}
	}
	return project{}, fmt.Errorf("%s holds no source of a plugin, .go, .c or .ts: name a plugin's folder, or make one with tappet plugin new", dir)
}

// module is the module's path in the project.
func (p project) module() string { return filepath.Join("build", p.name+".wasm") }

// program is the native program's.
func (p project) program() string { return filepath.Join("build", p.name) }

// layout is that of the OCI layout's folder.
func (p project) layout() string { return filepath.Join("build", p.name+".oci") }

// isSource says whether a file's change makes a new build.
func (p project) isSource(path string) bool {
	name := filepath.Base(path)
	return !strings.HasPrefix(name, ".") && slices.Contains(p.sources, filepath.Ext(name))
}

// build makes one target of the project.
func (p project) build(ctx context.Context, target string) error {
	if err := os.MkdirAll(filepath.Join(p.dir, "build"), 0o755); err != nil {
		return err
	}
	switch p.language.name {
	case "c":
		return p.buildC(ctx, target)
	case "assemblyscript":
		return p.buildAssemblyScript(ctx, target)
	}
	env := []string{"CGO_ENABLED=0"}
	if target == p.module() {
		env = []string{"GOOS=wasip1", "GOARCH=wasm"}
	}
	return p.toolchain(ctx, env, io.Discard, "build", "-trimpath", "-ldflags=-s -w", "-o", target, ".")
}

func (p project) buildC(ctx context.Context, target string) error {
	files, err := filepath.Glob(filepath.Join(p.dir, "*.c"))
	if err != nil {
		return err
	}
	for i := range files {
		files[i] = filepath.Base(files[i])
	}
	if _, err := exec.LookPath("wasm-ld"); err != nil {
		return errors.New("wasm-ld, the linker of LLVM, is needed and isn't on the PATH: install lld")
	}
	args := []string{"--target=wasm32", "-O2", "-nostdlib", "-Wall", "-Wl,--no-entry", "-Wl,--strip-all", "-o", target}
	return runTool(ctx, p.dir, nil, io.Discard, "install clang and lld", "clang", append(args, files...)...)
}

func (p project) buildAssemblyScript(ctx context.Context, target string) error {
	asc := filepath.Join(p.dir, "node_modules", ".bin", "asc")
	if _, err := os.Stat(asc); err != nil {
		asc = "asc"
	}
	return runTool(ctx, p.dir, nil, io.Discard, "install it with npm install --save-dev assemblyscript in the plugin's folder",
		asc, "main.ts", "-O3", "--runtime", "incremental", "--use", "abort=tappet/abort", "-o", target)
}

// toolchain runs the go command in the project. Until there is a go.sum it may
// look modules up.
func (p project) toolchain(ctx context.Context, env []string, out io.Writer, args ...string) error {
	if _, err := os.Stat(filepath.Join(p.dir, "go.sum")); err != nil {
		args = slices.Insert(slices.Clone(args), 1, "-mod=mod")
	}
	return runTool(ctx, p.dir, env, out, "see https://go.dev/dl", "go", args...)
}

// runTool runs a tool in a folder; install tells whoever hasn't got it what to do.
func runTool(ctx context.Context, dir string, env []string, out io.Writer, install, tool string, args ...string) error {
	cmd := exec.CommandContext(ctx, tool, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = out, &said
	err := cmd.Run()
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return fmt.Errorf("%s is needed and isn't on the PATH: %s", tool, install)
	case err != nil:
		return fmt.Errorf("%s %s: %w\n%s", filepath.Base(tool), args[0], err, strings.TrimSpace(said.String()))
	}
	return nil
}

func pluginBuildCommand() *cobra.Command {
	var tag string
	c := &cobra.Command{
		Use: "build [FOLDER]", Short: "Build a plugin: build/NAME.wasm, and of Go the program build/NAME", Args: cobra.MaximumNArgs(1),
		Long: `Build a plugin: build/NAME.wasm, and of Go the native program build/NAME. --layout also
writes build/NAME.oci, an OCI image layout with what was built under a tag, which
plugin install takes and tools for OCI registries push.`,
		RunE: func(c *cobra.Command, args []string) error {
			p, err := openProject(args)
			if err != nil {
				return err
			}
			targets := []string{p.module()}
			if p.native {
				targets = append(targets, p.program())
			}
			for _, target := range targets {
				if err := p.build(c.Context(), target); err != nil {
					return err
				}
				fmt.Fprintln(c.OutOrStdout(), filepath.Join(p.dir, target))
			}
			if tag == "" {
				return nil
			}
			if err := p.writeLayout(c.Context(), tag); err != nil {
				return err
			}
			fmt.Fprintln(c.OutOrStdout(), filepath.Join(p.dir, p.layout()))
			return nil
		},
	}
	c.Flags().StringVar(&tag, "layout", "", "write an OCI image layout too, under this tag, such as 1.0.0")
	return c
}

// writeLayout writes what was built.
func (p project) writeLayout(ctx context.Context, tag string) error {
	b, err := os.ReadFile(filepath.Join(p.dir, p.module()))
	if err != nil {
		return err
	}
	files := []oci.File{{Bytes: b}}
	if p.native {
		if b, err = os.ReadFile(filepath.Join(p.dir, p.program())); err != nil {
			return err
		}
		files = append(files, oci.File{Program: true, OS: runtime.GOOS, Arch: runtime.GOARCH, Bytes: b})
	}
	return oci.Write(ctx, filepath.Join(p.dir, p.layout()), tag, files)
}

func pluginTestCommand() *cobra.Command {
	return &cobra.Command{
		Use: "test [FOLDER]", Short: "Run a plugin's tests, the conformance kit among them", Args: cobra.MaximumNArgs(1),
		Long: `Build a plugin and run its tests, the conformance kit among them: in process, and on
the module and the program that were built. The kit is Go's: a plugin in another
language is taken into a sandbox and asked to describe itself.`,
		RunE: func(c *cobra.Command, args []string) error {
			p, err := openProject(args)
			if err != nil {
				return err
			}
			targets := []string{p.module()}
			if p.native {
				targets = append(targets, p.program())
			}
			for i, target := range targets {
				if err := p.build(c.Context(), target); err != nil {
					return err
				}
				targets[i] = filepath.Join(p.dir, target)
			}
			if p.language.name == "go" {
				built := "TAPPET_PLUGIN_BUILT=" + strings.Join(targets, string(filepath.ListSeparator))
				return p.toolchain(c.Context(), []string{built}, c.OutOrStdout(), "test", "./...")
			}
			return p.describe(c.Context(), c.OutOrStdout())
		},
	}
}

// describe loads the module as a server would, and tells what it offers.
func (p project) describe(ctx context.Context, out io.Writer) (err error) {
	b, err := os.ReadFile(filepath.Join(p.dir, p.module()))
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program, which compiles plugins in a process of its own: %w", err)
	}
	dir, err := os.MkdirTemp("", "tappet-plugin-*")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	all, err := plugins.Open(dir, plugins.Options{Compiler: []string{self}, Reserved: builtinNames()})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, all.Close()) }()
	k, err := all.Stage(ctx, b, "")
	if err != nil {
		return fmt.Errorf("%s: %w", p.module(), err)
	}
	defer func() { err = errors.Join(err, k.Close()) }()
	i := k.Info()
	fmt.Fprintf(out, "%s %s describes itself well\n", i.Name, printable(i.Version))
	for _, t := range i.Triggers {
		fmt.Fprintf(out, "  trigger %s.%s\n", i.Name, t.Name)
	}
	for _, a := range i.Actions {
		fmt.Fprintf(out, "  action %s.%s\n", i.Name, a.Name)
	}
	return nil
}
