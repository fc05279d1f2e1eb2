package sqlite_test

import (
	"path/filepath"
	"testing"

	"cloakroom.dev/files-svc/internal/adapter/sqlite"
	"cloakroom.dev/files-svc/internal/files"
	"cloakroom.dev/files-svc/internal/files/filestest"
	"cloakroom.dev/files-svc/internal/webhook"
	db "cloakroom.dev/libs/sqlite"
)

func open(t *testing.T) files.Catalog { return openCatalog(t) }

func openCatalog(t *testing.T) *sqlite.Catalog {
	t.Helper()
	d, err := db.Open(t.Context(), filepath.Join(t.TempDir(), "files.db"), db.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	c, err := sqlite.New(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestCatalog(t *testing.T) { filestest.RunCatalog(t, open) }

func TestScrubRows(t *testing.T) { filestest.RunScrub(t, open) }

func TestWebhooks(t *testing.T) {
	filestest.RunWebhooks(t, func(t *testing.T) webhook.Store { return openCatalog(t).Webhooks() })
}
