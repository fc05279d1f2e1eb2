// Package postgres opens PostgreSQL databases so that nothing waits for them without end, and so that what went wrong is
// said in the words of package fault.
//
// A DB is a pool of connections. InTx runs a writing transaction at READ COMMITTED, the caller's row locks and Tx.Lock
// being what keeps it true, and returns after the commit. View runs a reading one on a single snapshot. Both begin and learn
// the database's time in one round trip, have one deadline for all their statements, and run again, a few times, when
// the database undid them for another transaction's sake or when the connection broke before the commit. A commit whose
// answer was lost is never repeated: the caller is told Unavailable and knows as little as anybody.
//
// Everything lives in a schema of its own, so several services can share one database. The package knows no table.
//
// Errors: a store that is not there, restarts, or has become read-only is Unavailable, a full disk StorageFull, a pool
// whose connections are all busy Overloaded, two transactions in each other's way Conflict, each with when to come back;
// unique violations are told by IsUnique.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"

	"cloakroom.dev/libs/internal/dbtrace"
	"cloakroom.dev/libs/secret"
)

const (
	connectTimeout = 5 * time.Second
	// maxConnLifetime lets connections follow a name that has moved to another server, and gives back what a long life
	// has gathered in the server's process.
	maxConnLifetime = 30 * time.Minute
	// statementCache is more than the constants of any service; what is over it is prepared again.
	statementCache = 512
)

// Options is what Open can be told. Name is needed, everything else has a default.
type Options struct {
	// Name is the schema, the label of metrics and the end of application_name: auth, files.
	Name string
	// MaxConnections of this process. Default 16.
	MaxConnections int
	// StatementTimeout bounds each statement, by the server. Default 5 s.
	StatementTimeout time.Duration
	// TxTimeout bounds each transaction, its waiting for locks and its repetitions. Default twice the StatementTimeout.
	TxTimeout time.Duration
	// AcquireTimeout bounds the wait for a free connection. Default 2 s.
	AcquireTimeout time.Duration

	Log        *slog.Logger
	Registerer prometheus.Registerer
	Tracer     trace.TracerProvider
}

func (o *Options) setDefaults() error {
	if !isName.MatchString(o.Name) {
		return fmt.Errorf("%q is no name for a schema", o.Name)
	}
	if o.MaxConnections == 0 {
		o.MaxConnections = 16
	}
	if o.StatementTimeout == 0 {
		o.StatementTimeout = 5 * time.Second
	}
	if o.TxTimeout == 0 {
		o.TxTimeout = 2 * o.StatementTimeout
	}
	if o.AcquireTimeout == 0 {
		o.AcquireTimeout = 2 * time.Second
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return nil
}

// isName keeps names such that they need no quotes, as schemas and as the beginnings of channels.
var isName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,30}$`)

// DB is an open pool. It is safe for concurrent use.
type DB struct {
	pool    *pgxpool.Pool
	opts    Options
	metrics *metrics
	tracing dbtrace.Tracing
}

// Open checks the address, connects once, and returns the pool. It makes nothing in the database: see Migrate. The caller
// must Close it.
func Open(ctx context.Context, dsn secret.String, opts Options) (*DB, error) {
	if err := opts.setDefaults(); err != nil {
		return nil, err
	}
	cfg, err := poolConfig(dsn, opts)
	if err != nil {
		return nil, err
	}
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("open the pool: %w", err)
	}
	db := &DB{pool: pool, opts: opts, metrics: newMetrics(opts.Registerer, opts.Name, pool), tracing: dbtrace.New(opts.Tracer, "cloakroom.dev/libs/postgres", "postgresql", opts.Name)}
	if err := db.firstPing(ctx); err != nil {
		pool.Close()
		return nil, fmt.Errorf("connect to the database: %w", err)
	}
	return db, nil
}

// firstPing has time to connect, unlike a request that finds the pool empty.
func (db *DB) firstPing(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	if err := db.pool.Ping(ctx); err != nil {
		return mapError(err)
	}
	return db.Ping(ctx)
}

// poolConfig is the pool's settings. A DSN may name several hosts: the one that takes writes is looked for.
func poolConfig(dsn secret.String, opts Options) (*pgxpool.Config, error) {
	cfg, err := pgxpool.ParseConfig(dsn.Reveal())
	if err != nil {
		return nil, errors.New("the DSN can't be read: want postgres://user:password@host:5432/database?sslmode=…") // err may quote it
	}
	if len(cfg.ConnConfig.Fallbacks) > 0 && cfg.ConnConfig.ValidateConnect == nil {
		cfg.ConnConfig.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	}
	prepareConn(cfg.ConnConfig, opts)
	cfg.ConnConfig.RuntimeParams["statement_timeout"] = millis(opts.StatementTimeout)
	cfg.ConnConfig.RuntimeParams["lock_timeout"] = millis(opts.StatementTimeout)
	cfg.ConnConfig.RuntimeParams["idle_in_transaction_session_timeout"] = millis(opts.TxTimeout + time.Second)
	cfg.MaxConns = int32(opts.MaxConnections)
	cfg.MinIdleConns = min(2, cfg.MaxConns)
	cfg.MaxConnLifetime, cfg.MaxConnLifetimeJitter = maxConnLifetime, maxConnLifetime/10
	cfg.PingTimeout = connectTimeout
	return cfg, nil
}

// prepareConn is what pooled and lone connections have in common.
func prepareConn(c *pgx.ConnConfig, opts Options) {
	if c.ConnectTimeout == 0 || c.ConnectTimeout > connectTimeout {
		c.ConnectTimeout = connectTimeout
	}
	c.StatementCacheCapacity = statementCache
	c.RuntimeParams["application_name"] = "cloakroom-" + opts.Name
	c.RuntimeParams["search_path"] = opts.Name
	c.RuntimeParams["timezone"] = "UTC"
	c.RuntimeParams["default_transaction_isolation"] = "read committed" // what is locked is read anew, whatever the server prefers
	// A deadline first asks the server to stop, so that the connection can be kept; a server that does not listen
	// loses it a second later.
	c.BuildContextWatcherHandler = func(pc *pgconn.PgConn) ctxwatch.Handler {
		return &pgconn.CancelRequestContextWatcherHandler{Conn: pc, DeadlineDelay: time.Second}
	}
}

func millis(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

// Ping reports whether the database answers and takes writes.
func (db *DB) Ping(ctx context.Context) error {
	return db.run(ctx, beginWrite, func(*Tx) error { return nil })
}

// Close waits for transactions under way and closes the connections.
func (db *DB) Close() error {
	db.pool.Close()
	return nil
}
