package filessvc

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"cloakroom.dev/libs/run"
)

// crashtestRun never runs a cell: its context has ended. A cell would start this program, the test, and so all tests anew, and so on.
func crashtestRun(t *testing.T, stdin string, args ...string) (code int, out, said string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var stdout, stderr bytes.Buffer
	to := run.IO{Stdin: strings.NewReader(stdin), Stdout: &stdout, Stderr: &stderr}
	code = run.Dispatch(ctx, "files-svc", "", append([]string{"crashtest"}, args...), to, crashtestCommand())
	return code, stdout.String(), stderr.String()
}

func TestCrashtest_RefusesWhatItDoesNotKnow(t *testing.T) {
	for _, args := range [][]string{
		{"--steps", "nowhere"}, {"--faults", "flood"}, {"--store", "tape"}, {"--output", "xml"}, {"--parallel", "0"}, {"more"},
	} {
		if code, _, said := crashtestRun(t, "", args...); code != run.ExitUsage {
			t.Errorf("%v: exit code %d, said %q", args, code, said)
		}
	}
}

func TestCrashtest_HelpNamesStepsAndFaults(t *testing.T) {
	code, out, _ := crashtestRun(t, "", "--help")
	if code != run.ExitOK || !strings.Contains(out, "resumable-synced") || !strings.Contains(out, "powercut") {
		t.Errorf("exit code %d, help %q", code, out)
	}
}

// TestCrashtest_ChildWantsAJob holds that the part that breaks does nothing for whoever starts it by hand.
func TestCrashtest_ChildWantsAJob(t *testing.T) {
	code, out, said := crashtestRun(t, "", crashChild)
	if code != run.ExitFailure || out != "" || !strings.Contains(said, "started by it") {
		t.Errorf("exit code %d, printed %q, said %q", code, out, said)
	}
}
