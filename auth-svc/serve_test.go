package authsvc_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cloakroom.dev/libs/run"

	authsvc "cloakroom.dev/auth-svc"
)

const objects = `
apiVersion: cloakroom.dev/v1alpha1
kind: AuthConfig
metadata: {name: auth}
spec:
  listeners: {public: {address: "127.0.0.1:0"}, internal: {address: "127.0.0.1:0"}, ops: {address: "127.0.0.1:0"}}
  store: {sqlite: {path: %[1]s/auth.db}}
  keyEncryption: {file: %[1]s/key}
  bootstrap: {file: %[1]s/bootstrap.json}
  stateDir: %[1]s
`

const policy = `
---
apiVersion: cloakroom.dev/v1alpha1
kind: SessionPolicy
metadata: {name: default}
spec: {accessTTL: 5m}
`

// program is one run of the command line.
func program(ctx context.Context, stderr io.Writer, args ...string) (code int, stdout string) {
	var out bytes.Buffer
	code = run.Dispatch(ctx, "auth-svc", "test", args, run.IO{Stdin: strings.NewReader(""), Stdout: &out, Stderr: stderr}, authsvc.Commands()...)
	return code, out.String()
}

func folder(t *testing.T, documents string) (dir, config string) {
	t.Helper()
	dir = t.TempDir()
	config = filepath.Join(dir, "config")
	if err := os.Mkdir(config, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{
		filepath.Join(dir, "key"):             strings.Repeat("5a", 32),
		filepath.Join(config, "objects.yaml"): fmt.Sprintf(documents, dir),
	} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir, config
}

func TestCommands_ServeUntilToldToStop(t *testing.T) {
	dir, config := folder(t, objects+policy)
	if code, out := program(t.Context(), io.Discard, "migrate", "--config", config); code != run.ExitOK {
		t.Fatalf("migrate: %d %s", code, out)
	}
	logs, stderr := io.Pipe()
	ctx, stop := context.WithCancel(t.Context())
	exit := make(chan int, 1)
	go func() {
		code, _ := program(ctx, stderr, "serve", "--config", config)
		_ = stderr.Close()
		exit <- code
	}()
	addresses := listening(t, logs)

	get := func(listener, path string) (int, string) {
		t.Helper()
		res, err := http.Get("http://" + addresses[listener] + path)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		body, _ := io.ReadAll(res.Body)
		return res.StatusCode, string(body)
	}
	eventually(t, "ready", func() bool { status, _ := get("ops", "/readyz"); return status == 200 })
	if status, body := get("public", "/.well-known/jwks.json"); status != 200 || !strings.Contains(body, "EdDSA") {
		t.Errorf("jwks: %d %s", status, body)
	}
	if status, body := get("public", "/openapi.yaml"); status != 200 || !strings.HasPrefix(body, "openapi: 3.") {
		t.Errorf("contract: %d %.40s", status, body)
	}
	if status, body := get("ops", "/-/resources"); status != 200 || !strings.Contains(body, "SessionPolicy") {
		t.Errorf("resources: %d %s", status, body)
	}
	if status, body := get("ops", "/metrics"); status != 200 || !strings.Contains(body, "cloakroom_auth_") {
		t.Errorf("metrics: %d", status)
	}
	for _, left := range []string{"bootstrap.json", "status"} {
		if _, err := os.Stat(filepath.Join(dir, left)); err != nil {
			t.Error(err)
		}
	}
	began := time.Now()
	stop()
	if code := <-exit; code != run.ExitOK || time.Since(began) > 20*time.Second {
		t.Errorf("ended with %d after %s", code, time.Since(began))
	}
}

// listening reads the log until all three listeners are open, and drains the rest.
func listening(t *testing.T, logs io.Reader) map[string]string {
	t.Helper()
	found := make(chan map[string]string, 1)
	go func() {
		addresses := map[string]string{}
		lines := bufio.NewScanner(logs)
		for lines.Scan() {
			var l struct{ Msg, Listener, Address string }
			if json.Unmarshal(lines.Bytes(), &l) == nil && l.Msg == "listening" {
				if addresses[l.Listener] = l.Address; len(addresses) == 3 {
					found <- addresses
				}
			}
		}
	}()
	select {
	case a := <-found:
		return a
	case <-time.After(time.Minute):
		t.Fatal("the listeners did not open")
		return nil
	}
}

func TestCommands_CheckAndMistakes(t *testing.T) {
	_, good := folder(t, objects+policy)
	_, lonely := folder(t, objects)
	_, broken := folder(t, strings.Replace(objects, "stateDir", "stateDirectory", 1)+policy)
	for name, c := range map[string]struct {
		args []string
		code int
		want string
	}{
		"good":          {[]string{"check", good}, run.ExitOK, ""},
		"policy absent": {[]string{"check", lonely}, run.ExitFailure, `there is no SessionPolicy "default"`},
		"unknown field": {[]string{"check", broken}, run.ExitFailure, "stateDirectory"},
		"no folder":     {[]string{"serve"}, run.ExitUsage, ""},
		"not a level":   {[]string{"serve", "--config", good, "--log-level", "loud"}, run.ExitUsage, ""},
		"not there":     {[]string{"serve", "--config", good + "/none"}, run.ExitFailure, ""},
		"no policy":     {[]string{"serve", "--config", lonely}, run.ExitFailure, ""},
	} {
		code, out := program(t.Context(), io.Discard, c.args...)
		if code != c.code || !strings.Contains(out, c.want) {
			t.Errorf("%s: exit %d, %s", name, code, out)
		}
	}
}
