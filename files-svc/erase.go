package filessvc

import (
	"context"
	"errors"
	"log/slog"
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

// Erasing is tried again after a failure, ever more slowly.
const (
	eraseRetry    = time.Second
	eraseRetryMax = time.Minute
)

var errErasuresFull = errors.New("too many people wait to be erased")

// eraser removes what deleted people leave. It hears of them from the revocation log, in order, and works beside the
// follower, which must not wait. Each start hears all live entries again, so a crash loses none; an erasure that has been
// done is done again at the cost of one read, which stays right even when the auth service's log was restored and its
// positions mean others. One that fails waits behind all others. The position it keeps in the catalogue is how far it has come, for people and for metrics.
type eraser struct {
	core interface {
		EraseOwner(ctx context.Context, owner files.OwnerID) error
		LogPosition(ctx context.Context) (int64, error)
		SetLogPosition(ctx context.Context, seq int64) error
	}
	log     *slog.Logger
	mu      sync.Mutex
	waiting []token.Entry
	failed  map[int64]bool // positions of those waiting that have been tried
	done    int64          // the furthest position that was worked off
	wake    chan struct{}

	queued prometheus.Gauge
	erased *prometheus.CounterVec
}

func newEraser(core *files.Service, log *slog.Logger, reg prometheus.Registerer) *eraser {
	f := promauto.With(reg)
	return &eraser{
		core: core, log: log, failed: map[int64]bool{}, wake: make(chan struct{}, 1),
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
	if len(e.waiting) >= maxErasures {
		return errErasuresFull
	}
	e.waiting = append(e.waiting, entry)
	e.queued.Set(float64(len(e.waiting)))
	select {
	case e.wake <- struct{}{}:
	default: // it is awake
	}
	return nil
}

// run erases until ctx ends.
func (e *eraser) run(ctx context.Context) error {
	pause := eraseRetry
	for {
		entry, ok := e.first()
		if !ok {
			select {
			case <-ctx.Done():
				return nil
			case <-e.wake:
				continue
			}
		}
		if err := e.erase(ctx, entry); err == nil {
			pause = eraseRetry
			continue
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
			pause = min(2*pause, eraseRetryMax)
		}
	}
}

// erase works off the first entry and drops it when that is done. One that fails goes to the end of the line: it keeps nobody else.
func (e *eraser) erase(ctx context.Context, entry token.Entry) error {
	err := e.eraseOwner(ctx, entry)
	if err != nil {
		if ctx.Err() == nil {
			e.erased.WithLabelValues("error").Inc()
			e.log.WarnContext(ctx, "erasing a deleted person's files failed; it is tried again", "user_id", entry.ID, "error", err.Error())
		}
		e.mu.Lock()
		defer e.mu.Unlock()
		e.waiting = append(e.waiting[1:], entry)
		e.failed[entry.Seq] = true
		return err
	}
	e.erased.WithLabelValues("ok").Inc()
	e.mu.Lock()
	defer e.mu.Unlock()
	e.waiting = e.waiting[1:]
	e.queued.Set(float64(len(e.waiting)))
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
	reached := e.reached(entry.Seq)
	if reached <= position {
		return nil
	}
	e.log.InfoContext(ctx, "deleted person's files erased", "user_id", entry.ID, "seq", entry.Seq)
	return e.core.SetLogPosition(ctx, reached)
}

// reached is how far everything has been worked off, an entry included that has just been: not past one that has failed.
func (e *eraser) reached(seq int64) int64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.failed, seq)
	e.done = max(e.done, seq)
	reached := e.done
	for failed := range e.failed {
		reached = min(reached, failed-1)
	}
	return reached
}

func (e *eraser) first() (token.Entry, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.waiting) == 0 {
		e.waiting = nil // give the memory of a long queue back
		return token.Entry{}, false
	}
	return e.waiting[0], true
}
