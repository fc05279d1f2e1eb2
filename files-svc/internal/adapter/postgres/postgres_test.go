package postgres_test

import (
	"context"
	"testing"

	"cloakroom.dev/files-svc/internal/adapter/postgres"
	"cloakroom.dev/files-svc/internal/files"
	"cloakroom.dev/files-svc/internal/files/filestest"
	"cloakroom.dev/files-svc/internal/webhook"
	"cloakroom.dev/libs/pgtest"
	db "cloakroom.dev/libs/postgres"
	"cloakroom.dev/libs/secret"
)

var template = pgtest.NewTemplate(func(ctx context.Context, dsn secret.String) error {
	d, err := db.Open(ctx, dsn, db.Options{Name: "files"})
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Migrate(ctx, postgres.Migrations())
})

func open(t *testing.T) files.Catalog { return openCatalog(t) }

func openCatalog(t *testing.T) *postgres.Catalog { return catalogOn(t, openDB(t, template.New(t))) }

// openDB is one process's way to a database.
func openDB(t testing.TB, dsn secret.String) *db.DB {
	t.Helper()
	d, err := db.Open(t.Context(), dsn, db.Options{Name: "files"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

func catalogOn(t testing.TB, d *db.DB) *postgres.Catalog {
	t.Helper()
	c := postgres.New(d, nil)
	t.Cleanup(c.Close)
	return c
}

func TestCatalog(t *testing.T) { filestest.RunCatalog(t, open) }

func TestScrubRows(t *testing.T) { filestest.RunScrub(t, open) }

func TestWebhooks(t *testing.T) {
	filestest.RunWebhooks(t, func(t *testing.T) webhook.Store { return openCatalog(t).Webhooks() })
}
