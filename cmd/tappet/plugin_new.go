package main

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"text/template"

	"github.com/spf13/cobra"

	bindings "github.com/tappet-dev/tappet/examples/plugins"
)

// skeleton is what a new plugin begins with; "NAME" in it is the plugin's name.
//
//go:embed skeleton
var skeleton embed.FS

// modulePath is the module that plugins are built with.
const modulePath = "github.com/tappet-dev/tappet"

func pluginNewCommand() *cobra.Command {
	var sdk, lang string
	c := &cobra.Command{
		Use:   "new NAME",
		Short: "Write a new plugin into a folder of its name",
		Long: `Write a new plugin into a folder of its name: a trigger, and a graph that uses it; in
Go with its test. NAME begins with a letter and has a-z, 0-9 and _.

A release of this program has the plugin built with the module of its own version.
Another build has it built with a checkout of Tappet, which is looked for where this
program was built, and upwards from here; --sdk names it.

C needs clang and lld to be built; AssemblyScript needs its compiler, asc, from npm.`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if err := environment(c.Flags()); err != nil {
				return err
			}
			name := args[0]
			if !regexp.MustCompile(`^[a-z][a-z0-9_]{0,63}$`).MatchString(name) {
				return usageError{fmt.Errorf("%q is no name of a plugin: it begins with a-z and has a-z, 0-9 and _, at most 64", name)}
			}
			if !slices.ContainsFunc(languages(), func(l language) bool { return l.name == lang }) {
				return usageError{fmt.Errorf("--lang %q: use go, c or assemblyscript", lang)}
			}
			from := ""
			if lang == "go" && (sdk != "" || !isRelease(version)) {
				var err error
				if from, err = checkout(sdk); err != nil {
					return err
				}
			}
			if err := writePlugin(name, lang, from); err != nil {
				return err
			}
			fmt.Fprintf(c.OutOrStdout(), "%s is there. Build it, install it and see its events, again at each save:\n  tappet plugin dev %s\n", name, name)
			return nil
		},
	}
	c.Flags().StringVar(&sdk, "sdk", "", "folder of a checkout of Tappet, for Go")
	c.Flags().StringVar(&lang, "lang", "go", "go, c or assemblyscript")
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

// writePlugin writes the skeleton of a language into a new folder. What it is
// built with, of Go, is a checkout, or a released version if that is "".
func writePlugin(name, lang, checkout string) (err error) {
	if err := os.Mkdir(name, 0o755); err != nil {
		return fmt.Errorf("make the plugin's folder: %w", err)
	}
	defer func() {
		if err != nil {
			_ = os.RemoveAll(name) // nothing of it is older than this call
		}
	}()
	t, err := template.New("").Delims("<<", ">>").ParseFS(skeleton, "skeleton/"+lang+"/*")
	if err != nil {
		return fmt.Errorf("read the skeleton: %w", err)
	}
	files := map[string][]byte{}
	for _, file := range t.Templates() {
		if file.Name() == "" {
			continue
		}
		var b bytes.Buffer
		if err := file.Execute(&b, struct{ Name string }{name}); err != nil {
			return fmt.Errorf("write %s: %w", file.Name(), err)
		}
		files[strings.Replace(strings.TrimSuffix(file.Name(), ".tmpl"), "gitignore", ".gitignore", 1)] = b.Bytes()
	}
	switch lang {
	case "c":
		files["tappet.h"] = bindings.C()
	case "assemblyscript":
		files["tappet.ts"] = bindings.AssemblyScript()
	case "go":
		if err := goModule(files, name, checkout); err != nil {
			return err
		}
	}
	for file, b := range files {
		if err := os.WriteFile(filepath.Join(name, file), b, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// goModule adds go.mod, and go.sum where it is known.
func goModule(files map[string][]byte, name, checkout string) error {
	if checkout == "" {
		files["go.mod"] = fmt.Appendf(nil, "module %s\n\ngo %s\n\nrequire %s %s\n", name, goVersion(), modulePath, version)
		return nil
	}
	// The checkout's own requirements, so that nothing has to be looked up.
	for _, file := range []string{"go.mod", "go.sum"} {
		b, err := os.ReadFile(filepath.Join(checkout, file))
		if err != nil {
			return err
		}
		files[file] = b
	}
	rest, ok := strings.CutPrefix(string(files["go.mod"]), "module "+modulePath+"\n")
	if !ok {
		return fmt.Errorf("%s is no checkout of %s", checkout, modulePath)
	}
	files["go.mod"] = fmt.Appendf(nil, "module %s\n%s\nrequire %s v0.0.0\n\nreplace %s => %s\n", name, rest, modulePath, modulePath, strconv.Quote(checkout))
	return nil
}

// goVersion is the version of Go that this program was built with, without its
// patch.
func goVersion() string {
	if v := regexp.MustCompile(`^go(\d+\.\d+)`).FindStringSubmatch(runtime.Version()); v != nil {
		return v[1] + ".0"
	}
	return "1.26.0"
}

// isRelease says whether a version is one of the module, which a plugin can
// require.
func isRelease(version string) bool {
	return regexp.MustCompile(`^v\d+\.\d+\.\d+(-(alpha|beta|rc)\.\d+)?$`).MatchString(version)
}
