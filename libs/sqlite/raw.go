package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
)

// Statements that return no rows go to the driver without database/sql in between: a connection here belongs to one goroutine and
// its statements to it, so what that package would lock, look up and hand on for each statement is of no use to it.

// rawStatements are the driver's prepared statements of one connection.
type rawStatements struct {
	known map[string]rawStatement
	args  []driver.NamedValue // of the statement under way
}

// rawStatement is what the driver's statements can do.
type rawStatement interface {
	driver.Stmt
	driver.StmtExecContext
}

// run runs a statement and returns how many rows it changed.
func (c *conn) run(ctx context.Context, query string, args []any) (changed int64, err error) {
	err = c.conn.Raw(func(dc any) error {
		stmt, err := c.raw.prepare(ctx, dc, query)
		if err != nil {
			return fmt.Errorf("prepare %q: %w", query, err)
		}
		if err := c.raw.bind(args); err != nil {
			return fmt.Errorf("bind %q: %w", query, err)
		}
		defer clear(c.raw.args)
		res, err := stmt.ExecContext(ctx, c.raw.args)
		if err != nil {
			return err
		}
		changed, err = res.RowsAffected()
		return err
	})
	return changed, err
}

func (r *rawStatements) prepare(ctx context.Context, dc any, query string) (rawStatement, error) {
	if s, ok := r.known[query]; ok {
		return s, nil
	}
	if len(r.known) >= maxStatements {
		r.close()
	}
	preparer, ok := dc.(driver.ConnPrepareContext)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	made, err := preparer.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	stmt, ok := made.(rawStatement)
	if !ok {
		return nil, errors.Join(errors.ErrUnsupported, made.Close())
	}
	if r.known == nil {
		r.known = map[string]rawStatement{}
	}
	r.known[query] = stmt
	return stmt, nil
}

// bind brings values into the forms the driver takes.
func (r *rawStatements) bind(args []any) error {
	r.args = r.args[:0]
	for i, arg := range args {
		value, err := driver.DefaultParameterConverter.ConvertValue(arg)
		if err != nil {
			return fmt.Errorf("value %d: %w", i+1, err)
		}
		r.args = append(r.args, driver.NamedValue{Ordinal: i + 1, Value: value})
	}
	return nil
}

func (r *rawStatements) close() {
	for query, s := range r.known {
		_ = s.Close()
		delete(r.known, query)
	}
}
