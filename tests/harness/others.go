package harness

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// Other is a server of other makers that ours is compared with.
type Other struct {
	Base string
	Dir  string // what it keeps
	cmd  *exec.Cmd
}

// StartOther starts a server that prints its address in its first line, in a new folder that its last argument names. It is killed when
// the test ends.
func StartOther(t testing.TB, program string, args ...string) *Other {
	t.Helper()
	o := &Other{Dir: t.TempDir()}
	o.cmd = exec.Command(program, append(args, o.Dir)...)
	o.cmd.Stderr = os.Stderr
	out, err := o.cmd.StdoutPipe()
	if err == nil {
		err = o.cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = o.cmd.Process.Kill()
		_ = o.cmd.Wait()
	})
	lines := make(chan string, 1)
	go func() {
		scan := bufio.NewScanner(out)
		for scan.Scan() {
			select {
			case lines <- scan.Text():
			default: // only the first is ours
			}
		}
	}()
	select {
	case line := <-lines:
		o.Base = strings.TrimSpace(line)
	case <-time.After(startTimeout):
		t.Fatalf("%s did not say where it is", program)
	}
	o.waitAnswer(t)
	return o
}

// waitAnswer waits until it answers anything.
func (o *Other) waitAnswer(t testing.TB) {
	t.Helper()
	for deadline := time.Now().Add(startTimeout); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if answers(o.Base) {
			return
		}
	}
	t.Fatalf("nothing answers at %s", o.Base)
}

// Pid is the process.
func (o *Other) Pid() int { return o.cmd.Process.Pid }

// Usage is what a process has used.
type Usage struct {
	CPU     time.Duration // of the user and of the kernel, in steps of 10 ms
	PeakRSS int64         // bytes
}

// UsageOf reads what a process has used since it began, and the most memory it has had since then or since ForgetPeak.
func UsageOf(t testing.TB, pid int) Usage {
	t.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(raw[strings.LastIndexByte(string(raw), ')')+1:]))
	var ticks int64
	for _, field := range fields[11:13] { // utime, stime
		var n int64
		if _, err := fmt.Sscan(field, &n); err != nil {
			t.Fatal(err)
		}
		ticks += n
	}
	return Usage{CPU: time.Duration(ticks) * (time.Second / 100), PeakRSS: statusBytes(t, pid, "VmHWM:")}
}

// ForgetPeak makes the process's peak of memory begin anew.
func ForgetPeak(t testing.TB, pid int) {
	t.Helper()
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0o600); err != nil {
		t.Fatal(err)
	}
}

// RSSOf is the resident memory of a process in bytes.
func RSSOf(t testing.TB, pid int) int64 { return statusBytes(t, pid, "VmRSS:") }
