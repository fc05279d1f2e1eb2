package chaos

import (
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
