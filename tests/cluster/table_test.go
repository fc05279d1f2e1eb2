package cluster

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"cloakroom.dev/tests/harness"
)

// table is what was seen, for the guide.
func table(rows []row) string {
	text := "| Step | Promised | Clients saw | Failed | Took |\n|---|---|---|---|---|\n"
	for _, r := range rows {
		failed, saw := 0, fmt.Sprintf("%d served", r.seen[ok])
		for _, kind := range slices.Sorted(maps.Keys(r.seen)) {
			if kind != ok {
				failed += r.seen[kind]
				saw += fmt.Sprintf(", %d × %s", r.seen[kind], kind)
			}
		}
		if r.again > 0 {
			saw += fmt.Sprintf("; the ingress connected %d times more", r.again)
		}
		text += fmt.Sprintf("%s %s | %d | %.0f s |\n", r.step.cells(), saw, failed, (r.took + r.recovered).Seconds())
	}
	return text
}

func (s step) cells() string { return "| " + s.name + " | " + s.promise + " |" }

// Between these the guide has the table.
const tableBegins, tableEnds = "<!-- made by CLUSTER_WRITE=1 make test-cluster -->\n", "<!-- end -->\n"

func writeGuide(t *testing.T, rows []row) {
	t.Helper()
	if os.Getenv("CLUSTER_WRITE") == "" {
		return
	}
	path := filepath.Join(harness.Root(t), guide)
	text := string(must[[]byte](t, "read the guide")(os.ReadFile(path)))
	before, rest, begins := strings.Cut(text, tableBegins)
	_, after, ends := strings.Cut(rest, tableEnds)
	if !begins || !ends {
		t.Fatal("the guide has no place for the table")
	}
	text = before + tableBegins + table(rows) + tableEnds + after
	must[struct{}](t, "write the guide")(struct{}{}, os.WriteFile(path, []byte(text), 0o644))
}

// TestGuide_ListsTheSteps needs no cluster: the rows of the guide are the steps of the test, with their promises.
func TestGuide_ListsTheSteps(t *testing.T) {
	text := string(must[[]byte](t, "read the guide")(os.ReadFile(filepath.Join(harness.Root(t), guide))))
	_, text, _ = strings.Cut(text, tableBegins)
	text, _, _ = strings.Cut(text, tableEnds)
	var listed, want []string
	for line := range strings.Lines(text) {
		if cells := strings.Split(line, "|"); len(cells) == 7 && !strings.HasPrefix(line, "|---") && !strings.HasPrefix(line, "| Step ") {
			listed = append(listed, "|"+cells[1]+"|"+cells[2]+"|")
		}
	}
	for _, one := range steps() {
		want = append(want, one.cells())
	}
	if !slices.Equal(listed, want) {
		t.Errorf("the guide has\n%s\nthe test has\n%s", strings.Join(listed, "\n"), strings.Join(want, "\n"))
	}
}
