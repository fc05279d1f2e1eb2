package e2e

import (
	"os/exec"
	"strings"
	"testing"

	"cloakroom.dev/tests/harness"
)

// The linker leaves out methods that nobody calls, unless something may call any of them by name: text/template, whose
// evaluator comes with a page or a mail made of templates, or with grpc's tracing. Then each program is 15 to 30 MB
// larger, and takes more memory. `go build -ldflags=-dumpdep` says who: it marks them <ReflectMethod>. Nor does it hold what
// calls libc, which programs built beside a C compiler would load.
func TestPrograms_HoldNoMethodsThatNobodyCalls(t *testing.T) {
	for _, pkg := range []string{
		"cloakroom.dev/stack", "cloakroom.dev/gateway/cmd/gateway", "cloakroom.dev/auth-svc/cmd/auth-svc", "cloakroom.dev/files-svc/cmd/files-svc",
	} {
		symbols, err := exec.Command("go", "tool", "nm", harness.Build(t, pkg)).Output()
		if err != nil || !strings.Contains(string(symbols), " crypto/x509.(*CertPool).AppendCertsFromPEM\n") {
			t.Fatalf("%s: its symbols can't be read: %v", pkg, err)
		}
		for _, symbol := range []string{
			"text/template.(*state).evalField",
			"crypto/x509.(*CertPool).Subjects", // deprecated since 2022: for any that nobody calls
			"runtime/cgo.set_crosscall2",
		} {
			if strings.Contains(string(symbols), " "+symbol+"\n") {
				t.Errorf("%s holds %s", pkg, symbol)
			}
		}
	}
}
