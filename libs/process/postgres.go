package process

import (
	"fmt"

	"cloakroom.dev/libs/api/v1alpha1"
	"cloakroom.dev/libs/postgres"
	"cloakroom.dev/libs/secret"
)

// Postgres reads the address of a service's database and says how to open it. name is the schema, and path finds files that a
// reference names.
func Postgres(at v1alpha1.PostgresStore, name string, path func(string) string, deps Deps) (secret.String, postgres.Options, error) {
	ref := at.DSN.Ref()
	if ref.File != "" {
		ref.File = path(ref.File)
	}
	dsn, err := ref.Read()
	if err != nil {
		return dsn, postgres.Options{}, fmt.Errorf("read the DSN of the store: %w", err)
	}
	return dsn, postgres.Options{
		Name: name, MaxConnections: int(at.MaxConnections), StatementTimeout: at.StatementTimeout.Std(),
		AcquireTimeout: at.AcquireTimeout.Std(), Log: deps.Log, Registerer: deps.Registerer, Tracer: deps.Tracer,
	}, nil
}
