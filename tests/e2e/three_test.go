package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"cloakroom.dev/tests/harness"
)

// three are the services as processes of their own, each reading one folder of resources.
type three struct {
	public               string
	auth, files, gateway *harness.Process
}

func startThree(t *testing.T) *three {
	t.Helper()
	dir, a := t.TempDir(), harness.FreeAddrs(t, 7)
	config := filepath.Join(dir, "config")
	if err := os.MkdirAll(config, 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(config, "live.yaml"), liveObjects(t))
	boot := fmt.Sprintf(bootObjects, a[0], a[1], a[2], harness.WriteSecret(t, dir), a[3], a[4], a[1], a[5], a[6], a[0], a[1], a[3])
	if err := os.WriteFile(filepath.Join(config, "boot.yaml"), []byte(boot), 0o600); err != nil {
		t.Fatal(err)
	}
	start := func(pkg string) *harness.Process { return harness.StartProcess(t, pkg, dir, config) }
	// In the order that has most to wait for: everything must come up whatever is there first.
	s := &three{public: "http://" + a[5]}
	s.gateway = start("cloakroom.dev/gateway/cmd/gateway")
	s.files = start("cloakroom.dev/files-svc/cmd/files-svc")
	s.auth = start("cloakroom.dev/auth-svc/cmd/auth-svc")
	harness.WaitReady(t, s.public)
	harness.WaitReady(t, "http://"+a[4]) // the files service's ops port
	return s
}

// liveObjects are the development resources without the boot objects, which have this test's addresses.
func liveObjects(t *testing.T) string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(harness.Root(t), "stack/config/*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var live []string
	for _, path := range paths {
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, object := range strings.Split(string(raw), "\n---\n") {
			if !strings.Contains(object, "\nkind: AuthConfig") && !strings.Contains(object, "\nkind: FilesConfig") && !strings.Contains(object, "\nkind: GatewayConfig") {
				live = append(live, object)
			}
		}
	}
	return strings.Join(live, "\n---\n")
}

const bootObjects = `
apiVersion: cloakroom.dev/v1alpha1
kind: AuthConfig
metadata: {name: auth}
spec:
  listeners: {public: {address: %q}, internal: {address: %q}, ops: {address: %q}}
  keyEncryption: {file: %q}
---
apiVersion: cloakroom.dev/v1alpha1
kind: FilesConfig
metadata: {name: files}
spec:
  listeners: {public: {address: %q}, ops: {address: %q}}
  verifier: {internalURL: "http://%s"}
---
apiVersion: cloakroom.dev/v1alpha1
kind: GatewayConfig
metadata: {name: gateway}
spec:
  listeners: {public: {address: %q}, ops: {address: %q}}
  upstreams:
    auth: {url: "http://%s", internalURL: "http://%s"}
    files: {url: "http://%s"}
  trustedProxies: {none: {}}
`

func TestMainJob_ThreeProcesses(t *testing.T) {
	mainJob(t, harness.NewClient(t, startThree(t).public))
}

// A gateway that can't prove that its view of revocations is fresh refuses whoever shows a credential, and lets them in
// again when it can.
func TestThreeProcesses_SilentAuthServiceFailsClosed(t *testing.T) {
	s := startThree(t)
	ada := harness.NewClient(t, s.public).SignUp()
	ada.Do("GET", "/v1/files", nil).Is(200)
	s.auth.Signal(syscall.SIGSTOP)
	refused := waitFor(t, 10*time.Second, func() bool { return ada.Do("GET", "/v1/files", nil).Status == 503 })
	ada.Do("GET", "/v1/files", nil).Refused(503, "UNAVAILABLE")
	s.auth.Signal(syscall.SIGCONT)
	back := waitFor(t, 10*time.Second, func() bool { return ada.Do("GET", "/v1/files", nil).Status == 200 })
	t.Logf("refused %v after the auth service fell silent, let in again %v after it spoke", refused, back)
}

func waitFor(t *testing.T, limit time.Duration, done func() bool) time.Duration {
	t.Helper()
	began := time.Now()
	for !done() {
		if time.Since(began) > limit {
			t.Fatalf("not within %v", limit)
		}
		time.Sleep(20 * time.Millisecond)
	}
	return time.Since(began)
}
