package process

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"cloakroom.dev/libs/resource"
	"cloakroom.dev/libs/resource/check"
	"cloakroom.dev/libs/run"
	"cloakroom.dev/libs/telemetry"
)

// Commands are the words every service's program has: serve and check.
func Commands[Boot resource.Object](p Program[Boot]) []run.Command {
	var rules []check.Rules
	if p.Rules != nil {
		rules = append(rules, p.Rules)
	}
	return []run.Command{
		{Name: "serve", Summary: "serve until SIGTERM: serve --config DIR", Run: p.serveCommand, UntilStopped: true},
		check.Command(rules...),
	}
}

func (p Program[Boot]) serveCommand(ctx context.Context, args []string, to run.IO) error {
	lines := telemetry.Gather(to.Stderr)
	to.Stderr = lines
	defer func() { _ = lines.Close() }() // a log that can't be written fails nobody
	config, log, err := p.flags("serve", "Serves until it is told to stop, then finishes what runs.", args, to)
	if err != nil {
		return err
	}
	return Serve(ctx, p, config, log)
}

// MigrateCommand is for services with a store: it brings the schema up to date and exits. Serving does so by itself; this is for
// those who want it done before.
func MigrateCommand[Boot resource.Object](p Program[Boot], migrate func(ctx context.Context, boot Boot, base string, deps Deps) error) run.Command {
	return run.Command{
		Name: "migrate", Summary: "bring the store's schema up to date: migrate --config DIR [--base DIR]",
		Run: func(ctx context.Context, args []string, to run.IO) error {
			var base run.Base
			usage := "Brings the schema of the store up to date and exits; a database that is missing is made. Safe to repeat."
			config, log, err := p.flags("migrate", usage, args, to, base.Flag)
			if err != nil {
				return err
			}
			boot, deps, err := p.load(ctx, config, log, nil)
			if err != nil {
				return err
			}
			if err := migrate(ctx, boot, string(base), deps); err != nil {
				return err
			}
			_, err = io.WriteString(to.Stdout, "the store is up to date\n")
			return err
		},
	}
}

// Load reads resources as serve does, for the program's other commands: from a folder, one of the Schemes, or both. There is
// no Tracer, and nobody gathers the metrics.
func (p Program[Boot]) Load(ctx context.Context, config []string, log *slog.Logger) (Boot, Deps, error) {
	return p.load(ctx, config, log, prometheus.NewRegistry())
}

// load reads once, and waits for nothing.
func (p Program[Boot]) load(ctx context.Context, config []string, log *slog.Logger, reg prometheus.Registerer) (boot Boot, deps Deps, err error) {
	source, err := p.source(config, log, reg)
	if err != nil {
		return boot, deps, err
	}
	boot, err = p.boot(ctx, source)
	return boot, Deps{Log: log, Registerer: reg, Source: source}, err
}

func (p Program[Boot]) flags(name, usage string, args []string, to run.IO, more ...func(*flag.FlagSet)) (config []string, log *slog.Logger, err error) {
	var level slog.Level
	fs := run.Flags(name, usage, to)
	for _, add := range more {
		add(fs)
	}
	fs.Var((*run.Places)(&config), "config", "resources, with exactly one boot object of this service: "+p.places())
	fs.TextVar(&level, "log-level", slog.LevelInfo, "debug, info, warn or error")
	if err := run.ParseFlags(fs, args, 0, 0); err != nil {
		return nil, nil, err
	}
	if len(config) == 0 {
		return nil, nil, fmt.Errorf("%w: --config DIR is needed", run.ErrUsage)
	}
	return config, telemetry.NewLogger(to.Stderr, level, p.Name), nil
}
