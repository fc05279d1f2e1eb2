package sqlite_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/sqlite"
)

var schema = fstest.MapFS{
	"00001_note.sql": {Data: []byte("-- +goose Up\nCREATE TABLE note (id INTEGER PRIMARY KEY, body TEXT NOT NULL UNIQUE) STRICT;\n")},
}

func open(t testing.TB, path string, opts sqlite.Options) *sqlite.DB {
	t.Helper()
	db, err := sqlite.Open(t.Context(), path, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	if err := db.Migrate(t.Context(), schema); err != nil {
		t.Fatal(err)
	}
	return db
}

// untilQueued waits until so many writes wait for the writer.
func untilQueued(t *testing.T, reg *prometheus.Registry, writes int) {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		families, err := reg.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			if f.GetName() == "cloakroom_sqlite_queued_writes" && f.GetMetric()[0].GetGauge().GetValue() == float64(writes) {
				return
			}
		}
		if time.Now().After(end) {
			t.Fatalf("never %d writes in the queue", writes)
		}
	}
}

func insert(db *sqlite.DB, body string) error {
	ctx := context.Background()
	return db.InTx(ctx, func(tx *sqlite.Tx) error {
		_, err := tx.Exec(ctx, "INSERT INTO note (body) VALUES (?)", body)
		return err
	})
}

func count(t testing.TB, db *sqlite.DB) (n int) {
	t.Helper()
	err := db.View(t.Context(), func(tx *sqlite.Tx) error {
		return tx.QueryRow(t.Context(), "SELECT count(*) FROM note").Scan(&n)
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestInTx_ParallelWritersShareCommitsAndFailAlone(t *testing.T) {
	reg := prometheus.NewRegistry()
	db := open(t, filepath.Join(t.TempDir(), "a b?c#d.db"), sqlite.Options{Registerer: reg})
	boom := errors.New("boom")
	var group sync.WaitGroup
	for i := range 400 {
		group.Go(func() {
			ctx := t.Context()
			err := db.InTx(ctx, func(tx *sqlite.Tx) error {
				if _, err := tx.Exec(ctx, "INSERT INTO note (body) VALUES (?)", fmt.Sprint(i)); err != nil {
					return err
				}
				if i%4 == 0 {
					return boom
				}
				return nil
			})
			if want := i%4 == 0; errors.Is(err, boom) != want {
				t.Errorf("write %d returned %v", i, err)
			}
		})
	}
	group.Wait()
	if n := count(t, db); n != 300 {
		t.Errorf("%d rows stand, want the 300 that were acknowledged", n)
	}
	if n := testutil.CollectAndCount(reg, "cloakroom_sqlite_commit_writes"); n != 1 {
		t.Errorf("the group size has %d series, want 1", n)
	}
}

func TestInTx_PanicReachesItsCallerOnly(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "x.db"), sqlite.Options{})
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic was swallowed")
			}
		}()
		_ = db.InTx(t.Context(), func(*sqlite.Tx) error { panic("at the desk") })
	}()
	if err := insert(db, "after"); err != nil {
		t.Errorf("the writer did not survive a panic: %v", err)
	}
}

// What a commit waits for is a setting of the connection: it must follow the strictest of each group.
func TestInTxRelaxed_WaitsForTheDiskOnlyInCompany(t *testing.T) {
	const relaxed, full = 1, 2
	ctx := t.Context()
	reg := prometheus.NewRegistry()
	db := open(t, filepath.Join(t.TempDir(), "x.db"), sqlite.Options{Registerer: reg})
	waits := func(tx *sqlite.Tx) (level int) {
		t.Helper()
		if err := tx.QueryRow(ctx, "PRAGMA synchronous").Scan(&level); err != nil {
			t.Error(err)
		}
		return level
	}
	alone := func(want int, write func(context.Context, func(*sqlite.Tx) error) error) {
		t.Helper()
		err := write(ctx, func(tx *sqlite.Tx) error {
			if got := waits(tx); got != want {
				t.Errorf("the commit has synchronous %d, want %d", got, want)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
	alone(full, db.InTx)
	for range 3 { // again and again: what is prepared once must take effect each time
		alone(relaxed, db.InTxRelaxed)
		alone(relaxed, db.InTxRelaxed)
		alone(full, db.InTx)
	}

	// Both wait while the writer is held, and share a commit.
	var group sync.WaitGroup
	holding, release := make(chan struct{}), make(chan struct{})
	group.Go(func() {
		_ = db.InTx(ctx, func(*sqlite.Tx) error { close(holding); <-release; return nil })
	})
	<-holding
	group.Go(func() { alone(full, db.InTxRelaxed) })
	group.Go(func() { alone(full, db.InTx) })
	untilQueued(t, reg, 2)
	close(release)
	group.Wait()

	boom := errors.New("boom")
	err := db.InTxRelaxed(ctx, func(tx *sqlite.Tx) error {
		_, err := tx.Exec(ctx, "INSERT INTO note (body) VALUES ('lost')")
		return errors.Join(err, boom)
	})
	if !errors.Is(err, boom) || count(t, db) != 0 {
		t.Errorf("%v, %d rows", err, count(t, db))
	}
}

func TestInTx_FullDiskIsAFaultAndLosesNothingElse(t *testing.T) {
	ctx := t.Context()
	db := open(t, filepath.Join(t.TempDir(), "x.db"), sqlite.Options{})
	if err := insert(db, "before"); err != nil {
		t.Fatal(err)
	}
	limit := func(pages int) {
		_ = db.InTx(ctx, func(tx *sqlite.Tx) error {
			var n int
			return tx.QueryRow(ctx, fmt.Sprintf("PRAGMA max_page_count=%d", pages)).Scan(&n)
		})
	}
	limit(1) // SQLite raises it to what is in use
	err := db.InTx(ctx, func(tx *sqlite.Tx) error {
		_, err := tx.Exec(ctx, "INSERT INTO note (body) VALUES (hex(zeroblob(100000)))")
		return err
	})
	if fault.KindOf(err) != fault.StorageFull {
		t.Fatalf("a full disk returned %v", err)
	}
	limit(1 << 20)
	if err := insert(db, "after"); err != nil {
		t.Fatal(err)
	}
	if n := count(t, db); n != 2 {
		t.Errorf("%d rows stand, want before and after", n)
	}
}

func TestIsUnique(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "x.db"), sqlite.Options{})
	if err := insert(db, "same"); err != nil {
		t.Fatal(err)
	}
	if err := insert(db, "same"); !sqlite.IsUnique(err) {
		t.Errorf("a second equal row returned %v", err)
	}
}

func TestView_IsReadOnlyAndASnapshot(t *testing.T) {
	ctx := t.Context()
	db := open(t, filepath.Join(t.TempDir(), "x.db"), sqlite.Options{})
	err := db.View(ctx, func(tx *sqlite.Tx) error {
		var before, after int
		if err := tx.QueryRow(ctx, "SELECT count(*) FROM note").Scan(&before); err != nil {
			return err
		}
		if err := insert(db, "meanwhile"); err != nil {
			return err
		}
		if err := tx.QueryRow(ctx, "SELECT count(*) FROM note").Scan(&after); err != nil {
			return err
		}
		if before != after {
			t.Errorf("a snapshot moved from %d to %d rows", before, after)
		}
		_, err := tx.Exec(ctx, "INSERT INTO note (body) VALUES ('no')")
		return err
	})
	if fault.KindOf(err) != fault.Unavailable {
		t.Errorf("a write in a view returned %v", err)
	}
}

func TestDB_YesterdaysFileOpensAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	db := open(t, path, sqlite.Options{})
	if err := insert(db, "kept"); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if err := insert(db, "late"); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("a write after Close returned %v", err)
	}
	if n := count(t, open(t, path, sqlite.Options{})); n != 1 {
		t.Errorf("%d rows stand after a restart, want 1", n)
	}
}

func TestDB_CloseEndsEverything(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	db, err := sqlite.Open(t.Context(), path, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	nothing := func(*sqlite.Tx) error { return nil }
	if err := errors.Join(db.InTx(t.Context(), nothing), db.View(t.Context(), nothing), db.Close(), db.Close()); err != nil {
		t.Fatal(err)
	}
	if err := db.View(t.Context(), nothing); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("View of a closed database: %v", err)
	}
	if err := db.InTx(t.Context(), nothing); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("InTx of a closed database: %v", err)
	}
	if _, err := os.Stat(path + "-wal"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the log stays behind: %v", err)
	}
}

func TestInTx_EndedContextWritesNothing(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "x.db"), sqlite.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := db.InTx(ctx, func(tx *sqlite.Tx) error {
		_, err := tx.Exec(ctx, "INSERT INTO note (body) VALUES ('no')")
		return err
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("a write under an ended context returned %v", err)
	}
	if n := count(t, db); n != 0 {
		t.Errorf("%d rows stand, want none", n)
	}
}

func TestQueryRow_NoRows(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "x.db"), sqlite.Options{})
	err := db.View(t.Context(), func(tx *sqlite.Tx) error {
		var body string
		return tx.QueryRow(t.Context(), "SELECT body FROM note WHERE id = 7").Scan(&body)
	})
	if !errors.Is(err, sql.ErrNoRows) {
		t.Errorf("no row returned %v", err)
	}
}

func TestTimes_RoundTripToTheMicrosecond(t *testing.T) {
	want := time.Date(2026, 11, 21, 7, 8, 9, 123456000, time.UTC)
	if got := sqlite.Time(sqlite.Micros(want)); !got.Equal(want) {
		t.Errorf("%v came back as %v", want, got)
	}
}

func BenchmarkInTx_Parallel64(b *testing.B) {
	db := open(b, filepath.Join(b.TempDir(), "x.db"), sqlite.Options{})
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := insert(db, time.Now().String()); err != nil && !sqlite.IsUnique(err) {
				b.Fatal(err)
			}
		}
	})
}

func TestDB_WhatWasDeletedIsNotLeftInTheFile(t *testing.T) {
	const secret = "erased-person@example.org"
	path := filepath.Join(t.TempDir(), "x.db")
	db := open(t, path, sqlite.Options{})
	if err := insert(db, secret); err != nil {
		t.Fatal(err)
	}
	err := db.InTx(t.Context(), func(tx *sqlite.Tx) error {
		_, err := tx.Exec(t.Context(), "DELETE FROM note WHERE body = ?", secret)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil { // writes the log back and removes it
		t.Fatal(err)
	}
	raw, err := os.ReadFile(path)
	if err != nil || bytes.Contains(raw, []byte(secret)) {
		t.Errorf("the deleted text is still in the file (%v)", err)
	}
}

// What a write remembers is there for those who share its commit, and gone with a write that fails and with the commit.
func TestMemo_LivesAsLongAsTheCommitAndWhatItKnowsOf(t *testing.T) {
	ctx := t.Context()
	reg := prometheus.NewRegistry()
	db := open(t, filepath.Join(t.TempDir(), "x.db"), sqlite.Options{Registerer: reg})
	var seen []int // by each write: what it finds, then it adds one
	count := func(fails bool) func(*sqlite.Tx) error {
		return func(tx *sqlite.Tx) error {
			n, _ := tx.Memo()["n"].(int)
			seen = append(seen, n)
			tx.Memo()["n"] = n + 1
			if fails {
				return errors.New("no")
			}
			return nil
		}
	}
	var group sync.WaitGroup
	_ = db.InTx(ctx, func(*sqlite.Tx) error {
		for i, fails := range []bool{false, false, true, false} { // they queue while this one runs, in this order; the failure makes them run twice
			group.Go(func() { _ = db.InTx(ctx, count(fails)) })
			untilQueued(t, reg, i+1)
		}
		return nil
	})
	group.Wait()
	_ = db.InTx(ctx, count(false))
	if want := []int{0, 1, 2, 0, 1, 2, 0, 0}; !slices.Equal(seen, want) {
		t.Errorf("writes found %v, want %v", seen, want)
	}
	if err := db.View(ctx, func(tx *sqlite.Tx) error {
		if tx.Memo() != nil {
			t.Error("a snapshot remembers what a commit knew")
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}
