package hostile

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cloakroom.dev/tests/harness"
)

// Killed at any moment, beside a stack that serves, the import brings every file once and whole.
func TestImport_FilesKilledAgainAndAgain(t *testing.T) {
	const many = 600
	s, dir := harness.Start(t), t.TempDir()
	c := harness.NewClient(t, s.Public).SignUp()
	var list strings.Builder
	for i := range many {
		name := fmt.Sprintf("f%03d", i)
		content := []byte(strings.Repeat(name, 1+i%7*2000))
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&list, "{\"path\": %q, \"user_id\": %q, \"size\": %d}\n", name, c.User.ID, len(content))
	}
	path := filepath.Join(t.TempDir(), "list")
	if err := os.WriteFile(path, []byte(list.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	program := harness.Build(t, "cloakroom.dev/files-svc/cmd/files-svc")
	command := func() *exec.Cmd {
		return exec.Command(program, "import", "--config", filepath.Join(s.Dir, "config"), "--base", s.Dir, "--source", "shop",
			"--dump", path, "--uploads", dir, "--output", "json")
	}
	kept := func() int64 {
		var usage struct{ Files int64 }
		c.Do("GET", "/v1/files/usage", nil).Is(200).JSON(&usage)
		return usage.Files
	}
	for i := range 4 {
		cmd := command()
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		for began := time.Now(); kept() < int64(100*(i+1)); time.Sleep(5 * time.Millisecond) {
			if time.Since(began) > time.Minute {
				t.Fatal("nothing comes in")
			}
		}
		_ = cmd.Process.Kill() // SIGKILL, in the middle
		_ = cmd.Wait()
		c.Upload(fmt.Sprintf("beside %d", i), []byte("x")).Is(201)
	}
	if n := kept(); n > many {
		t.Fatalf("%d files are in: nothing was killed in the middle", n)
	}
	for n := range 2 {
		cmd := command()
		raw, _ := cmd.Output()
		var out struct{ Files, Created, Present, Refused int64 }
		if err := json.Unmarshal(raw, &out); err != nil || cmd.ProcessState.ExitCode() != 0 || out.Created+out.Present != many || n == 1 && out.Created != 0 {
			t.Fatalf("run %d: exit %d, %s, %v", n, cmd.ProcessState.ExitCode(), raw, err)
		}
	}
	if n := kept(); n != many+4 {
		t.Errorf("there are %d files, want %d", n, many+4)
	}
	var page struct{ Items []harness.File }
	c.Do("GET", "/v1/files?limit=100&sort=-size", nil).Is(200).JSON(&page)
	for _, f := range page.Items {
		want, err := os.ReadFile(filepath.Join(dir, f.Name))
		if got := c.Do("GET", "/v1/files/"+f.ID+"/content", nil).Is(200).Body; err != nil || string(got) != string(want) {
			t.Fatalf("%s came in as %d bytes, want %d, %v", f.Name, len(got), len(want), err)
		}
	}
}
