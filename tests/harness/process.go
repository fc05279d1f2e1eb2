package harness

import (
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Process is one service on its own.
type Process struct {
	Name   string
	t      testing.TB
	cmd    *exec.Cmd
	output *output
	exited chan error
}

// StartProcess starts `<program> serve --config DIR` in dir and stops it when the test ends. It does not wait until the
// process is ready: services start in any order.
func StartProcess(t testing.TB, pkg, dir, config string) *Process {
	t.Helper()
	local(t)
	p := &Process{Name: filepath.Base(pkg), t: t, output: &output{}, exited: make(chan error, 1)}
	p.cmd = exec.Command(Build(t, pkg), "serve", "--config", config)
	p.cmd.Dir = dir
	p.cmd.Stdout, p.cmd.Stderr = p.output, p.output
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { p.exited <- p.cmd.Wait() }()
	t.Cleanup(func() {
		if err := p.Stop(); err != nil {
			t.Errorf("%s did not end well: %v", p.Name, err)
		}
		if t.Failed() {
			t.Logf("%s printed:\n%s", p.Name, tail(p.output.String(), 6<<10))
		}
	})
	return p
}

// Stop sends SIGTERM and returns how the process ended. A second Stop returns the same.
func (p *Process) Stop() error {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case err := <-p.exited:
		p.exited <- err
		return err
	case <-time.After(startTimeout):
		_ = p.cmd.Process.Kill()
		return fmt.Errorf("did not end within %s", startTimeout)
	}
}

// Signal sends a signal, SIGSTOP and SIGCONT among them.
func (p *Process) Signal(sig syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil {
		p.t.Fatal(err)
	}
}

// Pid is the process.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// WaitReady waits until a base URL answers /readyz.
func WaitReady(t testing.TB, base string) {
	t.Helper()
	for deadline := time.Now().Add(startTimeout); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if ready(base) {
			return
		}
	}
	t.Fatalf("%s was not ready after %s", base, startTimeout)
}

// FreeAddrs returns loopback addresses nobody listens on. Until the test ends no other test gets them, nor is one of them the near
// end of somebody's connection: they lie below the ports that the system gives out.
func FreeAddrs(t testing.TB, n int) []string {
	t.Helper()
	folder := filepath.Join(os.TempDir(), "cloakroom-test-ports")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	addrs := make([]string, 0, n)
	for tries := 0; len(addrs) < n; tries++ {
		if tries == 1000*n {
			t.Fatalf("%d free ports of %d", len(addrs), n)
		}
		port := strconv.Itoa(15_000 + rand.IntN(15_000))
		if addr := "127.0.0.1:" + port; reserve(t, filepath.Join(folder, port), addr) {
			addrs = append(addrs, addr)
		}
	}
	return addrs
}

// reserve takes a lock until the test ends, and reports whether it and the address were free.
func reserve(t testing.TB, lock, addr string) bool {
	t.Helper()
	f, err := os.OpenFile(lock, os.O_CREATE|os.O_RDWR|syscall.O_CLOEXEC, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil {
		_ = f.Close()
		return false
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		_ = f.Close()
		return false
	}
	_ = l.Close()
	t.Cleanup(func() { _ = f.Close() })
	return true
}

// WriteSecret writes the key that encrypts signing keys and returns its path.
func WriteSecret(t testing.TB, dir string) string {
	t.Helper()
	path := filepath.Join(dir, "key-encryption")
	key := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("k", 32)))
	if err := os.WriteFile(path, []byte(key+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// RunProgram runs a program to its end and returns exit code and output.
func RunProgram(t testing.TB, pkg string, args ...string) (code int, out string) {
	t.Helper()
	cmd := exec.Command(Build(t, pkg), args...)
	cmd.Dir = t.TempDir()
	raw, _ := cmd.CombinedOutput()
	return cmd.ProcessState.ExitCode(), string(raw)
}
