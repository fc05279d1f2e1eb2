// Package process is the life of one service as a process of its own: `serve --config DIR`, or `--config SCHEME://ADDRESS` where
// the program knows other sources than folders.
//
//	flags -> resources -> the service's boot object -> logs, metrics, traces, status files
//	      -> New -> listeners -> ready -> (signal) drain -> Close -> last spans out
//
// What the services share of that is here once; what differs is a Program. The stack, which runs three services in one
// process, calls their New itself.
package process

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"

	"cloakroom.dev/libs/api/v1alpha1"
	"cloakroom.dev/libs/resource"
	"cloakroom.dev/libs/resource/check"
	"cloakroom.dev/libs/run"
	"cloakroom.dev/libs/telemetry"
)

// flushTimeout bounds how long the last spans may keep a process that is going away.
const flushTimeout = 3 * time.Second

// Deps are what a service shares with its process. All are needed; Registerer must be the service's own.
type Deps struct {
	Log        *slog.Logger
	Registerer prometheus.Registerer
	Tracer     trace.TracerProvider
	Source     resource.Source
}

// Service is what every service's New returns: it has started nothing, Run works until its context ends, Close comes last.
type Service interface {
	Ready(ctx context.Context) error
	Run(ctx context.Context) error
	Close() error
}

// Endpoint is one listener of a service.
type Endpoint struct {
	Name      string
	Address   v1alpha1.Address
	Handler   http.Handler
	Stage     run.Stage
	Wrap      func(net.Listener) net.Listener // may be nil
	Configure func(*http.Server)              // may be nil
}

// Drainer is a Service that wants to know when the process is about to go away, while requests still come.
type Drainer interface{ Drain() }

// Life is what every boot object says about the process itself.
type Life struct {
	Ops       v1alpha1.Listener
	Drain     v1alpha1.Drain
	Telemetry v1alpha1.Telemetry
	StateDir  v1alpha1.FilePath
}

// Program is one service's own part. Boot is the type of its boot object.
type Program[Boot resource.Object] struct {
	Name  string      // as in metrics, logs and traces: auth-svc
	Kinds []string    // the resources it reads; a folder may hold others
	Rules check.Rules // what `check` looks for beyond the schemas; may be nil
	Needs check.Rules // what must be there before Open can succeed, beyond the boot object; may be nil

	Schemes []Scheme // sources beside folders
	Life    func(Boot) Life
	// Open makes the service and says what it serves, and what more the ops port shows.
	Open func(ctx context.Context, boot Boot, deps Deps) (Service, []Endpoint, map[string]http.Handler, error)
}

// Serve is the whole process. It returns when ctx has ended and everything is drained.
func Serve[Boot resource.Object](ctx context.Context, p Program[Boot], config []string, log *slog.Logger) (err error) {
	reg := telemetry.NewRegistry()
	own := prometheus.WrapRegistererWith(prometheus.Labels{"service": p.Name}, reg) // the stack's series look the same
	source, err := p.source(config, log, own)
	if err != nil {
		return err
	}
	boot, err := p.await(ctx, source, log)
	if err != nil || ctx.Err() != nil {
		return err // told to stop before there was anything to serve
	}
	deps := Deps{Log: log, Registerer: own, Source: source}
	life := p.Life(boot)
	tracer, flush, err := telemetry.NewTracing(ctx, telemetry.TracingOptions{
		Service: p.Name, Endpoint: string(life.Telemetry.OTLPEndpoint), Ratio: life.Telemetry.Ratio(), Registerer: own,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, Flush(flush)) }()
	deps.Tracer = tracer
	if life.StateDir != "" {
		if err := source.KeepStatus(string(life.StateDir)); err != nil {
			return err
		}
	}
	service, endpoints, more, err := p.Open(ctx, boot, deps)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, service.Close()) }()
	ops := run.NewOps(reg)
	ops.Ready(p.Name, service.Ready)
	ops.Ready("configuration", source.Ready)
	if d, ok := service.(Drainer); ok {
		ops.OnDrain(d.Drain)
	}
	ops.Handle("GET /-/resources", source)
	for pattern, h := range more {
		ops.Handle(pattern, h)
	}
	endpoints = append(endpoints, Endpoint{Name: "ops", Address: life.Ops.Address, Handler: ops, Stage: run.OpsPort})
	servers, err := listen(ctx, endpoints, log)
	if err != nil {
		return err
	}
	return run.Serve(ctx, run.ServeOptions{
		Log: log, Ops: ops, DrainDelay: life.Drain.Delay.Std(), DrainTimeout: life.Drain.Timeout.Std(),
	}, servers, service.Run, source.Run)
}

// listen opens all listeners or none.
func listen(ctx context.Context, endpoints []Endpoint, log *slog.Logger) ([]run.Server, error) {
	var servers []run.Server
	var lc net.ListenConfig
	for _, e := range endpoints {
		l, err := lc.Listen(ctx, "tcp", string(e.Address))
		if err != nil {
			err = fmt.Errorf("open the %s listener: %w", e.Name, err)
			for _, s := range servers {
				err = errors.Join(err, s.Listener.Close())
			}
			return nil, err
		}
		log.InfoContext(ctx, "listening", "listener", e.Name, "address", l.Addr().String())
		if e.Wrap != nil {
			l = e.Wrap(l)
		}
		servers = append(servers, run.Server{Name: e.Name, Listener: l, Handler: e.Handler, Stage: e.Stage, Configure: e.Configure})
	}
	return servers, nil
}

// Flush sends the last spans out, for as long as a process that is going away should wait.
func Flush(flush func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), flushTimeout)
	defer cancel()
	return flush(ctx)
}
