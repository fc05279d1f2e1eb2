package replicas

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"cloakroom.dev/tests/harness"
)

// row is what a fault did.
type row struct {
	fault     fault
	seen      map[string]int
	recovered time.Duration
}

const guideHead = `# What clients see when something breaks

Three gateways, two auth services, two files services, one PostgreSQL, one bucket, one Redis, each in a container; clients that send every
request to another gateway; and a fault. ` + "`go test ./tests/replicas`" + ` lets each of these happen under load and holds what the second
column promises, and in every case: nobody who is logged out gets in, nobody who is logged in is refused with 401, no 500, every
acknowledged file reads back byte for byte, every session goes on, and within 15 s after the end of the fault everything works again by
itself. Before the next fault begins every gateway and files service must follow the revocation log again, within 15 s as well:
until then a logout may take up to maxStaleness to be known everywhere.

The last two columns are one run on a busy machine of two cores: requests by four people at once, and how long after the end of the
fault every kind of request worked at every gateway (the start of a killed part is in it). ` + "`REPLICAS_WRITE=1 go test -run TestFaults ./tests/replicas`" + `
writes them anew.

| Fault | Promised | Clients saw | Whole again after |
|---|---|---|---|
`

func guidePath(t *testing.T) string { return filepath.Join(harness.Root(t), "docs/guides/faults.md") }

func (f fault) cells() string { return "| " + f.name() + " | " + f.promise + " |" }

func writeGuide(t *testing.T, rows []row) {
	t.Helper()
	if os.Getenv("REPLICAS_WRITE") == "" {
		return
	}
	var text strings.Builder
	text.WriteString(guideHead)
	for _, r := range rows {
		fmt.Fprintf(&text, "%s %s | %.1f s |\n", r.fault.cells(), counts(r.seen), r.recovered.Seconds())
	}
	if err := os.WriteFile(guidePath(t), []byte(text.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

// counts says how often what was seen, successes first.
func counts(seen map[string]int) string {
	var kinds []string
	for kind := range seen {
		if kind != harness.OK {
			kinds = append(kinds, kind)
		}
	}
	slices.Sort(kinds)
	text := fmt.Sprintf("%d served", seen[harness.OK])
	for _, kind := range kinds {
		text += fmt.Sprintf(", %d × %s", seen[kind], kind)
	}
	return text
}

// TestFaults_TheGuideListsThem needs no docker: the rows of the guide are the faults of the test, with their promises.
func TestFaults_TheGuideListsThem(t *testing.T) {
	raw, err := os.ReadFile(guidePath(t))
	if err != nil {
		t.Fatal(err)
	}
	var listed, want []string
	for line := range strings.Lines(string(raw)) {
		if cells := strings.Split(line, "|"); len(cells) == 6 && !strings.HasPrefix(line, "|---") && !strings.HasPrefix(line, "| Fault ") {
			listed = append(listed, "|"+cells[1]+"|"+cells[2]+"|")
		}
	}
	for _, f := range faults() {
		want = append(want, f.cells())
	}
	slices.Sort(listed)
	slices.Sort(want)
	if !slices.Equal(listed, want) {
		t.Errorf("the guide has\n%s\nthe test has\n%s", strings.Join(listed, "\n"), strings.Join(want, "\n"))
	}
}
