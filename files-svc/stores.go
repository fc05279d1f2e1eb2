package filessvc

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"cloakroom.dev/libs/api/v1alpha1"
	pg "cloakroom.dev/libs/postgres"
	"cloakroom.dev/libs/process"
	lite "cloakroom.dev/libs/sqlite"

	"cloakroom.dev/files-svc/internal/adapter/postgres"
	"cloakroom.dev/files-svc/internal/adapter/sqlite"
	"cloakroom.dev/files-svc/internal/files"
	"cloakroom.dev/files-svc/internal/webhook"
)

// stores are where rows and bytes live.
type stores struct {
	*catalogue
	blobs files.Blobs
	close func() error
}

// catalogue is where rows live, and what comes with that.
type catalogue struct {
	rows      files.Catalog
	hooks     webhook.Store
	turns     files.Turns // nil: no other process has the rows
	holds     files.Holds // likewise
	cursorKey func(context.Context) ([32]byte, error)
	run       func(context.Context) error
	shut      func() error
}

// errNoStore is for a boot object that no schema has seen.
var errNoStore = errors.New("FilesConfig needs store.sqlite or store.postgres, and blobs.disk or blobs.s3")

// opening says what a store is opened for.
type opening int

const (
	toServe   opening = iota // made when it is missing, brought up to date unless a command is for that
	toLook                   // must be there already: a command that found an empty new one would find it sound
	toMigrate                // made and brought up to date
)

// openStores opens what the boot object names and brings it up to date.
func openStores(ctx context.Context, cfg Config, deps Deps) (*stores, error) {
	rows, err := openCatalogue(ctx, cfg, deps, toServe)
	if err != nil {
		return nil, err
	}
	bytes, err := openBlobs(cfg, deps, toServe)
	if err != nil {
		return nil, errors.Join(err, rows.shut())
	}
	return &stores{
		catalogue: rows, blobs: bytes,
		close: func() error { return errors.Join(bytes.Close(), rows.shut()) },
	}, nil
}

// openCatalogue opens the database that the boot object names.
func openCatalogue(ctx context.Context, cfg Config, deps Deps, why opening) (*catalogue, error) {
	switch store := cfg.Boot.Spec.Store; {
	case store.SQLite != nil:
		return openSQLite(ctx, cfg.path(store.SQLite.Path), deps, why)
	case store.Postgres != nil:
		return openPostgres(ctx, cfg, *store.Postgres, deps, why)
	default:
		return nil, errNoStore
	}
}

func openSQLite(ctx context.Context, path string, deps Deps, why opening) (*catalogue, error) {
	if why == toLook {
		if _, err := os.Stat(path); err != nil {
			return nil, fmt.Errorf("open the catalogue: %w", err)
		}
	}
	db, err := lite.Open(ctx, path, lite.Options{
		Name: "files", Log: deps.Log, Registerer: deps.Registerer, Tracer: deps.Tracer,
	})
	if err != nil {
		return nil, err
	}
	rows, err := sqlite.New(ctx, db)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &catalogue{
		rows: rows, hooks: rows.Webhooks(), run: untilEnd, shut: db.Close,
		cursorKey: func(context.Context) ([32]byte, error) { return cursorKey(path + ".cursor-key") },
	}, nil
}

func openPostgres(ctx context.Context, cfg Config, at v1alpha1.PostgresStore, deps Deps, why opening) (*catalogue, error) {
	path := func(p string) string { return cfg.path(v1alpha1.FilePath(p)) }
	dsn, opts, err := process.Postgres(at, "files", path, deps)
	if err != nil {
		return nil, err
	}
	db, err := pg.Open(ctx, dsn, opts)
	if err != nil {
		return nil, err
	}
	prepare := db.Migrate
	if why == toLook || why == toServe && at.Migrate == v1alpha1.MigrateCommand {
		prepare = db.CheckSchema
	}
	if err := prepare(ctx, postgres.Migrations()); err != nil {
		return nil, errors.Join(fmt.Errorf("open the catalogue: %w", err), db.Close())
	}
	rows, holds := postgres.New(db, deps.Registerer), postgres.NewHolds(db, deps.Log)
	return &catalogue{
		rows: rows, hooks: rows.Webhooks(), turns: rows, holds: holds, run: holds.Run,
		cursorKey: func(ctx context.Context) ([32]byte, error) { return rows.SharedKey(ctx, "cursor") },
		shut: func() error {
			rows.Close()
			return db.Close()
		},
	}, nil
}

// untilEnd is the run of what has nothing to do.
func untilEnd(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

// inTurn runs work while no other process on the catalogue does, until ctx ends: that is no failure.
func (c *catalogue) inTurn(ctx context.Context, name string, work func(context.Context) error) error {
	if c.turns == nil {
		return work(ctx)
	}
	if err := c.turns.Take(ctx, name, work); ctx.Err() == nil {
		return err
	}
	return nil
}

// path is where a path of the boot object is on this machine.
func (c Config) path(p v1alpha1.FilePath) string {
	if filepath.IsAbs(string(p)) {
		return string(p)
	}
	return filepath.Join(c.BaseDir, string(p))
}

// publicBaseURL is where people reach the gateway.
func (c Config) publicBaseURL() string {
	if c.PublicBaseURL != "" {
		return c.PublicBaseURL
	}
	return string(c.Boot.Spec.PublicBaseURL)
}
