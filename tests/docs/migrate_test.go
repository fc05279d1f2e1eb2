package docs

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"cloakroom.dev/tests/harness"
)

// The guide's commands run in order in one shell beside a stack that serves, each as it stands but for the address, the folder and
// the programs of this test; then everybody in the samples logs in with the password they had.
func TestMigrate_TheGuideMovesTheSamples(t *testing.T) {
	root, s, dir := harness.Root(t), harness.Start(t), t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, "docs/samples"), os.DirFS(filepath.Join(root, "docs/samples"))); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(filepath.Join(root, "docs/guides/migrate.md"))
	if err != nil {
		t.Fatal(err)
	}
	script := "set -euxo pipefail\n"
	for _, m := range block.FindAllStringSubmatch(string(raw), -1) {
		script += m[1]
	}
	cmd := exec.Command("bash", "-c", strings.NewReplacer("http://localhost:8080", s.Public, ".data", s.Dir).Replace(script))
	cmd.Dir = dir
	programs := filepath.Dir(harness.Build(t, "cloakroom.dev/auth-svc/cmd/auth-svc"))
	harness.Build(t, "cloakroom.dev/files-svc/cmd/files-svc")
	cmd.Env = append(os.Environ(), "PATH="+programs+":"+os.Getenv("PATH"))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{
		"2 imported", "3 imported", `"line":3,"line_of_dump":`, `"code":"TAKEN"`, "1 skipped", "2 files imported, 64 bytes", `"code":"MISSING"`, "the same", "the same as ever", `"Login successful"`,
	} {
		if !strings.Contains(string(out), want) {
			t.Errorf("%s is missing from\n%s", want, out)
		}
	}
	c := harness.NewClient(t, s.Public)
	for who, password := range map[string]string{
		"ada@example.org": "correct horse", "+442071838750": "battery staple",
		"john.doe@siteworks.example": "SecurePass123!", "jane.o'neil@siteworks.example": "OldPass123!",
		"johndoe": "securepassword", "mary": "another password", "ada": "correct horse", "root": "correct horse",
	} {
		c.Fresh().Do("POST", "/v1/auth/login", map[string]any{"identifier": who, "password": password + "?"}).Refused(401, "INVALID_CREDENTIALS")
		c.Fresh().Do("POST", "/v1/auth/login", map[string]any{"identifier": who, "password": password}).Is(200)
	}
	for who, password := range map[string]string{"gone@siteworks.example": "OldPass123!", "bob": "battery staple", "twin": "another password"} {
		if a := c.Fresh().Do("POST", "/v1/auth/login", map[string]any{"identifier": who, "password": password}); a.Status == 200 {
			t.Errorf("%s is in", who)
		}
	}
	phone := c.Fresh().LogIn("+442071838750", "battery staple")
	var page struct{ Items []harness.File }
	if err := json.Unmarshal(phone.Do("GET", "/v1/files", nil).Is(200).Body, &page); err != nil || len(page.Items) != 1 || page.Items[0].Name != "Übersicht.md" {
		t.Fatalf("%+v, %v", page, err)
	}
	want, err := os.ReadFile(filepath.Join(root, "docs/samples/rest-auth-files/uploads/3f2b8c1e-5d4a-4c6b-9e7f-000000000002.md"))
	if got := phone.Do("GET", "/v1/files/"+page.Items[0].ID+"/content", nil).Is(200).Body; err != nil || string(got) != string(want) {
		t.Errorf("the old file is %q, %v", got, err)
	}
}
