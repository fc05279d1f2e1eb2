package hostile

import (
	"bufio"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"cloakroom.dev/tests/harness"
)

// whenCut waits until no download runs in the stack any more, though its reader takes nothing, and fails when that takes longer
// than a busy machine makes of the second that is promised.
func whenCut(t *testing.T, stack *harness.Stack) {
	t.Helper()
	began := time.Now()
	for downloads(t, stack) {
		if time.Since(began) > soon {
			t.Error("a download goes on that should be cut")
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// downloads reports whether a download runs.
func downloads(t *testing.T, stack *harness.Stack) bool {
	t.Helper()
	res, err := http.Get(stack.Ops + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	for lines := bufio.NewScanner(res.Body); lines.Scan(); {
		line := lines.Text()
		if strings.HasPrefix(line, "cloakroom_files_transfers_in_flight{") && strings.Contains(line, `direction="down"`) {
			return !strings.HasSuffix(line, " 0")
		}
	}
	t.Fatal("there is no metric of downloads")
	return false
}

// reading begins to read what a path answers with: a megabyte has come, and the rest is on its way.
func reading(t *testing.T, c *harness.Client, path string) *http.Response {
	t.Helper()
	req, err := c.Request("GET", path, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := c.HTTP().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = res.Body.Close() })
	if _, err := io.ReadFull(res.Body, make([]byte, 1<<20)); err != nil {
		t.Fatal(err)
	}
	return res
}
