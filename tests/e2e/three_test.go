package e2e

import (
	"net/http"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"cloakroom.dev/tests/harness"
)

func TestMainJob_ThreeProcesses(t *testing.T) {
	s := harness.StartThree(t)
	mainJob(t, harness.NewClient(t, s.Public))
	probe(t, s)
}

// probe is what `helm test` does, with the program that it does it with.
func probe(t *testing.T, s *harness.Three) {
	t.Helper()
	out, err := exec.Command(harness.Build(t, "cloakroom.dev/gateway/cmd/gateway"), "probe", "--ready", s.GatewayOps, s.Public).CombinedOutput()
	if err != nil || strings.Count(string(out), "ok  ") != 4 {
		t.Errorf("%v\n%s", err, out)
	}
}

// A gateway that can't prove that its view of revocations is fresh refuses whoever shows a credential, and lets them in
// again when it can.
func TestThreeProcesses_SilentAuthServiceFailsClosed(t *testing.T) {
	s := harness.StartThree(t)
	ada := harness.NewClient(t, s.Public).SignUp()
	ada.Do("GET", "/v1/files", nil).Is(200)
	s.Auth.Signal(syscall.SIGSTOP)
	refused := waitFor(t, patience, func() bool { return ada.Do("GET", "/v1/files", nil).Status == 503 })
	ada.Do("GET", "/v1/files", nil).Refused(503, "UNAVAILABLE")
	s.Auth.Signal(syscall.SIGCONT)
	back := waitFor(t, patience, func() bool { return ada.Do("GET", "/v1/files", nil).Status == 200 })
	t.Logf("refused %v after the auth service fell silent, let in again %v after it spoke", refused, back)
}

// Whoever ends their own session and waits for the word to spread is told that it has, also when that takes longer than
// a request of a revoked session may go on: one of the followers never acknowledges.
func TestThreeProcesses_EndingOnesOwnSessionIsAnswered(t *testing.T) {
	s := harness.StartThree(t)
	r, err := http.NewRequestWithContext(t.Context(), "GET", s.AuthInternal+"/internal/v1/revocations?after=0&follower=mute", nil)
	if err != nil {
		t.Fatal(err)
	}
	mute, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer mute.Body.Close()
	ada := harness.NewClient(t, s.Public).SignUp()
	var answer struct{ Acked, Of int }
	ada.Do("DELETE", "/v1/auth/sessions/"+ada.Session.SessionID+"?wait=1", nil).Is(200).JSON(&answer)
	if answer.Of != 3 || answer.Acked != 2 {
		t.Errorf("%d of %d have applied it", answer.Acked, answer.Of)
	}
	ada.Do("GET", "/v1/files", nil).Refused(401, "INVALID_TOKEN")
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
