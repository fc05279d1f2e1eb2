package docs

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"cloakroom.dev/tests/harness"
)

// The guide's commands run in order in one shell, each as it stands but for the address: upload with a digest, ranges, resumed downloads by
// curl and wget, conditions, versions, names, a thumbnail, a link, an archive, the trash.
func TestShellGuide_CommandsDoWhatTheySay(t *testing.T) {
	for _, program := range []string{"curl", "wget", "openssl"} {
		if _, err := exec.LookPath(program); err != nil {
			if os.Getenv("CI") == "true" {
				t.Fatalf("this test needs %s", program)
			}
			t.Skipf("not run: this test needs %s", program)
		}
	}
	s := harness.Start(t, "CONFIG_DIR="+harness.ConfigDir(t, harness.Replace(t, "quota: 10Gi", "quota: 10Gi\n  versionsKept: 2")))
	ada := harness.NewClient(t, s.Public).SignUp()
	raw, err := os.ReadFile(filepath.Join(harness.Root(t), "docs", "guides", "files-from-a-shell.md"))
	if err != nil {
		t.Fatal(err)
	}
	var script strings.Builder
	for _, m := range block.FindAllStringSubmatch(string(raw), -1) {
		script.WriteString(m[1])
	}
	commands := strings.ReplaceAll(script.String(), "http://localhost:8080", s.Public)
	cmd := exec.Command("bash", "-euo", "pipefail", "-c", commands)
	cmd.Dir = t.TempDir()
	cmd.Env = append(os.Environ(), "TOKEN="+ada.Session.AccessToken)
	out, err := cmd.CombinedOutput()
	want := "400|digest_mismatch|the part|repr-digest: sha-256=:|curl resumed|wget resumed|304|200|412|Ostend|Summer at the sea|image/png|" +
		`the second version|"version":2|"version":1|the first version is the newest|and reads as it was|PK is an archive|` +
		`in the trash|again.bin|brought back|gone|"bytes":`
	rest := strings.ToLower(string(out))
	for _, line := range strings.Split(strings.ToLower(want), "|") {
		_, after, found := strings.Cut(rest, line)
		if !found {
			t.Fatalf("%q is missing, or in another place: %v\n%s", line, err, out)
		}
		rest = after
	}
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
