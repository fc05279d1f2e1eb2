package sqlite_test

import (
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/sqlite"
)

const (
	page        = 4 << 10
	maxHeld     = 1 << 20 // of a commit, before it goes to the log in parts
	beyondHeld  = 100     // notes of a page: each is in the table and in its index, four pages in all
	beyondCache = 300     // of the writer's 3 MiB
)

// add writes notes of a size in one transaction.
func add(t *testing.T, tx *sqlite.Tx, notes, size int) error {
	t.Helper()
	for range notes {
		if _, err := tx.Exec(t.Context(), "INSERT INTO note (body) VALUES (hex(randomblob(?)))", size/2); err != nil {
			return err
		}
	}
	return nil
}

// walWrites is how often the log has been written to.
func walWrites(t *testing.T, reg *prometheus.Registry) float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "cloakroom_sqlite_wal_writes_total" {
			return f.GetMetric()[0].GetCounter().GetValue()
		}
	}
	t.Fatal("writes to the log are not counted")
	return 0
}

func TestWAL_ACommitIsFewWrites(t *testing.T) {
	reg := prometheus.NewRegistry()
	db := open(t, filepath.Join(t.TempDir(), "x.db"), sqlite.Options{Registerer: reg})
	const notes, pages = 40, 160
	writes := map[string]func() error{
		"flushed": func() error {
			return db.InTx(t.Context(), func(tx *sqlite.Tx) error { return add(t, tx, notes, page) })
		},
		"undone": func() error {
			undo := errors.New("undo")
			err := db.InTx(t.Context(), func(tx *sqlite.Tx) error { return errors.Join(add(t, tx, notes, page), undo) })
			if !errors.Is(err, undo) {
				return fmt.Errorf("a write that failed returned %w", err)
			}
			return nil
		},
	}
	for name, write := range writes {
		before := walWrites(t, reg)
		if err := write(); err != nil {
			t.Error(name, err)
		}
		n := walWrites(t, reg) - before
		if n > 2*pages*page/(124<<10) || name == "flushed" && n == 0 { // page by page they would be twice as many as pages
			t.Errorf("%s: %v writes for a commit of some %d pages", name, n, pages)
		}
	}
}

// TestWAL_OthersSeeEveryCommit reads with a database of its own, as another process would, what commits of all kinds leave.
func TestWAL_OthersSeeEveryCommit(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	db, other := open(t, path, sqlite.Options{}), open(t, path, sqlite.Options{})
	want := 0
	commit := func(name string, in func(func(*sqlite.Tx) error) error, notes, size int) {
		t.Helper()
		if err := in(func(tx *sqlite.Tx) error { return add(t, tx, notes, size) }); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		want += notes
		if got := count(t, other); got != want {
			t.Fatalf("%s: another sees %d notes, want %d", name, got, want)
		}
	}
	flushed := func(fn func(*sqlite.Tx) error) error { return db.InTx(t.Context(), fn) }
	relaxed := func(fn func(*sqlite.Tx) error) error { return db.InTxRelaxed(t.Context(), fn) }
	others := func(fn func(*sqlite.Tx) error) error { return other.InTx(t.Context(), fn) }
	for range 2 {
		commit("one page", flushed, 1, 100)
		commit("one page, relaxed", relaxed, 1, 100)
		commit("more than is held", flushed, beyondHeld, page)
		commit("more than is held, relaxed", relaxed, beyondHeld, page)
		commit("a page of more than is held", flushed, 1, 2*maxHeld)
		commit("another's", others, 1, 100)
		undo := errors.New("undo")
		if err := flushed(func(tx *sqlite.Tx) error { return errors.Join(add(t, tx, beyondCache, page), undo) }); !errors.Is(err, undo) {
			t.Fatal(err)
		}
		commit("after one that was undone", flushed, 1, 100)
		commit("relaxed after one that was undone", relaxed, 1, 100)
		commit("more than the cache has room for", again(t, flushed), beyondCache, page)
	}
	var verdict string
	err := other.View(t.Context(), func(tx *sqlite.Tx) error {
		return tx.QueryRow(t.Context(), "PRAGMA integrity_check").Scan(&verdict)
	})
	if err != nil || verdict != "ok" {
		t.Errorf("the database is %q, %v", verdict, err)
	}
}

// again makes a transaction read and change what it has written, pages that have gone to the log already among it.
func again(t *testing.T, in func(func(*sqlite.Tx) error) error) func(func(*sqlite.Tx) error) error {
	return func(fn func(*sqlite.Tx) error) error {
		return in(func(tx *sqlite.Tx) error {
			if err := fn(tx); err != nil {
				return err
			}
			changed, err := tx.Exec(t.Context(), "UPDATE note SET body = substr(body, 2) || id WHERE id % 7 = 0")
			if err != nil {
				return err
			}
			var found int64
			err = tx.QueryRow(t.Context(), "SELECT count(*) FROM note WHERE id % 7 = 0 AND body LIKE '%' || id").Scan(&found)
			if err == nil && found != changed {
				err = fmt.Errorf("%d notes were changed, %d are seen so", changed, found)
			}
			return err
		})
	}
}

// TestWAL_WhatWasUndoneNeverReachesAnothersCommit undoes a transaction that has written pages to the log already. Another's commit takes their
// place, as a command beside a service would, before the next of ours.
func TestWAL_WhatWasUndoneNeverReachesAnothersCommit(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	db, other := open(t, path, sqlite.Options{}), open(t, path, sqlite.Options{})
	raw, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	want := 0
	for size := 1; size <= 8; size++ {
		if _, err := raw.ExecContext(t.Context(), "PRAGMA wal_checkpoint(TRUNCATE)"); err != nil { // so that nobody reads the log to undo
			t.Fatal(err)
		}
		undo := errors.New("undo")
		err := db.InTx(t.Context(), func(tx *sqlite.Tx) error {
			return errors.Join(add(t, tx, beyondCache+size*8, page), undo)
		})
		if !errors.Is(err, undo) {
			t.Fatal(err)
		}
		for _, by := range []*sqlite.DB{other, db} {
			if err := by.InTx(t.Context(), func(tx *sqlite.Tx) error { return add(t, tx, 2*beyondHeld, page) }); err != nil {
				t.Fatal(err)
			}
			want += 2 * beyondHeld
		}
		var verdict string
		var got int
		left := filepath.Join(t.TempDir(), "left.db")
		copyFiles(t, path, left)
		err = open(t, left, sqlite.Options{}).View(t.Context(), func(tx *sqlite.Tx) error {
			if err := tx.QueryRow(t.Context(), "PRAGMA integrity_check").Scan(&verdict); err != nil {
				return err
			}
			return tx.QueryRow(t.Context(), "SELECT count(*) FROM note").Scan(&got)
		})
		if err != nil || verdict != "ok" || got != want {
			t.Fatalf("round %d: the database is %q with %d notes, want %d, %v", size, verdict, got, want, err)
		}
	}
}

// copyFiles copies a database as a crash would leave it.
func copyFiles(t *testing.T, from, to string) {
	t.Helper()
	for _, part := range []string{"", "-wal"} {
		b, err := os.ReadFile(from + part)
		if err == nil {
			err = os.WriteFile(to+part, b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestWAL_WhatIsAcknowledgedIsInTheFile copies the files after each acknowledgement, as a crash would leave them.
func TestWAL_WhatIsAcknowledgedIsInTheFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "x.db")
	db := open(t, path, sqlite.Options{})
	want := 0
	for i := range 12 {
		write := db.InTx
		if i%4 == 3 {
			write = db.InTxRelaxed
		}
		notes := 1 + i*i
		if err := write(t.Context(), func(tx *sqlite.Tx) error { return add(t, tx, notes, page) }); err != nil {
			t.Fatal(err)
		}
		want += notes
		left := filepath.Join(dir, fmt.Sprintf("left-%d.db", i))
		copyFiles(t, path, left)
		if got := count(t, open(t, left, sqlite.Options{})); got != want {
			t.Fatalf("%d notes are in the file after %d were acknowledged", got, want)
		}
	}
}

// TestWAL_AFailedWriteUndoesItsCommitOnly lets the log's file grow no more.
func TestWAL_AFailedWriteUndoesItsCommitOnly(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "x.db"), sqlite.Options{})
	if err := insert(db, "before"); err != nil {
		t.Fatal(err)
	}
	signal.Ignore(syscall.SIGXFSZ)
	defer signal.Reset(syscall.SIGXFSZ)
	var unlimited syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &unlimited); err != nil {
		t.Fatal(err)
	}
	limit := func(size uint64) {
		t.Helper()
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: size, Max: unlimited.Max}); err != nil {
			t.Fatal(err)
		}
	}
	defer limit(unlimited.Cur)
	for _, notes := range []int{16, beyondHeld} { // less and more than is held
		limit(128 << 10)
		err := db.InTx(t.Context(), func(tx *sqlite.Tx) error { return add(t, tx, notes, page) })
		limit(unlimited.Cur)
		if fault.KindOf(err) != fault.Unavailable {
			t.Errorf("a commit of %d pages that could not be written returned %v", notes, err)
		}
		if err := insert(db, strings.Repeat("after ", notes)); err != nil {
			t.Errorf("the next commit: %v", err)
		}
	}
	if n := count(t, db); n != 3 {
		t.Errorf("%d notes stand, want the three that were acknowledged", n)
	}
}
