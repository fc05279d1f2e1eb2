// Package run is the life of a process: its commands, its listeners, its ops port and its end.
//
//	Main: flags and commands, exit codes, SIGINT and SIGTERM
//	Serve: listen -> ready -> (signal) not ready -> drain delay -> finish what runs -> stop tasks -> return
//	Ops: /metrics /livez /readyz /version /debug/pprof, on a port of its own
//
// The drain order is what lets a rolling update lose no request: readiness goes first and the listeners stay open for
// the drain delay, since load balancers learn of it late; then running requests are finished, up to the drain timeout.
package run

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"time"

	"golang.org/x/sync/errgroup"

	"cloakroom.dev/libs/hop"
	"cloakroom.dev/libs/web"
)

// Stage is when a server goes in a drain: fronts first, while the servers they call still answer.
type Stage int

// The stages, in the order they go. Tasks end between Back and OpsPort, so that a drain can be watched to its end.
const (
	Front Stage = iota
	Back
	OpsPort
)

// Server is a handler on a listener that is open already.
type Server struct {
	Name     string
	Listener net.Listener
	Handler  http.Handler
	Stage    Stage
	// Configure may change the http.Server before it serves; nil leaves the house's bounds.
	Configure func(*http.Server)
}

// ServeOptions is how a process lives and ends.
type ServeOptions struct {
	Log          *slog.Logger
	Ops          *Ops          // told when draining begins; may be nil
	DrainDelay   time.Duration // how long to keep accepting after readiness went down
	DrainTimeout time.Duration // how long running requests may take after that; zero means 30 s
}

const defaultDrainTimeout = 30 * time.Second

// settled is when what starting up took is given back to the machine: by then a process has read its configuration and stands, and
// hardly any of that memory is needed again.
const settled = 500 * time.Millisecond

func giveBack(log *slog.Logger) {
	debug.FreeOSMemory()
	if err := giveBackProgram(); err != nil {
		log.Debug("pages of the program that only starting needed stay mapped", "error", err.Error())
	}
}

// Serve serves until ctx ends or a server or task fails, then drains and waits for everything it started. Tasks
// run until the context they are given ends, which is after the last request has been answered. It returns the first
// failure, or nil after a drain that was asked for.
func Serve(ctx context.Context, opts ServeOptions, servers []Server, tasks ...func(context.Context) error) error {
	if opts.DrainTimeout == 0 {
		opts.DrainTimeout = defaultDrainTimeout
	}
	// Tasks outlive ctx: requests that are being finished still need them.
	taskCtx, stopTasks := context.WithCancel(context.WithoutCancel(ctx))
	defer stopTasks()
	group, groupCtx := errgroup.WithContext(taskCtx)
	for _, task := range tasks {
		group.Go(func() error {
			if err := task(groupCtx); err != nil && !errors.Is(err, context.Canceled) {
				return err
			}
			return nil
		})
	}
	ending := make(chan struct{})
	running := make([]*http.Server, len(servers))
	for i, s := range servers {
		running[i] = start(group, s, opts.Log, ending)
	}
	defer time.AfterFunc(settled, func() { giveBack(opts.Log) }).Stop()
	select {
	case <-ctx.Done():
		drainDelay(groupCtx, opts)
	case <-groupCtx.Done(): // something failed: there is no point in waiting for load balancers
	}
	close(ending)
	fronts := shutdown(servers, running, opts, Front)
	backs := shutdown(servers, running, opts, Back)
	stopTasks()
	ops := shutdown(servers, running, opts, OpsPort)
	return errors.Join(group.Wait(), fronts, backs, ops)
}

func start(group *errgroup.Group, s Server, log *slog.Logger, ending <-chan struct{}) *http.Server {
	srv := web.NewServer(s.Handler, log)
	draining := make(chan struct{})
	srv.BaseContext = func(net.Listener) context.Context {
		ctx := context.WithValue(context.Background(), endingKey{}, ending)
		return context.WithValue(ctx, drainingKey{}, (<-chan struct{})(draining))
	}
	srv.RegisterOnShutdown(func() { close(draining) })
	if s.Configure != nil {
		s.Configure(srv)
	}
	if inside, ok := s.Listener.(*hop.Listener); ok {
		inside.Handle(srv.BaseContext(inside), srv.Handler)
	}
	group.Go(func() error {
		if err := srv.Serve(s.Listener); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serve %s on %s: %w", s.Name, s.Listener.Addr(), err)
		}
		return nil
	})
	return srv
}

type drainingKey struct{}

// Draining returns a channel that closes when the server of the request begins to shut down. Answers without an end
// (streams that are followed) watch it, since a shutdown waits for every answer. Outside Serve it never closes.
func Draining(ctx context.Context) <-chan struct{} {
	ch, _ := ctx.Value(drainingKey{}).(<-chan struct{})
	return ch
}

type endingKey struct{}

// Ending returns a channel that closes when the process begins to end, before Draining's of the servers behind the fronts:
// a front waits for its requests, so one that hangs on a long request of a server behind it would wait for that. Long requests
// that lose nothing when they are interrupted watch it. Outside Serve it never closes.
func Ending(ctx context.Context) <-chan struct{} {
	ch, _ := ctx.Value(endingKey{}).(<-chan struct{})
	return ch
}

func drainDelay(ctx context.Context, opts ServeOptions) {
	if opts.Ops != nil {
		opts.Ops.Drain()
	}
	opts.Log.Info("draining", "delay", opts.DrainDelay.String(), "timeout", opts.DrainTimeout.String())
	select {
	case <-time.After(opts.DrainDelay):
	case <-ctx.Done():
	}
}

// shutdown finishes the running requests of the servers of a stage. Requests that outlast the timeout are cut.
func shutdown(servers []Server, running []*http.Server, opts ServeOptions, stage Stage) error {
	ctx, cancel := context.WithTimeout(context.Background(), opts.DrainTimeout)
	defer cancel()
	var group errgroup.Group
	for i, srv := range running {
		if servers[i].Stage != stage {
			continue
		}
		group.Go(func() error {
			err := srv.Shutdown(ctx)
			if inside, ok := servers[i].Listener.(*hop.Listener); ok {
				err = errors.Join(err, inside.Finish(ctx))
			}
			if err != nil {
				opts.Log.Warn("requests outlasted the drain and were cut", "listener", servers[i].Name)
				return srv.Close()
			}
			return nil
		})
	}
	return group.Wait()
}
