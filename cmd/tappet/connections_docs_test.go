package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tappet-dev/tappet/connectors/connection"
	"github.com/tappet-dev/tappet/connectors/webhook"
)

// between has the part of a document between two marks written, or compares it.
func between(tb testing.TB, path, begin, end, want string) {
	tb.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(b), begin)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		tb.Fatalf("%s has no place between %q and %q", path, begin, end)
	}
	want = before + begin + want + end + after
	if *updateDocs {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			tb.Fatal(err)
		}
	} else if want != string(b) {
		tb.Errorf("%s isn't what the code says; go test ./cmd/tappet -run ConnectionsDocument -update writes it", path)
	}
}

// The kinds in connections.md, and the fields on the page of each, are those of
// the code; there is no page of another.
func TestConnectionsDocument(t *testing.T) {
	t.Parallel()
	const folder = "../../docs/connections/"
	kinds := connection.Kinds()
	var b strings.Builder
	b.WriteString("| Kind | |\n|---|---|\n")
	for _, k := range kinds {
		fmt.Fprintf(&b, "| [`%s`](connections/%[1]s.md) | %s |\n", k.Name, k.Description)
	}
	b.WriteString("\n### Of every kind\n\n")
	table(&b, kinds[0].Fields, true)
	between(t, "../../docs/connections.md", "<!-- kinds -->\n", "<!-- /kinds -->\n", b.String())
	for _, k := range kinds {
		b.Reset()
		if k.NeedsHosts {
			b.WriteString("It has to name at least one host. ")
		}
		b.WriteString("What every kind has: [connections](../connections.md#of-every-kind).\n\n")
		table(&b, k.Fields, false)
		between(t, folder+k.Name+".md", "<!-- fields -->\n", "<!-- /fields -->\n", b.String())
	}
	if pages, err := filepath.Glob(folder + "*.md"); err != nil || len(pages) != len(kinds) {
		t.Errorf("%d pages for %d kinds: %q, %v", len(pages), len(kinds), pages, err)
	}
}

// common are the fields that every kind has.
var common = []string{"ca", "test_url"}

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

// Each profile of webhooks has its page, linked to by webhooks.md, and each kind
// of credentials a section of theirs.
func TestWebhooksDocument(t *testing.T) {
	t.Parallel()
	type enum struct{ Enum []string }
	var schema struct {
		Properties struct {
			Auth   struct{ Properties struct{ Kind enum } }
			Verify struct{ Properties struct{ Profile enum } }
		}
	}
	if err := json.Unmarshal(webhook.New().Triggers[0].Config, &schema); err != nil {
		t.Fatal(err)
	}
	index := readDoc(t, "docs/webhooks.md")
	profiles, kinds := schema.Properties.Verify.Properties.Profile.Enum, schema.Properties.Auth.Properties.Kind.Enum
	for _, name := range profiles {
		if page := readDoc(t, "docs/webhooks/"+name+".md"); !strings.Contains(page, "profile: "+name) {
			t.Errorf("the page of %s doesn't show its profile", name)
		}
		if !strings.Contains(index, "[`"+name+"`](webhooks/"+name+".md)") {
			t.Errorf("webhooks.md doesn't lead to the page of %s", name)
		}
	}
	page := readDoc(t, "docs/webhooks/credentials.md")
	for _, name := range kinds {
		if name != "none" && !strings.Contains(page, "\n## `"+name+"`\n") {
			t.Errorf("credentials.md has no section on %s", name)
		}
	}
	if len(profiles) < 5 || len(kinds) < 5 {
		t.Errorf("profiles %q, kinds %q", profiles, kinds)
	}
}
