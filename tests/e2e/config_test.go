package e2e

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cloakroom.dev/tests/harness"
)

// startWithConfig starts a stack on a copy of the development resources that the test may edit.
func startWithConfig(t *testing.T, env ...string) (*harness.Stack, string) {
	t.Helper()
	dir := harness.ConfigDir(t)
	return harness.Start(t, append(env, "CONFIG_DIR="+dir)...), dir
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

const tightLimit = `
apiVersion: cloakroom.dev/v1alpha1
kind: RateLimitPolicy
metadata: {name: tight}
spec:
  rules:
    - {name: each-client, key: {type: Client}, limit: 3, window: 60s, burst: 3}
---
apiVersion: cloakroom.dev/v1alpha1
kind: Route
metadata: {name: usage-limited}
spec:
  rules:
    - matches: [{path: {type: Exact, value: /v1/files/usage}}]
      auth: {tokenPolicyRef: {name: default}}
      rateLimitRefs: [{name: tight}]
      backends: [{name: files}]
`

func TestConfig_EditsAreLiveAndBadOnesHarmNothing(t *testing.T) {
	s, dir := startWithConfig(t)
	ada := harness.NewClient(t, s.Public).SignUp()
	usage := func() *harness.Answer { return ada.Do("GET", "/v1/files/usage", nil) }
	for range 10 {
		usage().Is(200)
	}
	write(t, filepath.Join(dir, "limit.yaml"), tightLimit)
	waitFor(t, patience, func() bool { return usage().Header.Get("RateLimit-Policy") != "" })
	waitFor(t, patience, func() bool { return usage().Status == 429 })
	limited := usage()
	limited.Refused(429, "RATE_LIMIT_EXCEEDED")
	if limited.Header.Get("Retry-After") == "" || limited.Header.Get("RateLimit") == "" {
		t.Errorf("a 429 came with %v", limited.Header)
	}

	write(t, filepath.Join(dir, "limit.yaml"), strings.Replace(tightLimit, "limit: 3", "limit: many", 1))
	waitFor(t, patience, func() bool {
		return strings.Contains(resources(t, s), "limit.yaml") && strings.Contains(resources(t, s), "False")
	})
	usage().Refused(429, "RATE_LIMIT_EXCEEDED") // the last good version serves on
	ada.Do("GET", "/v1/files", nil).Is(200)     // and nothing else is harmed

	write(t, filepath.Join(dir, "limit.yaml"), strings.Replace(tightLimit, "limit: 3, window: 60s, burst: 3", "limit: 1000, window: 60s, burst: 1000", 1))
	waitFor(t, patience, func() bool { return usage().Status == 200 })
}

func TestConfig_RouteWithoutAuthIsNeverOpen(t *testing.T) {
	s, dir := startWithConfig(t)
	c := harness.NewClient(t, s.Public)
	write(t, filepath.Join(dir, "open.yaml"), `
apiVersion: cloakroom.dev/v1alpha1
kind: Route
metadata: {name: open}
spec:
  rules:
    - matches: [{path: {type: Exact, value: /v1/users/me}}]
      backends: [{name: auth}]
`)
	waitFor(t, patience, func() bool { return strings.Contains(resources(t, s), "open.yaml") })
	for range 20 {
		if a := c.Do("GET", "/v1/users/me", nil); a.Status != 401 && a.Status != 503 {
			t.Fatalf("answered %d", a.Status)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func TestConfig_ReloadsUnderLoadLoseNoRequest(t *testing.T) {
	s, dir := startWithConfig(t)
	ada := harness.NewClient(t, s.Public).SignUp()
	var done atomic.Bool
	var sent, failed atomic.Int64
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for !done.Load() {
				sent.Add(1)
				if a := ada.Try("GET", "/v1/files/usage", nil); a.Err != nil || a.Status != 200 {
					if failed.Add(1) == 1 {
						t.Errorf("a reload lost a request: %d %v %s", a.Status, a.Err, a.Body)
					}
				}
			}
		})
	}
	big := strings.NewReplacer("limit: 3", "limit: 1000000", "burst: 3", "burst: 100000").Replace(tightLimit)
	for i := range 6 {
		write(t, filepath.Join(dir, "limit.yaml"), strings.Replace(big, "60s", []string{"60s", "30s"}[i%2], 1))
		time.Sleep(400 * time.Millisecond)
	}
	done.Store(true)
	group.Wait()
	t.Logf("%d requests during six reloads, %d failed", sent.Load(), failed.Load())
}

func TestCheck_SaysFileLineAndField(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "bad.yaml"), strings.Replace(tightLimit, "limit: 3", "limit: many", 1))
	for _, program := range []string{"cloakroom.dev/gateway/cmd/gateway", "cloakroom.dev/auth-svc/cmd/auth-svc", "cloakroom.dev/files-svc/cmd/files-svc"} {
		code, out := harness.RunProgram(t, program, "check", filepath.Join(harness.Root(t), "stack/config"))
		if code != 0 {
			t.Errorf("%s check of the development resources: exit code %d\n%s", program, code, out)
		}
	}
	code, out := harness.RunProgram(t, "cloakroom.dev/gateway/cmd/gateway", "check", dir)
	if code != 1 || !strings.Contains(out, "bad.yaml:") || !strings.Contains(out, "spec.rules[0].limit") {
		t.Errorf("exit code %d\n%s", code, out)
	}
}

func resources(t *testing.T, s *harness.Stack) string {
	t.Helper()
	req, err := http.NewRequest("GET", s.Ops+"/-/resources", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil || !json.Valid(raw) {
		t.Fatalf("%v %s", err, raw)
	}
	return string(raw)
}
