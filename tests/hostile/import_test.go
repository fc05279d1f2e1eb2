package hostile

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cloakroom.dev/tests/harness"
)

// moving is a stack that serves, and the command that imports into its store.
type moving struct {
	t     *testing.T
	stack *harness.Stack
	path  string
}

func move(t *testing.T, lines ...string) moving {
	t.Helper()
	m := moving{t: t, stack: harness.Start(t), path: filepath.Join(t.TempDir(), "people.ndjson")}
	if err := os.WriteFile(m.path, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	return m
}

func (m moving) command(args ...string) *exec.Cmd {
	base := []string{"user", "import", "--config", filepath.Join(m.stack.Dir, "config"), "--base", m.stack.Dir, "--source", "shop", "--output", "json", m.path}
	return exec.Command(harness.Build(m.t, "cloakroom.dev/auth-svc/cmd/auth-svc"), append(base, args...)...)
}

// result is what the command says at its end.
type result struct{ Created, Present, Skipped, Refused, Lines int64 }

func (m moving) run(args ...string) (code int, out result) {
	m.t.Helper()
	cmd := m.command(args...)
	raw, _ := cmd.Output()
	if err := json.Unmarshal(raw, &out); err != nil {
		m.t.Fatalf("the import printed %q", raw)
	}
	return cmd.ProcessState.ExitCode(), out
}

const (
	oldPassword = "correct horse"
	oldBcrypt   = "$2b$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e"
	oldPBKDF2   = "pbkdf2:sha512:1000$NaCl$cc5d115d3ce48c34058b84416af0f7afc22402968e17446bd88016b0d551bca43c9eda0423c04b6266512f1d1bcb97ed396210a047412a3e64411323e73b507c"
	oldScrypt   = "$scrypt$ln=10,r=8,p=1$c2FsdHNhbHQ$ZGeSwropSvEgLQU1pjltINKrRvmEBSnohdqYXUe5EZ8"
)

func TestImport_PeopleKeepTheirPasswords(t *testing.T) {
	var lines []string
	hashes := map[string]string{"ada": oldBcrypt, "bob": oldPBKDF2, "eve": oldScrypt}
	for name, hash := range hashes {
		lines = append(lines, fmt.Sprintf(`{"username": %q, "password_hash": %q}`, name, hash))
	}
	lines = append(lines, fmt.Sprintf(`{"username": "blocked", "status": "blocked", "password_hash": %q}`, oldBcrypt), `{"username": "none"}`)
	m := move(t, lines...)
	if code, out := m.run(); code != 0 || out.Created != 5 {
		t.Fatalf("exit %d, %+v", code, out)
	}
	c := harness.NewClient(t, m.stack.Public)
	try := func(who, password string) *harness.Answer {
		return c.Fresh().Do("POST", "/v1/auth/login", fields{"identifier": who, "password": password})
	}
	for name := range hashes {
		try(name, "wrong horse").Refused(401, "INVALID_CREDENTIALS")
		try(name, oldPassword).Is(200)
		try(name, oldPassword).Is(200) // now against a hash of our own
		try(name, "wrong horse").Refused(401, "INVALID_CREDENTIALS")
	}
	try("blocked", "wrong horse").Refused(401, "INVALID_CREDENTIALS")
	try("none", oldPassword).Refused(401, "INVALID_CREDENTIALS")
}

// Killed at any moment, beside a stack that serves, the import makes everybody once.
func TestImport_KilledAgainAndAgain(t *testing.T) {
	const people, broken = 2000, 20
	var lines []string
	for i := range people {
		lines = append(lines, fmt.Sprintf(`{"id": %d, "email": "p%d@example.org", "password_hash": %q}`, i, i, oldBcrypt))
		if i%(people/broken) == 0 {
			lines = append(lines, `{"email": "nobody"}`)
		}
	}
	m := move(t, lines...)
	c := harness.NewClient(t, m.stack.Public).SignUp()
	for i := range 4 {
		cmd := m.command()
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(300+150*i) * time.Millisecond)
		_ = cmd.Process.Kill() // SIGKILL
		_ = cmd.Wait()
		c.Refresh().Is(200)
	}
	code, out := m.run()
	if code != 3 || out.Created != people || out.Refused != broken || out.Lines != people+broken {
		t.Errorf("exit %d, %+v", code, out)
	}
	raw, err := os.ReadFile(m.path + ".refused.ndjson")
	if told := strings.Count(string(raw), "\n"); err != nil || told != broken {
		t.Errorf("%d lines are told as refused: %v", told, err)
	}
	if code, again := m.run(); code != 3 || again != out {
		t.Errorf("again: exit %d, %+v", code, again)
	}
	if code, again := m.run("--restart"); code != 3 || again.Created != 0 || again.Present != people {
		t.Errorf("from the start: exit %d, %+v", code, again)
	}
}

// An import beside a stack that serves is in nobody's way for long: the service gets its turn between two batches. What a
// busy machine adds to both figures says nothing of us, so the ratio is printed always and judged only where IMPORT_RATIO
// is set, on a machine that does nothing else.
func TestImport_LeavesRefreshesAlone(t *testing.T) {
	const people, most = 6000, 3.0
	var lines []string
	for i := range people {
		lines = append(lines, fmt.Sprintf(`{"id": %d, "email": "p%d@example.org", "password_hash": %q}`, i, i, oldBcrypt))
	}
	m := move(t, lines...)
	c := harness.NewClient(t, m.stack.Public)
	signedIn := []*harness.Client{c.SignUp(), c.Fresh().SignUp()}
	refreshes(t, signedIn, 300*time.Millisecond) // warm
	quiet := refreshes(t, signedIn, time.Second)
	cmd := m.command()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	began := time.Now()
	go func() { ended <- cmd.Wait() }()
	var beside []time.Duration
	for running := true; running; {
		beside = append(beside, refreshes(t, signedIn, 200*time.Millisecond)...)
		select {
		case err := <-ended:
			running = false
			if err != nil {
				t.Error(err)
			}
		default:
		}
	}
	took := time.Since(began)
	q, b := p99(quiet), p99(beside)
	t.Logf("refresh p99 %v quiet (%d), %v beside an import (%d), at most %v; %d people in %v", q, len(quiet), b, len(beside), beside[len(beside)-1], people, took)
	if os.Getenv("IMPORT_RATIO") != "" && float64(b) > most*float64(q) {
		t.Errorf("an import makes refreshes %.1f times as slow", float64(b)/float64(q))
	}
}
