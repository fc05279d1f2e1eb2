package observe

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"cloakroom.dev/tests/harness"
)

// promtool builds the pinned promtool, without the discovery of targets in clouds, which it is not asked for.
func promtool(t *testing.T) string {
	t.Helper()
	path := filepath.Join(harness.Root(t), ".bin/tested/promtool") // where it is up to date the next time
	cmd := exec.Command("go", "build", "-tags", "remove_all_sd", "-o", path, "github.com/prometheus/prometheus/cmd/promtool")
	cmd.Dir = filepath.Join(harness.Root(t), "k8s/observe/promtool")
	cmd.Env = append(os.Environ(), "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build promtool: %v\n%s", err, out)
	}
	return path
}

func TestRules_FireWhenTheyShould(t *testing.T) {
	tool, root := promtool(t), harness.Root(t)
	if out, err := exec.Command(tool, "check", "rules", "--lint=all", "--lint-fatal", filepath.Join(root, "k8s/alerts/cloakroom.rules.yaml")).CombinedOutput(); err != nil {
		t.Errorf("promtool check rules: %v\n%s", err, out)
	}
	files, err := filepath.Glob(filepath.Join(root, "k8s/observe/alerts/testdata/*.test.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no tests of rules: %v", err)
	}
	expected := ""
	for _, file := range files {
		if out, err := exec.Command(tool, "test", "rules", file).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", filepath.Base(file), err, out)
		}
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		expected += string(raw)
	}
	for _, r := range rules(t) {
		if r.Alert != "" && !strings.Contains(expected, `alertname="`+r.Alert+`"`) {
			t.Errorf("no test makes %s fire", r.Alert)
		}
	}
}

// TestRunbooks_AreThereForEachAlertAndLeadSomewhere follows each runbook_url and each link on those pages.
func TestRunbooks_AreThereForEachAlertAndLeadSomewhere(t *testing.T) {
	folder := filepath.Join(harness.Root(t), "docs/runbooks")
	wanted := map[string]bool{}
	for _, r := range rules(t) {
		if r.Alert == "" {
			continue
		}
		url, ok := r.Annotations["runbook_url"]
		if !ok || url != "docs/runbooks/"+r.Alert+".md" {
			t.Errorf("%s has the runbook %q", r.Alert, url)
		}
		wanted[r.Alert+".md"] = true
	}
	pages, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range pages {
		if !wanted[page.Name()] {
			t.Errorf("%s is the page of no alert", page.Name())
		}
		delete(wanted, page.Name())
		raw, err := os.ReadFile(filepath.Join(folder, page.Name()))
		if err != nil {
			t.Fatal(err)
		}
		text := string(raw)
		for _, part := range []string{"## What it means", "## How bad it is", "## What to look at", "## What to do"} {
			if !strings.Contains(text, part) {
				t.Errorf("%s lacks %q", page.Name(), part)
			}
		}
		deadLinks(t, filepath.Join(folder, page.Name()), text)
	}
	for name := range wanted {
		t.Errorf("there is no docs/runbooks/%s", name)
	}
	guide := filepath.Join(harness.Root(t), "docs/guides/operate.md")
	raw, err := os.ReadFile(guide)
	if err != nil {
		t.Fatal(err)
	}
	deadLinks(t, guide, string(raw))
}

var links = regexp.MustCompile(`\]\(([^)#:]*)(#[^)]*)?\)`)

// deadLinks follows the links of a page to other pages and to headings.
func deadLinks(t *testing.T, path, text string) {
	t.Helper()
	for _, link := range links.FindAllStringSubmatch(text, -1) {
		target, content := path, text
		if link[1] != "" {
			target = filepath.Join(filepath.Dir(path), link[1])
			raw, err := os.ReadFile(target)
			if info, statErr := os.Stat(target); statErr == nil && info.IsDir() {
				continue
			}
			if err != nil {
				t.Errorf("%s: dead link %s", filepath.Base(path), link[0])
				continue
			}
			content = string(raw)
		}
		if link[2] != "" && !headings(content)[link[2]] {
			t.Errorf("%s: %s has no heading %s", filepath.Base(path), filepath.Base(target), link[2])
		}
	}
}

var notInAnchors = regexp.MustCompile(`[^a-z0-9 _-]`)

// headings are the anchors of a page.
func headings(text string) map[string]bool {
	found := map[string]bool{}
	for line := range strings.Lines(text) {
		if title, ok := strings.CutPrefix(strings.TrimLeft(line, "#"), " "); ok && strings.HasPrefix(line, "#") {
			anchor := notInAnchors.ReplaceAllString(strings.ToLower(strings.TrimSpace(title)), "")
			found["#"+strings.ReplaceAll(anchor, " ", "-")] = true
		}
	}
	return found
}
