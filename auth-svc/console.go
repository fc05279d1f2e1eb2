package authsvc

import (
	"context"
	"errors"
	"log/slog"

	"cloakroom.dev/libs/api/v1alpha1"
	"cloakroom.dev/libs/process"
	"cloakroom.dev/libs/run"
	"cloakroom.dev/libs/telemetry"

	"cloakroom.dev/auth-svc/internal/adapter/console"
	"cloakroom.dev/auth-svc/internal/identity"
)

// consoleCommands are the words that work on the store itself, beside a service that runs or without one.
func consoleCommands(program process.Program[*v1alpha1.AuthConfig]) []run.Command {
	return console.Commands(program.Name, func(ctx context.Context, config []string, base string, to run.IO) (*identity.Service, func() error, error) {
		// What goes well is told on stdout; stderr is for what does not.
		boot, deps, err := program.Load(ctx, config, telemetry.NewLogger(to.Stderr, slog.LevelWarn, program.Name))
		if err != nil {
			return nil, nil, err
		}
		return openCore(ctx, Config{Boot: boot, BaseDir: base}, deps)
	})
}

// openCore makes the core over the same store and with the same secrets as New, without anything that serves. Mails are
// written to the store; the service sends them.
func openCore(ctx context.Context, cfg Config, deps Deps) (_ *identity.Service, closeStore func() error, err error) {
	p, err := openParts(ctx, cfg, deps)
	if err != nil {
		return nil, nil, err
	}
	store, err := openStore(ctx, cfg, deps, false)
	if err != nil {
		return nil, nil, err
	}
	core, err := identity.New(store, p.signer, p.hasher, p.options)
	if err == nil {
		err = prepareCore(ctx, core, p.signer)
	}
	if err != nil {
		return nil, nil, errors.Join(err, store.close())
	}
	return core, store.close, nil
}
