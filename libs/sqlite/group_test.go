package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"cloakroom.dev/libs/sqlite"
)

// company runs writes in one group, in their order: they are queued, one by one, while another write holds the writer.
func company(t *testing.T, db *sqlite.DB, queued func() float64, writes ...func() error) []error {
	t.Helper()
	results := make([]error, len(writes))
	var group sync.WaitGroup
	holding, release := make(chan struct{}), make(chan struct{})
	group.Go(func() {
		_ = db.InTx(context.Background(), func(*sqlite.Tx) error { close(holding); <-release; return nil })
	})
	<-holding
	for i, write := range writes {
		group.Go(func() { results[i] = write() })
		for queued() < float64(i+1) {
			select {
			case <-t.Context().Done():
				t.Fatal("a write was never queued")
			default:
			}
		}
	}
	close(release)
	group.Wait()
	return results
}

// gauge reads one value of a registry.
func gauge(t *testing.T, reg *prometheus.Registry, name string) func() float64 {
	return func() float64 {
		t.Helper()
		families, err := reg.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			if f.GetName() == name {
				return f.GetMetric()[0].GetGauge().GetValue() + f.GetMetric()[0].GetCounter().GetValue()
			}
		}
		t.Fatalf("there is no %s", name)
		return 0
	}
}

// openCounted opens a database and returns how many writes wait, and how many groups have run twice.
func openCounted(t *testing.T) (db *sqlite.DB, queued, repeated func() float64) {
	t.Helper()
	reg := prometheus.NewRegistry()
	db = open(t, filepath.Join(t.TempDir(), "x.db"), sqlite.Options{Registerer: reg})
	return db, gauge(t, reg, "cloakroom_sqlite_queued_writes"), gauge(t, reg, "cloakroom_sqlite_repeated_commits_total")
}

func bodies(t *testing.T, db *sqlite.DB) (found []string) {
	t.Helper()
	err := db.View(t.Context(), func(tx *sqlite.Tx) error {
		rows, err := tx.Query(t.Context(), "SELECT body FROM note ORDER BY id")
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var body string
			if err := rows.Scan(&body); err != nil {
				return err
			}
			found = append(found, body)
		}
		return rows.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// put is a write that adds a row, and then fails with what it is given.
func put(db *sqlite.DB, body string, fails error) func() error {
	return func() error {
		ctx := context.Background()
		return db.InTx(ctx, func(tx *sqlite.Tx) error {
			_, err := tx.Exec(ctx, "INSERT INTO note (body) VALUES (?)", body)
			return errors.Join(err, fails)
		})
	}
}

func TestGroup_WhoFailsInCompanyFailsAlone(t *testing.T) {
	boom := errors.New("boom")
	for _, failing := range []int{0, 1, 2} {
		t.Run(fmt.Sprint(failing), func(t *testing.T) {
			db, queued, repeated := openCounted(t)
			var writes []func() error
			var want []string
			for i := range 3 {
				var fails error
				if i == failing {
					fails = boom
				} else {
					want = append(want, fmt.Sprint(i))
				}
				writes = append(writes, put(db, fmt.Sprint(i), fails))
			}
			for i, err := range company(t, db, queued, writes...) {
				if errors.Is(err, boom) != (i == failing) || i != failing && err != nil {
					t.Errorf("write %d returned %v", i, err)
				}
			}
			if got := bodies(t, db); !slices.Equal(got, want) {
				t.Errorf("%v stand, want %v", got, want)
			}
			if n := repeated(); n != 1 {
				t.Errorf("%v groups ran twice, want 1", n)
			}
		})
	}
}

func TestGroup_APanicInCompanyIsItsCallersAlone(t *testing.T) {
	db, queued, _ := openCounted(t)
	results := company(t, db, queued, put(db, "before", nil), func() (err error) {
		defer func() { err = fmt.Errorf("panicked: %v", recover()) }()
		return db.InTx(context.Background(), func(tx *sqlite.Tx) error {
			_, _ = tx.Exec(context.Background(), "INSERT INTO note (body) VALUES ('undone')")
			panic("at the desk")
		})
	}, put(db, "after", nil))
	if results[0] != nil || results[2] != nil || results[1] == nil || !strings.Contains(results[1].Error(), "at the desk") {
		t.Errorf("writes returned %v", results)
	}
	if got, want := bodies(t, db), []string{"before", "after"}; !slices.Equal(got, want) {
		t.Errorf("%v stand, want %v", got, want)
	}
}

// Many failures must not make every group run twice: it is what anybody can do to their neighbours.
func TestGroup_ManyFailuresRepeatFewGroups(t *testing.T) {
	db, queued, repeated := openCounted(t)
	for i := range 40 {
		company(t, db, queued, put(db, fmt.Sprint(i), nil), put(db, "undone", errors.New("no")))
	}
	if n := repeated(); n != 1 {
		t.Errorf("%v of 40 groups ran twice, want the first", n)
	}
	if n := count(t, db); n != 40 {
		t.Errorf("%d rows stand, want 40", n)
	}
}

// A context that ends between the two runs of a write does not make its outcome unknown.
func TestGroup_ContextThatEndsBetweenTheRuns(t *testing.T) {
	db, queued, _ := openCounted(t)
	ctx, cancel := context.WithCancel(t.Context())
	results := company(t, db, queued, func() error {
		return db.InTx(ctx, func(tx *sqlite.Tx) error {
			_, err := tx.Exec(ctx, "INSERT INTO note (body) VALUES ('kept')")
			cancel()
			return err
		})
	}, put(db, "undone", errors.New("no")))
	if got := bodies(t, db); results[0] != nil || !slices.Equal(got, []string{"kept"}) {
		t.Errorf("the write returned %v, and %v stand", results[0], got)
	}
}

// A write whose caller has gone before it began undoes nothing, so nobody has to run again.
func TestGroup_WhoHasGoneDisturbsNobody(t *testing.T) {
	db, queued, repeated := openCounted(t)
	ctx, cancel := context.WithCancel(t.Context())
	results := company(t, db, queued, put(db, "before", nil), func() error {
		return db.InTx(ctx, func(*sqlite.Tx) error { t.Error("it ran"); return nil })
	}, func() error {
		cancel() // queued behind, so it is heard before the group begins
		return put(db, "after", nil)()
	})
	if results[0] != nil || results[2] != nil || !errors.Is(results[1], context.Canceled) {
		t.Errorf("writes returned %v", results)
	}
	if got := bodies(t, db); !slices.Equal(got, []string{"before", "after"}) || repeated() != 0 {
		t.Errorf("%v stand, %v groups ran twice", got, repeated())
	}
}

func TestGroup_StatementsTakeEveryKindOfValue(t *testing.T) {
	type word string
	ctx := t.Context()
	db := open(t, filepath.Join(t.TempDir(), "x.db"), sqlite.Options{})
	err := db.InTx(ctx, func(tx *sqlite.Tx) error {
		if _, err := tx.Exec(ctx, "CREATE TABLE kinds (a TEXT, b INTEGER, c BLOB, d INTEGER, e TEXT) STRICT"); err != nil {
			return err
		}
		n, err := tx.Exec(ctx, "INSERT INTO kinds VALUES (?1, ?2, ?3, ?4, ?5)", word("a"), 7, []byte{1}, true, nil)
		if n != 1 {
			t.Errorf("%d rows were changed", n)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.InTx(ctx, func(tx *sqlite.Tx) error {
		_, err := tx.Exec(ctx, "INSERT INTO kinds (a) VALUES (?)", struct{}{})
		return err
	}); err == nil {
		t.Error("a value of no kind was taken")
	}
	if err := db.InTx(ctx, func(tx *sqlite.Tx) error {
		_, err := tx.Exec(ctx, "INSERT INTO kinds (a, b) VALUES (?, ?)", "one value for two")
		return err
	}); err == nil {
		t.Error("a missing value was taken for null")
	}
}
