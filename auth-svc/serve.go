package authsvc

import (
	"context"
	"net/http"

	"cloakroom.dev/libs/api/v1alpha1"
	"cloakroom.dev/libs/process"
	"cloakroom.dev/libs/run"
)

// Commands are the words of the service's own program. It reads resources from folders and from where schemes say.
func Commands(schemes ...process.Scheme) []run.Command {
	program := process.Program[*v1alpha1.AuthConfig]{
		Name:  "auth-svc",
		Kinds: []string{v1alpha1.KindAuthConfig, v1alpha1.KindSessionPolicy},
		Rules: Check, Needs: Check,
		Life: func(boot *v1alpha1.AuthConfig) process.Life {
			s := boot.Spec
			return process.Life{Ops: s.Listeners.Ops, Drain: s.Drain, Telemetry: s.Telemetry, StateDir: s.StateDir}
		},
		Open: open, Schemes: schemes,
	}
	commands := append(process.Commands(program), process.MigrateCommand(program, migrate))
	return append(commands, consoleCommands(program)...)
}

// open makes the service and says where it listens. In a drain the public side goes first: requests that are being
// finished may still have something to tell the followers.
func open(ctx context.Context, boot *v1alpha1.AuthConfig, deps Deps) (process.Service, []process.Endpoint, map[string]http.Handler, error) {
	s, err := New(ctx, Config{Boot: boot}, deps)
	if err != nil {
		return nil, nil, nil, err
	}
	at := boot.Spec.Listeners
	return s, []process.Endpoint{
		{Name: "public", Address: at.Public.Address, Handler: s.Handler(), Stage: run.Front},
		{Name: "internal", Address: at.Internal.Address, Handler: s.InternalHandler(), Stage: run.Back},
	}, s.OpsHandlers(), nil
}

func migrate(ctx context.Context, boot *v1alpha1.AuthConfig, base string, deps Deps) error {
	store, err := openStore(ctx, Config{Boot: boot, BaseDir: base}, deps, true)
	if err != nil {
		return err
	}
	return store.close()
}
