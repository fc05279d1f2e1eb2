package postgres_test

import (
	"testing"

	"github.com/jackc/pgx/v5"

	"cloakroom.dev/libs/postgres"
)

// All of a batch is kept or none, and its second statement sees what was committed while the first waited for a lock.
func TestBatch_IsOneTransactionWhoseStatementsLookAnew(t *testing.T) {
	db, ctx := open(t, template.New(t), postgres.Options{}), t.Context()
	run := func(statements ...string) (last int, err error) {
		err = db.Batch(ctx, func(b *pgx.Batch) {
			for _, s := range statements {
				b.Queue(s)
			}
		}, func(r pgx.BatchResults) error {
			for range statements[1:] {
				if _, err := r.Exec(); err != nil {
					return err
				}
			}
			return r.QueryRow().Scan(&last)
		})
		return last, err
	}
	const count = `SELECT count(*) FROM batched`
	if n, err := run(`CREATE TABLE batched (n int)`, `SELECT 0`); err != nil || n != 0 {
		t.Fatal(n, err)
	}
	if _, err := run(`INSERT INTO batched VALUES (1)`, `SELECT 1/0`); err == nil {
		t.Fatal("a batch with a failing statement succeeded")
	}
	if n, err := run(`INSERT INTO batched VALUES (2)`, count); err != nil || n != 1 {
		t.Errorf("%d rows, %v; want only that of the batch that succeeded", n, err)
	}
	locked, waited := make(chan struct{}), make(chan int)
	go func() {
		<-locked
		n, err := run(`SELECT pg_advisory_xact_lock(7)`, count)
		if err != nil {
			t.Error(err)
		}
		waited <- n
	}()
	if err := db.InTx(ctx, func(tx *postgres.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(7)`); err != nil {
			return err
		}
		close(locked)
		_, err := tx.Exec(ctx, `SELECT pg_sleep(0.3)`)
		if err == nil {
			_, err = tx.Exec(ctx, `INSERT INTO batched VALUES (3)`)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if n := <-waited; n != 2 {
		t.Errorf("behind the lock it saw %d rows, want 2", n)
	}
}

// Whoever waits for a lock must see, with the next statement, what was committed meanwhile. The owner of the database may have
// set another isolation for everybody.
func TestOpen_SaysItsIsolationItself(t *testing.T) {
	dsn, ctx := template.New(t), t.Context()
	if err := open(t, dsn, postgres.Options{}).InTx(ctx, func(tx *postgres.Tx) error {
		_, err := tx.Exec(ctx, `DO $$ BEGIN
			EXECUTE format('ALTER DATABASE %I SET default_transaction_isolation TO ''repeatable read''', current_database());
		END $$`)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	const show = `SELECT current_setting('transaction_isolation')`
	db := open(t, dsn, postgres.Options{})
	var written, batched string
	err := db.InTx(ctx, func(tx *postgres.Tx) error { return tx.QueryRow(ctx, show).Scan(&written) })
	if err == nil {
		err = db.Batch(ctx, func(b *pgx.Batch) { b.Queue(show) }, func(r pgx.BatchResults) error { return r.QueryRow().Scan(&batched) })
	}
	if want := "read committed"; err != nil || written != want || batched != want {
		t.Errorf("a transaction has %q, a batch %q, %v; want %q", written, batched, err, want)
	}
}
