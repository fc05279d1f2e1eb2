package sqlite_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"cloakroom.dev/libs/sqlite"
)

// Each write adds one to both counts; a copy that is of one moment has them equal, whatever is written meanwhile.
func TestBackup_IsOfOneMomentWhileOthersWrite(t *testing.T) {
	dir := t.TempDir()
	db, err := sqlite.Open(t.Context(), filepath.Join(dir, "a.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	write := func(q string, args ...any) error {
		return db.InTx(t.Context(), func(tx *sqlite.Tx) error {
			_, err := tx.Exec(t.Context(), q, args...)
			return err
		})
	}
	for _, q := range []string{"CREATE TABLE a (n INTEGER, pad BLOB)", "CREATE TABLE b (n INTEGER)",
		"CREATE TRIGGER both AFTER INSERT ON a BEGIN INSERT INTO b VALUES (new.n); END"} {
		if err := write(q); err != nil {
			t.Fatal(err)
		}
	}
	done, stopped := make(chan struct{}), make(chan error, 1)
	go func() {
		for n := 0; ; n++ {
			select {
			case <-done:
				stopped <- nil
				return
			default:
			}
			if err := write("INSERT INTO a VALUES (?, zeroblob(5000))", n); err != nil {
				stopped <- err
				return
			}
		}
	}()
	last := -1
	for i := range 5 {
		copied := filepath.Join(dir, fmt.Sprintf("copy%d.db", i%2)) // the third replaces the first
		if err := sqlite.Backup(t.Context(), filepath.Join(dir, "a.db"), copied); err != nil {
			t.Fatal(err)
		}
		a, b := counts(t, copied)
		if a != b || a < last {
			t.Errorf("copy %d has %d and %d rows, the one before had %d", i, a, b, last)
		}
		last = a
	}
	close(done)
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*.part*")); len(left) > 0 {
		t.Errorf("%v is left", left)
	}
}

func counts(t *testing.T, path string) (a, b int) {
	t.Helper()
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v, %v", info, err)
	}
	db, err := sqlite.Open(t.Context(), path, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	err = db.View(t.Context(), func(tx *sqlite.Tx) error {
		var whole string
		err := tx.QueryRow(t.Context(), "SELECT (SELECT count(*) FROM a), (SELECT count(*) FROM b), (SELECT * FROM pragma_integrity_check)").Scan(&a, &b, &whole)
		if err == nil && whole != "ok" {
			return errors.New(whole)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return a, b
}

func TestBackup_OfNothingMakesNothing(t *testing.T) {
	dir := t.TempDir()
	if err := sqlite.Backup(t.Context(), filepath.Join(dir, "none.db"), filepath.Join(dir, "copy.db")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
	if all, _ := filepath.Glob(filepath.Join(dir, "*")); len(all) > 0 {
		t.Errorf("there is %v", all)
	}
}

func TestBackup_LeavesADatabaseAloneThatIsOpen(t *testing.T) {
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	for _, name := range []string{"a.db", "b.db"} {
		db, err := sqlite.Open(t.Context(), path(name), sqlite.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		if err := db.InTx(t.Context(), func(tx *sqlite.Tx) error {
			_, err := tx.Exec(t.Context(), "CREATE TABLE t (n INTEGER)")
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	for _, to := range []string{"a.db", "b.db"} {
		if err := sqlite.Backup(t.Context(), path("a.db"), path(to)); err == nil {
			t.Errorf("%s is replaced", to)
		}
	}
}
