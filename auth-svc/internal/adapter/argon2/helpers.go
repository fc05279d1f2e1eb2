package argon2

import (
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/helper"
)

// helperIdle is how long a helper without work is kept: a start costs some 30 ms, an idle one some 20 MiB.
const helperIdle = 30 * time.Second

var errHelper = fault.Retry(fault.Unavailable, "passwords can't be checked at this moment, try again shortly", time.Second)

// helpers are the processes that hash for this one. There are never more than the gate lets work at once.
type helpers struct {
	log   *slog.Logger
	count prometheus.Gauge

	mu     sync.Mutex
	idle   []*process // the one used last comes last, and is used next
	closed bool
}

// process is one of them.
type process struct {
	*helper.Process[job, outcome]
	bedtime *time.Timer // runs while idle
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
		if o, err = h.Do(j); err == nil {
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

func (hs *helpers) take() *process {
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

func (hs *helpers) put(h *process) {
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
func (hs *helpers) retire(h *process) {
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

func (hs *helpers) start() (*process, error) {
	p, err := kind.Start()
	if err != nil {
		return nil, err
	}
	hs.count.Inc()
	return &process{Process: p}, nil
}

func (hs *helpers) end(h *process) {
	h.End()
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
