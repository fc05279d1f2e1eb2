package authsvc

import (
	"context"
	"errors"

	libsqlite "cloakroom.dev/libs/sqlite"

	"cloakroom.dev/auth-svc/internal/adapter/sqlite"
	"cloakroom.dev/auth-svc/internal/identity"
)

// openStore opens the store that the boot object names, with its schema up to date.
func openStore(ctx context.Context, cfg Config, deps Deps) (store identity.Store, closeStore func() error, err error) {
	at := cfg.Boot.Spec.Store.SQLite
	if at == nil {
		return nil, nil, errors.New("AuthConfig names no store")
	}
	s, err := sqlite.Open(ctx, cfg.path(string(at.Path)), sqlite.Options{DB: libsqlite.Options{
		Name: "auth", Log: deps.Log, Registerer: deps.Registerer, Tracer: deps.Tracer,
	}})
	if err != nil {
		return nil, nil, err
	}
	return s, s.Close, nil
}
