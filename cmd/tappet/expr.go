package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/tappet-dev/tappet/engine"
	"github.com/tappet-dev/tappet/engine/expr"
)

// maxSampleFile is how many bytes of a file with sample data are read.
const maxSampleFile = 16 << 20

func exprCommand() *cobra.Command {
	c := &cobra.Command{Use: "expr", Short: "Try expressions, without a server"}
	c.AddCommand(exprEvalCommand(), exprFunctionsCommand())
	return c
}

// exprEval is what `expr eval` is told.
type exprEval struct {
	event, schema, steps, file string
	typ, usage                 bool
}

func exprEvalCommand() *cobra.Command {
	var o exprEval
	c := &cobra.Command{
		Use:   "eval [EXPRESSION | -]",
		Short: "Evaluate an expression, or a text with ${{ }}, on sample data",
		Long: `Evaluate an expression, or a text with ${{ }}, on sample data, without a server.

--event names a JSON file with the event, trigger, and --steps one with the
outputs of steps by their ids, {"entry": …}; - is standard input. Types are
those of --schema, the event's JSON Schema, else inferred from the data.

--file names a file with the expression, instead of the argument; the argument -
is standard input. An expression that begins with a dash stands after --.

Ids, such as uuid(), are the same each time here, and those of no run. A secret
is shown as a reference to it, {"$secret": "name"}.

The value goes to standard output as JSON. Problems go to standard error with
their line and column in the expression, and it exits with 1 when there is no
value.`,
		Example: `  tappet expr eval 'upper(trigger.body.title)' --event event.json
  tappet expr eval 'Task ${{ trigger.body.title }} is done' --event event.json
  tappet expr eval --file field.expr --event event.json
  tappet expr eval -- '-trigger.body.n' --event event.json`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			source, err := o.source(c, args)
			if err != nil {
				return err
			}
			return o.run(c, source)
		},
	}
	c.SetFlagErrorFunc(func(_ *cobra.Command, err error) error {
		return usageError{fmt.Errorf("%w; an expression that begins with a dash stands after --", err)}
	})
	c.Flags().StringVarP(&o.file, "file", "f", "", "file with the expression")
	c.Flags().StringVar(&o.event, "event", "", "JSON file with the event")
	c.Flags().StringVar(&o.schema, "schema", "", "file with the event's JSON Schema")
	c.Flags().StringVar(&o.steps, "steps", "", "JSON file with the outputs of steps, by id")
	c.Flags().BoolVar(&o.typ, "type", false, "print the type that was inferred, too")
	c.Flags().BoolVar(&o.usage, "usage", false, "print what of the budget was used, too")
	return c
}

// source is the expression: the argument, standard input, or a file.
func (o *exprEval) source(c *cobra.Command, args []string) (string, error) {
	switch {
	case len(args) == 1 && o.file != "":
		return "", usageError{errors.New("give either an expression or --file")}
	case len(args) == 0 && o.file == "":
		return "", usageError{errors.New("give an expression, - for standard input, or --file")}
	case len(args) == 1 && args[0] != "-":
		return args[0], nil
	}
	name := cmp.Or(o.file, "-")
	b, err := readInput(c, name)
	if err != nil {
		return "", err
	}
	return strings.TrimRight(string(b), "\r\n"), nil
}

func (o *exprEval) run(c *cobra.Command, source string) error {
	q := engine.Evaluation{Expression: source}
	if strings.Contains(source, "${{") {
		text, err := json.Marshal(source)
		if err != nil {
			return fmt.Errorf("read expression: %w", err)
		}
		q = engine.Evaluation{Template: text}
	}
	if !utf8.ValidString(source) {
		return errors.New("the expression isn't valid UTF-8")
	}
	var err error
	if q.Sample.Event, err = readSample(c, o.event); err != nil {
		return err
	}
	if q.Sample.EventSchema, err = readSample(c, o.schema); err != nil {
		return err
	}
	steps, err := readSample(c, o.steps)
	if err != nil {
		return err
	}
	if steps != nil {
		if err := json.Unmarshal(steps, &q.Sample.Steps); err != nil {
			return fmt.Errorf("%s: it must be a JSON object of outputs by step id: %w", o.steps, err)
		}
	}
	out, err := engine.Evaluate(q)
	if err != nil {
		return fmt.Errorf("the sample data: %w", err)
	}
	for _, p := range out.Problems {
		kind := "error"
		if p.Warning {
			kind = "warning"
		}
		fmt.Fprintf(c.ErrOrStderr(), "%s: %s\n", kind, exprProblem(p))
	}
	if !out.OK() {
		return errors.New("there is no value")
	}
	fmt.Fprintf(c.OutOrStdout(), "%s\n", out.Value)
	if o.typ {
		fmt.Fprintf(c.OutOrStdout(), "type: %s\n", out.Type)
	}
	if o.usage {
		fmt.Fprintf(c.OutOrStdout(), "used: %d of %d steps, %d of %d bytes\n",
			out.Usage.Steps, out.Budget.Steps, out.Usage.Bytes, out.Budget.Bytes)
	}
	return nil
}

// exprProblem gives place, message and suggestion on one line.
func exprProblem(p engine.Problem) string {
	s := p.Message
	if p.Suggestion != "" {
		s += "; " + p.Suggestion
	}
	if p.Line > 0 {
		s = fmt.Sprintf("line %d, column %d: %s", p.Line, p.Column, s)
	}
	return s
}

// readSample reads a file of JSON; none without a name.
func readSample(c *cobra.Command, name string) (json.RawMessage, error) {
	if name == "" {
		return nil, nil
	}
	b, err := readInput(c, name)
	switch {
	case err != nil:
		return nil, err
	case len(bytes.TrimSpace(b)) == 0:
		return nil, fmt.Errorf("%s is empty; it must hold JSON", name)
	}
	if err := expr.CheckJSON(b, 0); err != nil {
		return nil, fmt.Errorf("%s isn't JSON: %w", name, err)
	}
	return b, nil
}

// readInput reads a file; - is standard input.
func readInput(c *cobra.Command, name string) ([]byte, error) {
	in := c.InOrStdin()
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	b, err := io.ReadAll(io.LimitReader(in, maxSampleFile+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("read %s: %w", name, err)
	case len(b) > maxSampleFile:
		return nil, fmt.Errorf("%s has more than %d bytes, which is the limit", name, maxSampleFile)
	}
	return b, nil
}

func exprFunctionsCommand() *cobra.Command {
	var format string
	c := &cobra.Command{
		Use:   "functions [TEXT]",
		Short: "List the functions of expressions",
		Long: `List the functions of expressions: all, or those with the text in their name,
group or documentation.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			found := expr.Library()
			if len(args) == 1 {
				found = findFunctions(found, args[0])
			}
			switch format {
			case "table":
				return printFunctions(c.OutOrStdout(), found)
			case "json":
				return writeFunctions(c.OutOrStdout(), found)
			}
			return usageError{fmt.Errorf("-o %q: use table or json", format)}
		},
	}
	c.Flags().StringVarP(&format, "output", "o", "table", "table or json")
	return c
}

func findFunctions(list []expr.Function, text string) []expr.Function {
	out := []expr.Function{}
	text = strings.ToLower(text)
	for _, f := range list {
		if strings.Contains(strings.ToLower(f.Name+" "+f.Group+" "+f.Doc), text) {
			out = append(out, f)
		}
	}
	return out
}

func printFunctions(w io.Writer, list []expr.Function) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, f := range list {
		fmt.Fprintf(t, "%s\t%s\n", f.Signature, f.Doc)
		for _, x := range f.Examples {
			fmt.Fprintf(t, "  %s\t→ %s\n", strings.ReplaceAll(x.Source, "\t", " "), x.Result)
		}
	}
	return t.Flush()
}

// writeFunctions writes what GET /api/v1/expressions/functions lists.
func writeFunctions(w io.Writer, list []expr.Function) error {
	type example struct {
		Source string          `json:"source"`
		Result json.RawMessage `json:"result"`
	}
	type function struct {
		Name      string    `json:"name"`
		Group     string    `json:"group"`
		Signature string    `json:"signature"`
		Doc       string    `json:"doc"`
		Examples  []example `json:"examples"`
	}
	out := make([]function, len(list))
	for i, f := range list {
		out[i] = function{Name: f.Name, Group: f.Group, Signature: f.Signature, Doc: f.Doc, Examples: []example{}}
		for _, x := range f.Examples {
			out[i].Examples = append(out[i].Examples, example{Source: x.Source, Result: json.RawMessage(x.Result)})
		}
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(out)
}
