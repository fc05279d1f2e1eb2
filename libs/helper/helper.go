// Package helper has jobs done by processes of the program that asks: for work whose memory or share of the processors shall never be
// the service's own.
//
//	main -> Kind.Main: in a process that was started as a helper, works and exits; in every other, says that there can be helpers
//	service -> Kind.Start -> Process.Do, one job after the other -> Process.End
//
// Jobs and outcomes are JSON on the helper's standard input and output. A helper is the very program that runs, also after another
// version has taken its place in the filesystem (unless it does so in the moment of the start). It has no environment: the service's
// secrets are none of its business. It ends when the service does, however that ends.
package helper

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"
)

// Kind is one kind of work.
type Kind[Job, Outcome any] struct {
	word     string
	patience time.Duration
	possible atomic.Bool
}

// NewKind makes a kind of work. The word is the one argument of its helpers; patience is how long one job may take.
func NewKind[Job, Outcome any](word string, patience time.Duration) *Kind[Job, Outcome] {
	return &Kind[Job, Outcome]{word: word, patience: patience}
}

// Main must come first in the main function of a program that shall have helpers. In a process that was started as one it begins, works
// and does not return; in every other it returns at once.
func (k *Kind[Job, Outcome]) Main(begin func() (work func(Job) Outcome)) {
	if len(os.Args) != 2 || os.Args[1] != k.word {
		k.possible.Store(true)
		return
	}
	// The parent ends us by closing the pipe, after we have finished what it waits for; a signal to the whole group is its own.
	signal.Ignore(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	if err := serve(os.Stdin, os.Stdout, begin()); err != nil {
		os.Exit(1)
	}
	os.Exit(0)
}

// Possible reports whether this program can have helpers: whether Main was called.
func (k *Kind[Job, Outcome]) Possible() bool { return k.possible.Load() }

// serve does one job after the other until in ends.
func serve[Job, Outcome any](in io.Reader, out io.Writer, work func(Job) Outcome) error {
	jobs, outcomes := json.NewDecoder(in), json.NewEncoder(out)
	for {
		var j Job
		if err := jobs.Decode(&j); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if err := outcomes.Encode(work(j)); err != nil {
			return err
		}
	}
}

// Process is a helper. It has one job at a time, which its callers see to.
type Process[Job, Outcome any] struct {
	Cmd      *exec.Cmd // as it was started
	patience time.Duration
	in       io.WriteCloser
	jobs     *json.Encoder
	outcomes *json.Decoder
}

// Start starts a helper. The caller must End it.
func (k *Kind[Job, Outcome]) Start() (*Process[Job, Outcome], error) {
	program, err := running()
	if err != nil {
		return nil, fmt.Errorf("find the own program: %w", err)
	}
	cmd := exec.Command(program, k.word) //nolint:gosec // the program that runs already
	cmd.Env = []string{}
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start a process to help: %w", err)
	}
	return &Process[Job, Outcome]{Cmd: cmd, patience: k.patience, in: in, jobs: json.NewEncoder(in), outcomes: json.NewDecoder(out)}, nil
}

// running is the program that runs: by its name, which is what people see in a list of processes, as long as that is it.
func running() (string, error) {
	const self = "/proc/self/exe" // Linux
	runs, err := os.Stat(self)
	if err != nil {
		return os.Executable()
	}
	if path, err := os.Executable(); err == nil {
		if is, err := os.Stat(path); err == nil && os.SameFile(is, runs) {
			return path, nil
		}
	}
	return self, nil
}

// Do has the helper do a job. After an error it is of no use any more and must be ended.
func (p *Process[Job, Outcome]) Do(j Job) (o Outcome, err error) {
	late := time.AfterFunc(p.patience, func() { _ = p.Cmd.Process.Kill() })
	defer late.Stop()
	if err := p.jobs.Encode(j); err != nil {
		return o, fmt.Errorf("hand a job to the process that helps: %w", err)
	}
	if err := p.outcomes.Decode(&o); err != nil {
		return o, fmt.Errorf("wait for the process that helps: %w", err)
	}
	return o, nil
}

// endsWithin is how long a helper that is well may take to end: a machine may be busy, and the race detector waits a second at each exit.
const endsWithin = 5 * time.Second

// End closes the pipe, which ends a helper that is well, and kills one that does not follow.
func (p *Process[Job, Outcome]) End() {
	_ = p.in.Close()
	kill := time.AfterFunc(endsWithin, func() { _ = p.Cmd.Process.Kill() })
	_ = p.Cmd.Wait() // how it ended is of no interest: it has nothing of ours
	kill.Stop()
}
