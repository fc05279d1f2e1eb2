package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	authsvc "cloakroom.dev/auth-svc"
	filessvc "cloakroom.dev/files-svc"
	"cloakroom.dev/gateway"
	"cloakroom.dev/libs/api/v1alpha1"
	"cloakroom.dev/libs/hop"
	"cloakroom.dev/libs/process"
	"cloakroom.dev/libs/resource"
	"cloakroom.dev/libs/resource/dir"
	"cloakroom.dev/libs/run"
	"cloakroom.dev/libs/telemetry"
)

// stack is what the three services share, and where each of them listens.
type stack struct {
	folder   *folder
	log      *slog.Logger
	logger   func(service string) *slog.Logger
	registry *prometheus.Registry
	source   *dir.Source
	boot     boots
	ops      *run.Ops
	at       listeners
	moved    bool // PORT overrides where people come in, so links must follow
	closers  []func() error
}

// boots are the three boot objects.
type boots struct {
	gateway *v1alpha1.GatewayConfig
	auth    *v1alpha1.AuthConfig
	files   *v1alpha1.FilesConfig
}

// listeners are open before anything else is made, so that each part can be told where the others are. What the gateway passes
// requests to is in this process and has no port; the others but the first are on free loopback ports: two stacks never collide.
type listeners struct {
	public, internal, ops net.Listener
	auth, files           *hop.Listener
}

// serve is the stack's life, from the folder to the drain.
func serve(ctx context.Context, o options, to run.IO) (err error) {
	s := &stack{registry: telemetry.NewRegistry()}
	lines := telemetry.Gather(to.Stderr)
	to.Stderr = lines
	defer func() { _ = lines.Close() }() // a log that can't be written fails nobody
	defer func() { err = errors.Join(err, s.close()) }()
	if s.folder, err = openFolder(o.data, "DATA_DIR"); err != nil {
		return err
	}
	s.closers = append(s.closers, s.folder.close)
	if err := s.configure(ctx, o, to); err != nil {
		return err
	}
	if err := s.listen(ctx, o.port, o.ops); err != nil {
		return err
	}
	servers, tasks, err := s.assemble(ctx)
	if err != nil {
		return err
	}
	tasks = append(tasks, func(ctx context.Context) error { return s.announce(ctx, o, to) })
	drain := s.boot.gateway.Spec.Drain
	return run.Serve(ctx, run.ServeOptions{
		Log: s.log, Ops: s.ops, DrainDelay: drain.Delay.Std(), DrainTimeout: drain.Timeout.Std(),
	}, servers, tasks...)
}

// configure makes what the first start makes, and reads the resources.
func (s *stack) configure(ctx context.Context, o options, to run.IO) error {
	s.logger = func(name string) *slog.Logger { return telemetry.NewLogger(to.Stderr, o.level, name) }
	s.log = s.logger("stack")
	if o.config == "" {
		made, err := s.folder.makeConfig()
		if err != nil {
			return err
		}
		o.config = made
	}
	if err := s.folder.makeSecret(); err != nil {
		return err
	}
	if _, err := os.Stat(o.config); err != nil {
		return fmt.Errorf("the folder of resources: %w; set CONFIG_DIR to one, or leave it out to have one made", err)
	}
	s.source = dir.New(o.config, dir.Options{
		Log: s.log, Registerer: prometheus.WrapRegistererWith(prometheus.Labels{"service": "stack"}, s.registry),
	})
	snapshot, err := s.source.Load(ctx)
	if err != nil {
		return err
	}
	if err := s.source.KeepStatus(s.folder.path); err != nil {
		return err
	}
	var missing [3]error
	s.boot.gateway, missing[0] = resource.One[*v1alpha1.GatewayConfig](snapshot)
	s.boot.auth, missing[1] = resource.One[*v1alpha1.AuthConfig](snapshot)
	s.boot.files, missing[2] = resource.One[*v1alpha1.FilesConfig](snapshot)
	if err := errors.Join(missing[:]...); err != nil {
		return fmt.Errorf("%w\nsee what is wrong with `gateway check %s`, or move the folder away to have it made anew", err, o.config)
	}
	return nil
}

// listen opens every listener. The public one is where GatewayConfig says, on the port that was asked for, if one was. Of the
// others only that of ops has a port that people may want to know beforehand.
func (s *stack) listen(ctx context.Context, port, ops string) error {
	host, configured, err := net.SplitHostPort(string(s.boot.gateway.Spec.Listeners.Public.Address))
	if err != nil {
		return fmt.Errorf("read the gateway's address: %w", err)
	}
	if s.moved = port != ""; !s.moved {
		port = configured
	}
	s.at.auth, s.at.files = hop.Listen("auth-svc"), hop.Listen("files-svc")
	s.closers = append(s.closers, s.at.auth.Close, s.at.files.Close)
	var lc net.ListenConfig
	for _, l := range []struct {
		listener *net.Listener
		address  string
		variable string
	}{
		{&s.at.public, net.JoinHostPort(host, port), "PORT"},
		{&s.at.ops, net.JoinHostPort("127.0.0.1", cmp.Or(ops, "0")), "OPS_PORT"},
		{&s.at.internal, loopback, ""},
	} {
		opened, err := lc.Listen(ctx, "tcp", l.address)
		if err != nil && l.variable != "" {
			return fmt.Errorf("%w; set %s to a free port", err, l.variable)
		}
		if err != nil {
			return err
		}
		*l.listener = opened
		s.closers = append(s.closers, func() error { return closeOnce(opened) })
	}
	return nil
}

const loopback = "127.0.0.1:0"

// closeOnce closes a listener that a server may have closed already.
func closeOnce(l net.Listener) error {
	if err := l.Close(); !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

// assemble makes the three services. What each keeps is in the folder, whatever its boot object's relative paths are.
func (s *stack) assemble(ctx context.Context) (servers []run.Server, tasks []func(context.Context) error, err error) {
	s.ops = run.NewOps(s.registry)
	s.ops.Handle("GET /-/resources", s.source)

	auth, err := open(ctx, s, "auth-svc", s.boot.auth.Spec.Telemetry, func(deps process.Deps) (*authsvc.Service, error) {
		cfg := authsvc.Config{Boot: s.boot.auth, BaseDir: s.folder.path}
		if s.moved {
			cfg.PublicBaseURL = publicURL(s.at.public)
		}
		return authsvc.New(ctx, cfg, deps)
	})
	if err != nil {
		return nil, nil, err
	}
	files, err := open(ctx, s, "files-svc", s.boot.files.Spec.Telemetry, func(deps process.Deps) (*filessvc.Service, error) {
		cfg := filessvc.Config{Boot: s.boot.files, BaseDir: s.folder.path, AuthURL: url(s.at.internal)}
		if s.moved {
			cfg.PublicBaseURL = publicURL(s.at.public)
		}
		return filessvc.New(ctx, cfg, deps)
	})
	if err != nil {
		return nil, nil, err
	}
	front, err := open(ctx, s, "gateway", s.boot.gateway.Spec.Telemetry, func(deps process.Deps) (*gateway.Service, error) {
		return gateway.New(ctx, gateway.Config{
			Boot: s.boot.gateway, BaseDir: s.folder.path, AuthInternalURL: url(s.at.internal),
			Auth: s.at.auth, Files: s.at.files,
		}, deps)
	})
	if err != nil {
		return nil, nil, err
	}
	s.ops.OnDrain(front.Drain)
	for pattern, h := range auth.OpsHandlers() {
		s.ops.Handle(pattern, h)
	}
	for pattern, h := range front.OpsHandlers() {
		s.ops.Handle(pattern, h)
	}
	return []run.Server{
		{Name: "public", Listener: front.Listen(s.at.public), Handler: front.Handler(), Stage: run.Front, Configure: front.ConfigureServer},
		{Name: "auth", Listener: s.at.auth, Handler: auth.Handler(), Stage: run.Back},
		{Name: "auth-internal", Listener: s.at.internal, Handler: auth.InternalHandler(), Stage: run.Back},
		{Name: "files", Listener: s.at.files, Handler: files.Handler(), Stage: run.Back},
		{Name: "ops", Listener: s.at.ops, Handler: s.ops, Stage: run.OpsPort},
	}, []func(context.Context) error{auth.Run, files.Run, front.Run}, nil
}

// open makes one service with logs, metrics and traces of its own name, as if it were a process of its own.
func open[S process.Service](ctx context.Context, s *stack, name string, t v1alpha1.Telemetry, newService func(process.Deps) (S, error)) (S, error) {
	var none S
	reg := prometheus.WrapRegistererWith(prometheus.Labels{"service": name}, s.registry)
	tracer, flush, err := telemetry.NewTracing(ctx, telemetry.TracingOptions{
		Service: name, Endpoint: string(t.OTLPEndpoint), Ratio: t.Ratio(), Registerer: reg,
	})
	if err != nil {
		return none, err
	}
	s.closers = append(s.closers, func() error { return process.Flush(flush) })
	service, err := newService(process.Deps{Log: s.logger(name), Source: s.source, Tracer: tracer, Registerer: reg})
	if err != nil {
		return none, fmt.Errorf("%s: %w", name, err)
	}
	s.closers = append(s.closers, service.Close)
	s.ops.Ready(name, service.Ready)
	return service, nil
}

func url(l net.Listener) string { return "http://" + l.Addr().String() }

// announce waits until everything is ready and then tells people and programs where it is.
func (s *stack) announce(ctx context.Context, o options, to run.IO) error {
	for s.ops.Err(ctx) != nil {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(5 * time.Millisecond):
		}
	}
	e := endpoints{Public: publicURL(s.at.public), Ops: url(s.at.ops)}
	if err := s.folder.writeEndpoints(e); err != nil {
		return err
	}
	config := o.config
	if config == "" {
		config = s.folder.join("config")
	}
	banner(to.Stdout, e, s.folder.path, config, s.source.Findings())
	<-ctx.Done()
	return nil
}

// publicURL is how a browser on this machine reaches the gateway.
func publicURL(l net.Listener) string {
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return "http://localhost:" + port
}

// close undoes in reverse what was opened.
func (s *stack) close() error {
	var errs []error
	for i := len(s.closers) - 1; i >= 0; i-- {
		errs = append(errs, s.closers[i]())
	}
	return errors.Join(errs...)
}
