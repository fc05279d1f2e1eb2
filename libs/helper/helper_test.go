package helper

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// What helpers of the tests' own program do: answer, hang, or die.
var tested = NewKind[string, string]("help-the-test", time.Second)

func TestMain(m *testing.M) {
	tested.Main(func() func(string) string {
		begun := "begun"
		return func(job string) string {
			switch job {
			case "hang":
				time.Sleep(time.Hour)
			case "die":
				os.Exit(3)
			case "environment":
				return strings.Join(os.Environ(), " ")
			}
			return begun + " " + job
		}
	})
	if len(os.Args) == 3 && os.Args[1] == "replaced" {
		replaced(os.Args[2])
	}
	os.Exit(m.Run())
}

func start(t *testing.T) *Process[string, string] {
	t.Helper()
	p, err := tested.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Cmd.Process.Kill() })
	return p
}

func TestProcess_DoesOneJobAfterTheOther(t *testing.T) {
	if !tested.Possible() {
		t.Fatal("Main was called, and no helper is possible")
	}
	t.Setenv("SECRET", "x")
	p := start(t)
	for job, want := range map[string]string{"a": "begun a", "b": "begun b", "environment": ""} {
		if got, err := p.Do(job); err != nil || got != want {
			t.Errorf("%s: got %q, %v", job, got, err)
		}
		// One that is sent to the whole group, as a terminal does: who ends is the service's to say.
		if err := p.Cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Error(err)
		}
	}
	p.End()
	if program, err := os.Executable(); err != nil || p.Cmd.Path != program {
		t.Errorf("it ran as %s, not as %s, %v", p.Cmd.Path, program, err)
	}
	if !p.Cmd.ProcessState.Success() {
		t.Errorf("it ended with %v", p.Cmd.ProcessState)
	}
}

func TestProcess_HangsOrDies(t *testing.T) {
	for _, job := range []string{"hang", "die"} {
		p := start(t)
		began := time.Now()
		if got, err := p.Do(job); err == nil {
			t.Errorf("%s: got %q", job, got)
		}
		p.End()
		if took := time.Since(began); took > 20*time.Second {
			t.Errorf("%s: known after %v", job, took)
		}
	}
}

func TestProcess_EndKillsOneThatDoesNotFollow(t *testing.T) {
	p := start(t)
	if err := p.jobs.Encode("hang"); err != nil {
		t.Fatal(err)
	}
	p.End()
	if status, ok := p.Cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGKILL {
		t.Errorf("it ended with %v", p.Cmd.ProcessState)
	}
}

// Another version is another program: it may know other jobs.
func TestProcess_IsTheProgramThatRuns(t *testing.T) {
	if _, err := os.Stat("/proc/self/exe"); err != nil {
		t.Log("only Linux tells which program runs")
		return
	}
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(program, self, 0o700); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(program, "replaced", program).CombinedOutput()
	if err != nil || string(out) != "begun a" {
		t.Errorf("%v, %s", err, out)
	}
}

// replaced is a service whose program is replaced before it wants help.
func replaced(program string) {
	err := os.Remove(program)
	if err == nil {
		err = os.WriteFile(program, []byte("#!/bin/false\n"), 0o700)
	}
	var p *Process[string, string]
	if err == nil {
		p, err = tested.Start()
	}
	var said string
	if err == nil {
		said, err = p.Do("a")
	}
	if err != nil {
		said = err.Error()
	}
	_, _ = io.WriteString(os.Stdout, said)
	os.Exit(0)
}

func TestServe_EndsWithItsInput(t *testing.T) {
	var out bytes.Buffer
	work := func(n int) int { return n + 1 }
	if err := serve(strings.NewReader("1 2"), &out, work); err != nil || out.String() != "2\n3\n" {
		t.Errorf("%v, %q", err, out.String())
	}
	if err := serve(strings.NewReader("1 x"), &out, work); err == nil {
		t.Error("what is no job was done")
	}
}
