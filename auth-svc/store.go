package authsvc

import (
	"context"
	"errors"

	"cloakroom.dev/libs/api/v1alpha1"
	"cloakroom.dev/libs/process"
	libsqlite "cloakroom.dev/libs/sqlite"

	"cloakroom.dev/auth-svc/internal/adapter/postgres"
	"cloakroom.dev/auth-svc/internal/adapter/sqlite"
	"cloakroom.dev/auth-svc/internal/identity"
)

// openedStore is the store that the boot object names.
type openedStore struct {
	identity.Store
	close func() error
	// replicated is the store again where there can be other replicas, nil where there can be none.
	replicated *postgres.Store
}

// openStore opens the store with its schema up to date. migrate overrides a boot object that leaves that to the command.
func openStore(ctx context.Context, cfg Config, deps Deps, migrate bool) (*openedStore, error) {
	switch at := cfg.Boot.Spec.Store; {
	case at.SQLite != nil:
		s, err := sqlite.Open(ctx, cfg.path(string(at.SQLite.Path)), sqlite.Options{DB: libsqlite.Options{
			Name: "auth", Log: deps.Log, Registerer: deps.Registerer, Tracer: deps.Tracer,
		}})
		if err != nil {
			return nil, err
		}
		return &openedStore{Store: s, close: s.Close}, nil
	case at.Postgres != nil:
		dsn, opts, err := process.Postgres(*at.Postgres, "auth", cfg.path, deps)
		if err != nil {
			return nil, err
		}
		s, err := postgres.Open(ctx, dsn, postgres.Options{DB: opts, CheckOnly: !migrate && at.Postgres.Migrate == v1alpha1.MigrateCommand})
		if err != nil {
			return nil, err
		}
		return &openedStore{Store: s, close: s.Close, replicated: s}, nil
	default:
		return nil, errors.New("AuthConfig names no store")
	}
}
