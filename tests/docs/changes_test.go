package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"cloakroom.dev/tests/harness"
)

// A release's changelog is made of these lines.
func TestChanges_AreLinesOfAKindWithTheirIssue(t *testing.T) {
	paths, err := filepath.Glob(filepath.Join(harness.Root(t), "changes/unreleased/*.md"))
	if err != nil || len(paths) == 0 {
		t.Fatal(paths, err)
	}
	for _, path := range paths {
		issue, _, _ := strings.Cut(strings.TrimSuffix(filepath.Base(path), ".md"), "-")
		form := regexp.MustCompile(`^(added|changed|fixed|removed): .+\. \(#` + regexp.QuoteMeta(issue) + `\)$`)
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(raw)) {
			if !form.MatchString(strings.TrimSuffix(line, "\n")) {
				t.Errorf("%s: %q is not `kind: what changed for the reader. (#%s)`", filepath.Base(path), line, issue)
			}
		}
	}
}
