package sqlite_test

import (
	"context"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"cloakroom.dev/libs/sqlite"
)

// Another process that writes the same file in turns, as an import does, leaves gaps between its transactions. A writer of ours
// that waits takes the first of them: SQLite's own waiting looks every 100 ms in the end and misses one after the other.
func TestInTx_TakesTheFirstGapOfAnotherProcess(t *testing.T) {
	const held, gap = 120 * time.Millisecond, 15 * time.Millisecond
	path := filepath.Join(t.TempDir(), "db")
	open := func() *sqlite.DB {
		db, err := sqlite.Open(t.Context(), path, sqlite.Options{Name: "test"})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = db.Close() })
		return db
	}
	ours, theirs := open(), open()
	write := func(db *sqlite.DB, holds time.Duration) {
		err := db.InTx(t.Context(), func(tx *sqlite.Tx) error {
			time.Sleep(holds)
			_, err := tx.Exec(context.Background(), `CREATE TABLE IF NOT EXISTS t (n INTEGER)`)
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
	var over atomic.Bool
	done := make(chan struct{})
	go func() {
		defer close(done)
		for !over.Load() {
			write(theirs, held)
			time.Sleep(gap)
		}
	}()
	var waits []time.Duration
	for range 15 {
		began := time.Now()
		write(ours, 0)
		waits = append(waits, time.Since(began))
		time.Sleep(20 * time.Millisecond)
	}
	over.Store(true)
	<-done
	slices.Sort(waits)
	t.Logf("waited %v at most, %v as a rule", waits[len(waits)-1], waits[len(waits)/2])
	if most := waits[len(waits)-3]; most > 2*held+gap { // a stall of the disk is not ours
		t.Errorf("waited %v for a writer that holds the file for %v", most, held)
	}
}
