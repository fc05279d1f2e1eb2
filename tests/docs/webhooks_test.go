package docs

import (
	"bufio"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"cloakroom.dev/tests/harness"
)

var goBlock = regexp.MustCompile("(?ms)^```go\n(.*?)^```$")

// The guide's receiver is built as it stands, hears of an upload through a real stack, and takes no message that is not genuine.
func TestWebhooks_TheGuidesReceiverVerifies(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join(harness.Root(t), "docs/guides/webhooks.md"))
	if err != nil {
		t.Fatal(err)
	}
	blocks := goBlock.FindAllSubmatch(raw, -1)
	if len(blocks) != 1 {
		t.Fatalf("the guide has %d programs", len(blocks))
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "main.go"), blocks[0][1], 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "go.mod"), []byte("module receiver\n\ngo 1.26\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	build := exec.Command("go", "build", "-o", "receiver", ".")
	build.Dir, build.Env = dir, append(os.Environ(), "GOWORK=off")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("the guide's receiver does not build: %v\n%s", err, out)
	}
	raw, err = exec.Command(harness.Build(t, "cloakroom.dev/files-svc/cmd/files-svc"), "webhook", "new-secret").Output()
	if err != nil {
		t.Fatal(err)
	}
	secret := strings.TrimSpace(string(raw))
	addr := harness.FreeAddrs(t, 1)[0]
	receiver := exec.Command(filepath.Join(dir, "receiver"))
	receiver.Env = append(os.Environ(), "LISTEN="+addr, "WEBHOOK_SECRET="+secret)
	out, err := receiver.StdoutPipe()
	if err == nil {
		err = receiver.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = receiver.Process.Kill()
		_ = receiver.Wait()
	})
	lines := make(chan string)
	go func() {
		for s := bufio.NewScanner(out); s.Scan(); {
			lines <- s.Text()
		}
	}()

	secretFile := filepath.Join(dir, "secret")
	if err := os.WriteFile(secretFile, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := harness.Start(t, "CONFIG_DIR="+harness.ConfigDir(t, harness.Replace(t, "\nkind: FilesConfig\nmetadata:\n  name: files\nspec:\n",
		"\nkind: FilesConfig\nmetadata:\n  name: files\nspec:\n  webhooks:\n  - {name: a, url: \"http://"+addr+
			"/\", secretRef: {file: "+secretFile+"}, allowPrivateAddresses: true}\n")))
	ada := harness.NewClient(t, s.Public).SignUp()
	f := ada.Upload("report.pdf", []byte("content")).Is(201)
	select {
	case line := <-lines:
		var told struct {
			Type string
			Data struct {
				OwnerID string `json:"owner_id"`
				File    json.RawMessage
			}
		}
		if err := json.Unmarshal([]byte(line), &told); err != nil || told.Type != "file.created" || told.Data.OwnerID != ada.User.ID ||
			strings.TrimSpace(string(told.Data.File)) != strings.TrimSpace(string(f.Body)) {
			t.Errorf("told %s, %v; the upload was answered %s", line, err, f.Body)
		}
	case <-time.After(time.Minute):
		t.Error("the receiver heard of nothing")
	}
	forged, err := http.Post("http://"+addr+"/", "application/json", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	_ = forged.Body.Close()
	if forged.StatusCode != 401 {
		t.Errorf("a forged message was answered %d", forged.StatusCode)
	}
	if strings.Contains(s.Output(), secret) || strings.Contains(s.Output(), "whsec_") {
		t.Error("the secret is in the log")
	}
}
