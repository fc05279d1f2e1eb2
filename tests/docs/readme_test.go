// Package docs runs what the documents say, as they say it.
package docs

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"cloakroom.dev/tests/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

var block = regexp.MustCompile("(?ms)^```sh\n(.*?)^```$")

// The README's commands run in order in one shell, each as it stands but for the address and the folder of this test's
// stack. `make run` is what the harness has done already, `make test` is what is running.
func TestReadme_CommandsDoWhatTheySay(t *testing.T) {
	root := harness.Root(t)
	s := harness.Start(t)
	raw, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	var script strings.Builder
	script.WriteString("set -euo pipefail\n")
	for _, m := range block.FindAllStringSubmatch(string(raw), -1) {
		if code := m[1]; code != "make run\n" && code != "make test\n" {
			script.WriteString(code)
			script.WriteString("echo\n")
		}
	}
	commands := strings.NewReplacer("http://localhost:8080", s.Public, ".data/", s.Dir+"/").Replace(script.String())
	cmd := exec.Command("bash", "-c", commands)
	cmd.Dir = root
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s\n%s", err, commands, out)
	}
	for _, want := range []string{
		`"name":"README.md"`, "the same", `"current":true`, `"code":"INVALID_TOKEN"`, `"kid"`,
	} {
		if !strings.Contains(string(out), want) {
			t.Errorf("%s is missing from\n%s", want, out)
		}
	}
}

// `make run` must be what the harness runs: the program alone only prints its help.
func TestMake_RunServes(t *testing.T) {
	cmd := exec.Command("make", "--no-print-directory", "--dry-run", "run")
	cmd.Dir = harness.Root(t)
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.HasSuffix(strings.TrimSpace(string(out)), "/stack serve") {
		t.Errorf("make run does %v\n%s", err, out)
	}
}

// printed is what the stack has printed once its last line to try is there: it says so when it serves, which is a moment before.
func printed(t *testing.T, s *harness.Stack) string {
	t.Helper()
	last := "curl -s " + s.Public + "/v1/files -H \"Authorization: Bearer $TOKEN\"\n"
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if out := s.Output(); strings.Contains(out, last) {
			return out
		}
	}
	t.Fatalf("the stack did not print %q:\n%s", last, s.Output())
	return ""
}

// The block that the stack prints tells three lines to try: they must work as they stand, in that order, in one shell.
func TestStack_PrintsLinesThatWork(t *testing.T) {
	s := harness.Start(t)
	var lines []string
	for line := range strings.Lines(printed(t, s)) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "curl ") || strings.HasPrefix(line, "TOKEN=$(curl ") {
			lines = append(lines, line)
		}
	}
	if len(lines) != 3 {
		t.Fatalf("%d lines to try, want 3:\n%s", len(lines), s.Output())
	}
	cmd := exec.Command("bash", "-euo", "pipefail", "-c", strings.Join(lines, "\n"))
	cmd.Dir = harness.Root(t)
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), `"items":[{`) {
		t.Errorf("%v\n%s", err, out)
	}
}

// People paste the printed lines first and the README's after them, on one stack: two signups under one name would leave
// them with a refusal for a token.
func TestStack_PrintsAnotherNameThanTheReadmes(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join(harness.Root(t), "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`"username":"[^"]+"`).FindString(printed(t, harness.Start(t)))
	if m == "" || strings.Contains(string(raw), m) {
		t.Errorf("the printed lines sign up %s, and so does the README", m)
	}
}

func TestDocs_LinksLeadSomewhere(t *testing.T) {
	root := harness.Root(t)
	link := regexp.MustCompile(`\]\(([^)#\s]+)(#[^)]*)?\)`)
	for _, pattern := range []string{"*.md", "docs/*/*.md"} {
		paths, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			raw, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range link.FindAllStringSubmatch(string(raw), -1) {
				if strings.Contains(m[1], "://") {
					continue
				}
				if _, err := os.Stat(filepath.Join(filepath.Dir(path), m[1])); err != nil {
					t.Errorf("%s links to %s, which is not there", filepath.Base(path), m[1])
				}
			}
		}
	}
}
