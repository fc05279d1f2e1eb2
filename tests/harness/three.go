package harness

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Three are the services as processes of their own, each reading one folder of resources.
type Three struct {
	Public               string // the gateway
	Direct               string // the files service, without a gateway in front
	GatewayOps           string // the gateway's ops port
	AuthInternal         string // the auth service's listener for the others
	Auth, Files, Gateway *Process
}

// StartThree starts them in a new folder and waits until they are ready.
func StartThree(t testing.TB) *Three {
	t.Helper()
	dir, a := t.TempDir(), FreeAddrs(t, 7)
	config := filepath.Join(dir, "config")
	if err := os.MkdirAll(config, 0o700); err != nil {
		t.Fatal(err)
	}
	boot := fmt.Sprintf(bootObjects, a[0], a[1], a[2], WriteSecret(t, dir), a[3], a[4], a[1], a[5], a[6], a[0], a[1], a[3])
	for name, text := range map[string]string{"live.yaml": LiveObjects(t), "boot.yaml": boot} {
		if err := os.WriteFile(filepath.Join(config, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	start := func(pkg string) *Process { return StartProcess(t, pkg, dir, config) }
	// In the order that has most to wait for: everything must come up whatever is there first.
	s := &Three{Public: "http://" + a[5], Direct: "http://" + a[3], GatewayOps: "http://" + a[6], AuthInternal: "http://" + a[1]}
	s.Gateway = start("cloakroom.dev/gateway/cmd/gateway")
	s.Files = start("cloakroom.dev/files-svc/cmd/files-svc")
	s.Auth = start("cloakroom.dev/auth-svc/cmd/auth-svc")
	WaitReady(t, s.Public)
	WaitReady(t, "http://"+a[4]) // the files service's ops port
	return s
}

// LiveObjects are the development resources without the boot objects, which have this test's addresses.
func LiveObjects(t testing.TB) string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(Root(t), "stack/config/*.yaml"))
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
