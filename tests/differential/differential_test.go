// Package differential runs one script of tus 1.0 against ours, against tusd and against @tus/server, and holds what each answers to the
// table in docs/guides/resumable-uploads.md: no difference is there that nobody has written down.
package differential

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cloakroom.dev/tests/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

var update = flag.Bool("update", false, "write the table into the guide")

const begins, ends = "<!-- measured: begin -->\n", "<!-- measured: end -->\n"

func TestTus_DifferencesAreThoseOfTheGuide(t *testing.T) {
	all := servers(t)
	if all == nil {
		t.Skip("not run: this test needs node and npm") // make test says so in a line of its own
	}
	table, agree := compare(t, all)
	t.Logf("%d steps, all three answer alike in %d\n%s", len(script), agree, table)
	path := filepath.Join(harness.Root(t), "docs", "guides", "resumable-uploads.md")
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(raw), begins)
	documented, after, foundEnd := strings.Cut(rest, ends)
	if !found || !foundEnd {
		t.Fatalf("the guide has no place for the table")
	}
	if *update {
		if err := os.WriteFile(path, []byte(before+begins+table+ends+after), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if documented != table {
		t.Errorf("the guide says otherwise (`go test ./tests/differential -update` writes the table):\n%s", lines(documented, table))
	}
}

// compare runs the script and makes the table.
func compare(t *testing.T, all []*server) (table string, agree int) {
	t.Helper()
	var rows strings.Builder
	rows.WriteString("| the client sends | cloakroom | tusd | @tus/server |\n|---|---|---|---|\n")
	for _, s := range script {
		said := make([]string, len(all))
		for i, server := range all {
			said[i] = s.tell(&conversation{t: t, server: server})
		}
		if said[0] == said[1] && said[0] == said[2] {
			agree++
			said = []string{said[0], "same", "same"}
		}
		fmt.Fprintf(&rows, "| %s | %s |\n", s.does, strings.Join(said, " | "))
	}
	return rows.String(), agree
}

// lines shows the lines that one text has and the other has not.
func lines(documented, measured string) string {
	var b strings.Builder
	for line := range strings.Lines(documented) {
		if !strings.Contains(measured, line) {
			b.WriteString("documented: " + line)
		}
	}
	for line := range strings.Lines(measured) {
		if !strings.Contains(documented, line) {
			b.WriteString("measured:   " + line)
		}
	}
	return b.String()
}
