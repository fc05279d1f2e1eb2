// Package harness starts what is tested the way people start it, as real processes on loopback, and speaks to it over
// HTTP like any client. Tests here see public ports and binaries only.
package harness

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// startTimeout is generous: tests share two cores with each other.
const startTimeout = 90 * time.Second // it takes a second; a machine that is wholly taken by something else lets everybody wait

// ConfigDir makes a copy of the development resources that the test may edit, each file changed by the edits.
func ConfigDir(t testing.TB, edits ...func(yaml string) string) string {
	t.Helper()
	dir := t.TempDir()
	paths, err := filepath.Glob(filepath.Join(Root(t), "stack/config/*.yaml"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no development resources: %v", err)
	}
	for _, path := range paths {
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		text := string(raw)
		for _, edit := range edits {
			text = edit(text)
		}
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(path)), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// Replace is an edit for ConfigDir. The test fails when no file has the text, so that an edit can't quietly do nothing.
func Replace(t testing.TB, old, replacement string) func(string) string {
	t.Helper()
	found := false
	t.Cleanup(func() {
		if !found {
			t.Errorf("no development resource has %q", old)
		}
	})
	return func(yaml string) string {
		found = found || strings.Contains(yaml, old)
		return strings.ReplaceAll(yaml, old, replacement)
	}
}

// Root is the folder of go.work.
func Root(t testing.TB) string {
	t.Helper()
	// What is below it decides what the tests find, and the Go tool, which keeps results, doesn't look there. It does look at variables
	// that were asked for; `make` sets this one to what the whole tree is.
	_ = os.Getenv("TESTED_TREE")
	dir, err := os.Getwd()
	for ; err == nil && dir != "/"; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.work")); err == nil {
			return dir
		}
	}
	t.Fatalf("no go.work above the test: %v", err)
	return ""
}

// Endpoints is what the stack writes to <data>/endpoints.json.
type Endpoints struct {
	Public string `json:"public"`
	Ops    string `json:"ops"`
}

// Stack is a running stack.
type Stack struct {
	Endpoints
	Dir    string
	t      testing.TB
	cmd    *exec.Cmd
	output *output
	exited chan error
	env    []string
}

// Start starts a stack in a new folder and waits until it is ready. It is stopped when the test ends.
func Start(t testing.TB, env ...string) *Stack {
	t.Helper()
	s := &Stack{Dir: t.TempDir(), t: t, env: env}
	s.Run()
	t.Cleanup(s.cleanUp)
	return s
}

// StartIn is Start in a folder that exists.
func StartIn(t testing.TB, dir string, env ...string) *Stack {
	t.Helper()
	s := &Stack{Dir: dir, t: t, env: env}
	s.Run()
	t.Cleanup(s.cleanUp)
	return s
}

// Run starts the process (again) on the same folder and waits until it is ready.
func (s *Stack) Run() {
	s.t.Helper()
	local(s.t)
	s.cmd = exec.Command(Build(s.t, "cloakroom.dev/stack"), "serve")
	s.cmd.Env = append(os.Environ(), "DATA_DIR="+s.Dir, "PORT=0", "CONFIG_DIR=")
	s.cmd.Env = append(s.cmd.Env, s.env...)
	s.output = &output{}
	s.cmd.Stdout, s.cmd.Stderr = s.output, s.output
	_ = os.Remove(filepath.Join(s.Dir, "endpoints.json"))
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	exited := make(chan error, 1)
	s.exited = exited
	cmd := s.cmd
	go func() { exited <- cmd.Wait() }()
	s.waitReady()
}

func (s *Stack) waitReady() {
	s.t.Helper()
	deadline := time.Now().Add(startTimeout)
	for time.Now().Before(deadline) {
		select {
		case err := <-s.exited:
			s.exited <- err
			s.t.Fatalf("the stack ended before it was ready: %v\n%s", err, s.output)
		default:
		}
		raw, err := os.ReadFile(filepath.Join(s.Dir, "endpoints.json"))
		if err == nil && json.Unmarshal(raw, &s.Endpoints) == nil && ready(s.Public) {
			return
		}
		time.Sleep(2 * time.Millisecond)
	}
	s.t.Fatalf("the stack was not ready after %s\n%s", startTimeout, s.output)
}

func ready(base string) bool {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/readyz", nil)
	if err != nil {
		return false
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	_, _ = io.Copy(io.Discard, res.Body)
	_ = res.Body.Close()
	return res.StatusCode == http.StatusOK
}

// answers reports whether anything at all answers there.
func answers(base string) bool {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/", nil)
	if err != nil {
		return false
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	return res.Body.Close() == nil
}

// Kill sends SIGKILL and waits until the process is gone.
func (s *Stack) Kill() {
	s.t.Helper()
	if err := s.cmd.Process.Kill(); err != nil {
		s.t.Fatalf("kill: %v", err)
	}
	<-s.exited
}

// Stop sends SIGTERM and returns how the process ended.
func (s *Stack) Stop() error {
	s.t.Helper()
	return s.end()
}

func (s *Stack) end() error {
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("signal: %w", err)
	}
	select {
	case err := <-s.exited:
		return err
	case <-time.After(startTimeout):
		_ = s.cmd.Process.Kill()
		return fmt.Errorf("the stack did not end within %s", startTimeout)
	}
}

// Pid is the process.
func (s *Stack) Pid() int { return s.cmd.Process.Pid }

// Output is what the process has printed so far.
func (s *Stack) Output() string { return s.output.String() }

// RSS is the resident memory in bytes.
func (s *Stack) RSS() int64 { return statusBytes(s.t, s.Pid(), "VmRSS:") }

// PeakRSS is the most resident memory the process has ever had, in bytes.
func (s *Stack) PeakRSS() int64 { return statusBytes(s.t, s.Pid(), "VmHWM:") }

func statusBytes(t testing.TB, pid int, field string) int64 {
	t.Helper()
	raw, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(raw)) {
		if rest, ok := strings.CutPrefix(line, field); ok {
			kib, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return kib << 10
		}
	}
	t.Fatalf("no %s in the status of process %d", field, pid)
	return 0
}

// Bootstrap is <data>/bootstrap.json.
type Bootstrap struct {
	Admin struct {
		Username string `json:"username"`
		Password string `json:"password"`
	} `json:"admin"`
	APIKey         string `json:"api_key"`
	BootstrapToken string `json:"bootstrap_token"`
}

// Bootstrap reads what the first start left.
func (s *Stack) Bootstrap() Bootstrap {
	s.t.Helper()
	var b Bootstrap
	raw, err := os.ReadFile(filepath.Join(s.Dir, "bootstrap.json"))
	if err == nil {
		err = json.Unmarshal(raw, &b)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return b
}

func (s *Stack) cleanUp() {
	select {
	case err := <-s.exited:
		s.exited <- err
	default:
		if err := s.Stop(); err != nil {
			s.t.Errorf("the stack did not end well: %v", err)
		}
	}
	if s.t.Failed() {
		s.t.Logf("the stack printed:\n%s", tail(s.Output(), 6<<10))
	}
}

func tail(s string, n int) string { return s[max(0, len(s)-n):] }

// output keeps what a process prints, whoever reads meanwhile.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// RunCommand runs another command of the stack on the same folder to its end and returns exit code and output.
func (s *Stack) RunCommand(args ...string) (code int, out string) {
	s.t.Helper()
	cmd := exec.Command(Build(s.t, "cloakroom.dev/stack"), args...)
	cmd.Env = append(os.Environ(), "DATA_DIR="+s.Dir, "PORT=0", "CONFIG_DIR=")
	raw, _ := cmd.CombinedOutput()
	return cmd.ProcessState.ExitCode(), string(raw)
}
