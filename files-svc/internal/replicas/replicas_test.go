// Package replicas_test holds the files core over PostgreSQL to its promises, alone and as several processes on one database.
package replicas_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"cloakroom.dev/files-svc/internal/adapter/postgres"
	"cloakroom.dev/files-svc/internal/files"
	"cloakroom.dev/files-svc/internal/files/filestest"
	"cloakroom.dev/libs/pgtest"
	db "cloakroom.dev/libs/postgres"
	"cloakroom.dev/libs/secret"
)

var template = pgtest.NewTemplate(func(ctx context.Context, dsn secret.String) error {
	d, err := db.Open(ctx, dsn, db.Options{Name: "files"})
	if err != nil {
		return err
	}
	return errors.Join(d.Migrate(ctx, postgres.Migrations()), d.Close())
})

// replica is what one process has of a shared database.
type replica struct {
	catalog *postgres.Catalog
	holds   *postgres.Holds
}

// openDB is a way to a database.
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

// join is one more process on a database. It ends with the test.
func join(t testing.TB, dsn secret.String) replica {
	t.Helper()
	d := openDB(t, dsn)
	r := replica{postgres.New(d, nil), postgres.NewHolds(d, slog.New(slog.DiscardHandler))}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.holds.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		err := <-ended
		r.catalog.Close()
		if err != nil {
			t.Error(err)
		}
	})
	return r
}

// serve is a files service of this process over bytes that all share.
func (r replica) serve(t filestest.TB, blobs files.Blobs, opts files.Options) *files.Service {
	t.Helper()
	opts.Holds, opts.Turns = r.holds, r.catalog
	return filestest.New(t, filestest.Stores{Catalog: r.catalog, Blobs: blobs}, opts)
}

// empty forgets everything, which is quicker than another database, and for few rows quicker than TRUNCATE.
const empty = `DELETE FROM links; DELETE FROM versions; DELETE FROM files; DELETE FROM blobs; DELETE FROM owners; DELETE FROM epochs;
	DELETE FROM events; DELETE FROM log_position; DELETE FROM uploads; DELETE FROM upload_holds; DELETE FROM receipts;
	DELETE FROM webhook_deliveries; DELETE FROM webhooks; DELETE FROM imported_files; UPDATE event_counter SET last = 0`

// worlds makes one world after the other on one database. done ends a world.
func worlds(t testing.TB) (next func() (stores filestest.Stores, done func())) {
	d := openDB(t, template.New(t))
	return func() (filestest.Stores, func()) {
		exec(t, d, empty)
		c := postgres.New(d, nil)
		return filestest.Stores{Catalog: c, Blobs: filestest.NewBlobs()}, c.Close
	}
}

// exec runs statements as an operator could.
func exec(t testing.TB, d *db.DB, statements string) {
	t.Helper()
	err := d.InTx(context.Background(), func(tx *db.Tx) error {
		for s := range strings.SplitSeq(statements, ";") {
			if _, err := tx.Exec(context.Background(), s); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestService(t *testing.T) {
	next := worlds(t)
	filestest.RunService(t, func(t *testing.T) filestest.Stores {
		stores, done := next()
		t.Cleanup(done)
		return stores
	})
}

func TestUploads(t *testing.T) {
	next := worlds(t)
	filestest.RunUploads(t, func(t *testing.T) filestest.Stores {
		stores, done := next()
		t.Cleanup(done)
		return stores
	})
}

func TestModel(t *testing.T) { filestest.RunModel(t, worlds(t)) }

func TestUploadModel(t *testing.T) { filestest.RunUploadModel(t, worlds(t)) }
