package docs

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"cloakroom.dev/tests/harness"
)

var (
	testName = regexp.MustCompile("`(Test[A-Za-z0-9_]+)`")
	testFunc = regexp.MustCompile(`(?m)^func (Test[A-Za-z0-9_]+)\(`)
)

// TestHostile_NamedTestsExist keeps the table of hostile cases true.
func TestHostile_NamedTestsExist(t *testing.T) {
	root := harness.Root(t)
	have := map[string]bool{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		raw, err := os.ReadFile(path)
		for _, m := range testFunc.FindAllSubmatch(raw, -1) {
			have[string(m[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(filepath.Join(root, "docs/hostile.md"))
	if err != nil {
		t.Fatal(err)
	}
	named := testName.FindAllSubmatch(raw, -1)
	for _, m := range named {
		if !have[string(m[1])] {
			t.Errorf("docs/hostile.md names %s, and there is no such test", m[1])
		}
	}
	if len(named) < 120 {
		t.Errorf("only %d tests are named", len(named))
	}
}
