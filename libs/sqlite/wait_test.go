package sqlite_test

import (
	"context"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

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

func TestView_CountsReadsThatFindNoReader(t *testing.T) {
	const readers, more = 4, 3
	reg := prometheus.NewRegistry()
	db := open(t, filepath.Join(t.TempDir(), "x.db"), sqlite.Options{Registerer: reg})
	waiting := gauge(t, reg, "cloakroom_sqlite_waiting_reads")
	var group sync.WaitGroup
	reading, release := make(chan struct{}), make(chan struct{})
	look := func(*sqlite.Tx) error { reading <- struct{}{}; <-release; return nil }
	for range readers {
		group.Go(func() { _ = db.View(t.Context(), look) })
		<-reading
	}
	if n := waiting(); n != 0 {
		t.Errorf("%v reads wait although each has a reader", n)
	}
	gone, leave := context.WithCancel(t.Context())
	for range more {
		group.Go(func() { _ = db.View(gone, look) })
	}
	until(t, waiting, more)
	leave()
	until(t, waiting, 0)
	close(release)
	group.Wait()
}

func TestInTx_CountsWritesThatWaitForTheQueueToo(t *testing.T) {
	const queue, more = 1024, 5
	db, queued, _ := openCounted(t)
	var group sync.WaitGroup
	holding, release := make(chan struct{}), make(chan struct{})
	group.Go(func() {
		_ = db.InTx(t.Context(), func(*sqlite.Tx) error { close(holding); <-release; return nil })
	})
	<-holding
	for range queue + more {
		group.Go(func() { _ = db.InTx(t.Context(), func(*sqlite.Tx) error { return nil }) })
	}
	until(t, queued, queue+more)
	close(release)
	group.Wait()
	until(t, queued, 0)
}

// until waits until a gauge says so.
func until(t *testing.T, gauge func() float64, want float64) {
	t.Helper()
	for end := time.Now().Add(time.Minute); gauge() != want; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%v, want %v", gauge(), want)
		}
	}
}
