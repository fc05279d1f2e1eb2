package run

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/pprof"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// readyTimeout bounds one readiness check; a part that does not answer is not ready.
const readyTimeout = 2 * time.Second

// Ops is the handler of the ops port. It must never be reachable from outside.
type Ops struct {
	mux      *http.ServeMux
	mu       sync.Mutex
	checks   []check
	onDrain  []func()
	draining atomic.Bool
}

type check struct {
	name string
	fn   func(context.Context) error
}

// NewProbes makes an ops handler that only says whether the process lives and is ready.
func NewProbes() *Ops {
	o := &Ops{mux: http.NewServeMux()}
	o.mux.HandleFunc("GET /livez", Live)
	o.mux.HandleFunc("GET /readyz", o.ServeReady)
	return o
}

// NewOps makes the ops handler over what gatherer has.
func NewOps(gatherer prometheus.Gatherer) *Ops {
	o := NewProbes()
	o.mux.Handle("GET /metrics", promhttp.HandlerFor(gatherer, promhttp.HandlerOpts{EnableOpenMetrics: true}))
	o.mux.HandleFunc("GET /version", ServeVersion)
	o.mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	o.mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	o.mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	o.mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	o.mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	return o
}

// Ready adds a condition of readiness.
func (o *Ops) Ready(name string, fn func(context.Context) error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.checks = append(o.checks, check{name, fn})
}

// Handle adds a handler; the pattern is net/http's.
func (o *Ops) Handle(pattern string, h http.Handler) { o.mux.Handle(pattern, h) }

// OnDrain has fn called when the process stops being ready for good.
func (o *Ops) OnDrain(fn func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.onDrain = append(o.onDrain, fn)
}

// Drain makes the process not ready for good.
func (o *Ops) Drain() {
	if o.draining.Swap(true) {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, fn := range o.onDrain {
		fn()
	}
}

func (o *Ops) ServeHTTP(w http.ResponseWriter, r *http.Request) { o.mux.ServeHTTP(w, r) }

// Live answers that the process runs. It checks nothing: a restart helps against nothing that we could check here.
func Live(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, map[string]string{"status": "live"})
}

// ServeReady answers 200 when every condition holds and 503 with the ones that do not, and why. It is for the ops port.
func (o *Ops) ServeReady(w http.ResponseWriter, r *http.Request) {
	waiting := o.notReady(r.Context())
	if len(waiting) == 0 {
		answer(w, http.StatusOK, map[string]any{"status": "ready"})
		return
	}
	answer(w, http.StatusServiceUnavailable, map[string]any{"status": "not ready", "waiting_for": waiting})
}

// ServePublicReady is ServeReady without the reasons, for everybody.
func (o *Ops) ServePublicReady(w http.ResponseWriter, r *http.Request) {
	if len(o.notReady(r.Context())) > 0 {
		answer(w, http.StatusServiceUnavailable, map[string]string{"status": "not ready"})
		return
	}
	answer(w, http.StatusOK, map[string]string{"status": "ready"})
}

// Err returns nil when the process is ready, else what it waits for.
func (o *Ops) Err(ctx context.Context) error {
	var errs []error
	for name, why := range o.notReady(ctx) {
		errs = append(errs, fmt.Errorf("%s: %s", name, why))
	}
	return errors.Join(errs...)
}

// notReady returns what the process waits for, by name; empty means ready.
func (o *Ops) notReady(ctx context.Context) map[string]string {
	if o.draining.Load() {
		return map[string]string{"drain": "the process is going away"}
	}
	o.mu.Lock()
	checks := slices.Clone(o.checks)
	o.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	waiting := map[string]string{}
	for _, c := range checks {
		if err := c.fn(ctx); err != nil {
			waiting[c.name] = err.Error()
		}
	}
	return waiting
}

// ServeVersion answers with what was built.
func ServeVersion(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, Version()) }

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}
