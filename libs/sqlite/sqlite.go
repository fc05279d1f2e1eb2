// Package sqlite opens SQLite databases so that what was acknowledged survives kill -9 and power loss, and so that
// many small writers are as quick as one large one.
//
// Each database has one writer and a few readers. Writes queue for the writer, which runs all that wait inside one
// transaction and commits them together: one fsync for the whole group (group commit). When a write fails the group is
// undone and runs again, each write in its own savepoint, so that one rolls back alone. InTx returns after the commit is on disk (WAL, synchronous=FULL), never before.
// Readers see a snapshot and never wait for the writer.
//
// The package knows no table. Driver errors become faults: a full disk is StorageFull, a database that can't be read
// or written right now is Unavailable; unique violations are told by IsUnique.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"

	"github.com/pressly/goose/v3"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"
	_ "modernc.org/sqlite" // registers the driver named sqlite

	"cloakroom.dev/libs/internal/dbtrace"
)

// readers is how many reads run at once: reads are short, so a few connections fill two cores, and each costs memory.
const readers = 4

// Options is what Open can be told; the zero value works.
type Options struct {
	Name       string // label of metrics and traces; default: the file's name
	Log        *slog.Logger
	Registerer prometheus.Registerer
	Tracer     trace.TracerProvider
}

// DB is an open database. It is safe for concurrent use.
type DB struct {
	path    string
	writer  *writer
	held    *walBuffer
	idle    *bench // readers nobody uses
	opened  int    // readers there are
	closed  chan struct{}
	once    sync.Once // closes
	pools   []*sql.DB
	metrics *metrics
	tracing dbtrace.Tracing
}

// Open opens or creates the database at path, and its folder. The caller must Close it.
func Open(ctx context.Context, path string, opts Options) (*DB, error) {
	if opts.Name == "" {
		opts.Name = filepath.Base(path)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("make the database's folder: %w", err)
	}
	if err := makePrivate(path); err != nil {
		return nil, fmt.Errorf("open or make the database: %w", err)
	}
	db := &DB{
		path: path, idle: newBench(readers), closed: make(chan struct{}),
		metrics: newMetrics(opts.Registerer, opts.Name), tracing: dbtrace.New(opts.Tracer, "cloakroom.dev/libs/sqlite", "sqlite", opts.Name),
	}
	if err := db.open(ctx, opts); err != nil {
		return nil, errors.Join(fmt.Errorf("open database %s: %w", path, mapError(err)), db.Close())
	}
	return db, nil
}

// makePrivate makes the file when it is missing, for its owner alone. SQLite gives its journals the mode of the database.
func makePrivate(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

// walSettings are the writer's. The log is brought home into the database every 3900 pages, which are less than the 16 MiB the file keeps:
// pages that many commits change go home once, and what is written over costs its sync no change of the file's length. The cache has
// room for what a full group of uploads of as many people touches, some 700 pages; what it has not, the operating system's has.
var walSettings = []string{"journal_mode(WAL)", "wal_autocheckpoint(3900)", "journal_size_limit(16777216)", "cache_size(-3072)"}

func (db *DB) open(ctx context.Context, opts Options) error {
	held, err := newWALBuffer(db.metrics.walWrites)
	if err != nil {
		return err
	}
	db.held = held
	w, err := db.connect(ctx, dsn(db.path, "rwc", walSettings...)+held.params())
	if err != nil {
		return err
	}
	if err := w.exec("PRAGMA busy_timeout = 0"); err != nil { // from here on it waits in its own way
		return errors.Join(err, w.close())
	}
	db.writer = newWriter(w, held, db.metrics, opts.Log)
	db.metrics.observeReads(&db.idle.waiting)
	for range readers {
		r, err := db.connect(ctx, dsn(db.path, "rw", "query_only(1)", "cache_size(-512)"))
		if err != nil {
			return err
		}
		db.idle.put(r)
		db.opened++
	}
	return nil
}

// connect opens one connection with a pool of its own: settings and prepared statements belong to a connection, and
// database/sql would otherwise choose one for us.
func (db *DB) connect(ctx context.Context, name string) (*conn, error) {
	pool, err := sql.Open("sqlite", name)
	if err != nil {
		return nil, err
	}
	pool.SetMaxOpenConns(1)
	db.pools = append(db.pools, pool)
	c, err := pool.Conn(ctx)
	if err != nil {
		return nil, err
	}
	return &conn{conn: c, stmts: map[string]*sql.Stmt{}, tracing: db.tracing}, nil
}

// busyTimeout is how long a statement waits for another process, in milliseconds.
const busyTimeout = 5000

func dsn(path, mode string, pragmas ...string) string {
	// temp_store(2) keeps what savepoints could undo in memory: in a file it costs a group commit a third of its time.
	pragmas = append([]string{"busy_timeout(" + strconv.Itoa(busyTimeout) + ")", "synchronous(FULL)", "foreign_keys(1)", "trusted_schema(0)", "secure_delete(1)", "temp_store(2)"}, pragmas...)
	q := url.Values{"mode": {mode}, "_pragma": pragmas}
	return "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + q.Encode()
}

// Migrate brings the schema up to the newest of the migrations (goose's SQL files at the root of fsys). It only ever
// goes forward, and does nothing when there is nothing to do.
func (db *DB) Migrate(ctx context.Context, fsys fs.FS) error {
	pool, err := sql.Open("sqlite", dsn(db.path, "rwc"))
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	defer pool.Close()
	p, err := goose.NewProvider(goose.DialectSQLite3, pool, fsys)
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("migrate %s: %w", db.path, mapError(err))
	}
	return nil
}

// InTx runs fn in a write transaction and returns once its commit is durable. When fn returns an error nothing of it is
// kept, and that error is returned. Other writers may share the commit; fn may run more than once, must be short and must
// not call InTx or wait for anything but its own statements. Once fn has run, the outcome is told even when ctx ends.
func (db *DB) InTx(ctx context.Context, fn func(tx *Tx) error) error {
	return db.write(ctx, fn, false)
}

// InTxRelaxed is InTx for what may be lost when the power goes: it returns once the commit is the operating system's, which
// outlives this process. The next commit of InTx makes it durable too, and a commit shared with one is durable at once.
func (db *DB) InTxRelaxed(ctx context.Context, fn func(tx *Tx) error) error {
	return db.write(ctx, fn, true)
}

func (db *DB) write(ctx context.Context, fn func(tx *Tx) error, relaxed bool) error {
	ctx, end := db.tracing.Start(ctx, "sqlite.write")
	err := mapError(db.writer.do(&job{ctx: ctx, fn: fn, relaxed: relaxed, done: make(chan struct{})}))
	end(err)
	return err
}

// View runs fn on a snapshot; writes fail.
func (db *DB) View(ctx context.Context, fn func(tx *Tx) error) (err error) {
	ctx, end := db.tracing.Start(ctx, "sqlite.read")
	defer func() { end(err) }()
	if err := db.awaitReader(ctx); err != nil {
		return err
	}
	c := db.idle.take()
	defer db.idle.put(c)
	return mapError(c.view(fn))
}

// awaitReader returns nil when the caller may take a reader. Only those who find none are counted.
func (db *DB) awaitReader(ctx context.Context) error {
	select {
	case <-db.idle.some:
		return nil
	default:
	}
	db.idle.waiting.Add(1)
	defer db.idle.waiting.Add(-1)
	select {
	case <-db.idle.some:
		return nil
	case <-db.closed:
		return mapError(errClosed)
	case <-ctx.Done():
		return fmt.Errorf("wait for a reader: %w", ctx.Err())
	}
}

// Close waits for queued writes and for reads under way, and closes the database. Calls after it fail.
func (db *DB) Close() error {
	var errs []error
	db.once.Do(func() {
		if db.writer != nil {
			db.writer.close()
		}
		close(db.closed)
		for range db.opened {
			<-db.idle.some
			errs = append(errs, db.idle.take().close())
		}
		if db.writer != nil {
			errs = append(errs, db.writer.conn.close())
		}
		for _, p := range slices.Backward(db.pools) { // the writer's last: it brings the log home into the file
			errs = append(errs, p.Close())
		}
		if db.held != nil {
			db.held.forget()
		}
	})
	return errors.Join(errs...)
}
