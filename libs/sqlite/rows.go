package sqlite

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
)

// Rows that the writes of a group add wait until something could see them, at the latest until the commit, and reach their tables
// many at a time: a statement opens its table and each of its indexes once however many rows it has. What its constraints compare
// with is made for each row. A row that its table refuses is found out late, so then the group runs again apart, where no row waits.

const (
	// rowsAtOnce is how many rows a statement has at most. More save little, and every statement stays prepared.
	rowsAtOnce = 8
	// maxWaiting bounds the rows of a table that wait.
	maxWaiting = maxGroup
)

// Rows is how rows are added to a table: the statement of one, and of several.
type Rows struct {
	order, columns int
	one, several   string
}

// NewRows is for a table and those of its columns that Tx.Insert is given, as in "a, b". Tables of a lower order get their rows
// first: those that others refer to.
func NewRows(order int, table, columns string) *Rows {
	n := strings.Count(columns, ",") + 1
	into, row := " INTO "+table+" ("+columns+") VALUES ", "(?"+strings.Repeat(", ?", n-1)+")"
	return &Rows{
		order: order, columns: n,
		one: "INSERT" + into + row,
		// FAIL: a statement that fails takes its group with it, so SQLite need not be able to undo it alone.
		several: "INSERT OR FAIL" + into + row + strings.Repeat(", "+row, rowsAtOnce-1),
	}
}

// Insert adds a row: args are its columns, and must not change before the transaction has ended. A row that its table refuses is an
// error here or of the whole transaction, which then runs once more.
func (tx *Tx) Insert(ctx context.Context, rows *Rows, args ...any) error {
	if len(args) != rows.columns {
		return fmt.Errorf("%d values for %d columns: %q", len(args), rows.columns, rows.one)
	}
	if tx.waiting == nil {
		_, err := tx.Exec(ctx, rows.one, args...)
		return err
	}
	return tx.waiting.add(rows, args)
}

// Beside is tx for statements on tables that get no rows by Insert: they need not wait until those that wait have been written.
func (tx *Tx) Beside() *Tx {
	if tx.waiting == nil {
		return tx
	}
	beside := *tx
	beside.beside = true
	return &beside
}

// ready writes what the next statement could see.
func (tx *Tx) ready() error {
	switch {
	case tx.waiting == nil:
		return nil
	case tx.beside:
		return tx.waiting.err
	default:
		return tx.waiting.write()
	}
}

// waiting is the rows of a group that are not written yet.
type waiting struct {
	conn   *conn
	tables []waitingRows // in the order in which they are written
	err    error         // of a row: the group can't be committed any more, whatever its writes make of it
}

type waitingRows struct {
	rows *Rows
	args []any // of one row after the other
}

func (w *waiting) add(rows *Rows, args []any) error {
	t := w.table(rows)
	if len(t.args) >= maxWaiting*rows.columns {
		if err := w.write(); err != nil {
			return err
		}
	}
	t.args = append(t.args, args...)
	return w.err
}

func (w *waiting) table(rows *Rows) *waitingRows {
	at, found := slices.BinarySearchFunc(w.tables, rows.order, func(t waitingRows, order int) int { return cmp.Compare(t.rows.order, order) })
	if !found {
		w.tables = slices.Insert(w.tables, at, waitingRows{rows: rows})
	}
	return &w.tables[at]
}

func (w *waiting) write() error {
	for i := range w.tables {
		if w.err == nil {
			w.err = w.tables[i].write(w.conn)
		}
	}
	return w.err
}

func (t *waitingRows) write(c *conn) error {
	for left := t.args; len(left) > 0; {
		query, n := t.rows.several, rowsAtOnce*t.rows.columns
		if len(left) < n {
			query, n = t.rows.one, t.rows.columns
		}
		// Without a context, since the rows are many writes': see call.
		if _, err := c.run(context.Background(), query, left[:n]); err != nil {
			return err
		}
		left = left[n:]
	}
	t.forget()
	return nil
}

func (t *waitingRows) forget() {
	clear(t.args)
	t.args = t.args[:0]
}

// forget begins anew.
func (w *waiting) forget() {
	for i := range w.tables {
		w.tables[i].forget()
	}
	w.err = nil
}
