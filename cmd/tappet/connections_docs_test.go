package main

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/tappet-dev/tappet/connectors/connection"
)

// The kinds in connections.md are those of the code.
func TestConnectionsDocument(t *testing.T) {
	t.Parallel()
	const path, begin, end = "../../docs/connections.md", "<!-- kinds -->\n", "<!-- /kinds -->\n"
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(b), begin)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has no place for the kinds", path)
	}
	want := before + begin + kindTables() + end + after
	if *updateDocs {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if want != string(b) {
		t.Errorf("the kinds in %s aren't those of the code; go test ./cmd/tappet -run ConnectionsDocument -update writes them", path)
	}
}

// common are the fields that every kind has.
var common = []string{"ca", "test_url"}

func kindTables() string {
	var b strings.Builder
	kinds := connection.Kinds()
	for _, k := range kinds {
		fmt.Fprintf(&b, "### `%s`\n\n%s\n", k.Name, k.Description)
		if k.NeedsHosts {
			b.WriteString("It has to name at least one host.\n")
		}
		b.WriteString("\n")
		table(&b, k.Fields, false)
	}
	b.WriteString("### Of every kind\n\n")
	table(&b, kinds[0].Fields, true)
	return b.String()
}

// table writes the fields that every kind has, or the others.
func table(b *strings.Builder, fields []connection.Field, every bool) {
	head := "| Field | | Meaning |\n|---|---|---|\n"
	for _, f := range fields {
		if (f.Name == common[0] || f.Name == common[1]) != every {
			continue
		}
		var marks []string
		if f.Required {
			marks = append(marks, "required")
		}
		if f.Secret {
			marks = append(marks, "secret")
		}
		if f.ReadOnly {
			marks = append(marks, "read-only")
		}
		text := f.Description
		if len(f.Enum) > 0 {
			text += " One of `" + strings.Join(f.Enum, "`, `") + "`."
		}
		if f.Default != "" {
			text += " Default `" + f.Default + "`."
		}
		fmt.Fprintf(b, "%s| `%s` | %s | %s |\n", head, f.Name, strings.Join(marks, ", "), strings.ReplaceAll(text, "|", "\\|"))
		head = ""
	}
	if head == "" {
		b.WriteString("\n")
	}
}
