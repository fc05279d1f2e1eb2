package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"cloakroom.dev/libs/pgtest"
	"cloakroom.dev/libs/secret"
	"cloakroom.dev/tests/harness"
)

// startReplicas starts two auth services on one Postgres, and a files service and a gateway that know both.
func startReplicas(t *testing.T) (public, ops string, auth [2]*harness.Process) {
	t.Helper()
	dsn := pgtest.NewTemplate(func(context.Context, secret.String) error { return nil }).New(t)
	dir, a := t.TempDir(), harness.FreeAddrs(t, 10)
	key, dsnFile := harness.WriteSecret(t, dir), filepath.Join(dir, "dsn")
	write := func(path, text string) {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(dsnFile, dsn.Reveal())
	live := harness.LiveObjects(t)
	for i := range auth {
		at, config := a[3*i:], filepath.Join(dir, fmt.Sprint("auth", i))
		write(filepath.Join(config, "live.yaml"), live)
		write(filepath.Join(config, "boot.yaml"), harness.AuthBoot(at[0], at[1], at[2], dsnFile, key))
		auth[i] = harness.StartProcess(t, "cloakroom.dev/auth-svc/cmd/auth-svc", dir, config)
		harness.WaitReady(t, "http://"+at[2])
	}
	config := filepath.Join(dir, "config")
	write(filepath.Join(config, "live.yaml"), live)
	auths, internals := []string{a[0], a[3]}, []string{a[1], a[4]}
	write(filepath.Join(config, "boot.yaml"), harness.FilesBoot(a[6], a[7], internals...)+"---"+harness.GatewayBoot(a[8], a[9], auths, internals, a[6], ""))
	harness.StartProcess(t, "cloakroom.dev/files-svc/cmd/files-svc", dir, config)
	harness.StartProcess(t, "cloakroom.dev/gateway/cmd/gateway", dir, config)
	harness.WaitReady(t, "http://"+a[7])
	harness.WaitReady(t, "http://"+a[8])
	return "http://" + a[8], "http://" + a[9], auth
}

// bothUp reports whether a gateway believes in both of its auth services.
func bothUp(t *testing.T, ops string) bool {
	t.Helper()
	res, err := http.Get(ops + "/-/upstreams")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var all map[string][]struct{ State string }
	if err := json.NewDecoder(res.Body).Decode(&all); err != nil {
		t.Fatal(err)
	}
	auth := all["auth"]
	return len(auth) == 2 && auth[0].State == "up" && auth[1].State == "up"
}

// TestReplicas_OneAuthServiceOfTwoMayFallSilent: each in turn is stopped in its tracks. People who are logged in notice
// nothing, and a log-out meanwhile holds everywhere.
func TestReplicas_OneAuthServiceOfTwoMayFallSilent(t *testing.T) {
	public, ops, auth := startReplicas(t)
	ada := harness.NewClient(t, public).SignUp()
	for i, stopped := range auth {
		leaver := ada.SignUp()
		leaver.Do("GET", "/v1/files", nil).Is(200)
		stopped.Signal(syscall.SIGSTOP)
		out := time.Now()
		left := false
		for time.Since(out) < 8*time.Second || !left {
			if got := ada.Try("GET", "/v1/files", nil); got == nil || got.Status != 200 {
				t.Errorf("replica %d silent for %v: %+v", i, time.Since(out), got)
			}
			if !left && time.Since(out) > 4*time.Second { // the gateway knows by now which one answers
				leaver.Do("POST", "/v1/auth/logout", nil).Is(204)
				left = true
				waitFor(t, patience, func() bool { return leaver.Do("GET", "/v1/files", nil).Status == 401 })
			}
			time.Sleep(50 * time.Millisecond)
		}
		stopped.Signal(syscall.SIGCONT)
		time.Sleep(3 * time.Second)
		waitFor(t, patience, func() bool { return bothUp(t, ops) }) // or nobody would be left once the other one is stopped
		leaver.Do("GET", "/v1/files", nil).Is(401)
	}
}
