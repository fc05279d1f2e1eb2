package e2e

import (
	"syscall"
	"testing"
	"time"

	"cloakroom.dev/tests/harness"
)

func TestMainJob_ThreeProcesses(t *testing.T) {
	mainJob(t, harness.NewClient(t, harness.StartThree(t).Public))
}

// A gateway that can't prove that its view of revocations is fresh refuses whoever shows a credential, and lets them in
// again when it can.
func TestThreeProcesses_SilentAuthServiceFailsClosed(t *testing.T) {
	s := harness.StartThree(t)
	ada := harness.NewClient(t, s.Public).SignUp()
	ada.Do("GET", "/v1/files", nil).Is(200)
	s.Auth.Signal(syscall.SIGSTOP)
	refused := waitFor(t, 10*time.Second, func() bool { return ada.Do("GET", "/v1/files", nil).Status == 503 })
	ada.Do("GET", "/v1/files", nil).Refused(503, "UNAVAILABLE")
	s.Auth.Signal(syscall.SIGCONT)
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
