package argon2

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"cloakroom.dev/libs/fault"
)

const (
	// helperIdle is how long a helper without work is kept: a start costs some 30 ms, an idle one some 20 MiB.
	helperIdle = 30 * time.Second
	// helperPatience is how long one job may take, far above the dearest hash that is allowed on a slow machine.
	helperPatience = time.Minute
)

var errHelper = fault.Retry(fault.Unavailable, "passwords can't be checked at this moment, try again shortly", time.Second)

// helpers are the processes that hash for this one. There are never more than the gate lets work at once.
type helpers struct {
	log   *slog.Logger
	count prometheus.Gauge

	mu     sync.Mutex
	idle   []*helper // the one used last comes last, and is used next
	closed bool
}

// helper is one process. It has one job at a time.
type helper struct {
	cmd      *exec.Cmd
	in       io.WriteCloser
	jobs     *json.Encoder
	outcomes *json.Decoder
	bedtime  *time.Timer // runs while idle
}

// do has a job done by a helper. A helper that was idle may have died meanwhile, so a second one is asked then.
func (hs *helpers) do(j job) (o outcome, err error) {
	for range 2 {
		h := hs.take()
		if h == nil {
			if h, err = hs.start(); err != nil {
				return o, fault.Wrap(fault.Unavailable, "passwords can't be checked at this moment", err)
			}
		}
		if o, err = h.do(j); err == nil {
			hs.put(h)
			if o.Failed != "" {
				return o, errors.New(o.Failed)
			}
			return o, nil
		}
		hs.end(h)
		hs.log.Warn("a process that hashes passwords has died", "error", err.Error())
	}
	return o, errHelper
}

func (hs *helpers) take() *helper {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	for len(hs.idle) > 0 {
		h := hs.idle[len(hs.idle)-1]
		hs.idle = hs.idle[:len(hs.idle)-1]
		if h.bedtime.Stop() {
			return h
		}
	}
	return nil
}

func (hs *helpers) put(h *helper) {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	if hs.closed {
		go hs.end(h)
		return
	}
	h.bedtime = time.AfterFunc(helperIdle, func() { hs.retire(h) })
	hs.idle = append(hs.idle, h)
}

// retire ends a helper that nobody has needed, unless somebody takes it in this very moment.
func (hs *helpers) retire(h *helper) {
	hs.mu.Lock()
	for i, other := range hs.idle {
		if other == h {
			hs.idle = append(hs.idle[:i], hs.idle[i+1:]...)
			break
		}
	}
	hs.mu.Unlock()
	hs.end(h)
}

// start makes a helper of this very program. It is given no environment: the service's secrets are none of its business.
func (hs *helpers) start() (*helper, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find the own program: %w", err)
	}
	cmd := exec.Command(program, helperWord) //nolint:gosec // the program that runs already
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
		return nil, fmt.Errorf("start a process to hash passwords: %w", err)
	}
	hs.count.Inc()
	return &helper{cmd: cmd, in: in, jobs: json.NewEncoder(in), outcomes: json.NewDecoder(out)}, nil
}

// end closes the pipe, which ends a helper that is well, and kills one that does not follow.
func (hs *helpers) end(h *helper) {
	_ = h.in.Close()
	kill := time.AfterFunc(time.Second, func() { _ = h.cmd.Process.Kill() })
	_ = h.cmd.Wait() // how it ended is of no interest: it has nothing of ours
	kill.Stop()
	hs.count.Dec()
}

// close ends the helpers, those at work when they have finished.
func (hs *helpers) close() {
	hs.mu.Lock()
	hs.closed = true
	idle := hs.idle
	hs.idle = nil
	hs.mu.Unlock()
	for _, h := range idle {
		if h.bedtime.Stop() {
			hs.end(h)
		}
	}
}

func (h *helper) do(j job) (o outcome, err error) {
	late := time.AfterFunc(helperPatience, func() { _ = h.cmd.Process.Kill() })
	defer late.Stop()
	if err := h.jobs.Encode(j); err != nil { //nolint:gosec // the password is what the helper is for; the pipe is ours alone
		return o, fmt.Errorf("hand over a password: %w", err)
	}
	if err := h.outcomes.Decode(&o); err != nil {
		return o, fmt.Errorf("wait for a password's hash: %w", err)
	}
	return o, nil
}
