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
	var turns atomic.Int64 // that the other has ended
	done := make(chan struct{})
	go func() {
		defer close(done)
		for !over.Load() {
			write(theirs, held)
			turns.Add(1)
			time.Sleep(gap)
		}
	}()
	var waits []int64 // in turns of the other: a busy machine makes each of them longer, not more of them
	for range 15 {
		began := turns.Load()
		write(ours, 0)
		waits = append(waits, turns.Load()-began)
		time.Sleep(20 * time.Millisecond)
	}
	over.Store(true)
	<-done
	slices.Sort(waits)
	t.Logf("turns of the other that were waited for: %v", waits)
	if most := waits[len(waits)/2]; most > 1 { // as a rule: now and then a busy machine misses a gap
		t.Errorf("waited for %d turns of the other", most)
	}
}
