package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/sqlite"
)

// A copy refers to its note, so notes have to be written first.
var (
	notes  = sqlite.NewRows(1, "note", "id, body")
	copies = sqlite.NewRows(2, "copy", "note, body")
)

const copyTable = `CREATE TABLE copy (n INTEGER PRIMARY KEY AUTOINCREMENT, note INTEGER NOT NULL REFERENCES note (id), body TEXT NOT NULL) STRICT`

func openCopies(t *testing.T) (db *sqlite.DB, queued, repeated func() float64) {
	t.Helper()
	db, queued, repeated = openCounted(t)
	if err := db.InTx(t.Context(), func(tx *sqlite.Tx) error { _, err := tx.Exec(t.Context(), copyTable); return err }); err != nil {
		t.Fatal(err)
	}
	return db, queued, repeated
}

func write(db *sqlite.DB, fn func(context.Context, *sqlite.Tx) error) func() error {
	ctx := context.Background()
	return func() error { return db.InTx(ctx, func(tx *sqlite.Tx) error { return fn(ctx, tx) }) }
}

// addBoth is a write that inserts a note and its copy.
func addBoth(db *sqlite.DB, id int) func() error {
	return write(db, func(ctx context.Context, tx *sqlite.Tx) error {
		return errors.Join(tx.Insert(ctx, notes, id, fmt.Sprint(id)), tx.Insert(ctx, copies, id, "x"))
	})
}

func copied(t *testing.T, db *sqlite.DB) (found string) {
	t.Helper()
	err := db.View(t.Context(), func(tx *sqlite.Tx) error {
		return tx.QueryRow(t.Context(), "SELECT coalesce(group_concat(note, ' ' ORDER BY n), '') FROM copy").Scan(&found)
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// Each number of writes leaves other numbers of rows to statements of several and of one.
func TestInsert_RowsOfAGroupStandInTheirOrder(t *testing.T) {
	for _, n := range []int{1, 2, 7, 8, 9, 16, 19} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			db, queued, repeated := openCopies(t)
			var writes []func() error
			var want []string
			for i := range n {
				writes, want = append(writes, addBoth(db, 100-i)), append(want, fmt.Sprint(100-i))
			}
			for i, err := range company(t, db, queued, writes...) {
				if err != nil {
					t.Errorf("write %d: %v", i, err)
				}
			}
			if got := copied(t, db); got != strings.Join(want, " ") || repeated() != 0 {
				t.Errorf("copies %s, %v groups ran twice; want %v and none", got, repeated(), want)
			}
		})
	}
}

// In company even a row may come before the one it refers to.
func TestInsert_TablesOfLowerOrderGetTheirRowsFirst(t *testing.T) {
	db, queued, repeated := openCopies(t)
	early := func(id int) func() error {
		return write(db, func(ctx context.Context, tx *sqlite.Tx) error {
			return errors.Join(tx.Insert(ctx, copies, id, "x"), tx.Insert(ctx, notes, id, fmt.Sprint(id)))
		})
	}
	for i, err := range company(t, db, queued, early(1), early(2)) {
		if err != nil {
			t.Errorf("write %d: %v", i, err)
		}
	}
	if got := copied(t, db); got != "1 2" || repeated() != 0 {
		t.Errorf("copies %s, %v groups ran twice", got, repeated())
	}
}

// Whatever a write does next, the rows of those before it are there.
func TestInsert_EveryStatementSeesTheRowsBeforeIt(t *testing.T) {
	ways := map[string]func(ctx context.Context, tx *sqlite.Tx) (int64, error){
		"QueryRow": func(ctx context.Context, tx *sqlite.Tx) (n int64, err error) {
			err = tx.QueryRow(ctx, "SELECT count(*) FROM note").Scan(&n)
			return n, err
		},
		"Query": func(ctx context.Context, tx *sqlite.Tx) (n int64, err error) {
			rows, err := tx.Query(ctx, "SELECT id FROM note")
			if err != nil {
				return 0, err
			}
			defer rows.Close()
			for rows.Next() {
				n++
			}
			return n, rows.Err()
		},
		"Exec": func(ctx context.Context, tx *sqlite.Tx) (int64, error) {
			return tx.Exec(ctx, "UPDATE note SET body = body || '!'")
		},
	}
	for name, see := range ways {
		t.Run(name, func(t *testing.T) {
			db, queued, repeated := openCopies(t)
			var seen []int64
			look := write(db, func(ctx context.Context, tx *sqlite.Tx) error {
				n, err := see(ctx, tx)
				if err == nil {
					err = tx.Insert(ctx, notes, 10+len(seen), fmt.Sprint("look ", len(seen)))
				}
				more, err2 := see(ctx, tx)
				seen = append(seen, n, more)
				return errors.Join(err, err2)
			})
			results := company(t, db, queued, addBoth(db, 1), look, addBoth(db, 2), look)
			if err := errors.Join(results...); err != nil || repeated() != 0 {
				t.Fatalf("%v, %v groups ran twice", err, repeated())
			}
			if want := []int64{1, 2, 3, 4}; !slices.Equal(seen, want) {
				t.Errorf("writes saw %v rows, want %v", seen, want)
			}
		})
	}
}

// A row is refused when it is written, which may be long after its write has returned.
func TestInsert_WhoseRowIsRefusedFailsAlone(t *testing.T) {
	for name, refused := range map[string]func(db *sqlite.DB) func() error{
		"unique": func(db *sqlite.DB) func() error { return addBoth(db, 1) },
		"refers to nothing": func(db *sqlite.DB) func() error {
			return write(db, func(ctx context.Context, tx *sqlite.Tx) error { return tx.Insert(ctx, copies, 77, "of nothing") })
		},
		"no such value": func(db *sqlite.DB) func() error {
			return write(db, func(ctx context.Context, tx *sqlite.Tx) error { return tx.Insert(ctx, notes, 5, struct{}{}) })
		},
	} {
		t.Run(name, func(t *testing.T) {
			db, queued, repeated := openCopies(t)
			if err := addBoth(db, 1)(); err != nil {
				t.Fatal(err)
			}
			results := company(t, db, queued, addBoth(db, 2), refused(db), addBoth(db, 3))
			if results[0] != nil || results[1] == nil || results[2] != nil {
				t.Errorf("writes returned %v", results)
			}
			if got := copied(t, db); got != "1 2 3" || repeated() != 1 {
				t.Errorf("copies %s, %v groups ran twice", got, repeated())
			}
		})
	}
}

// A write that makes nothing of a failed statement must not bring others' rows to nothing.
func TestInsert_NobodysRowsAreLostToAWriteThatGoesOn(t *testing.T) {
	db, queued, _ := openCopies(t)
	if err := addBoth(db, 1)(); err != nil {
		t.Fatal(err)
	}
	careless := write(db, func(ctx context.Context, tx *sqlite.Tx) error {
		_ = tx.QueryRow(ctx, "SELECT count(*) FROM note").Scan(new(int))
		return nil
	})
	note := func(id int, body string) func() error { // with a row of another table that nothing is wrong with
		return write(db, func(ctx context.Context, tx *sqlite.Tx) error {
			return errors.Join(tx.Insert(ctx, notes, id, body), tx.Insert(ctx, copies, 1, "x"))
		})
	}
	results := company(t, db, queued, note(2, "a"), note(3, "a"), careless, note(4, "b"))
	if results[0] != nil || !sqlite.IsUnique(results[1]) || results[2] != nil || results[3] != nil {
		t.Errorf("writes returned %v", results)
	}
	if got := bodies(t, db); !slices.Equal(got, []string{"1", "a", "b"}) || copied(t, db) != "1 1 1" {
		t.Errorf("%v stand, copies of %s", got, copied(t, db))
	}
}

// Nothing of a group that was undone comes back with a later one.
func TestInsert_AfterARefusalGroupsRunTogetherAgain(t *testing.T) {
	db, queued, repeated := openCopies(t)
	company(t, db, queued, addBoth(db, 1), addBoth(db, 1))
	for id := 2; id < 150; id += 2 { // the first 64 of them apart
		if err := errors.Join(company(t, db, queued, addBoth(db, id), addBoth(db, id+1))...); err != nil {
			t.Fatal(err)
		}
	}
	if n := count(t, db); n != 149 || repeated() != 1 {
		t.Errorf("%d rows stand, %v groups ran twice; want 149 and one", n, repeated())
	}
}

// More rows than may wait are written before their write has ended, with what they refer to.
func TestInsert_RowsThatWaitAreBounded(t *testing.T) {
	db, queued, _ := openCopies(t)
	many := write(db, func(ctx context.Context, tx *sqlite.Tx) (err error) {
		for id := range 300 {
			err = errors.Join(err, tx.Insert(ctx, notes, id, fmt.Sprint(id)), tx.Insert(ctx, copies, id, "x"))
		}
		var n int
		if err := tx.Beside().QueryRow(ctx, "SELECT count(*) FROM note").Scan(&n); err != nil || n < 100 {
			t.Errorf("%d of 300 rows are written, %v", n, err)
		}
		return err
	})
	if err := errors.Join(company(t, db, queued, many, addBoth(db, 1000))...); err != nil {
		t.Fatal(err)
	}
	if n := count(t, db); n != 301 {
		t.Errorf("%d rows stand", n)
	}
}

// A value too few would move those of the rows after it.
func TestInsert_EachColumnHasItsValue(t *testing.T) {
	db, queued, _ := openCopies(t)
	short := func(id int) func() error {
		return write(db, func(ctx context.Context, tx *sqlite.Tx) error { return tx.Insert(ctx, notes, id) })
	}
	results := company(t, db, queued, addBoth(db, 1), short(2), short(3))
	if results[0] != nil || results[1] == nil || results[2] == nil || count(t, db) != 1 {
		t.Errorf("writes returned %v, %d rows stand", results, count(t, db))
	}
}

// A full disk undoes the whole transaction, so that a statement after it would be committed at once, and again with the second run.
func TestInsert_NothingIsWrittenAfterAFullDisk(t *testing.T) {
	db, queued, _ := openCopies(t)
	if err := addBoth(db, 1)(); err != nil {
		t.Fatal(err)
	}
	limit := func(pages int) {
		_ = write(db, func(ctx context.Context, tx *sqlite.Tx) error {
			return tx.QueryRow(ctx, fmt.Sprintf("PRAGMA max_page_count=%d", pages)).Scan(new(int))
		})()
	}
	limit(1) // SQLite raises it to what is in use
	large := write(db, func(ctx context.Context, tx *sqlite.Tx) error {
		return tx.Insert(ctx, notes, 2, strings.Repeat("x", 200_000))
	})
	tally := write(db, func(ctx context.Context, tx *sqlite.Tx) error {
		_ = tx.QueryRow(ctx, "SELECT count(*) FROM note").Scan(new(int))
		_, err := tx.Beside().Exec(ctx, "UPDATE copy SET body = body || '!'")
		return err
	})
	results := company(t, db, queued, large, tally)
	limit(1 << 20)
	if fault.KindOf(results[0]) != fault.StorageFull || results[1] != nil {
		t.Errorf("writes returned %v", results)
	}
	var body string
	if err := db.View(t.Context(), func(tx *sqlite.Tx) error {
		return tx.QueryRow(t.Context(), "SELECT body FROM copy").Scan(&body)
	}); err != nil || body != "x!" {
		t.Errorf("%q, %v: want one mark", body, err)
	}
}
