package chaos

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"cloakroom.dev/tests/harness"
)

// TestMatrix runs the kill-point matrix as anyone can: `files-svc crashtest`.
func TestMatrix(t *testing.T) {
	code, out := harness.RunProgram(t, "cloakroom.dev/files-svc/cmd/files-svc", "crashtest", "--quiet")
	t.Logf("\n%s", out)
	if code != 0 || !strings.Contains(out, " 0 failed") {
		t.Errorf("the matrix ended with %d", code)
	}
}

// A matrix that is stopped has found nothing, and leaves nothing behind.
func TestMatrix_StoppedLeavesNothing(t *testing.T) {
	dir, sockets := t.TempDir(), t.TempDir()
	cmd := exec.Command(harness.Build(t, "cloakroom.dev/files-svc/cmd/files-svc"), "crashtest", "--dir", dir)
	cmd.Env = append(os.Environ(), "TMPDIR="+sockets)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	said := bufio.NewReader(stderr)
	first, err := said.ReadString('\n') // a cell is done, and others run
	if err != nil {
		t.Errorf("%q: %v", first, err)
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Error(err)
	}
	rest, _ := io.ReadAll(said)
	if err := cmd.Wait(); err == nil || strings.Contains(string(rest), "FAIL ") || !strings.Contains(string(rest), "stopped before its end") {
		t.Errorf("%v\n%s%s", err, first, rest)
	}
	for _, folder := range []string{dir, sockets} {
		if left, err := os.ReadDir(folder); err != nil || len(left) > 0 {
			t.Errorf("left: %v, %v", left, err)
		}
	}
}
