package dashboards

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	named  = regexp.MustCompile(`"(cloakroom_[a-z0-9_]*[a-z0-9])"`)
	metric = regexp.MustCompile(`cloakroom_[a-z0-9_]+`)
)

// TestFiles_ShowEveryMetric reads the names out of the source: that of a running stack lacks what only a cluster, a bucket or
// PostgreSQL brings.
func TestFiles_ShowEveryMetric(t *testing.T) {
	files, err := Files()
	if err != nil {
		t.Fatal(err)
	}
	shown := map[string]bool{}
	for _, text := range files {
		for _, name := range metric.FindAllString(string(text), -1) {
			shown[name] = true
		}
	}
	found := 0
	for name, where := range metricsIn(t, "../../..") {
		found++
		if !slices.ContainsFunc([]string{"", "_bucket", "_count", "_sum"}, func(end string) bool { return shown[name+end] }) {
			t.Errorf("no dashboard shows %s of %s", name, where)
		}
	}
	if found < 140 {
		t.Errorf("only %d metrics were found", found)
	}
}

// metricsIn returns the names of metrics below a folder, and a file that each is made in.
func metricsIn(t *testing.T, root string) map[string]string {
	t.Helper()
	names := map[string]string{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch rel := strings.TrimPrefix(path, root+"/"); {
		case err != nil:
			return err
		case d.IsDir() && (strings.HasPrefix(d.Name(), ".") && path != root || rel == "tests" || rel == "k8s/observe"):
			return fs.SkipDir
		case d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil || !strings.Contains(string(text), `"github.com/prometheus/client_golang/prometheus"`) {
			return err
		}
		for _, name := range named.FindAllStringSubmatch(string(text), -1) {
			names[name[1]] = path
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}
