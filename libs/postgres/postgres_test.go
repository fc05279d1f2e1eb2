package postgres_test

import (
	"context"
	"database/sql"
	"errors"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"go.uber.org/goleak"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/pgtest"
	"cloakroom.dev/libs/postgres"
	"cloakroom.dev/libs/secret"
)

var schema = fstest.MapFS{"00001_notes.sql": {Data: []byte(`-- +goose Up
CREATE TABLE notes (id bigint PRIMARY KEY, text text NOT NULL);
INSERT INTO notes VALUES (1, 'one'), (2, 'two');
`)}}

var template = pgtest.NewTemplate(func(ctx context.Context, dsn secret.String) error {
	db, err := postgres.Open(ctx, dsn, postgres.Options{Name: "notes"})
	if err != nil {
		return err
	}
	defer db.Close()
	return db.Migrate(ctx, schema)
})

func open(t *testing.T, dsn secret.String, opts postgres.Options) *postgres.DB {
	t.Helper()
	opts.Name = "notes"
	db, err := postgres.Open(t.Context(), dsn, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func text(t *testing.T, db *postgres.DB, id int) (s string) {
	t.Helper()
	err := db.View(t.Context(), func(tx *postgres.Tx) error {
		return tx.QueryRow(t.Context(), `SELECT text FROM notes WHERE id = $1`, id).Scan(&s)
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func set(ctx context.Context, tx *postgres.Tx, id int, s string) error {
	_, err := tx.Exec(ctx, `UPDATE notes SET text = $2 WHERE id = $1`, id, s)
	return err
}

func TestInTx_KeepsWhatReturnedAndNothingElse(t *testing.T) {
	db, ctx := open(t, template.New(t), postgres.Options{}), t.Context()
	if err := db.InTx(ctx, func(tx *postgres.Tx) error { return set(ctx, tx, 1, "kept") }); err != nil {
		t.Fatal(err)
	}
	boom := errors.New("boom")
	err := db.InTx(ctx, func(tx *postgres.Tx) error { return errors.Join(set(ctx, tx, 1, "lost"), boom) })
	if !errors.Is(err, boom) {
		t.Errorf("got %v", err)
	}
	func() {
		defer func() { _ = recover() }()
		_ = db.InTx(ctx, func(tx *postgres.Tx) error { _ = set(ctx, tx, 1, "panicked"); panic(boom) })
	}()
	if got := text(t, db, 1); got != "kept" {
		t.Errorf("the row says %q", got)
	}
}

func TestInTxRelaxed_DoesNotWaitForTheDisk(t *testing.T) {
	dsn := secret.NewString(template.New(t).Reveal() + "&synchronous_commit=on") // the test's server waits for nobody
	db, ctx := open(t, dsn, postgres.Options{}), t.Context()
	waits := func(tx *postgres.Tx) (s string) {
		t.Helper()
		if err := tx.QueryRow(ctx, `SHOW synchronous_commit`).Scan(&s); err != nil {
			t.Error(err)
		}
		return s
	}
	err := db.InTxRelaxed(ctx, func(tx *postgres.Tx) error {
		if got := waits(tx); got != "off" {
			t.Errorf("a relaxed commit has synchronous_commit %s", got)
		}
		return set(ctx, tx, 1, "relaxed")
	})
	if err != nil || text(t, db, 1) != "relaxed" {
		t.Errorf("%q, %v", text(t, db, 1), err)
	}
	for range 20 { // on whatever connection of the pool
		if err := db.InTx(ctx, func(tx *postgres.Tx) error {
			if got := waits(tx); got != "on" {
				t.Errorf("the next commit has synchronous_commit %s", got)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestInTx_AFailedStatementThatWasIgnoredIsNotCalledACommit(t *testing.T) {
	db, ctx := open(t, template.New(t), postgres.Options{}), t.Context()
	err := db.InTx(ctx, func(tx *postgres.Tx) error {
		if err := set(ctx, tx, 1, "lost"); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `INSERT INTO notes VALUES (1, 'again')`); !postgres.IsUnique(err) {
			t.Errorf("got %v", err)
		}
		return nil
	})
	if err == nil || text(t, db, 1) != "one" {
		t.Errorf("got %v, the row says %q", err, text(t, db, 1))
	}
}

func TestView_IsOneSnapshotAndWritesNothing(t *testing.T) {
	db, ctx := open(t, template.New(t), postgres.Options{}), t.Context()
	err := db.View(ctx, func(tx *postgres.Tx) error {
		if err := db.InTx(ctx, func(other *postgres.Tx) error { return set(ctx, other, 1, "newer") }); err != nil {
			return err
		}
		var s string
		if err := tx.QueryRow(ctx, `SELECT text FROM notes WHERE id = 1`).Scan(&s); err != nil || s != "one" {
			t.Errorf("got %q, %v", s, err)
		}
		return set(ctx, tx, 1, "written")
	})
	if err == nil || text(t, db, 1) != "newer" {
		t.Errorf("got %v", err)
	}
}

// TestView_OfAStandbyIsRefused: what a standby shows may be old, and a reader was promised every commit.
func TestView_OfAStandbyIsRefused(t *testing.T) {
	db := open(t, template.New(t), postgres.Options{MaxConnections: 1})
	if err := db.InTx(t.Context(), func(tx *postgres.Tx) error { // from now on the connection is to one
		_, err := tx.Exec(t.Context(), `DO $$ BEGIN
			CREATE SCHEMA standby;
			CREATE FUNCTION standby.pg_is_in_recovery() RETURNS boolean LANGUAGE sql AS 'SELECT true';
			SET search_path = standby, pg_catalog, notes;
		END $$`)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	ran := false
	err := db.View(t.Context(), func(*postgres.Tx) error { ran = true; return nil })
	if !errors.Is(err, fault.Of(fault.Unavailable)) || ran {
		t.Errorf("a standby was read: %v, %v", ran, err)
	}
	if got := text(t, db, 1); got != "one" { // it was left
		t.Errorf("the one that takes writes says %q", got)
	}
}

func TestInTx_BothSidesOfADeadlockSucceed(t *testing.T) {
	db, ctx := open(t, template.New(t), postgres.Options{}), t.Context()
	var met, done sync.WaitGroup
	met.Add(2)
	for _, order := range [][2]int{{1, 2}, {2, 1}} {
		done.Go(func() {
			first := true
			err := db.InTx(ctx, func(tx *postgres.Tx) error {
				if err := set(ctx, tx, order[0], "mine"); err != nil {
					return err
				}
				if first {
					first = false
					met.Done()
					met.Wait()
				}
				return set(ctx, tx, order[1], "mine")
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	done.Wait()
}

func TestInTx_RunsAgainWhenItsConnectionIsCut(t *testing.T) {
	db, ctx := open(t, template.New(t), postgres.Options{}), t.Context()
	runs := 0
	err := db.InTx(ctx, func(tx *postgres.Tx) error {
		if err := set(ctx, tx, 1, "there"); err != nil {
			return err
		}
		if runs++; runs == 1 {
			_, err := tx.Exec(ctx, `SELECT pg_terminate_backend(pg_backend_pid())`)
			return err
		}
		return nil
	})
	if err != nil || runs != 2 || text(t, db, 1) != "there" {
		t.Errorf("%d runs, %v", runs, err)
	}
}

func TestInTx_RunsAgainWhenToldTo_ButNotWithoutEnd(t *testing.T) {
	db, ctx := open(t, template.New(t), postgres.Options{}), t.Context()
	lost := fault.New(fault.Conflict, "lost")
	runs := 0
	err := db.InTx(ctx, func(*postgres.Tx) error { runs++; return postgres.Again(lost) })
	if runs != 5 || !errors.Is(err, error(lost)) {
		t.Errorf("%d runs, %v", runs, err)
	}
}

func TestErrors_AreFaults(t *testing.T) {
	dsn, ctx := template.New(t), t.Context()
	db := open(t, dsn, postgres.Options{StatementTimeout: 2 * time.Second, MaxConnections: 2, AcquireTimeout: time.Second})
	raise := func(code string) func(*postgres.Tx) error {
		return func(tx *postgres.Tx) error {
			_, err := tx.Exec(ctx, `DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '`+code+`'; END $$`)
			return err
		}
	}
	for name, c := range map[string]struct {
		fn   func(*postgres.Tx) error
		want fault.Kind
	}{
		"too slow":       {func(tx *postgres.Tx) error { _, err := tx.Exec(ctx, `SELECT pg_sleep(60)`); return err }, fault.Unavailable},
		"disk full":      {raise("53100"), fault.StorageFull},
		"became standby": {raise("25006"), fault.Unavailable},
		"shutting down":  {raise("57P01"), fault.Unavailable},
		"contention":     {raise("40001"), fault.Conflict},
		"nonsense":       {raise("42601"), fault.Internal},
		"busy": {func(*postgres.Tx) error {
			return db.InTx(ctx, func(*postgres.Tx) error { return db.InTx(ctx, func(*postgres.Tx) error { return nil }) })
		}, fault.Overloaded},
	} {
		err := db.InTx(ctx, c.fn)
		if fault.KindOf(err) != c.want || err == nil {
			t.Errorf("%s: got kind %v of %v", name, fault.KindOf(err), err)
		}
		var f *fault.Error
		if errors.As(err, &f) && c.want != fault.StorageFull && f.RetryAfter == 0 {
			t.Errorf("%s: says no Retry-After", name)
		}
	}
	err := db.View(ctx, func(tx *postgres.Tx) error {
		var s string
		return tx.QueryRow(ctx, `SELECT text FROM notes WHERE id = 99`).Scan(&s)
	})
	if !errors.Is(err, sql.ErrNoRows) {
		t.Errorf("no row: got %v", err)
	}
}

func TestMigrate_ManyAtOnceAndCheckSchema(t *testing.T) {
	db, ctx := open(t, pgtest.NewTemplate(nil).New(t), postgres.Options{}), t.Context()
	if err := db.CheckSchema(ctx, schema); !errors.Is(err, postgres.ErrBehind) {
		t.Errorf("before: %v", err)
	}
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			if err := db.Migrate(ctx, schema); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if err := db.CheckSchema(ctx, schema); err != nil {
		t.Errorf("after: %v", err)
	}
	newer := fstest.MapFS{"00001_notes.sql": schema["00001_notes.sql"], "00002_more.sql": {Data: []byte("-- +goose Up\nALTER TABLE notes ADD COLUMN more text NOT NULL DEFAULT '';\n")}}
	if err := db.CheckSchema(ctx, newer); !errors.Is(err, postgres.ErrBehind) {
		t.Errorf("new code, old schema: %v", err)
	}
	if text(t, db, 1) != "one" || db.Migrate(ctx, newer) != nil || text(t, db, 1) != "one" {
		t.Error("old code can't read the new schema")
	}
	if err := errors.Join(db.CheckSchema(ctx, schema), db.Migrate(ctx, schema)); err != nil {
		t.Errorf("old code, new schema: %v", err)
	}
}

func TestListen_HearsWhatCommittedAndSaysWhenItMayHaveMissed(t *testing.T) {
	db, ctx := open(t, template.New(t), postgres.Options{}), t.Context()
	ctx, cancel := context.WithCancel(ctx)
	heard := make(chan string, 10)
	var listening sync.WaitGroup
	listening.Go(func() { _ = db.Listen(ctx, "news", func(p string) { heard <- p }) })
	defer listening.Wait()
	defer cancel()
	expect := func(want string) {
		t.Helper()
		select {
		case got := <-heard:
			if got != want {
				t.Errorf("heard %q, want %q", got, want)
			}
		case <-time.After(time.Minute):
			t.Errorf("never heard %q", want)
		}
	}
	expect("")
	notify := func(payload string, end error) {
		_ = db.InTx(ctx, func(tx *postgres.Tx) error { return errors.Join(tx.Notify(ctx, "news", payload), end) })
	}
	notify("undone", errors.New("undone"))
	notify("done", nil)
	expect("done")
	_ = db.InTx(ctx, func(tx *postgres.Tx) error {
		_, err := tx.Exec(ctx, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
			WHERE application_name LIKE '%-session' AND datname = current_database()`)
		return err
	})
	expect("")
	notify("again", nil)
	expect("again")
}

func TestLead_OneAtATimeAndTheOtherTakesOver(t *testing.T) {
	dsn := template.New(t)
	ctx, cancel := context.WithCancel(t.Context())
	leaders := make(chan int, 10)
	var all sync.WaitGroup
	defer all.Wait()
	defer cancel()
	var stops [2]context.CancelFunc
	for i := range 2 {
		db := open(t, dsn, postgres.Options{})
		var mine context.Context
		mine, stops[i] = context.WithCancel(ctx)
		all.Go(func() {
			_ = db.Lead(mine, "work", func(ctx context.Context) error { leaders <- i; <-ctx.Done(); return ctx.Err() })
		})
	}
	first := <-leaders
	select {
	case second := <-leaders:
		t.Fatalf("%d and %d lead together", first, second)
	case <-time.After(1500 * time.Millisecond):
	}
	stops[first]()
	if second := <-leaders; second == first {
		t.Error("the one that stopped leads on")
	}
}

func TestRestart_IsUnavailableAndThenOver(t *testing.T) {
	server := pgtest.NewServer(t)
	db, ctx := open(t, server.DSN(), postgres.Options{AcquireTimeout: 500 * time.Millisecond}), t.Context()
	if err := db.Migrate(ctx, schema); err != nil {
		t.Fatal(err)
	}
	write := func(s string) error { return db.InTx(ctx, func(tx *postgres.Tx) error { return set(ctx, tx, 1, s) }) }
	for _, down := range []func(){server.Stop, server.Kill} {
		if err := write("before"); err != nil {
			t.Fatal(err)
		}
		down()
		var f *fault.Error
		if err := write("meanwhile"); !errors.As(err, &f) || f.Kind != fault.Unavailable || f.RetryAfter == 0 {
			t.Errorf("while it is down: %v", err)
		}
		server.Start()
		if got := text(t, db, 1); got != "before" {
			t.Errorf("after the restart the row says %q", got)
		}
	}
}

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*persistConn).readLoop"), goleak.IgnoreAnyFunction("net/http.(*persistConn).writeLoop"))
}
