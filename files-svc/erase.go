package filessvc

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"cloakroom.dev/files-svc/internal/files"
	"cloakroom.dev/libs/telemetry/metric"
	"cloakroom.dev/libs/token"
)

// maxErasures bounds how many people wait to be erased. Beyond it the follower is told to come back with the entry.
const maxErasures = 64 << 10

// Erasing one person is tried again after a failure, ever more slowly.
const (
	eraseRetry    = time.Second
	eraseRetryMax = time.Minute
)

var errErasuresFull = errors.New("too many people wait to be erased")

// eraser removes what deleted people leave. It hears of them from the revocation log, in order, and works beside the
// follower, which must not wait. Each start hears all live entries again, so a crash loses none; an erasure that has been
// done is done again at the cost of one read, which stays right even when the auth service's log was restored and its
// positions mean others. An erasure that fails keeps nobody else waiting. The position it keeps in the catalogue is how far
// it has come without a gap, for people and for metrics.
type eraser struct {
	core interface {
		EraseOwner(ctx context.Context, owner files.OwnerID) error
		LogPosition(ctx context.Context) (int64, error)
		SetLogPosition(ctx context.Context, seq int64) error
	}
	log  *slog.Logger
	wake chan struct{}

	mu       sync.Mutex
	waiting  []token.Entry // not tried yet, in the log's order
	failed   []erasure
	many     int   // of both, and the one under way
	furthest int64 // the last position in the log of those erased

	queued prometheus.Gauge
	erased *prometheus.CounterVec
}

// erasure is an entry that has its turn, or gets another.
type erasure struct {
	entry token.Entry
	again time.Time     // when it is tried again
	pause time.Duration // how long it has waited for that
}

func newEraser(core *files.Service, log *slog.Logger, reg prometheus.Registerer) *eraser {
	f := promauto.With(reg)
	return &eraser{
		core: core, log: log, wake: make(chan struct{}, 1),
		queued: f.NewGauge(prometheus.GaugeOpts{
			Name: "cloakroom_files_erasures_waiting", Help: "Deleted people whose files are still to be erased.",
		}),
		erased: metric.Known(f.NewCounterVec(prometheus.CounterOpts{
			Name: "cloakroom_files_erasures_total", Help: "Erasures of deleted people, by result; an error is tried again.",
		}, []string{"result"}), "ok", "error"),
	}
}

// hear takes an entry of the log.
func (e *eraser) hear(_ context.Context, entry token.Entry) error {
	if entry.Kind != token.KindUserDeleted {
		return nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.many >= maxErasures {
		return errErasuresFull
	}
	e.waiting = append(e.waiting, entry)
	e.many++
	e.queued.Set(float64(e.many))
	select {
	case e.wake <- struct{}{}:
	default: // it is awake
	}
	return nil
}

// run erases until ctx ends. Who has not been tried comes first; after any failure it waits a little, so that a catalogue
// that is away is not asked without end.
func (e *eraser) run(ctx context.Context) error {
	for ctx.Err() == nil {
		next, wait, ok := e.take(time.Now())
		switch {
		case !ok:
			sleep(ctx, wait, e.wake)
		case e.erase(ctx, next) != nil:
			sleep(ctx, eraseRetry, nil)
		}
	}
	return nil
}

// sleep waits until ctx ends, somebody wakes it, or the time is over; without a time, until one of the former.
func sleep(ctx context.Context, wait time.Duration, wake <-chan struct{}) {
	var over <-chan time.Time
	if wait > 0 {
		over = time.After(wait)
	}
	select {
	case <-ctx.Done():
	case <-wake:
	case <-over:
	}
}

// take returns whose turn it is, or how long nobody's is; zero is until somebody comes.
func (e *eraser) take(now time.Time) (next erasure, wait time.Duration, ok bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.waiting) > 0 {
		next, e.waiting = erasure{entry: e.waiting[0]}, e.waiting[1:]
		return next, 0, true
	}
	e.waiting = nil // give the memory of a long queue back
	if len(e.failed) == 0 {
		return erasure{}, 0, false
	}
	first := 0
	for i, f := range e.failed {
		if f.again.Before(e.failed[first].again) {
			first = i
		}
	}
	next = e.failed[first]
	if wait := next.again.Sub(now); wait > 0 {
		return erasure{}, wait, false
	}
	e.failed = slices.Delete(e.failed, first, first+1)
	return next, 0, true
}

// erase works off an entry, and keeps it for later when that fails.
func (e *eraser) erase(ctx context.Context, next erasure) error {
	entry := next.entry
	err := e.eraseOwner(ctx, entry)
	e.mu.Lock()
	defer e.mu.Unlock()
	if err != nil {
		next.pause = min(max(2*next.pause, eraseRetry), eraseRetryMax)
		next.again = time.Now().Add(next.pause)
		e.failed = append(e.failed, next)
		if ctx.Err() == nil {
			e.erased.WithLabelValues("error").Inc()
			e.log.WarnContext(ctx, "erasing a deleted person's files failed; it is tried again", "user_id", entry.ID, "error", err.Error())
		}
		return err
	}
	e.erased.WithLabelValues("ok").Inc()
	e.many--
	e.queued.Set(float64(e.many))
	return nil
}

// eraseOwner erases, and keeps how far the log has been worked off. A position that lies behind is not news: it is an
// entry of before a restart.
func (e *eraser) eraseOwner(ctx context.Context, entry token.Entry) error {
	position, err := e.core.LogPosition(ctx)
	if err != nil {
		return err
	}
	if err := e.core.EraseOwner(ctx, files.OwnerID(entry.ID)); err != nil {
		return err
	}
	if entry.Seq > position {
		e.log.InfoContext(ctx, "deleted person's files erased", "user_id", entry.ID, "seq", entry.Seq)
	}
	if reached := e.reached(entry.Seq); reached > position {
		return e.core.SetLogPosition(ctx, reached)
	}
	return nil
}

// reached is the position up to which all are erased, now that another is: it stays before everybody who is still to be
// tried again.
func (e *eraser) reached(erased int64) int64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.furthest = max(e.furthest, erased)
	seq := e.furthest
	for _, f := range e.failed {
		seq = min(seq, f.entry.Seq-1)
	}
	return seq
}
