package filessvc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"cloakroom.dev/libs/api/v1alpha1"
	"cloakroom.dev/libs/resource"
	"cloakroom.dev/libs/resource/check"
	"cloakroom.dev/libs/resource/dir"
	"cloakroom.dev/libs/run"
	"cloakroom.dev/libs/telemetry"
)

// kinds are the resources this service reads; the folder may hold others.
var kinds = []string{v1alpha1.KindFilesConfig, v1alpha1.KindStoragePolicy}

// Commands is the command line of the files service alone.
func Commands() []run.Command {
	return []run.Command{
		{Name: "serve", Summary: "serve until SIGTERM: serve --config DIR", Run: serveCommand},
		{Name: "migrate", Summary: "bring the catalogue's schema up to date: migrate --config DIR", Run: migrateCommand},
		check.Command(CheckRules),
	}
}

// CheckRules finds what the schemas of the files service's resources can't.
func CheckRules(s *resource.Snapshot) (found []resource.Finding) {
	for _, boot := range resource.All[*v1alpha1.FilesConfig](s) {
		ref := string(boot.Spec.StoragePolicyRef.Name)
		if _, ok := resource.Named[*v1alpha1.StoragePolicy](s, ref); !ok {
			found = append(found, resource.Finding{
				Kind: v1alpha1.KindFilesConfig, Name: boot.GetName(), Field: "spec.storagePolicyRef.name",
				Message: fmt.Sprintf("there is no StoragePolicy %q: uploads would be refused", ref),
			})
		}
	}
	return found
}

// flags are what serve and migrate are told.
type flags struct {
	config string
	level  slog.Level
}

func parseFlags(name, usage string, args []string, to run.IO) (flags, error) {
	var f flags
	set := run.Flags(name, usage, to)
	set.StringVar(&f.config, "config", "", "folder of resources; it must hold one FilesConfig")
	set.TextVar(&f.level, "log-level", slog.LevelInfo, "debug, info, warn or error")
	if err := run.ParseFlags(set, args, 0, 0); err != nil {
		return f, err
	}
	if f.config == "" {
		return f, fmt.Errorf("%w: --config is needed", run.ErrUsage)
	}
	return f, nil
}

func serveCommand(ctx context.Context, args []string, to run.IO) error {
	f, err := parseFlags("serve", "Serves files until it is told to stop.", args, to)
	if err != nil {
		return err
	}
	return Serve(ctx, f.config, telemetry.NewLogger(to.Stderr, f.level, "files-svc"))
}

func migrateCommand(ctx context.Context, args []string, to run.IO) error {
	f, err := parseFlags("migrate", "Brings the schema of the catalogue up to date and exits.", args, to)
	if err != nil {
		return err
	}
	p, boot, err := load(ctx, f.config, telemetry.NewLogger(to.Stderr, f.level, "files-svc"))
	if err != nil {
		return err
	}
	if boot.Spec.Store.SQLite == nil {
		return errNoStore
	}
	_, db, err := openCatalog(ctx, string(boot.Spec.Store.SQLite.Path), p.Deps)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(to.Stdout, "the catalogue is up to date")
	return errors.Join(err, db.Close())
}

// process is what a service that has a process to itself shares with nobody.
type process struct {
	Deps
	folder *dir.Source
	ops    *run.Ops
}

// load reads the folder and makes the process's parts.
func load(ctx context.Context, config string, log *slog.Logger) (*process, *v1alpha1.FilesConfig, error) {
	reg := telemetry.NewRegistry()
	folder := dir.New(config, dir.Options{Service: "files", Log: log, Registerer: reg, Kinds: kinds})
	snapshot, err := folder.Load(ctx)
	if err != nil {
		return nil, nil, err
	}
	boot, err := resource.One[*v1alpha1.FilesConfig](snapshot)
	if err != nil {
		return nil, nil, err
	}
	p := &process{Deps: Deps{Log: log, Registerer: reg, Source: folder}, folder: folder, ops: run.NewOps(reg)}
	p.ops.Handle("GET /-/resources", folder)
	if state := boot.Spec.StateDir; state != "" {
		if err := folder.KeepStatus(string(state)); err != nil {
			return nil, nil, err
		}
	}
	return p, boot, nil
}

// Serve is the whole process: it reads the folder, serves on the listeners of its FilesConfig until ctx ends, and drains.
func Serve(ctx context.Context, config string, log *slog.Logger) (err error) {
	p, boot, err := load(ctx, config, log)
	if err != nil {
		return err
	}
	traces, flush, err := telemetry.NewTracing(ctx, telemetry.TracingOptions{
		Service: "files-svc", Endpoint: string(boot.Spec.Telemetry.OTLPEndpoint), Ratio: boot.Spec.Telemetry.Ratio(),
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, flushTraces(ctx, flush)) }()
	p.Tracer = traces
	service, err := New(ctx, Config{Boot: boot}, p.Deps)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, service.Close()) }()
	p.ops.Ready("files", service.Ready)

	public, err := net.Listen("tcp", string(boot.Spec.Listeners.Public.Address))
	if err != nil {
		return fmt.Errorf("public listener: %w", err)
	}
	ops, err := net.Listen("tcp", string(boot.Spec.Listeners.Ops.Address))
	if err != nil {
		return errors.Join(fmt.Errorf("ops listener: %w", err), public.Close())
	}
	log.InfoContext(ctx, "serving", "public", public.Addr().String(), "ops", ops.Addr().String())
	return run.Serve(ctx,
		run.ServeOptions{Log: log, Ops: p.ops, DrainDelay: boot.Spec.Drain.Delay.Std(), DrainTimeout: boot.Spec.Drain.Timeout.Std()},
		[]run.Server{
			{Name: "public", Listener: public, Handler: service.Handler()},
			{Name: "ops", Listener: ops, Handler: p.ops, Stage: run.OpsPort},
		}, service.Run)
}

// flushTime bounds how long the end of the process waits for a collector of traces.
const flushTime = 5 * time.Second

func flushTraces(ctx context.Context, flush func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushTime)
	defer cancel()
	return flush(ctx)
}
