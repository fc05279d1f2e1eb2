package sqlite

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/trace"
)

// maxGroup bounds how many writes share a commit, and with it how long the first of them waits for the last.
const maxGroup = 128

// maxQueue bounds the writes that wait; beyond it InTx blocks until there is room or its context ends.
const maxQueue = 1024

var errClosed = errors.New("the database is closed")

// writer owns the one writing connection. Its goroutine ends with close.
type writer struct {
	conn    *conn
	held    *walBuffer // of conn's WAL
	queue   chan *job
	outside atomic.Int64 // writes that wait for room in the queue
	metrics *metrics
	log     *slog.Logger
	flushes bool // commits wait for the disk
	stop    chan struct{}
	once    sync.Once
	done    chan struct{}
	memo    map[any]any // of the commit under way: Tx.Memo
	waiting *waiting    // rows of the commit under way
	wary    int         // how many groups still run apart
}

type job struct {
	ctx     context.Context
	fn      func(*Tx) error
	relaxed bool // its commit need not be flushed
	ran     bool // from here on its outcome is told, whatever becomes of ctx
	err     error
	panic   any
	done    chan struct{}
}

func newWriter(c *conn, held *walBuffer, m *metrics, log *slog.Logger) *writer {
	if log == nil {
		log = slog.Default()
	}
	w := &writer{
		conn: c, held: held, metrics: m, log: log, flushes: true,
		memo: map[any]any{}, waiting: &waiting{conn: c}, queue: make(chan *job, maxQueue), stop: make(chan struct{}), done: make(chan struct{}),
	}
	m.observeQueue(func() float64 { return float64(int64(len(w.queue)) + w.outside.Load()) })
	go w.run()
	return w
}

func (w *writer) do(j *job) error {
	if err := w.enqueue(j); err != nil {
		return err
	}
	select {
	case <-j.done:
	case <-w.done: // closed while we queued; the last group may still have had us
		select {
		case <-j.done:
		default:
			return errClosed
		}
	}
	if j.panic != nil {
		panic(j.panic)
	}
	return j.err
}

// enqueue waits for room in the queue. Only those who find none are counted apart.
func (w *writer) enqueue(j *job) error {
	select {
	case w.queue <- j:
		return nil
	default:
	}
	w.outside.Add(1)
	defer w.outside.Add(-1)
	select {
	case w.queue <- j:
		return nil
	case <-j.ctx.Done():
		return fmt.Errorf("wait to write: %w", j.ctx.Err())
	case <-w.stop:
		return errClosed
	}
}

func (w *writer) close() {
	w.once.Do(func() { close(w.stop) })
	<-w.done
}

func (w *writer) run() {
	defer close(w.done)
	group := make([]*job, 0, maxGroup)
	for {
		select {
		case j := <-w.queue:
			group = w.gather(append(group[:0], j))
		case <-w.stop:
			if len(w.queue) == 0 {
				return
			}
			group = w.gather(group[:0])
		}
		w.commit(group)
		for _, j := range group {
			close(j.done)
		}
		clear(group)
	}
}

// gather takes what waits already, and what is just about to: those who can run now may run first, until a turn of theirs has
// brought nobody. It never waits for more: a lone writer must not pay for company that may not come, and under load the queue
// fills while the last group is being flushed.
func (w *writer) gather(group []*job) []*job {
	for came := true; came && len(group) < maxGroup; {
		runtime.Gosched()
		n := len(group)
		group = w.take(group)
		came = len(group) > n
	}
	return group
}

func (w *writer) take(group []*job) []*job {
	for len(group) < maxGroup {
		select {
		case j := <-w.queue:
			group = append(group, j)
		default:
			return group
		}
	}
	return group
}

// kept is the span of a writer of the group whose trace is kept, if there is one: that of the commit is part of its story.
func kept(group []*job) trace.SpanContext {
	for _, j := range group {
		if span := trace.SpanContextFromContext(j.ctx); span.IsSampled() {
			return span
		}
	}
	return trace.SpanContext{}
}

// flush sets whether the next commit waits for the disk. SQLite takes it between transactions only.
func (w *writer) flush(wanted bool) error {
	if wanted == w.flushes {
		return nil
	}
	pragma := "PRAGMA synchronous = NORMAL"
	if wanted {
		pragma = "PRAGMA synchronous = FULL"
	}
	if err := w.conn.exec(pragma); err != nil {
		return fmt.Errorf("set what a commit waits for: %w", err)
	}
	w.flushes, w.held.through = wanted, !wanted
	return nil
}

func allRelaxed(group []*job) bool {
	return !slices.ContainsFunc(group, func(j *job) bool { return !j.relaxed })
}

// Another process may be writing the same file, in turns: a command beside a service. SQLite's own waiting looks less and
// less often, in the end every 100 ms, and misses the gap between two of the other's transactions again and again.
const (
	turnEvery = time.Millisecond
	turnWait  = busyTimeout * time.Millisecond
)

// begin waits for our turn, looking often enough to take the first gap.
func (w *writer) begin() error {
	for began := time.Now(); ; time.Sleep(turnEvery) {
		err := w.conn.exec("BEGIN IMMEDIATE")
		if !isBusy(err) || time.Since(began) > turnWait {
			return err
		}
	}
}
