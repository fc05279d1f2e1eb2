package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	driver "modernc.org/sqlite"
)

// Backup copies the database at from into a new file, as it is at one moment, while others write to it. It returns when
// the copy is durable under its name; a cut copy never has that name. An earlier copy is replaced, but no database that
// somebody has open or has not closed well: its journal would be taken for the new one's.
func Backup(ctx context.Context, from, to string) error {
	if _, err := os.Stat(from); err != nil {
		return fmt.Errorf("back up a database: %w", err)
	}
	if _, err := os.Stat(to + "-wal"); !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("back up %s: %s is in use, or was not closed well; copy to another place", from, to)
	}
	part := to + ".part"
	if err := os.Remove(part); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("back up %s: %w", from, err)
	}
	if err := makePrivate(part); err != nil {
		return fmt.Errorf("back up %s: %w", from, err)
	}
	if err := copyPages(ctx, from, part); err != nil {
		return errors.Join(fmt.Errorf("back up %s: %w", from, mapError(err)), os.Remove(part))
	}
	if err := syncAt(part); err != nil {
		return fmt.Errorf("back up %s: %w", from, err)
	}
	if err := os.Rename(part, to); err != nil {
		return fmt.Errorf("back up %s: %w", from, err)
	}
	return syncAt(filepath.Dir(to))
}

// copyPages uses SQLite's own way: pages as they are, so that nothing in the copy has another number than in the original.
func copyPages(ctx context.Context, from, to string) (err error) {
	pool, err := sql.Open("sqlite", dsn(from, "rw", "query_only(1)"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, pool.Close()) }()
	conn, err := pool.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	return conn.Raw(func(c any) error {
		source, ok := c.(interface {
			NewBackup(dst string) (*driver.Backup, error)
		})
		if !ok {
			return errors.New("the driver makes no backups")
		}
		backup, err := source.NewBackup(dsn(to, "rw"))
		if err != nil {
			return err
		}
		// All pages in one step: several would begin anew whenever somebody writes in between.
		_, err = backup.Step(-1)
		return errors.Join(err, backup.Finish())
	})
}

func syncAt(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
