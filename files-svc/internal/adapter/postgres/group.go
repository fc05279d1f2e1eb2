package postgres

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/postgres"
)

const (
	// lanes is how many transactions of this process write at a time. More would only wait for each other's owners.
	lanes = 4
	// maxBatch bounds the writes of one transaction, and so how long it holds its owners' rows.
	maxBatch = 32
	// maxWaiting bounds the writes that wait for a lane; more are refused.
	maxWaiting = 1024
	// maxWait is how long a write waits for a lane before its client is better told to come again.
	maxWait = 5 * time.Second
)

var errOverloaded = fault.Retry(fault.Overloaded, "too much is being written", time.Second)

// group lets writes of many requests share transactions. A lane takes what is waiting, up to its share, and runs it as
// one transaction, each write behind a savepoint. While nothing waits every write has a transaction of its own.
//
// Writes of a batch come in the order of their owners' rows to them, which is no order: so in a batch only the first may
// wait for a lock. Another that meets a held one is undone, ends the batch and is the first of the next; no transaction
// that holds what others want ever waits for what they hold.
type group struct {
	db      *postgres.DB
	queue   chan *write
	closing chan struct{}
	once    sync.Once
	running sync.WaitGroup
	metrics groupMetrics
}

type groupMetrics struct {
	size      prometheus.Histogram
	postponed prometheus.Counter
	refused   prometheus.Counter
}

func newGroup(db *postgres.DB, reg prometheus.Registerer) *group {
	g := &group{db: db, queue: make(chan *write, maxWaiting), closing: make(chan struct{})}
	f := promauto.With(reg)
	g.metrics = groupMetrics{
		size: f.NewHistogram(prometheus.HistogramOpts{
			Name: "cloakroom_files_commit_writes", Help: "Writes that shared a transaction.", Buckets: []float64{1, 2, 4, 8, 16, 32},
		}),
		postponed: f.NewCounter(prometheus.CounterOpts{
			Name: "cloakroom_files_commit_postponed_total", Help: "Writes that met a lock of another transaction and were run again at the head of the next.",
		}),
		refused: f.NewCounter(prometheus.CounterOpts{
			Name: "cloakroom_files_commit_refused_total", Help: "Writes that were refused because too many waited.",
		}),
	}
	f.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "cloakroom_files_commit_waiting", Help: "Writes that wait for a transaction.",
	}, func() float64 { return float64(len(g.queue)) })
	for range lanes {
		g.running.Go(g.lane)
	}
	return g
}

// write is one caller's.
type write struct {
	ctx      context.Context
	fn       func(tx) error
	taken    atomic.Bool // by a lane, or by its caller who has given it up
	solo     bool        // the database has refused it in company
	done     chan struct{}
	err      error
	panicked any
}

// do runs fn in a transaction and returns once it is durable.
func (g *group) do(ctx context.Context, fn func(tx) error) error {
	w := &write{ctx: ctx, fn: fn, done: make(chan struct{})}
	select {
	case <-g.closing:
		return errClosed()
	default:
	}
	select {
	case g.queue <- w:
	default:
		g.metrics.refused.Inc()
		return errOverloaded
	}
	patience := time.NewTimer(maxWait)
	defer patience.Stop()
	refusal := error(nil)
	select {
	case <-w.done:
	case <-ctx.Done():
		refusal = context.Cause(ctx)
	case <-patience.C:
		refusal = errOverloaded
	case <-g.closing:
		refusal = errClosed()
	}
	if refusal != nil && w.taken.CompareAndSwap(false, true) {
		return refusal
	}
	<-w.done // a transaction ends by its own deadline
	if w.panicked != nil {
		panic(w.panicked)
	}
	return w.err
}

func errClosed() error { return fault.New(fault.Unavailable, "the database is not available") }

// lane runs batches until the group is closed.
func (g *group) lane() {
	var postponed []*write
	for {
		if len(postponed) == 0 {
			select {
			case w := <-g.queue:
				if !w.taken.CompareAndSwap(false, true) {
					continue
				}
				postponed = append(postponed, w)
			case <-g.closing:
				return
			}
		}
		postponed = g.run(g.fill(postponed))
	}
}

// fill adds what waits, and leaves the other lanes their share.
func (g *group) fill(batch []*write) []*write {
	for share := 1 + len(g.queue)/lanes; len(batch) < maxBatch && share > 0 && !batch[0].solo; share-- {
		select {
		case w := <-g.queue:
			if w.taken.CompareAndSwap(false, true) {
				batch = append(batch, w)
			}
		default:
			return batch
		}
	}
	return batch
}

// run brings a batch to its end, and returns what is to begin the next one.
func (g *group) run(batch []*write) (postponed []*write) {
	var b attempt
	err := g.db.InTx(context.WithoutCancel(batch[0].ctx), func(t *postgres.Tx) error {
		b = attempt{}
		return b.run(t, batch)
	})
	for _, w := range batch[:b.ended] {
		if err != nil { // also what the others have refused it for is undone
			w.err = err
		}
		close(w.done)
	}
	if b.ended > 0 {
		g.metrics.size.Observe(float64(b.ended))
	}
	if b.ended < len(batch) && err == nil {
		g.metrics.postponed.Inc()
	}
	if err == nil {
		return batch[b.ended:]
	}
	for _, w := range batch[b.ended:] { // nothing of them is there
		w.err = err
		close(w.done)
	}
	return nil
}

// close waits for batches under way.
func (g *group) close() {
	g.once.Do(func() { close(g.closing) })
	g.running.Wait()
}

var errPanicked = errors.New("a write has panicked")
