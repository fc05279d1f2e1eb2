package sqlite

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"cloakroom.dev/libs/sqlite"
)

const insertBlob = `INSERT INTO blobs (` + blobColumns + `) VALUES (?, 'ann', ?, ?, ?, ?, 1, 1, ?)`

// The words of a table's conditions were changed below rows that stay as they are: every connection must refuse what it refused before.
func TestMigrate_BlobChecksRefuseWhatTheyRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "files.db")
	db, beside := openAt(t, path), openAt(t, path)
	migrateBefore(t, db, "00060_blob_checks.sql")
	for _, state := range []string{"pending", "live", "dead", "deleting", "tombstone"} {
		for _, flaw := range []string{"", "corrupt", "missing", "infected"} {
			if err := addBlob(t, beside, state, 4, 32, 0, flaw); err != nil {
				t.Fatal(err)
			}
		}
	}
	rows, others := `SELECT concat_ws(' ', `+strings.ReplaceAll(blobColumns, "sha256", "hex(sha256)")+`) FROM blobs ORDER BY id`,
		`SELECT concat_ws(' ', type, name, rootpage, sql) FROM sqlite_schema WHERE name <> 'blobs' ORDER BY name`
	before, schema := column(t, db, rows), column(t, db, others)

	if _, err := New(t.Context(), db); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, column(t, db, rows)); diff != "" {
		t.Errorf("rows changed:\n%s", diff)
	}
	if diff := cmp.Diff(schema, column(t, db, others)); diff != "" {
		t.Errorf("more than blobs changed:\n%s", diff)
	}
	if got := column(t, db, `PRAGMA integrity_check`); !slices.Equal(got, []string{"ok"}) {
		t.Errorf("integrity: %v", got)
	}
	migrateBefore(t, db, "00060_blob_checks.sql") // an older program starts on it
	for name, db := range map[string]*sqlite.DB{"migrated": db, "open beside": beside, "opened anew": openAt(t, path)} {
		t.Run(name, func(t *testing.T) {
			checkBlobs(t, db)
			// One is left: the WHERE of blobs_dying, which older programs name in their statements.
			if n := ephemeralTables(t, db, insertBlob); n != 1 {
				t.Errorf("a row of blobs makes %d tables, want 1", n)
			}
		})
	}
}

func checkBlobs(t *testing.T, db *sqlite.DB) {
	t.Helper()
	for _, wrong := range []error{
		addBlob(t, db, "", 4, 32, 0, ""), addBlob(t, db, "Live", 4, 32, 0, ""), addBlob(t, db, "corrupt", 4, 32, 0, ""),
		addBlob(t, db, "live", 4, 32, 0, "live"), addBlob(t, db, "live", 4, 32, 0, "Corrupt"), addBlob(t, db, "live", 4, 32, 0, " "),
		addBlob(t, db, "live", -1, 32, 0, ""), addBlob(t, db, "live", 4, 31, 0, ""), addBlob(t, db, "live", 4, 32, -1, ""),
	} {
		if wrong == nil || !strings.Contains(wrong.Error(), "CHECK constraint failed") {
			t.Errorf("a wrong row: %v", wrong)
		}
	}
	for _, state := range []string{"pending", "live", "dead", "deleting", "tombstone"} {
		for _, flaw := range []string{"", "corrupt", "missing", "infected"} {
			if err := addBlob(t, db, state, 4, 32, 0, flaw); err != nil {
				t.Errorf("%s, %q: %v", state, flaw, err)
			}
		}
	}
}

func addBlob(t *testing.T, db *sqlite.DB, state string, size, digest, reserved int, flaw string) error {
	t.Helper()
	return db.InTx(t.Context(), func(tx *sqlite.Tx) error {
		var n int
		if err := tx.QueryRow(t.Context(), "SELECT count(*) FROM blobs").Scan(&n); err != nil {
			return err
		}
		_, err := tx.Exec(t.Context(), insertBlob, fmt.Sprintf("e.%04d", n), state, size, make([]byte, digest), reserved, flaw)
		return err
	})
}

func openAt(t *testing.T, path string) *sqlite.DB {
	t.Helper()
	db, err := sqlite.Open(t.Context(), path, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// migrateBefore makes the schema as it was before a migration.
func migrateBefore(t *testing.T, db *sqlite.DB, migration string) {
	t.Helper()
	entries, err := migrations.ReadDir("migrations")
	if err != nil {
		t.Fatal(err)
	}
	old := fstest.MapFS{}
	for _, e := range entries {
		if e.Name() >= migration {
			break
		}
		text, err := migrations.ReadFile("migrations/" + e.Name())
		if err != nil {
			t.Fatal(err)
		}
		old[e.Name()] = &fstest.MapFile{Data: text}
	}
	if err := db.Migrate(t.Context(), old); err != nil {
		t.Fatal(err)
	}
}

// column is the values that a query's only column has.
func column(t *testing.T, db *sqlite.DB, query string) (values []string) {
	t.Helper()
	err := db.View(t.Context(), func(tx *sqlite.Tx) error {
		rows, err := tx.Query(t.Context(), query)
		values, err = all(rows, err, func(row scanner) (value string, err error) {
			err = row.Scan(&value)
			return value, err
		})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return values
}

// ephemeralTables is how many tables in memory a statement makes.
func ephemeralTables(t *testing.T, db *sqlite.DB, query string) (n int) {
	t.Helper()
	err := db.View(t.Context(), func(tx *sqlite.Tx) error {
		rows, err := tx.Query(t.Context(), "EXPLAIN "+query, someArgs(query)...)
		_, err = all(rows, err, func(row scanner) (op string, err error) {
			var skip sql.RawBytes
			err = row.Scan(&skip, &op, &skip, &skip, &skip, &skip, &skip, &skip)
			if op == "OpenEphemeral" {
				n++
			}
			return op, err
		})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}
