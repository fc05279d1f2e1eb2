package filessvc

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cloakroom.dev/libs/run"
	"cloakroom.dev/libs/token/tokentest"
)

func configDir(t *testing.T, documents ...string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "files.yaml"), []byte(strings.Join(documents, "\n---\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

func command(t *testing.T, ctx context.Context, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run.Dispatch(ctx, "files-svc", "about", args, run.IO{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs}, Commands()...)
	return code, out.String(), errs.String()
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// The process as an operator runs it: from a folder of resources to ready, and back by a signal.
func TestCommands_ServeUntilTold(t *testing.T) {
	data, public, ops, issuer := t.TempDir(), freeAddress(t), freeAddress(t), tokentest.New(t)
	config := strings.NewReplacer(
		"path: files.db", "path: "+data+"/files.db", "path: blobs", "path: "+data+"/blobs",
		"verifier: {", `listeners: {public: {address: "`+public+`"}, ops: {address: "`+ops+`"}}
  stateDir: `+data+`
  verifier: {internalURL: "`+issuer.URL+`", `).Replace(configYAML)
	dir := configDir(t, config, policyYAML)
	if code, out, errs := command(t, t.Context(), "check", dir); code != run.ExitOK {
		t.Fatalf("check: %d\n%s%s", code, out, errs)
	}
	if code, out, errs := command(t, t.Context(), "migrate", "--config", dir); code != run.ExitOK || !strings.Contains(out, "up to date") {
		t.Fatalf("migrate: %d\n%s%s", code, out, errs)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	done := make(chan int, 1)
	go func() {
		code, _, errs := command(t, ctx, "serve", "--config", dir, "--log-level", "error")
		if errs != "" {
			t.Log(errs)
		}
		done <- code
	}()
	eventually(t, "ready", func() error { return status("http://"+ops+"/readyz", http.StatusOK) })
	for url, want := range map[string]int{
		"http://" + public + "/openapi.yaml": 200, "http://" + public + "/v1/files": 401, "http://" + public + "/metrics": 404,
		"http://" + ops + "/metrics": 200, "http://" + ops + "/-/resources": 200, "http://" + ops + "/livez": 200,
	} {
		if err := status(url, want); err != nil {
			t.Error(err)
		}
	}
	stop()
	if code := <-done; code != run.ExitOK {
		t.Errorf("serve ended with %d", code)
	}
	if _, err := os.Stat(filepath.Join(data, "status")); err != nil {
		t.Errorf("no status files: %v", err)
	}
}

type statusError struct {
	url       string
	got, want int
}

func (e statusError) Error() string {
	return e.url + ": " + http.StatusText(e.got) + " for " + http.StatusText(e.want)
}

func status(url string, want int) error {
	res, err := http.Get(url)
	if err != nil {
		return err
	}
	_ = res.Body.Close()
	if res.StatusCode != want {
		return statusError{url, res.StatusCode, want}
	}
	return nil
}

func TestCommands_SayWhatIsWrong(t *testing.T) {
	for _, c := range []struct {
		says string
		args []string
		code int
		want string
	}{
		{"serve without a folder", []string{"serve"}, run.ExitUsage, "--config"},
		{"serve of nothing", []string{"serve", "--config", t.TempDir()}, run.ExitFailure, "no resource"},
		{"migrate without a FilesConfig", []string{"migrate", "--config", configDir(t, policyYAML)}, run.ExitFailure, "FilesConfig"},
		{"check without a policy", []string{"check", configDir(t, configYAML)}, run.ExitFailure, "storagePolicyRef"},
		{"check of nonsense", []string{"check", configDir(t, strings.Replace(configYAML, "store:", "shop:", 1), policyYAML)}, run.ExitFailure, "shop"},
	} {
		code, out, errs := command(t, t.Context(), c.args...)
		if code != c.code || !strings.Contains(out+errs, c.want) {
			t.Errorf("%s: got %d\n%s%s", c.says, code, out, errs)
		}
	}
}

// Beside a service whose paths begin in another folder, such as the stack's, migrate is told which.
func TestMigrate_RelativePathsBeginInBase(t *testing.T) {
	dir, here := t.TempDir(), t.TempDir()
	t.Chdir(here)
	code, out, errs := command(t, t.Context(), "migrate", "--config", configDir(t, configYAML, policyYAML), "--base", dir)
	if code != run.ExitOK {
		t.Fatalf("migrate: %d\n%s%s", code, out, errs)
	}
	if _, err := os.Stat(filepath.Join(dir, "files.db")); err != nil {
		t.Error(err)
	}
	if made, err := os.ReadDir(here); err != nil || len(made) > 0 {
		t.Errorf("in the working directory: %v, %v", made, err)
	}
}
